/* The client-side decoder of server-sent events: every stream is fed whole, cut in two and in three at every pair of
 * places, and byte by byte, and must give the same events, ids and retry time each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command/sse_decoder.h"

/* What was delivered, written down: "kind|data|last id|has id" and LF for each event. */
struct record {
    char text[4096];
    size_t length;
};

static void put(struct record *record, struct span span) {
    assert_true(record->length + span.length < sizeof record->text);
    memcpy(record->text + record->length, span.data, span.length);
    record->length += span.length;
}

static void take_event(void *context, const struct sse_event *event) {
    struct record *record = context;
    put(record, event->kind);
    put(record, SPAN("|"));
    put(record, event->data);
    put(record, SPAN("|"));
    put(record, event->last_id);
    put(record, event->has_id ? SPAN("|id\n") : SPAN("|-\n"));
}

struct stream_case {
    struct span input;
    const char *events;
    const char *last_id; /* afterwards */
    uint32_t retry_ms;   /* 0: no retry line was taken */
};

/* Feeds the pieces [0, first), [first, second), [second, length). */
static void check_cut(const struct stream_case *test, size_t first, size_t second) {
    struct record record = {.length = 0};
    struct sse_decoder decoder;
    sse_decoder_init(&decoder, 1024, take_event, &record);
    assert_true(sse_decoder_feed(&decoder, test->input.data, first));
    assert_true(sse_decoder_feed(&decoder, test->input.data + first, second - first));
    assert_true(sse_decoder_feed(&decoder, test->input.data + second, test->input.length - second));
    record.text[record.length] = '\0';
    assert_string_equal(record.text, test->events);
    assert_string_equal(decoder.last_id, test->last_id);
    assert_int_equal(decoder.has_retry ? decoder.retry_ms : 0, test->retry_ms);
    sse_decoder_free(&decoder);
}

static void check_byte_by_byte(const struct stream_case *test) {
    struct record record = {.length = 0};
    struct sse_decoder decoder;
    sse_decoder_init(&decoder, 1024, take_event, &record);
    for (size_t i = 0; i < test->input.length; i++) {
        char byte = test->input.data[i]; /* alone in memory, so that a look beyond it is found */
        assert_true(sse_decoder_feed(&decoder, &byte, 1));
    }
    record.text[record.length] = '\0';
    assert_string_equal(record.text, test->events);
    sse_decoder_free(&decoder);
}

static void check_streams(const struct stream_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        check_byte_by_byte(&cases[i]);
        for (size_t first = 0; first <= cases[i].input.length; first++) {
            for (size_t second = first; second <= cases[i].input.length; second++) {
                check_cut(&cases[i], first, second);
            }
        }
    }
}

#define CHECK_STREAMS(cases) check_streams(cases, sizeof(cases) / sizeof((cases)[0]))

static void every_line_end_ends_a_line_wherever_the_stream_is_cut_S09(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("id: e.1\ndata: one\n\nid: e.2\ndata: two\n\n"), "|one|e.1|id\n|two|e.2|id\n", "e.2", 0},
        {SPAN("id: e.1\rdata: one\r\rid: e.2\rdata: two\r\r"), "|one|e.1|id\n|two|e.2|id\n", "e.2", 0},
        {SPAN("id: e.1\r\ndata: one\r\n\r\nid: e.2\r\ndata: two\r\n\r\n"), "|one|e.1|id\n|two|e.2|id\n", "e.2", 0},
        {SPAN("data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r"), "|a\nb\nc||-\n|d||-\n", "", 0},
        {SPAN("data: a\n\n\n\r\n\r\rdata: b\r\n\n"), "|a||-\n|b||-\n", "", 0},
    };
    CHECK_STREAMS(cases);
}

static void fields_are_read_as_the_standard_says_S06(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("data:no blank\ndata:  two blanks\ndata: a: b\ndata\ndata:\n\n"),
         "|no blank\n two blanks\na: b\n\n||-\n", "", 0},
        {SPAN(": a comment\nevent: kind\ndata: x\nDATA: no\ndatab: no\n data: no\n\n"), "kind|x||-\n", "", 0},
        {SPAN("event: one\nevent: two\ndata: x\n\ndata: y\n\n"), "two|x||-\n|y||-\n", "", 0},
        {SPAN("data\n\n"), "|||-\n", "", 0},
        {SPAN("event: dropped without data\n\ndata: y\n\n"), "|y||-\n", "", 0},
    };
    CHECK_STREAMS(cases);
}

static void an_id_is_committed_by_the_blank_line_and_by_nothing_else_S12(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("id: e.1\ndata: x\n\ndata: y\n\n"), "|x|e.1|id\n|y|e.1|-\n", "e.1", 0},
        {SPAN("id: e.7\n\n"), "", "e.7", 0},
        {SPAN("id: e.1\ndata: x\n\nid: e.2\ndata: cut off"), "|x|e.1|id\n", "e.1", 0},
        {SPAN("id: e.1\ndata: x\n\nid: e.2\ndata: cut off\n"), "|x|e.1|id\n", "e.1", 0},
        {SPAN("id: e.1\ndata: x\n\nid\ndata: y\n\n"), "|x|e.1|id\n|y||id\n", "", 0},
        {SPAN("id: e.1\ndata: x\n\nid: a\0b\ndata: y\n\n"), "|x|e.1|id\n|y|e.1|-\n", "e.1", 0},
    };
    CHECK_STREAMS(cases);
}

