/* A session's state as a whole: its window, its end, its facts, and whom to tell. */
#include "engine.h"

uint64_t session_oldest(const weir_session *session, const struct slots *slots, uint64_t next, uint64_t window) {
    uint64_t oldest = session->first_sequence;
    uint64_t tail = u64_load_relaxed(&session->tail); /* relaxed: a hint, the slots decide */
    if (tail > oldest) oldest = tail;
    if (next - session->first_sequence > window && next - window > oldest) oldest = next - window;
    while (oldest < next && slot_state_of(slots, slots_load(slots, oldest), oldest) == SLOT_PASSED) oldest++;
    return oldest < next ? oldest : next;
}

weir_end_reason session_ended(const weir_session *session) {
    void *ring = pointer_load_seq_cst(&session->ring);
    if (!ring_is_slots(ring)) return (weir_end_reason)(uintptr_t)ring;
    const struct slots *slots = (const struct slots *)ring;
    uint64_t next = session_next(session, slots);
    uint64_t word = slots_load(slots, next);
    if (slot_state_of(slots, word, next) != SLOT_THE_END) return WEIR_ENDED_NOT;
    return (weir_end_reason)((cell_reference)word - CELL_END);
}

/* What the end pushed out of its slot goes straight to the pool: there is no producer here to keep it. */
static void give_replaced(weir_session *session, uint64_t replaced) {
    cell_reference reference = (cell_reference)replaced;
    if (!cell_is_cell(reference)) return;
    uint32_t index = reference & CELL_INDEX_MAX;
    slab_give(&session->engine->pool.classes[cell_class(reference)], &index, 1);
}

static void wake_everyone(weir_session *session) {
    uint64_t woken[WEIR_POLLERS_MAX];
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++) woken[i] = UINT64_MAX;
    session_notify(session, woken);
}

/* Ends a session that never published: its pointer to the slots becomes the reason. */
static bool end_unpublished(weir_session *session, weir_end_reason reason) {
    void *expected = NULL;
    return pointer_cas_seq_cst(&session->ring, &expected, (void *)(uintptr_t)reason);
}

void session_end(weir_session *session, weir_end_reason reason) {
    if (!end_unpublished(session, reason)) {
        struct slots *slots = session_slots(session);
        uint64_t replaced;
        uint64_t sequence = u64_load_acquire(&session->hint);
        if (slots != NULL &&
            slots_claim(slots, CELL_END + (uint32_t)reason, NULL, NULL, 0, &sequence, &replaced) == WEIR_OK)
            give_replaced(session, replaced);
    }
    wake_everyone(session);
    registry_remove(session);
}

bool session_end_at(weir_session *session, weir_end_reason reason, uint64_t next) {
    struct slots *slots = session_slots(session);
    if (slots == NULL) {
        if (!end_unpublished(session, reason)) return false;
    } else {
        uint64_t replaced;
        if (!slots_claim_exactly(slots, CELL_END + (uint32_t)reason, next, &replaced)) return false;
        give_replaced(session, replaced);
    }
    wake_everyone(session);
    registry_remove(session);
    return true;
}

void weir_session_terminate(weir_session *session) { session_end(session, WEIR_ENDED_TERMINATED); }

void weir_session_info_get(const weir_session *session, weir_session_info *info) {
    const struct slots *slots = session_slots(session);
    info->name = session->name;
    info->name_length = session->name_length;
    info->epoch = session->epoch;
    info->replay_capacity = session->replay_capacity;
    info->queue_depth = session->queue_depth;
    info->subscribers = u32_load_relaxed(&session->subscribers);
    info->ended = session_ended(session);
    info->oldest = session->first_sequence;
    info->newest = session->first_sequence - 1;
    if (slots == NULL) return;
    uint64_t next = session_next(session, slots);
    info->newest = next - 1;
    info->oldest = session_oldest(session, slots, next, session->replay_capacity);
}
