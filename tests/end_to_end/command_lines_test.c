/* Numbered lines out of a pipe, and the ranges in which `weir publish` reports them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "command/line_ranges.h"
#include "command/line_reader.h"

/* Reads all lines that are there now into `out` as "number:text;" or "number:LONG;". */
static enum line_result read_lines(struct line_reader *reader, char *out, size_t capacity) {
    for (;;) {
        struct span line;
        uint64_t number;
        enum line_result result = line_reader_next(reader, &line, &number);
        if (result == LINE_MORE || result == LINE_END) return result;
        size_t used = strlen(out);
        if (result == LINE_TOO_LONG) line = SPAN("LONG");
        int wrote = snprintf(out + used, capacity - used, "%llu:%.*s;", (unsigned long long)number, (int)line.length,
                             line.data);
        assert_true(wrote > 0 && (size_t)wrote < capacity - used);
    }
}

/* Sends the input through a pipe in two pieces, the second one after the first was read. */
static void check_input(struct span input, size_t cut, size_t limit, const char *expected) {
    int ends[2];
    char out[1024] = "";
    struct line_reader reader;
    assert_int_equal(pipe(ends), 0);
    assert_true(line_reader_init(&reader, ends[0], limit));
    if (cut > 0) {
        assert_int_equal(write(ends[1], input.data, cut), cut);
        assert_int_equal(line_reader_fill(&reader), 0);
        assert_int_equal(read_lines(&reader, out, sizeof out), LINE_MORE);
    }
    if (cut < input.length) {
        assert_int_equal(write(ends[1], input.data + cut, input.length - cut), input.length - cut);
        assert_int_equal(line_reader_fill(&reader), 0);
        assert_int_equal(read_lines(&reader, out, sizeof out), LINE_MORE);
    }
    close(ends[1]);
    assert_int_equal(line_reader_fill(&reader), 0);
    assert_int_equal(read_lines(&reader, out, sizeof out), LINE_END);
    assert_string_equal(out, expected);
    line_reader_free(&reader);
    close(ends[0]);
}

static void check_everywhere(struct span input, size_t limit, const char *expected) {
    for (size_t cut = 0; cut <= input.length; cut++) {
        check_input(input, cut, limit, expected);
    }
}

static void lines_are_numbered_and_whole_wherever_the_input_is_cut(void **unused) {
    (void)unused;
    check_everywhere(SPAN(""), 8, "");
    check_everywhere(SPAN("\n"), 8, "1:;");
    check_everywhere(SPAN("one\n\nthree\r\nfour"), 8, "1:one;2:;3:three;4:four;");
    check_everywhere(SPAN("a\rb\n\r\nc\r"), 8, "1:a\rb;2:;3:c\r;");
}

static void a_line_over_the_limit_is_skipped_as_one_and_keeps_its_number(void **unused) {
    (void)unused;
    check_everywhere(SPAN("12345678\n123456789\nx\n"), 8, "1:12345678;2:LONG;3:x;");
    check_everywhere(SPAN("12345678\r\n123456789\r\nx"), 8, "1:12345678;2:LONG;3:x;");
    check_everywhere(SPAN("x\nthis one is far over the limit of a line\ny\n"), 8, "1:x;2:LONG;3:y;");
    check_everywhere(SPAN("x\nand this one has no end of its own"), 8, "1:x;2:LONG;");
}

static void ranges_join_what_follows_and_say_each_number_once(void **unused) {
    (void)unused;
    struct line_ranges set = {0};
    char *text = NULL;
    size_t size = 0;
    line_ranges_add(&set, 7, 7);
    line_ranges_add(&set, 12, 13);
    line_ranges_add(&set, 14, 15);
    line_ranges_add(&set, 17, 17);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    line_ranges_print(&set, out);
    fclose(out);
    assert_string_equal(text, "7, 12-15, 17");
    assert_int_equal(set.lines, 6);
    free(text);
    for (uint64_t i = 0; i < 1000; i++) {
        line_ranges_add(&set, 100 + 2 * i, 100 + 2 * i);
    }
    assert_int_equal(set.count, 1003);
    assert_int_equal(set.ranges[1002].last, 100 + 2 * 999);
    line_ranges_free(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_numbered_and_whole_wherever_the_input_is_cut),
        cmocka_unit_test(a_line_over_the_limit_is_skipped_as_one_and_keeps_its_number),
        cmocka_unit_test(ranges_join_what_follows_and_say_each_number_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
