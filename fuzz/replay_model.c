/* The model's events: what is kept, what a publish comes to. */
#include "replay_model.h"

#include <string.h>

/* ---- Configuration -------------------------------------------------------------------------------------------- */

static uint32_t or_standard(uint32_t field, uint32_t standard) {
    return field != 0 ? field : standard;
}

static uint32_t none_is_zero(uint32_t field) {
    return field != WEIR_NONE ? field : 0;
}

static void resolve(weir_config *config) {
    config->replay_capacity = none_is_zero(or_standard(config->replay_capacity, 256));
    config->queue_depth = or_standard(config->queue_depth, or_standard(config->replay_capacity, 256));
    config->max_sessions = or_standard(config->max_sessions, 65536);
    config->max_subscribers = or_standard(config->max_subscribers, 1u << 20);
    config->max_session_subscribers = or_standard(config->max_session_subscribers, 65536);
    config->idle_ttl_ms = or_standard(config->idle_ttl_ms, 30 * 60 * 1000);
    config->absolute_ttl_ms = none_is_zero(config->absolute_ttl_ms);
    config->consumer_ttl_ms = none_is_zero(config->consumer_ttl_ms);
    config->sweep_interval_ms = or_standard(config->sweep_interval_ms, 60000);
    if (config->first_sequence == 0) config->first_sequence = 1;
    if (config->first_sequence == WEIR_FROM_ZERO) config->first_sequence = 0;
    if (config->rules.full_action == WEIR_POLICY_STANDARD) config->rules.full_action = WEIR_POLICY_DETACH;
    if (config->rules.activity == 0)
        config->rules.activity =
            WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_DETACH | WEIR_ACTIVE_SEND | WEIR_ACTIVE_STREAM;
}

/* A power of two of places for what is kept and for the queue; a queue that is longer than what is kept has one place
 * to spare, so that the event which finds it full does not push out the first one in it (BKP-02). */
static uint64_t ring_of(const weir_config *config) {
    uint64_t ring = 1;
    while (ring < config->replay_capacity ||
           ring < config->queue_depth + (config->queue_depth > config->replay_capacity ? 1u : 0u))
        ring *= 2;
    return ring;
}

/* max_session_bytes in two parts. Small cells, 128 bytes to 1 KiB, are bounded by their number where a ring full of
 * them takes half of the bytes at most; larger ones share what that leaves. */
static void divide_bytes(struct model *model) {
    uint64_t bytes = model->config.max_session_bytes;
    model->counted_from = 128;
    while (model->counted_from <= 1024 && model->ring * model->counted_from <= bytes / 2)
        model->counted_from *= 2;
    model->counted_limit = bytes - (model->counted_from > 128 ? model->ring * model->counted_from / 2 : 0);
    model->largest_cell = 128;
    while (model->largest_cell * 2 <= model->counted_limit)
        model->largest_cell *= 2;
    if (model->largest_cell * 2 < model->counted_from) model->largest_cell = model->counted_from / 2;
}

void model_open(struct model *model, const weir_config *config, uint64_t now_ms, uint64_t wall_ms) {
    model->config = *config;
    resolve(&model->config);
    model->first = model->config.first_sequence;
    model->ring = ring_of(&model->config);
    divide_bytes(model);
    model->sweep_due_ms = now_ms + model->config.sweep_interval_ms;
    model_tick(model, now_ms, wall_ms);
}

void model_tick(struct model *model, uint64_t now_ms, uint64_t wall_ms) {
    model->now_ms = now_ms;
    model->wall_ms = wall_ms;
}

/* ---- What is kept --------------------------------------------------------------------------------------------- */

/* Payload, header, and a key behind the payload's last whole word. */
static uint64_t cell_bytes(uint64_t length, bool keyed) {
    uint64_t size = 128;
    uint64_t needed = 16 + (keyed ? (length + 7) / 8 * 8 + 8 : length);
    while (size < needed)
        size *= 2;
    return size;
}

