/* Every case of the table, cut in every way that two pieces or single bytes allow; every byte value in every place;
 * and the limits, each at its edge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above before its own. */
#include <cmocka.h>

#include "http_cases.h"
#include "http_transcript.h"

static const struct http_limits case_limits = {HTTP_CASE_HEAD_BYTES, HTTP_CASE_HEADER_COUNT, HTTP_CASE_BODY_BYTES};

static struct span case_bytes(const struct http_case *item) {
    return (struct span){item->bytes, item->length};
}

static void every_case_gets_what_it_must(void **state) {
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < http_case_count; i++) {
        struct transcript said = transcript_make(&case_limits, case_bytes(&http_cases[i]), UNCUT);
        if (!strchr(http_cases[i].expected, '@')) transcript_drop_offsets(&said);
        if (strcmp(said.text, http_cases[i].expected) != 0) {
            print_error("%s:\n  expected %s\n  said     %s\n", http_cases[i].title, http_cases[i].expected,
                        said.text);
            failed++;
        }
        free(said.text);
    }
    assert_int_equal(failed, 0);
    assert_true(http_case_count >= 200);
}

static void check_cut(const struct http_case *item, const char *whole, struct cuts cuts, const char *how,
                      size_t where) {
    struct transcript said = transcript_make(&case_limits, case_bytes(item), cuts);
    if (strcmp(said.text, whole) != 0)
        fail_msg("%s, %s %zu:\n  whole %s\n  cut   %s", item->title, how, where, whole, said.text);
    free(said.text);
}

static void cutting_changes_nothing_H31(void **state) {
    (void)state;
    for (size_t i = 0; i < http_case_count; i++) {
        const struct http_case *item = &http_cases[i];
        struct transcript whole = transcript_make(&case_limits, case_bytes(item), UNCUT);
        check_cut(item, whole.text, (struct cuts){.every = 1}, "in pieces of", 1);
        check_cut(item, whole.text, (struct cuts){.every = 3}, "in pieces of", 3);
        for (size_t at = 0; at <= item->length; at++)
            check_cut(item, whole.text, (struct cuts){.at = &at, .count = 1}, "cut at", at);
        free(whole.text);
    }
}

static void any_two_cases_behind_each_other_stay_apart(void **state) {
    (void)state;
    char bytes[4096];
    for (size_t i = 0; i < http_case_count; i++) {
        const struct http_case *first = &http_cases[i];
        size_t end = strlen(first->expected);
        if (end == 0 || first->expected[end - 1] != ';') continue; /* not complete: nothing can follow */
        for (size_t j = 0; j < http_case_count; j++) {
            const struct http_case *second = &http_cases[j];
            memcpy(bytes, first->bytes, first->length);
            memcpy(bytes + first->length, second->bytes, second->length);
            struct span both = {bytes, first->length + second->length};
            struct transcript said = transcript_make(&case_limits, both, UNCUT);
            if (!strchr(second->expected, '@')) transcript_drop_offsets(&said);
            assert_int_equal(strncmp(said.text, first->expected, end), 0);
            const char *rest = said.text + end + (said.text[end] == ' ');
            assert_string_equal(rest, second->expected);
            free(said.text);
        }
    }
}

/* ---- Every byte in every place ------------------------------------------------------------------------------ */

/* Puts the byte between two texts and tells whether the request was accepted. */
static bool accepts_byte(const char *before, unsigned byte, const char *after) {
    char bytes[256];
    size_t length = strlen(before);
    memcpy(bytes, before, length);
    bytes[length++] = (char)byte;
    memcpy(bytes + length, after, strlen(after));
    length += strlen(after);
    struct transcript said = transcript_make(&case_limits, (struct span){bytes, length}, UNCUT);
    bool accepted = said.length > 0 && said.text[said.length - 1] == ';';
    free(said.text);
    return accepted;
}

static bool is_alphanumeric(unsigned byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

static bool is_one_of(unsigned byte, const char *set) {
    return byte != 0 && byte < 0x80 && strchr(set, (int)byte) != NULL;
}

static bool is_token(unsigned byte) {
    return is_alphanumeric(byte) || is_one_of(byte, "!#$%&'*+-.^_`|~");
}

static void every_byte_in_a_target_H19(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool wanted = byte > 0x20 && byte < 0x7F && !is_one_of(byte, "#\\%");
        assert_int_equal(accepts_byte("GET /", byte, " HTTP/1.1\r\nHost: a\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET /x", byte, "y HTTP/1.1\r\nHost: a\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET /x?", byte, "y HTTP/1.1\r\nHost: a\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET ", byte, " HTTP/1.1\r\nHost: a\r\n\r\n"), byte == '/');
    }
}

