/* Reading: one event at a time through a cursor, whatever the producers do meanwhile. */
#include <string.h>

#include "engine.h"

static inline void fill_event(const weir_session *session, uint64_t sequence, uint64_t facts, weir_event *event) {
    uint64_t now_ms = engine_now_ms(session->engine);
    event->sequence = sequence;
    event->length = facts_length(facts);
    event->kind = facts_kind(facts);
    /* The cell keeps 32 bits of the time; the rest is the clock's, for no event is 24 days old or in the future. */
    event->time_ms = now_ms - (uint64_t)(int64_t)(int32_t)((uint32_t)now_ms - facts_time_ms(facts));
}

static int report_gap(weir_session *session, weir_cursor *cursor, uint64_t next, weir_gap *gap) {
    gap->first = cursor->next;
    gap->last = next - 1;
    gap->lost = next - cursor->next;
    gap->lost_known = 1;
    gap->reason = WEIR_GAP_SLOW;
    cursor->next = next;
    if (cursor->policy == WEIR_POLICY_REFUSE) u64_store_release(&session->consumed, next);
    u64_add_relaxed(&session->engine->gaps, 1);
    u64_add_relaxed(&session->engine->lost, gap->lost);
    return WEIR_GAP;
}

/* How far back a subscriber may stand: its queue's depth when it is live; what is kept while it catches up; and in a
 * queue that was closed, whatever is still there of it. */
static uint64_t window_of(const weir_session *session, const struct slots *slots, const weir_cursor *cursor) {
    if (cursor->end != UINT64_MAX) return (uint64_t)slots->mask + 1;
    if (cursor->live || session->replay_capacity < cursor->queue_depth) return cursor->queue_depth;
    return session->replay_capacity;
}

/* The cursor's event is gone. The gap reaches to the oldest event that the subscriber may still have: one event at
 * least, so that reading always gets on (RPL-24), and never beyond the end of a queue that had overflowed. */
COLD static int pass_over(weir_session *session, const struct slots *slots, weir_cursor *cursor, weir_gap *gap) {
    uint64_t next = session_next(session, slots);
    uint64_t oldest = session_oldest(session, slots, next, window_of(session, slots, cursor));
    if (oldest <= cursor->next) oldest = cursor->next + 1;
    if (oldest > cursor->end) oldest = cursor->end;
    return report_gap(session, cursor, oldest, gap);
}

/* The queue is full exactly when the event `queue_depth` places ahead exists: then one more than fits was published
 * while the cursor stood here. A queue as long as the ring needs no look: its cursor finds its own event gone. */
static bool has_overflowed(const struct slots *slots, const weir_cursor *cursor) {
    if (cursor->queue_depth > slots->mask || !cursor->live || cursor->end != UINT64_MAX ||
        cursor->policy == WEIR_POLICY_REFUSE)
        return false;
    uint64_t beyond = cursor->next + cursor->queue_depth;
    enum slot_state state = slot_state_of(slots, slots_load(slots, beyond), beyond);
    return state == SLOT_EVENT || state == SLOT_PASSED;
}

/* A live subscriber's queue has overflowed: one that skips stays, the others get what was queued, and then the end. */
COLD static void close_queue(weir_session *session, weir_cursor *cursor) {
    if (!cursor->live || cursor->end != UINT64_MAX) return;
    if (cursor->policy != WEIR_POLICY_DETACH && cursor->policy != WEIR_POLICY_EVICT) return;
    cursor->end = cursor->next + cursor->queue_depth;
    if (cursor->policy == WEIR_POLICY_EVICT) session_end(session, WEIR_ENDED_OVERFLOW);
}

/* Every way to read nothing. */
COLD static int read_nothing(weir_session *session, const struct slots *slots, weir_cursor *cursor,
                             enum slot_state state, weir_gap *gap) {
    if (state == SLOT_THE_END) return WEIR_END;
    if (state == SLOT_AHEAD) {
        cursor->live = 1;
        return WEIR_EMPTY;
    }
    close_queue(session, cursor);
    return pass_over(session, slots, cursor, gap);
}

int weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
              weir_gap *gap) {
    void *ring = pointer_load_seq_cst(&session->ring); /* seq_cst: see session_slots */
    if (UNLIKELY(!ring_is_slots(ring))) {
        if (ring_is_end(ring)) return WEIR_END;
        cursor->live = 1;
        return WEIR_EMPTY;
    }
    const struct slots *slots = (const struct slots *)ring;
    if (UNLIKELY(has_overflowed(slots, cursor))) {
        if (cursor->policy == WEIR_POLICY_SKIP) return pass_over(session, slots, cursor, gap);
        close_queue(session, cursor);
    }
    if (UNLIKELY(cursor->next >= cursor->end)) return WEIR_LAGGED;
    uint64_t facts;
    enum slot_state state = slots_read(slots, &session->engine->pool, cursor->next, buffer, capacity, &facts);
    if (UNLIKELY(state != SLOT_EVENT)) return read_nothing(session, slots, cursor, state, gap);
    fill_event(session, cursor->next, facts, event);
    if (UNLIKELY(facts_length(facts) > capacity)) return WEIR_TOO_SMALL;
    cursor->next++;
    /* Release: the copy is done before a producer may count on the place. Partner: is_full (slots.c). */
    if (UNLIKELY(cursor->policy == WEIR_POLICY_REFUSE)) u64_store_release(&session->consumed, cursor->next);
    return WEIR_OK;
}

void weir_cursor_advance(weir_session *session, weir_cursor *cursor, uint64_t next) {
    if (next <= cursor->next) return;
    cursor->next = next;
    if (cursor->policy == WEIR_POLICY_REFUSE) u64_store_release(&session->consumed, next);
}
