/* Publishing into a session that has an attached consumer: its token, its queue, its two counts of fulls, and what they
 * lead to (contract BKP, LIV, TOK). Nothing here waits; every decision is bound to the attachment that was looked at. */
#include "attachment.h"
#include "base/mark.h"
#include "publish.h"
#include "read.h"

/* How many fulls the total is forgiven: one per full_decay_ms, each to one caller. */
static uint32_t take_forgiven(const weir_engine *engine, struct attachment *attachment) {
    uint32_t step = engine->config.rules.full_decay_ms;
    uint64_t now_ms = engine_now_ms(engine);
    uint64_t since_ms = u64_load_relaxed(&attachment->full_ms); /* relaxed: an age */
    if (step == 0 || now_ms < since_ms + step) return 0;
    uint64_t steps = (now_ms - since_ms) / step;
    if (!u64_cas_acq_rel(&attachment->full_ms, &since_ms, since_ms + steps * step)) return 0;
    return steps < UINT16_MAX ? (uint32_t)steps : UINT16_MAX;
}

/* Counts a full queue: true when that was once too often, by the counts before it (BKP-04, BKP-05). Producers that race
 * may each add one beyond the limit; who then closes or evicts is decided there. */
static bool count_full(const weir_engine *engine, struct attachment *attachment) {
    bool once_too_often;
    uint64_t counted;
    uint32_t forgiven = take_forgiven(engine, attachment);
    uint64_t state = u64_load_acquire(&attachment->state);
    do {
        uint32_t consecutive = state_consecutive(state);
        uint32_t total = state_total(state);
        total = total > forgiven ? total - forgiven : 0;
        bool bounded = attachment->bounded || attachment->policy != WEIR_POLICY_REFUSE;
        bool by_row = attachment->consecutive_max != 0 || attachment->total_max == 0;
        once_too_often = bounded && ((by_row && consecutive >= attachment->consecutive_max) ||
                                     (attachment->total_max != 0 && total >= attachment->total_max));
        if (consecutive < UINT16_MAX) consecutive++;
        if (total < UINT16_MAX) total++;
        counted = state_with_counts(state, consecutive, total);
    } while (!u64_cas_acq_rel(&attachment->state, &state, counted));
    return once_too_often;
}

/* An accepted push ends the row of fulls (BKP-07) and is life of the consumer (LIV-12). */
static void note_accepted(const weir_engine *engine, struct attachment *attachment) {
    uint64_t now_s = engine_wall_s(engine);
    if (u64_load_relaxed(&attachment->active_wall_s) != now_s) u64_store_relaxed(&attachment->active_wall_s, now_s);
    uint64_t state = u64_load_acquire(&attachment->state);
    while (UNLIKELY(state_consecutive(state) != 0)) {
        if (u64_cas_acq_rel(&attachment->state, &state, state_with_counts(state, 0, state_total(state)))) break;
    }
}

static void note_backlog(weir_session *session, struct attachment *attachment, uint64_t backlog) {
    if (!backlog_is_slow(backlog, attachment->queue_depth)) return;
    uint64_t state = u64_load_acquire(&attachment->state);
    do {
        if (state & STATE_SLOW) return;
    } while (!u64_cas_acq_rel(&attachment->state, &state, state | STATE_SLOW));
    tell(session, WEIR_NOTICE_SLOW, WEIR_ENDED_NOT, u64_load_relaxed(&attachment->generation), backlog,
         attachment->queue_depth);
}

/* The event stands beyond the queue; what that comes to is the policy's. It stays published. */
COLD static void overflow(weir_session *session, struct attachment *attachment, uint64_t sequence) {
    if (attachment->policy != WEIR_POLICY_DETACH && attachment->policy != WEIR_POLICY_EVICT) return;
    if (!count_full(session->engine, attachment)) return;
    if (attachment->policy == WEIR_POLICY_DETACH)
        attachment_close(attachment, WEIR_ENDED_LAGGING, sequence);
    else
        attachment_evict_session(attachment, WEIR_ENDED_OVERFLOW, sequence);
}

/* What the published event is to the consumer, who may have got further than its position says: then it is inside. */
static void settle_live(weir_producer *producer, weir_session *session, struct attachment *attachment,
                        uint64_t sequence, weir_receipt *receipt) {
    uint64_t position = u64_load_acquire(&attachment->position); /* A3 */
    uint64_t backlog = sequence >= position ? sequence - position + 1 : 0;
    uint64_t state = u64_load_seq_cst(&attachment->state); /* A5 */
    if (UNLIKELY(state_reason(state) != WEIR_ENDED_NOT) && attachment_end(attachment) <= sequence) {
        /* Closed between the judgement and the claim: the event is for the next consumer, or for the ring. */
        receipt->live = WEIR_LIVE_CLOSED;
        count(&producer->live_closed, 1);
        return;
    }
    if (backlog > attachment->queue_depth) {
        receipt->live = WEIR_LIVE_FULL;
        count(&producer->live_full, 1);
        overflow(session, attachment, sequence);
        return;
    }
    receipt->live = WEIR_LIVE_ACCEPTED;
    count(&producer->live_accepted, 1);
    note_accepted(session->engine, attachment);
    note_backlog(session, attachment, backlog);
}

