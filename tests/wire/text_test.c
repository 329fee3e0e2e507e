/* The scans work on blocks of sixteen bytes, so every check is made at every place around their edges; UTF-8 is
 * compared with a decoder that goes by the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above before its own. */
#include <cmocka.h>
#include <jansson.h>

#include "utf8_reference.h"
#include "wire/text.h"

/* ---- UTF-8 -------------------------------------------------------------------------------------------------- */

static void utf8_of_every_two_bytes(void **state) {
    (void)state;
    char text[2];
    for (unsigned pair = 0; pair < 65536; pair++) {
        text[0] = (char)(pair >> 8);
        text[1] = (char)pair;
        assert_int_equal(text_utf8_valid_prefix((struct span){text, 2}), utf8_reference_prefix(text, 2));
    }
}

static void utf8_of_every_edge_in_three_and_four_bytes(void **state) {
    (void)state;
    const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                   0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF8, 0xFF};
    const size_t count = sizeof(edges);
    char text[4];
    for (size_t i = 0; i < count * count * count * count; i++) {
        text[0] = (char)edges[i % count];
        text[1] = (char)edges[i / count % count];
        text[2] = (char)edges[i / (count * count) % count];
        text[3] = (char)edges[i / (count * count * count)];
        assert_int_equal(text_utf8_valid_prefix((struct span){text, 4}), utf8_reference_prefix(text, 4));
        assert_int_equal(text_utf8_valid_prefix((struct span){text, 3}), utf8_reference_prefix(text, 3));
    }
}

static void utf8_of_every_code_point(void **state) {
    (void)state;
    for (uint32_t code = 0x80; code <= 0x10FFFF; code++) {
        char text[4];
        size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        for (size_t i = size - 1, rest = code; i > 0; i--, rest >>= 6)
            text[i] = (char)(0x80 | (rest & 0x3F));
        unsigned mark = size == 2 ? 0xC0 : size == 3 ? 0xE0 : 0xF0;
        text[0] = (char)(mark | code >> (6 * (size - 1)));
        bool surrogate = code >= 0xD800 && code <= 0xDFFF;
        if (text_utf8_valid_prefix((struct span){text, size}) != (surrogate ? 0 : size))
            fail_msg("U+%04X", (unsigned)code);
    }
}

static void utf8_that_goes_wrong_at_any_place(void **state) {
    (void)state;
    const struct span wrongs[] = {SPAN("\xFF"),
                                  SPAN("\x80"),
                                  SPAN("\xC3"),
                                  SPAN("\xE2\x80"),
                                  SPAN("\xED\xA0\x80"),
                                  SPAN("\xC0\xAF"),
                                  SPAN("\xF4\x90\x80\x80")};
    char text[64];
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        for (size_t at = 0; at <= 40; at++) {
            for (size_t behind = 0; behind <= 20; behind++) {
                memset(text, 'x', sizeof(text));
                memcpy(text + at, wrongs[i].data, wrongs[i].length);
                struct span span = {text, at + wrongs[i].length + behind};
                if (span.length <= sizeof(text)) assert_int_equal(text_utf8_valid_prefix(span), at);
            }
        }
    }
    assert_int_equal(text_utf8_valid_prefix((struct span){NULL, 0}), 0);
}

/* ---- Fields and names --------------------------------------------------------------------------------------- */

static void a_field_ends_before_cr_lf_and_nul_at_any_place_S01(void **state) {
    (void)state;
    char text[64];
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 40; at++) {
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            bool ends = byte == '\r' || byte == '\n' || byte == 0;
            assert_int_equal(text_field_prefix((struct span){text, 40}), ends ? at : 40);
        }
    }
    assert_int_equal(text_field_prefix((struct span){NULL, 0}), 0);
}

static void names_are_1_to_64_bytes_of_the_alphabet(void **state) {
    (void)state;
    const char *alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._~-";
    assert_int_equal(strlen(alphabet), 66);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'b'};
        bool wanted = byte != 0 && strchr(alphabet, (int)byte) != NULL;
        assert_int_equal(text_name_valid((struct span){text, 3}), wanted);
        assert_int_equal(text_name_valid((struct span){text + 1, 1}), wanted);
    }
    char longest[65];
    memset(longest, 'n', sizeof(longest));
    assert_true(text_name_valid((struct span){longest, 64}));
    assert_false(text_name_valid((struct span){longest, 65}));
    assert_false(text_name_valid((struct span){longest, 0}));
}

static void case_is_ignored_for_ascii_letters_only(void **state) {
    (void)state;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            char left = (char)a, right = (char)b;
            bool letters = ((a | 32) >= 'a' && (a | 32) <= 'z') && (a | 32) == (b | 32);
            assert_int_equal(text_equal_nocase((struct span){&left, 1}, (struct span){&right, 1}), a == b || letters);
        }
    }
    assert_true(text_equal_nocase(SPAN("Content-Length"), SPAN("cONTENT-lENGTH")));
    assert_false(text_equal_nocase(SPAN("ab"), SPAN("abc")));
    assert_true(text_equal_nocase((struct span){NULL, 0}, SPAN("")));
}

