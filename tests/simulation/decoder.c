#include "decoder.h"

#include <stdlib.h>
#include <string.h>

#include "json_text.h"

void decoder_start(struct decoder *decoder, uint32_t bodiless) {
    decoder->phase = PHASE_HEAD;
    decoder->problem = NULL;
    decoder->bodiless = bodiless;
    decoder->answers = 0;
    decoder->streaming = decoder->ndjson = decoder->stream_seen = false;
    decoder->head_length = decoder->body_length = decoder->body_left = 0;
    decoder->chunk_left = decoder->chunk_digits = 0;
    decoder->line_length = decoder->data_length = decoder->id_length = decoder->kind_length = 0;
    decoder->data_seen = decoder->id_seen = decoder->kind_seen = false;
}

static bool broken(struct decoder *decoder, const char *problem) {
    decoder->problem = problem;
    return false;
}

/* ---- Event streams ------------------------------------------------------------------------------------------------ */

static void give(struct decoder *decoder, enum frame_type type, uint64_t retry_ms) {
    struct frame frame = {.type = type,
                          .id = decoder->id,
                          .id_length = decoder->id_length,
                          .kind = decoder->kind,
                          .kind_length = decoder->kind_length,
                          .data = decoder->data,
                          .length = decoder->data_length,
                          .retry_ms = retry_ms};
    decoder->frame(decoder->context, &frame);
}

static bool is_kind(const struct decoder *decoder, const char *kind) {
    return decoder->kind_length == strlen(kind) && memcmp(decoder->kind, kind, decoder->kind_length) == 0;
}

static bool take_blank_line(struct decoder *decoder) {
    if (decoder->data_seen) {
        decoder->data_length--; /* the last LF does not count */
        enum frame_type type = FRAME_EVENT;
        if (!decoder->id_seen && is_kind(decoder, "gap"))
            type = FRAME_GAP;
        else if (!decoder->id_seen && is_kind(decoder, "end"))
            type = FRAME_END;
        else if (!decoder->id_seen)
            return broken(decoder, "an event without an id");
        give(decoder, type, 0);
    } else if (decoder->id_seen || decoder->kind_seen) {
        return broken(decoder, "an event without data");
    }
    decoder->data_length = decoder->kind_length = 0;
    decoder->data_seen = decoder->id_seen = decoder->kind_seen = false;
    return true;
}

static bool keep_short(char *place, size_t *place_length, size_t most, const char *value, size_t length) {
    if (length > most) return false;
    memcpy(place, value, length);
    *place_length = length;
    return true;
}

static bool take_data(struct decoder *decoder, const char *value, size_t length) {
    if (decoder->data_length + length + 1 > TEXT_MOST)
        return broken(decoder, "an event longer than any that was published");
    memcpy(decoder->data + decoder->data_length, value, length);
    decoder->data_length += length;
    decoder->data[decoder->data_length++] = '\n';
    decoder->data_seen = true;
    return true;
}

static bool take_retry(struct decoder *decoder, const char *value, size_t length) {
    uint64_t number = 0;
    if (length == 0 || length > 9) return broken(decoder, "a retry that is none");
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9') return broken(decoder, "a retry that is no number");
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    give(decoder, FRAME_RETRY, number);
    return true;
}

static bool is_field(const char *line, size_t length, const char *name) {
    return length == strlen(name) && memcmp(line, name, length) == 0;
}

static bool take_field(struct decoder *decoder, const char *line, size_t length) {
    const char *colon = memchr(line, ':', length);
    size_t name = colon != NULL ? (size_t)(colon - line) : length;
    const char *value = colon != NULL ? colon + 1 : line + length;
    size_t left = (size_t)(line + length - value);
    if (left > 0 && *value == ' ') value++, left--;
    if (is_field(line, name, "data")) return take_data(decoder, value, left);
    if (is_field(line, name, "retry")) return take_retry(decoder, value, left);
    if (is_field(line, name, "event")) {
        decoder->kind_seen = true;
        return keep_short(decoder->kind, &decoder->kind_length, sizeof(decoder->kind), value, left) ||
               broken(decoder, "an over-long event name");
    }
    if (is_field(line, name, "id")) {
        decoder->id_seen = true;
        if (memchr(value, 0, left) != NULL) return broken(decoder, "an id that clients pass over");
        return keep_short(decoder->id, &decoder->id_length, sizeof(decoder->id), value, left) ||
               broken(decoder, "an over-long id");
    }
    return broken(decoder, "an unknown field");
}

