/* Each route's answers: what it does, what it refuses and how it says so. One request, one answer, all on the
 * simulated backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "reader.h"
#include "rig.h"

/* ---- One request, one answer -------------------------------------------------------------------------------------- */

static struct answer ask(struct rig *rig, const char *start, const char *headers, const char *body) {
    char request[4096];
    size_t length = strlen(body);
    int size = snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: x\r\n%s", start, headers);
    if (length > 0)
        size += snprintf(request + size, sizeof(request) - (size_t)size, "Content-Length: %zu\r\n", length);
    size += snprintf(request + size, sizeof(request) - (size_t)size, "\r\n%s", body);
    assert_in_range(size, 1, sizeof(request) - 1);
    return answer_of(rig_ask(rig, request), 0);
}

static bool body_has(const struct answer *answer, const char *text) {
    return memmem(answer->body, answer->body_length, text, strlen(text)) != NULL;
}

struct route_case {
    const char *start, *headers, *body;
    unsigned status;
    const char *says; /* in the body; NULL: whatever */
};

static void check_case(struct rig *rig, const struct route_case *one) {
    struct answer answer = ask(rig, one->start, one->headers, one->body);
    if (answer.status != one->status)
        fail_msg("%s: %u instead of %u: %.*s", one->start, answer.status, one->status, (int)answer.body_length,
                 answer.body);
    if (one->says != NULL && !body_has(&answer, one->says))
        fail_msg("%s: no %s in %.*s", one->start, one->says, (int)answer.body_length, answer.body);
    if (answer.status < 400) return;
    /* Every refusal is JSON with a code and a sentence. */
    json_t *json = json_loadb(answer.body, answer.body_length, JSON_REJECT_DUPLICATES, NULL);
    const json_t *error = json_object_get(json, "error");
    assert_true(json_is_string(json_object_get(error, "code")));
    assert_true(json_is_string(json_object_get(error, "message")));
    json_decref(json);
}

static void check_all(const struct rig_options *options, const struct route_case *cases, size_t count) {
    struct rig rig;
    rig_open(&rig, options);
    for (size_t i = 0; i < count; i++)
        check_case(&rig, &cases[i]);
    rig_close(&rig);
}

#define CHECK_ALL(options, cases) check_all(options, cases, sizeof(cases) / sizeof((cases)[0]))
#define NDJSON                    "Content-Type: application/x-ndjson\r\n"

static void test_sessions_are_made_seen_and_ended(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"GET /sessions/s", "", "", 404, "session_not_found"},
        {"DELETE /sessions/s", "", "", 404, "session_not_found"},
        {"PUT /sessions/s", "", "", 201, "\"newest\":null"},
        {"PUT /sessions/s", "", "", 200, "\"name\":\"s\""},
        {"GET /sessions/s", "", "", 200, "\"published\":0"},
        {"POST /sessions/s/events", "", "x", 201, "\"id\":\""},
        {"GET /sessions/s", "", "", 200, "\"published\":1"},
        {"DELETE /sessions/s", "", "", 204, NULL},
        {"GET /sessions/s", "", "", 404, "session_not_found"},
        {"PUT /sessions/%73", "", "", 201, "\"name\":\"s\""},
        {"PUT /sessions/a%20b", "", "", 400, "invalid_name"},
        {"PUT /sessions/%2e%2e%2f", "", "", 400, "invalid_name"},
        {"PUT /sessions/a%00", "", "", 400, NULL},
        {"PUT /sessions/aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaa", "", "", 201, NULL},
        {"PUT /sessions/aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaa", "", "", 400,
         "invalid_name"},
        {"GET /sessions/", "", "", 404, "not_found"},
        {"GET /sessions//events", "", "", 404, "not_found"},
        {"GET /sessions/s/t", "", "", 404, "not_found"},
        {"GET /nowhere", "", "", 404, "not_found"},
        {"POST /sessions/s", "", "", 405, "method_not_allowed"},
        {"PATCH /sessions/s", "", "", 405, "method_not_allowed"},
    };
    CHECK_ALL(NULL, cases);
}

