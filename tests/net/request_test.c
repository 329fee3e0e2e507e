/* Requests and answers on one connection: split anywhere, pipelined, refused, too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reader.h"
#include "rig.h"

#define PUT_S   "PUT /sessions/s HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST_AB "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
#define POST_CHUNKED                                                                                                 \
    "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "                                             \
    "chunked\r\n\r\n3\r\ncde\r\n1\r\nf\r\n0\r\n\r\n"
#define GET_HEALTH "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
#define SUBSCRIBE  "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"

static uint64_t published(struct rig *rig) {
    weir_session_info info;
    weir_session_info_get(rig_session(rig, "s"), &info);
    return info.published;
}

/* N09: the same answers, wherever the bytes are cut. */
static void test_requests_may_be_split_anywhere(void **state) {
    (void)state;
    static const char requests[] = PUT_S POST_AB POST_CHUNKED GET_HEALTH;
    static const unsigned statuses[] = {201, 201, 201, 200};
    for (size_t cut = 1; cut < sizeof(requests) - 1; cut++) {
        struct rig rig;
        rig_open(&rig, NULL);
        struct simulated_peer *peer = rig_connect(&rig);
        simulated_feed(peer, requests, cut);
        rig_run(&rig, 1);
        simulated_feed(peer, requests + cut, sizeof(requests) - 1 - cut);
        rig_run(&rig, 1);
        assert_int_equal(answer_count(peer), 4);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(answer_of(peer, i).status, statuses[i]);
        assert_int_equal(published(&rig), 2);
        rig_close(&rig);
    }
}

static void test_requests_may_come_byte_by_byte(void **state) {
    (void)state;
    static const char requests[] = PUT_S POST_AB POST_CHUNKED GET_HEALTH;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    for (size_t i = 0; i < sizeof(requests) - 1; i++) {
        simulated_feed(peer, requests + i, 1);
        rig_run(&rig, 1);
    }
    assert_int_equal(answer_count(peer), 4);
    assert_int_equal(published(&rig), 2);
    rig_close(&rig);
}

/* Beyond OUTPUT_PAUSE the rest of the input waits; every request is answered in the end, in order, and what waits
 * unsent is bounded meanwhile. */
static void test_pipelined_requests_wait_for_a_slow_reader(void **state) {
    (void)state;
    enum { REQUESTS = 3000, BOUND = (256 << 10) + (64 << 10) };
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    simulated_set_window(peer, 1000);
    for (int i = 0; i < REQUESTS; i++)
        rig_feed(peer, i % 2 == 0 ? GET_HEALTH : "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_run(&rig, 1);
    const struct connection *connection = rig_connection(&rig, peer);
    for (unsigned i = 0; i < 100; i++) {
        rig_run(&rig, 1);
        assert_true(connection->output.length + connection->flight.length < BOUND);
        assert_true(connection->intake->held.length <= 8192);
        simulated_read(peer, NULL, SIZE_MAX);
    }
    simulated_set_window(peer, SIZE_MAX);
    rig_run(&rig, 100);
    assert_int_equal(answer_count(peer), REQUESTS);
    for (unsigned i = 0; i < REQUESTS; i += 499)
        assert_int_equal(answer_of(peer, i).body_length > 1000, i % 2);
    rig_close(&rig);
}

/* FIN behind the requests: what was asked is still answered (N06). */
static void test_a_peer_that_has_finished_gets_its_answers(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_connect(&rig);
    simulated_set_window(peer, 10);
    rig_feed(peer, PUT_S POST_AB GET_HEALTH);
    simulated_finish(peer);
    rig_run(&rig, 1);
    assert_false(simulated_was_closed(peer));
    simulated_set_window(peer, SIZE_MAX);
    rig_run(&rig, 1);
    assert_int_equal(answer_count(peer), 3);
    assert_true(simulated_was_closed(peer));
    assert_false(simulated_saw_reset(peer));
    rig_close(&rig);
}

static void test_a_peer_that_finishes_in_a_request_is_gone(void **state) {
    (void)state;
    static const char *const beginnings[] = {"", "G", "GET / HTTP/1.1\r\nHost", POST_AB};
    for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
        struct rig rig;
        rig_open(&rig, NULL);
        struct simulated_peer *peer = rig_connect(&rig);
        simulated_feed(peer, beginnings[i], i == 3 ? strlen(POST_AB) - 1 : strlen(beginnings[i]));
        simulated_finish(peer);
        rig_run(&rig, 1);
        assert_true(simulated_was_closed(peer));
        assert_int_equal(answer_count(peer), 0);
        rig_close(&rig);
    }
}