static bool take_sse_line(struct decoder *decoder, const char *line, size_t length) {
    if (memchr(line, '\r', length) != NULL) return broken(decoder, "a CR, which clients take for a line end");
    if (length == 0) return take_blank_line(decoder);
    if (line[0] != ':') return take_field(decoder, line, length);
    give(decoder, FRAME_HEARTBEAT, 0);
    return true;
}

/* ---- NDJSON ------------------------------------------------------------------------------------------------------- */

static bool take_control(struct decoder *decoder, const struct json_member *member, enum frame_type type) {
    decoder->data_length = member->length;
    memcpy(decoder->data, member->text, member->length);
    give(decoder, type, 0);
    return true;
}

static bool take_json_event(struct decoder *decoder, const struct json_member *members, int count) {
    const struct json_member *id = json_find(members, count, "id");
    const struct json_member *data = json_find(members, count, "data");
    const struct json_member *kind = json_find(members, count, "event");
    if (id == NULL || data == NULL || id->type != JSON_STRING_VALUE || data->type != JSON_STRING_VALUE ||
        count != (kind != NULL ? 3 : 2))
        return broken(decoder, "an object that is no event");
    if (kind != NULL && (kind->type != JSON_STRING_VALUE || kind->length == 0))
        return broken(decoder, "an event kind that is none");
    struct frame frame = {.type = FRAME_EVENT,
                          .id = id->text,
                          .id_length = id->length,
                          .kind = kind != NULL ? kind->text : "",
                          .kind_length = kind != NULL ? kind->length : 0,
                          .data = data->text,
                          .length = data->length};
    decoder->frame(decoder->context, &frame);
    return true;
}

static bool take_json_line(struct decoder *decoder, const char *line, size_t length) {
    struct json_member members[4];
    int count = json_members(line, length, members, 4, decoder->data);
    if (count < 1) return broken(decoder, "a line that is no JSON object");
    enum json_type type = members[0].type;
    if (count > 1) return take_json_event(decoder, members, count);
    if (json_find(members, 1, "gap") && type == JSON_OBJECT_VALUE) return take_control(decoder, members, FRAME_GAP);
    if (json_find(members, 1, "end") && type == JSON_OBJECT_VALUE) return take_control(decoder, members, FRAME_END);
    if (json_find(members, 1, "heartbeat") == NULL || type != JSON_TRUE_VALUE)
        return broken(decoder, "an object that is no frame");
    give(decoder, FRAME_HEARTBEAT, 0);
    return true;
}

/* ---- Lines -------------------------------------------------------------------------------------------------------- */

static bool take_line(struct decoder *decoder, const char *line, size_t length) {
    return decoder->ndjson ? take_json_line(decoder, line, length) : take_sse_line(decoder, line, length);
}

static bool take_stream(struct decoder *decoder, const char *data, size_t length) {
    while (length > 0) {
        const char *end = memchr(data, '\n', length);
        size_t piece = end != NULL ? (size_t)(end - data) : length;
        if (decoder->line_length + piece > TEXT_MOST) return broken(decoder, "a line longer than any event");
        memcpy(decoder->line + decoder->line_length, data, piece);
        decoder->line_length += piece;
        if (end == NULL) return true;
        size_t whole = decoder->line_length;
        decoder->line_length = 0;
        if (!take_line(decoder, decoder->line, whole)) return false;
        data += piece + 1;
        length -= piece + 1;
    }
    return true;
}