static void every_byte_in_a_header_name_H13(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\n", byte, ": v\r\n\r\n"), is_token(byte));
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\nX", byte, "Y: v\r\n\r\n"),
                         is_token(byte) || byte == ':');
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\nX", byte, ": v\r\n\r\n"),
                         is_token(byte) || byte == ':');
    }
}

static void every_byte_in_a_header_value_H13(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool wanted = byte == '\t' || (byte >= 0x20 && byte != 0x7F);
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\nX:", byte, "\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\nX: a", byte, "b\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\nX: a", byte, "\r\n\r\n"), wanted);
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nX: a", byte, "\r\nHost: a\r\n\r\n"), wanted);
    }
}

static void every_byte_in_other_places(void **state) {
    (void)state;
    const char *chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    char before[128];
    for (unsigned byte = 0; byte < 256; byte++) {
        assert_false(accepts_byte("G", byte, "T / HTTP/1.1\r\nHost: a\r\n\r\n") != (byte == 'E'));
        assert_int_equal(accepts_byte("GET / HTTP/1.", byte, "\r\nHost: a\r\n\r\n"), byte == '0' || byte == '1');
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r", byte, "Host: a\r\n\r\n"), byte == '\n');
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a\r\n\r", byte, ""), byte == '\n');
        bool in_host = is_alphanumeric(byte) || is_one_of(byte, "-._~ \t:");
        assert_int_equal(accepts_byte("GET / HTTP/1.1\r\nHost: a", byte, "\r\n\r\n"), in_host);

        snprintf(before, sizeof(before), "%s1\r\nx", chunks);
        assert_int_equal(accepts_byte(before, byte, "\n0\r\n\r\n"), byte == '\r');
        snprintf(before, sizeof(before), "%s1", chunks);
        assert_int_equal(accepts_byte(before, byte, "\nx\r\n0\r\n\r\n"), byte == '\r');
        snprintf(before, sizeof(before), "%s1\r\nx\r\n0\r\n\r", chunks);
        assert_int_equal(accepts_byte(before, byte, ""), byte == '\n');
        snprintf(before, sizeof(before), "%s1\r\n", chunks);
        assert_true(accepts_byte(before, byte, "\r\n0\r\n\r\n"));
        assert_int_equal(accepts_byte(chunks, byte, "\r\nx\r\n0\r\n\r\n"), byte == '1');
    }
}

/* ---- Limits ------------------------------------------------------------------------------------------------- */

/* "before", then `count` times the filler, then "after". */
static struct transcript play_long(const struct http_limits *limits, const char *before, char filler, size_t count,
                                   const char *after, struct cuts cuts) {
    size_t length = strlen(before) + count + strlen(after);
    char *bytes = malloc(length + 1);
    assert_non_null(bytes);
    memcpy(bytes, before, strlen(before));
    memset(bytes + strlen(before), filler, count);
    memcpy(bytes + strlen(before) + count, after, strlen(after) + 1);
    struct transcript said = transcript_make(limits, (struct span){bytes, length}, cuts);
    free(bytes);
    return said;
}

static void assert_said(struct transcript said, const char *expected) {
    assert_string_equal(said.text, expected);
    free(said.text);
}

static void a_head_of_exactly_the_limit_passes_and_one_byte_more_does_not_H20(void **state) {
    (void)state;
    const char *before = "GET / HTTP/1.1\r\nHost: a\r\nX: ", *after = "\r\n\r\n";
    struct http_limits limits = {1000, 10, 10};
    size_t room = limits.head_bytes - strlen(before) - strlen(after);
    for (size_t every = 0; every <= 1; every++) {
        struct cuts cuts = {.every = every};
        assert_said(play_long(&limits, before, 'x', room, after, cuts), "GET / host=a;");
        assert_said(play_long(&limits, before, 'x', room + 1, after, cuts), "431 head_too_large@1000");
        assert_said(play_long(&limits, before, 'x', 1 << 20, after, cuts), "431 head_too_large@1000");
    }
}

