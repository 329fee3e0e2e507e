#include "slots.h"

#include <ck_pr.h>

#include "base/mark.h"

#define CLAIM_PAUSES 6u /* after a lost claim, each some ten nanoseconds */

void slots_init(struct slots *slots, uint32_t log2, uint64_t first_sequence) {
    slots->log2 = log2;
    slots->mask = (1u << log2) - 1;
    slots->first = first_sequence;
    /* Places before that of the first sequence are reached a lap later. */
    uint32_t begin = (uint32_t)first_sequence & slots->mask;
    uint64_t word = slot_word(slot_tag(slots, first_sequence) - SLOT_MARKS, CELL_EMPTY);
    uint64_t word_before = slot_word(slot_tag(slots, first_sequence), CELL_EMPTY);
    for (uint32_t place = 0; place <= slots->mask; place++)
        u64_store_relaxed(&slots->words[place], place < begin ? word_before : word); /* relaxed: with the pointer */
}

COLD enum slot_state slot_state_rare(const struct slots *slots, uint64_t word, uint64_t sequence) {
    uint32_t laps = slot_laps(slots, word, sequence);
    bool end = slot_mark_is_end(slot_mark(word));
    if (laps == SLOT_LAP_BEHIND) return end ? SLOT_THE_END : SLOT_AHEAD;
    if (laps == 0 && end) return SLOT_THE_END;
    /* An end stands one lap above the event whose cell it kept. */
    if (laps == (end ? 1 : 0) && cell_is_cell((cell_reference)word)) return SLOT_EVENT;
    return SLOT_PASSED;
}

/* The same cell, still at this sequence: in between it cannot have been anywhere else, for a cell that has left its slot
 * never comes back under the same number. */
COLD bool slots_still_names(const struct slots *slots, uint64_t sequence, uint64_t word, uint64_t now) {
    return (cell_reference)now == (cell_reference)word && slot_state_rare(slots, now, sequence) == SLOT_EVENT;
}

/* Where to look next when `word` says that `sequence` is taken: behind the newest number that this place is known to
 * have held. Usually that is the next sequence; a stale hint is made good in a few leaps. */
static uint64_t next_after(const struct slots *slots, uint64_t word, uint64_t sequence) {
    uint32_t laps = slot_laps(slots, word, sequence);
    if (laps > 0 && slot_mark_is_end(slot_mark(word))) laps--; /* the end itself is not taken: it is the next free */
    return sequence + ((uint64_t)laps << slots->log2) + 1;
}

uint64_t slots_next(const struct slots *slots, uint64_t from) {
    for (;;) {
        uint64_t word = slots_load(slots, from);
        if (LIKELY((uint32_t)(word >> 32) == slot_tag(slots, from))) { /* taken, in this lap: kept or evicted */
            from++;
            continue;
        }
        enum slot_state state = slot_state_of(slots, word, from);
        if (LIKELY(state == SLOT_AHEAD) || state == SLOT_THE_END) return from;
        from = next_after(slots, word, from);
    }
}

uint64_t slots_catch_up(const struct slots *slots, const struct cell_pool *pool, uint64_t from) {
    uint64_t word = slots_load(slots, from);
    uint32_t laps = slot_laps(slots, word, from);
    if (LIKELY(laps == 0 || laps == SLOT_LAP_BEHIND) || !cell_is_cell((cell_reference)word)) return from;
    cell_reference reference = (cell_reference)word;
    const struct cell *cell = cell_has_payload(reference) ? cell_at(pool, reference) : descriptor_at(pool, reference);
    uint64_t number = u64_load_relaxed(&cell->sequence);                          /* relaxed: judged by R3 */
    fence_acquire();                                                              /* F2 */
    if (u64_load_relaxed(&slots->words[from & slots->mask]) != word) return from; /* R3 */
    return number > from ? number : from;
}

