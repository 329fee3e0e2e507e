#include "sse_decoder.h"

#include <stdlib.h>
#include <string.h>

#include "wire/text.h"

static bool append_text(struct sse_text *text, const char *bytes, size_t length, size_t limit) {
    if (length > limit - text->length) return false;
    if (text->length + length > text->capacity) {
        size_t capacity = text->capacity < 256 ? 256 : text->capacity;
        while (capacity < text->length + length) {
            capacity *= 2;
        }
        char *grown = realloc(text->bytes, capacity);
        if (grown == NULL) return false;
        text->bytes = grown;
        text->capacity = capacity;
    }
    if (length > 0) memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    return true;
}

void sse_decoder_init(struct sse_decoder *decoder, size_t limit, sse_event_function deliver, void *context) {
    memset(decoder, 0, sizeof *decoder);
    decoder->limit = limit;
    decoder->deliver = deliver;
    decoder->context = context;
    decoder->first_line = true;
}

void sse_decoder_free(struct sse_decoder *decoder) {
    free(decoder->line.bytes);
    free(decoder->data.bytes);
    memset(decoder, 0, sizeof *decoder);
}

static void begin_block(struct sse_decoder *decoder) {
    decoder->data.length = 0;
    decoder->kind_length = 0;
    decoder->has_id = false;
}

void sse_decoder_restart(struct sse_decoder *decoder) {
    begin_block(decoder);
    decoder->line.length = 0;
    decoder->after_cr = false;
    decoder->first_line = true;
    memcpy(decoder->id, decoder->last_id, decoder->last_id_length);
    decoder->id_length = decoder->last_id_length;
}

static void commit_id(struct sse_decoder *decoder) {
    memcpy(decoder->last_id, decoder->id, decoder->id_length);
    decoder->last_id_length = decoder->id_length;
    decoder->last_id[decoder->id_length] = '\0';
}

bool sse_decoder_set_last_id(struct sse_decoder *decoder, const char *id) {
    size_t length = strlen(id);
    if (length > SSE_ID_MAX) return false;
    memcpy(decoder->id, id, length);
    decoder->id_length = length;
    commit_id(decoder);
    return true;
}

/* The blank line. The id moves even when there is nothing to dispatch. */
static void end_block(struct sse_decoder *decoder) {
    commit_id(decoder);
    if (decoder->data.length > 0) {
        struct sse_event event = {
            .kind = {decoder->kind, decoder->kind_length},
            .data = {decoder->data.bytes, decoder->data.length - 1},
            .last_id = {decoder->last_id, decoder->last_id_length},
            .has_id = decoder->has_id,
        };
        decoder->deliver(decoder->context, &event);
    }
    begin_block(decoder);
}

static void take_retry(struct sse_decoder *decoder, struct span value) {
    if (value.length == 0) return;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return;
    }
    uint64_t ms;
    decoder->retry_ms = text_parse_u64(value, &ms) && ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    decoder->has_retry = true;
}

static bool take_field(struct sse_decoder *decoder, struct span name, struct span value) {
    if (span_equal(name, SPAN("data"))) {
        return append_text(&decoder->data, value.data, value.length, decoder->limit) &&
               append_text(&decoder->data, "\n", 1, decoder->limit);
    }
    if (span_equal(name, SPAN("event"))) {
        if (value.length > SSE_KIND_MAX) return false;
        memcpy(decoder->kind, value.data, value.length);
        decoder->kind_length = value.length;
    } else if (span_equal(name, SPAN("id"))) {
        if (memchr(value.data, '\0', value.length) != NULL) return true; /* the standard: such an id is ignored */
        if (value.length > SSE_ID_MAX) return false;
        memcpy(decoder->id, value.data, value.length);
        decoder->id_length = value.length;
        decoder->has_id = true;
    } else if (span_equal(name, SPAN("retry"))) {
        take_retry(decoder, value);
    }
    return true;
}

static bool take_line(struct sse_decoder *decoder, struct span line) {
    if (decoder->first_line) {
        decoder->first_line = false;
        if (line.length >= 3 && memcmp(line.data, "\xEF\xBB\xBF", 3) == 0) {
            line.data += 3;
            line.length -= 3;
        }
    }
    if (line.length == 0) {
        end_block(decoder);
        return true;
    }
    const char *colon = memchr(line.data, ':', line.length);
    if (colon == line.data) return true; /* a comment */
    if (colon == NULL) return take_field(decoder, line, (struct span){line.data + line.length, 0});
    struct span name = {line.data, (size_t)(colon - line.data)};
    struct span value = {colon + 1, line.length - name.length - 1};
    if (value.length > 0 && value.data[0] == ' ') {
        value.data++;
        value.length--;
    }
    return take_field(decoder, name, value);
}

/* One of its eight bytes is `byte`: the usual trick that makes the highest bit of a byte that has become zero. */
static bool has_byte(uint64_t word, char byte) {
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t zeroed = word ^ (ones * (unsigned char)byte);
    return ((zeroed - ones) & ~zeroed & ones << 7) != 0;
}

/* Where the line that starts at `data` ends: the place of its CR or LF, or `end`. */
static const char *find_line_end(const char *data, const char *end) {
    for (; end - data >= 8; data += 8) {
        uint64_t word;
        memcpy(&word, data, sizeof word);
        if (has_byte(word, '\n') || has_byte(word, '\r')) break;
    }
    while (data < end && *data != '\n' && *data != '\r') {
        data++;
    }
    return data;
}

bool sse_decoder_feed(struct sse_decoder *decoder, const char *data, size_t length) {
    const char *end = data + length;
    while (data < end) {
        if (decoder->after_cr) {
            decoder->after_cr = false;
            if (*data == '\n') {
                data++;
                continue;
            }
        }
        const char *stop = find_line_end(data, end);
        struct span line = {data, (size_t)(stop - data)};
        if (stop == end || decoder->line.length > 0) {
            if (!append_text(&decoder->line, line.data, line.length, decoder->limit)) return false;
            line = (struct span){decoder->line.bytes, decoder->line.length};
        }
        if (stop == end) return true;
        decoder->after_cr = *stop == '\r';
        data = stop + 1;
        if (!take_line(decoder, line)) return false;
        decoder->line.length = 0;
    }
    return true;
}