static uint64_t counted_bytes(const struct model *model, const struct model_event *event) {
    uint64_t bytes = cell_bytes(event->length, event->keyed);
    return bytes >= model->counted_from ? bytes : 0;
}

struct model_event *model_event_of(struct model *model, struct model_life *life, uint64_t sequence) {
    return &life->events[sequence - model->first];
}

bool model_is_there(struct model *model, struct model_life *life, uint64_t sequence) {
    if (sequence < model->first || sequence >= life->next) return false;
    return life->next - sequence <= model->ring && !model_event_of(model, life, sequence)->evicted;
}

uint64_t model_oldest(struct model *model, struct model_life *life, uint64_t window) {
    uint64_t oldest = life->next - model->first > window ? life->next - window : model->first;
    while (oldest < life->next && !model_is_there(model, life, oldest))
        oldest++;
    return oldest;
}

uint64_t model_bytes(struct model *model, struct model_life *life) {
    uint64_t bytes = 0;
    for (uint64_t sequence = model_oldest(model, life, model->ring); sequence < life->next; sequence++) {
        const struct model_event *event = model_event_of(model, life, sequence);
        bytes += cell_bytes(event->length, event->keyed);
    }
    return bytes;
}

/* The newest event has pushed one out of the ring, and where the bytes are too many the oldest go. */
static void settle_bytes(struct model *model, struct model_life *life) {
    uint64_t sequence = life->next - 1;
    if (sequence - model->first >= model->ring) {
        const struct model_event *replaced = model_event_of(model, life, sequence - model->ring);
        if (!replaced->evicted) life->counted_bytes -= counted_bytes(model, replaced);
    }
    life->counted_bytes += counted_bytes(model, model_event_of(model, life, sequence));
    uint64_t oldest = model_oldest(model, life, model->ring);
    for (; oldest < sequence && life->counted_bytes > model->counted_limit; oldest++) {
        struct model_event *event = model_event_of(model, life, oldest);
        event->evicted = true;
        life->counted_bytes -= counted_bytes(model, event);
        model->stats.evicted_events++;
    }
}

/* ---- Publishing ----------------------------------------------------------------------------------------------- */

static int check_message(const struct model *model, const weir_message *message) {
    if (message->kind > MODEL_KINDS) return WEIR_INVALID;
    if (message->length > model->config.max_event_bytes) return WEIR_TOO_LARGE;
    return cell_bytes(message->length, message->keyed) > model->largest_cell ? WEIR_TOO_LARGE : WEIR_OK;
}

static int append(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                  weir_receipt *receipt) {
    if (life->ended != WEIR_ENDED_NOT) return WEIR_CLOSED;
    receipt->sequence = life->next;
    receipt->stored = model->config.replay_capacity > 0;
    *model_event_of(model, life, life->next) = (struct model_event){
        (uint32_t)message->length, message->kind, message->keyed, message->key, model->now_ms, seed, false};
    life->next++;
    settle_bytes(model, life);
    model->stats.published++;
    model->stats.published_bytes += message->length;
    return WEIR_OK;
}

/* The event has been published and stands beyond the queue (BKP-01, BKP-02). */
static void overflow(struct model *model, struct model_seat *seat, uint64_t sequence) {
    if (seat->policy != WEIR_POLICY_DETACH && seat->policy != WEIR_POLICY_EVICT) return;
    if (!model_count_full(model, seat)) return;
    bool evict = seat->policy == WEIR_POLICY_EVICT;
    model_close(model, seat, evict ? WEIR_ENDED_OVERFLOW : WEIR_ENDED_LAGGING, sequence);
    if (evict) model_end(model, seat->life, WEIR_ENDED_OVERFLOW);
}