static void test_events_are_published_whole_or_not_at_all(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"POST /sessions/s/events", "", "", 201, "\"id\":\""}, /* an empty event is one */
        {"POST /sessions/s/events", "", "caf\xC3\xA9", 201, "\"id\":\""},
        {"POST /sessions/s/events", "", "ab\xFF", 400, "\"offset\":2"},
        {"POST /sessions/s/events", NDJSON, "1\n\n{\"a\":2}\r\n\"x\"", 201, "\"count\":3"},
        {"POST /sessions/s/events", NDJSON, "\n \n", 201, "\"count\":0"},
        {"POST /sessions/s/events", NDJSON, "1\n2\nthree\n4", 400, "\"line\":3"},
        {"POST /sessions/s/events", NDJSON, "1\n\"\xC3\"", 400, "\"line\":2"},
        {"POST /sessions/s/events?split=lines", "", "a\n\nb", 201, "\"count\":3"},
        {"POST /sessions/s/events?split=words", "", "a", 400, "invalid_split"},
        {"POST /sessions/s/events?event=tick", "", "a", 201, NULL},
        {"POST /sessions/s/events?event=message", "", "a", 201, NULL},
        {"POST /sessions/s/events?event=gap", "", "a", 400, "reserved_event"},
        {"POST /sessions/s/events?event=en%64", "", "a", 400, "reserved_event"},
        {"POST /sessions/s/events?event=a%0Ab", "", "a", 400, NULL}, /* S01 */
        {"POST /sessions/s/events?event=", "", "a", 400, "invalid_event"},
        {"POST /sessions/s/events?event=%FF", "", "a", 400, "invalid_event"},
        {"POST /sessions/s/events", "", "0123456789012345678901234567890123456789", 413, "\"limit\":32"},
        {"POST /sessions/s/events", NDJSON, "1\n\"0123456789012345678901234567890123456789\"", 413, "\"line\":2"},
        {"GET /sessions/s", "", "", 200, "\"published\":10"},
    };
    const struct rig_options options = {.engine = {.max_event_bytes = 32}};
    CHECK_ALL(&options, cases);
}

static void test_a_stream_is_refused_before_it_begins(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"GET /sessions/s/events", "Accept: image/png\r\n", "", 406, "not_acceptable"},
        {"GET /sessions/s/events", "Last-Event-ID: a\r\nLast-Event-ID: b\r\n", "", 400, "repeated_last_event_id"},
        {"GET /sessions/s/events?from=then", "", "", 400, "invalid_from"},
        {"GET /sessions/s%20t/events", "", "", 400, "invalid_name"},
        {"GET /sessions/s/events", "", "", 404, "session_not_found"},
        {"PUT /sessions/s", "", "", 201, NULL},
        {"GET /sessions/s/events", "", "", 200, NULL},
        {"GET /sessions/s/events", "", "", 503, "subscribers_limit"},
        {"GET /health", "", "", 200, "ok"},
        {"GET /ready", "", "", 200, "ready"},
        {"POST /sessions/t/events", "", "x", 404, "session_not_found"},
    };
    const struct rig_options options = {.engine = {.max_subscribers = 1}, .server = {.strict_sessions = 1}};
    CHECK_ALL(&options, cases);
}

static void test_limits_of_the_engine_have_answers_of_their_own(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"PUT /sessions/a", "", "", 201, NULL},
        {"PUT /sessions/b", "", "", 201, NULL},
        {"PUT /sessions/c", "", "", 503, "sessions_limit"},
        {"GET /sessions/c/events", "", "", 503, "sessions_limit"},
        {"POST /sessions/c/events", "", "x", 503, "sessions_limit"},
        {"POST /sessions/a/events?event=one", "", "x", 201, NULL},
        {"POST /sessions/a/events?event=two", "", "x", 507, "kinds_limit"},
        {"POST /sessions/a/events?event=one", "", "x", 201, NULL},
        {"DELETE /sessions/b", "", "", 204, NULL},
        {"PUT /sessions/c", "", "", 201, NULL},
    };
    const struct rig_options options = {.engine = {.max_sessions = 2, .max_kinds = 1}};
    CHECK_ALL(&options, cases);
}

