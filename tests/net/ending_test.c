/* Ends: of peers at any moment, of connections with operations in flight, of the reactor with everything open, and
 * what cannot even begin. The simulated backend aborts when an operation, a descriptor or a buffer is left over. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/router.h"
#include "reader.h"
#include "rig.h"

#define GET_HEALTH "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
#define SUBSCRIBE  "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"

static const enum simulated_cancel cancel_orders[] = {SIMULATED_CANCEL_WINS, SIMULATED_OPERATION_WINS,
                                                      SIMULATED_CANCEL_LATE, SIMULATED_CANCEL_ANY_ORDER};
#define CANCEL_ORDERS (sizeof(cancel_orders) / sizeof(cancel_orders[0]))

/* What a script's peer does at the moment that it is told. */
enum departure { DEPARTURE_RESET, DEPARTURE_FINISH, DEPARTURES };

static void depart(struct simulated_peer *peer, enum departure departure) {
    if (departure == DEPARTURE_RESET)
        simulated_reset(peer);
    else
        simulated_finish(peer);
}

/* One script: a peer asks, and after `turns` turns of the reactor it goes. A second subscriber is not disturbed. */
static void leave_after(unsigned turns, enum departure departure, size_t cancel, size_t window) {
    struct rig rig;
    struct rig_options options = {
        .faults = {.seed = turns, .cancel = cancel_orders[cancel], .late_completion = cancel % 2 == 0 ? 0 : 50}};
    rig_open(&rig, &options);
    struct simulated_peer *stays = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *leaves = rig_connect(&rig);
    simulated_set_window(leaves, window);
    rig_feed(leaves, GET_HEALTH "PUT /sessions/s HTTP/1.1\r\nHost: x\r\n\r\n" SUBSCRIBE);
    for (unsigned i = 0; i < turns; i++) {
        if (i % 3 == 0) rig_publish_numbers(&rig, "s", i / 3 + 1, i / 3 + 1, 20);
        reactor_turn(rig.reactor, 0);
    }
    depart(leaves, departure);
    /* With a window that stays shut the FIN of a peer whose answers are under way waits for the stall. */
    rig_run(&rig, departure == DEPARTURE_FINISH ? 40000 : 100);
    assert_null(rig_connection(&rig, leaves));
    assert_int_equal(rig.reactor->connection_count, 1);
    rig_publish_numbers(&rig, "s", (turns + 2) / 3 + 1, (turns + 2) / 3 + 1, 20);
    rig_run(&rig, 100);
    struct stream_text text;
    assert_true(stream_text_read(stays, 0, &text));
    assert_int_equal(count_frames(&text, DECODED_EVENT), (turns + 2) / 3 + 1);
    stream_text_free(&text);
    rig_close(&rig);
}

/* U06, N07, N08: at every step of accept, request, answer, subscribe and delivery. */
static void test_a_peer_may_leave_at_any_moment(void **state) {
    (void)state;
    for (unsigned turns = 0; turns < 24; turns++)
        for (enum departure departure = 0; departure < DEPARTURES; departure++)
            for (size_t cancel = 0; cancel < CANCEL_ORDERS; cancel++) {
                leave_after(turns, departure, cancel, SIZE_MAX);
                leave_after(turns, departure, cancel, 100);
            }
}

/* A send that is reset after some of its bytes, at every send of a stream's life: what the peer got is a whole beginning
 * of the stream, and a resume brings the rest. */
static void test_a_send_that_breaks_loses_nothing_for_the_resume(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rig rig;
        struct rig_options options = {.faults = {.seed = seed}};
        rig_open(&rig, &options);
        struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
        struct simulated_faults faults = {.reset = 20, .short_send = 30, .cancel = SIMULATED_CANCEL_ANY_ORDER};
        simulated_set_faults(rig.backend, &faults);
        for (unsigned i = 1; i <= 60; i++) {
            rig_publish_numbers(&rig, "s", i, i, 30);
            rig_run(&rig, 1);
        }
        struct simulated_faults none = {0};
        simulated_set_faults(rig.backend, &none);
        assert_true(simulated_saw_reset(peer));
        struct stream_text text;
        assert_true(stream_text_read(peer, 0, &text));
        unsigned got = count_frames(&text, DECODED_EVENT);
        assert_true(got < 60);
        for (size_t i = 0, n = 0; i < text.frames.count; i++)
            if (text.frames.items[i].type == DECODED_EVENT)
                assert_int_equal(frame_sequence(&text.frames.items[i]), ++n);
        if (got > 0) {
            char request[256];
            snprintf(request, sizeof(request),
                     "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n",
                     text.frames.items[text.frames.count - 1].id.data);
            expect_numbers(rig_ask(&rig, request), got + 1, 60);
        }
        stream_text_free(&text);
        rig_close(&rig);
    }
}

