/* The model's consumers: where one starts, and what it reads next. */
#include "replay_model.h"

#include <string.h>

/* ---- Places --------------------------------------------------------------------------------------------------- */

/* Everything kept, after a gap from first_lost on. */
static struct model_placing restart(struct model *model, struct model_life *life, uint64_t first_lost,
                                    weir_gap_reason reason) {
    uint64_t oldest = model_oldest(model, life, model->config.replay_capacity);
    struct model_placing placing = {WEIR_GAP, oldest, {first_lost, oldest - 1, oldest - first_lost, 0, reason}, 0, 0};
    placing.gap.lost_known = reason == WEIR_GAP_EVICTED;
    return placing;
}

static struct model_placing place_after(struct model *model, struct model_life *life, uint64_t last) {
    struct model_placing placing = {WEIR_OK, 0, {0, 0, 0, 0, WEIR_GAP_NONE}, 0, 0};
    if (last >= life->next && model->config.rules.ahead == WEIR_AHEAD_RESTART)
        return restart(model, life, model->first, WEIR_GAP_AHEAD);
    if (last >= life->next) {
        placing.status = WEIR_GAP;
        placing.next = life->next;
        placing.gap = (weir_gap){life->next, life->next - 1, 0, 0, WEIR_GAP_AHEAD};
        return placing;
    }
    placing.next = last < model->first ? model->first : last + 1;
    if (placing.next < model_oldest(model, life, model->config.replay_capacity))
        return restart(model, life, placing.next, WEIR_GAP_EVICTED);
    return placing;
}

/* Another life's id: 16 bits of an epoch are the name's, so that most other names can be told from this one. */
static bool is_of_this_name(const struct model_life *life, uint64_t epoch) {
    return epoch >> 48 == life->epoch >> 48;
}

static struct model_placing place(struct model *model, struct model_life *life, const struct model_wish *wish) {
    bool bare = model->config.rules.id_form == WEIR_IDS_BARE;
    enum model_id id = wish->id;
    /* What is not a number counts as none, and so does one below the first (RPL-20, RPL-21). */
    if (bare && (id == MODEL_ID_MALFORMED || wish->sequence < model->first)) id = MODEL_ID_NONE;
    if (id == MODEL_ID_MALFORMED) return restart(model, life, model->first, WEIR_GAP_MALFORMED);
    if (id == MODEL_ID_GIVEN && !bare && wish->epoch != life->epoch)
        return restart(model, life, model->first,
                       is_of_this_name(life, wish->epoch) ? WEIR_GAP_EPOCH : WEIR_GAP_SESSION);
    if (id == MODEL_ID_GIVEN) return place_after(model, life, wish->sequence);
    if (wish->how.start == WEIR_START_AFTER) return place_after(model, life, wish->how.after);
    struct model_placing placing = {WEIR_OK, life->next, {0, 0, 0, 0, WEIR_GAP_NONE}, 0, 0};
    if (wish->how.start == WEIR_START_OLDEST) placing.next = model_oldest(model, life, model->config.replay_capacity);
    return placing;
}

/* ---- Beginning ------------------------------------------------------------------------------------------------ */

/* A session's one consumer counts until it is closed, any other until it leaves. */
static bool counts(const struct model_consumer *consumer) {
    const struct model_seat *seat = consumer->life != NULL ? consumer->seat : NULL;
    return seat != NULL && (!seat->exclusive || seat->ended == WEIR_ENDED_NOT);
}

uint32_t model_subscribers(const struct model *model, const struct model_life *life) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < MODEL_CONSUMERS; i++)
        count += counts(&model->consumers[i]) && (life == NULL || model->consumers[i].life == life);
    return count;
}

static int refused(struct model_placing *placing, int status, uint64_t limit, uint64_t current) {
    placing->limit = limit;
    placing->current = current;
    return status;
}

