/* What happens by time alone: heartbeats, deadlines of slow and silent peers, and the drain. All on fake time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reader.h"
#include "rig.h"

#define GET_HEALTH       "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
#define SUBSCRIBE        "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"
#define SUBSCRIBE_NDJSON "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"

static unsigned frames_of(const struct simulated_peer *peer, enum decoded_type type) {
    struct stream_text text;
    assert_true(stream_text_read(peer, 0, &text));
    unsigned count = count_frames(&text, type);
    stream_text_free(&text);
    return count;
}

/* ---- Heartbeats ------------------------------------------------------------------------------------------------ */

/* S20: at the interval, not before and not after. */
static void test_a_quiet_stream_gets_a_heartbeat_at_each_interval(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peers[2] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE_NDJSON)};
    for (unsigned beats = 0; beats < 5; beats++) {
        rig_run(&rig, 14990);
        for (int i = 0; i < 2; i++)
            assert_int_equal(frames_of(peers[i], DECODED_HEARTBEAT), beats);
        rig_run(&rig, 11);
        for (int i = 0; i < 2; i++)
            assert_int_equal(frames_of(peers[i], DECODED_HEARTBEAT), beats + 1);
    }
    rig_close(&rig);
}

static void test_events_put_the_heartbeat_off(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    for (unsigned i = 1; i <= 10; i++) {
        rig_run(&rig, 14000);
        rig_publish_numbers(&rig, "s", i, i, 1);
        rig_run(&rig, 1);
    }
    expect_numbers(peer, 1, 10);
    rig_close(&rig);
}

/* S10: never inside an event, also when one is published while the heartbeat is on its way. */
static void test_a_heartbeat_stands_between_events(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {
        .faults = {.seed = 7, .short_send = 60, .late_completion = 100, .max_delay_ns = 3000000}};
    rig_open(&rig, &options);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    rig_run(&rig, 100);
    for (unsigned i = 1; i <= 50; i++) {
        rig_run(&rig, 14990 + i % 30);
        rig_publish_numbers(&rig, "s", i, i, 30);
    }
    rig_run(&rig, 1000);
    assert_true(frames_of(peer, DECODED_HEARTBEAT) > 10);
    assert_int_equal(frames_of(peer, DECODED_EVENT), 50);
    rig_close(&rig);
}

static void test_heartbeats_can_be_switched_off(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.server = {.heartbeat_ms = WEIR_NONE}};
    rig_open(&rig, &options);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    rig_run(&rig, 3600000);
    assert_int_equal(frames_of(peer, DECODED_HEARTBEAT), 0);
    rig_publish_numbers(&rig, "s", 1, 1, 1);
    rig_run(&rig, 1);
    expect_numbers(peer, 1, 1);
    rig_close(&rig);
}

/* T03: the process was stopped for ten minutes. One heartbeat, not forty. */
static void test_a_long_pause_gives_one_heartbeat(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    simulated_advance(rig.backend, UINT64_C(600000000000));
    for (int i = 0; i < 10; i++)
        rig_run(&rig, 1);
    assert_int_equal(frames_of(peer, DECODED_HEARTBEAT), 1);
    rig_close(&rig);
}

/* ---- Slow and silent peers ------------------------------------------------------------------------------------- */

/* N01: one byte a second is no progress: the deadline stands from the first byte on. */
static void test_a_slow_head_gets_408_at_its_deadline(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *slow = rig_connect(&rig);
    rig_run(&rig, 5000); /* silence is not yet slowness */
    for (int i = 0; i < 10; i++) {
        assert_int_equal(answer_count(slow), 0);
        simulated_feed(slow, &"GET / HTTP"[i], 1);
        rig_run(&rig, 1000);
    }
    rig_run(&rig, 1);
    assert_int_equal(answer_count(slow), 1);
    assert_int_equal(answer_of(slow, 0).status, 408);
    rig_run(&rig, 2001);
    assert_true(simulated_was_closed(slow));
    assert_int_equal(answer_of(rig_ask(&rig, GET_HEALTH), 0).status, 200);
    rig_close(&rig);
}

/* N02 */
static void test_a_slow_body_gets_408_at_its_deadline(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *slow =
        rig_ask(&rig, "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n");
    for (int i = 0; i < 30; i++) {
        assert_int_equal(answer_count(slow), 0);
        rig_feed(slow, "x");
        rig_run(&rig, 1000);
    }
    assert_int_equal(answer_of(slow, 0).status, 408);
    rig_close(&rig);
}

static void test_each_request_has_a_deadline_of_its_own(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    for (unsigned i = 0; i < 5; i++) {
        rig_feed(peer, "GET /health HTTP/1.1\r\n");
        rig_run(&rig, 9000);
        rig_feed(peer, "Host: x\r\n\r\n");
        rig_run(&rig, 30000);
        assert_int_equal(answer_count(peer), i + 1);
        assert_int_equal(answer_of(peer, i).status, 200);
    }
    rig_close(&rig);
}

