/* weir publish against a server that answers, refuses, hangs up or talks nonsense: every line must end up in the
 * one set that is true for it, and the exit code must say so. */
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

static void start(const char *input, const char *const *extra) {
    peer_open(&peer, false);
    peer_run(&peer, "publish", input, strlen(input), extra);
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

static void assert_silent_on(const char *words) {
    if (strstr(result.errors, words) != NULL) fail_msg("standard error has \"%s\":\n%s", words, result.errors);
}

static void lines_that_are_there_together_go_out_together_and_in_order(void **unused) {
    (void)unused;
    start("one\ntwo\r\nthree", OPTIONS("--event", "a b/c"));
    peer_take(&peer, true);
    assert_true(peer_has(&peer, "POST /sessions/s/events?split=lines&event=%61%20%62%2F%63 HTTP/1.1"));
    assert_true(peer_has(&peer, "Content-Type: text/plain; charset=utf-8"));
    assert_string_equal(peer.request.body, "one\ntwo\nthree\n");
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.3\",\"count\":3}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("3 lines accepted");
}

static void an_empty_line_is_an_event_like_others(void **unused) {
    (void)unused;
    start("\n\nthree\n\n", NULL);
    peer_take(&peer, true);
    assert_string_equal(peer.request.body, "\n\nthree\n\n");
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.4\",\"count\":4}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("4 lines accepted");
}

static void an_unanswered_request_stops_it_with_its_lines_named_unknown(void **unused) {
    (void)unused;
    start("1\n2\n3\n", NULL);
    peer_take(&peer, true);
    peer_hang_up(&peer);
    finish();
    assert_int_equal(result.code, 3);
    assert_says("0 lines accepted");
    assert_says("outcome unknown (3): 1-3");
    assert_silent_on("not accepted");
}

/* 216 short lines are one full request of 128 and one of 88. */
static void write_many(char *out, size_t capacity) {
    size_t used = 0;
    for (int i = 1; i <= 216; i++) {
        used += (size_t)snprintf(out + used, capacity - used, "%d\n", i);
    }
}

static void with_skip_it_goes_on_behind_the_lines_of_unknown_outcome(void **unused) {
    (void)unused;
    char input[4096];
    write_many(input, sizeof input);
    start(input, OPTIONS("--unknown=skip"));
    peer_take(&peer, true);
    assert_memory_equal(peer.request.body, "1\n2\n", 4);
    peer_hang_up(&peer);
    peer_take(&peer, true);
    assert_memory_equal(peer.request.body, "129\n130\n", 8);
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.88\",\"count\":88}");
    finish();
    assert_int_equal(result.code, 3);
    assert_says("88 lines accepted");
    assert_says("outcome unknown (128): 1-128");
}

static void without_skip_what_follows_them_is_named_not_sent(void **unused) {
    (void)unused;
    char input[4096];
    write_many(input, sizeof input);
    start(input, NULL);
    peer_take(&peer, true);
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.128\",\"count\":128}");
    peer_take(&peer, true);
    peer_hang_up(&peer);
    finish();
    assert_int_equal(result.code, 3);
    assert_says("128 lines accepted");
    assert_says("outcome unknown (88): 129-216");
    assert_silent_on("not sent");
}

static void with_resend_the_same_lines_are_sent_again_and_said_to_be_perhaps_double(void **unused) {
    (void)unused;
    start("1\n2\n3\n", OPTIONS("--unknown", "resend"));
    for (int i = 0; i < 2; i++) {
        peer_take(&peer, true);
        assert_string_equal(peer.request.body, "1\n2\n3\n");
        peer_hang_up(&peer);
    }
    peer_take(&peer, true);
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.3\",\"count\":3}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("3 lines accepted");
    assert_says("may be there twice (3): 1-3");
}

static void an_answer_cut_at_any_byte_is_no_answer(void **unused) {
    (void)unused;
    static const char answer[] = "HTTP/1.1 201 Created\r\nContent-Length: 11\r\n\r\n{\"count\":1}";
    size_t length = sizeof answer - 1;
    for (size_t cut = 0; cut <= length; cut++) {
        start("only\n", NULL);
        peer_take(&peer, true);
        peer_send(&peer, answer, cut);
        peer_hang_up(&peer);
        finish();
        assert_int_equal(result.code, cut == length ? 0 : 3);
        assert_says(cut == length ? "1 lines accepted" : "outcome unknown (1): 1");
    }
}

