/* When a bearer token expires, read from tokens of every sort. */
#include "token_reference.h"

#include <weir_quota.h>

#include <stdio.h>
#include <stdlib.h>

#include "engine/prelude.h"
#include "engine/stress.h"

static uint64_t seed;

/* The expiry of a token with these claims; 0 for none. */
static uint64_t expiry_of_claims(const char *claims, size_t size) {
    uint64_t expiry_ms = 0;
    char *token = (char *)malloc(TOKEN_ROOM(size));
    assert_non_null(token);
    size_t length = token_make(token, claims, size);
    int status = weir_token_expiry_ms(token, length, &expiry_ms);
    assert_true(token_agrees(token, length));
    free(token);
    assert_int_equal(status, expiry_ms > 0 ? WEIR_OK : WEIR_NOT_FOUND);
    return expiry_ms;
}

static uint64_t expiry_of(const char *claims) {
    return expiry_of_claims(claims, strlen(claims));
}

static uint64_t expiry_of_token(const char *token) {
    uint64_t expiry_ms = 0;
    int status = weir_token_expiry_ms(token, strlen(token), &expiry_ms);
    assert_true(token_agrees(token, strlen(token)));
    assert_int_equal(status, expiry_ms > 0 ? WEIR_OK : WEIR_NOT_FOUND);
    return expiry_ms;
}

/* TOK-10, TOK-12 */
static void parse_jwt_exp_ms_extracts_seconds_to_ms(void **state) {
    (void)state;
    assert_int_equal(expiry_of("{\"exp\":1700000000}"), 1700000000000);
    assert_int_equal(expiry_of("{\"sub\":\"alice\",\"exp\":1700000000,\"admin\":true}"), 1700000000000);
    /* The same in letters that somebody else made, with header and signature. */
    assert_int_equal(expiry_of_token("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.sig"), 1700000000000);
}

/* TOK-11 */
static void parse_jwt_exp_ms_returns_none_for_opaque_tokens(void **state) {
    (void)state;
    static const char *const opaque[] = {
        "",
        ".",
        "..",
        "...",
        "opaque-token",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "sk_live_0123456789",
        "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9",          /* two parts */
        "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.sig.more", /* four */
        "eyJleHAiOjE3MDAwMDAwMDB9..sig",
        "e30.e30.eyJleHAiOjE3MDAwMDAwMDB9" /* the right claims elsewhere */
    };
    for (size_t i = 0; i < sizeof(opaque) / sizeof(opaque[0]); i++)
        assert_int_equal(expiry_of_token(opaque[i]), 0);
    assert_int_equal(weir_token_expiry_ms(NULL, 0, NULL), WEIR_NOT_FOUND);
}

