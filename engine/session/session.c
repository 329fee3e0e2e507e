/* A session's state as a whole: its window, its end, its facts, and whom to tell. */
#include "attachment.h"
#include "base/mark.h"
#include "channel.h"
#include "owner.h"

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

void session_wake(weir_session *session) {
    uint64_t woken[WEIR_POLLERS_MAX];
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++)
        woken[i] = UINT64_MAX;
    outlets_notify(session_outlets(session), woken);
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
    attachment_session_ended(session, session_ended(session));
    channel_session_ended(session);
    session_wake(session);
    registry_remove(session);
}

/* What only the one caller does whose end it is. */
static void count_end(weir_session *session, weir_end_reason reason) {
    u64_add_relaxed(&session->engine->evicted[reason], 1);
    if (reason == WEIR_ENDED_EXPIRED) u64_add_relaxed(&session->engine->sessions_expired, 1);
    tell(session, WEIR_NOTICE_ENDED, reason, 0, 0, session->queue_depth);
}

bool session_end(weir_session *session, weir_end_reason reason) {
    bool ended = end_unpublished(session, reason);
    if (!ended) {
        struct slots *slots = session_slots(session);
        ended = slots != NULL && slots_end(slots, (uint32_t)reason, session_next(session, slots));
    }
    if (ended) count_end(session, reason);
    finish_end(session);
    return ended;
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

static void unmark(weir_session *session) {
    void *ring = pointer_load_seq_cst(&session->ring);
    if (ring_is_slots(ring))
        slots_unmark((struct slots *)ring, session_next(session, (struct slots *)ring));
    else if (ring == RING_IDLE)
        pointer_cas_seq_cst(&session->ring, &ring, NULL);
}

/* The sweep marks, then looks at the signs of life again; whoever is alive leaves a sign, then looks for the mark. All of
 * it seq_cst: one of them at least sees the other, and then the session stays. A publish simply takes the marked place. */
bool session_expire(weir_session *session, const struct life_seen *seen) {
    struct slots *slots = session_slots(session);
    if (!mark_idle(session, slots, seen->next)) return false;
    WEIR_MARK(SWEEP_MARKED);
    if ((seen->any_consumer && u32_load_seq_cst(&session->subscribers) > 0) ||
        u64_load_seq_cst(&session->touched_ms) != seen->touched_ms) {
        unmark(session);
        return false;
    }
    if (!end_idle(session, slots, seen->next)) return false;
    count_end(session, WEIR_ENDED_EXPIRED);
    finish_end(session);
    return true;
}

void session_touch(weir_session *session) {
    u64_store_seq_cst(&session->touched_ms, engine_now_ms(session->engine)); /* partner: session_expire */
    unmark(session);
}

void session_touch_for(weir_session *session, uint32_t activity) {
    if (session->engine->config.rules.activity & activity)
        session_touch(session);
    else
        unmark(session);
}

int weir_session_terminate(weir_session *session) {
    return session_end(session, WEIR_ENDED_TERMINATED) ? WEIR_OK : WEIR_CLOSED;
}

static uint64_t newest_generation(const weir_session *session) {
    weir_attachment_info info;
    return weir_attachment_get(session, &info) == WEIR_NOT_FOUND ? 0 : info.generation;
}

uint64_t session_bytes(const weir_session *session, const struct slots *slots) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i <= slots->mask; i++) {
        cell_reference reference = (cell_reference)u64_load_relaxed(&slots->words[i]); /* relaxed: a sum */
        if (cell_is_cell(reference)) bytes += event_bytes(session, reference);
    }
    return bytes;
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
    info->owner = owner_of(session);
    info->created_wall_ms = session->created_wall_ms;
    info->generation = newest_generation(session);
    info->channels = channel_session_count(session);
    info->bytes = 0;
    if (slots == NULL) return;
    info->bytes = session_bytes(session, slots);
    uint64_t next = session_next(session, slots);
    info->newest = next - 1;
    info->published = next - session->first_sequence;
    info->oldest = session_oldest(session, slots, next, session->replay_capacity);
}
