/* weir tail against a server that cuts, ends, refuses or goes silent: every event is printed exactly once, what is
 * lost is told, and the exit code says how it ended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command_peer.h"

static struct peer peer;
static struct peer_result result;

static const char stream_head[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

static void start(const char *const *extra) {
    peer_open(&peer, false);
    peer_run(&peer, "tail", "", 0, extra);
}

static void finish(void) {
    peer_finish(&peer, &result);
    peer_close(&peer);
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_says(const char *words) {
    if (strstr(result.errors, words) == NULL) {
        fail_msg("standard error lacks \"%s\":\n%s", words, result.errors);
    }
}

static void begin_stream(void) {
    peer_send(&peer, stream_head, sizeof stream_head - 1);
}

/* One piece of the body as one chunk. */
static void send_chunk(const char *bytes, size_t length) {
    char chunk[4096];
    if (length == 0) return;
    int size = snprintf(chunk, sizeof chunk, "%zx\r\n%.*s\r\n", length, (int)length, bytes);
    peer_send(&peer, chunk, (size_t)size);
}

static void send_text(const char *text) {
    send_chunk(text, strlen(text));
}

static void it_prints_data_and_ends_with_the_session(void **unused) {
    (void)unused;
    start(NULL);
    peer_take(&peer, true);
    assert_true(peer_has(&peer, "GET /sessions/s/events HTTP/1.1"));
    assert_true(peer_has(&peer, "Accept: text/event-stream"));
    assert_null(strstr(peer.request.head, "Last-Event-ID"));
    begin_stream();
    send_text(": hello\n\nid: e.1\ndata: one\ndata: more of it\n\nid: e.2\nevent: end\ndata: published\n\n");
    send_text("event: end\ndata: {\"reason\":\"terminated\"}\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "one\nmore of it\npublished\n");
    assert_says("the session has ended: terminated");
}

static void json_output_is_one_object_per_line_whatever_the_bytes(void **unused) {
    (void)unused;
    start(OPTIONS("--json"));
    peer_take(&peer, true);
    begin_stream();
    send_text("id: e.1\nevent: k\"\ndata: a\"b\\c\td\ndata: e\n\nid: e.2\ndata: \xC3\xA9 \xFF \xE2\x80\xA8\n\n");
    send_text("event: gap\ndata: {\"first\":3,\"last\":9,\"lost\":7,\"reason\":\"slow\",\"epoch\":\"e\"}\n\n");
    send_text("event: end\ndata: {\"reason\":\"expired\"}\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output,
                        "{\"id\":\"e.1\",\"event\":\"k\\\"\",\"data\":\"a\\\"b\\\\c\\td\\ne\"}\n"
                        "{\"id\":\"e.2\",\"data\":\"\xC3\xA9 \xEF\xBF\xBD \\u2028\"}\n"
                        "{\"gap\":{\"first\":3,\"last\":9,\"lost\":7,\"reason\":\"slow\",\"epoch\":\"e\"}}\n"
                        "{\"end\":{\"reason\":\"expired\"}}\n");
    assert_says("gap: events 3 to 9; 7 lost; reason slow");
}

/* The cursor after the first `length` bytes of the stream below: an event counts from the end of its blank line. */
static unsigned events_before(const char *stream, size_t length) {
    unsigned events = 0;
    for (size_t i = 1; i < length; i++) {
        if (stream[i] == '\n' && stream[i - 1] == '\n') events++;
    }
    return events;
}

static void a_stream_cut_at_any_byte_is_resumed_with_nothing_lost_or_repeated_N08(void **unused) {
    (void)unused;
    static const char stream[] = "id: e.1\ndata: one\n\nid: e.2\ndata: two\n\nid: e.3\nretry: 1\ndata: three\n\n";
    static const char *const rest[] = {stream, stream + 19, stream + 38, ""};
    for (size_t cut = 0; cut < sizeof stream; cut++) {
        start(OPTIONS("--last-id=e.0"));
        peer_take(&peer, true);
        assert_true(peer_has(&peer, "Last-Event-ID: e.0"));
        begin_stream();
        send_text("retry: 1\n");
        send_chunk(stream, cut);
        peer_hang_up(&peer);

        unsigned seen = events_before(stream, cut);
        char expected[64];
        snprintf(expected, sizeof expected, "Last-Event-ID: e.%u", seen);
        peer_take(&peer, true);
        assert_true(peer_has(&peer, expected));
        begin_stream();
        send_text(rest[seen]);
        send_text("event: end\ndata: {\"reason\":\"terminated\"}\n\n");
        finish();
        assert_int_equal(result.code, 0);
        assert_string_equal(result.output, "one\ntwo\nthree\n");
    }
}

static void a_stream_that_the_server_ends_without_a_word_is_resumed(void **unused) {
    (void)unused;
    start(NULL);
    peer_take(&peer, true);
    begin_stream();
    send_text("retry: 1\n\nid: e.1\ndata: one\n\n");
    peer_send(&peer, "0\r\n\r\n", 5);
    peer_hang_up(&peer);
    peer_take(&peer, true);
    assert_true(peer_has(&peer, "Last-Event-ID: e.1"));
    begin_stream();
    send_text(
        "event: gap\ndata: {\"first\":null,\"last\":null,\"lost\":null,\"reason\":\"epoch\",\"epoch\":\"f\"}\n\n"
        "id: f.1\ndata: anew\n\nevent: end\ndata: {\"reason\":\"terminated\"}\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "one\nanew\n");
    assert_says("cut: the server ended the stream");
    assert_says("resumed after e.1");
    assert_says("reason epoch");
    assert_says("now epoch f");
    assert_true(strstr(result.errors, "resumed after") < strstr(result.errors, "gap:"));
}

static void from_now_is_an_exact_place_that_a_cut_does_not_move(void **unused) {
    (void)unused;
    start(OPTIONS("--from=now"));
    peer_take(&peer, true);
    assert_true(peer_has(&peer, "GET /sessions/s HTTP/1.1"));
    peer_answer(&peer, "200 OK", "{\"epoch\":\"e\",\"oldest\":\"e.1\",\"newest\":\"e.41\"}");
    for (int i = 0; i < 2; i++) {
        peer_take(&peer, true);
        assert_true(peer_has(&peer, "GET /sessions/s/events HTTP/1.1"));
        assert_true(peer_has(&peer, "Last-Event-ID: e.41"));
        begin_stream();
        if (i == 0) send_text("retry: 1\n\n");
        if (i == 0) peer_hang_up(&peer);
    }
    send_text("id: e.42\ndata: now\n\nevent: end\ndata: {\"reason\":\"terminated\"}\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "now\n");
}

static void from_now_of_a_session_without_events_is_its_first_event(void **unused) {
    (void)unused;
    static const char *const answers[][2] = {
        {"200 OK", "{\"epoch\":\"e\",\"oldest\":null,\"newest\":null}"},
        {"404 Not Found", "{\"error\":{\"code\":\"session_not_found\",\"message\":\"there is none\"}}"},
    };
    for (int i = 0; i < 2; i++) {
        start(OPTIONS("--from=now"));
        peer_take(&peer, true);
        peer_answer(&peer, answers[i][0], answers[i][1]);
        peer_take(&peer, true);
        assert_true(peer_has(&peer, "GET /sessions/s/events HTTP/1.1"));
        assert_null(strstr(peer.request.head, "Last-Event-ID"));
        begin_stream();
        send_text("id: e.1\ndata: first\n\nevent: end\ndata: {\"reason\":\"terminated\"}\n\n");
        finish();
        assert_int_equal(result.code, 0);
        assert_string_equal(result.output, "first\n");
    }
}

static void it_ends_after_as_many_events_as_were_asked_for(void **unused) {
    (void)unused;
    start(OPTIONS("--count", "2"));
    peer_take(&peer, true);
    begin_stream();
    send_text("id: e.1\ndata: one\n\nid: e.2\ndata: two\n\nid: e.3\ndata: three\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "one\ntwo\n");
}

static void a_silent_stream_counts_as_cut(void **unused) {
    (void)unused;
    start(OPTIONS("--silence=1"));
    peer_take(&peer, true);
    char whole[512]; /* in one send, because the silence counts from the first byte of the answer */
    int size = snprintf(whole, sizeof whole, "%s1d\r\nretry: 1\n\nid: e.1\ndata: one\n\n\r\n", stream_head);
    peer_send(&peer, whole, (size_t)size);
    peer_take(&peer, true);
    assert_true(peer_has(&peer, "Last-Event-ID: e.1"));
    peer_answer(&peer, "404 Not Found", "{\"error\":{\"code\":\"session_not_found\",\"message\":\"gone\"}}");
    finish();
    assert_int_equal(result.code, 4);
}

static void a_refusal_is_told_in_one_line_with_the_servers_words(void **unused) {
    (void)unused;
    static const struct {
        const char *status, *json, *line;
        int code;
    } cases[] = {
        {"404 Not Found", "{\"error\":{\"code\":\"session_not_found\",\"message\":\"there is none\"}}",
         "weir tail: 404 session_not_found: there is none\n", 4},
        {"401 Unauthorized",
         "{\"error\":{\"code\":\"unauthorized\",\"message\":\"a token\\u001b[31m\\n is needed\"}}",
         "weir tail: 401 unauthorized: a token [31m  is needed\n", 4},
        {"503 Service Unavailable", "{\"error\":{\"code\":\"draining\",\"message\":\"going away\"}}",
         "weir tail: 503 draining: going away\n", 1},
        {"502 Bad Gateway", "<html>", "weir tail: 502: <html>\n", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(NULL);
        peer_take(&peer, true);
        peer_answer(&peer, cases[i].status, cases[i].json);
        finish();
        assert_int_equal(result.code, cases[i].code);
        assert_string_equal(result.errors, cases[i].line);
        assert_string_equal(result.output, "");
    }
}

static void an_overloaded_server_is_asked_again_once_there_was_a_stream(void **unused) {
    (void)unused;
    start(NULL);
    peer_take(&peer, true);
    begin_stream();
    send_text("retry: 1\n\nid: e.1\ndata: one\n\n");
    peer_hang_up(&peer);
    for (int i = 0; i < 3; i++) {
        peer_take(&peer, true);
        assert_true(peer_has(&peer, "Last-Event-ID: e.1"));
        peer_answer(&peer, "503 Service Unavailable", "{\"error\":{\"code\":\"draining\",\"message\":\"later\"}}");
    }
    peer_take(&peer, true);
    begin_stream();
    send_text("id: e.2\ndata: two\n\nevent: end\ndata: {\"reason\":\"terminated\"}\n\n");
    finish();
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "one\ntwo\n");
}

static void an_answer_that_is_no_event_stream_is_refused(void **unused) {
    (void)unused;
    start(NULL);
    peer_take(&peer, true);
    peer_answer(&peer, "200 OK", "{}");
    finish();
    assert_int_equal(result.code, 4);
    assert_says("'application/json', which is no event stream");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_prints_data_and_ends_with_the_session),
        cmocka_unit_test(json_output_is_one_object_per_line_whatever_the_bytes),
        cmocka_unit_test(a_stream_cut_at_any_byte_is_resumed_with_nothing_lost_or_repeated_N08),
        cmocka_unit_test(a_stream_that_the_server_ends_without_a_word_is_resumed),
        cmocka_unit_test(from_now_is_an_exact_place_that_a_cut_does_not_move),
        cmocka_unit_test(from_now_of_a_session_without_events_is_its_first_event),
        cmocka_unit_test(it_ends_after_as_many_events_as_were_asked_for),
        cmocka_unit_test(a_silent_stream_counts_as_cut),
        cmocka_unit_test(a_refusal_is_told_in_one_line_with_the_servers_words),
        cmocka_unit_test(an_overloaded_server_is_asked_again_once_there_was_a_stream),
        cmocka_unit_test(an_answer_that_is_no_event_stream_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
