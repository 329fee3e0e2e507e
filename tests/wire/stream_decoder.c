#include "stream_decoder.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void bytes_append(struct bytes *bytes, const void *data, size_t length) {
    if (bytes->length + length + 1 > bytes->capacity) {
        bytes->capacity = 2 * (bytes->length + length) + 16;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data) abort();
    }
    if (length > 0) memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    bytes->data[bytes->length] = 0;
}

bool bytes_equal(struct bytes bytes, const void *data, size_t length) {
    return bytes.length == length && (length == 0 || memcmp(bytes.data, data, length) == 0);
}

void bytes_free(struct bytes *bytes) {
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static struct decoded *add_decoded(struct decoded_list *list, enum decoded_type type) {
    if ((list->count & (list->count - 1)) == 0) { /* full at each power of two */
        list->items = realloc(list->items, (list->count == 0 ? 1 : 2 * list->count) * sizeof(*list->items));
        if (!list->items) abort();
    }
    struct decoded *item = &list->items[list->count++];
    *item = (struct decoded){.type = type};
    return item;
}

void decoded_list_free(struct decoded_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        bytes_free(&list->items[i].id);
        bytes_free(&list->items[i].kind);
        bytes_free(&list->items[i].data);
    }
    free(list->items);
    *list = (struct decoded_list){NULL, 0};
}

/* ---- SSE ---------------------------------------------------------------------------------------------------- */

/* The buffers of the standard's algorithm. */
struct sse_state {
    struct bytes data, kind, last_id;
    bool data_seen, id_seen;
};

static bool is_text(struct bytes bytes, const char *text) {
    return bytes_equal(bytes, text, strlen(text));
}

/* A blank line: the event goes out if it has data, and the buffers start over. */
static void dispatch(struct sse_state *state, struct decoded_list *list) {
    if (state->data_seen) {
        enum decoded_type type = DECODED_EVENT;
        if (!state->id_seen && is_text(state->kind, "gap")) type = DECODED_GAP;
        if (!state->id_seen && is_text(state->kind, "end")) type = DECODED_END;
        struct decoded *item = add_decoded(list, type);
        bytes_append(&item->id, state->last_id.data, state->last_id.length);
        bytes_append(&item->kind, state->kind.data, state->kind.length);
        bytes_append(&item->data, state->data.data, state->data.length - 1); /* less the last LF */
    }
    bytes_free(&state->data);
    bytes_free(&state->kind);
    state->data_seen = state->id_seen = false;
}

static bool is_field(const char *name, size_t length, const char *wanted) {
    return length == strlen(wanted) && memcmp(name, wanted, length) == 0;
}

static bool take_retry(const char *value, size_t length, struct decoded_list *list) {
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (value[i] < '0' || value[i] > '9') return false;
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    add_decoded(list, DECODED_RETRY)->retry_ms = number;
    return length > 0;
}

static bool take_sse_line(struct sse_state *state, const char *line, size_t length, struct decoded_list *list) {
    if (length == 0) {
        dispatch(state, list);
        return true;
    }
    if (line[0] == ':') {
        add_decoded(list, DECODED_HEARTBEAT);
        return true;
    }
    const char *colon = memchr(line, ':', length);
    size_t name = colon ? (size_t)(colon - line) : length;
    const char *value = line + name + (colon ? 1 : 0);
    size_t value_length = (size_t)(line + length - value);
    if (value_length > 0 && value[0] == ' ') value++, value_length--;

    if (is_field(line, name, "data")) {
        bytes_append(&state->data, value, value_length);
        bytes_append(&state->data, "\n", 1);
        state->data_seen = true;
        return true;
    }
    if (is_field(line, name, "event")) {
        bytes_free(&state->kind);
        bytes_append(&state->kind, value, value_length);
        return true;
    }
    if (is_field(line, name, "id")) {
        if (memchr(value, 0, value_length)) return false; /* clients would pass over it */
        bytes_free(&state->last_id);
        bytes_append(&state->last_id, value, value_length);
        state->id_seen = true;
        return true;
    }
    return is_field(line, name, "retry") && take_retry(value, value_length, list);
}

