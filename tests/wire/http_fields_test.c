/* Decoding, query strings and Accept, by tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above before its own. */
#include <cmocka.h>

#include "wire/http_request.h"

static void decoding_takes_escapes_and_nothing_else(void **state) {
    (void)state;
    const struct {
        struct span encoded, decoded;
    } good[] = {
        {SPAN(""), SPAN("")},         {SPAN("abc"), SPAN("abc")},   {SPAN("a%20b"), SPAN("a b")},
        {SPAN("%41%7a"), SPAN("Az")}, {SPAN("a+b"), SPAN("a+b")},   {SPAN("%2F%2f"), SPAN("//")},
        {SPAN("%25"), SPAN("%")},     {SPAN("%2541"), SPAN("%41")}, {SPAN("%e2%82%ac"), SPAN("\xE2\x82\xAC")},
        {SPAN("%FF"), SPAN("\xFF")},  {SPAN("%09"), SPAN("\t")},
    };
    char out[16];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(http_decode(good[i].encoded, out, sizeof(out)), good[i].decoded.length);
        assert_memory_equal(out, good[i].decoded.data, good[i].decoded.length);
    }
}

static void decoding_refuses_bad_escapes_and_line_ends_H19(void **state) {
    (void)state;
    const struct span bad[] = {SPAN("%"),   SPAN("%4"),   SPAN("a%"),   SPAN("a%4"),  SPAN("%4g"),   SPAN("%g4"),
                               SPAN("%%"),  SPAN("% 41"), SPAN("%-1"),  SPAN("%00"),  SPAN("a%00b"), SPAN("%0d"),
                               SPAN("%0D"), SPAN("%0a"),  SPAN("a\rb"), SPAN("a\nb"), SPAN("a\0b"),  SPAN("%u0041"),
                               {"%41", 2},  {"a%41", 3},  {"%41", 1}};
    char out[16];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(http_decode(bad[i], out, sizeof(out)), -1);
}

static void decoding_needs_room_for_what_it_decodes(void **state) {
    (void)state;
    char out[4] = "zzz";
    assert_int_equal(http_decode(SPAN("%41%42%43"), out, 3), 3);
    assert_int_equal(http_decode(SPAN("%41%42%43"), out, 2), -1);
    assert_int_equal(http_decode(SPAN("a"), out, 0), -1);
    assert_int_equal(http_decode(SPAN(""), NULL, 0), 0);
}

static void assert_query(const char *query, const char *name, const char *expected) {
    struct span value = SPAN("untouched");
    bool found = http_query_find(span_of(query), name, &value);
    assert_int_equal(found, expected != NULL);
    if (expected)
        assert_true(span_equal(value, span_of(expected)));
    else
        assert_true(span_equal(value, SPAN("untouched")));
}

static void a_query_finds_the_first_of_a_name(void **state) {
    (void)state;
    assert_query("from=now", "from", "now");
    assert_query("a=1&from=now&b=2", "from", "now");
    assert_query("from=1&from=2", "from", "1");
    assert_query("from", "from", "");
    assert_query("from&x", "from", "");
    assert_query("from=", "from", "");
    assert_query("from=a=b", "from", "a=b");
    assert_query("x=from", "from", NULL);
    assert_query("xfrom=1&fromx=2&From=3", "from", NULL);
    assert_query("&&from=%20&", "from", "%20");
    assert_query("", "from", NULL);
    assert_query("=x", "", "x");
    struct span value;
    assert_false(http_query_find((struct span){NULL, 0}, "from", &value));
}

/* ---- Accept ------------------------------------------------------------------------------------------------- */

#define SSE    "text/event-stream"
#define NDJSON "application/x-ndjson"

