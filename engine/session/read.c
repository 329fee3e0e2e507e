/* Reading: one event at a time through a cursor, whatever the producers do meanwhile. */
#include <string.h>

#include "attachment.h"
#include "read.h"

static inline void fill_event(const weir_session *session, uint64_t sequence, uint64_t facts, weir_event *event) {
    event->sequence = sequence;
    event->length = facts_length(facts);
    event->kind = facts_kind(facts);
    event->key = 0;
    event->broadcast = 0;
    event->keyed = 0;
    event->superseded = 0;
    event->time_ms = event_time_at(engine_now_ms(session->engine), facts);
}

void cursor_tell_bytes(weir_engine *engine, weir_cursor *cursor) {
    if (cursor->unread > 0) u64_add_relaxed(&engine->bytes_read, cursor->unread);
    cursor->unread = 0;
}

static int report_gap(weir_session *session, weir_cursor *cursor, uint64_t next, weir_gap *gap) {
    weir_engine *engine = session->engine;
    gap->first = cursor->next;
    gap->last = next - 1;
    gap->lost = next - cursor->next;
    gap->lost_known = 1;
    gap->reason = WEIR_GAP_SLOW;
    cursor->next = next;
    if (cursor->attachment != NULL) attachment_advance(session, cursor, next);
    u64_add_relaxed(&engine->gaps, 1);
    u64_add_relaxed(&engine->lost, gap->lost);
    return WEIR_GAP;
}

/* How far back a subscriber may stand: its queue's depth when it is live; what is kept while it catches up, or where it
 * conflates; and in a queue that was closed, whatever is still there of it. */
