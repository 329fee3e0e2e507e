/* Places: a set of 64-bit values in a growing array, each at a place of its own, where it can be taken out in one step.
 *
 *   word = value (63 bits, not 0), or 1 | index of the next free place (32), or 0: never used
 *
 * The array is made of segments, each twice as long as the one before, so that no word ever moves: whoever has the index
 * of a place can go there at any time. Places that were cleared are kept in a stack whose links stand in the words
 * themselves; the version in its head keeps a pop from mistaking a stack that was changed and changed back.
 *
 *   pairing                                                                  without it
 *   L1 seq_cst: storing a value, growing     L2 seq_cst: a walker's loads     a walker that looks after it has said
 *                                                                             something misses a value whose owner looked
 *                                                                             for that before it said so: neither acts
 *   L3 release: push's compare-and-swap      L4 acquire: pop's loads          a place is used before its last owner is
 *                                                                             done with it
 *
 * Any thread; lock-free but for the allocator. Memory goes back when the places are destroyed. */
#ifndef WEIR_CONCURRENT_PLACES_H
#define WEIR_CONCURRENT_PLACES_H

#include <weir.h>

#include "base/atomic.h"

#define PLACES_NONE        UINT32_MAX
#define PLACES_FIRST_SHIFT 3u /* words in the first segment: a cache line of them */
#define PLACES_SEGMENTS    22u
#define PLACES_MAX         ((1u << PLACES_FIRST_SHIFT) * ((1u << PLACES_SEGMENTS) - 1))
#define PLACES_VALUE_MAX   (UINT64_MAX >> 1)

struct places {
    const weir_allocator *allocator;
    uint32_t maximum;
    atomic_u32 fresh;     /* places ever used; grows only */
    atomic_u64 free_head; /* version 32 | index 32 */
    atomic_pointer segments[PLACES_SEGMENTS];
};

/* No places yet, and never more than `maximum`, at most PLACES_MAX. */
void places_init(struct places *places, const weir_allocator *allocator, uint32_t maximum);
/* Gives the memory back. Nobody may use them any more. */
void places_destroy(struct places *places);

/* Stores `value`, 1 to PLACES_VALUE_MAX, at a free place. WEIR_OK, WEIR_NO_MEMORY, WEIR_FULL (`maximum` are taken). */
int places_claim(struct places *places, uint64_t value, uint32_t *index);

/* Takes `value` out of its place: true for the one caller that did. */
bool places_clear(struct places *places, uint32_t index, uint64_t value);

/* For a walk over all of them: a value that stands in its place throughout is met once. */
static inline uint32_t places_end(const struct places *places) {
    return u32_load_seq_cst(&places->fresh); /* L2 */
}

/* The words from `index`, below places_end, to the end of its segment or `end`: their count is stored in *count. */
const atomic_u64 *places_run(const struct places *places, uint32_t index, uint32_t end, uint32_t *count);

/* The value in a word of a run; 0 for none. */
static inline uint64_t places_value(const atomic_u64 *word) {
    uint64_t value = u64_load_seq_cst(word); /* L2 */
    return value <= PLACES_VALUE_MAX ? value : 0;
}

#endif
