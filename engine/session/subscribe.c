/* Attaching: where a subscriber starts, and what it is told about events that it can no longer get. */
#include <string.h>

#include "engine.h"
#include "id.h"

/* The window as one subscribe sees it. */
struct window {
    uint64_t first;  /* of the session */
    uint64_t oldest; /* kept */
    uint64_t next;   /* not published yet */
};

static struct window look_at_window(const weir_session *session) {
    struct window window = {session->first_sequence, session->first_sequence, session->first_sequence};
    const struct slots *slots = session_slots(session);
    if (slots == NULL) return window;
    window.next = session_next(session, slots);
    window.oldest = session_oldest(session, slots, window.next, session->replay_capacity);
    return window;
}

/* Everything kept, after a gap of what this epoch has lost and, where `known` is false, of what nobody can count. */
static uint64_t restart(const struct window *window, uint64_t first_lost, weir_gap_reason reason, bool known,
                        weir_gap *gap) {
    gap->first = first_lost;
    gap->last = window->oldest - 1;
    gap->lost = window->oldest - first_lost;
    gap->lost_known = known;
    gap->reason = reason;
    return window->oldest;
}

/* Where a subscriber that presents an id starts (design 4). */
static uint64_t place_after_id(const weir_session *session, const struct window *window, const char *id,
                               size_t length, weir_gap *gap) {
    uint64_t epoch;
    uint64_t last;
    if (!id_parse(id, length, &epoch, &last)) return restart(window, window->first, WEIR_GAP_MALFORMED, false, gap);
    if (epoch != session->epoch) {
        bool same_name = epoch >> 48 == session->epoch >> 48;
        return restart(window, window->first, same_name ? WEIR_GAP_EPOCH : WEIR_GAP_SESSION, false, gap);
    }
    if (last >= window->next) return restart(window, window->first, WEIR_GAP_AHEAD, false, gap);
    uint64_t wanted = last < window->first ? window->first : last + 1;
    if (wanted >= window->oldest) return wanted;
    return restart(window, wanted, WEIR_GAP_EVICTED, true, gap);
}

static bool arguments_are_valid(const weir_session *session, const weir_subscription *how) {
    return (how->last_id != NULL || how->last_id_length == 0) && how->start <= WEIR_START_NOW &&
           how->policy <= WEIR_POLICY_EVICT && how->queue_depth <= 1u << session->ring_log2;
}

/* From here on producers look at `consumed` before they take a number. Only one subscriber can be looked at: the
 * place is claimed first, filled, and then shown. */
static bool become_refusing(weir_session *session, const weir_cursor *cursor) {
    uint32_t expected = REFUSING_NO;
    if (!u32_cas_acq_rel(&session->refusing, &expected, REFUSING_SOON)) return false;
    u32_store_relaxed(&session->refuse_depth, cursor->queue_depth);
    u64_store_relaxed(&session->consumed, cursor->next);
    /* Partner: claim_sequence (publish.c). seq_cst, for the subscriber looks at the slots next: a store still on its way
     * would let a producer go on for a whole lap behind that look. */
    u32_store_seq_cst(&session->refusing, REFUSING_YES);
    return true;
}

/* Places the cursor where the subscription says, as things stand now. */
static void place_cursor(const weir_session *session, const weir_subscription *how, weir_cursor *cursor,
                         weir_gap *gap) {
    struct window window = look_at_window(session);
    memset(gap, 0, sizeof(*gap));
    if (how->last_id_length > 0)
        cursor->next = place_after_id(session, &window, how->last_id, how->last_id_length, gap);
    else
        cursor->next = how->start == WEIR_START_NOW ? window.next : window.oldest;
    cursor->live = cursor->next == window.next;
}

static int join_counts(weir_session *session) {
    weir_engine *engine = session->engine;
    const weir_config *config = &engine->config;
    uint32_t subscribers = u32_load_relaxed(&session->subscribers);
    do {
        if (subscribers >= config->max_session_subscribers) return WEIR_SUBSCRIBERS_LIMIT;
    } while (!u32_cas_seq_cst(&session->subscribers, &subscribers, subscribers + 1)); /* partner: session_expire */
    if (u64_add_relaxed(&engine->subscribers, 1) >= config->max_subscribers) {
        u64_subtract_relaxed(&engine->subscribers, 1);
        u32_subtract_acq_rel(&session->subscribers, 1);
        return WEIR_SUBSCRIBERS_LIMIT;
    }
    u64_store_relaxed(&session->touched_ms, engine_now_ms(engine)); /* relaxed: an age for the sweep */
    session_keep(session);
    return WEIR_OK;
}

static void leave_counts(weir_session *session) {
    u64_store_relaxed(&session->touched_ms, engine_now_ms(session->engine));
    u64_subtract_relaxed(&session->engine->subscribers, 1);
    u32_subtract_acq_rel(&session->subscribers, 1); /* release: touched_ms is new before the count is down */
}

static void count_gap(weir_engine *engine, const weir_gap *gap) {
    u64_add_relaxed(&engine->gaps, 1);
    u64_add_relaxed(&engine->lost, gap->lost);
}

int weir_subscribe(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap) {
    static const weir_subscription standard = {NULL, 0, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0};
    weir_gap unwanted;
    if (how == NULL) how = &standard;
    if (gap == NULL) gap = &unwanted;
    memset(gap, 0, sizeof(*gap));
    memset(cursor, 0, sizeof(*cursor));
    if (!arguments_are_valid(session, how)) return WEIR_INVALID;
    int status = join_counts(session);
    if (status != WEIR_OK) return status;

    place_cursor(session, how, cursor, gap);
    cursor->end = UINT64_MAX;
    cursor->queue_depth = how->queue_depth != 0 ? how->queue_depth : session->queue_depth;
    cursor->policy = (uint8_t)how->policy;
    if (how->policy == WEIR_POLICY_REFUSE) {
        if (!become_refusing(session, cursor)) {
            leave_counts(session);
            memset(cursor, 0, sizeof(*cursor));
            return WEIR_BUSY;
        }
        /* Producers may have gone far past that place before they were held to it. From here on they cannot. */
        place_cursor(session, how, cursor, gap);
        u64_store_release(&session->consumed, cursor->next); /* partner: is_full (slots.c) */
    }
    cursor->generation = u64_add_relaxed(&session->engine->generations, 1) + 1;
    if (gap->reason == WEIR_GAP_NONE) return WEIR_OK;
    count_gap(session->engine, gap);
    return WEIR_GAP;
}

void weir_unsubscribe(weir_session *session, weir_cursor *cursor) {
    if (cursor == NULL || cursor->generation == 0) return;
    if (cursor->policy == WEIR_POLICY_REFUSE) {
        u64_store_release(&session->consumed, NO_CONSUMER);
        u32_store_release(&session->refusing, REFUSING_NO);
    }
    cursor->generation = 0;
    leave_counts(session);
}

const char *weir_gap_reason_name(weir_gap_reason reason) {
    switch (reason) {
    case WEIR_GAP_EVICTED:
        return "evicted";
    case WEIR_GAP_SLOW:
        return "slow";
    case WEIR_GAP_AHEAD:
        return "ahead";
    case WEIR_GAP_EPOCH:
        return "epoch";
    case WEIR_GAP_SESSION:
        return "session";
    case WEIR_GAP_MALFORMED:
        return "malformed";
    case WEIR_GAP_NONE:
        break;
    }
    return "none";
}
