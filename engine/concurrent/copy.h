/* Payload bytes in and out of cells that another thread may be overwriting.
 *
 * Every access to the cell's side goes through these functions. They move 16 bytes at a time through volatile
 * vectors: formally C11 knows no such race, in practice each access is performed once, in the place where it stands,
 * and the reader discards what it read unless the slot word proves it whole. Under a checker or ThreadSanitizer the
 * same bytes move as relaxed atomic words, which is what the argument is made for.
 *
 * `cell` is 16-byte aligned and has room for `length` rounded up to 16. */
#ifndef WEIR_CONCURRENT_COPY_H
#define WEIR_CONCURRENT_COPY_H

#include <string.h>

#include "base/atomic.h"

#if defined(WEIR_TSAN) || defined(WEIR_ATOMIC_HEADER)

static inline void copy_into_cell(void *cell, const void *source, size_t length) {
    atomic_u64 *words = (atomic_u64 *)cell;
    const char *from = (const char *)source;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = 0;
        memcpy(&word, from + at, length - at < 8 ? length - at : 8);
        u64_store_relaxed(&words[at / 8], word);
    }
}

static inline void copy_from_cell(void *target, const void *cell, size_t length) {
    const atomic_u64 *words = (const atomic_u64 *)cell;
    char *to = (char *)target;
    for (size_t at = 0; at < length; at += 8) {
        uint64_t word = u64_load_relaxed(&words[at / 8]);
        memcpy(to + at, &word, length - at < 8 ? length - at : 8);
    }
}

static inline void copy_whole_cell(void *target, const void *cell, size_t length, size_t whole) {
    (void)whole;
    copy_from_cell(target, cell, length);
}

#else

typedef uint64_t copy_vector __attribute__((vector_size(16), may_alias, aligned(1)));
typedef uint64_t copy_word __attribute__((may_alias, aligned(1)));
typedef uint32_t copy_half __attribute__((may_alias, aligned(1)));

/* One body for both directions: the last piece overlaps the one before it, so no byte beyond `length` is touched. */
static inline void copy_volatile(volatile char *to, const volatile char *from, size_t length) {
    size_t at = 0;
    if (length >= 16) {
        for (; at + 32 <= length; at += 32) {
            copy_vector first = *(const volatile copy_vector *)(from + at);
            copy_vector second = *(const volatile copy_vector *)(from + at + 16);
            *(volatile copy_vector *)(to + at) = first;
            *(volatile copy_vector *)(to + at + 16) = second;
        }
        if (at + 16 <= length) *(volatile copy_vector *)(to + at) = *(const volatile copy_vector *)(from + at);
        if (length % 16 != 0)
            *(volatile copy_vector *)(to + length - 16) = *(const volatile copy_vector *)(from + length - 16);
    } else if (length >= 8) {
        *(volatile copy_word *)to = *(const volatile copy_word *)from;
        *(volatile copy_word *)(to + length - 8) = *(const volatile copy_word *)(from + length - 8);
    } else if (length >= 4) {
        *(volatile copy_half *)to = *(const volatile copy_half *)from;
        *(volatile copy_half *)(to + length - 4) = *(const volatile copy_half *)(from + length - 4);
    } else {
        for (; at < length; at++)
            to[at] = from[at];
    }
}

static inline void copy_into_cell(void *cell, const void *source, size_t length) {
    copy_volatile((volatile char *)cell, (const volatile char *)source, length);
}

static inline void copy_from_cell(void *target, const void *cell, size_t length) {
    copy_volatile((volatile char *)target, (const volatile char *)cell, length);
}

/* The same where any of `whole` bytes of the target may be overwritten, a multiple of 16 that is known when this is
 * compiled, and the cell has as many: without a look at the length. */
static inline void copy_whole_cell(void *target, const void *cell, size_t length, size_t whole) {
    volatile char *to = (volatile char *)target;
    const volatile char *from = (const volatile char *)cell;
    (void)length;
    for (size_t at = 0; at < whole; at += 16)
        *(volatile copy_vector *)(to + at) = *(const volatile copy_vector *)(from + at);
}

#endif
#endif