/* What the limits say (PRP-08). A principal's place is free when the consumer is closed. */
static int check_limits(const struct model *model, const struct model_life *life, const struct model_wish *wish,
                        struct model_placing *placing) {
    const weir_config *config = &model->config;
    uint32_t principals = 0;
    uint32_t addresses = 0;
    for (uint32_t i = 0; i < MODEL_CONSUMERS; i++) {
        const struct model_consumer *consumer = &model->consumers[i];
        if (consumer->life == NULL || consumer->seat == NULL || consumer->seat->ended != WEIR_ENDED_NOT) continue;
        principals += wish->principal != 0 && consumer->principal == wish->principal;
        addresses += wish->address != 0 && consumer->address == wish->address;
    }
    uint32_t here = model_subscribers(model, life);
    uint32_t all = model_subscribers(model, NULL);
    if (here >= config->max_session_subscribers)
        return refused(placing, WEIR_SUBSCRIBERS_LIMIT, config->max_session_subscribers, here);
    if (all >= config->max_subscribers) return refused(placing, WEIR_SUBSCRIBERS_LIMIT, config->max_subscribers, all);
    if (config->max_principal_subscribers != 0 && principals >= config->max_principal_subscribers)
        return refused(placing, WEIR_PRINCIPAL_LIMIT, config->max_principal_subscribers, principals);
    if (config->max_address_subscribers != 0 && addresses >= config->max_address_subscribers)
        return refused(placing, WEIR_ADDRESS_LIMIT, config->max_address_subscribers, addresses);
    return WEIR_OK;
}

/* Policy, depth and bounds; false when they are out of range. */
static bool resolve_wish(const struct model *model, const struct model_wish *wish, weir_subscription *how) {
    const weir_rules *rules = &model->config.rules;
    *how = wish->how;
    if (how->queue_depth > model->ring || how->full_consecutive_max > 1023 || how->full_total_max > 4095)
        return false;
    if (how->queue_depth == 0) how->queue_depth = model->config.queue_depth;
    if (how->policy != WEIR_POLICY_STANDARD) return true;
    how->policy = wish->way == MODEL_ATTACH ? rules->full_action : WEIR_POLICY_SKIP;
    how->full_consecutive_max = rules->full_consecutive_max;
    how->full_total_max = rules->full_total_max;
    return true;
}

static struct model_seat *make_seat(struct model *model, struct model_life *life, const struct model_wish *wish,
                                    const weir_subscription *how, uint64_t next) {
    struct model_seat *seat = model_seat_new(model);
    seat->life = life;
    seat->exclusive = wish->way == MODEL_ATTACH || how->policy == WEIR_POLICY_REFUSE;
    seat->kept = seat->exclusive || how->token_expiry_s != 0 || wish->principal != 0 || wish->address != 0 ||
                 how->acknowledged != 0 || how->policy == WEIR_POLICY_CONFLATE;
    seat->position = next;
    seat->policy = how->policy;
    seat->depth = how->queue_depth;
    seat->consecutive_max = how->full_consecutive_max;
    seat->total_max = how->full_total_max;
    seat->full_ms = model->now_ms;
    seat->acknowledged = how->acknowledged != 0;
    seat->late = seat->exclusive && life->ended != WEIR_ENDED_NOT;
    seat->token_s = how->token_expiry_s;
    seat->connected_s = seat->active_s = model->wall_ms / 1000;
    seat->seen_ms = model->now_ms;
    return seat;
}

/* The session's one consumer is this one now (SES-06); in a session that has ended it ends with it. */
static void take_the_seat(struct model *model, struct model_life *life, struct model_seat *seat) {
    if (life->newest != NULL) model_close(model, life->newest, WEIR_ENDED_DISPLACED, MODEL_NEVER);
    life->newest = seat;
    if (life->ended != WEIR_ENDED_NOT) model_close(model, seat, life->ended, MODEL_NEVER);
}

static void tell_start(struct model *model, const struct model_wish *wish, struct model_placing *placing) {
    bool at_the_end = wish->id == MODEL_ID_NONE && wish->how.start == WEIR_START_NOW;
    if (wish->way == MODEL_REPLAY || !at_the_end) model->stats.replays++;
    if (placing->gap.reason == WEIR_GAP_NONE) return;
    model->stats.gaps++;
    model->stats.lost += placing->gap.lost;
    if (model->config.rules.gap_signal == WEIR_GAP_SIGNAL_OFF) placing->status = WEIR_OK;
}

/* Whether a REFUSE subscriber would be the second one. */
static bool is_busy(const struct model_life *life, const struct model_wish *wish, weir_policy policy) {
    return wish->way == MODEL_SUBSCRIBE && policy == WEIR_POLICY_REFUSE && life->newest != NULL &&
           life->newest->ended == WEIR_ENDED_NOT;
}