static void trimming_takes_spaces_and_tabs_from_both_ends(void **state) {
    (void)state;
    assert_true(span_equal(text_trim(SPAN(" \t a b\t ")), SPAN("a b")));
    assert_true(span_equal(text_trim(SPAN("\ra\n")), SPAN("\ra\n")));
    assert_int_equal(text_trim(SPAN(" \t ")).length, 0);
    assert_int_equal(text_trim((struct span){NULL, 0}).length, 0);
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static void assert_escaped(struct span text, const char *expected) {
    char out[256];
    size_t size = text_json_size(text);
    assert_int_equal(size, strlen(expected));
    memset(out, 0x5A, sizeof(out));
    text_json_write(out, size, text);
    assert_memory_equal(out, expected, size);
    assert_int_equal(out[size], 0x5A);
}

static void json_escapes(void **state) {
    (void)state;
    assert_escaped(SPAN(""), "");
    assert_escaped(SPAN("plain"), "plain");
    assert_escaped(SPAN(" !#[]^~"), " !#[]^~");
    assert_escaped(SPAN("\"\\/"), "\\\"\\\\/");
    assert_escaped(SPAN("\b\f\n\r\t\v"), "\\b\\f\\n\\r\\t\\u000b");
    assert_escaped(SPAN("\0\x01\x1F\x7F"), "\\u0000\\u0001\\u001f\x7F");
    assert_escaped(SPAN("\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xA7\xE2\x80\xAA\xE2\x81\xA8"),
                   "\\u2028\\u2029\xE2\x80\xA7\xE2\x80\xAA\xE2\x81\xA8");
}

/* Not UTF-8, but not read past its end either: what stands behind would make it a line separator. */
static void json_ends_where_the_text_does(void **state) {
    (void)state;
    for (size_t before = 0; before < 40; before++) {
        char text[48], out[48];
        memset(text, 'x', before);
        memcpy(text + before, "\xE2\x80\xA8", 3);
        for (size_t length = before + 1; length <= before + 2; length++) {
            struct span part = {text, length};
            assert_int_equal(text_json_size(part), length);
            text_json_write(out, length, part);
            assert_memory_equal(out, text, length);
        }
        assert_int_equal(text_json_size((struct span){text, before + 3}), before + 6);
    }
}

static void json_of_every_byte_at_every_place_parses_back(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 128; byte++) {
        for (size_t at = 0; at < 36; at++) {
            char text[36], out[300] = "\"";
            memset(text, 'x', sizeof(text));
            text[at] = (char)byte;
            size_t size = text_json_size((struct span){text, sizeof(text)});
            text_json_write(out + 1, size, (struct span){text, sizeof(text)});
            out[1 + size] = '"';
            json_t *string = json_loadb(out, size + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            assert_non_null(string);
            assert_int_equal(json_string_length(string), sizeof(text));
            assert_memory_equal(json_string_value(string), text, sizeof(text));
            json_decref(string);
        }
    }
}

/* Every part of a text has the size it was told to have, and is what it is in the whole. */
static void json_takes_just_the_room_it_was_told_to_take(void **state) {
    (void)state;
    struct span text =
        SPAN("some \"text\" with\nescapes \xE2\x80\xA8 \\ \x01\xE2\x82\xAC\"\"\"\" and a plain end \"");
    char whole[160], out[160];
    text_json_write(whole, text_json_size(text), text);
    size_t before = 0;
    for (size_t length = 0; length <= text.length; length++) {
        struct span part = {text.data, length};
        if (text_utf8_valid_prefix(part) < length) continue;
        size_t size = text_json_size(part);
        assert_true(size >= before && size >= length);
        before = size;
        memset(out, 0x5A, sizeof(out));
        text_json_write(out, size, part);
        assert_memory_equal(out, whole, size);
        for (size_t i = size; i < sizeof(out); i++)
            assert_int_equal(out[i], 0x5A);
    }
}

/* ---- Numbers ------------------------------------------------------------------------------------------------ */

static void numbers_are_digits_without_overflow(void **state) {
    (void)state;
    const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0},
                {"7", 7},
                {"0010", 10},
                {"18446744073709551615", UINT64_MAX},
                {"000000000000000000000000000001", 1}};
    const char *bad[] = {"",
                         "+1",
                         "-1",
                         " 1",
                         "1 ",
                         "0x1",
                         "1_0",
                         "1.0",
                         "18446744073709551616",
                         "99999999999999999999",
                         "100000000000000000000",
                         "1a"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t value = 1;
        assert_true(text_parse_u64(span_of(good[i].text), &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t value = 77;
        assert_false(text_parse_u64(span_of(bad[i]), &value));
        assert_true(value == 77);
    }
}

static void numbers_are_written_and_read_back(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)off, back = 0;
            char out[24], expected[24];
            memset(out, 0x5A, sizeof(out));
            size_t length = text_write_u64(out, value);
            snprintf(expected, sizeof(expected), "%llu", (unsigned long long)value);
            assert_int_equal(length, strlen(expected));
            assert_memory_equal(out, expected, length);
            assert_int_equal(out[length], 0x5A);
            assert_true(text_parse_u64((struct span){out, length}, &back));
            assert_true(back == value);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_of_every_two_bytes),
        cmocka_unit_test(utf8_of_every_edge_in_three_and_four_bytes),
        cmocka_unit_test(utf8_of_every_code_point),
        cmocka_unit_test(utf8_that_goes_wrong_at_any_place),
        cmocka_unit_test(a_field_ends_before_cr_lf_and_nul_at_any_place_S01),
        cmocka_unit_test(names_are_1_to_64_bytes_of_the_alphabet),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(trimming_takes_spaces_and_tabs_from_both_ends),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(json_ends_where_the_text_does),
        cmocka_unit_test(json_of_every_byte_at_every_place_parses_back),
        cmocka_unit_test(json_takes_just_the_room_it_was_told_to_take),
        cmocka_unit_test(numbers_are_digits_without_overflow),
        cmocka_unit_test(numbers_are_written_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
