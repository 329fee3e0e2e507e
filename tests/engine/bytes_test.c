/* Names as words: compared and hashed by every byte of theirs, and by none beyond. */
#include "base/bytes.h"

#include <stdlib.h>

#include "base/hash.h"
#include "prelude.h"

#define LONGEST 64u /* WEIR_NAME_MAX */

static const uint64_t key[2] = {0x0706050403020100u, 0x0F0E0D0C0B0A0908u};

/* A copy whose end is the end of its memory, which AddressSanitizer watches. */
static char *copy_of(const char *bytes, size_t length) {
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    return copy;
}

static void fill(char bytes[LONGEST]) {
    for (unsigned i = 0; i < LONGEST; i++)
        bytes[i] = (char)(i * 37 + 0x81);
}

static void few_bytes_are_a_number_the_first_the_lowest(void **state) {
    (void)state;
    char bytes[LONGEST];
    fill(bytes);
    for (size_t length = 0; length < 8; length++) {
        char *copy = copy_of(bytes, length);
        uint64_t expected = 0;
        for (size_t i = length; i-- > 0;)
            expected = expected << 8 | (unsigned char)copy[i];
        assert_int_equal(bytes_few(copy, length), expected);
        free(copy);
    }
}

static void every_byte_counts_in_comparing_and_hashing(void **state) {
    (void)state;
    char bytes[LONGEST];
    fill(bytes);
    for (size_t length = 0; length <= LONGEST; length++) {
        char *copy = copy_of(bytes, length);
        uint64_t hash = hash_name(key, bytes, length);
        assert_true(bytes_equal(bytes, copy, length));
        assert_true(hash_name(key, copy, length) == hash);
        for (size_t bit = 0; bit < 8 * length; bit++) {
            copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
            assert_false(bytes_equal(bytes, copy, length));
            assert_true(hash_name(key, copy, length) != hash);
            copy[bit / 8] = bytes[bit / 8];
        }
        if (length > 0) assert_true(hash_name(key, bytes, length - 1) != hash);
        free(copy);
    }
}

/* CPython hashes its byte strings with the same function: PYTHONHASHSEED=0 python3.11 -c 'print(hash(b"session"))'. */
static void the_hash_is_siphash_1_3(void **state) {
    (void)state;
    const uint64_t zero[2] = {0, 0};
    const struct {
        const char *name;
        uint64_t hash;
    } known[] = {
        {"a", 0x407448d2b89b1813u},
        {"session", 0x55427e926be628d4u},
        {"sessions", 0x7ac9f72fa4da1a48u},
        {"0123456789abcde", 0x26f4d862282d8fcbu},
        {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 0xcd198c4d1bb4b52u},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        assert_true(hash_name(zero, known[i].name, strlen(known[i].name)) == known[i].hash);
}

/* Zeros are bytes as well: what a short name is filled up with is not part of it. */
static void names_of_zeros_differ_by_their_length(void **state) {
    (void)state;
    const char zeros[LONGEST] = {0};
    for (size_t one = 0; one <= LONGEST; one++)
        for (size_t other = 0; other < one; other++)
            assert_true(hash_name(key, zeros, one) != hash_name(key, zeros, other));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_bytes_are_a_number_the_first_the_lowest),
        cmocka_unit_test(every_byte_counts_in_comparing_and_hashing),
        cmocka_unit_test(the_hash_is_siphash_1_3),
        cmocka_unit_test(names_of_zeros_differ_by_their_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