static void empty_lines_before_a_request_do_not_count_towards_its_head(void **state) {
    (void)state;
    const char *before = "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nX: ", *after = "\r\n\r\n";
    struct http_limits limits = {1000, 10, 10};
    size_t room = limits.head_bytes - (strlen(before) - 4) - strlen(after);
    assert_said(play_long(&limits, before, 'x', room, after, UNCUT), "GET / host=a;");
    assert_said(play_long(&limits, before, 'x', room + 1, after, UNCUT), "431 head_too_large@1004");
}

static void a_target_over_the_limit_is_told_apart_H19(void **state) {
    (void)state;
    struct http_limits limits = {16384, 100, 10};
    for (size_t every = 0; every <= 1; every++) {
        struct cuts cuts = {.every = every};
        assert_said(play_long(&limits, "GET /", 'x', 65536, " HTTP/1.1\r\nHost: a\r\n\r\n", cuts),
                    "414 target_too_long@16384");
    }
    struct transcript said = play_long(&limits, "GET /", 'x', 16000, " HTTP/1.1\r\nHost: a\r\n\r\n", UNCUT);
    assert_int_equal(said.length, strlen("GET / host=a;") + 16000);
    free(said.text);
}

static void a_method_of_64_KB_is_refused_early_H18(void **state) {
    (void)state;
    struct http_limits limits = {16384, 100, 10};
    assert_said(play_long(&limits, "", 'A', 65536, " / HTTP/1.1\r\n", UNCUT), "400 bad_request_line@32");
}

static void ten_thousand_headers_are_refused_at_the_first_too_many_H20(void **state) {
    (void)state;
    struct http_limits limits = {1 << 20, 100, 10};
    char bytes[65536];
    size_t length = (size_t)snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 10000; i++)
        length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "a:\r\n");
    assert_said(transcript_make(&limits, (struct span){bytes, length}, UNCUT), "431 too_many_headers@421");
}

static void a_flood_of_chunk_extensions_is_refused_H10(void **state) {
    (void)state;
    struct http_limits limits = {1000, 10, 1 << 20};
    const char *before = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0;";
    char expected[128];
    assert_said(play_long(&limits, before, 'x', 1024, "\r\n\r\n", UNCUT), "POST / host=a chunked;");
    snprintf(expected, sizeof(expected), "POST / host=a chunked 400 chunk_extensions_too_long@%zu",
             strlen(before) + 1024);
    assert_said(play_long(&limits, before, 'x', 1025, "\r\n\r\n", UNCUT), expected);
    assert_said(play_long(&limits, before, 'x', 65536, "\r\n\r\n", (struct cuts){.every = 1}), expected);
}

static void extensions_of_many_chunks_count_together_H10(void **state) {
    (void)state;
    struct http_limits limits = {1000, 10, 1 << 20};
    char bytes[8192];
    size_t length =
        (size_t)snprintf(bytes, sizeof(bytes), "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 256; i++)
        length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "1;abcd\r\nx\r\n");
    size_t last = length;
    length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "1;a\r\nx\r\n");
    struct transcript said = transcript_make(&limits, (struct span){bytes, length}, UNCUT);
    char expected[64];
    snprintf(expected, sizeof(expected), "400 chunk_extensions_too_long@%zu", last + 2);
    assert_string_equal(strstr(said.text, "400"), expected);
    free(said.text);
}

static void a_flood_of_trailers_is_refused_H10(void **state) {
    (void)state;
    struct http_limits limits = {1000, 10, 1 << 20};
    const char *before = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ";
    char expected[128];
    size_t start = strlen(before) - strlen("X: ");
    snprintf(expected, sizeof(expected), "POST / host=a chunked 431 head_too_large@%zu", start + 1000);
    assert_said(play_long(&limits, before, 'x', 1000 - strlen("X: \r\n\r\n"), "\r\n\r\n", UNCUT),
                "POST / host=a chunked;");
    assert_said(play_long(&limits, before, 'x', 1001 - strlen("X: \r\n\r\n"), "\r\n\r\n", UNCUT), expected);
    assert_said(play_long(&limits, before, 'x', 65536, "\r\n\r\n", (struct cuts){.every = 7}), expected);
}