/* N13: nothing behind the request of a stream is taken for a request. */
static void test_bytes_behind_a_subscription_are_thrown_away(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE POST_AB GET_HEALTH);
    rig_feed(peer, POST_AB);
    rig_run(&rig, 1);
    rig_publish_numbers(&rig, "s", 1, 3, 1);
    rig_run(&rig, 1);
    expect_numbers(peer, 1, 3);
    rig_close(&rig);
}

/* N17: a subscriber that keeps sending is cut; others go on. */
static void test_a_subscriber_that_keeps_sending_is_cut(void **state) {
    (void)state;
    static char junk[64 << 10];
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *loud = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *quiet = rig_ask(&rig, SUBSCRIBE);
    for (int i = 0; i < 5; i++) {
        assert_false(simulated_was_closed(loud));
        simulated_feed(loud, junk, sizeof(junk));
        rig_run(&rig, 1);
    }
    assert_true(simulated_was_closed(loud));
    rig_publish_numbers(&rig, "s", 1, 1, 1);
    rig_run(&rig, 1);
    expect_numbers(quiet, 1, 1);
    rig_close(&rig);
}

/* H23: the refusal of a body that is still coming arrives, and the connection ends in good order. */
static void test_a_refused_body_does_not_destroy_the_refusal(void **state) {
    (void)state;
    static char body[1 << 20];
    struct rig rig;
    struct rig_options options = {.server = {.max_body_bytes = 1000}};
    rig_open(&rig, &options);
    struct simulated_peer *peer = rig_connect(&rig);
    rig_feed(peer, "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n");
    for (int i = 0; i < 8; i++) {
        simulated_feed(peer, body, sizeof(body));
        rig_run(&rig, 10);
        assert_false(simulated_was_closed(peer));
    }
    assert_int_equal(answer_of(peer, 0).status, 413);
    assert_true(simulated_saw_finish(peer));
    simulated_finish(peer);
    rig_run(&rig, 10);
    assert_true(simulated_was_closed(peer));
    assert_false(simulated_saw_reset(peer));
    assert_int_equal(answer_count(peer), 1);
    rig_close(&rig);
}

static void test_a_refused_body_without_end_is_cut(void **state) {
    (void)state;
    static char body[1 << 20];
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, "BAD\r\n\r\n");
    assert_int_equal(answer_of(peer, 0).status, 400);
    for (int i = 0; i < 17 && !simulated_was_closed(peer); i++) {
        simulated_feed(peer, body, sizeof(body));
        rig_run(&rig, 10);
    }
    assert_true(simulated_was_closed(peer));
    rig_close(&rig);
}

static void test_one_100_continue_comes_before_the_answer(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(
        &rig, "POST /sessions/s/events HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(answer_count(peer), 1);
    assert_int_equal(answer_of(peer, 0).status, 100);
    rig_feed(peer, "ab");
    rig_run(&rig, 1);
    assert_int_equal(answer_count(peer), 2);
    assert_int_equal(answer_of(peer, 1).status, 201);
    rig_close(&rig);
}

static void test_head_of_a_stream_leaves_no_subscription(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, "HEAD /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer;
    size_t length;
    const char *sent = simulated_sent(peer, &length);
    assert_true(answer_read(sent, length, true, &answer));
    assert_int_equal(answer.size, length);
    assert_int_equal(answer.status, 200);
    assert_true(simulated_saw_finish(peer));
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.streams), 0);
    rig_close(&rig);
}

