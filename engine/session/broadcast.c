/* Publishing to a channel: the event is stored once, and each member's ring gets a descriptor of it. Nothing here waits
 * for a receiver, and what happens to a membership meanwhile is found by looking at its state again. */
#include <string.h>

#include "base/mark.h"
#include "membership.h"
#include "publish.h"

struct broadcast {
    weir_producer *producer;
    const weir_channel *channel;
    struct channels *channels;
    const weir_message *message;
    struct body body; /* its cell is NULL before the first member */
    uint64_t number;
    int status; /* the first that is no receiver's doing */
    weir_broadcast *result;
};

static size_t room_for(const weir_message *message) {
    return message->keyed ? cell_keyed_length(message->length) : message->length;
}

static int check_message(const weir_producer *producer, const weir_message *message) {
    const weir_engine *engine = producer->engine;
    if (message->data == NULL && message->length > 0) return WEIR_INVALID;
    if (message->kind != 0 && message->kind > u32_load_acquire(&engine->kind_count)) return WEIR_INVALID;
    return message->length <= engine->max_length && room_for(message) <= engine->max_room ? WEIR_OK : WEIR_TOO_LARGE;
}

/* ---- The byte budget ---------------------------------------------------------------------------------------- */

/* Evicts the session's oldest event if that is a body of the class. */
static void shed_oldest(weir_producer *producer, weir_session *session, uint32_t class_index) {
    struct slots *slots = session_slots(session);
    if (slots == NULL) return;
    uint64_t next = session_next(session, slots);
    uint64_t oldest = session_oldest(session, slots, next, 1ull << session->ring_log2);
    cell_reference reference = (cell_reference)slots_load(slots, oldest);
    bool fits =
        cell_is_cell(reference) && !cell_has_payload(reference) && cell_payload_class(reference) == class_index;
    if (oldest >= next || !fits || !slots_evict(slots, oldest, &reference)) return;
    count(&producer->evicted_events, 1);
    settle_replaced(producer, session, reference);
    u64_store_relaxed(&session->tail, oldest + 1); /* relaxed and not compared: see evict_over_budget */
}

#define SHED_ROUNDS 4u /* the members need not stand at the same body */

/* A body goes back when all members have let go of it: so with the budget used up each of them gives up its oldest, and
 * that is a cell of the kind that is looked for. */
COLD static bool shed_body(struct broadcast *broadcast, uint32_t class_index) {
    const struct places *members = &broadcast->channel->members;
    struct cell_stock *stock = &broadcast->producer->stock;
    for (uint32_t round = 0; round < SHED_ROUNDS && !cell_stock_has(stock, class_index); round++) {
        uint32_t count;
        uint32_t end = places_end(members);
        for (uint32_t index = 0; index < end; index += count) {
            const atomic_u64 *words = places_run(members, index, end, &count);
            for (uint32_t i = 0; i < count; i++) {
                struct life life;
                uint64_t value = places_value(&words[i]);
                if (value == 0 || life_of_value(broadcast->channels, value, &life) != MEMBERSHIP_ACTIVE) continue;
                weir_session *session = life_hold_session(&life);
                if (session != NULL) shed_oldest(broadcast->producer, session, class_index);
                weir_session_release(session);
            }
        }
    }
    return cell_stock_has(stock, class_index);
}

/* As for any publish to the session, others give up their oldest events. */
COLD static bool make_room(weir_producer *producer, weir_session *session, uint32_t *class_index, int *status) {
    struct slots *slots;
    if (*status == WEIR_BYTES_LIMIT) *status = session_find_slots(session, &slots);
    if (*status == WEIR_OK) *status = budget_make_room(producer, session, class_index);
    return *status == WEIR_OK;
}

/* ---- One member --------------------------------------------------------------------------------------------- */

/* A cell for the body, and the status when there is none. */
static const struct stocked_cell *find_cell(struct broadcast *broadcast, weir_session *session, uint32_t class_index,
                                            int *status) {
    struct cell_stock *stock = &broadcast->producer->stock;
    const struct stocked_cell *cell = cell_stock_next(stock, class_index, status);
    if (LIKELY(cell != NULL)) return cell;
    bool shed = *status == WEIR_BYTES_LIMIT && shed_body(broadcast, class_index);
    if (!shed && !make_room(broadcast->producer, session, &class_index, status)) return NULL;
    return cell_stock_next(stock, class_index, status);
}

/* Stores the event, when the first member is there. */
static bool store_body(struct broadcast *broadcast, weir_session *session, int *status) {
    const weir_message *message = broadcast->message;
    const struct stocked_cell *cell = find_cell(broadcast, session, cell_class_for(room_for(message)), status);
    if (UNLIKELY(cell == NULL)) return false;
    uint64_t facts = facts_pack(message->length, message->kind, (uint32_t)engine_now_ms(session->engine));
    cell_fill(cell->cell, facts | (message->keyed ? FACTS_KEYED : 0), message->data, message->length);
    if (message->keyed) cell_fill_key(cell->cell, message->length, message->key);
    body_open(&broadcast->body, &broadcast->producer->stock, cell);
    WEIR_MARK(CHANNEL_BODY_STORED);
    return true;
}