bool decode_sse(const char *data, size_t length, struct decoded_list *list) {
    struct sse_state state = {0};
    bool good = true;
    size_t at = 0;
    while (good && at < length) {
        const char *end = memchr(data + at, '\n', length - at);
        if (!end) {
            good = false; /* cut inside a line */
            break;
        }
        size_t line = (size_t)(end - (data + at));
        /* A client would take CR for a line end of its own. */
        good = !memchr(data + at, '\r', line) && take_sse_line(&state, data + at, line, list);
        at += line + 1;
    }
    good = good && !state.data_seen && state.kind.length == 0;
    bytes_free(&state.data);
    bytes_free(&state.kind);
    bytes_free(&state.last_id);
    return good;
}

/* ---- NDJSON ------------------------------------------------------------------------------------------------- */

static bool take_string(const json_t *object, const char *key, struct bytes *bytes) {
    const json_t *string = json_object_get(object, key);
    if (!json_is_string(string)) return false;
    bytes_append(bytes, json_string_value(string), json_string_length(string));
    return true;
}

static bool take_control(const json_t *object, const char *key, enum decoded_type type, struct decoded_list *list) {
    char *text = json_dumps(json_object_get(object, key), JSON_COMPACT);
    if (!text) return false;
    struct decoded *item = add_decoded(list, type);
    bytes_append(&item->data, text, strlen(text));
    free(text);
    return json_object_size(object) == 1;
}

static bool take_object(const json_t *object, struct decoded_list *list) {
    if (!json_is_object(object)) return false;
    if (json_object_get(object, "gap")) return take_control(object, "gap", DECODED_GAP, list);
    if (json_object_get(object, "end")) return take_control(object, "end", DECODED_END, list);
    if (json_object_get(object, "heartbeat")) {
        add_decoded(list, DECODED_HEARTBEAT);
        return json_is_true(json_object_get(object, "heartbeat")) && json_object_size(object) == 1;
    }
    struct decoded *item = add_decoded(list, DECODED_EVENT);
    bool kind = take_string(object, "event", &item->kind);
    return take_string(object, "data", &item->data) && take_string(object, "id", &item->id) &&
           json_object_size(object) == (kind ? 3 : 2);
}

bool decode_ndjson(const char *data, size_t length, struct decoded_list *list) {
    size_t at = 0;
    while (at < length) {
        const char *end = memchr(data + at, '\n', length - at);
        if (!end) return false;
        size_t line = (size_t)(end - (data + at));
        json_t *object = json_loadb(data + at, line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
        bool good = object && take_object(object, list);
        json_decref(object);
        if (!good) return false;
        at += line + 1;
    }
    return true;
}

/* ---- Chunks ------------------------------------------------------------------------------------------------- */

static int digit_value(char digit) {
    const char *digits = "0123456789abcdef";
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

bool decode_chunks(const char *data, size_t length, struct bytes *body, bool *complete) {
    size_t at = 0;
    *complete = false;
    while (at < length) {
        size_t size = 0, digits = 0;
        if (*complete) return false; /* something behind the last chunk */
        for (; at < length && digit_value(data[at]) >= 0 && digits < 15; at++, digits++)
            size = size * 16 + (size_t)digit_value(data[at]);
        if (digits == 0 || (digits > 1 && data[at - digits] == '0')) return false;
        if (length - at < 2 || memcmp(data + at, "\r\n", 2) != 0) return false;
        at += 2;
        if (length - at < size + 2 || memcmp(data + at + size, "\r\n", 2) != 0) return false;
        bytes_append(body, data + at, size);
        at += size + 2;
        *complete = size == 0;
    }
    return true;
}