static bool is_full(const atomic_u64 *consumed, uint32_t depth, uint64_t sequence) {
    if (LIKELY(consumed == NULL)) return false;
    uint64_t position = u64_load_acquire(consumed); /* partner: the consumer's release after its copy */
    /* Signed: when `sequence` was taken and consumed since it was looked at, the position is past it. */
    return position != UINT64_MAX && (int64_t)(sequence - position) >= (int64_t)depth;
}

int slots_claim(struct slots *slots, cell_reference mine, struct cell *cell, const atomic_u64 *consumed,
                uint32_t depth, uint64_t *sequence, uint64_t *replaced) {
    uint64_t at = *sequence;
    for (;;) {
        atomic_u64 *slot = &slots->words[at & slots->mask];
        uint64_t word = u64_load_acquire(slot); /* R4 */
        enum slot_state state = slot_state_of(slots, word, at);
        if (state == SLOT_THE_END) return WEIR_CLOSED;
        if (state != SLOT_AHEAD) {
            at = next_after(slots, word, at);
            continue;
        }
        if (is_full(consumed, depth, at)) return WEIR_FULL;
        u64_store_relaxed(&cell->sequence, at); /* relaxed: private until R2 */
        WEIR_MARK(PUBLISH_SLOT_FOUND);
        if (LIKELY(u64_cas_seq_cst(slot, &word, slot_word(slot_tag(slots, at), mine)))) { /* R2 */
            *sequence = at;
            *replaced = word;
            return WEIR_OK;
        }
        /* The winner has the line, and goes on: the longer it may keep it, the fewer times it travels. publish_2p_ns: 42
         * with one pause, 31 with three, 26 with six, 17 with twenty, which would be long for one that lost by chance. */
        for (unsigned i = 0; i < CLAIM_PAUSES; i++)
            ck_pr_stall();
    }
}

/* seq_cst, as R2: an end is news. The reference stays. */
static bool put_end(struct slots *slots, uint64_t sequence, uint64_t word, uint32_t reason) {
    uint64_t ended = slot_word(slot_tag(slots, sequence) + reason, (cell_reference)word);
    return u64_cas_seq_cst(&slots->words[sequence & slots->mask], &word, ended);
}

bool slots_end(struct slots *slots, uint32_t reason, uint64_t from) {
    for (;;) {
        uint64_t at = slots_next(slots, from);
        uint64_t word = slots_load(slots, at);
        enum slot_state state = slot_state_of(slots, word, at);
        if (state == SLOT_THE_END) return false;
        if (state == SLOT_AHEAD && put_end(slots, at, word, reason)) return true;
        from = at;
    }
}

bool slots_mark_idle(struct slots *slots, uint64_t sequence) {
    uint64_t word = slots_load(slots, sequence);
    if (slot_state_of(slots, word, sequence) != SLOT_AHEAD) return false;
    uint64_t marked = slot_word(slot_tag(slots, sequence) - SLOT_MARKS + SLOT_IDLE, (cell_reference)word);
    return u64_cas_seq_cst(&slots->words[sequence & slots->mask], &word, marked);
}

bool slots_end_idle(struct slots *slots, uint32_t reason, uint64_t sequence) {
    uint64_t word = slots_load(slots, sequence);
    if (slot_state_of(slots, word, sequence) != SLOT_AHEAD || slot_mark(word) != SLOT_IDLE) return false;
    return put_end(slots, sequence, word, reason);
}

void slots_unmark(struct slots *slots, uint64_t sequence) {
    uint64_t word = slots_load(slots, sequence);
    if (slot_state_of(slots, word, sequence) != SLOT_AHEAD || slot_mark(word) != SLOT_IDLE) return;
    uint64_t clear = slot_word(slot_tag(slots, sequence) - SLOT_MARKS, (cell_reference)word);
    u64_cas_seq_cst(&slots->words[sequence & slots->mask], &word, clear);
}