/* U18: the cancel comes first, the operation comes first, or both come late. Buffers and batches outlive the kernel's
 * interest in them; the simulated backend compares the bytes of every send when it completes. */
static void test_connections_close_with_operations_in_flight(void **state) {
    (void)state;
    enum { STREAMS = 12 };
    for (size_t cancel = 0; cancel < CANCEL_ORDERS; cancel++) {
        for (int end = 0; end < 3; end++) {
            struct rig rig;
            struct rig_options options = {
                .faults = {
                    .seed = cancel + 1, .cancel = cancel_orders[cancel], .late_completion = 40, .reorder = true}};
            struct simulated_peer *peers[STREAMS];
            rig_open(&rig, &options);
            for (int i = 0; i < STREAMS; i++)
                peers[i] = rig_ask(&rig, SUBSCRIBE);
            rig_run(&rig, 100);
            for (int i = 0; i < STREAMS; i++)
                simulated_set_window(peers[i], (size_t)i % 2);
            rig_publish_numbers(&rig, "s", 1, 9, 100);
            rig_run(&rig, 10);
            if (end == 0) rig_run(&rig, 31000); /* the stall timeout */
            if (end == 1) reactors_control(&rig.shared, CONTROL_STOP);
            rig_run(&rig, 100);
            if (end == 1) assert_true(rig.reactor->finished);
            if (end != 2) assert_int_equal(rig.reactor->connection_count, 0);
            rig_close(&rig); /* end 2: with everything open */
        }
    }
}

/* An accept that was quicker than its cancel brings one more connection into a reactor that is being destroyed. */
static void test_a_connection_accepted_during_the_end_is_closed_too(void **state) {
    (void)state;
    for (size_t cancel = 0; cancel < CANCEL_ORDERS; cancel++) {
        struct rig rig;
        struct rig_options options = {.faults = {.seed = 3, .cancel = cancel_orders[cancel]}};
        rig_open(&rig, &options);
        rig_run(&rig, 1);
        for (int i = 0; i < 3; i++)
            rig_feed(rig_connect(&rig), SUBSCRIBE);
        rig_close(&rig);

        rig_open(&rig, &options);
        rig_run(&rig, 1);
        for (int i = 0; i < 3; i++)
            rig_feed(rig_connect(&rig), SUBSCRIBE);
        reactors_control(&rig.shared, CONTROL_STOP);
        rig_run(&rig, 100);
        assert_true(rig.reactor->finished);
        rig_close(&rig);
    }
}

/* ---- Accepting -------------------------------------------------------------------------------------------------- */

/* U20, R01: out of descriptors: streams go on, no spinning, and it recovers by itself. */
static void test_accepting_pauses_when_descriptors_run_out(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *stream = rig_ask(&rig, SUBSCRIBE);
    simulated_fail_accept(rig.backend, rig.listener, EMFILE);
    simulated_fail_accept(rig.backend, rig.listener, ENFILE);
    struct simulated_peer *waits = rig_connect(&rig);
    rig_feed(waits, GET_HEALTH);
    rig_publish_numbers(&rig, "s", 1, 2, 1);
    rig_run(&rig, 95);
    assert_int_equal(answer_count(waits), 0);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.accept_errors), 1);
    expect_numbers(stream, 1, 2);
    rig_run(&rig, 210);
    assert_int_equal(answer_count(waits), 1);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.accept_errors), 2);
    rig_close(&rig);
}

static void test_a_peer_that_left_before_it_was_accepted_is_passed_over(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    simulated_fail_accept(rig.backend, rig.listener, ECONNABORTED);
    assert_int_equal(answer_count(rig_ask(&rig, GET_HEALTH)), 1);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.accept_errors), 0);
    rig_close(&rig);
}

static void test_a_drain_begins_while_accepting_pauses(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    simulated_fail_accept(rig.backend, rig.listener, EMFILE);
    rig_connect(&rig);
    rig_run(&rig, 10);
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 10);
    assert_true(rig.reactor->finished);
    rig_close(&rig);
}

