/* An attachment's life: made, linked, judged, closed once, given back. */
#include "attachment.h"

#include <string.h>

#include "base/mark.h"
#include "limits.h"

static bool try_hold(struct attachment *attachment) {
    uint32_t references = u32_load_relaxed(&attachment->references);
    do {
        if (references == 0) return false;
    } while (!u32_cas_acq_rel(&attachment->references, &references, references + 1)); /* acquire: its fields */
    return true;
}

/* The attachment can be given back and used for another session between the look at the pointer and the reference; an
 * unchanged pointer says that it was not. */
struct attachment *attachment_hold(weir_session *session) {
    for (;;) {
        void *word = pointer_load_seq_cst(&session->attachment); /* A1 */
        struct attachment *attachment = attachment_of(word);
        if (attachment == NULL) return NULL;
        if (attachment_doom(word) != WEIR_ENDED_NOT) attachment_finish_eviction(session, word);
        if (!try_hold(attachment)) continue;
        if (attachment_of(pointer_load_seq_cst(&session->attachment)) == attachment) return attachment;
        attachment_drop(attachment);
    }
}

COLD static void free_attachment(struct attachment *attachment) {
    weir_engine *engine = attachment->engine;
    uint32_t index = attachment->index;
    conflate_free(engine, attachment);
    limits_release(engine, attachment);
    slab_give(&engine->attachments_slab, &index, 1);
}

void attachment_drop(struct attachment *attachment) {
    /* Release: this holder's work comes before the memory's next use; acquire: the others' does, too. */
    if (u32_subtract_acq_rel(&attachment->references, 1) == 1) free_attachment(attachment);
}

int attachment_create(weir_session *session, const weir_subscription *how, const weir_cursor *cursor,
                      struct attachment **out) {
    weir_engine *engine = session->engine;
    uint32_t index;
    uint32_t taken;
    int status = slab_take(&engine->attachments_slab, &index, 1, &taken);
    if (status != WEIR_OK) return status == WEIR_FULL ? WEIR_SUBSCRIBERS_LIMIT : status;
    struct attachment *attachment = (struct attachment *)slab_at(&engine->attachments_slab, index);
    attachment->index = index;
    attachment->engine = engine;
    attachment->session = session;
    u64_store_relaxed(&attachment->generation, cursor->generation);
    u64_store_relaxed(&attachment->state, 0);
    u64_store_relaxed(&attachment->end, UINT64_MAX);
    attachment->token_expiry_s = how->token_expiry_s;
    attachment->connected_wall_s = engine_wall_s(engine);
    u64_store_relaxed(&attachment->active_wall_s, attachment->connected_wall_s);
    u64_store_relaxed(&attachment->full_ms, engine_now_ms(engine));
    attachment->queue_depth = cursor->queue_depth;
    attachment->consecutive_max = (uint16_t)how->full_consecutive_max;
    attachment->total_max = (uint16_t)how->full_total_max;
    attachment->policy = cursor->policy;
    attachment->exclusive = false;
    attachment->late = false;
    attachment->acknowledged = how->acknowledged != 0;
    attachment->bounded = how->full_consecutive_max != 0 || how->full_total_max != 0;
    attachment->conflation = NULL;
    ck_ec32_init(&attachment->room, 0);
    u64_store_relaxed(&attachment->position, cursor->next);
    u64_store_relaxed(&attachment->seen_ms, engine_now_ms(engine));
    status = limits_acquire(engine, how, attachment);
    if (status != WEIR_OK) {
        slab_give(&engine->attachments_slab, &index, 1);
        return status;
    }
    u32_store_release(&attachment->references, 1); /* partner: try_hold */
    *out = attachment;
    return WEIR_OK;
}

/* Whoever sees it closed and has no end yet puts one there: the first one counts. */
uint64_t attachment_end(struct attachment *attachment) {
    uint64_t end = u64_load_acquire(&attachment->end);
    if (end != UINT64_MAX) return end;
    const weir_session *session = attachment->session;
    const struct slots *slots = session_slots(session);
    uint64_t next = slots != NULL ? session_next(session, slots) : session->first_sequence;
    return u64_cas_acq_rel(&attachment->end, &end, next) ? next : end;
}

static void count_close(weir_engine *engine, weir_end_reason reason) {
    if (reason == WEIR_ENDED_LAGGING) u64_add_relaxed(&engine->detached_lagging, 1);
    if (reason == WEIR_ENDED_DISPLACED) u64_add_relaxed(&engine->displaced, 1);
}

bool attachment_close(struct attachment *attachment, weir_end_reason reason, uint64_t end) {
    weir_session *session = attachment->session;
    uint64_t state = u64_load_acquire(&attachment->state); /* A4 */
    do {
        if (state_reason(state) != WEIR_ENDED_NOT) {
            attachment_end(attachment);
            return false;
        }
    } while (!u64_cas_seq_cst(&attachment->state, &state, state | (uint64_t)reason)); /* A4, A5 */
    WEIR_MARK(ATTACHMENT_CLOSED);
    uint64_t unknown = UINT64_MAX;
    if (end == UINT64_MAX)
        attachment_end(attachment);
    else
        u64_cas_acq_rel(&attachment->end, &unknown, end);
    count_close(session->engine, reason);
    limits_release(session->engine, attachment);
    if (attachment->exclusive) consumer_leave(session);
    attachment_signal(attachment);
    session_wake(session);
    tell(session, WEIR_NOTICE_CLOSED, reason, u64_load_relaxed(&attachment->generation), 0, attachment->queue_depth);
    return true;
}

