/* What stands in for stdatomic.h in the explored build (engine/base/atomic.h includes this as WEIR_ATOMIC_HEADER): the
 * same names, each a step of the explorer. The words stay plain words at their own addresses, so the engine may lay
 * them over zeroed or given-back memory as it does in earnest. */
#ifndef WEIR_EXPLORE_ATOMIC_H
#define WEIR_EXPLORE_ATOMIC_H

#include <string.h>

#include "site.h"

typedef struct {
    uint64_t value;
} atomic_u64;
typedef struct {
    uint32_t value;
} atomic_u32;
typedef struct {
    void *value;
} atomic_pointer;

enum change { CHANGE_ADD, CHANGE_SUBTRACT, CHANGE_OR, CHANGE_EXCHANGE };

uint64_t explore_load(struct explore_site *site, const void *address, uint32_t size);
void explore_store(struct explore_site *site, void *address, uint32_t size, uint64_t value);
bool explore_cas(struct explore_site *site, void *address, uint32_t size, uint64_t *expected, uint64_t desired);
uint64_t explore_change(struct explore_site *site, void *address, uint32_t size, enum change change,
                        uint64_t operand);
void explore_fence(struct explore_site *site);
void explore_check_failed(const char *file, uint32_t line);
void explore_copy(void *target, const void *source, size_t length);
void explore_set(void *target, int byte, size_t length);
int explore_compare(const void *left, const void *right, size_t length);

