/* Bytes that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/buffer.h"

static void test_an_empty_buffer_owns_nothing(void **state) {
    (void)state;
    struct buffer buffer = {NULL, 0, 0};
    assert_true(buffer_append(&buffer, "", 0));
    assert_true(buffer_append_text(&buffer, ""));
    assert_null(buffer.data);
    assert_int_equal(buffer.capacity, 0);
    buffer_free(&buffer);
}

static void test_what_is_appended_stands_in_order(void **state) {
    (void)state;
    struct buffer buffer = {NULL, 0, 0};
    char expected[20000];
    size_t length = 0;
    for (unsigned i = 0; length < sizeof(expected) - 40; i++) {
        char piece[40];
        size_t size = i * 7 % sizeof(piece);
        memset(piece, (int)('a' + i % 26), size);
        memcpy(expected + length, piece, size);
        length += size;
        assert_true(buffer_append(&buffer, piece, size));
        assert_true(buffer.length <= buffer.capacity);
    }
    assert_int_equal(buffer.length, length);
    assert_memory_equal(buffer.data, expected, length);
    assert_int_equal(buffer_span(&buffer).length, length);
    buffer_free(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.length + buffer.capacity, 0);
}

static void test_reserving_keeps_what_is_there(void **state) {
    (void)state;
    struct buffer buffer = {NULL, 0, 0};
    assert_true(buffer_append_text(&buffer, "kept"));
    assert_true(buffer_reserve(&buffer, 100000));
    assert_true(buffer.capacity - buffer.length >= 100000);
    assert_memory_equal(buffer.data, "kept", 4);
    assert_int_equal(buffer.length, 4);
    buffer_free(&buffer);
}

/* M07: sizes that cannot be, and sizes that cannot be had, change nothing. */
static void test_impossible_sizes_are_refused(void **state) {
    (void)state;
    struct buffer buffer = {NULL, 0, 0};
    assert_true(buffer_append_text(&buffer, "kept"));
    struct buffer before = buffer;
    assert_false(buffer_reserve(&buffer, SIZE_MAX));
    assert_false(buffer_reserve(&buffer, SIZE_MAX - 3));
    assert_false(buffer_reserve(&buffer, SIZE_MAX / 2));
    assert_memory_equal(&buffer, &before, sizeof(buffer));
    buffer_free(&buffer);
}

static void test_formatted_text_is_whole_or_refused(void **state) {
    (void)state;
    struct buffer buffer = {NULL, 0, 0};
    char text[2000];
    memset(text, 'x', sizeof(text));
    assert_true(buffer_append_format(&buffer, "%d-%s", 42, "y"));
    assert_true(buffer_append_format(&buffer, "%.*s", 1023, text));
    assert_int_equal(buffer.length, 4 + 1023);
    assert_false(buffer_append_format(&buffer, "%.*s", 1024, text));
    assert_int_equal(buffer.length, 4 + 1023);
    buffer_free(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_buffer_owns_nothing),
        cmocka_unit_test(test_what_is_appended_stands_in_order),
        cmocka_unit_test(test_reserving_keeps_what_is_there),
        cmocka_unit_test(test_impossible_sizes_are_refused),
        cmocka_unit_test(test_formatted_text_is_whole_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