static uint64_t window_of(const weir_session *session, const struct slots *slots, const weir_cursor *cursor) {
    bool bounded = cursor->live && cursor->policy != WEIR_POLICY_CONFLATE;
    if (cursor->end != UINT64_MAX) return (uint64_t)slots->mask + 1;
    if (bounded || session->replay_capacity < cursor->queue_depth) return cursor->queue_depth;
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

bool cursor_has_overflowed(const struct slots *slots, const weir_cursor *cursor) {
    if (cursor->queue_depth > slots->mask || !cursor->live || cursor->end != UINT64_MAX ||
        cursor->policy == WEIR_POLICY_REFUSE || cursor->policy == WEIR_POLICY_CONFLATE)
        return false;
    uint64_t beyond = cursor->next + cursor->queue_depth;
    enum slot_state state = slot_state_of(slots, slots_load(slots, beyond), beyond);
    return state == SLOT_EVENT || state == SLOT_PASSED;
}

/* A live subscriber's queue has overflowed: one that skips stays, the others get what was queued, and then the end. For
 * the session's attached consumer that is its producers' to say. */
COLD static void close_queue(weir_session *session, weir_cursor *cursor) {
    if (!cursor->live || cursor->end != UINT64_MAX || cursor_is_attached(cursor)) return;
    if (cursor->policy != WEIR_POLICY_DETACH && cursor->policy != WEIR_POLICY_EVICT) return;
    cursor->end = cursor->next + cursor->queue_depth;
    cursor->ended = WEIR_ENDED_LAGGING;
    if (cursor->policy == WEIR_POLICY_DETACH) return;
    cursor->ended = WEIR_ENDED_OVERFLOW;
    session_end(session, WEIR_ENDED_OVERFLOW);
}

/* Every way to read nothing. */
COLD static int read_nothing(weir_session *session, const struct slots *slots, weir_cursor *cursor,
                             enum slot_state state, weir_gap *gap) {
    if (state == SLOT_THE_END) return cursor_end(session, cursor);
    if (state == SLOT_AHEAD) {
        cursor->live = 1;
        cursor_tell_bytes(session->engine, cursor);
        return WEIR_EMPTY;
    }
    close_queue(session, cursor);
    return pass_over(session, slots, cursor, gap);
}

/* Delivery has reached the session's end. */
COLD int cursor_end(weir_session *session, weir_cursor *cursor) {
    cursor_tell_bytes(session->engine, cursor);
    cursor->ended = (uint8_t)session_ended(session);
    return WEIR_END;
}

/* Delivery has reached the end of what this cursor gets. */
COLD static int cursor_stopped(weir_session *session, weir_cursor *cursor) {
    cursor_tell_bytes(session->engine, cursor);
    if (cursor->policy == WEIR_POLICY_STANDARD) return WEIR_EMPTY; /* one look back is over */
    bool lagging = cursor->ended == WEIR_ENDED_LAGGING || cursor->ended == WEIR_ENDED_OVERFLOW;
    return lagging ? WEIR_LAGGED : WEIR_END;
}

/* Looks whether a live subscriber falls behind, or has caught up again: told once each way (BKP; 75 % and 37.5 %). */
COLD void cursor_watch(weir_session *session, weir_cursor *cursor) {
    const struct slots *slots = session_slots(session);
    if (slots == NULL || !cursor->live || cursor_is_attached(cursor)) return;
    uint64_t backlog = session_next(session, slots) - cursor->next;
    if (cursor->slow == 0 && backlog_is_slow(backlog, cursor->queue_depth)) {
        cursor->slow = 1;
        tell(session, WEIR_NOTICE_SLOW, WEIR_ENDED_NOT, cursor->generation, backlog, cursor->queue_depth);
    } else if (cursor->slow != 0 && backlog_has_recovered(backlog, cursor->queue_depth)) {
        cursor->slow = 0;
        tell(session, WEIR_NOTICE_RECOVERED, WEIR_ENDED_NOT, cursor->generation, backlog, cursor->queue_depth);
    }
}

/* A key, or the number of a broadcast: fetched apart, for few events have them. It is the same event if it is there. */
COLD static bool fetch_rare(const weir_session *session, const struct slots *slots, uint64_t sequence,
                            weir_event *event) {
    const struct cell_pool *pool = &session->engine->pool;
    return slots_read_rare(slots, pool, sequence, &event->keyed, &event->key, &event->broadcast) == SLOT_EVENT;
}

int cursor_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                weir_gap *gap) {
    void *ring = pointer_load_seq_cst(&session->ring); /* seq_cst: see session_slots */
    if (UNLIKELY(cursor->next >= cursor->end)) return cursor_stopped(session, cursor);
    if (UNLIKELY(!ring_is_slots(ring))) {
        if (ring_is_end(ring)) return cursor_end(session, cursor);
        cursor->live = 1;
        return WEIR_EMPTY;
    }
    const struct slots *slots = (const struct slots *)ring;
    if (UNLIKELY(cursor_has_overflowed(slots, cursor))) {
        if (cursor->policy == WEIR_POLICY_SKIP) return pass_over(session, slots, cursor, gap);
        close_queue(session, cursor);
    }
    uint64_t facts;
    enum slot_state state = slots_read(slots, &session->engine->pool, cursor->next, buffer, capacity, &facts);
    if (UNLIKELY(state != SLOT_EVENT)) return read_nothing(session, slots, cursor, state, gap);
    fill_event(session, cursor->next, facts, event);
    if (UNLIKELY(facts_length(facts) > capacity)) return WEIR_TOO_SMALL;
    if (UNLIKELY(facts_are_rare(facts)) && !fetch_rare(session, slots, cursor->next, event))
        return read_nothing(session, slots, cursor, SLOT_PASSED, gap);
    cursor->next++;
    cursor_read_bytes(session->engine, cursor, event->length);
    return WEIR_OK;
}

/* Loses in silence what the rules do not want to hear of (C-02); it was counted. */
COLD static int read_without_gaps(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity,
                                  weir_event *event, weir_gap *gap) {
    int status;
    do {
        status = cursor->attachment != NULL ? read_attached(session, cursor, buffer, capacity, event, gap)
                                            : cursor_read(session, cursor, buffer, capacity, event, gap);
    } while (status == WEIR_GAP);
    return status;
}

COLD static int read_rarely(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity,
                            weir_event *event, weir_gap *gap) {
    if (session->engine->config.rules.gap_signal == WEIR_GAP_SIGNAL_OFF)
        return read_without_gaps(session, cursor, buffer, capacity, event, gap);
    if (cursor->attachment != NULL) return read_attached(session, cursor, buffer, capacity, event, gap);
    int status = cursor_read(session, cursor, buffer, capacity, event, gap);
    if (cursor->watch != 0 && cursor->next % cursor->watch == 0) cursor_watch(session, cursor);
    return status;
}

int weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
              weir_gap *gap) {
    if (UNLIKELY(cursor->rare)) return read_rarely(session, cursor, buffer, capacity, event, gap);
    return cursor_read(session, cursor, buffer, capacity, event, gap);
}

void weir_cursor_advance(weir_session *session, weir_cursor *cursor, uint64_t next) {
    if (next <= cursor->next) return;
    cursor->next = next;
    if (cursor->attachment != NULL) attachment_advance(session, cursor, next);
    if (cursor->watch != 0) cursor_watch(session, cursor);
}
