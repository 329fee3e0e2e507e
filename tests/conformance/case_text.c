#include "case_text.h"

#include <stdlib.h>

#include "wire/text.h"

#define PRINTED_MAX 1500 /* bytes of a text that are printed at either end */

void case_text_append(struct case_text *text, const char *data, size_t length) {
    if (text->length + length + 1 > text->capacity) {
        text->capacity = 2 * (text->length + length) + 64;
        text->data = realloc(text->data, text->capacity);
        if (text->data == NULL) abort();
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
}

char *case_text_take(struct case_text *text) {
    case_text_append(text, "", 0);
    char *data = text->data;
    *text = (struct case_text){0};
    return data;
}

/* The byte of the escape behind a backslash; returns the escape's length, 0 when it is none. */
static size_t read_escape(struct span escape, char *byte) {
    static const char names[] = "rnt0\\";
    static const char bytes[] = {'\r', '\n', '\t', 0, '\\'};
    if (escape.length == 0) return 0;
    const char *name = strchr(names, escape.data[0]);
    if (escape.data[0] != 0 && name != NULL) {
        *byte = bytes[name - names];
        return 1;
    }
    if (escape.data[0] != 'x' || escape.length < 3) return 0;
    int high = text_hex_value(escape.data[1]);
    int low = text_hex_value(escape.data[2]);
    *byte = (char)(high << 4 | (low & 15));
    return high >= 0 && low >= 0 ? 3 : 0;
}

/* COUNT*TEXT */
static const char *append_repeated(struct case_text *text, struct span inside) {
    const char *star = memchr(inside.data, '*', inside.length);
    uint64_t count;
    if (star == NULL || !text_parse_u64((struct span){inside.data, (size_t)(star - inside.data)}, &count))
        return "a repetition is COUNT*TEXT";
    struct span again = {star + 1, (size_t)(inside.data + inside.length - star) - 1};
    for (uint64_t i = 0; i < count; i++) {
        const char *problem = case_text_append_escaped(text, again);
        if (problem != NULL) return problem;
    }
    return NULL;
}

const char *case_text_append_escaped(struct case_text *text, struct span escaped) {
    for (size_t at = 0; at < escaped.length;) {
        if (escaped.data[at] != '\\') {
            case_text_append(text, escaped.data + at++, 1);
            continue;
        }
        struct span rest = {escaped.data + at + 1, escaped.length - at - 1};
        char byte;
        size_t taken = read_escape(rest, &byte);
        if (taken > 0) {
            case_text_append(text, &byte, 1);
        } else {
            const char *end = rest.length > 0 && rest.data[0] == '{' ? memchr(rest.data, '}', rest.length) : NULL;
            if (end == NULL) return "an escape is not understood";
            taken = (size_t)(end - rest.data) + 1;
            const char *problem = append_repeated(text, (struct span){rest.data + 1, taken - 2});
            if (problem != NULL) return problem;
        }
        at += 1 + taken;
    }
    return NULL;
}

void case_text_print(FILE *file, const char *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (length > 2 * PRINTED_MAX && i == PRINTED_MAX) {
            i = length - PRINTED_MAX;
            fprintf(file, "\n    [...]");
        }
        if (i == 0) fprintf(file, "    ");
        if (byte == '\n')
            fprintf(file, i + 1 < length ? "\\n\n    " : "\\n");
        else if (byte == '\r')
            fprintf(file, "\\r");
        else if (byte < ' ' || byte >= 0x7F)
            fprintf(file, "\\x%02x", byte);
        else
            fputc(byte, file);
    }
    fputc('\n', file);
}
