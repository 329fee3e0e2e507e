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

static inline void copy_into_small_cell(void *cell, const void *source, size_t length) {
    copy_into_cell(cell, source, length);
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
typedef uint32_t copy_four __attribute__((may_alias, aligned(1)));

/* `size` bytes, a multiple of 16 that is known when this is compiled. */
static inline __attribute__((always_inline)) void copy_vectors(volatile char *to, const volatile char *from,
                                                               size_t size) {
    for (size_t at = 0; at < size; at += 16)
        *(volatile copy_vector *)(to + at) = *(const volatile copy_vector *)(from + at);
}

/* Four pieces of 16 or of 4 bytes, two from each end, that cover a `length` of one piece to four and overlap in the middle. A look at each bit of the length would copy no byte twice and cost more: lengths differ from
 * event to event, and then each look is a branch that cannot be foreseen. */
static inline __attribute__((always_inline)) void copy_ends(volatile char *to, const volatile char *from,
                                                            size_t length, size_t piece) {
    size_t last = length - piece;
    size_t second = last < piece ? last : piece;
    const size_t places[] = {0, second, last - second, last};
    for (int i = 0; i < 4; i++) {
        if (piece == 16)
            copy_vectors(to + places[i], from + places[i], 16);
        else
            *(volatile copy_four *)(to + places[i]) = *(const volatile copy_four *)(from + places[i]);
    }
}

/* Fewer than 64 bytes. */
static inline __attribute__((always_inline)) void copy_few(volatile char *to, const volatile char *from,
                                                           size_t length) {
    if (LIKELY(length >= 16)) {
        copy_ends(to, from, length, 16);
    } else if (length >= 4) {
        copy_ends(to, from, length, 4);
    } else if (length > 0) {
        to[0] = from[0];
        to[length / 2] = from[length / 2];
        to[length - 1] = from[length - 1];
    }
}

/* One body for both directions. No byte beyond `length` is touched. */
static inline __attribute__((always_inline)) void copy_volatile(volatile char *to, const volatile char *from,
                                                                size_t length) {
    if (length < 64) {
        copy_few(to, from, length);
        return;
    }
    for (size_t at = 0; at < length - 64; at += 64)
        copy_vectors(to + at, from + at, 64);
    copy_vectors(to + length - 64, from + length - 64, 64);
}

static inline void copy_into_cell(void *cell, const void *source, size_t length) {
    copy_volatile((volatile char *)cell, (const volatile char *)source, length);
}

/* The same for at most 112 bytes: two pieces of 64 and 48. */
static inline void copy_into_small_cell(void *cell, const void *source, size_t length) {
    volatile char *to = (volatile char *)cell;
    const volatile char *from = (const volatile char *)source;
    if (length < 64) {
        copy_few(to, from, length);
        return;
    }
    copy_vectors(to, from, 64);
    copy_vectors(to + length - 48, from + length - 48, 48);
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
