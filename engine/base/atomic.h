/* Every atomic operation that weir uses, with its order in its name. The only file that includes stdatomic.h, so that
 * a model checker can stand in for all of it: define WEIR_ATOMIC_HEADER to the header that provides these names.
 *
 * Conventions at the places of use: an operation that orders something is commented with its partner and with what
 * would go wrong without it. A relaxed one says why relaxed is enough. On x86 all loads here are plain moves, and
 * all stores but store_seq_cst are plain moves. */
#ifndef WEIR_BASE_ATOMIC_H
#define WEIR_BASE_ATOMIC_H

#include "platform.h"

#ifdef WEIR_ATOMIC_HEADER
#include WEIR_ATOMIC_HEADER
#else

#include <stdatomic.h>

typedef struct {
    _Atomic(uint64_t) value;
} atomic_u64;
typedef struct {
    _Atomic(uint32_t) value;
} atomic_u32;
typedef struct {
    _Atomic(void *) value;
} atomic_pointer;

#define WEIR_ATOMIC_LOAD(type, name, plain)                                                                          \
    static inline plain name##_load_relaxed(const type *a) {                                                         \
        return atomic_load_explicit(&a->value, memory_order_relaxed);                                                \
    }                                                                                                                \
    static inline plain name##_load_acquire(const type *a) {                                                         \
        return atomic_load_explicit(&a->value, memory_order_acquire);                                                \
    }                                                                                                                \
    static inline plain name##_load_seq_cst(const type *a) {                                                         \
        return atomic_load_explicit(&a->value, memory_order_seq_cst);                                                \
    }                                                                                                                \
    static inline void name##_store_relaxed(type *a, plain value) {                                                  \
        atomic_store_explicit(&a->value, value, memory_order_relaxed);                                               \
    }                                                                                                                \
    static inline void name##_store_release(type *a, plain value) {                                                  \
        atomic_store_explicit(&a->value, value, memory_order_release);                                               \
    }                                                                                                                \
    static inline void name##_store_seq_cst(type *a, plain value) {                                                  \
        atomic_store_explicit(&a->value, value, memory_order_seq_cst);                                               \
    }                                                                                                                \
    /* Strong compare-and-swap; on failure *expected is what was found, loaded with acquire. */                      \
    static inline bool name##_cas_acq_rel(type *a, plain *expected, plain desired) {                                 \
        return atomic_compare_exchange_strong_explicit(&a->value, expected, desired, memory_order_acq_rel,           \
                                                       memory_order_acquire);                                        \
    }                                                                                                                \
    static inline bool name##_cas_seq_cst(type *a, plain *expected, plain desired) {                                 \
        return atomic_compare_exchange_strong_explicit(&a->value, expected, desired, memory_order_seq_cst,           \
                                                       memory_order_acquire);                                        \
    }

WEIR_ATOMIC_LOAD(atomic_u64, u64, uint64_t)
WEIR_ATOMIC_LOAD(atomic_u32, u32, uint32_t)
WEIR_ATOMIC_LOAD(atomic_pointer, pointer, void *)
#undef WEIR_ATOMIC_LOAD

static inline uint64_t u64_exchange_seq_cst(atomic_u64 *a, uint64_t value) {
    return atomic_exchange_explicit(&a->value, value, memory_order_seq_cst);
}
static inline uint64_t u64_or_seq_cst(atomic_u64 *a, uint64_t bits) {
    return atomic_fetch_or_explicit(&a->value, bits, memory_order_seq_cst);
}
static inline uint64_t u64_add_relaxed(atomic_u64 *a, uint64_t value) {
    return atomic_fetch_add_explicit(&a->value, value, memory_order_relaxed);
}
static inline uint64_t u64_add_acq_rel(atomic_u64 *a, uint64_t value) {
    return atomic_fetch_add_explicit(&a->value, value, memory_order_acq_rel);
}
static inline uint64_t u64_subtract_relaxed(atomic_u64 *a, uint64_t value) {
    return atomic_fetch_sub_explicit(&a->value, value, memory_order_relaxed);
}
static inline uint64_t u64_subtract_acq_rel(atomic_u64 *a, uint64_t value) {
    return atomic_fetch_sub_explicit(&a->value, value, memory_order_acq_rel);
}
static inline uint32_t u32_add_relaxed(atomic_u32 *a, uint32_t value) {
    return atomic_fetch_add_explicit(&a->value, value, memory_order_relaxed);
}
static inline uint32_t u32_subtract_acq_rel(atomic_u32 *a, uint32_t value) {
    return atomic_fetch_sub_explicit(&a->value, value, memory_order_acq_rel);
}
static inline void fence_acquire(void) {
    atomic_thread_fence(memory_order_acquire);
}
static inline void fence_release(void) {
    atomic_thread_fence(memory_order_release);
}

#endif
#endif
