/* Frames byte by byte where the format is promised, and everything else through the decoders: what a client reads is
 * what was published, in all four profiles, for any payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above before its own. */
#include <cmocka.h>
#include <jansson.h>

#include "stream_decoder.h"
#include "wire/stream.h"

static const struct stream_profile sse = {STREAM_SSE, false}, sse_chunked = {STREAM_SSE, true};
static const struct stream_profile ndjson = {STREAM_NDJSON, false}, ndjson_chunked = {STREAM_NDJSON, true};

static const struct stream_profile profiles[] = {
    {STREAM_SSE, false}, {STREAM_SSE, true}, {STREAM_NDJSON, false}, {STREAM_NDJSON, true}};

static struct stream_event event_of(const char *id, const char *kind, struct span payload) {
    return (struct stream_event){span_of(id), span_of(kind), payload};
}

/* Calls `write` twice: without room for the size, then with exactly that, guarded on both sides. */
static struct bytes written(struct stream_profile profile, const struct stream_event *event) {
    size_t size = stream_write_event(NULL, 0, profile, event);
    char *memory = malloc(size + 2);
    assert_non_null(memory);
    memset(memory, 0x5A, size + 2);
    assert_int_equal(stream_write_event(memory + 1, size, profile, event), size);
    assert_int_equal(memory[0], 0x5A);
    assert_int_equal(memory[size + 1], 0x5A);
    struct bytes bytes = {0};
    bytes_append(&bytes, memory + 1, size);
    free(memory);
    return bytes;
}

static void assert_event(struct stream_profile profile, struct stream_event event, const char *expected) {
    struct bytes bytes = written(profile, &event);
    assert_string_equal(bytes.data, expected);
    bytes_free(&bytes);
}

/* ---- Bytes -------------------------------------------------------------------------------------------------- */

static void an_event_in_sse(void **state) {
    (void)state;
    assert_event(sse, event_of("E.5", "", SPAN("hello")), "id: E.5\ndata: hello\n\n");
    assert_event(sse, event_of("E.5", "tick", SPAN("hello")), "id: E.5\nevent: tick\ndata: hello\n\n");
    assert_event(sse_chunked, event_of("E.5", "", SPAN("hello")), "15\r\nid: E.5\ndata: hello\n\n\r\n");
}

static void lines_of_a_payload_are_data_lines_S04(void **state) {
    (void)state;
    assert_event(sse, event_of("1", "", SPAN("a\nb")), "id: 1\ndata: a\ndata: b\n\n");
    assert_event(sse, event_of("1", "", SPAN("a\rb")), "id: 1\ndata: a\ndata: b\n\n");
    assert_event(sse, event_of("1", "", SPAN("a\r\nb")), "id: 1\ndata: a\ndata: b\n\n");
    assert_event(sse, event_of("1", "", SPAN("a\n\rb")), "id: 1\ndata: a\ndata: \ndata: b\n\n");
    assert_event(sse, event_of("1", "", SPAN("a\r\r\nb")), "id: 1\ndata: a\ndata: \ndata: b\n\n");
    assert_event(sse, event_of("1", "", SPAN("\na")), "id: 1\ndata: \ndata: a\n\n");
    assert_event(sse, event_of("1", "", SPAN("a\n")), "id: 1\ndata: a\ndata: \n\n");
    assert_event(sse, event_of("1", "", SPAN("a\r\n")), "id: 1\ndata: a\ndata: \n\n");
    assert_event(sse, event_of("1", "", SPAN("\n")), "id: 1\ndata: \ndata: \n\n");
}

/* An event that is only an id has a data line nevertheless (S12). */
static void an_empty_payload_and_one_that_starts_with_a_space_S06(void **state) {
    (void)state;
    assert_event(sse, event_of("1", "", SPAN("")), "id: 1\ndata: \n\n");
    assert_event(sse, event_of("1", "", (struct span){NULL, 0}), "id: 1\ndata: \n\n");
    assert_event(sse, event_of("1", "", SPAN(" x")), "id: 1\ndata:  x\n\n");
    assert_event(sse, event_of("1", "", SPAN(":x")), "id: 1\ndata: :x\n\n");
}

static void a_payload_cannot_forge_a_frame_S05(void **state) {
    (void)state;
    assert_event(sse, event_of("1", "", SPAN("x\n\nevent: admin\rid: 9")),
                 "id: 1\ndata: x\ndata: \ndata: event: admin\ndata: id: 9\n\n");
}

