/* A session's state as a whole: its window, its end, its facts, and whom to tell. */
#include "engine.h"

uint64_t session_oldest(const weir_session *session, const struct slots *slots, uint64_t next, uint64_t window) {
    uint64_t oldest = session->first_sequence;
    uint64_t tail = u64_load_relaxed(&session->tail); /* relaxed: a hint, the slots decide */
    if (tail > oldest) oldest = tail;
    if (next - session->first_sequence > window && next - window > oldest) oldest = next - window;
    while (oldest < next && slot_state_of(slots, slots_load(slots, oldest), oldest) == SLOT_PASSED)
        oldest++;
    return oldest < next ? oldest : next;
}

weir_end_reason session_ended(const weir_session *session) {
    void *ring = pointer_load_seq_cst(&session->ring);
    if (!ring_is_slots(ring)) return ring_is_end(ring) ? (weir_end_reason)(uintptr_t)ring : WEIR_ENDED_NOT;
    const struct slots *slots = (const struct slots *)ring;
    uint64_t next = session_next(session, slots);
    uint64_t word = slots_load(slots, next);
    if (slot_state_of(slots, word, next) != SLOT_THE_END) return WEIR_ENDED_NOT;
    return (weir_end_reason)slot_mark(word);
}

static void wake_everyone(weir_session *session) {
    uint64_t woken[WEIR_POLLERS_MAX];
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++)
        woken[i] = UINT64_MAX;
    session_notify(session, woken);
}

/* Ends a session that never published: its pointer to the slots becomes the reason. */
static bool end_unpublished(weir_session *session, weir_end_reason reason) {
    void *ring = NULL;
    do {
        if (pointer_cas_seq_cst(&session->ring, &ring, (void *)(uintptr_t)reason)) return true;
    } while (ring == NULL || ring == RING_IDLE);
    return false;
}

static void finish_end(weir_session *session) {
    wake_everyone(session);
    registry_remove(session);
}

void session_end(weir_session *session, weir_end_reason reason) {
    if (!end_unpublished(session, reason)) {
        struct slots *slots = session_slots(session);
        if (slots != NULL) slots_end(slots, (uint32_t)reason, session_next(session, slots));
    }
    finish_end(session);
}

static bool mark_idle(weir_session *session, struct slots *slots, uint64_t next) {
    void *unpublished = NULL;
    if (slots != NULL) return slots_mark_idle(slots, next);
    return pointer_cas_seq_cst(&session->ring, &unpublished, RING_IDLE);
}

static bool end_idle(weir_session *session, struct slots *slots, uint64_t next) {
    void *idle = RING_IDLE;
    if (slots != NULL) return slots_end_idle(slots, WEIR_ENDED_EXPIRED, next);
    return pointer_cas_seq_cst(&session->ring, &idle, (void *)(uintptr_t)WEIR_ENDED_EXPIRED);
}

/* The sweep marks, then counts subscribers; a subscriber is counted, then looks for the mark. All of it seq_cst: one
 * of them at least sees the other, and then the session stays. A publish simply takes the marked place. */
bool session_expire(weir_session *session, uint64_t next, uint64_t touched_ms) {
    struct slots *slots = session_slots(session);
    if (!mark_idle(session, slots, next)) return false;
    if (u32_load_seq_cst(&session->subscribers) > 0 || u64_load_relaxed(&session->touched_ms) != touched_ms) {
        session_keep(session);
        return false;
    }
    if (!end_idle(session, slots, next)) return false;
    finish_end(session);
    return true;
}

void session_keep(weir_session *session) {
    void *ring = pointer_load_seq_cst(&session->ring);
    if (ring_is_slots(ring))
        slots_unmark((struct slots *)ring, session_next(session, (struct slots *)ring));
    else if (ring == RING_IDLE)
        pointer_cas_seq_cst(&session->ring, &ring, NULL);
}

void weir_session_terminate(weir_session *session) {
    session_end(session, WEIR_ENDED_TERMINATED);
}

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
    info->published = 0;
    if (slots == NULL) return;
    uint64_t next = session_next(session, slots);
    info->newest = next - 1;
    info->published = next - session->first_sequence;
    info->oldest = session_oldest(session, slots, next, session->replay_capacity);
}
