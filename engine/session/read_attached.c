/* Reading with an attachment: what producers and sweeps have said about it comes first, what it has read is told to them
 * afterwards. */
#include "read.h"

/* The consumer has been slow and may be fast again: looked at only while it is slow. */
COLD static void look_for_recovery(weir_session *session, struct attachment *attachment) {
    const struct slots *slots = session_slots(session);
    if (slots == NULL) return;
    uint64_t backlog = session_next(session, slots) - u64_load_relaxed(&attachment->position); /* own */
    if (!backlog_has_recovered(backlog, attachment->queue_depth)) return;
    uint64_t state = u64_load_acquire(&attachment->state);
    do {
        if ((state & STATE_SLOW) == 0) return;
    } while (!u64_cas_acq_rel(&attachment->state, &state, state & ~STATE_SLOW));
    tell(session, WEIR_NOTICE_RECOVERED, WEIR_ENDED_NOT, u64_load_relaxed(&attachment->generation), backlog,
         attachment->queue_depth);
}

/* Everything below `next` is done with. Release (A2): the copy comes before a producer may count on the place. */
static void move_position(weir_session *session, struct attachment *attachment, uint64_t next) {
    u64_store_release(&attachment->position, next);
    if (attachment->policy == WEIR_POLICY_REFUSE) attachment_signal(attachment);
    /* Relaxed: a hint, which the next move will see at the latest. */
    if (UNLIKELY(u64_load_relaxed(&attachment->state) & STATE_SLOW)) look_for_recovery(session, attachment);
}

void attachment_advance(weir_session *session, weir_cursor *cursor, uint64_t next) {
    struct attachment *attachment = (struct attachment *)cursor->attachment;
    if (!attachment->acknowledged) move_position(session, attachment, next);
}

void weir_acknowledge(weir_session *session, weir_cursor *cursor, uint64_t sequence) {
    struct attachment *attachment = (struct attachment *)cursor->attachment;
    if (attachment == NULL || !attachment->acknowledged) return;
    uint64_t position = u64_load_relaxed(&attachment->position); /* relaxed: this thread's own */
    if (sequence < position || sequence >= cursor->next) return;
    move_position(session, attachment, sequence + 1);
}

/* A closed attachment delivers up to its end; what comes then is its reason. */
COLD static void take_end(struct attachment *attachment, uint64_t state, weir_cursor *cursor) {
    cursor->end = attachment_end(attachment);
    cursor->ended = (uint8_t)state_reason(state);
}

int read_attached(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                  weir_gap *gap) {
    struct attachment *attachment = (struct attachment *)cursor->attachment;
    u64_store_relaxed(&attachment->seen_ms, engine_now_ms(session->engine)); /* relaxed: an age for the sweep */
    if (UNLIKELY(attachment_token_expired(attachment)) &&
        state_reason(u64_load_acquire(&attachment->state)) == WEIR_ENDED_NOT) {
        bool evicted;
        attachment_judge_token(attachment, &evicted);
    }
    uint64_t state = u64_load_acquire(&attachment->state); /* A4 */
    if (UNLIKELY(state_reason(state) != WEIR_ENDED_NOT) && cursor->end == UINT64_MAX && !attachment->late)
        take_end(attachment, state, cursor);
    if (cursor->policy == WEIR_POLICY_CONFLATE) {
        const struct slots *slots = session_slots(session);
        while (slots != NULL && cursor->next < cursor->end && conflate_is_superseded(session, slots, cursor))
            attachment_advance(session, cursor, ++cursor->next);
    }
    int status = cursor_read(session, cursor, buffer, capacity, event, gap);
    if (status != WEIR_OK) return status;
    if (cursor->policy == WEIR_POLICY_CONFLATE) event->superseded = conflate_take_count(cursor);
    attachment_advance(session, cursor, cursor->next);
    if (cursor->watch != 0 && cursor->next % cursor->watch == 0) cursor_watch(session, cursor);
    return WEIR_OK;
}