static void ids_and_kinds_cannot_forge_a_line_S01_S02(void **state) {
    (void)state;
    const char *breaks[] = {"\r", "\n", "\r\n"};
    for (size_t i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof(text), "safe%sdata: evil", breaks[i]);
        assert_event(sse, event_of(text, text, SPAN("x")), "id: safe\nevent: safe\ndata: x\n\n");
        snprintf(text, sizeof(text), "%sdata: evil", breaks[i]);
        assert_event(sse, event_of(text, text, SPAN("x")), "data: x\n\n");
    }
    struct stream_event event = {{"a\0b", 3}, {"c\0d", 3}, SPAN("x")};
    assert_event(sse, event, "id: a\nevent: c\ndata: x\n\n");
}

static void an_event_in_ndjson(void **state) {
    (void)state;
    assert_event(ndjson, event_of("E.5", "", SPAN("hello")), "{\"id\":\"E.5\",\"data\":\"hello\"}\n");
    assert_event(ndjson, event_of("E.5", "tick", SPAN("hello")),
                 "{\"id\":\"E.5\",\"event\":\"tick\",\"data\":\"hello\"}\n");
    assert_event(ndjson, event_of("1", "", SPAN("a\r\n\"\\\x01\xE2\x80\xA8")),
                 "{\"id\":\"1\",\"data\":\"a\\r\\n\\\"\\\\\\u0001\\u2028\"}\n");
    assert_event(ndjson_chunked, event_of("1", "", SPAN("")), "15\r\n{\"id\":\"1\",\"data\":\"\"}\n\r\n");
}

static void chunk_sizes_have_exactly_the_digits_they_need(void **state) {
    (void)state;
    static char payload[70000];
    memset(payload, 'x', sizeof(payload));
    const size_t sizes[] = {1, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 65535, 65536, 65537};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t overhead = sizes[i] > strlen("data: \n\n") ? strlen("data: \n\n") : sizes[i];
        struct stream_event event = event_of("", "", (struct span){payload, sizes[i] - overhead});
        struct bytes bytes = written(sse_chunked, &event);
        char header[32];
        snprintf(header, sizeof(header), "%zx\r\n", sizes[i] - overhead + strlen("data: \n\n"));
        assert_memory_equal(bytes.data, header, strlen(header));
        bytes_free(&bytes);
    }
}

/* ---- Control frames ----------------------------------------------------------------------------------------- */

static const struct stream_gap known_gap = {SPAN("EEEEEEEEEEE"), 3, 17, 15, true, SPAN("evicted")};
static const struct stream_gap unknown_gap = {SPAN("EEEEEEEEEEE"), 8, 7, 0, false, SPAN("epoch")};

static void assert_frame(const char *frame, size_t size, const char *expected) {
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(frame, expected, size);
}

static void gaps_name_what_is_lost(void **state) {
    (void)state;
    char out[256];
    assert_frame(out, stream_write_gap(out, sizeof(out), sse, &known_gap),
                 "event: gap\ndata: {\"first\":3,\"last\":17,\"lost\":15,\"reason\":\"evicted\","
                 "\"epoch\":\"EEEEEEEEEEE\"}\n\n");
    assert_frame(
        out, stream_write_gap(out, sizeof(out), ndjson, &known_gap),
        "{\"gap\":{\"first\":3,\"last\":17,\"lost\":15,\"reason\":\"evicted\",\"epoch\":\"EEEEEEEEEEE\"}}\n");
    struct stream_gap single = {SPAN("E"), 9, 9, 1, true, SPAN("slow")};
    assert_frame(out, stream_write_gap(out, sizeof(out), ndjson, &single),
                 "{\"gap\":{\"first\":9,\"last\":9,\"lost\":1,\"reason\":\"slow\",\"epoch\":\"E\"}}\n");
    assert_frame(out, stream_write_gap(out, sizeof(out), sse, &unknown_gap),
                 "event: gap\ndata: {\"first\":null,\"last\":null,\"lost\":null,\"reason\":\"epoch\","
                 "\"epoch\":\"EEEEEEEEEEE\"}\n\n");
}

