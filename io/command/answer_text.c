#include "answer_text.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "wire/text.h"

void answer_text_take(void *context, const char *data, size_t length) {
    struct answer_text *text = context;
    size_t room = sizeof text->bytes - text->length;
    if (length > room) length = room;
    memcpy(text->bytes + text->length, data, length);
    text->length += length;
}

/* Text from a server, made safe for a terminal: one line, and no control bytes or broken UTF-8. */
static void copy_printable(char *out, size_t capacity, struct span text) {
    size_t length = text_utf8_valid_prefix(text);
    if (length > capacity - 1) {
        length = capacity - 1;
        while (length > 0 && ((unsigned char)text.data[length] & 0xC0) == 0x80) {
            length--;
        }
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text.data[i];
        out[i] = byte < 0x20 || byte == 0x7F ? ' ' : (char)byte;
    }
    out[length] = '\0';
}

void answer_text_describe(const struct answer_text *text, unsigned status, char *out, size_t capacity) {
    json_t *root = json_loadb(text->bytes, text->length, JSON_REJECT_DUPLICATES, NULL);
    json_t *error = json_object_get(root, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    char raw[400], line[400];
    if (code != NULL && message != NULL) {
        snprintf(raw, sizeof raw, "%u %.64s: %.300s", status, code, message);
    } else {
        snprintf(raw, sizeof raw, "%u: %.*s", status, (int)(text->length < 200 ? text->length : 200), text->bytes);
    }
    json_decref(root);
    copy_printable(line, sizeof line, span_of(raw));
    snprintf(out, capacity, "%s", line);
}

uint64_t answer_text_number(const struct answer_text *text, const char *name) {
    json_t *root = json_loadb(text->bytes, text->length, JSON_REJECT_DUPLICATES, NULL);
    json_t *value = json_object_get(root, name);
    if (value == NULL) value = json_object_get(json_object_get(root, "error"), name);
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : 0;
    json_decref(root);
    return number > 0 ? (uint64_t)number : 0;
}