static const struct {
    const char *accept; /* NULL: absent */
    bool prefers_ndjson, allows_sse, allows_ndjson;
} accepts[] = {
    {NULL, false, true, true},
    {"", false, true, true},
    {"*/*", false, true, true},
    {"text/event-stream", false, true, false},
    {"application/x-ndjson", true, false, true},
    {"APPLICATION/X-NDJSON", true, false, true},
    {"application/x-ndjson; charset=utf-8", true, false, true},
    {"application/*", true, false, true},
    {"text/*", false, true, false},
    {"application/x-ndjson, text/event-stream", false, true, true},
    {"application/x-ndjson, text/event-stream;q=0.9", true, true, true},
    {"application/x-ndjson;q=0.5, text/event-stream;q=0.500", false, true, true},
    {"application/x-ndjson;q=0.501, text/event-stream;q=0.5", true, true, true},
    {"application/x-ndjson , */* ; q=0.1", true, true, true},
    {"*/*;q=0.9, application/x-ndjson;q=0.1", false, true, true},
    {"*/*, application/x-ndjson;q=0", false, true, false},
    {"text/event-stream;q=0, */*", true, false, true},
    {"text/event-stream;q=0", false, false, false},
    {"*/*;q=0", false, false, false},
    {"*/*;q=0.0, application/x-ndjson;q=0.001", true, false, true},
    {"application/*;q=0.2, application/x-ndjson;q=0.8, text/*;q=0.5", true, true, true},
    {"application/x-ndjson;q=0.2, application/x-ndjson;q=0.8, text/*;q=0.5", true, true, true},
    {"application/x-ndjson;q=0.8, application/x-ndjson;q=0.2, text/*;q=0.5", true, true, true},
    {"text/html, application/json", false, false, false},
    {"application/x-ndjson;Q=0.3, text/event-stream;q=0.2", true, true, true},
    {"application/x-ndjson;a=\"b,c;q=0\";q=1, text/event-stream;q=0.2", true, true, true},
    {"text/plain;a=\"\\\",application/x-ndjson\"", false, false, false},
    {"text/plain;a=\"\\\",application/x-ndjson,\"", false, false, false},
    /* what is not well formed does not count; with nothing left that does, everything is allowed (H28) */
    {"junk", false, true, true},
    {"/, a/, /b, ;q=1", false, true, true},
    {"application/x-ndjson;q=2, text/event-stream", false, true, false},
    {"application/x-ndjson;q=0.1234, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=1.001, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=.5, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=0.a, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=0./, text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=0., text/event-stream;q=0.1", false, true, false},
    {"application/x-ndjson;q=1.000, text/event-stream;q=0.1", true, true, true},
    {"application/x-ndjsonx, xtext/event-stream", false, false, false},
    {"*/x-ndjson", false, false, false},
    {"application/x-ndjson;q", true, false, true},
    {"application/x-ndjson;x=\"\\", true, false, true},
    {",,, application/x-ndjson ,,", true, false, true},
};

static void accept_is_read_as_the_standard_says(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(accepts) / sizeof(accepts[0]); i++) {
        struct span accept = {NULL, 0};
        if (accepts[i].accept) accept = span_of(accepts[i].accept);
        if (http_accept_prefers(accept, NDJSON, SSE) != accepts[i].prefers_ndjson ||
            http_accept_allows(accept, SSE) != accepts[i].allows_sse ||
            http_accept_allows(accept, NDJSON) != accepts[i].allows_ndjson)
            fail_msg("Accept: %s", accepts[i].accept ? accepts[i].accept : "(absent)");
    }
}

static void eight_kilobytes_of_junk_are_read_to_their_end_H28(void **state) {
    (void)state;
    static char junk[8192];
    for (unsigned byte = 1; byte < 256; byte++) {
        memset(junk, (int)byte, sizeof(junk));
        memcpy(junk + sizeof(junk) - 21, ",application/x-ndjson", 21);
        bool swallowed = byte == '"' && (sizeof(junk) - 21) % 2 == 1; /* inside of a quoted string */
        assert_int_equal(http_accept_prefers((struct span){junk, sizeof(junk)}, NDJSON, SSE), !swallowed);
    }
}

static void a_media_type_is_compared_without_its_parameters(void **state) {
    (void)state;
    assert_true(http_media_type_is(SPAN("application/x-ndjson"), NDJSON));
    assert_true(http_media_type_is(SPAN("Application/X-NDJSON ; charset=utf-8"), NDJSON));
    assert_true(http_media_type_is(SPAN("application/x-ndjson;"), NDJSON));
    assert_false(http_media_type_is(SPAN("application/x-ndjsonx"), NDJSON));
    assert_false(http_media_type_is(SPAN("application/x-ndjson, text/plain"), NDJSON));
    assert_false(http_media_type_is(SPAN("text/plain; x=application/x-ndjson"), NDJSON));
    assert_false(http_media_type_is(SPAN(""), NDJSON));
    assert_false(http_media_type_is((struct span){NULL, 0}, NDJSON));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_takes_escapes_and_nothing_else),
        cmocka_unit_test(decoding_refuses_bad_escapes_and_line_ends_H19),
        cmocka_unit_test(decoding_needs_room_for_what_it_decodes),
        cmocka_unit_test(a_query_finds_the_first_of_a_name),
        cmocka_unit_test(accept_is_read_as_the_standard_says),
        cmocka_unit_test(eight_kilobytes_of_junk_are_read_to_their_end_H28),
        cmocka_unit_test(a_media_type_is_compared_without_its_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