static void other_control_frames(void **state) {
    (void)state;
    char out[256];
    assert_frame(out, stream_write_end(out, sizeof(out), sse, SPAN("deleted")),
                 "event: end\ndata: {\"reason\":\"deleted\"}\n\n");
    assert_frame(out, stream_write_end(out, sizeof(out), ndjson, SPAN("deleted")),
                 "{\"end\":{\"reason\":\"deleted\"}}\n");
    assert_frame(out, stream_write_end(out, sizeof(out), sse, SPAN("a\n\nb")),
                 "event: end\ndata: {\"reason\":\"a\\n\\nb\"}\n\n");
    assert_frame(out, stream_write_heartbeat(out, sizeof(out), sse), ": keep-alive\n\n");
    assert_frame(out, stream_write_heartbeat(out, sizeof(out), sse_chunked), "e\r\n: keep-alive\n\n\r\n");
    assert_frame(out, stream_write_heartbeat(out, sizeof(out), ndjson), "{\"heartbeat\":true}\n");
    assert_frame(out, stream_write_retry(out, sizeof(out), sse, 1500), "retry: 1500\n\n");
    assert_frame(out, stream_write_retry(out, sizeof(out), sse, UINT32_MAX), "retry: 4294967295\n\n");
    assert_frame(out, stream_write_retry(out, sizeof(out), ndjson_chunked, 1500), "");
    assert_frame(out, stream_write_last_chunk(out, sizeof(out), sse_chunked), "0\r\n\r\n");
    assert_frame(out, stream_write_last_chunk(out, sizeof(out), sse), "");
}

/* One frame of each sort, in a row. */
static size_t write_any(int which, char *out, size_t capacity, struct stream_profile profile) {
    struct stream_event event = event_of("E.7", "tick", SPAN("one\ntwo \"three\"\r\n\x02"));
    switch (which) {
    case 0:
        return stream_write_event(out, capacity, profile, &event);
    case 1:
        return stream_write_gap(out, capacity, profile, &known_gap);
    case 2:
        return stream_write_gap(out, capacity, profile, &unknown_gap);
    case 3:
        return stream_write_end(out, capacity, profile, SPAN("deleted"));
    case 4:
        return stream_write_heartbeat(out, capacity, profile);
    case 5:
        return stream_write_retry(out, capacity, profile, 250);
    default:
        return stream_write_last_chunk(out, capacity, profile);
    }
}

static void a_frame_that_does_not_fit_writes_nothing_and_tells_its_size(void **state) {
    (void)state;
    for (size_t p = 0; p < 4; p++) {
        for (int which = 0; which <= 6; which++) {
            char whole[512], out[512];
            size_t size = write_any(which, whole, sizeof(whole), profiles[p]);
            for (size_t capacity = 0; capacity <= size; capacity++) {
                memset(out, 0x5A, sizeof(out));
                assert_int_equal(write_any(which, out, capacity, profiles[p]), size);
                for (size_t i = capacity < size ? 0 : size; i < sizeof(out); i++)
                    assert_int_equal(out[i], 0x5A);
                if (capacity == size) assert_memory_equal(out, whole, size);
            }
        }
    }
}

/* ---- Round trips -------------------------------------------------------------------------------------------- */

/* What a client has to get: line breaks become LF in SSE, and stay in NDJSON. */
static struct bytes as_client_sees(enum stream_format format, struct span payload) {
    struct bytes bytes = {0};
    bytes_append(&bytes, "", 0);
    for (size_t i = 0; i < payload.length; i++) {
        bool carriage = format == STREAM_SSE && payload.data[i] == '\r';
        bytes_append(&bytes, carriage ? "\n" : payload.data + i, 1);
        if (carriage && i + 1 < payload.length && payload.data[i + 1] == '\n') i++;
    }
    return bytes;
}

static bool decode(struct stream_profile profile, struct bytes wire, struct decoded_list *list) {
    struct bytes body = {0};
    bool complete = true, good = true;
    bytes_append(&body, "", 0);
    if (profile.chunked)
        good = decode_chunks(wire.data, wire.length, &body, &complete);
    else
        bytes_append(&body, wire.data, wire.length);
    if (good && profile.format == STREAM_SSE)
        good = decode_sse(body.data, body.length, list);
    else if (good)
        good = decode_ndjson(body.data, body.length, list);
    bytes_free(&body);
    return good;
}

static void assert_round_trip(const char *kind, struct span payload) {
    for (size_t p = 0; p < 4; p++) {
        struct stream_event event = event_of("AAAAAAAAAAA.42", kind, payload);
        struct bytes wire = written(profiles[p], &event);
        struct decoded_list list = {NULL, 0};
        assert_true(decode(profiles[p], wire, &list));
        assert_int_equal(list.count, 1);
        struct bytes expected = as_client_sees(profiles[p].format, payload);
        assert_int_equal(list.items[0].type, DECODED_EVENT);
        assert_true(bytes_equal(list.items[0].id, "AAAAAAAAAAA.42", 14));
        assert_true(bytes_equal(list.items[0].kind, kind, strlen(kind)));
        assert_true(bytes_equal(list.items[0].data, expected.data, expected.length));
        bytes_free(&expected);
        bytes_free(&wire);
        decoded_list_free(&list);
    }
}