/* A page of another site can make a browser send these. */
static void test_foreign_pages_may_not_change_anything(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"POST /sessions/s/events", "Origin: http://x\r\n", "a", 201, NULL},
        {"POST /sessions/s/events", "Origin: https://X\r\n", "a", 201, NULL},
        {"POST /sessions/s/events", "Origin: http://evil\r\n", "a", 403, "foreign_origin"},
        {"POST /sessions/s/events", "Origin: null\r\n", "a", 403, "foreign_origin"},
        {"POST /sessions/s/events", "Origin: http:/\r\n", "a", 403, "foreign_origin"},
        {"POST /sessions/s/events", "Origin: http://x.evil\r\n", "a", 403, "foreign_origin"},
        {"POST /sessions/s/events", "Origin: http://x:8080\r\n", "a", 403, "foreign_origin"},
        {"PUT /sessions/s", "Origin: http://evil\r\n", "", 403, "foreign_origin"},
        {"DELETE /sessions/s", "Origin: http://evil\r\n", "", 403, "foreign_origin"},
        {"GET /metrics", "Origin: http://evil\r\n", "", 403, "foreign_origin"},
        {"GET /sessions/s", "Origin: http://evil\r\n", "", 200, "\"published\":2"},
    };
    CHECK_ALL(NULL, cases);
}

static void test_the_token_is_wanted_as_a_whole(void **state) {
    (void)state;
    static const struct route_case cases[] = {
        {"PUT /sessions/s", "", "", 401, "token_required"},
        {"PUT /sessions/s", "Authorization: Bearer 0123456789abcde\r\n", "", 401, "token_required"},
        {"PUT /sessions/s", "Authorization: Bearer 0123456789abcdefg\r\n", "", 401, "token_required"},
        {"PUT /sessions/s", "Authorization: Bearer 0123456789abcdeF\r\n", "", 401, "token_required"},
        {"PUT /sessions/s", "Authorization: Basic  0123456789abcdef\r\n", "", 401, "token_required"},
        {"PUT /sessions/s", "Authorization: bearer 0123456789abcdef\r\n", "", 201, NULL},
        {"POST /sessions/s/events", "", "x", 401, "token_required"},
        {"GET /metrics", "", "", 401, "token_required"},
        {"GET /sessions/s", "", "", 200, NULL},
    };
    const struct rig_options options = {.server = {.token = "0123456789abcdef"}};
    CHECK_ALL(&options, cases);
}

static void test_a_publish_is_answered_with_its_id(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct answer answer = ask(&rig, "POST /sessions/s/events", "", "x");
    assert_int_equal(answer.status, 201);
    assert_true(answer.body_length > 12);
    assert_memory_equal(answer.body, "{\"id\":\"", 7);
    assert_memory_equal(answer.body + answer.body_length - 5, ".1\"}\n", 5);
    rig_close(&rig);
}

static void test_a_wrong_method_is_told_the_right_ones(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct answer answer = ask(&rig, "OPTIONS /sessions/s/events", "", "");
    assert_int_equal(answer.status, 405);
    assert_true(answer_has(&answer, "Allow: GET, HEAD, POST"));
    answer = ask(&rig, "PATCH /sessions/s", "", "x");
    assert_true(answer_has(&answer, "Allow: GET, HEAD, PUT, DELETE"));
    assert_true(answer_has(&answer, "Connection: close")); /* its body was not taken */
    rig_close(&rig);
}

/* ---- What is not one request and one answer ------------------------------------------------------------------------ */