bool slots_evict(struct slots *slots, uint64_t sequence, cell_reference *evicted) {
    atomic_u64 *slot = &slots->words[sequence & slots->mask];
    uint64_t word = u64_load_acquire(slot);
    /* Only a word without a mark: an end keeps its event for good. */
    if ((uint32_t)(word >> 32) != slot_tag(slots, sequence) || !cell_is_cell((cell_reference)word)) return false;
    *evicted = (cell_reference)word;
    /* acq_rel: as R2 for whoever fills the cell next; no wake-up hangs on an eviction. */
    return u64_cas_acq_rel(slot, &word, slot_word(slot_tag(slots, sequence), CELL_EVICTED));
}

/* Makes sure of the descriptor in `word`: from then on its body may be looked at. A word that is equal because laps have
 * wrapped around leads to a body all the same, for a descriptor never names anything else; lengths are clamped, and what
 * is copied is judged in full. */
static bool find_body(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence, uint64_t word,
                      const struct cell **descriptor, uint64_t *facts, cell_reference *body) {
    *descriptor = descriptor_at(pool, (cell_reference)word);
    *facts = u64_load_relaxed(&(*descriptor)->facts); /* relaxed: judged by R3, like the body's reference */
    *body = (cell_reference)cell_word_load(*descriptor, DESCRIPTOR_BODY);
    fence_acquire();                            /* F2 */
    return slots_stands(slots, sequence, word); /* R3 */
}

static enum slot_state read_body(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                 uint64_t word, void *buffer, size_t capacity, uint64_t *facts) {
    const struct cell *descriptor;
    cell_reference body;
    if (!find_body(slots, pool, sequence, word, &descriptor, facts, &body)) return SLOT_PASSED;
    size_t length = facts_length(*facts);
    if (LIKELY(length <= capacity && length <= cell_room(cell_class(body))))
        copy_from_cell(buffer, cell_at(pool, body)->payload, length);
    return slots_judge(slots, descriptor, sequence, word);
}

enum slot_state slots_read_rarely(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                  uint64_t word, void *buffer, size_t capacity, uint64_t *facts) {
    bool plain = (uint32_t)(word >> 32) == slot_tag(slots, sequence) && cell_is_cell((cell_reference)word);
    enum slot_state state = LIKELY(plain) ? SLOT_EVENT : slot_state_rare(slots, word, sequence);
    if (state != SLOT_EVENT) return state;
    if (cell_has_payload((cell_reference)word))
        return slots_copy(slots, pool, sequence, word, buffer, capacity, facts);
    return read_body(slots, pool, sequence, word, buffer, capacity, facts);
}

/* The key behind the payload of a cell, which may be overwritten meanwhile. */
static void load_key(const struct cell_pool *pool, cell_reference reference, uint32_t *keyed, uint64_t *key) {
    const struct cell *cell = cell_at(pool, reference);
    uint64_t facts = u64_load_relaxed(&cell->facts); /* relaxed: judged by R3 */
    size_t room = cell_keyed_length(facts_length(facts));
    *keyed = (facts & FACTS_KEYED) != 0 && room <= cell_room(cell_class(reference));
    *key = *keyed ? cell_word_load(cell, room / 8 - 1) : 0;
}

enum slot_state slots_read_rare(const struct slots *slots, const struct cell_pool *pool, uint64_t sequence,
                                uint32_t *keyed, uint64_t *key, uint64_t *broadcast) {
    uint64_t word = slots_load(slots, sequence); /* R1 */
    enum slot_state state = slot_state_of(slots, word, sequence);
    if (state != SLOT_EVENT) return state;
    cell_reference reference = (cell_reference)word;
    *broadcast = 0;
    if (cell_has_payload(reference)) {
        load_key(pool, reference, keyed, key);
        return slots_judge(slots, cell_at(pool, reference), sequence, word);
    }
    const struct cell *descriptor;
    uint64_t facts;
    if (!find_body(slots, pool, sequence, word, &descriptor, &facts, &reference)) return SLOT_PASSED;
    *broadcast = cell_word_load(descriptor, DESCRIPTOR_BROADCAST);
    load_key(pool, reference, keyed, key);
    return slots_judge(slots, descriptor, sequence, word);
}