static void an_answer_that_is_not_http_or_counts_wrongly_leaves_the_outcome_unknown(void **unused) {
    (void)unused;
    start("1\n2\n", NULL);
    peer_take(&peer, true);
    peer_send(&peer, "SMTP ready\r\n\r\n", 14);
    finish();
    assert_int_equal(result.code, 3);
    assert_says("outcome unknown (2): 1-2");

    start("1\n2\n", NULL);
    peer_take(&peer, true);
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.1\",\"count\":1}");
    finish();
    assert_int_equal(result.code, 3);
    assert_says("outcome unknown (2): 1-2");
}

/* A megabyte does not fit into the buffers of a Unix socket, so the request cannot have been sent whole. */
static void a_request_cut_while_being_sent_is_sent_again_without_doubt(void **unused) {
    (void)unused;
    static char input[900 * 1024];
    memset(input, 'x', sizeof input);
    peer_open(&peer, true);
    peer_run(&peer, "publish", input, sizeof input, NULL);
    peer_take(&peer, false);
    peer_hang_up(&peer);
    peer_take(&peer, true);
    assert_int_equal(peer.request.body_length, sizeof input + 1);
    peer_answer(&peer, "201 Created", "{\"count\":1}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("1 lines accepted");
    assert_silent_on("twice");
    assert_silent_on("unknown");
}

static void a_refusal_that_comes_while_the_body_is_still_being_sent_is_heard_H23(void **unused) {
    (void)unused;
    static char input[900 * 1024];
    memset(input, 'x', sizeof input);
    peer_open(&peer, true);
    peer_run(&peer, "publish", input, sizeof input, NULL);
    peer_take(&peer, false);
    peer_answer(&peer, "413 Content Too Large", "{\"error\":{\"code\":\"too_large\",\"message\":\"far too much\"}}");
    peer_hang_up(&peer);
    finish();
    assert_int_equal(result.code, 4);
    assert_says("line 1: not accepted: 413 too_large: far too much");
}

static void an_overloaded_server_is_asked_again_and_nothing_is_doubted(void **unused) {
    (void)unused;
    start("1\n2\n", NULL);
    for (int i = 0; i < 2; i++) {
        peer_take(&peer, true);
        peer_answer(&peer, "503 Service Unavailable", "{\"error\":{\"code\":\"overloaded\",\"message\":\"later\"}}");
    }
    peer_take(&peer, true);
    assert_string_equal(peer.request.body, "1\n2\n");
    peer_answer(&peer, "201 Created", "{\"first\":\"e.1\",\"last\":\"e.2\",\"count\":2}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("503 overloaded: later");
    assert_says("2 lines accepted");
}

static void lines_that_an_overloaded_server_took_are_not_sent_again(void **unused) {
    (void)unused;
    start("1\n2\n3\n", NULL);
    peer_take(&peer, true);
    peer_answer(&peer, "503 Service Unavailable",
                "{\"error\":{\"code\":\"partly_accepted\",\"message\":\"no room\",\"accepted\":2}}");
    peer_take(&peer, true);
    assert_string_equal(peer.request.body, "3\n");
    peer_answer(&peer, "201 Created", "{\"first\":\"e.3\",\"last\":\"e.3\",\"count\":1}");
    finish();
    assert_int_equal(result.code, 0);
    assert_says("3 lines accepted");
}

static void a_request_refused_for_no_line_in_it_is_not_tried_line_by_line(void **unused) {
    (void)unused;
    start("1\n2\n3\n", OPTIONS("--event=end"));
    peer_take(&peer, true);
    peer_answer(&peer, "400 Bad Request", "{\"error\":{\"code\":\"reserved_event\",\"message\":\"not yours\"}}");
    finish();
    assert_int_equal(result.code, 4);
    assert_says("400 reserved_event: not yours");
    assert_says("not sent: line 1 and all after it");
}

static void it_gives_up_after_the_time_for_it_and_names_what_was_not_sent(void **unused) {
    (void)unused;
    start("1\n2\n", OPTIONS("--give-up=1"));
    /* The first failure starts the clock and waits far longer than 1 ms, so the second one is the last. */
    peer_take(&peer, true);
    peer_answer(&peer, "503 Service Unavailable", "{\"error\":{\"code\":\"overloaded\",\"message\":\"later\"}}");
    peer_take(&peer, true);
    peer_answer(&peer, "503 Service Unavailable", "{\"error\":{\"code\":\"overloaded\",\"message\":\"later\"}}");
    finish();
    assert_int_equal(result.code, 1);
    assert_says("giving up: 503 overloaded: later");
    assert_says("not sent: line 1 and all after it");
}

/* Plays a server that takes a request unless a line of it begins with '!'. Returns the requests it saw. */
static int refuse_marked_lines(bool tell_line) {
    int requests = 0;
    size_t accepted = 0;
    while (accepted < 8) {
        char json[128];
        peer_take(&peer, true);
        requests++;
        const char *body = peer.request.body;
        const char *bad = body[0] == '!' ? body : strstr(body, "\n!");
        size_t lines = 0, line = 1;
        for (const char *byte = body; *byte != '\0'; byte++) {
            lines += *byte == '\n';
            line += bad != NULL && byte <= bad && *byte == '\n';
        }
        if (bad == NULL) {
            accepted += lines;
            snprintf(json, sizeof json, "{\"first\":\"e.1\",\"last\":\"e.2\",\"count\":%zu}", lines);
        } else if (tell_line) {
            snprintf(json, sizeof json, "{\"error\":{\"code\":\"bad\",\"message\":\"marked\",\"line\":%zu}}", line);
        } else {
            snprintf(json, sizeof json, "{\"error\":{\"code\":\"bad\",\"message\":\"marked\"}}");
        }
        const char *refusal = tell_line ? "400 Bad Request" : "413 Content Too Large";
        peer_answer(&peer, bad == NULL ? "201 Created" : refusal, json);
    }
    return requests;
}

static void exactly_the_bad_lines_are_not_accepted_whether_the_server_names_them_or_not(void **unused) {
    (void)unused;
    for (int tell = 0; tell < 2; tell++) {
        start("1\n!2\n3\n4\n5\n!6\n!7\n8\n9\n10\n11\n", NULL);
        int requests = refuse_marked_lines(tell != 0);
        finish();
        assert_true(requests < (tell != 0 ? 12 : 30));
        assert_int_equal(result.code, 4);
        assert_says("8 lines accepted");
        assert_says(tell != 0 ? "line 2: not accepted: 400 bad: marked" : "line 2: not accepted: 413 bad: marked");
        assert_says("not accepted (3): 2, 6-7");
        assert_silent_on("not sent");
    }
}

static void a_line_over_the_limit_is_named_and_the_others_are_sent(void **unused) {
    (void)unused;
    start("1\n123456789\n3\n", OPTIONS("--max-line=8"));
    peer_take(&peer, true);
    assert_string_equal(peer.request.body, "1\n");
    peer_answer(&peer, "201 Created", "{\"count\":1}");
    peer_take(&peer, true);
    assert_string_equal(peer.request.body, "3\n");
    peer_answer(&peer, "201 Created", "{\"count\":1}");
    finish();
    assert_int_equal(result.code, 4);
    assert_says("line 2: not accepted: it is longer than --max-line (8 bytes)");
    assert_says("2 lines accepted");
}

static void a_refusal_of_the_whole_stops_it_and_names_the_first_line_not_sent(void **unused) {
    (void)unused;
    start("1\n2\n", NULL);
    peer_take(&peer, true);
    peer_answer(&peer, "401 Unauthorized",
                "{\"error\":{\"code\":\"unauthorized\",\"message\":\"a token is needed\"}}");
    finish();
    assert_int_equal(result.code, 4);
    assert_says("401 unauthorized: a token is needed");
    assert_says("not sent: line 1 and all after it");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_that_are_there_together_go_out_together_and_in_order),
        cmocka_unit_test(an_empty_line_is_an_event_like_others),
        cmocka_unit_test(an_unanswered_request_stops_it_with_its_lines_named_unknown),
        cmocka_unit_test(with_skip_it_goes_on_behind_the_lines_of_unknown_outcome),
        cmocka_unit_test(without_skip_what_follows_them_is_named_not_sent),
        cmocka_unit_test(with_resend_the_same_lines_are_sent_again_and_said_to_be_perhaps_double),
        cmocka_unit_test(an_answer_cut_at_any_byte_is_no_answer),
        cmocka_unit_test(an_answer_that_is_not_http_or_counts_wrongly_leaves_the_outcome_unknown),
        cmocka_unit_test(a_request_cut_while_being_sent_is_sent_again_without_doubt),
        cmocka_unit_test(a_refusal_that_comes_while_the_body_is_still_being_sent_is_heard_H23),
        cmocka_unit_test(an_overloaded_server_is_asked_again_and_nothing_is_doubted),
        cmocka_unit_test(lines_that_an_overloaded_server_took_are_not_sent_again),
        cmocka_unit_test(a_request_refused_for_no_line_in_it_is_not_tried_line_by_line),
        cmocka_unit_test(it_gives_up_after_the_time_for_it_and_names_what_was_not_sent),
        cmocka_unit_test(exactly_the_bad_lines_are_not_accepted_whether_the_server_names_them_or_not),
        cmocka_unit_test(a_line_over_the_limit_is_named_and_the_others_are_sent),
        cmocka_unit_test(a_refusal_of_the_whole_stops_it_and_names_the_first_line_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
