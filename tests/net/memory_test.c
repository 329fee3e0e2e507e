/* Memory that fails: at the n-th allocation for every n, once and from there on, through the life of a reactor from its
 * creation to its end (M01, M02, L05). Nothing crashes or leaks, no subscriber loses anything silently, and when there
 * is memory again the next request works.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_memory.h"
#include "swarm_oracle.h"

static void run_armed(struct rig *rig, uint32_t duration_ms) {
    failing.armed = true;
    rig_run(rig, duration_ms);
    failing.armed = false;
}

/* ---- One life ---------------------------------------------------------------------------------------------------- */

#define VISITS 4u

static void connect_visit(struct rig *rig, struct visit *visit, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void connect_visit(struct rig *rig, struct visit *visit, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(visit->request, sizeof(visit->request), format, arguments);
    va_end(arguments);
    assert_in_range(length, 1, sizeof(visit->request) - 1);
    visit->peer = rig_connect(rig);
    rig_feed(visit->peer, visit->request);
}

/* Streams that are live, that catch up, that meet a gap; requests of all kinds; heartbeats; an end. */
static void live(struct rig *rig, struct truth *truth, struct visit *visits) {
    for (int i = 0; i < 12; i++)
        truth_publish(truth, rig, 0);
    connect_visit(rig, &visits[0], "GET /sessions/a/events HTTP/1.1\r\nHost: x\r\n\r\n");
    connect_visit(rig, &visits[1], "GET /sessions/a/events HTTP/1.0\r\nAccept: application/x-ndjson\r\n\r\n");
    connect_visit(rig, &visits[2], "GET /sessions/b/events HTTP/1.1\r\nHost: x\r\n\r\n");
    visits[2].session = 1;
    run_armed(rig, 2);
    for (unsigned i = 0; i < 3; i++)
        simulated_set_window(visits[i].peer, i == 0 ? 0 : SIZE_MAX);
    for (int i = 0; i < 20; i++) {
        truth_publish(truth, rig, (unsigned)i % 2);
        run_armed(rig, 1);
    }
    struct visit_result result = visit_check(truth, &visits[1]);
    if (result.any) { /* comes back: the ring, 8 long, has passed its place */
        snprintf(visits[3].last_id, sizeof(visits[3].last_id), "%.20s.2", result.epoch);
        connect_visit(rig, &visits[3], "GET /sessions/a/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n",
                      visits[3].last_id);
    }
    rig_feed(rig_connect(rig), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
    struct simulated_peer *poster = rig_connect(rig);
    rig_feed(poster, "POST /sessions/other/events HTTP/1.1\r\nHost: x\r\nContent-Length: 600\r\n\r\n");
    struct simulated_peer *greedy = rig_connect(rig); /* asks for more than may wait, so that input is held back */
    simulated_set_window(greedy, 0);
    for (int i = 0; i < 30; i++)
        rig_feed(greedy, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_feed(rig_connect(rig), "PUT /sessions/new HTTP/1.1\r\nHost: x\r\n\r\nPUT /bad\r\n\r\n");
    run_armed(rig, 5);
    for (int i = 0; i < 60; i++)
        rig_feed(poster, "ten bytes.");
    simulated_set_window(greedy, SIZE_MAX);
    simulated_set_window(visits[0].peer, SIZE_MAX); /* it was passed, too */
    run_armed(rig, 5);
    run_armed(rig, 16000); /* heartbeats */
}

/* There is memory again: streams that are there reach the newest event, and those that are not were cut in a place from
 * where they can go on. */
static void recover(struct rig *rig, struct truth *truth, struct visit *visits) {
    failing.nth = 0;
    for (unsigned session = 0; session < 2; session++)
        truth_publish(truth, rig, session);
    rig_run(rig, 20);
    for (unsigned i = 0; i < VISITS; i++) {
        if (visits[i].peer == NULL) continue;
        struct visit_result result = visit_check(truth, &visits[i]);
        const struct connection *connection = rig_connection(rig, visits[i].peer);
        if (connection == NULL || connection->stream == NULL || connection->stream->ended) continue;
        assert_int_equal(result.next, truth_current(truth, rig, visits[i].session)->newest + 1);
    }
    struct simulated_peer *peer = rig_ask(rig, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_run(rig, 110); /* an accept that failed waits so long */
    assert_int_equal(answer_of(peer, 0).status, 200);
}

static struct rig_options small_options(void) {
    struct rig_options options = {
        .engine = {.replay_capacity = 8, .allocator = failing_allocator},
        .server = {.max_batch_bytes = 256},
    };
    return options;
}

/* Returns how many allocations there were. */
static uint64_t fail_at(uint64_t nth, bool lasting) {
    struct rig rig;
    struct rig_options options = small_options();
    struct truth *truth = calloc(1, sizeof(*truth));
    struct visit visits[VISITS];
    memset(visits, 0, sizeof(visits));
    failing.armed = false;
    failing.nth = nth;
    failing.lasting = lasting;
    failing.count = 0;
    rig_open(&rig, &options);
    live(&rig, truth, visits);
    uint64_t count = failing.count;
    failing.armed = lasting && nth % 2 == 1; /* the end must not need memory: half of them come to it without */
    if (!failing.armed) recover(&rig, truth, visits);
    rig_close(&rig);
    failing.armed = false;
    free(truth);
    assert_int_equal(failing.engine_blocks, 0);
    return count;
}

static uint64_t failing_now;

static void fail_at_each(bool lasting) {
    uint64_t count = fail_at(0, false);
    assert_true(count > 60); /* the wrappers are in place */
    for (uint64_t nth = 1; nth <= count; nth++) {
        failing_now = nth;
        fail_at(nth, lasting);
    }
    failing_now = 0;
    print_message("%llu allocations, each of them failed\n", (unsigned long long)count);
}

static void test_any_single_allocation_may_fail(void **state) {
    (void)state;
    fail_at_each(false);
}

static void test_all_memory_may_be_gone_from_any_allocation_on(void **state) {
    (void)state;
    fail_at_each(true);
}

/* L05 */
static void test_a_reactor_that_cannot_be_made_leaves_nothing(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = small_options();
    bool made = false;
    for (uint64_t nth = 1; !made; nth++) {
        failing.count = 0;
        failing.nth = nth;
        failing.lasting = nth % 2 == 0;
        failing.armed = true;
        made = rig_try_open(&rig, &options);
        failing.armed = false;
        if (made) rig_close(&rig);
        assert_int_equal(failing.engine_blocks, 0);
        assert_true(nth < 1000);
    }
    failing.nth = 0;
}

static int tell_allocation(void **state) {
    (void)state;
    failing.armed = false;
    if (failing_now != 0) print_error("allocation %llu had failed\n", (unsigned long long)failing_now);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reactor_that_cannot_be_made_leaves_nothing),
        cmocka_unit_test_teardown(test_any_single_allocation_may_fail, tell_allocation),
        cmocka_unit_test_teardown(test_all_memory_may_be_gone_from_any_allocation_on, tell_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