/* ---- Memory ------------------------------------------------------------------------------------------------- */

/* The linker sends the parser's allocations through here (--wrap). Volatile, because the compiler takes calloc() for
 * the one it knows, which changes no variable of ours. */
static volatile struct {
    unsigned fail_at; /* the n-th call from here on fails; 0: none does */
    size_t live;      /* blocks that are allocated now */
} memory;

void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void __real_free(void *block);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void __wrap_free(void *block);

static bool allocation_fails(void) {
    return memory.fail_at > 0 && --memory.fail_at == 0;
}

void *__wrap_calloc(size_t count, size_t size) {
    if (allocation_fails()) return NULL;
    void *block = __real_calloc(count, size);
    if (block) memory.live++;
    return block;
}

void *__wrap_realloc(void *block, size_t size) {
    if (allocation_fails()) return NULL;
    if (!block) memory.live++;
    return __real_realloc(block, size);
}

void __wrap_free(void *block) {
    if (block) memory.live--;
    __real_free(block);
}

static void no_memory_for_a_parser(void **state) {
    (void)state;
    memory.fail_at = 1;
    assert_null(http_parser_create(&case_limits));
    assert_int_equal(memory.fail_at, 0);
}

static void no_memory_for_a_head_is_a_problem_of_its_own(void **state) {
    (void)state;
    struct http_limits limits = {16384, 10, 10};
    static char bytes[8192];
    size_t length = (size_t)snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(bytes + length, 'x', 5000);
    length += 5000;
    length += (size_t)snprintf(bytes + length, sizeof(bytes) - length, "\r\n\r\n");
    for (unsigned nth = 1;; nth++) {
        struct http_parser *parser = http_parser_create(&limits);
        struct span body;
        size_t consumed, at = 0;
        enum http_step step = HTTP_MORE;
        memory.fail_at = nth;
        for (; step == HTTP_MORE && at < length; at += consumed)
            step = http_parser_feed(parser, bytes + at, length - at < 100 ? length - at : 100, &consumed, &body);
        bool failed = memory.fail_at == 0;
        memory.fail_at = 0;
        assert_int_equal(step, failed ? HTTP_BAD : HTTP_HEAD);
        if (failed) assert_int_equal(http_parser_problem(parser)->status, 503);
        http_parser_destroy(parser);
        if (!failed) {
            assert_int_equal(nth, 5); /* 1,024 bytes and three doublings were enough */
            break;
        }
    }
}

static void an_idle_parser_holds_one_block(void **state) {
    (void)state;
    struct span body;
    size_t before = memory.live, consumed;
    struct http_parser *parser = http_parser_create(&case_limits);
    assert_int_equal(http_parser_feed(parser, "\r\n", 2, &consumed, &body), HTTP_MORE);
    assert_int_equal(memory.live, before + 1);
    const char *request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int round = 0; round < 3; round++) {
        assert_int_equal(http_parser_feed(parser, request, strlen(request), &consumed, &body), HTTP_HEAD);
        assert_int_equal(memory.live, before + 2);
        assert_int_equal(http_parser_feed(parser, "", 0, &consumed, &body), HTTP_DONE);
        http_parser_reset(parser);
        assert_int_equal(memory.live, before + 1);
    }
    http_parser_destroy(parser);
    assert_int_equal(memory.live, before);
}

/* ---- Life of a parser --------------------------------------------------------------------------------------- */

static enum http_step feed_text(struct http_parser *parser, const char *text, struct span *body) {
    size_t consumed;
    return http_parser_feed(parser, text, strlen(text), &consumed, body);
}

static void midway_is_from_the_first_byte_to_the_last(void **state) {
    (void)state;
    struct span body;
    struct http_parser *parser = http_parser_create(&case_limits);
    assert_false(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "\r", &body), HTTP_MORE);
    assert_false(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "\n", &body), HTTP_MORE);
    assert_false(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "P", &body), HTTP_MORE);
    assert_true(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", &body), HTTP_HEAD);
    assert_true(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "x", &body), HTTP_BODY);
    assert_true(http_parser_midway(parser));
    assert_int_equal(feed_text(parser, "y", &body), HTTP_BODY);
    assert_int_equal(feed_text(parser, "", &body), HTTP_DONE);
    assert_false(http_parser_midway(parser));
    http_parser_destroy(parser);
}