/* N11: places, descriptors and generations come back. */
static void test_many_short_connections_leave_nothing(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.faults = {.seed = 5,
                                             .cancel = SIMULATED_CANCEL_ANY_ORDER,
                                             .reorder = true,
                                             .late_completion = 20,
                                             .accept_error = 5}};
    rig_open(&rig, &options);
    for (unsigned i = 0; i < 2000; i++) {
        struct simulated_peer *peer = rig_connect(&rig);
        if (i % 3 == 0) rig_feed(peer, GET_HEALTH);
        if (i % 5 == 0) rig_feed(peer, SUBSCRIBE);
        if (i % 7 == 0) reactor_turn(rig.reactor, 0);
        if (i % 2 == 0)
            simulated_reset(peer);
        else
            simulated_finish(peer);
        if (i % 10 == 0) rig_run(&rig, 1);
    }
    rig_run(&rig, 60000);
    assert_int_equal(rig.reactor->connection_count, 0);
    assert_int_equal(u32_load_relaxed(&rig.shared.connections), 0);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.streams), 0);
    assert_int_equal(simulated_open_descriptors(rig.backend), 1); /* the listener */
    assert_true(rig.reactor->place_count <= 256);
    rig_close(&rig);
}

/* ---- A backend that breaks --------------------------------------------------------------------------------------- */

/* Accepts one connection, and then can do no more. */
struct breaking {
    struct io_backend base;
    int waits;
    unsigned closed;
    bool destroyed;
};

static void start_nothing(struct io_backend *backend, int descriptor, uint64_t token) {
    (void)backend, (void)descriptor, (void)token;
}

static void send_nothing(struct io_backend *backend, int descriptor, const void *data, size_t length,
                         uint64_t token) {
    (void)backend, (void)descriptor, (void)data, (void)length, (void)token;
}

static void cancel_nothing(struct io_backend *backend, uint64_t token) {
    (void)backend, (void)token;
}

static void shut_nothing(struct io_backend *backend, int descriptor, int how) {
    (void)backend, (void)descriptor, (void)how;
}

static void count_close(struct io_backend *backend, int descriptor) {
    (void)descriptor;
    ((struct breaking *)backend)->closed++;
}

static void release_nothing(struct io_backend *backend, char *data) {
    (void)backend, (void)data;
}

static int wait_and_break(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                          unsigned capacity) {
    struct breaking *breaking = (struct breaking *)backend;
    (void)timeout_ns, (void)capacity;
    if (breaking->waits++ > 0) return -EIO;
    completions[0] = (struct io_completion){.token = token_make(TOKEN_ACCEPT, LISTENER_PUBLIC, 0), .result = 1000000};
    return 1;
}

static void wake_nothing(struct io_backend *backend) {
    (void)backend;
}
static int poll_nothing(struct io_backend *backend) {
    return (void)backend, -ENOSYS;
}
static void note_destroy(struct io_backend *backend) {
    ((struct breaking *)backend)->destroyed = true;
}

/* U12: everything stops, is said to have stopped, and is given back. */
static void test_a_broken_backend_stops_the_server_and_leaks_nothing(void **state) {
    (void)state;
    static const struct io_backend_operations operations = {
        "breaking",  start_nothing,   start_nothing,  send_nothing, cancel_nothing, shut_nothing,
        count_close, release_nothing, wait_and_break, wake_nothing, poll_nothing,   note_destroy};
    struct rig rig;
    rig_open(&rig, NULL);
    struct breaking breaking = {.base = {&operations}};
    const int listeners[LISTENERS_MAX] = {1000001, -1};
    struct reactor *reactor;
    assert_int_equal(reactor_create(&reactor, &rig.shared, 0, &breaking.base, listeners), WEIR_OK);
    assert_true(reactor_turn(reactor, 0) > 0);
    assert_int_equal(reactor->connection_count, 1);
    assert_int_equal(reactor_turn(reactor, 0), -1);
    assert_int_equal(u32_load_relaxed(&rig.shared.control), CONTROL_STOP | CONTROL_FAILED);
    reactor_destroy(reactor);
    assert_int_equal(breaking.closed, 2);
    assert_true(breaking.destroyed);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_peer_may_leave_at_any_moment),
        cmocka_unit_test(test_a_send_that_breaks_loses_nothing_for_the_resume),
        cmocka_unit_test(test_connections_close_with_operations_in_flight),
        cmocka_unit_test(test_a_connection_accepted_during_the_end_is_closed_too),
        cmocka_unit_test(test_accepting_pauses_when_descriptors_run_out),
        cmocka_unit_test(test_a_peer_that_left_before_it_was_accepted_is_passed_over),
        cmocka_unit_test(test_a_drain_begins_while_accepting_pauses),
        cmocka_unit_test(test_many_short_connections_leave_nothing),
        cmocka_unit_test(test_a_broken_backend_stops_the_server_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
