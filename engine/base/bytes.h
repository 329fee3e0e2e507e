/* Few bytes as whole words, and without a call: a name is hashed and compared in every look-up. */
#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The first byte is the lowest, on any processor: pieces that overlap in the text then overlap in the number. */
static inline uint64_t bytes_word(const char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static inline uint32_t bytes_half(const char *bytes) {
    uint32_t half;
    memcpy(&half, bytes, sizeof(half));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    half = __builtin_bswap32(half);
#endif
    return half;
}

/* Fewer than eight bytes as a number that no others of that length have: two loads that overlap, or three. */
static inline uint64_t bytes_few(const char *bytes, size_t length) {
    if (length >= 4) return bytes_half(bytes) | (uint64_t)bytes_half(bytes + length - 4) << 8 * (length - 4);
    if (length == 0) return 0;
    return (uint64_t)(unsigned char)bytes[0] | (uint64_t)(unsigned char)bytes[length / 2] << 8 * (length / 2) |
           (uint64_t)(unsigned char)bytes[length - 1] << 8 * (length - 1);
}

static inline bool bytes_equal(const char *one, const char *other, size_t length) {
    if (length < 8) return bytes_few(one, length) == bytes_few(other, length);
    for (size_t at = 0; at < length - 8; at += 8)
        if (bytes_word(one + at) != bytes_word(other + at)) return false;
    return bytes_word(one + length - 8) == bytes_word(other + length - 8);
}

#endif