/* REFUSE: the queue is full before anything is published. */
COLD static int refused_full(weir_producer *producer, weir_session *session, struct attachment *attachment,
                             bool bound, weir_receipt *receipt) {
    receipt->live = WEIR_LIVE_FULL;
    if (bound) return WEIR_FULL;
    count(&producer->live_full, 1);
    if (!count_full(session->engine, attachment)) return WEIR_FULL;
    return attachment_evict_session(attachment, WEIR_ENDED_OVERFLOW, UINT64_MAX) ? WEIR_EVICTED : WEIR_FULL;
}

/* The consumer is cut off. One that has gone takes the session with it where the rules say so (LIV-13, C-05). */
static int publish_closed(weir_producer *producer, weir_session *session, struct slots *slots,
                          const struct stocked_cell *mine, size_t length, struct attachment *attachment,
                          weir_end_reason reason, uint64_t *sequence, weir_receipt *receipt) {
    receipt->live = WEIR_LIVE_CLOSED;
    count(&producer->live_closed, 1);
    if (reason == WEIR_ENDED_PEER && session->engine->config.rules.closed_action == WEIR_CLOSED_REMOVE) {
        attachment_evict_session(attachment, WEIR_ENDED_PEER, UINT64_MAX);
        return WEIR_CLOSED;
    }
    return publish_bounded(producer, session, slots, mine, length, NULL, 0, sequence);
}

/* Order of judgement: token, consumer, queue (LIV-11). */
int attached_offer(weir_producer *producer, weir_session *session, struct slots *slots,
                   const struct stocked_cell *mine, size_t length, struct attachment *attachment, bool bound,
                   uint64_t *sequence, weir_receipt *receipt) {
    weir_end_reason reason = state_reason(u64_load_acquire(&attachment->state));
    receipt->generation = u64_load_relaxed(&attachment->generation);
    if (reason == WEIR_ENDED_NOT && UNLIKELY(attachment_token_expired(attachment))) {
        bool evicted;
        if (attachment_judge_token(attachment, &evicted)) {
            receipt->live = WEIR_LIVE_CLOSED;
            return evicted ? WEIR_TOKEN_EXPIRED : WEIR_CLOSED;
        }
    }
    if (reason != WEIR_ENDED_NOT && bound) return WEIR_FULL;
    if (reason != WEIR_ENDED_NOT)
        return publish_closed(producer, session, slots, mine, length, attachment, reason, sequence, receipt);
    bool refusing = attachment->policy == WEIR_POLICY_REFUSE;
    int status = publish_bounded(producer, session, slots, mine, length, refusing ? &attachment->position : NULL,
                                 attachment->queue_depth, sequence);
    if (status == WEIR_FULL) return refused_full(producer, session, attachment, bound, receipt);
    if (status == WEIR_OK) settle_live(producer, session, attachment, *sequence, receipt);
    return status;
}

int publish_attached(weir_producer *producer, weir_session *session, struct slots *slots,
                     const struct stocked_cell *mine, size_t length, uint64_t *sequence, weir_receipt *receipt) {
    struct attachment *attachment = attachment_hold(session);
    WEIR_MARK(OFFER_ATTACHMENT_HELD);
    receipt->live = WEIR_LIVE_NONE;
    receipt->generation = 0;
    int status = attachment == NULL
                     ? publish_bounded(producer, session, slots, mine, length, NULL, 0, sequence)
                     : attached_offer(producer, session, slots, mine, length, attachment, false, sequence, receipt);
    if (attachment != NULL) attachment_drop(attachment);
    return status == WEIR_OK ? status : publish_refused(producer, status);
}

int weir_offer(weir_producer *producer, weir_session *session, const weir_message *message, weir_receipt *receipt) {
    weir_receipt unwanted;
    return publish_offer(producer, session, message, receipt != NULL ? receipt : &unwanted);
}

int weir_send(weir_producer *producer, const char *name, size_t length, const weir_message *message,
              weir_receipt *receipt) {
    weir_engine *engine = producer->engine;
    weir_receipt unwanted;
    if (receipt == NULL) receipt = &unwanted;
    receipt->sequence = 0;
    receipt->stored = 0;
    receipt->live = WEIR_LIVE_NONE;
    receipt->generation = 0;
    if (name == NULL || length == 0) return publish_refused(producer, WEIR_INVALID); /* LIV-07 */
    weir_session *session = registry_find(engine, name, length);
    int status = WEIR_NOT_FOUND;
    if (session != NULL) {
        status = publish_offer(producer, session, message, receipt);
        weir_session_release(session);
    }
    return status == WEIR_NOT_FOUND && engine->config.rules.missing == WEIR_MISSING_IGNORE ? WEIR_OK : status;
}

int weir_heartbeat_publish(weir_producer *producer, weir_session *session, const void *data, size_t length,
                           int *published) {
    static const char name[] = "heartbeat";
    uint32_t kind;
    if (published != NULL) *published = 0;
    if (producer->engine->config.rules.heartbeat != WEIR_HEARTBEAT_SEQUENCED) return WEIR_OK;
    int status = weir_kind(producer->engine, name, sizeof(name) - 1, &kind);
    if (status == WEIR_OK) status = weir_publish(producer, session, kind, data, length, NULL);
    if (published != NULL) *published = status == WEIR_OK;
    return status;
}
