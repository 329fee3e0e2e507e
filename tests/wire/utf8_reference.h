/* UTF-8 by its definition (RFC 3629): as many continuation bytes as the first byte says, the shortest form, no
 * surrogate, at most U+10FFFF. Slow and plain; what the fast scan is compared with. */
#ifndef TESTS_WIRE_UTF8_REFERENCE_H
#define TESTS_WIRE_UTF8_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* Size of the character at the start, 0 when there is none. `length` is at least 1. */
static inline size_t utf8_reference_size(const unsigned char *bytes, size_t length) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = bytes[0] < 0x80       ? 1
                  : bytes[0] >> 5 == 6  ? 2
                  : bytes[0] >> 4 == 14 ? 3
                  : bytes[0] >> 3 == 30 ? 4
                                        : 0;
    if (size == 0 || size > length) return 0;
    if (size == 1) return 1;
    uint32_t code = bytes[0] & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if (bytes[i] >> 6 != 2) return 0;
        code = code << 6 | (bytes[i] & 0x3F);
    }
    return code >= smallest[size] && code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF) ? size : 0;
}

static inline size_t utf8_reference_prefix(const char *text, size_t length) {
    size_t at = 0, size;
    while (at < length && (size = utf8_reference_size((const unsigned char *)text + at, length - at)) > 0)
        at += size;
    return at;
}

#endif