static void a_request_without_body_is_done_without_more_bytes(void **state) {
    (void)state;
    struct span body;
    struct http_parser *parser = http_parser_create(&case_limits);
    assert_int_equal(feed_text(parser, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &body), HTTP_HEAD);
    assert_int_equal(feed_text(parser, "", &body), HTTP_DONE);
    assert_int_equal(feed_text(parser, "GET", &body), HTTP_DONE);
    http_parser_destroy(parser);
}

static void nothing_is_taken_after_a_problem(void **state) {
    (void)state;
    struct span body;
    size_t consumed = 1;
    struct http_parser *parser = http_parser_create(&case_limits);
    assert_int_equal(feed_text(parser, " ", &body), HTTP_BAD);
    assert_int_equal(http_parser_feed(parser, "GET", 3, &consumed, &body), HTTP_BAD);
    assert_int_equal(consumed, 0);
    assert_int_equal(http_parser_problem(parser)->status, 400);
    http_parser_reset(parser);
    assert_int_equal(feed_text(parser, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", &body), HTTP_HEAD);
    http_parser_destroy(parser);
}

static void a_head_is_kept_whole_however_large(void **state) {
    (void)state;
    struct http_limits limits = {1 << 20, 10, 10};
    char *bytes = malloc(1 << 20);
    assert_non_null(bytes);
    size_t length = (size_t)sprintf(bytes, "GET /x HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ");
    memset(bytes + length, 'i', 900000);
    length += 900000;
    length += (size_t)sprintf(bytes + length, "\r\nAccept: b/c\r\n\r\n");
    struct http_parser *parser = http_parser_create(&limits);
    struct span body;
    size_t consumed, at = 0;
    enum http_step step = HTTP_MORE;
    while (step == HTTP_MORE && at < length) {
        step = http_parser_feed(parser, bytes + at, length - at < 777 ? length - at : 777, &consumed, &body);
        at += consumed;
    }
    assert_int_equal(step, HTTP_HEAD);
    memset(bytes, '!', length); /* the spans do not point here */
    const struct http_request *request = http_parser_request(parser);
    assert_int_equal(request->last_event_id.length, 900000);
    for (size_t i = 0; i < 900000; i++)
        assert_true(request->last_event_id.data[i] == 'i');
    assert_true(span_equal(request->path, SPAN("/x")));
    assert_true(span_equal(request->accept, SPAN("b/c")));
    http_parser_destroy(parser);
    free(bytes);
}

static void destroying_nothing_is_harmless(void **state) {
    (void)state;
    http_parser_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gets_what_it_must),
        cmocka_unit_test(cutting_changes_nothing_H31),
        cmocka_unit_test(any_two_cases_behind_each_other_stay_apart),
        cmocka_unit_test(every_byte_in_a_target_H19),
        cmocka_unit_test(every_byte_in_a_header_name_H13),
        cmocka_unit_test(every_byte_in_a_header_value_H13),
        cmocka_unit_test(every_byte_in_other_places),
        cmocka_unit_test(a_head_of_exactly_the_limit_passes_and_one_byte_more_does_not_H20),
        cmocka_unit_test(empty_lines_before_a_request_do_not_count_towards_its_head),
        cmocka_unit_test(a_target_over_the_limit_is_told_apart_H19),
        cmocka_unit_test(a_method_of_64_KB_is_refused_early_H18),
        cmocka_unit_test(ten_thousand_headers_are_refused_at_the_first_too_many_H20),
        cmocka_unit_test(a_flood_of_chunk_extensions_is_refused_H10),
        cmocka_unit_test(extensions_of_many_chunks_count_together_H10),
        cmocka_unit_test(a_flood_of_trailers_is_refused_H10),
        cmocka_unit_test(no_memory_for_a_parser),
        cmocka_unit_test(no_memory_for_a_head_is_a_problem_of_its_own),
        cmocka_unit_test(an_idle_parser_holds_one_block),
        cmocka_unit_test(midway_is_from_the_first_byte_to_the_last),
        cmocka_unit_test(a_request_without_body_is_done_without_more_bytes),
        cmocka_unit_test(nothing_is_taken_after_a_problem),
        cmocka_unit_test(a_head_is_kept_whole_however_large),
        cmocka_unit_test(destroying_nothing_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