static void test_an_idle_connection_is_closed(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *fresh = rig_connect(&rig);
    struct simulated_peer *used = rig_ask(&rig, GET_HEALTH);
    rig_run(&rig, 59990);
    assert_false(simulated_was_closed(fresh) || simulated_was_closed(used));
    rig_run(&rig, 12);
    assert_true(simulated_was_closed(fresh) && simulated_was_closed(used));
    rig_close(&rig);
}

/* N03: who takes nothing is closed after stall_timeout_ms; the session and the others do not notice. */
static void test_a_stalled_reader_is_closed_at_the_stall_timeout(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *stalled = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *quick = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(stalled, 0);
    rig_publish_numbers(&rig, "s", 1, 3, 1);
    rig_run(&rig, 29990);
    assert_false(simulated_was_closed(stalled));
    rig_run(&rig, 12);
    assert_true(simulated_was_closed(stalled));
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.stalled), 1);
    rig_publish_numbers(&rig, "s", 4, 4, 1);
    rig_run(&rig, 1);
    assert_int_equal(frames_of(quick, DECODED_EVENT), 4);
    rig_close(&rig);
}

/* A peer that asks and asks and never reads, and then begins a body: the send in flight keeps its deadline. */
static void test_a_stalled_answer_is_noticed_while_a_body_is_awaited(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    simulated_set_window(peer, 0);
    rig_feed(peer, GET_HEALTH);
    rig_run(&rig, 1);
    rig_feed(peer, "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
    rig_run(&rig, 120000);
    assert_true(simulated_was_closed(peer));
    rig_close(&rig);
}

/* ... and one that keeps trickling a head does not keep itself alive by that. */
static void test_a_stalled_answer_is_noticed_while_a_head_trickles(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    simulated_set_window(peer, 0);
    rig_feed(peer, GET_HEALTH "GET /");
    for (int i = 0; i < 40 && !simulated_was_closed(peer); i++) {
        rig_run(&rig, 1000);
        rig_feed(peer, "x");
    }
    assert_true(simulated_was_closed(peer));
    rig_close(&rig);
}

/* The answer to a refusal is out; a peer that does not close its side is closed all the same. */
static void test_a_peer_that_does_not_finish_is_closed_after_the_linger_time(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_int_equal(answer_count(peer), 1);
    assert_true(simulated_saw_finish(peer));
    rig_run(&rig, 1990);
    assert_false(simulated_was_closed(peer));
    rig_run(&rig, 12);
    assert_true(simulated_was_closed(peer));
    rig_close(&rig);
}

/* ---- Retry and drain ------------------------------------------------------------------------------------------- */

static void test_retry_is_drawn_between_once_and_twice_the_setting(void **state) {
    (void)state;
    enum { STREAMS = 200 };
    struct rig rig;
    rig_open(&rig, NULL);
    uint64_t least = UINT64_MAX, most = 0;
    for (int i = 0; i < STREAMS; i++) {
        struct stream_text text;
        assert_true(stream_text_read(rig_ask(&rig, SUBSCRIBE), 0, &text));
        uint64_t retry_ms = text.frames.items[0].retry_ms;
        assert_true(retry_ms >= 1000 && retry_ms <= 2000);
        least = retry_ms < least ? retry_ms : least;
        most = retry_ms > most ? retry_ms : most;
        stream_text_free(&text);
    }
    assert_true(most - least > 500); /* spread, not one value */
    rig_close(&rig);
}

/* L01, N12: the ends are spread evenly over drain_ms; each is in good order, with `retry:`. */
static void test_a_drain_spreads_the_ends_of_streams(void **state) {
    (void)state;
    enum { STREAMS = 50 };
    struct rig rig;
    struct simulated_peer *peers[STREAMS];
    rig_open(&rig, NULL);
    for (int i = 0; i < STREAMS; i++)
        peers[i] = rig_ask(&rig, SUBSCRIBE);
    reactors_control(&rig.shared, CONTROL_DRAIN);
    for (int second = 1; second <= 5; second++) {
        rig_run(&rig, 1000);
        int ended = 0;
        for (int i = 0; i < STREAMS; i++)
            ended += simulated_saw_finish(peers[i]);
        assert_in_range(ended, second * 10 - 2, second * 10 + 2);
    }
    for (int i = 0; i < STREAMS; i++) {
        struct stream_text text;
        assert_true(stream_text_read(peers[i], 0, &text));
        assert_true(text.ended);
        assert_int_equal(text.frames.items[text.frames.count - 1].type, DECODED_RETRY);
        assert_false(simulated_saw_reset(peers[i]));
        stream_text_free(&text);
        simulated_finish(peers[i]);
    }
    rig_run(&rig, 100);
    assert_true(rig.reactor->finished);
    assert_int_equal(reactor_turn(rig.reactor, 0), -1);
    rig_close(&rig);
}

/* A stream that stands still cannot hold the end up; one whose events are on their way gets them. */
static void test_a_drain_ends_in_time_whatever_the_readers_do(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *stalled = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *slow = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(stalled, 0);
    simulated_set_window(slow, 0);
    rig_publish_numbers(&rig, "s", 1, 20, 1);
    rig_run(&rig, 1);
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 5500);
    simulated_set_window(slow, SIZE_MAX);
    rig_run(&rig, 1450);
    assert_false(rig.reactor->finished);
    rig_run(&rig, 100);
    assert_true(rig.reactor->finished);
    assert_true(simulated_was_closed(stalled));
    assert_int_equal(frames_of(slow, DECODED_EVENT), 20);
    rig_close(&rig);
}