void model_begin(struct model *model, struct model_consumer *consumer, struct model_life *life,
                 const struct model_wish *wish, uint64_t generation, struct model_placing *placing) {
    weir_subscription how;
    *placing = place(model, life, wish);
    int refusal = resolve_wish(model, wish, &how) ? WEIR_OK : WEIR_INVALID;
    if (refusal == WEIR_OK && wish->way != MODEL_REPLAY) refusal = check_limits(model, life, wish, placing);
    if (refusal == WEIR_OK && is_busy(life, wish, how.policy)) refusal = WEIR_BUSY;
    if (refusal != WEIR_OK) {
        placing->status = refusal;
        return;
    }
    memset(consumer, 0, sizeof(*consumer));
    consumer->life = life;
    consumer->next = placing->next;
    consumer->end = wish->way == MODEL_REPLAY ? life->next : MODEL_NEVER;
    consumer->policy = how.policy;
    consumer->depth = how.queue_depth;
    consumer->live = wish->way != MODEL_REPLAY && placing->next == life->next;
    consumer->principal = wish->principal;
    consumer->address = wish->address;
    tell_start(model, wish, placing);
    if (wish->way == MODEL_REPLAY) return;
    consumer->seat = make_seat(model, life, wish, &how, placing->next);
    consumer->seat->generation = generation;
    model_touch(model, life, WEIR_ACTIVE_ATTACH);
    if (consumer->seat->exclusive) take_the_seat(model, life, consumer->seat);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static void move_to(struct model_consumer *consumer, uint64_t next) {
    consumer->next = next;
    if (consumer->seat != NULL && !consumer->seat->acknowledged) consumer->seat->position = next;
}

static void tell_bytes(struct model *model, struct model_consumer *consumer) {
    model->stats.bytes_read += consumer->unread;
    consumer->unread = 0;
}

/* How far back it may stand: its queue when it is live, what is kept while it catches up, or where it conflates. What
 * a closed queue still has is its own. */
static uint64_t window_of(const struct model *model, const struct model_consumer *consumer) {
    bool bounded = consumer->live && consumer->policy != WEIR_POLICY_CONFLATE;
    uint32_t capacity = model->config.replay_capacity;
    if (consumer->end != MODEL_NEVER) return model->ring;
    return bounded || capacity < consumer->depth ? consumer->depth : capacity;
}

/* A gap up to the oldest event that it may still have, one at least, and not beyond its end. */
static int pass_over(struct model *model, struct model_consumer *consumer, struct model_read *read) {
    uint64_t next = model_oldest(model, consumer->life, window_of(model, consumer));
    if (next <= consumer->next) next = consumer->next + 1;
    if (next > consumer->end) next = consumer->end;
    read->gap_told = true;
    read->gap = (weir_gap){consumer->next, next - 1, next - consumer->next, 1, WEIR_GAP_SLOW};
    read->lost += read->gap.lost;
    model->stats.gaps++;
    model->stats.lost += read->gap.lost;
    move_to(consumer, next);
    return WEIR_GAP;
}

/* A subscriber closes its queue by itself, the session's one consumer has it closed by those who publish. */
static void close_queue(struct model *model, struct model_consumer *consumer) {
    if (!consumer->live || consumer->end != MODEL_NEVER || consumer->seat->exclusive) return;
    if (consumer->policy != WEIR_POLICY_DETACH && consumer->policy != WEIR_POLICY_EVICT) return;
    consumer->end = consumer->next + consumer->depth;
    consumer->ended = WEIR_ENDED_LAGGING;
    if (consumer->policy == WEIR_POLICY_DETACH) return;
    consumer->ended = WEIR_ENDED_OVERFLOW;
    model_end(model, consumer->life, WEIR_ENDED_OVERFLOW);
}

static bool has_overflowed(const struct model *model, const struct model_consumer *consumer) {
    if (!consumer->live || consumer->end != MODEL_NEVER || consumer->depth >= model->ring) return false;
    if (consumer->policy == WEIR_POLICY_REFUSE || consumer->policy == WEIR_POLICY_CONFLATE) return false;
    return consumer->life->next > consumer->next + consumer->depth;
}

/* Of all that the consumer has before it now, up to `until`: which events have a later one of their key. */
static void look_through(struct model *model, struct model_consumer *consumer, uint64_t until) {
    struct model_life *life = consumer->life;
    for (uint64_t at = consumer->next; at < until; at++) {
        const struct model_event *event = model_event_of(model, life, at);
        bool superseded = false;
        for (uint64_t later = at + 1; later < until; later++) {
            const struct model_event *other = model_event_of(model, life, later);
            superseded |= event->keyed && other->keyed && other->key == event->key;
        }
        consumer->superseded[at - model->first] = superseded && model_is_there(model, life, at);
    }
    consumer->until = until;
}

/* Once its queue is full, a conflating consumer passes over what is superseded; what comes later is looked at when that
 * is read and the queue is full again. */
static void pass_superseded(struct model *model, struct model_consumer *consumer) {
    const struct model_life *life = consumer->life;
    while (consumer->next < consumer->end) {
        uint64_t until = life->next < consumer->end ? life->next : consumer->end;
        bool over = until > consumer->next && until - consumer->next > consumer->depth;
        if (consumer->live && consumer->next >= consumer->until && over) look_through(model, consumer, until);
        if (consumer->next >= consumer->until || !consumer->superseded[consumer->next - model->first]) return;
        consumer->passed++;
        model->stats.conflated++;
        move_to(consumer, consumer->next + 1);
    }
}

static void look_at_seat(struct model *model, struct model_consumer *consumer) {
    struct model_seat *seat = consumer->seat;
    if (seat == NULL) return;
    seat->seen_ms = model->now_ms;
    if (seat->ended == WEIR_ENDED_NOT) model_judge_token(model, seat);
    if (seat->ended != WEIR_ENDED_NOT && consumer->end == MODEL_NEVER && !seat->late) {
        consumer->end = seat->end;
        consumer->ended = seat->ended;
    }
    if (consumer->policy == WEIR_POLICY_CONFLATE) pass_superseded(model, consumer);
}

static int stopped(struct model *model, struct model_consumer *consumer) {
    tell_bytes(model, consumer);
    if (consumer->seat == NULL) return WEIR_EMPTY;
    bool lagging = consumer->ended == WEIR_ENDED_LAGGING || consumer->ended == WEIR_ENDED_OVERFLOW;
    return lagging ? WEIR_LAGGED : WEIR_END;
}

static int caught_up(struct model *model, struct model_consumer *consumer) {
    tell_bytes(model, consumer);
    if (consumer->life->ended == WEIR_ENDED_NOT) {
        consumer->live = true;
        return WEIR_EMPTY;
    }
    consumer->ended = consumer->life->ended;
    return WEIR_END;
}

static int read_once(struct model *model, struct model_consumer *consumer, size_t capacity, struct model_read *read) {
    struct model_life *life = consumer->life;
    look_at_seat(model, consumer);
    read->sequence = consumer->next;
    if (consumer->next >= consumer->end) return stopped(model, consumer);
    if (has_overflowed(model, consumer)) {
        if (consumer->policy == WEIR_POLICY_SKIP) return pass_over(model, consumer, read);
        close_queue(model, consumer);
    }
    if (consumer->next == life->next) return caught_up(model, consumer);
    if (!model_is_there(model, life, consumer->next)) {
        close_queue(model, consumer);
        return pass_over(model, consumer, read);
    }
    const struct model_event *event = model_event_of(model, life, consumer->next);
    if (event->length > capacity) return WEIR_TOO_SMALL;
    read->superseded = consumer->passed;
    consumer->passed = 0;
    consumer->unread += event->length;
    move_to(consumer, consumer->next + 1);
    return WEIR_OK;
}

void model_read(struct model *model, struct model_consumer *consumer, size_t capacity, struct model_read *read) {
    bool silent = model->config.rules.gap_signal == WEIR_GAP_SIGNAL_OFF;
    memset(read, 0, sizeof(*read));
    do {
        read->status = read_once(model, consumer, capacity, read);
    } while (silent && read->status == WEIR_GAP);
}

/* ---- Other moves ---------------------------------------------------------------------------------------------- */

void model_advance(struct model_consumer *consumer, uint64_t next) {
    if (next > consumer->next) move_to(consumer, next);
}

void model_acknowledge(struct model_consumer *consumer, uint64_t sequence) {
    struct model_seat *seat = consumer->seat;
    if (seat == NULL || !seat->acknowledged) return;
    if (sequence >= seat->position && sequence < consumer->next) seat->position = sequence + 1;
}

void model_unsubscribe(struct model *model, struct model_consumer *consumer) {
    if (consumer->seat != NULL) {
        tell_bytes(model, consumer);
        if (!consumer->seat->exclusive) model_touch(model, consumer->life, WEIR_ACTIVE_DETACH);
        model_close(model, consumer->seat, WEIR_ENDED_PEER, MODEL_NEVER);
    }
    consumer->life = NULL;
}