static void test_an_id_may_come_as_a_parameter(void **state) {
    (void)state;
    struct rig rig;
    char id[WEIR_ID_MAX + 1], request[256];
    weir_session_info info;
    rig_open(&rig, NULL);
    rig_publish_numbers(&rig, "s", 1, 5, 1);
    weir_session_info_get(rig_session(&rig, "s"), &info);
    id[weir_id_format(info.epoch, 3, id)] = '\0';
    snprintf(request, sizeof(request), "GET /sessions/s/events?last_event_id=%s HTTP/1.1\r\nHost: x\r\n\r\n", id);
    expect_numbers(rig_ask(&rig, request), 4, 5);
    snprintf(request, sizeof(request), "GET /sessions/s/events?last_event_id= HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_numbers(rig_ask(&rig, request), 1, 5);
    rig_close(&rig);
}

static void test_a_stream_is_not_begun_while_draining(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, "GET /sessions/s/events HTTP/1.1\r\n");
    rig_ask(&rig, "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"); /* so that the drain takes its time */
    reactors_control(&rig.shared, CONTROL_DRAIN);
    rig_run(&rig, 1);
    rig_feed(peer, "Host: x\r\n\r\n");
    rig_run(&rig, 1);
    assert_int_equal(answer_of(peer, 0).status, 503);
    rig_close(&rig);
}

static void test_metrics_are_one_line_each_and_true(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_publish_numbers(&rig, "s", 1, 7, 1);
    rig_ask(&rig, "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n");
    rig_ask(&rig, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer answer = ask(&rig, "GET /metrics", "", "");
    static const char *const lines[] = {
        "\nweir_connections 3\n",      "\nweir_streams 1\n",        "\nweir_published_total 7\n",
        "\nweir_deliveries_total 7\n", "\nweir_requests_total 3\n", "\nweir_requests_refused_total 1\n",
        "\nweir_subscribers 1\n",      "\nweir_sessions 1\n",       "\nweir_gap_frames_total 0\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!body_has(&answer, lines[i])) fail_msg("no %s in %.*s", lines[i], (int)answer.body_length, answer.body);
    rig_close(&rig);
}

/* ---- The log ------------------------------------------------------------------------------------------------------ */

static unsigned log_lines;
static char log_last[300];

static void count_line(void *context, weir_log_level level, const char *text) {
    (void)context, (void)level;
    log_lines++;
    snprintf(log_last, sizeof(log_last), "%s", text);
}

/* R11: a storm of refused connections makes few lines, and then one that says how many were left out. */
static void test_a_storm_does_not_fill_the_log(void **state) {
    (void)state;
    struct rig rig;
    const struct rig_options options = {.engine = {.log = {count_line, NULL}}, .server = {.max_connections = 1}};
    log_lines = 0;
    rig_open(&rig, &options);
    rig_ask(&rig, "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int i = 0; i < 500; i++)
        rig_connect(&rig);
    rig_run(&rig, 10);
    assert_in_range(log_lines, 1, 20);
    assert_non_null(strstr(log_last, "max_connections"));
    rig_run(&rig, 5000);
    unsigned before = log_lines;
    rig_connect(&rig);
    rig_run(&rig, 10);
    assert_int_equal(log_lines, before + 2);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sessions_are_made_seen_and_ended),
        cmocka_unit_test(test_events_are_published_whole_or_not_at_all),
        cmocka_unit_test(test_a_stream_is_refused_before_it_begins),
        cmocka_unit_test(test_limits_of_the_engine_have_answers_of_their_own),
        cmocka_unit_test(test_foreign_pages_may_not_change_anything),
        cmocka_unit_test(test_the_token_is_wanted_as_a_whole),
        cmocka_unit_test(test_a_publish_is_answered_with_its_id),
        cmocka_unit_test(test_a_wrong_method_is_told_the_right_ones),
        cmocka_unit_test(test_an_id_may_come_as_a_parameter),
        cmocka_unit_test(test_a_stream_is_not_begun_while_draining),
        cmocka_unit_test(test_metrics_are_one_line_each_and_true),
        cmocka_unit_test(test_a_storm_does_not_fill_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
