/* When a send counts as stalled: not while the peer's machine takes bytes, however slowly, and at the stall timeout
 * once it does not. Simulated sockets have no such progress, so the linker puts a wrapper around the call that asks for
 * it, and the test says what has been taken. The sends themselves do not complete in all that time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "net/socket.h"
#include "rig.h"

#define SUBSCRIBE "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"

enum { TIMEOUT_MS = 30000, QUARTER_MS = TIMEOUT_MS / 4 };

uint64_t __wrap_socket_progress(int descriptor);

static int moving;        /* the descriptor whose socket makes progress */
static uint64_t progress; /* of that one; the others stand still */
static unsigned looks;

uint64_t __wrap_socket_progress(int descriptor) {
    looks++;
    return descriptor == moving ? progress : 0;
}

/* A subscriber with a send that does not complete. */
static struct simulated_peer *block(struct rig *rig) {
    struct simulated_peer *peer = rig_ask(rig, SUBSCRIBE);
    simulated_set_window(peer, 0);
    return peer;
}

static uint64_t count_stalled(const struct rig *rig) {
    return u64_load_relaxed(&rig->reactor->counters.stalled);
}

/* The first look at the send is a quarter after its begin. The test moves between two looks, so that it is clear which
 * of them sees what. */
static struct simulated_peer *start(struct rig *rig) {
    rig_open(rig, NULL);
    struct simulated_peer *peer = block(rig);
    moving = simulated_descriptor(peer);
    progress = 0;
    looks = 0;
    rig_publish(rig, "s", "x");
    rig_run(rig, QUARTER_MS / 2);
    return peer;
}

/* N03 */
static void test_a_send_with_progress_is_not_stalled(void **state) {
    (void)state;
    struct rig rig;
    struct simulated_peer *peer = start(&rig);
    for (int quarter = 0; quarter < 10; quarter++) {
        progress++;
        rig_run(&rig, QUARTER_MS);
        if (looks == 0) skip();
        assert_false(simulated_was_closed(peer));
    }
    assert_int_equal(count_stalled(&rig), 0);
    rig_run(&rig, TIMEOUT_MS - QUARTER_MS);
    assert_false(simulated_was_closed(peer));
    rig_run(&rig, QUARTER_MS);
    assert_true(simulated_was_closed(peer));
    assert_int_equal(count_stalled(&rig), 1);
    rig_close(&rig);
}

/* It need not be seen at every look: once in a stall timeout is enough. */
static void test_seldom_progress_is_progress(void **state) {
    (void)state;
    struct rig rig;
    struct simulated_peer *peer = start(&rig);
    for (int round = 0; round < 10; round++) {
        progress++;
        rig_run(&rig, TIMEOUT_MS);
        if (looks == 0) skip();
        assert_false(simulated_was_closed(peer));
    }
    assert_int_equal(count_stalled(&rig), 0);
    rig_close(&rig);
}

/* One peer's progress is not another's. */
static void test_who_makes_no_progress_is_closed_among_others_that_do(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *slow = block(&rig);
    struct simulated_peer *silent = block(&rig);
    moving = simulated_descriptor(slow);
    looks = 0;
    rig_publish(&rig, "s", "x");
    for (int quarter = 0; quarter < 5; quarter++) {
        progress++;
        rig_run(&rig, QUARTER_MS);
        if (looks == 0) skip();
    }
    assert_true(simulated_was_closed(silent));
    assert_false(simulated_was_closed(slow));
    assert_int_equal(count_stalled(&rig), 1);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_send_with_progress_is_not_stalled),
        cmocka_unit_test(test_seldom_progress_is_progress),
        cmocka_unit_test(test_who_makes_no_progress_is_closed_among_others_that_do),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed != 0 || looks > 0) return failed;
    printf("SKIPPED: link-time optimisation has seen through the wrapper\n");
    return 77;
}