static void payloads_of_special_texts_come_back_S06(void **state) {
    (void)state;
    const struct span payloads[] = {
        SPAN(""),
        SPAN(" "),
        SPAN("  two"),
        SPAN(":"),
        SPAN("data: x"),
        SPAN("\xEF\xBB\xBFwith a BOM"),
        SPAN("\0"),
        SPAN("a\0b\0"),
        SPAN("\x01\x02\x1F\x7F"),
        SPAN("\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA\xE2\x81\xA8"),
        SPAN("\xF0\x9F\x8C\x8A \xC3\xA9"),
        SPAN("{\"a\":[1,\"b\\n\"]}"),
        SPAN("\r"),
        SPAN("\n\n\n"),
        SPAN("\r\r\n\n\r"),
        SPAN("ends with a quote\""),
        SPAN("\\"),
        SPAN("0\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
        assert_round_trip("", payloads[i]);
        assert_round_trip("gap", payloads[i]); /* a kind that is named like a control frame still has an id */
        assert_round_trip("k.i~n_d-1", payloads[i]);
    }
}

static void every_short_payload_of_breaks_and_letters_comes_back_S04(void **state) {
    (void)state;
    const char alphabet[] = {'\r', '\n', 'a', ' ', ':', '"'};
    char payload[5];
    for (size_t length = 0; length <= 5; length++) {
        size_t variants = 1;
        for (size_t i = 0; i < length; i++)
            variants *= sizeof(alphabet);
        for (size_t variant = 0; variant < variants; variant++) {
            size_t rest = variant;
            for (size_t i = 0; i < length; i++, rest /= sizeof(alphabet))
                payload[i] = alphabet[rest % sizeof(alphabet)];
            assert_round_trip("", (struct span){payload, length});
        }
    }
}

/* Blocks are scanned sixteen bytes at a time: each special byte at each place around their edges. */
static void special_bytes_come_back_from_every_place(void **state) {
    (void)state;
    const struct span specials[] = {SPAN("\r"), SPAN("\n"),   SPAN("\r\n"),         SPAN("\""),          SPAN("\\"),
                                    SPAN("\0"), SPAN("\x1F"), SPAN("\xE2\x80\xA8"), SPAN("\xE2\x80\x99")};
    char payload[64];
    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++) {
        for (size_t length = specials[i].length; length <= 40; length++) {
            for (size_t at = 0; at + specials[i].length <= length; at++) {
                memset(payload, 'x', sizeof(payload));
                memcpy(payload + at, specials[i].data, specials[i].length);
                assert_round_trip("", (struct span){payload, length});
            }
        }
    }
}

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* The property that a stream stands on: any run of frames, of any sort, decodes to exactly those. */
static void a_run_of_frames_decodes_to_those_frames_S10(void **state) {
    (void)state;
    const enum decoded_type types[] = {DECODED_EVENT, DECODED_GAP,       DECODED_GAP,
                                       DECODED_END,   DECODED_HEARTBEAT, DECODED_RETRY};
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 2000; round++) {
        struct stream_profile profile = profiles[round % 4];
        struct bytes wire = {0};
        enum decoded_type expected[16];
        size_t count = 0;
        for (size_t i = next_random(&seed) % 16; i > 0; i--) {
            int which = (int)(next_random(&seed) % 6);
            char out[512];
            size_t size = write_any(which, out, sizeof(out), profile);
            bytes_append(&wire, out, size);
            if (size > 0) expected[count++] = types[which];
        }
        struct decoded_list list = {NULL, 0};
        assert_true(decode(profile, wire, &list));
        assert_int_equal(list.count, count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(list.items[i].type, expected[i]);
        bytes_free(&wire);
        decoded_list_free(&list);
    }
}

static void control_frames_do_not_move_the_cursor(void **state) {
    (void)state;
    struct bytes wire = {0};
    char out[512];
    for (int which = 0; which <= 5; which++)
        bytes_append(&wire, out, write_any(which, out, sizeof(out), sse));
    struct decoded_list list = {NULL, 0};
    assert_true(decode_sse(wire.data, wire.length, &list));
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].type == DECODED_GAP || list.items[i].type == DECODED_END)
            assert_true(bytes_equal(list.items[i].id, "E.7", 3));
    bytes_free(&wire);
    decoded_list_free(&list);
}