static void tok_10_numbers_are_cut_toward_zero_and_only_positive_ones_count(void **state) {
    (void)state;
    static const struct {
        const char *number;
        uint64_t expiry_ms;
    } cases[] = {
        {"1", 1000},
        {"1.0", 1000},
        {"1.999999", 1000},
        {"1700000000.9", 1700000000000},
        {"1.7e9", 1700000000000},
        {"17E+8", 1700000000000},
        {"0", 0},
        {"-0", 0},
        {"0.0", 0},
        {"0.999999", 0},
        {"1e-400", 0},
        {"-0.5", 0},
        {"-1", 0},
        {"-1700000000", 0},
        {"-9223372036854775808", 0},
        {"-9223372036854775809", 0},
        {"-1e300", 0},
        /* what no double has, but an integer does */
        {"9007199254740993", 9007199254740993000},
        {"18446744073709551", 18446744073709551000u},
        /* saturation */
        {"18446744073709552", UINT64_MAX},
        {"9223372036854775807", UINT64_MAX},
        {"9223372036854775808", UINT64_MAX},
        {"18446744073709551616", UINT64_MAX},
        {"1e18", UINT64_MAX},
        {"9.3e18", UINT64_MAX},
        {"1e19", UINT64_MAX},
        {"1e300", UINT64_MAX},
        {"123456789012345678901234567890", UINT64_MAX},
        /* no JSON number that a double can hold */
        {"1e400", 0},
        {"-1e400", 0},
        {"NaN", 0},
        {"Infinity", 0},
        {"0x10", 0},
        {"01", 0},
        {"+1", 0},
        {".5e9", 0},
        {"1.", 0},
        {"", 0},
        /* no number */
        {"\"1700000000\"", 0},
        {"null", 0},
        {"true", 0},
        {"[1700000000]", 0},
        {"{\"exp\":1700000000}", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char claims[128];
        snprintf(claims, sizeof(claims), "{\"exp\":%s}", cases[i].number);
        if (expiry_of(claims) != cases[i].expiry_ms) fail_msg("exp %s", cases[i].number);
    }
}

/* TOK-10: another claim's number may be too long for any integer. */
static void an_expiry_beside_a_huge_number_is_read(void **state) {
    (void)state;
    assert_int_equal(expiry_of("{\"jti\":123456789012345678901234567890,\"exp\":1700000000}"), 1700000000000);
    assert_int_equal(expiry_of("{\"exp\":1700000000.5,\"jti\":-123456789012345678901234567890}"), 1700000000000);
}

static void tok_10_both_alphabets_and_any_missing_padding_pass(void **state) {
    (void)state;
    /* The first has the two letters in which the alphabets differ. */
    static const char *const claims[] = {"{\"a\":\">>>>~?~?~?~?\",\"exp\":5}", "{\"exp\":5 }", "{\"exp\":5}",
                                         "{\"exp\":5  }"};
    unsigned rests = 0;
    for (size_t i = 0; i < 4; i++) {
        char token[TOKEN_ROOM(64)];
        size_t size = strlen(claims[i]);
        size_t end = token_make(token, claims[i], size) - 5;
        size_t missing = (4 - (end - 4) % 4) % 4;
        rests |= 1u << missing;
        if (i == 0) assert_true(memchr(token, '-', end) != NULL && memchr(token, '_', end) != NULL);
        assert_true(missing < 3);
        for (int plain = 0; plain < 2; plain++) {
            for (size_t at = 4; plain && at < end; at++) {
                if (token[at] == '-') token[at] = '+';
                if (token[at] == '_') token[at] = '/';
            }
            for (size_t padding = 0; padding < 4; padding++) {
                uint64_t expiry_ms = 0;
                memcpy(token + end, "===.", 4);
                memcpy(token + end + padding, ".", 2);
                assert_int_equal(expiry_of_token(token), padding <= missing ? 5000 : 0);
                assert_int_equal(weir_token_expiry_ms(token, end + padding + 1, &expiry_ms),
                                 padding <= missing ? WEIR_OK : WEIR_NOT_FOUND);
            }
        }
    }
    assert_int_equal(rests, 7); /* every length there is */
}

static void tok_11_bad_base64_is_none(void **state) {
    (void)state;
    static const char good[] = "e30.eyJleHAiOjV9ICAg.x"; /* {"exp":5} and blanks */
    char token[sizeof(good)];
    assert_int_equal(expiry_of_token(good), 5000);
    for (size_t at = 4; at < 20; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(token, good, sizeof(good));
            token[at] = (char)byte;
            assert_true(token_agrees(token, sizeof(good) - 1));
            bool is_letter = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                             (byte >= 'a' && byte <= 'z') || (byte != 0 && strchr("+/-_", byte) != NULL);
            bool is_padding = byte == '=' && at == 19;
            uint64_t expiry_ms;
            if (!is_letter && !is_padding)
                assert_int_equal(weir_token_expiry_ms(token, sizeof(good) - 1, &expiry_ms), WEIR_NOT_FOUND);
        }
    }
    assert_int_equal(expiry_of_token("e30.eyJleHAiOjV9I.x"), 0);     /* a letter too many */
    assert_int_equal(expiry_of_token("e30.eyJleHAiOjV9IA.x"), 5000); /* one byte more, */
    assert_int_equal(expiry_of_token("e30.eyJleHAiOjV9IB.x"), 0);    /* and bits that belong to none */
    assert_int_equal(expiry_of_token("e30.eyJleHAiOjV9ICB.x"), 0);
    assert_int_equal(expiry_of_token("e30.eyJl=HAiOjV9.x"), 0); /* padding in the middle */
    assert_int_equal(expiry_of_token("e30.=.x"), 0);
    assert_int_equal(expiry_of_token("e30.==.x"), 0);
}

