/* The memory that an execution sees: C11's rules as a machine.
 *
 * Every atomic word is a list of messages in modification order. A thread has a view, the oldest message of each word
 * that it may still read; reading and writing move it on. Release attaches the writer's view to a message, acquire
 * takes it over; fences do the same for the relaxed operations around them. Views also carry a vector clock, by which
 * plain accesses are ordered (race.c).
 *
 *   - A load may read any message that the view does not rule out: stale by as much as C11 allows, not by one or two.
 *   - A store may come before messages that its thread has not seen, in modification order: only never between a
 *     read-modify-write and what that read.
 *   - A failed compare-and-swap is a load. A strong one never fails on a message that it expected.
 *   - seq_cst: their order is the order of execution, and one never reads, or stores, before the last seq_cst store to
 *     that word. They take nothing else over from each other: two seq_cst operations order what is around them only as
 *     far as acquire and release do.
 *   - A relaxed store does not go on with its thread's earlier release (as C++20 has it, weaker than C11).
 *   - No load reads what is stored later: C11 allows that on paper, for relaxed operations that depend on nothing. */
#ifndef WEIR_EXPLORE_MEMORY_H
#define WEIR_EXPLORE_MEMORY_H

#include <stddef.h>

#include "site.h"

#define THREADS_MAX   4u
#define LOCATIONS_MAX 2048u

/* Whatever was seen; the rest of the memory is as it was at the beginning. */
struct view {
    uint32_t locations;
    uint32_t clock[THREADS_MAX];
    uint16_t seen[LOCATIONS_MAX]; /* by location: a message */
};

/* Forgets everything: a new execution by `threads` threads begins. */
void memory_begin(uint32_t threads);

/* The location of the word at `address`. */
uint32_t memory_location(const void *address, uint32_t size);

/* How many outcomes an operation of the thread has now; 0 is the newest. Then the operation with one of them. */
uint32_t memory_load_choices(uint32_t thread, uint32_t location, enum order order);
uint64_t memory_load(uint32_t thread, uint32_t location, enum order order, uint32_t choice);
uint32_t memory_store_choices(uint32_t thread, uint32_t location, enum order order);
void memory_store(uint32_t thread, uint32_t location, enum order order, uint64_t value, uint32_t choice);
uint32_t memory_change_choices(uint32_t thread, uint32_t location, enum order order);
/* Reads for a change, which memory_change_to completes. */
uint64_t memory_change_from(uint32_t thread, uint32_t location, enum order order, uint32_t choice);
void memory_change_to(uint32_t thread, uint32_t location, enum order order, uint64_t value);
uint32_t memory_cas_choices(uint32_t thread, uint32_t location, enum order order, uint64_t expected);
bool memory_cas(uint32_t thread, uint32_t location, enum order order, enum order failure, uint64_t *expected,
                uint64_t desired, uint32_t choice);
void memory_fence(uint32_t thread, enum order order);

/* For race.c: what the thread has seen of each thread's time, its own included. */
const uint32_t *memory_clock(uint32_t thread);

/* The atomic words in a range of memory: up to `most` of their addresses. */
uint32_t memory_words_in(const void *begin, size_t length, void **addresses, uint32_t *sizes, uint32_t most);

#endif
