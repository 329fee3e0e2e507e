/* Slots: the seqlock-protected replay ring with lock-free writers.
 *
 *   word = lap (29) | mark (3) | cell reference (32)      lap of sequence s = (s >> log2 ring) + 1, modulo 2^29
 *
 * One word per place. Its compare-and-swap from the previous lap's word to `this lap | my cell` takes the number and
 * publishes the event in one step: there is never a number taken and not yet published. The word is also the version
 * of the seqlock: a reader copies the cell between two loads of it, and a copy under an unchanged word is whole.
 *
 * Why a torn copy cannot be accepted. A producer writes into a cell only after the word that named the cell was
 * replaced, and passes a release fence in between. A reader that sees any such write passes an acquire fence after
 * its copy; the two fences synchronise, so its second load sees a word at least as new as the replacement.
 *
 * The end of a session takes a sequence like an event does, but keeps the reference it finds: the oldest event stays
 * readable. So a word at the lap of s with an end's mark says "s is the end", and also "s - ring is in this cell". A
 * reader whose word an end or an idle mark replaced meanwhile has still read that event (slots_still_names).
 *
 *   pairing                                          without it
 *   R1 acquire: reader's first word load             the copy may predate the fill: stale payload
 *   R2 seq_cst: publishing compare-and-swap          R1's partner; and with W1-W4 (notify.h) a lost wake-up
 *   F1 release fence before the fill                 bytes of the next owner under an unchanged word: torn
 *   F2 acquire fence after the copy                  F1's partner
 *   R3 acquire: reader's second word load            F2 orders it. Acquire for the number, which is loaded last: an
 *                                                     equal word of 2^29 laps later comes with a number of its own
 *   R4 acquire: producer's look at a word            publish returns before its predecessors are visible to it
 *   H1 release: hint store, H2 acquire: hint load    the same, for a producer that starts at the shared hint
 *
 * The cell in a slot may be a descriptor, whose event's bytes are in another cell (cells.h). A reader first makes sure of
 * the descriptor as of any cell, so that it never follows a reference that was not in that slot, then copies the body
 * and looks at the word again: as long as it stands, the descriptor holds its share, and the body is what it was.
 *
 * Exactly one lap behind is "not published yet", and any other lap is "passed": whoever asks stands at or below the
 * first free sequence. Laps wrap after 2^29. The full number in the cell's header catches a reader that slept so long,
 * and tells a stale hint where to go on (slots_catch_up); a producer would have to be stopped between its look and its
 * compare-and-swap for an exact multiple of them, with the same cell in the same slot, to be fooled. Any thread;
 * lock-free: a producer that loses goes on to the next slot. */
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

/* The mark of a word: 0, a weir_end_reason, or that somebody found the session idle and is about to end it. Idle words
 * are of the lap before: a publish takes the place as if nothing stood there, and the end fails. */
#define SLOT_MARKS 8u
#define SLOT_IDLE  4u

enum slot_state {
    SLOT_EVENT,  /* holds this sequence */
    SLOT_AHEAD,  /* not published yet */
    SLOT_PASSED, /* held it, and holds a newer one or nothing now */
    SLOT_THE_END /* the session ends at this sequence */
};

static inline size_t slots_size(uint32_t log2) {
    return sizeof(struct slots) + (sizeof(atomic_u64) << log2);
}

/* Sets every word to the lap before its first event. `slots` has room for slots_size(log2) bytes. */
void slots_init(struct slots *slots, uint32_t log2, uint64_t first_sequence);

/* Lap and mark 0, as they stand in the upper half of a word. */
static inline uint32_t slot_tag(const struct slots *slots, uint64_t sequence) {
    return (uint32_t)(sequence >> slots->log2) * SLOT_MARKS + SLOT_MARKS;
}

static inline uint64_t slot_word(uint32_t tag, cell_reference reference) {
    return (uint64_t)tag << 32 | reference;
}

static inline uint32_t slot_mark(uint64_t word) {
    return (uint32_t)(word >> 32) % SLOT_MARKS;
}

static inline bool slot_mark_is_end(uint32_t mark) {
    return mark != 0 && mark != SLOT_IDLE;
}

