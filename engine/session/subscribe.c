/* Attaching: where a subscriber starts, and what it is told about events that it can no longer get. */
#include <string.h>

#include "base/mark.h"
#include "channel.h"
#include "id.h"
#include "read.h"

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

/* After `last`, an event of this life. */
static uint64_t place_after(const weir_session *session, const struct window *window, uint64_t last, weir_gap *gap) {
    if (last >= window->next) {
        if (session->engine->config.rules.ahead == WEIR_AHEAD_RESTART)
            return restart(window, window->first, WEIR_GAP_AHEAD, false, gap);
        gap->first = window->next;
        gap->last = window->next - 1;
        gap->reason = WEIR_GAP_AHEAD;
        return window->next;
    }
    uint64_t wanted = last < window->first ? window->first : last + 1;
    if (wanted >= window->oldest) return wanted;
    return restart(window, wanted, WEIR_GAP_EVICTED, true, gap);
}

/* Where a subscriber that presents an id starts (design 4). */
static uint64_t place_after_id(const weir_session *session, const struct window *window, const char *id,
                               size_t length, weir_gap *gap) {
    uint64_t epoch;
    uint64_t last;
    if (session->engine->config.rules.id_form == WEIR_IDS_BARE) {
        id_parse_bare(id, length, &last);
        return place_after(session, window, last, gap);
    }
    if (!id_parse(id, length, &epoch, &last)) return restart(window, window->first, WEIR_GAP_MALFORMED, false, gap);
    if (epoch != session->epoch) {
        bool same_name = epoch >> 48 == session->epoch >> 48;
        return restart(window, window->first, same_name ? WEIR_GAP_EPOCH : WEIR_GAP_SESSION, false, gap);
    }
    return place_after(session, window, last, gap);
}

static bool arguments_are_valid(const weir_session *session, const weir_subscription *how) {
    return (how->last_id != NULL || how->last_id_length == 0) && how->start <= WEIR_START_AFTER &&
           how->policy <= WEIR_POLICY_CONFLATE && how->queue_depth <= 1u << session->ring_log2 &&
           how->full_consecutive_max <= 1023 && how->full_total_max <= 4095;
}

/* Whether an id is there. Of bare ones nothing but a number is one (RPL-21), and 0 is none where sequences start above it
 * (RPL-20). */
static bool has_id(const weir_session *session, const weir_subscription *how) {
    uint64_t last;
    if (how->last_id_length == 0 || session->engine->config.rules.id_form != WEIR_IDS_BARE)
        return how->last_id_length > 0;
    return id_parse_bare(how->last_id, how->last_id_length, &last) && last >= session->first_sequence;
}

/* Places the cursor where the subscription says, as things stand now. */
static void place_cursor(const weir_session *session, const weir_subscription *how, weir_cursor *cursor,
                         weir_gap *gap) {
    struct window window = look_at_window(session);
    memset(gap, 0, sizeof(*gap));
    if (has_id(session, how))
        cursor->next = place_after_id(session, &window, how->last_id, how->last_id_length, gap);
    else if (how->start == WEIR_START_AFTER)
        cursor->next = place_after(session, &window, how->after, gap);
    else
        cursor->next = how->start == WEIR_START_NOW ? window.next : window.oldest;
    cursor->live = cursor->next == window.next;
}

static void give_seat_back(weir_session *session) {
    u64_subtract_relaxed(&session->engine->subscribers, 1);
    u32_subtract_acq_rel(&session->subscribers,
                         1); /* release: what was written before is there when the count is down */
}

int consumer_join(weir_session *session, weir_refusal *refusal) {
    weir_engine *engine = session->engine;
    const weir_config *config = &engine->config;
    uint32_t subscribers = u32_load_relaxed(&session->subscribers);
    do {
        if (subscribers >= config->max_session_subscribers)
            return refuse(refusal, WEIR_SUBSCRIBERS_LIMIT, config->max_session_subscribers, subscribers);
    } while (!u32_cas_seq_cst(&session->subscribers, &subscribers, subscribers + 1)); /* partner: session_expire */
    uint64_t all = u64_add_relaxed(&engine->subscribers, 1);
    if (all >= config->max_subscribers) {
        give_seat_back(session);
        return refuse(refusal, WEIR_SUBSCRIBERS_LIMIT, config->max_subscribers, all);
    }
    return WEIR_OK;
}

void consumer_leave(weir_session *session) {
    const weir_engine *engine = session->engine;
    if (engine->config.rules.activity & WEIR_ACTIVE_DETACH)
        u64_store_relaxed(&session->touched_ms, engine_now_ms(engine)); /* relaxed: the count's release carries it */
    give_seat_back(session);
}