static const struct stocked_cell *describe(struct broadcast *broadcast, weir_session *session, int *status) {
    struct cell_stock *stock = &broadcast->producer->stock;
    if (UNLIKELY(broadcast->body.cell == NULL) && !store_body(broadcast, session, status)) return NULL;
    const struct stocked_cell *mine = body_describe(&broadcast->body, stock, broadcast->number, status);
    uint32_t class_index = CELL_DESCRIPTOR;
    if (LIKELY(mine != NULL) || !make_room(broadcast->producer, session, &class_index, status)) return mine;
    return body_describe(&broadcast->body, stock, broadcast->number, status);
}

static void offer(struct broadcast *broadcast, weir_session *session) {
    weir_broadcast *result = broadcast->result;
    weir_receipt receipt;
    int status = WEIR_OK;
    result->members++;
    const struct stocked_cell *mine = describe(broadcast, session, &status);
    if (LIKELY(mine != NULL))
        status = publish_cell(broadcast->producer, session, mine, broadcast->message->length, &receipt);
    if (LIKELY(status == WEIR_OK))
        result->accepted++;
    else if (status == WEIR_FULL)
        result->full++;
    else if (status == WEIR_CLOSED || status == WEIR_EVICTED || status == WEIR_TOKEN_EXPIRED)
        result->ended++;
    else if (broadcast->status == WEIR_OK)
        broadcast->status = status;
    WEIR_MARK(CHANNEL_MEMBER_OFFERED);
}

/* ---- All members -------------------------------------------------------------------------------------------- */

/* One place of the channel. A membership that is younger than the broadcast is passed over: it may be one that left and
 * joined again after its session has got its copy (BRD-08). */
static inline void offer_to_member(struct broadcast *broadcast, uint64_t value) {
    struct life life;
    if (value == 0 || life_of_value(broadcast->channels, value, &life) != MEMBERSHIP_ACTIVE) return;
    if (u64_load_relaxed(&life.record->serial) >= broadcast->number) return; /* relaxed: E2 judges it */
    WEIR_MARK(CHANNEL_MEMBER_SEEN);
    weir_session *session = life_hold_session(&life);
    if (UNLIKELY(session == NULL)) return;
    WEIR_MARK(CHANNEL_MEMBER_HELD);
    offer(broadcast, session);
    weir_session_release(session);
}

static void offer_to_members(struct broadcast *broadcast) {
    const struct places *members = &broadcast->channel->members;
    uint32_t count;
    uint32_t end = places_end(members);
    for (uint32_t index = 0; index < end; index += count) {
        const atomic_u64 *words = places_run(members, index, end, &count);
        for (uint32_t i = 0; i < count; i++)
            offer_to_member(broadcast, places_value(&words[i]));
    }
}

/* Whoever has the channel at one moment after the session was held: if that is another by then, it is that one's. */
static void offer_to_owner(struct broadcast *broadcast) {
    const weir_channel *channel = broadcast->channel;
    uint64_t owner = u64_load_seq_cst(&channel->owner);
    while (owner != 0) {
        struct life life;
        weir_session *session = NULL;
        if (life_of_value(broadcast->channels, owner, &life) == MEMBERSHIP_ACTIVE) {
            WEIR_MARK(CHANNEL_MEMBER_SEEN);
            session = life_hold_session(&life);
        }
        uint64_t still = u64_load_seq_cst(&channel->owner);
        if (still == owner && session != NULL) {
            WEIR_MARK(CHANNEL_MEMBER_HELD);
            offer(broadcast, session);
        }
        weir_session_release(session);
        if (still == owner) return;
        owner = still;
    }
}

static bool has_members(const weir_channel *channel) {
    return u32_load_acquire(&channel->member_count) > 0;
}

int weir_channel_publish(weir_producer *producer, weir_channel *channel, const weir_message *message,
                         weir_broadcast *result) {
    weir_broadcast unwanted;
    if (result == NULL) result = &unwanted;
    memset(result, 0, sizeof(*result));
    int status = channel->engine == producer->engine ? check_message(producer, message) : WEIR_INVALID;
    if (UNLIKELY(status != WEIR_OK)) return publish_refused(producer, status);
    if (!has_members(channel)) return WEIR_OK; /* BRD-02 */
    struct channels *channels = channels_of(channel->engine);
    struct broadcast broadcast = {
        .producer = producer, .channel = channel, .channels = channels, .message = message, .result = result};
    broadcast.number = channels_draw(channels); /* E5 */
    count(&producer->broadcasts, 1);
    WEIR_MARK(CHANNEL_BROADCAST_DRAWN);
    if (channels_are_exclusive(channel->engine))
        offer_to_owner(&broadcast);
    else
        offer_to_members(&broadcast);
    if (broadcast.body.cell != NULL) body_close(&broadcast.body, &producer->stock, result->accepted);
    if (result->accepted > 0) result->number = broadcast.number;
    return broadcast.status == WEIR_OK ? WEIR_OK : publish_refused(producer, broadcast.status);
}

int weir_channel_send(weir_producer *producer, const char *name, size_t length, const weir_message *message,
                      weir_broadcast *result) {
    weir_broadcast unwanted;
    if (result == NULL) result = &unwanted;
    memset(result, 0, sizeof(*result));
    weir_channel *channel = channel_find(producer->engine, name, length);
    if (channel == NULL) {
        int status = check_message(producer, message);
        return status == WEIR_OK ? WEIR_OK : publish_refused(producer, status);
    }
    int status = weir_channel_publish(producer, channel, message, result);
    weir_channel_release(channel);
    return status;
}
