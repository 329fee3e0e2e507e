/* Slots: the seqlock-protected replay ring with lock-free writers.
 *
 *   word = lap tag (32) | cell reference (32)      lap tag of sequence s = (s >> log2 ring) + 1, modulo 2^32
 *
 * One word per place. Its compare-and-swap from the previous lap's word to `this lap | my cell` takes the number and
 * publishes the event in one step: there is never a number taken and not yet published. The word is also the version
 * of the seqlock: a reader copies the cell between two loads of it, and a copy under an unchanged word is whole.
 *
 * Why a torn copy cannot be accepted. A producer writes into a cell only after the word that named the cell was
 * replaced, and passes a release fence in between. A reader that sees any such write passes an acquire fence after
 * its copy; the two fences synchronise, so its second load sees a word at least as new as the replacement.
 *
 *   pairing                                          without it
 *   R1 acquire: reader's first word load             the copy may predate the fill: stale payload
 *   R2 seq_cst: publishing compare-and-swap          R1's partner; and with W1-W4 (notify.h) a lost wake-up
 *   F1 release fence before the fill                 bytes of the next owner under an unchanged word: torn
 *   F2 acquire fence after the copy                  F1's partner
 *   R3 relaxed: reader's second word load            (must be there; F2 orders it)
 *   R4 acquire: producer's look at a word            publish returns before its predecessors are visible to it
 *   H1 release: hint store, H2 acquire: hint load    the same, for a producer that starts at the shared hint
 *
 * Lap tags are compared by signed difference. They wrap after 2^32 laps; the full number in the cell's header catches
 * a reader that slept so long, and a producer would have to be stopped for an exact multiple of them with the same
 * cell in the same slot to be fooled. Any thread; lock-free: a producer that loses goes on to the next slot. */
#ifndef WEIR_CONCURRENT_SLOTS_H
#define WEIR_CONCURRENT_SLOTS_H

#include "cells.h"
#include "copy.h"

struct slots {
    uint32_t log2;
    uint32_t mask;
    uint64_t first; /* sequence of the first event */
    CACHE_ALIGNED atomic_u64 words[];
};

enum slot_state {
    SLOT_EVENT,   /* holds this sequence */
    SLOT_AHEAD,   /* not published yet */
    SLOT_PASSED,  /* held it, and holds a newer one or nothing now */
    SLOT_THE_END  /* the session ends at this sequence */
};

static inline size_t slots_size(uint32_t log2) {
    return sizeof(struct slots) + (sizeof(atomic_u64) << log2);
}

/* Sets every word to the lap before its first event. `slots` has room for slots_size(log2) bytes. */
void slots_init(struct slots *slots, uint32_t log2, uint64_t first_sequence);

static inline uint32_t slot_tag(const struct slots *slots, uint64_t sequence) {
    return (uint32_t)(sequence >> slots->log2) + 1;
}

static inline uint64_t slot_word(uint32_t tag, cell_reference reference) {
    return (uint64_t)tag << 32 | reference;
}

/* What a word tells of `sequence`. */
static inline enum slot_state slot_state_of(const struct slots *slots, uint64_t word, uint64_t sequence) {
    int32_t laps = (int32_t)((uint32_t)(word >> 32) - slot_tag(slots, sequence));
    cell_reference reference = (cell_reference)word;
    if (laps < 0) return SLOT_AHEAD;
    if (laps > 0) return SLOT_PASSED;
    if (LIKELY(cell_is_cell(reference))) return SLOT_EVENT;
    return reference == CELL_EVICTED ? SLOT_PASSED : SLOT_THE_END;
}

/* seq_cst for the sake of notify.h (W4); acquire would do for the copy (R1). */
static inline uint64_t slots_load(const struct slots *slots, uint64_t sequence) {
    return u64_load_seq_cst(&slots->words[sequence & slots->mask]);
}

/* The first sequence from `from` on that is not published: walks over taken slots, and leaps where a lap is known. */
uint64_t slots_next(const struct slots *slots, uint64_t from);

/* Publishes `mine` (a filled cell, or a CELL_END reference with `cell` NULL) at the first free sequence from *sequence
 * on, which is stored there. The word it replaced is stored in *replaced.
 * With `consumed` (policy REFUSE) sequences stay below *consumed + depth.
 * WEIR_OK; WEIR_CLOSED when the end is found first; WEIR_FULL. */
int slots_claim(struct slots *slots, cell_reference mine, struct cell *cell, const atomic_u64 *consumed,
                uint32_t depth, uint64_t *sequence, uint64_t *replaced);

/* One attempt at the sequence where the producer expects to be next, which is nearly always right: the whole hot path
 * of a claim. Changes nothing when it fails. */
static inline bool slots_claim_expected(struct slots *slots, cell_reference mine, struct cell *cell, uint64_t sequence,
                                        uint64_t *replaced) {
    atomic_u64 *slot = &slots->words[sequence & slots->mask];
    uint32_t tag = slot_tag(slots, sequence);
    *replaced = u64_load_acquire(slot); /* R4 */
    if (UNLIKELY((uint32_t)(*replaced >> 32) != tag - 1)) return false;
    u64_store_relaxed(&cell->sequence, sequence); /* relaxed: private until R2 */
    return LIKELY(u64_cas_seq_cst(slot, replaced, slot_word(tag, mine))); /* R2 */
}

/* One attempt to put `mine` (an end) exactly at `sequence`: false when something else is there. */
bool slots_claim_exactly(struct slots *slots, cell_reference mine, uint64_t sequence, uint64_t *replaced);

/* Evicts the event at `sequence` before its lap is over. Its cell is the caller's when true is returned. */
bool slots_evict(struct slots *slots, uint64_t sequence, cell_reference *evicted);

/* Copies the event out: SLOT_EVENT with *facts, and the payload in `buffer`; when `capacity` is less than its length
 * nothing is copied, and *facts tells. */
static inline enum slot_state slots_read(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                         void *buffer, size_t capacity, uint64_t *facts) {
    uint64_t word = slots_load(slots, sequence); /* R1 */
    enum slot_state state = slot_state_of(slots, word, sequence);
    if (UNLIKELY(state != SLOT_EVENT)) return state;
    cell_reference reference = (cell_reference)word;
    const struct cell *cell = cell_at(pool, reference);
    uint64_t number = u64_load_relaxed(&cell->sequence); /* relaxed, like all of the copy: judged by R3 */
    *facts = u64_load_relaxed(&cell->facts);
    /* The length is not to be believed yet: whatever it says, the copy stays inside the cell and the buffer. */
    size_t length = facts_length(*facts);
    if (LIKELY(length <= capacity && length <= cell_room(cell_class(reference))))
        copy_from_cell(buffer, cell->payload, length);
    fence_acquire();                                                                                    /* F2 */
    if (UNLIKELY(u64_load_relaxed(&slots->words[sequence & slots->mask]) != word)) return SLOT_PASSED; /* R3 */
    return LIKELY(number == sequence) ? SLOT_EVENT : SLOT_PASSED; /* not equal: the tag has wrapped around */
}

/* Writes an event into a private cell. */
static inline void cell_fill(struct cell *cell, uint64_t facts, const void *data, size_t length) {
    fence_release(); /* F1: stands before the first word, or it orders nothing */
    u64_store_relaxed(&cell->facts, facts); /* relaxed, like the payload: R2 publishes them */
    copy_into_cell(cell->payload, data, length);
}

#endif