static void tok_11_bad_json_is_none(void **state) {
    (void)state;
    static const char *const bad[] = {"{\"exp\":5",
                                      "{\"exp\":5}}",
                                      "{\"exp\":5} x",
                                      "{exp:5}",
                                      "{'exp':5}",
                                      "{\"exp\":5,}",
                                      "[\"exp\",5]",
                                      "5",
                                      "\"exp\"",
                                      "null",
                                      "",
                                      " ",
                                      "{\"a\":\"\xff\",\"exp\":5}",
                                      "\xef\xbb\xbf{\"exp\":5}",
                                      "{\"EXP\":5}",
                                      "{\"exp \":5}",
                                      "{\"a\":{\"exp\":5}}",
                                      "{}",
                                      "{\"a\":\"\n\",\"exp\":5}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(expiry_of(bad[i]), 0);
    assert_int_equal(expiry_of_claims("{\"exp\":5}\0", 10), 0);
    assert_int_equal(expiry_of_claims("{\"exp\":5}\0 x", 12), 0);
    assert_int_equal(expiry_of_claims("{\"exp\":5\0}", 10), 0);
    assert_int_equal(expiry_of_claims("{\"exp\0\":5}", 10), 0);
    assert_int_equal(expiry_of("{\"a\":\"\\u0000\",\"exp\":5}"), 5000); /* a NUL in a text is JSON */
    assert_int_equal(expiry_of("{\"exp\":5,\"exp\":6}"), 6000);         /* the last one counts */
    assert_int_equal(expiry_of("{\"exp\":5,\"exp\":\"6\"}"), 0);
}

static size_t nest(char *claims, unsigned levels, char opening, char closing) {
    size_t size = (size_t)sprintf(claims, "{\"exp\":5,\"a\":");
    for (unsigned i = 1; i < levels; i++) {
        claims[size++] = opening;
        if (opening == '{') size += (size_t)sprintf(claims + size, "\"a\":");
    }
    claims[size++] = '1';
    memset(claims + size, closing, levels - 1);
    size += levels - 1;
    claims[size++] = '}';
    return size;
}

/* TOK-11: who writes a token must not decide how deep its reader descends. */
static void tok_11_claims_nested_too_deep_are_none(void **state) {
    (void)state;
    static char claims[WEIR_TOKEN_MAX];
    assert_int_equal(expiry_of_claims(claims, nest(claims, WEIR_TOKEN_DEPTH_MAX, '[', ']')), 5000);
    assert_int_equal(expiry_of_claims(claims, nest(claims, WEIR_TOKEN_DEPTH_MAX, '{', '}')), 5000);
    assert_int_equal(expiry_of_claims(claims, nest(claims, WEIR_TOKEN_DEPTH_MAX + 1, '[', ']')), 0);
    assert_int_equal(expiry_of_claims(claims, nest(claims, WEIR_TOKEN_DEPTH_MAX + 1, '{', '}')), 0);
    memset(claims, '[', sizeof(claims));
    assert_int_equal(expiry_of_claims(claims, WEIR_TOKEN_MAX * 3 / 4 - 16), 0);
    /* Brackets inside a text are no levels, nor do its quotes end it. */
    size_t size = (size_t)sprintf(claims, "{\"exp\":5,\"a\":\"\\\"\\\\");
    memset(claims + size, '[', 1000);
    memcpy(claims + size + 1000, "\"}", 2);
    assert_int_equal(expiry_of_claims(claims, size + 1002), 5000);
}

static void a_token_over_16_kib_is_none(void **state) {
    (void)state;
    static char claims[WEIR_TOKEN_MAX];
    static char token[2 * WEIR_TOKEN_MAX];
    uint64_t expiry_ms = 77;
    memset(claims, ' ', sizeof(claims));
    memcpy(claims, "{\"exp\":5}", 9);
    size_t length = token_make(token, claims, 12276);
    while (length < WEIR_TOKEN_MAX)
        token[length++] = 'x'; /* of the signature */
    assert_int_equal(length, WEIR_TOKEN_MAX);
    assert_int_equal(weir_token_expiry_ms(token, length, &expiry_ms), WEIR_OK);
    assert_int_equal(expiry_ms, 5000);
    token[length++] = 'x';
    assert_int_equal(weir_token_expiry_ms(token, length, &expiry_ms), WEIR_NOT_FOUND);
    assert_int_equal(weir_token_expiry_ms(token, SIZE_MAX, &expiry_ms), WEIR_NOT_FOUND);
    assert_int_equal(expiry_ms, 5000); /* left as it was */
}

/* ---- Any bytes ------------------------------------------------------------------------------------------------ */

static size_t random_claims(struct random *random, char *claims) {
    static const char *const pieces[] = {"{",  "}",  "\"exp\"", ":",         ",",  "1700000000", "-5",   "0.5",
                                         "1e", "[",  "]",       "\"",        " ",  "\"a\"",      "null", "9",
                                         "\\", "e9", ".",       "{\"exp\":", "5}", "\xc3",       "\xa4"};
    size_t size = 0;
    for (uint32_t left = random_below(random, 12); left > 0; left--)
        size +=
            (size_t)sprintf(claims + size, "%s", pieces[random_below(random, sizeof(pieces) / sizeof(pieces[0]))]);
    return size;
}

/* An exact block, so that a sanitizer sees a read past the end. */
static bool agrees_on_copy(const char *token, size_t length) {
    char *exact = (char *)malloc(length > 0 ? length : 1);
    assert_non_null(exact);
    memcpy(exact, token, length);
    bool agrees = token_agrees(exact, length);
    free(exact);
    return agrees;
}

/* PRP-14, TOK-10, TOK-11: whatever the bytes, the reader says what the plain one says, which gives no expiry without a
 * positive number. */
static void tok_11_any_bytes_give_what_the_plain_reader_gives(void **state) {
    (void)state;
    struct random random = random_start(seed, 1);
    uint64_t known = 0;
    uint64_t rounds = scaled(1000);
    for (uint64_t round = 0; round < rounds; round++) {
        char claims[256];
        char token[TOKEN_ROOM(sizeof(claims))];
        uint64_t expiry_ms;
        size_t size = random_claims(&random, claims);
        if (round % 2 == 0)
            size = (size_t)sprintf(claims, "{\"exp\":%u%s}", random_below(&random, 3), round % 4 ? "" : ".5");
        size_t length = token_make(token, claims, size);
        for (uint32_t changes = random_below(&random, 3); changes > 0 && length > 0; changes--) {
            uint32_t at = random_below(&random, (uint32_t)length);
            token[at] = random_below(&random, 4) == 0 ? '.' : (char)random_below(&random, 256);
        }
        if (random_below(&random, 8) == 0) length = random_below(&random, (uint32_t)length + 1);
        REQUIRE(agrees_on_copy(token, length));
        known += token_reference(token, length, &expiry_ms);
    }
    printf("  %llu of %llu had an expiry\n", (unsigned long long)known, (unsigned long long)rounds);
    assert_true(known > rounds / 20 && known < rounds / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse_jwt_exp_ms_extracts_seconds_to_ms),
        cmocka_unit_test(parse_jwt_exp_ms_returns_none_for_opaque_tokens),
        cmocka_unit_test(tok_10_numbers_are_cut_toward_zero_and_only_positive_ones_count),
        cmocka_unit_test(an_expiry_beside_a_huge_number_is_read),
        cmocka_unit_test(tok_10_both_alphabets_and_any_missing_padding_pass),
        cmocka_unit_test(tok_11_bad_base64_is_none),
        cmocka_unit_test(tok_11_bad_json_is_none),
        cmocka_unit_test(tok_11_claims_nested_too_deep_are_none),
        cmocka_unit_test(a_token_over_16_kib_is_none),
        cmocka_unit_test(tok_11_any_bytes_give_what_the_plain_reader_gives),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