/* Laps from that of `sequence` to that of `word`, modulo 2^29. */
static inline uint32_t slot_laps(const struct slots *slots, uint64_t word, uint64_t sequence) {
    return ((uint32_t)(word >> 32) - slot_tag(slots, sequence)) / SLOT_MARKS;
}

#define SLOT_LAP_BEHIND (UINT32_MAX / SLOT_MARKS)

/* What a word of another lap, or with a mark, tells of `sequence`. */
enum slot_state slot_state_rare(const struct slots *slots, uint64_t word, uint64_t sequence);

/* What a word tells of `sequence`. */
static inline enum slot_state slot_state_of(const struct slots *slots, uint64_t word, uint64_t sequence) {
    if (LIKELY((uint32_t)(word >> 32) == slot_tag(slots, sequence) && cell_has_payload((cell_reference)word)))
        return SLOT_EVENT;
    if (LIKELY((uint32_t)(word >> 32) == slot_tag(slots, sequence) - SLOT_MARKS)) return SLOT_AHEAD;
    return slot_state_rare(slots, word, sequence);
}

/* seq_cst for the sake of notify.h (W4); acquire would do for the copy (R1). */
static inline uint64_t slots_load(const struct slots *slots, uint64_t sequence) {
    return u64_load_seq_cst(&slots->words[sequence & slots->mask]);
}

/* The first sequence from `from` on that is not published: walks over taken slots, and leaps where a lap is known. */
uint64_t slots_next(const struct slots *slots, uint64_t from);

/* A better place to start than `from` when that is stale by a lap or more: behind the newest event in its slot, whose
 * header has the full number. At or below the first free sequence, like `from`. */
uint64_t slots_catch_up(const struct slots *slots, const struct cell_pool *pool, uint64_t from);

/* Publishes `mine`, a filled cell, at the first free sequence from *sequence on, which is stored there. The word it
 * replaced is stored in *replaced. With `consumed` (policy REFUSE) sequences stay below *consumed + depth.
 * WEIR_OK; WEIR_CLOSED when the end is found first; WEIR_FULL. */
int slots_claim(struct slots *slots, cell_reference mine, struct cell *cell, const atomic_u64 *consumed,
                uint32_t depth, uint64_t *sequence, uint64_t *replaced);

/* One attempt at the sequence where the producer expects to be next, which is nearly always right: the whole hot path
 * of a claim. Changes nothing when it fails. */
static inline bool slots_claim_expected(struct slots *slots, cell_reference mine, struct cell *cell,
                                        uint64_t sequence, uint64_t *replaced) {
    atomic_u64 *slot = &slots->words[sequence & slots->mask];
    uint32_t tag = slot_tag(slots, sequence);
    *replaced = u64_load_acquire(slot); /* R4 */
    if (UNLIKELY((uint32_t)(*replaced >> 32) != tag - SLOT_MARKS)) return false;
    u64_store_relaxed(&cell->sequence, sequence);                         /* relaxed: private until R2 */
    return LIKELY(u64_cas_seq_cst(slot, replaced, slot_word(tag, mine))); /* R2 */
}

/* Puts the end at the first free sequence from `from` on: false when there is an end already. */
bool slots_end(struct slots *slots, uint32_t reason, uint64_t from);

/* Ending only if nothing is published meanwhile, in two steps between which the caller makes sure: marks the free
 * `sequence` idle (false when it is not free), then puts the end there (false when it was published or taken back). */
bool slots_mark_idle(struct slots *slots, uint64_t sequence);
bool slots_end_idle(struct slots *slots, uint32_t reason, uint64_t sequence);
/* Takes an idle mark back, if there is one. */
void slots_unmark(struct slots *slots, uint64_t sequence);

/* Evicts the event at `sequence` before its lap is over. Its cell is the caller's when true is returned. */
bool slots_evict(struct slots *slots, uint64_t sequence, cell_reference *evicted);

/* slots_read from a word that is not plainly an event with its payload in its cell. */
enum slot_state slots_read_rarely(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                  uint64_t word, void *buffer, size_t capacity, uint64_t *facts);