static bool between_frames(const struct decoder *decoder) {
    return decoder->line_length == 0 && !decoder->data_seen && !decoder->id_seen && !decoder->kind_seen;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------------- */

static int digit_value(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* One byte of a chunk's size line. */
static bool take_size(struct decoder *decoder, char letter) {
    int digit = digit_value(letter);
    if (decoder->line_length == 0 && digit >= 0) { /* line_length 1: behind CR */
        if (decoder->chunk_digits > 0 && decoder->chunk_left == 0)
            return broken(decoder, "a chunk size with a zero in front");
        if (++decoder->chunk_digits > 7) return broken(decoder, "a chunk of absurd size");
        decoder->chunk_left = decoder->chunk_left * 16 + (size_t)digit;
        return true;
    }
    if (decoder->chunk_digits > 0 && letter == "\r\n"[decoder->line_length]) {
        decoder->line_length++;
        if (decoder->line_length < 2) return true;
        decoder->line_length = 0;
        decoder->chunk_digits = decoder->chunk_left == 0 ? 1 : 0; /* of the last chunk it stays set */
        decoder->phase = decoder->chunk_left == 0 ? PHASE_CHUNK_END : PHASE_CHUNK_DATA;
        return true;
    }
    return broken(decoder, "a chunk size that is none");
}

/* The line end behind a chunk's data; behind the last chunk it is the end. */
static bool take_chunk_end(struct decoder *decoder, char letter) {
    if (letter != "\r\n"[decoder->body_length]) return broken(decoder, "a chunk without its line end");
    if (++decoder->body_length < 2) return true;
    decoder->body_length = 0;
    decoder->phase = decoder->chunk_digits > 0 ? PHASE_OVER : PHASE_CHUNK_SIZE;
    return true;
}

static bool take_chunk_data(struct decoder *decoder, const char *data, size_t *length) {
    if (*length > decoder->chunk_left) *length = decoder->chunk_left;
    decoder->chunk_left -= *length;
    if (!take_stream(decoder, data, *length)) return false;
    if (decoder->chunk_left > 0) return true;
    decoder->phase = PHASE_CHUNK_END;
    return between_frames(decoder) || broken(decoder, "a chunk that ends inside a frame");
}

/* ---- Heads and bodies --------------------------------------------------------------------------------------------- */

static const char *field_of(const struct decoder *decoder, const char *name, size_t *length) {
    const char *found = memmem(decoder->head, decoder->head_length, name, strlen(name));
    if (found == NULL) return NULL;
    found += strlen(name);
    const char *end = memmem(found, decoder->head_length - (size_t)(found - decoder->head), "\r\n", 2);
    *length = (size_t)(end - found);
    return found;
}

static bool has_value(const struct decoder *decoder, const char *name, const char *value) {
    size_t length;
    const char *found = field_of(decoder, name, &length);
    return found != NULL && length == strlen(value) && memcmp(found, value, length) == 0;
}

static void end_answer(struct decoder *decoder) {
    struct answer_heard answer = {decoder->status, decoder->body, decoder->body_length};
    decoder->phase = PHASE_HEAD;
    decoder->head_length = decoder->body_length = 0;
    if (decoder->status >= 200) decoder->answers++;
    decoder->answer(decoder->context, &answer);
}

static bool begin_stream(struct decoder *decoder, bool chunked) {
    decoder->streaming = decoder->stream_seen = true;
    decoder->ndjson = has_value(decoder, "\r\nContent-Type: ", "application/x-ndjson");
    if (!decoder->ndjson && !has_value(decoder, "\r\nContent-Type: ", "text/event-stream"))
        return broken(decoder, "a stream of an unknown type");
    decoder->phase = chunked ? PHASE_CHUNK_SIZE : PHASE_ENDLESS;
    return true;
}

static bool begin_body(struct decoder *decoder) {
    size_t length = 0;
    const char *counted = field_of(decoder, "\r\nContent-Length: ", &length);
    bool chunked = has_value(decoder, "\r\nTransfer-Encoding: ", "chunked");
    bool bodiless =
        decoder->status < 200 || decoder->status == 204 || (decoder->bodiless >> decoder->answers % 32 & 1u);
    if (counted != NULL && chunked) return broken(decoder, "a length and chunks");
    decoder->body_left = counted != NULL && !bodiless ? strtoul(counted, NULL, 10) : 0;
    if (counted == NULL && !bodiless)
        return decoder->status == 200 ? begin_stream(decoder, chunked)
                                      : broken(decoder, "a refusal without a length");
    bool last = bodiless && has_value(decoder, "\r\nConnection: ", "close");
    decoder->phase = PHASE_BODY;
    if (decoder->body_left == 0) end_answer(decoder);
    if (last) decoder->phase = PHASE_LAST;
    return true;
}

static bool take_head_byte(struct decoder *decoder, char letter) {
    static const char start[] = "HTTP/1.1 ";
    if (decoder->head_length < 9 && letter != start[decoder->head_length])
        return broken(decoder, "no HTTP/1.1 where an answer should begin");
    if (decoder->head_length == HEAD_KEPT) return broken(decoder, "an over-long head");
    decoder->head[decoder->head_length++] = letter;
    if (letter != '\n' || decoder->head_length < 13 ||
        memcmp(decoder->head + decoder->head_length - 4, "\r\n\r\n", 4) != 0)
        return true;
    decoder->status = (unsigned)strtoul(decoder->head + 9, NULL, 10);
    return begin_body(decoder);
}

static void take_body(struct decoder *decoder, const char *data, size_t *length) {
    if (*length > decoder->body_left) *length = decoder->body_left;
    decoder->body_left -= *length;
    size_t room = ANSWER_KEPT - decoder->body_length;
    size_t kept = *length < room ? *length : room;
    memcpy(decoder->body + decoder->body_length, data, kept);
    decoder->body_length += kept;
    if (decoder->body_left == 0) end_answer(decoder);
}

bool decoder_feed(struct decoder *decoder, const char *data, size_t length) {
    bool good = decoder->problem == NULL;
    while (good && length > 0) {
        size_t taken = 1;
        switch (decoder->phase) {
        case PHASE_HEAD:
            good = take_head_byte(decoder, *data);
            break;
        case PHASE_BODY:
            taken = length;
            take_body(decoder, data, &taken);
            break;
        case PHASE_CHUNK_SIZE:
            good = take_size(decoder, *data);
            break;
        case PHASE_CHUNK_DATA:
            taken = length;
            good = take_chunk_data(decoder, data, &taken);
            break;
        case PHASE_CHUNK_END:
            good = take_chunk_end(decoder, *data);
            break;
        case PHASE_ENDLESS:
            taken = length;
            good = take_stream(decoder, data, length);
            break;
        case PHASE_LAST:
            break;
        case PHASE_OVER:
            good = broken(decoder, "bytes behind the last chunk");
            break;
        }
        data += taken;
        length -= taken;
    }
    return good;
}

static bool read_text(const struct json_member *member, char *out, size_t size) {
    if (member == NULL || member->type != JSON_STRING_VALUE || member->length >= size) return false;
    memcpy(out, member->text, member->length);
    out[member->length] = '\0';
    return true;
}

bool gap_read(const struct frame *frame, struct gap_frame *gap) {
    struct json_member members[5];
    char room[256];
    if (frame->length > sizeof(room)) return false;
    int count = json_members(frame->data, frame->length, members, 5, room);
    gap->range = json_number(json_find(members, count, "first"), &gap->first);
    gap->lost_known = json_number(json_find(members, count, "lost"), &gap->lost);
    return count == 5 && json_number(json_find(members, count, "last"), &gap->last) == gap->range &&
           read_text(json_find(members, count, "reason"), gap->reason, sizeof(gap->reason)) &&
           read_text(json_find(members, count, "epoch"), gap->epoch, sizeof(gap->epoch));
}