static bool is_silent(const weir_engine *engine) {
    return engine->config.rules.gap_signal == WEIR_GAP_SIGNAL_OFF;
}

/* What a gap at the start comes to: it is counted, and told unless the rules say that nobody wants to know (C-02). */
static int tell_start(weir_engine *engine, weir_gap *gap) {
    if (gap->reason == WEIR_GAP_NONE) return WEIR_OK;
    u64_add_relaxed(&engine->gaps, 1);
    u64_add_relaxed(&engine->lost, gap->lost);
    return is_silent(engine) ? WEIR_OK : WEIR_GAP;
}

static void begin_cursor(const weir_session *session, const weir_subscription *how, weir_policy standard,
                         weir_cursor *cursor) {
    const weir_config *config = &session->engine->config;
    cursor->end = UINT64_MAX;
    cursor->queue_depth = how->queue_depth != 0 ? how->queue_depth : session->queue_depth;
    cursor->policy = (uint8_t)(how->policy != WEIR_POLICY_STANDARD ? how->policy : standard);
    /* How often the backlog is looked at: in a short queue at each event, for it is slow in a few. */
    if (config->observer.notice != NULL) cursor->watch = cursor->queue_depth < 64 ? 1 : 16;
}

/* Puts the attachment in the place of `other`, which the caller holds (A6), or of none. An eviction of it is finished
 * first: then the session has ended, and is read to its end. False when another one has come. */
static bool replace_attachment(weir_session *session, struct attachment *other, struct attachment *attachment) {
    void *word = other;
    while (!pointer_cas_seq_cst(&session->attachment, &word, attachment)) { /* A1 */
        if (other == NULL || attachment_of(word) != other) return false;
        attachment_finish_eviction(session, word);
    }
    if (other != NULL) attachment_drop(other); /* the session's reference; the caller has its own */
    return true;
}

/* Becomes the session's attachment, displacing one of a smaller generation. False when a larger one is there (SES-19). */
static bool link_attachment(weir_session *session, struct attachment *attachment, weir_cursor *cursor) {
    bool linked = false;
    bool is_newest = true;
    while (!linked && is_newest) {
        struct attachment *other = attachment_hold(session);
        is_newest = other == NULL || u64_load_relaxed(&other->generation) < cursor->generation;
        WEIR_MARK(ATTACH_DECIDED);
        linked = is_newest && replace_attachment(session, other, attachment);
        if (other == NULL) continue;
        if (linked) {
            WEIR_MARK(ATTACH_LINKED);
            attachment_close(other, WEIR_ENDED_DISPLACED, UINT64_MAX);
        }
        attachment_drop(other);
    }
    return linked;
}

/* A REFUSE subscriber takes the session's live queue when nobody has it. */
static bool link_if_free(weir_session *session, struct attachment *attachment) {
    struct attachment *other = attachment_hold(session);
    bool is_free = other == NULL || state_reason(u64_load_acquire(&other->state)) != WEIR_ENDED_NOT;
    bool linked = is_free && replace_attachment(session, other, attachment);
    if (other != NULL) attachment_drop(other);
    return linked;
}

static bool needs_attachment(const weir_subscription *how, const weir_cursor *cursor) {
    return how->token_expiry_s != 0 || how->principal != NULL || how->address != NULL || how->acknowledged != 0 ||
           cursor->policy == WEIR_POLICY_CONFLATE;
}

/* Gives an attachment its session. The cursor is placed again afterwards: where producers are held to its position they
 * may have gone far past the first place, and what the displaced consumer still gets ends here. */
static int become_the_consumer(weir_session *session, const weir_subscription *how, bool displace,
                               struct attachment *attachment, weir_cursor *cursor, weir_gap *gap) {
    attachment->exclusive = true;
    attachment->late = session_ended(session) != WEIR_ENDED_NOT;
    u32_add_relaxed(&attachment->references, 1); /* the session's; relaxed: not linked yet */
    if (displace ? link_attachment(session, attachment, cursor) : link_if_free(session, attachment)) {
        place_cursor(session, how, cursor, gap);
        u64_store_release(&attachment->position, cursor->next); /* A2 */
        if (session_ended(session) != WEIR_ENDED_NOT) attachment_session_ended(session, session_ended(session));
        return WEIR_OK;
    }
    attachment_drop(attachment);
    if (!displace) {
        attachment->exclusive = false;
        return WEIR_BUSY;
    }
    attachment_close(attachment, WEIR_ENDED_DISPLACED, cursor->next);
    return WEIR_OK;
}