void attachment_finish_eviction(weir_session *session, void *word) {
    session_end(session, attachment_doom(word));
}

bool attachment_evict_session(struct attachment *attachment, weir_end_reason reason, uint64_t end) {
    weir_session *session = attachment->session;
    uint64_t unknown = UINT64_MAX;
    void *word = attachment;
    WEIR_MARK(EVICTION_DECIDED);
    /* First, for whoever helps from the mark on does not know it. */
    if (end != UINT64_MAX) u64_cas_acq_rel(&attachment->end, &unknown, end);
    void *marked = (void *)((uintptr_t)attachment | (uintptr_t)reason);
    if (!pointer_cas_seq_cst(&session->attachment, &word, marked)) { /* A1 */
        if (attachment_of(word) == attachment) attachment_finish_eviction(session, word);
        return false;
    }
    WEIR_MARK(EVICTION_MARKED);
    attachment_close(attachment, reason, end);
    session_end(session,
                reason); /* unless whoever met the mark has done it, or an end for another reason came first */
    return session_ended(session) == reason;
}

bool attachment_judge_token(struct attachment *attachment, bool *evicted) {
    weir_session *session = attachment->session;
    *evicted = false;
    switch (session->engine->config.rules.token_policy) {
    case WEIR_TOKEN_IGNORE:
        return false;
    case WEIR_TOKEN_CONTINUE: {
        uint64_t state = u64_load_acquire(&attachment->state);
        do {
            if (state & STATE_TOKEN) return false;
        } while (!u64_cas_acq_rel(&attachment->state, &state, state | STATE_TOKEN));
        tell(session, WEIR_NOTICE_TOKEN_EXPIRED, WEIR_ENDED_NOT, u64_load_relaxed(&attachment->generation), 0,
             attachment->queue_depth);
        return false;
    }
    case WEIR_TOKEN_EVICT:
        break;
    }
    if (attachment->exclusive)
        *evicted = attachment_evict_session(attachment, WEIR_ENDED_TOKEN, UINT64_MAX);
    else
        attachment_close(attachment, WEIR_ENDED_TOKEN, UINT64_MAX);
    return true;
}

void attachment_session_ended(weir_session *session, weir_end_reason reason) {
    void *word = pointer_load_seq_cst(&session->attachment);
    struct attachment *attachment = attachment_of(word);
    if (attachment == NULL || !try_hold(attachment)) return;
    if (attachment_of(pointer_load_seq_cst(&session->attachment)) == attachment)
        attachment_close(attachment, reason, UINT64_MAX);
    attachment_drop(attachment);
}

void attachment_session_free(weir_session *session) {
    struct attachment *attachment = attachment_of(pointer_load_seq_cst(&session->attachment));
    if (attachment == NULL) return;
    pointer_store_relaxed(&session->attachment, NULL); /* relaxed: nobody can reach the session any more */
    attachment_drop(attachment);
}

int weir_detach(weir_session *session, uint64_t generation) {
    struct attachment *attachment = attachment_hold(session);
    int status = WEIR_NOT_FOUND;
    if (attachment == NULL) {
        if (generation != 0) return WEIR_NOT_FOUND;
        session_touch_for(session, WEIR_ACTIVE_DETACH); /* SES-15: 0 is what nobody has attached with */
        return WEIR_OK;
    }
    if (u64_load_relaxed(&attachment->generation) == generation) {
        attachment_close(attachment, WEIR_ENDED_DETACHED, UINT64_MAX);
        session_touch_for(session, WEIR_ACTIVE_DETACH); /* SES-09 */
        status = WEIR_OK;
    }
    attachment_drop(attachment);
    return status;
}

static uint64_t backlog_of(const weir_session *session, const struct attachment *attachment) {
    const struct slots *slots = session_slots(session);
    if (slots == NULL) return 0;
    uint64_t next = session_next(session, slots);
    uint64_t position = u64_load_acquire(&attachment->position); /* A3 */
    uint64_t end = u64_load_acquire(&attachment->end); /* what came after it was closed is not in its queue */
    if (end < next) next = end;
    return next > position ? next - position : 0;
}

int weir_attachment_get(const weir_session *session, weir_attachment_info *info) {
    memset(info, 0, sizeof(*info));
    struct attachment *attachment = attachment_hold((weir_session *)(uintptr_t)session);
    if (attachment == NULL) return WEIR_NOT_FOUND;
    uint64_t state = u64_load_acquire(&attachment->state);
    info->generation = u64_load_relaxed(&attachment->generation);
    info->ended = state_reason(state);
    info->backlog = backlog_of(session, attachment);
    info->queue_depth = attachment->queue_depth;
    info->drops_consecutive = state_consecutive(state);
    info->drops_total = state_total(state);
    info->connected_wall_s = attachment->connected_wall_s;
    info->active_wall_s = u64_load_relaxed(&attachment->active_wall_s);
    info->token_expiry_s = attachment->token_expiry_s;
    attachment_drop(attachment);
    if (info->ended != WEIR_ENDED_NOT) return WEIR_CLOSED;
    return info->backlog >= info->queue_depth ? WEIR_FULL : WEIR_OK;
}