static void gaps_are_json_in_both_formats(void **state) {
    (void)state;
    struct stream_gap gap = {SPAN("EPO\"CH"), 0, UINT64_MAX, UINT64_MAX, true, SPAN("new\nline")};
    for (size_t p = 0; p < 4; p++) {
        char out[512];
        struct bytes wire = {0};
        bytes_append(&wire, out, stream_write_gap(out, sizeof(out), profiles[p], &gap));
        struct decoded_list list = {NULL, 0};
        struct stream_profile profile = profiles[p];
        if (profile.format == STREAM_NDJSON) { /* jansson has no 64-bit unsigned: look at the text */
            assert_non_null(strstr(wire.data, "\"last\":18446744073709551615,\"lost\":18446744073709551615,"
                                              "\"reason\":\"new\\nline\",\"epoch\":\"EPO\\\"CH\""));
        } else {
            assert_true(decode(profile, wire, &list));
            assert_int_equal(list.count, 1);
            assert_string_equal(list.items[0].data.data,
                                "{\"first\":0,\"last\":18446744073709551615,\"lost\":18446744073709551615,"
                                "\"reason\":\"new\\nline\",\"epoch\":\"EPO\\\"CH\"}");
        }
        bytes_free(&wire);
        decoded_list_free(&list);
    }
    char out[512];
    size_t size = stream_write_gap(out, sizeof(out), ndjson, &unknown_gap);
    json_t *object = json_loadb(out, size, 0, NULL);
    assert_true(json_is_null(json_object_get(json_object_get(object, "gap"), "first")));
    assert_true(json_is_null(json_object_get(json_object_get(object, "gap"), "lost")));
    json_decref(object);
}

/* The decoders are the judges here, so they must be able to say no. */
static void the_decoders_refuse_what_is_wrong(void **state) {
    (void)state;
    const char *bad_sse[] = {"data: x\n", "data: x", "dat: x\n\n", "data: x\r\n\n", "event: x\n", "retry: x\n\n"};
    const char *bad_ndjson[] = {"{}\n",
                                "{\"id\":\"1\",\"data\":\"x\"}",
                                "{\"data\":\"x\"}\n",
                                "[1]\n",
                                "x\n",
                                "{\"id\":\"1\",\"data\":\"x\",\"more\":1}\n",
                                "{\"id\":\"1\",\"data\":1}\n",
                                "\n"};
    const char *bad_chunks[] = {"1\r\nx",   "1\r\nx\r",   "01\r\nx\r\n", "A\r\n0123456789\r\n",
                                "1\nx\r\n", "\r\n",       "2\r\nx\r\n",  "0\r\n\r\n0\r\n\r\n",
                                "g\r\n",    "1\r\nxy\r\n"};
    struct decoded_list list = {NULL, 0};
    for (size_t i = 0; i < sizeof(bad_sse) / sizeof(bad_sse[0]); i++)
        assert_false(decode_sse(bad_sse[i], strlen(bad_sse[i]), &list));
    for (size_t i = 0; i < sizeof(bad_ndjson) / sizeof(bad_ndjson[0]); i++)
        assert_false(decode_ndjson(bad_ndjson[i], strlen(bad_ndjson[i]), &list));
    for (size_t i = 0; i < sizeof(bad_chunks) / sizeof(bad_chunks[0]); i++) {
        struct bytes body = {0};
        bool complete;
        assert_false(decode_chunks(bad_chunks[i], strlen(bad_chunks[i]), &body, &complete));
        bytes_free(&body);
    }
    decoded_list_free(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_in_sse),
        cmocka_unit_test(lines_of_a_payload_are_data_lines_S04),
        cmocka_unit_test(an_empty_payload_and_one_that_starts_with_a_space_S06),
        cmocka_unit_test(a_payload_cannot_forge_a_frame_S05),
        cmocka_unit_test(ids_and_kinds_cannot_forge_a_line_S01_S02),
        cmocka_unit_test(an_event_in_ndjson),
        cmocka_unit_test(chunk_sizes_have_exactly_the_digits_they_need),
        cmocka_unit_test(gaps_name_what_is_lost),
        cmocka_unit_test(other_control_frames),
        cmocka_unit_test(a_frame_that_does_not_fit_writes_nothing_and_tells_its_size),
        cmocka_unit_test(payloads_of_special_texts_come_back_S06),
        cmocka_unit_test(every_short_payload_of_breaks_and_letters_comes_back_S04),
        cmocka_unit_test(special_bytes_come_back_from_every_place),
        cmocka_unit_test(a_run_of_frames_decodes_to_those_frames_S10),
        cmocka_unit_test(control_frames_do_not_move_the_cursor),
        cmocka_unit_test(gaps_are_json_in_both_formats),
        cmocka_unit_test(the_decoders_refuse_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