static int offer_open(struct model *model, struct model_seat *seat, const weir_message *message, uint8_t seed,
                      bool waiting, weir_receipt *receipt) {
    struct model_life *life = seat->life;
    bool refuse = seat->policy == WEIR_POLICY_REFUSE && life->next - seat->position >= seat->depth;
    bool full = refuse || life->next + 1 - seat->position > seat->depth;
    receipt->live = full ? WEIR_LIVE_FULL : WEIR_LIVE_ACCEPTED;
    if (refuse && waiting) return WEIR_TIMEOUT; /* counts no fulls */
    model->stats.live_full += full;
    model->stats.live_accepted += !full;
    if (refuse) {
        if (!model_count_full(model, seat)) return WEIR_FULL;
        model_end(model, life, WEIR_ENDED_OVERFLOW);
        return WEIR_EVICTED;
    }
    int status = append(model, life, message, seed, receipt);
    if (full) {
        overflow(model, seat, receipt->sequence);
    } else {
        seat->consecutive = 0;                  /* BKP-07 */
        seat->active_s = model->wall_ms / 1000; /* LIV-12 */
    }
    return status;
}

/* Token, consumer, queue: in this order (LIV-11). */
static int offer_to(struct model *model, struct model_seat *seat, const weir_message *message, uint8_t seed,
                    bool waiting, weir_receipt *receipt) {
    struct model_life *life = seat->life;
    receipt->generation = seat->generation;
    receipt->live = WEIR_LIVE_CLOSED;
    if (seat->ended == WEIR_ENDED_NOT && model_judge_token(model, seat)) return WEIR_TOKEN_EXPIRED;
    if (seat->ended == WEIR_ENDED_NOT) return offer_open(model, seat, message, seed, waiting, receipt);
    model->stats.live_closed++;
    if (seat->ended == WEIR_ENDED_PEER && model->config.rules.closed_action == WEIR_CLOSED_REMOVE) {
        model_end(model, life, WEIR_ENDED_PEER); /* LIV-13 */
        return WEIR_CLOSED;
    }
    return append(model, life, message, seed, receipt);
}

static int offer(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                 bool waiting, weir_receipt *receipt) {
    memset(receipt, 0, sizeof(*receipt));
    int status = check_message(model, message);
    if (status == WEIR_OK && life->ended != WEIR_ENDED_NOT && !life->tried) status = WEIR_CLOSED;
    if (status == WEIR_OK) {
        life->tried = true;
        status = life->newest != NULL ? offer_to(model, life->newest, message, seed, waiting, receipt)
                                      : append(model, life, message, seed, receipt);
    }
    if (status == WEIR_FULL)
        model->stats.publish_full++;
    else if (status != WEIR_OK && status != WEIR_TIMEOUT)
        model->stats.publish_refused++;
    return status;
}

int model_offer(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                weir_receipt *receipt) {
    return offer(model, life, message, seed, false, receipt);
}

/* Bound to the consumer that is there. One that had gone before has no queue to wait for, and the event is kept for
 * the next one (LIV-05); but the session that would go with it is left to others (LIV-14). */
int model_offer_wait(struct model *model, struct model_life *life, const weir_message *message, uint8_t seed,
                     weir_receipt *receipt) {
    const struct model_seat *seat = life->newest;
    if (seat == NULL || seat->policy != WEIR_POLICY_REFUSE) return offer(model, life, message, seed, false, receipt);
    if (seat->ended == WEIR_ENDED_NOT) return offer(model, life, message, seed, true, receipt);
    bool remove = model->config.rules.closed_action == WEIR_CLOSED_REMOVE;
    bool gone = seat->ended == WEIR_ENDED_DETACHED || seat->ended == WEIR_ENDED_SILENT;
    gone |= seat->ended == WEIR_ENDED_PEER && !remove;
    if (gone) return offer(model, life, message, seed, false, receipt);
    *receipt = (weir_receipt){0, 0, WEIR_LIVE_CLOSED, seat->generation};
    if (seat->ended == WEIR_ENDED_PEER) return WEIR_PEER_GONE;
    return seat->ended == WEIR_ENDED_TOKEN ? WEIR_TOKEN_EXPIRED : WEIR_CLOSED;
}
