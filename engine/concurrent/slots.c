#include "slots.h"

#include <ck_pr.h>

#include "base/check.h"
#include "base/mark.h"

void slots_init(struct slots *slots, uint32_t log2, uint64_t first_sequence) {
    slots->log2 = log2;
    slots->mask = (1u << log2) - 1;
    slots->first = first_sequence;
    for (uint64_t sequence = first_sequence; sequence < first_sequence + (1ull << log2); sequence++) {
        uint64_t word = slot_word(slot_tag(slots, sequence) - 1, CELL_EMPTY);
        u64_store_relaxed(&slots->words[sequence & slots->mask], word); /* relaxed: published with the pointer */
    }
}

/* Where to look next when `word` says that `sequence` is taken: behind the newest number that this place is known to
 * have held. Usually that is the next sequence; a stale hint is made good in a few leaps. */
static uint64_t next_after(const struct slots *slots, uint64_t word, uint64_t sequence) {
    uint32_t laps = (uint32_t)(word >> 32) - slot_tag(slots, sequence);
    return sequence + ((uint64_t)laps << slots->log2) + 1;
}

uint64_t slots_next(const struct slots *slots, uint64_t from) {
    for (;;) {
        uint64_t word = slots_load(slots, from);
        enum slot_state state = slot_state_of(slots, word, from);
        if (state == SLOT_AHEAD || state == SLOT_THE_END) return from;
        from = next_after(slots, word, from);
    }
}

static bool is_full(const atomic_u64 *consumed, uint32_t depth, uint64_t sequence) {
    if (LIKELY(consumed == NULL)) return false;
    uint64_t position = u64_load_acquire(consumed); /* partner: the consumer's release after its copy */
    return position != UINT64_MAX && sequence - position >= depth;
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
        WEIR_DCHECK((uint32_t)(word >> 32) == slot_tag(slots, at) - 1);
        if (is_full(consumed, depth, at)) return WEIR_FULL;
        if (cell != NULL) u64_store_relaxed(&cell->sequence, at); /* relaxed: private until R2 */
        WEIR_MARK(PUBLISH_SLOT_FOUND);
        if (LIKELY(u64_cas_seq_cst(slot, &word, slot_word(slot_tag(slots, at), mine)))) { /* R2 */
            *sequence = at;
            *replaced = word;
            return WEIR_OK;
        }
        ck_pr_stall(); /* one pause lets the winner move on: measured better than hammering the next slot */
    }
}

bool slots_claim_exactly(struct slots *slots, cell_reference mine, uint64_t sequence, uint64_t *replaced) {
    atomic_u64 *slot = &slots->words[sequence & slots->mask];
    uint64_t word = u64_load_acquire(slot);
    if (slot_state_of(slots, word, sequence) != SLOT_AHEAD) return false;
    *replaced = word;
    return u64_cas_seq_cst(slot, &word, slot_word(slot_tag(slots, sequence), mine)); /* R2 */
}

bool slots_evict(struct slots *slots, uint64_t sequence, cell_reference *evicted) {
    atomic_u64 *slot = &slots->words[sequence & slots->mask];
    uint64_t word = u64_load_acquire(slot);
    if (slot_state_of(slots, word, sequence) != SLOT_EVENT) return false;
    *evicted = (cell_reference)word;
    /* acq_rel: as R2 for whoever fills the cell next; no wake-up hangs on an eviction. */
    return u64_cas_acq_rel(slot, &word, slot_word(slot_tag(slots, sequence), CELL_EVICTED));
}