/* A stream behind answers that are still on their way comes after them. */
static void test_a_stream_begins_behind_the_answers_before_it(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_publish_numbers(&rig, "s", 1, 3, 1);
    struct simulated_peer *peer = rig_connect(&rig);
    simulated_set_window(peer, 50);
    rig_feed(peer, GET_HEALTH);
    rig_run(&rig, 1);
    rig_feed(peer, GET_HEALTH SUBSCRIBE);
    rig_run(&rig, 1);
    rig_publish_numbers(&rig, "s", 4, 5, 1);
    rig_run(&rig, 1);
    simulated_set_window(peer, SIZE_MAX);
    rig_run(&rig, 1);
    assert_int_equal(answer_of(peer, 0).status, 200);
    assert_int_equal(answer_of(peer, 1).status, 200);
    struct stream_text text;
    assert_true(stream_text_read(peer, 2, &text));
    assert_int_equal(count_frames(&text, DECODED_EVENT), 5);
    stream_text_free(&text);
    rig_close(&rig);
}

/* Those over the limit are told; far over it they are cut, so that a flood does not take what the limit keeps free.
 * Those who are there go on, and a place that gets free is used. */
static void test_connections_are_limited(void **state) {
    (void)state;
    enum { LIMIT = 4, FLOOD = 200 };
    struct rig rig;
    struct rig_options options = {.server = {.max_connections = LIMIT}};
    struct simulated_peer *streams[LIMIT], *flood[FLOOD];
    rig_open(&rig, &options);
    for (int i = 0; i < LIMIT; i++)
        streams[i] = rig_ask(&rig, SUBSCRIBE);
    for (int i = 0; i < FLOOD; i++)
        flood[i] = rig_connect(&rig);
    rig_run(&rig, 10);
    unsigned answered = 0;
    for (int i = 0; i < FLOOD; i++) {
        unsigned count = answer_count(flood[i]);
        if (count > 0) assert_int_equal(answer_of(flood[i], 0).status, 503);
        answered += count;
    }
    assert_true(answered >= 1 && answered <= 64);
    assert_true(u32_load_relaxed(&rig.shared.connections) <= LIMIT + 64);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.over_limit), FLOOD);
    rig_publish_numbers(&rig, "s", 1, 1, 1);
    rig_run(&rig, 3000); /* longer than anybody lingers */
    for (int i = 0; i < FLOOD; i++)
        assert_true(simulated_was_closed(flood[i]));
    for (int i = 0; i < LIMIT; i++)
        expect_numbers(streams[i], 1, 1);
    simulated_finish(streams[0]);
    rig_run(&rig, 1);
    assert_int_equal(answer_of(rig_ask(&rig, GET_HEALTH), 0).status, 200);
    rig_close(&rig);
}

static void test_admin_routes_are_only_on_their_listener(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.admin = true, .server = {.token = "0123456789abcdef"}};
    rig_open(&rig, &options);
    struct answer answer = answer_of(rig_ask(&rig, PUT_S), 0);
    assert_int_equal(answer.status, 405);
    assert_true(answer_has(&answer, "Allow: GET, HEAD"));
    assert_int_equal(answer_of(rig_ask(&rig, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), 0).status, 404);
    struct simulated_peer *admin = simulated_connect(rig.backend, rig.admin_listener);
    rig_feed(admin, PUT_S "PUT /sessions/s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n");
    rig_run(&rig, 1);
    assert_int_equal(answer_of(admin, 0).status, 401);
    assert_int_equal(answer_of(admin, 1).status, 201);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_may_be_split_anywhere),
        cmocka_unit_test(test_requests_may_come_byte_by_byte),
        cmocka_unit_test(test_pipelined_requests_wait_for_a_slow_reader),
        cmocka_unit_test(test_a_peer_that_has_finished_gets_its_answers),
        cmocka_unit_test(test_a_peer_that_finishes_in_a_request_is_gone),
        cmocka_unit_test(test_bytes_behind_a_subscription_are_thrown_away),
        cmocka_unit_test(test_a_subscriber_that_keeps_sending_is_cut),
        cmocka_unit_test(test_a_refused_body_does_not_destroy_the_refusal),
        cmocka_unit_test(test_a_refused_body_without_end_is_cut),
        cmocka_unit_test(test_one_100_continue_comes_before_the_answer),
        cmocka_unit_test(test_head_of_a_stream_leaves_no_subscription),
        cmocka_unit_test(test_a_stream_begins_behind_the_answers_before_it),
        cmocka_unit_test(test_connections_are_limited),
        cmocka_unit_test(test_admin_routes_are_only_on_their_listener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