/* The site of the operation that stands here. Pointers to all of them are gathered in a section. */
#define EXPLORE_SITE(called, what, with)                                                                             \
    __extension__({                                                                                                  \
        static struct explore_site site_ = {__FILE__,         __func__,     #called,       __LINE__,                 \
                                            OPERATION_##what, ORDER_##with, ORDER_ACQUIRE, 0};                       \
        static struct explore_site *const listed_ __attribute__((section("explore_sites"), used)) = &site_;          \
        (void)listed_;                                                                                               \
        &site_;                                                                                                      \
    })

static inline uint64_t explore_load_u64(struct explore_site *site, const atomic_u64 *a) {
    return explore_load(site, a, 8);
}
static inline uint32_t explore_load_u32(struct explore_site *site, const atomic_u32 *a) {
    return (uint32_t)explore_load(site, a, 4);
}
static inline void *explore_load_pointer(struct explore_site *site, const atomic_pointer *a) {
    return (void *)explore_load(site, a, 8);
}
static inline void explore_store_u64(struct explore_site *site, atomic_u64 *a, uint64_t value) {
    explore_store(site, a, 8, value);
}
static inline void explore_store_u32(struct explore_site *site, atomic_u32 *a, uint32_t value) {
    explore_store(site, a, 4, value);
}
static inline void explore_store_pointer(struct explore_site *site, atomic_pointer *a, void *value) {
    explore_store(site, a, 8, (uint64_t)(uintptr_t)value);
}
static inline bool explore_cas_u64(struct explore_site *site, atomic_u64 *a, uint64_t *expected, uint64_t desired) {
    return explore_cas(site, a, 8, expected, desired);
}
static inline bool explore_cas_u32(struct explore_site *site, atomic_u32 *a, uint32_t *expected, uint32_t desired) {
    uint64_t found = *expected;
    bool done = explore_cas(site, a, 4, &found, desired);
    *expected = (uint32_t)found;
    return done;
}
static inline bool explore_cas_pointer(struct explore_site *site, atomic_pointer *a, void **expected, void *desired) {
    uint64_t found = (uint64_t)(uintptr_t)*expected;
    bool done = explore_cas(site, a, 8, &found, (uint64_t)(uintptr_t)desired);
    *expected = (void *)(uintptr_t)found;
    return done;
}

static inline uint32_t explore_change_u32(struct explore_site *site, atomic_u32 *a, enum change change,
                                          uint32_t operand) {
    return (uint32_t)explore_change(site, a, 4, change, operand);
}
static inline uint64_t explore_change_u64(struct explore_site *site, atomic_u64 *a, enum change change,
                                          uint64_t operand) {
    return explore_change(site, a, 8, change, operand);
}

#define u64_load_relaxed(a)      explore_load_u64(EXPLORE_SITE(u64_load_relaxed, LOAD, RELAXED), a)
#define u64_load_acquire(a)      explore_load_u64(EXPLORE_SITE(u64_load_acquire, LOAD, ACQUIRE), a)
#define u64_load_seq_cst(a)      explore_load_u64(EXPLORE_SITE(u64_load_seq_cst, LOAD, SEQ_CST), a)
#define u64_store_relaxed(a, v)  explore_store_u64(EXPLORE_SITE(u64_store_relaxed, STORE, RELAXED), a, v)
#define u64_store_release(a, v)  explore_store_u64(EXPLORE_SITE(u64_store_release, STORE, RELEASE), a, v)
#define u64_store_seq_cst(a, v)  explore_store_u64(EXPLORE_SITE(u64_store_seq_cst, STORE, SEQ_CST), a, v)
#define u64_cas_acq_rel(a, e, d) explore_cas_u64(EXPLORE_SITE(u64_cas_acq_rel, CAS, ACQ_REL), a, e, d)
#define u64_cas_seq_cst(a, e, d) explore_cas_u64(EXPLORE_SITE(u64_cas_seq_cst, CAS, SEQ_CST), a, e, d)

#define u32_load_relaxed(a)      explore_load_u32(EXPLORE_SITE(u32_load_relaxed, LOAD, RELAXED), a)
#define u32_load_acquire(a)      explore_load_u32(EXPLORE_SITE(u32_load_acquire, LOAD, ACQUIRE), a)
#define u32_load_seq_cst(a)      explore_load_u32(EXPLORE_SITE(u32_load_seq_cst, LOAD, SEQ_CST), a)
#define u32_store_relaxed(a, v)  explore_store_u32(EXPLORE_SITE(u32_store_relaxed, STORE, RELAXED), a, v)
#define u32_store_release(a, v)  explore_store_u32(EXPLORE_SITE(u32_store_release, STORE, RELEASE), a, v)
#define u32_store_seq_cst(a, v)  explore_store_u32(EXPLORE_SITE(u32_store_seq_cst, STORE, SEQ_CST), a, v)
#define u32_cas_acq_rel(a, e, d) explore_cas_u32(EXPLORE_SITE(u32_cas_acq_rel, CAS, ACQ_REL), a, e, d)
#define u32_cas_seq_cst(a, e, d) explore_cas_u32(EXPLORE_SITE(u32_cas_seq_cst, CAS, SEQ_CST), a, e, d)

#define pointer_load_relaxed(a)      explore_load_pointer(EXPLORE_SITE(pointer_load_relaxed, LOAD, RELAXED), a)
#define pointer_load_acquire(a)      explore_load_pointer(EXPLORE_SITE(pointer_load_acquire, LOAD, ACQUIRE), a)
#define pointer_load_seq_cst(a)      explore_load_pointer(EXPLORE_SITE(pointer_load_seq_cst, LOAD, SEQ_CST), a)
#define pointer_store_relaxed(a, v)  explore_store_pointer(EXPLORE_SITE(pointer_store_relaxed, STORE, RELAXED), a, v)
#define pointer_store_release(a, v)  explore_store_pointer(EXPLORE_SITE(pointer_store_release, STORE, RELEASE), a, v)
#define pointer_store_seq_cst(a, v)  explore_store_pointer(EXPLORE_SITE(pointer_store_seq_cst, STORE, SEQ_CST), a, v)
#define pointer_cas_acq_rel(a, e, d) explore_cas_pointer(EXPLORE_SITE(pointer_cas_acq_rel, CAS, ACQ_REL), a, e, d)
#define pointer_cas_seq_cst(a, e, d) explore_cas_pointer(EXPLORE_SITE(pointer_cas_seq_cst, CAS, SEQ_CST), a, e, d)

#define u64_exchange_seq_cst(a, v)                                                                                   \
    explore_change_u64(EXPLORE_SITE(u64_exchange_seq_cst, CHANGE, SEQ_CST), a, CHANGE_EXCHANGE, v)
#define u64_or_seq_cst(a, v)  explore_change_u64(EXPLORE_SITE(u64_or_seq_cst, CHANGE, SEQ_CST), a, CHANGE_OR, v)
#define u64_add_relaxed(a, v) explore_change_u64(EXPLORE_SITE(u64_add_relaxed, CHANGE, RELAXED), a, CHANGE_ADD, v)
#define u64_add_acq_rel(a, v) explore_change_u64(EXPLORE_SITE(u64_add_acq_rel, CHANGE, ACQ_REL), a, CHANGE_ADD, v)
#define u64_subtract_relaxed(a, v)                                                                                   \
    explore_change_u64(EXPLORE_SITE(u64_subtract_relaxed, CHANGE, RELAXED), a, CHANGE_SUBTRACT, v)
#define u64_subtract_acq_rel(a, v)                                                                                   \
    explore_change_u64(EXPLORE_SITE(u64_subtract_acq_rel, CHANGE, ACQ_REL), a, CHANGE_SUBTRACT, v)
#define u32_add_relaxed(a, v) explore_change_u32(EXPLORE_SITE(u32_add_relaxed, CHANGE, RELAXED), a, CHANGE_ADD, v)
#define u32_subtract_acq_rel(a, v)                                                                                   \
    explore_change_u32(EXPLORE_SITE(u32_subtract_acq_rel, CHANGE, ACQ_REL), a, CHANGE_SUBTRACT, v)

#define fence_acquire() explore_fence(EXPLORE_SITE(fence_acquire, FENCE, ACQUIRE))
#define fence_release() explore_fence(EXPLORE_SITE(fence_release, FENCE, RELEASE))

/* Failed assertions end the execution, not the program; and bytes that move by a library function are seen too. */
#define __builtin_trap()     explore_check_failed(__FILE__, __LINE__)
#define memcpy(t, s, length) explore_copy(t, s, length)
#define memset(t, b, length) explore_set(t, b, length)
#define memcmp(l, r, length) explore_compare(l, r, length)

#endif