static int subscribe(weir_session *session, const weir_subscription *how, bool displace, weir_cursor *cursor,
                     weir_gap *gap) {
    weir_engine *engine = session->engine;
    int status = consumer_join(session, how->refusal);
    if (status != WEIR_OK) return status;
    place_cursor(session, how, cursor, gap);
    cursor->generation = u64_add_relaxed(&engine->generations, 1) + 1;
    struct attachment *attachment = NULL;
    bool exclusive = displace || cursor->policy == WEIR_POLICY_REFUSE;
    if (exclusive || needs_attachment(how, cursor)) status = attachment_create(session, how, cursor, &attachment);
    if (status == WEIR_OK && exclusive) status = become_the_consumer(session, how, displace, attachment, cursor, gap);
    if (status != WEIR_OK) {
        if (attachment != NULL) attachment_drop(attachment);
        give_seat_back(session);
        memset(cursor, 0, sizeof(*cursor));
        return status;
    }
    session_touch_for(session, WEIR_ACTIVE_ATTACH);
    cursor->attachment = attachment;
    cursor->rare = attachment != NULL || cursor->watch != 0 || is_silent(engine);
    if (how->last_id_length > 0 || how->start != WEIR_START_NOW) u64_add_relaxed(&engine->replays, 1);
    return tell_start(engine, gap);
}

int weir_subscribe(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap) {
    static const weir_subscription standard;
    weir_gap unwanted;
    if (how == NULL) how = &standard;
    if (gap == NULL) gap = &unwanted;
    memset(gap, 0, sizeof(*gap));
    memset(cursor, 0, sizeof(*cursor));
    if (!arguments_are_valid(session, how)) return WEIR_INVALID;
    begin_cursor(session, how, WEIR_POLICY_SKIP, cursor);
    return subscribe(session, how, false, cursor, gap);
}

void weir_subscription_init(const weir_engine *engine, weir_subscription *how) {
    const weir_rules *rules = &engine->config.rules;
    memset(how, 0, sizeof(*how));
    how->policy = rules->full_action;
    how->full_consecutive_max = rules->full_consecutive_max;
    how->full_total_max = rules->full_total_max;
}

int weir_attach(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap) {
    weir_subscription standard;
    weir_gap unwanted;
    weir_subscription_init(session->engine, &standard);
    if (how == NULL) how = &standard;
    if (gap == NULL) gap = &unwanted;
    memset(gap, 0, sizeof(*gap));
    memset(cursor, 0, sizeof(*cursor));
    if (!arguments_are_valid(session, how)) return WEIR_INVALID;
    weir_subscription resolved = *how;
    if (how->policy == WEIR_POLICY_STANDARD) { /* then the bounds are the rules', too */
        resolved.full_consecutive_max = standard.full_consecutive_max;
        resolved.full_total_max = standard.full_total_max;
        how = &resolved;
    }
    begin_cursor(session, how, session->engine->config.rules.full_action, cursor);
    int status = subscribe(session, how, true, cursor, gap);
    if (cursor->generation != 0 && session->engine->config.rules.attach_drops_channels)
        weir_session_leave_all(session, NULL, NULL);
    return status;
}

int weir_replay(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap) {
    static const weir_subscription standard;
    weir_gap unwanted;
    if (how == NULL) how = &standard;
    if (gap == NULL) gap = &unwanted;
    memset(gap, 0, sizeof(*gap));
    memset(cursor, 0, sizeof(*cursor));
    if (!arguments_are_valid(session, how)) return WEIR_INVALID;
    place_cursor(session, how, cursor, gap);
    struct window window = look_at_window(session);
    cursor->policy = WEIR_POLICY_STANDARD; /* which no attached cursor has: read_nothing tells by it */
    cursor->queue_depth = session->queue_depth;
    cursor->live = 0;
    cursor->rare = is_silent(session->engine);
    cursor->end = window.next;
    u64_add_relaxed(&session->engine->replays, 1);
    return tell_start(session->engine, gap);
}

static void leave_attachment(weir_session *session, weir_cursor *cursor) {
    struct attachment *attachment = (struct attachment *)cursor->attachment;
    bool exclusive = attachment->exclusive;
    attachment_close(attachment, WEIR_ENDED_PEER, UINT64_MAX);
    attachment_drop(attachment);
    cursor->attachment = NULL;
    if (!exclusive) consumer_leave(session);
}

void weir_unsubscribe(weir_session *session, weir_cursor *cursor) {
    if (cursor == NULL || cursor->generation == 0) return;
    cursor->generation = 0;
    cursor_tell_bytes(session->engine, cursor);
    if (cursor->attachment != NULL)
        leave_attachment(session, cursor);
    else
        consumer_leave(session);
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
