/* The payload of the load generator: what is written is read back, it is text that SSE carries unchanged, and no bit of
 * it can change, no byte be missing or too many, without being noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command/bench/payload.h"

enum { LARGEST_HERE = 300 };

static const struct payload samples[] = {
    {.run = 0, .session = 0, .publisher = 0, .number = 1, .due_ns = 0},
    {.run = 0xdeadbeef, .session = 999999, .publisher = 65535, .number = UINT64_C(1) << 47, .due_ns = UINT64_MAX},
    {.run = 1, .session = 2, .publisher = 3, .number = 4, .due_ns = 5},
};

static void assert_same(const struct payload *left, const struct payload *right) {
    assert_int_equal(left->run, right->run);
    assert_int_equal(left->session, right->session);
    assert_int_equal(left->publisher, right->publisher);
    assert_true(left->number == right->number);
    assert_true(left->due_ns == right->due_ns);
}

static void reads_back_what_was_written(void **state) {
    (void)state;
    for (size_t size = PAYLOAD_MIN; size <= LARGEST_HERE; size++) {
        for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
            char text[LARGEST_HERE + 1];
            struct payload read;
            text[size] = '#';
            payload_write(text, size, &samples[i]);
            assert_int_equal(text[size], '#');
            assert_int_equal(payload_read((struct span){text, size}, size, &read), PAYLOAD_FINE);
            assert_same(&read, &samples[i]);
            for (size_t j = 0; j < size; j++) {
                assert_true(text[j] >= ' ' && text[j] <= '~');
            }
            assert_true(text[size - 1] != ' ');
        }
    }
}

static void notices_every_changed_bit(void **state) {
    (void)state;
    for (size_t size = PAYLOAD_MIN; size <= 130; size++) {
        char text[LARGEST_HERE];
        payload_write(text, size, &samples[2]);
        for (size_t byte = 0; byte < size; byte++) {
            for (int bit = 0; bit < 8; bit++) {
                struct payload read;
                text[byte] = (char)(text[byte] ^ (1 << bit));
                assert_int_not_equal(payload_read((struct span){text, size}, size, &read), PAYLOAD_FINE);
                text[byte] = (char)(text[byte] ^ (1 << bit));
            }
        }
    }
}

static void notices_another_length(void **state) {
    (void)state;
    char text[LARGEST_HERE];
    struct payload read;
    memset(text, 'a', sizeof text);
    payload_write(text, 100, &samples[1]);
    for (size_t length = 0; length < LARGEST_HERE; length++) {
        if (length == 100) continue;
        assert_int_not_equal(payload_read((struct span){text, length}, 100, &read), PAYLOAD_FINE);
    }
    payload_write(text, 101, &samples[1]);
    assert_int_equal(payload_read((struct span){text, 100}, 100, &read), PAYLOAD_CORRUPT);
}

static void tells_strange_from_corrupt(void **state) {
    (void)state;
    char text[LARGEST_HERE];
    struct payload read;
    assert_int_equal(payload_read(SPAN(""), 100, &read), PAYLOAD_STRANGE);
    assert_int_equal(payload_read(SPAN("hello"), 100, &read), PAYLOAD_STRANGE);
    payload_write(text, 100, &samples[0]);
    assert_int_equal(payload_read((struct span){text, 99}, 100, &read), PAYLOAD_CORRUPT);
    text[99]++;
    assert_int_equal(payload_read((struct span){text, 100}, 100, &read), PAYLOAD_CORRUPT);
    memset(text, 'x', 100);
    assert_int_equal(payload_read((struct span){text, 100}, 100, &read), PAYLOAD_STRANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_written),
        cmocka_unit_test(notices_every_changed_bit),
        cmocka_unit_test(notices_another_length),
        cmocka_unit_test(tells_strange_from_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
