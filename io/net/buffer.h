/* Bytes that grow: what a connection has still to send, or has received of a body. Owns its memory; an empty buffer
 * owns none, so that an idle connection costs nothing here. */
#ifndef WEIR_IO_NET_BUFFER_H
#define WEIR_IO_NET_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "wire/span.h"

struct buffer {
    char *data;
    size_t length;
    size_t capacity;
};

/* Makes room for `more` bytes behind `length`. False when there is no memory; nothing has changed then. */
bool buffer_reserve(struct buffer *buffer, size_t more);
bool buffer_append(struct buffer *buffer, const void *data, size_t length);
/* Formatted text; the result is at most 1,024 bytes. */
bool buffer_append_format(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_free(struct buffer *buffer);

/* Here, so that the length of a literal is known when it is compiled. */
static inline bool buffer_append_text(struct buffer *buffer, const char *text) {
    return buffer_append(buffer, text, strlen(text));
}

static inline struct span buffer_span(const struct buffer *buffer) {
    struct span span = {buffer->data, buffer->length};
    return span;
}

#endif
