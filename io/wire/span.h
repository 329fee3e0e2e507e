/* A run of bytes that somebody else owns. */
#ifndef WEIR_IO_WIRE_SPAN_H
#define WEIR_IO_WIRE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *data;
    size_t length;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline struct span span_of(const char *text) {
    struct span span = {text, strlen(text)};
    return span;
}

static inline bool span_equal(struct span a, struct span b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

#endif