static void test_a_drain_answers_what_was_asked_and_waits_for_nobody_else(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *idle = rig_ask(&rig, GET_HEALTH);
    struct simulated_peer *midway = rig_ask(&rig, "GET /ready HTTP/1.1\r\n");
    struct simulated_peer *being_answered = rig_connect(&rig);
    simulated_set_window(being_answered, 0);
    rig_feed(being_answered, GET_HEALTH);
    rig_run(&rig, 1);
    struct simulated_peer *late = rig_connect(&rig); /* its accept is under way when the drain begins */
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 10);
    assert_true(simulated_saw_finish(idle));
    simulated_set_window(being_answered, SIZE_MAX);
    rig_feed(midway, "Host: x\r\n\r\n");
    rig_run(&rig, 10);
    assert_int_equal(answer_of(midway, 0).status, 503); /* /ready says that the server is going */
    assert_true(answer_has(
        &(struct answer){.head = answer_of(midway, 0).head, .head_length = answer_of(midway, 0).head_length},
        "Connection: close"));
    assert_int_equal(answer_count(being_answered), 1);
    struct simulated_peer *peers[] = {idle, midway, being_answered, late};
    for (int i = 0; i < 4; i++) {
        assert_true(simulated_saw_finish(peers[i]));
        simulated_finish(peers[i]);
    }
    rig_run(&rig, 30);
    assert_true(rig.reactor->finished); /* without drain_ms having passed */
    rig_close(&rig);
}

static void test_a_drain_without_connections_ends_at_once(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_run(&rig, 1);
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 1);
    assert_true(rig.reactor->finished);
    rig_close(&rig);
}

/* L02: a stop during the drain ends it at once. */
static void test_a_stop_cuts_a_drain_short(void **state) {
    (void)state;
    struct rig rig;
    struct simulated_peer *peers[10];
    rig_open(&rig, NULL);
    for (int i = 0; i < 10; i++)
        peers[i] = rig_ask(&rig, SUBSCRIBE);
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 500);
    reactors_control(&rig.shared, CONTROL_STOP);
    rig_run(&rig, 1);
    assert_true(rig.reactor->finished);
    for (int i = 0; i < 10; i++)
        assert_true(simulated_was_closed(peers[i]));
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_quiet_stream_gets_a_heartbeat_at_each_interval),
        cmocka_unit_test(test_events_put_the_heartbeat_off),
        cmocka_unit_test(test_a_heartbeat_stands_between_events),
        cmocka_unit_test(test_heartbeats_can_be_switched_off),
        cmocka_unit_test(test_a_long_pause_gives_one_heartbeat),
        cmocka_unit_test(test_a_slow_head_gets_408_at_its_deadline),
        cmocka_unit_test(test_a_slow_body_gets_408_at_its_deadline),
        cmocka_unit_test(test_each_request_has_a_deadline_of_its_own),
        cmocka_unit_test(test_an_idle_connection_is_closed),
        cmocka_unit_test(test_a_stalled_reader_is_closed_at_the_stall_timeout),
        cmocka_unit_test(test_a_stalled_answer_is_noticed_while_a_body_is_awaited),
        cmocka_unit_test(test_a_stalled_answer_is_noticed_while_a_head_trickles),
        cmocka_unit_test(test_a_peer_that_does_not_finish_is_closed_after_the_linger_time),
        cmocka_unit_test(test_retry_is_drawn_between_once_and_twice_the_setting),
        cmocka_unit_test(test_a_drain_spreads_the_ends_of_streams),
        cmocka_unit_test(test_a_drain_ends_in_time_whatever_the_readers_do),
        cmocka_unit_test(test_a_drain_answers_what_was_asked_and_waits_for_nobody_else),
        cmocka_unit_test(test_a_drain_without_connections_ends_at_once),
        cmocka_unit_test(test_a_stop_cuts_a_drain_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