static void a_control_event_is_told_from_a_published_one_by_its_id(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("id: e.1\nevent: gap\ndata: x\n\nevent: gap\ndata: {}\n\n"), "gap|x|e.1|id\ngap|{}|e.1|-\n", "e.1", 0},
    };
    CHECK_STREAMS(cases);
}

static void one_byte_order_mark_at_the_start_is_dropped_and_no_other(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("\xEF\xBB\xBF"
              "data: x\n\n"),
         "|x||-\n", "", 0},
        {SPAN("\xEF\xBB\xBF\n\ndata: x\n\n"), "|x||-\n", "", 0},
        {SPAN("\xEF\xBB\xBF\xEF\xBB\xBF"
              "data: x\ndata: y\n\n"),
         "|y||-\n", "", 0},
        {SPAN("data: x\n\n\xEF\xBB\xBF"
              "data: y\n\n"),
         "|x||-\n", "", 0},
        {SPAN("\xEF\xBB"
              "data: x\ndata: y\n\n"),
         "|y||-\n", "", 0},
    };
    CHECK_STREAMS(cases);
}

static void retry_takes_digits_only_and_is_clamped_S19(void **unused) {
    (void)unused;
    static const struct stream_case cases[] = {
        {SPAN("retry: 1500\n\n"), "", "", 1500},
        {SPAN("retry:2\nretry: -5\nretry: 1e3\nretry: \nretry: 7 \n"), "", "", 2},
        {SPAN("retry: 99999999999999999999999\n"), "", "", UINT32_MAX},
        {SPAN("retry: 4294967296\n"), "", "", UINT32_MAX},
    };
    CHECK_STREAMS(cases);
}

static void a_restart_forgets_the_cut_block_and_keeps_the_committed_id_N08(void **unused) {
    (void)unused;
    static const char cut[] = "\xEF\xBB\xBFid: e.5\ndata: whole\n\nid: e.6\nevent: k\ndata: half\ndata: li";
    static const char next[] = "\xEF\xBB\xBF\ndata: plain\n\nid: e.6\ndata: again\n\n";
    for (size_t length = 0; length < sizeof cut; length++) {
        struct record record = {.length = 0};
        struct sse_decoder decoder;
        sse_decoder_init(&decoder, 1024, take_event, &record);
        assert_true(sse_decoder_set_last_id(&decoder, "e.4"));
        assert_true(sse_decoder_feed(&decoder, cut, length));
        bool first_arrived = record.length > 0;
        assert_string_equal(decoder.last_id, first_arrived ? "e.5" : "e.4");
        record.length = 0;
        sse_decoder_restart(&decoder);
        assert_true(sse_decoder_feed(&decoder, next, sizeof next - 1));
        record.text[record.length] = '\0';
        assert_string_equal(record.text,
                            first_arrived ? "|plain|e.5|-\n|again|e.6|id\n" : "|plain|e.4|-\n|again|e.6|id\n");
        sse_decoder_free(&decoder);
    }
}

/* A line or an event's data over the limit ends decoding, in whatever pieces it comes; at the limit it does not. */
static void the_limit_is_exact_for_lines_and_for_data(void **unused) {
    (void)unused;
    enum { LIMIT = 64 };
    char line[LIMIT + 8];
    memset(line, 'x', sizeof line);
    memcpy(line, "data:", 5);
    for (size_t length = LIMIT; length <= LIMIT + 1; length++) {
        for (size_t cut = 0; cut <= length; cut++) {
            struct record record = {.length = 0};
            struct sse_decoder decoder;
            sse_decoder_init(&decoder, LIMIT, take_event, &record);
            bool fine = sse_decoder_feed(&decoder, line, cut) &&
                        sse_decoder_feed(&decoder, line + cut, length - cut) && sse_decoder_feed(&decoder, "\n\n", 2);
            /* A line that comes in one piece with its end is not copied; here it never does. */
            assert_int_equal(fine, length == LIMIT);
            sse_decoder_free(&decoder);
        }
    }
    struct record record = {.length = 0};
    struct sse_decoder decoder;
    sse_decoder_init(&decoder, LIMIT, take_event, &record);
    bool fine = true;
    for (int i = 0; i < 8 && fine; i++) {
        fine = sse_decoder_feed(&decoder, "data: 12345678\n", 15); /* 9 bytes of data each */
        assert_int_equal(fine, i < LIMIT / 9);
    }
    assert_false(fine);
    sse_decoder_free(&decoder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_end_ends_a_line_wherever_the_stream_is_cut_S09),
        cmocka_unit_test(fields_are_read_as_the_standard_says_S06),
        cmocka_unit_test(an_id_is_committed_by_the_blank_line_and_by_nothing_else_S12),
        cmocka_unit_test(a_control_event_is_told_from_a_published_one_by_its_id),
        cmocka_unit_test(one_byte_order_mark_at_the_start_is_dropped_and_no_other),
        cmocka_unit_test(retry_takes_digits_only_and_is_clamped_S19),
        cmocka_unit_test(a_restart_forgets_the_cut_block_and_keeps_the_committed_id_N08),
        cmocka_unit_test(the_limit_is_exact_for_lines_and_for_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
