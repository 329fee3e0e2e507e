#include "reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* ---- Answers -------------------------------------------------------------------------------------------------- */

#define HEAD_MAX 4096u /* of an answer: to look further would make reading many answers quadratic */

static const char *find_text(const char *data, size_t length, const char *text) {
    return memmem(data, length, text, strlen(text));
}

bool answer_has(const struct answer *answer, const char *line) {
    char wanted[160];
    snprintf(wanted, sizeof(wanted), "\r\n%s\r\n", line);
    return find_text(answer->head, answer->head_length, wanted) != NULL;
}

static bool read_length(const struct answer *answer, size_t *length) {
    const char *field = find_text(answer->head, answer->head_length, "\r\nContent-Length: ");
    if (field == NULL) return false;
    *length = strtoul(field + 18, NULL, 10);
    return true;
}

static bool is_bodiless(unsigned status) {
    return status < 200 || status == 204;
}

bool answer_read(const char *data, size_t length, bool headless_body, struct answer *answer) {
    memset(answer, 0, sizeof(*answer));
    assert_memory_equal(data, "HTTP/1.1 ", length < 9 ? length : 9);
    const char *end = find_text(data, length < HEAD_MAX ? length : HEAD_MAX, "\r\n\r\n");
    if (end == NULL) {
        assert_true(length < HEAD_MAX);
        return false;
    }
    answer->status = (unsigned)strtoul(data + 9, NULL, 10);
    answer->head = data;
    answer->head_length = (size_t)(end - data) + 2;
    answer->body = end + 4;
    size_t there = length - (answer->head_length + 2);
    size_t announced = 0;
    answer->chunked = answer_has(answer, "Transfer-Encoding: chunked");
    bool counted = read_length(answer, &announced);
    assert_false(answer->chunked && counted);
    if (headless_body || is_bodiless(answer->status)) {
        announced = 0;
    } else if (!counted) {
        answer->endless = !answer->chunked;
        announced = there;
    }
    answer->body_length = announced;
    answer->size = answer->head_length + 2 + announced;
    return there >= announced;
}

struct answer answer_of(const struct simulated_peer *peer, unsigned index) {
    size_t length;
    const char *data = simulated_sent(peer, &length);
    struct answer answer;
    for (unsigned i = 0;; i++) {
        assert_true(answer_read(data, length, false, &answer));
        if (i == index) return answer;
        data += answer.size;
        length -= answer.size;
    }
}

unsigned answer_count(const struct simulated_peer *peer) {
    size_t length;
    const char *data = simulated_sent(peer, &length);
    struct answer answer;
    unsigned count = 0;
    while (length > 0 && answer_read(data, length, false, &answer)) {
        data += answer.size;
        length -= answer.size;
        count++;
    }
    assert_int_equal(length, 0);
    return count;
}

/* ---- Streams -------------------------------------------------------------------------------------------------- */

#define CHUNK_LINE_MAX 20u /* of a size of 64 bits in hex, and its line end */

/* How many bytes of a chunked body are whole chunks. */
static size_t whole_chunks(const char *data, size_t length) {
    size_t at = 0;
    for (;;) {
        size_t left = length - at < CHUNK_LINE_MAX ? length - at : CHUNK_LINE_MAX;
        const char *end = find_text(data + at, left, "\r\n");
        if (end == NULL) return at;
        size_t size = strtoul(data + at, NULL, 16);
        size_t next = (size_t)(end - data) + 2 + size + 2;
        if (next > length) return at;
        at = next;
    }
}

static size_t whole_frames(const char *data, size_t length, bool ndjson) {
    while (length > 0 && (data[length - 1] != '\n' || (!ndjson && (length < 2 || data[length - 2] != '\n'))))
        length--;
    return length;
}

bool stream_text_read(const struct simulated_peer *peer, unsigned index, struct stream_text *text) {
    size_t length;
    const char *data = simulated_sent(peer, &length);
    memset(text, 0, sizeof(*text));
    for (unsigned i = 0;; i++) {
        if (!answer_read(data, length, false, &text->answer)) return false;
        if (i == index) break;
        data += text->answer.size;
        length -= text->answer.size;
    }
    if (text->answer.status != 200) return false;
    text->ndjson = answer_has(&text->answer, "Content-Type: application/x-ndjson");
    if (!text->ndjson) assert_true(answer_has(&text->answer, "Content-Type: text/event-stream"));
    struct bytes body = {0};
    if (text->answer.chunked) {
        size_t whole = whole_chunks(text->answer.body, text->answer.body_length);
        assert_true(decode_chunks(text->answer.body, whole, &body, &text->ended));
        if (text->ended) assert_int_equal(whole, text->answer.body_length);
        assert_int_equal(whole_frames(body.data, body.length, text->ndjson), body.length); /* a frame is a chunk */
    } else {
        bytes_append(&body, text->answer.body,
                     whole_frames(text->answer.body, text->answer.body_length, text->ndjson));
    }
    bool good = text->ndjson ? decode_ndjson(body.data, body.length, &text->frames)
                             : decode_sse(body.data, body.length, &text->frames);
    bytes_free(&body);
    assert_true(good);
    return true;
}

void stream_text_free(struct stream_text *text) {
    decoded_list_free(&text->frames);
}

uint64_t frame_sequence(const struct decoded *frame) {
    assert_int_equal(frame->type, DECODED_EVENT);
    const char *dot = frame->id.data != NULL ? strchr(frame->id.data, '.') : NULL;
    assert_non_null(dot);
    return strtoull(dot + 1, NULL, 10);
}

static bool take_number(const json_t *object, const char *key, uint64_t *number) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_integer(value) || json_is_null(value));
    *number = (uint64_t)json_integer_value(value);
    return json_is_integer(value);
}

struct frame_gap frame_gap(const struct decoded *frame) {
    struct frame_gap gap = {0};
    assert_int_equal(frame->type, DECODED_GAP);
    json_t *object = json_loadb(frame->data.data, frame->data.length, 0, NULL);
    assert_true(json_is_object(object));
    gap.range = take_number(object, "first", &gap.first);
    assert_int_equal(take_number(object, "last", &gap.last), gap.range);
    gap.lost_known = take_number(object, "lost", &gap.lost);
    snprintf(gap.reason, sizeof(gap.reason), "%s", json_string_value(json_object_get(object, "reason")));
    snprintf(gap.epoch, sizeof(gap.epoch), "%s", json_string_value(json_object_get(object, "epoch")));
    json_decref(object);
    return gap;
}

unsigned count_frames(const struct stream_text *text, enum decoded_type type) {
    unsigned count = 0;
    for (size_t i = 0; i < text->frames.count; i++)
        count += text->frames.items[i].type == type;
    return count;
}

void expect_numbers(const struct simulated_peer *peer, unsigned first, unsigned last) {
    struct stream_text text;
    assert_true(stream_text_read(peer, 0, &text));
    size_t at = 0;
    if (!text.ndjson) {
        assert_true(text.frames.count > 0);
        assert_int_equal(text.frames.items[at++].type, DECODED_RETRY);
    }
    for (unsigned i = first; i <= last; i++, at++) {
        assert_true(at < text.frames.count);
        assert_int_equal(text.frames.items[at].type, DECODED_EVENT);
        assert_int_equal(strtoul(text.frames.items[at].data.data, NULL, 10), i);
    }
    assert_int_equal(at, text.frames.count);
    stream_text_free(&text);
}