/* Whether the word that took the place of `word`, under which there was an event, left the event where it is: an end or
 * an idle mark came meanwhile, or went. */
bool slots_still_names(const struct slots *slots, uint64_t sequence, uint64_t word, uint64_t now);

/* Whether the event that was looked at under `word` was there all the time until now. */
static inline bool slots_stands(const struct slots *slots, uint64_t sequence, uint64_t word) {
    uint64_t now = u64_load_acquire(&slots->words[sequence & slots->mask]); /* R3 */
    return LIKELY(now == word) || slots_still_names(slots, sequence, word, now);
}

/* Whether a copy of `cell` made under `word` is whole. */
static inline enum slot_state slots_judge(const struct slots *slots, const struct cell *cell, uint64_t sequence,
                                          uint64_t word) {
    fence_acquire();                                                        /* F2 */
    if (UNLIKELY(!slots_stands(slots, sequence, word))) return SLOT_PASSED; /* R3 */
    /* Not equal: the lap has wrapped around, or the cell has just been taken for its next event. */
    return LIKELY(u64_load_relaxed(&cell->sequence) == sequence) ? SLOT_EVENT : SLOT_PASSED;
}

/* Copies the payload out of the cell in `word`. */
static inline enum slot_state slots_copy(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                         uint64_t word, void *buffer, size_t capacity, uint64_t *facts) {
    cell_reference reference = (cell_reference)word;
    const struct cell *cell = cell_at(pool, reference);
    *facts = u64_load_relaxed(&cell->facts); /* relaxed, like all of the copy: judged by R3 */
    /* The length is not to be believed yet: whatever it says, the copy stays inside the cell and the buffer. */
    size_t length = facts_length(*facts);
    if (LIKELY(length <= capacity && length <= cell_room(cell_class(reference))))
        copy_from_cell(buffer, cell->payload, length);
    return slots_judge(slots, cell, sequence, word);
}

/* Copies the event out: SLOT_EVENT with *facts, and the payload in `buffer`; when `capacity` is less than its length
 * nothing is copied, and *facts tells. */
static inline enum slot_state slots_read(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                         void *buffer, size_t capacity, uint64_t *facts) {
    uint64_t word = slots_load(slots, sequence); /* R1 */
    uint32_t tag = slot_tag(slots, sequence);
    if (LIKELY((uint32_t)(word >> 32) == tag && cell_has_payload((cell_reference)word)))
        return slots_copy(slots, pool, sequence, word, buffer, capacity, facts);
    if (LIKELY((uint32_t)(word >> 32) == tag - SLOT_MARKS)) return SLOT_AHEAD;
    return slots_read_rarely(slots, pool, sequence, word, buffer, capacity, facts);
}

/* Reads what else there is to an event whose facts are rare: whether it has a key, which, and the number of its broadcast,
 * 0 for an event published to its session alone. SLOT_EVENT when that was the very event that slots_read gave. */
enum slot_state slots_read_rare(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                uint32_t *keyed, uint64_t *key, uint64_t *broadcast);

/* Writes an event into a private cell. */
static inline void cell_fill(struct cell *cell, uint64_t facts, const void *data, size_t length) {
    fence_release();                        /* F1: stands before the first word, or it orders nothing */
    u64_store_relaxed(&cell->facts, facts); /* relaxed, like the payload: R2 publishes them */
    copy_into_cell(cell->payload, data, length);
}

/* The same for a cell of class 0. */
static inline void cell_fill_small(struct cell *cell, uint64_t facts, const void *data, size_t length) {
    fence_release();                        /* F1, as in cell_fill */
    u64_store_relaxed(&cell->facts, facts); /* relaxed, as in cell_fill */
    _Static_assert(CELL_SMALL_ROOM <= 64 + 48, "copy_into_small_cell covers no more");
    copy_into_small_cell(cell->payload, data, length);
}

/* Gives an event that was filled with FACTS_KEYED in its facts its key. The cell has room for cell_keyed_length. */
static inline void cell_fill_key(struct cell *cell, size_t length, uint64_t key) {
    u64_store_relaxed(cell_word(cell, (length + 7) / 8), key); /* relaxed: as the payload */
}

#endif
