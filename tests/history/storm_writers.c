#include <sched.h>

#include "storm.h"

struct writer {
    struct actor *actor;
    weir_producer *producer;
    union parcel parcel;
    weir_message message;
    uint64_t number;
};

static void write_down(struct writer *writer, uint64_t address) {
    struct random *random = &writer->actor->random;
    uint32_t length = (uint32_t)sizeof(struct stamp) + random_below(random, 90);
    if (random_below(random, 8) == 0) length += random_below(random, STORM_LENGTH - length);
    writer->parcel.stamp.epoch = address;
    writer->parcel.stamp.producer = writer->actor->index;
    writer->parcel.stamp.number = ++writer->number;
    stamp_seal(&writer->parcel.stamp, length);
    writer->message = (weir_message){
        .data = &writer->parcel, .length = length, .keyed = writer->number % 3 == 0, .key = writer->number % 5};
}

static void count_answer(struct writer *writer, int status) {
    struct storm *storm = writer->actor->storm;
    u64_add_relaxed(status == WEIR_OK ? &storm->accepted : &storm->refused, 1);
    REQUIRE(status == WEIR_OK || status == WEIR_FULL || status == WEIR_CLOSED || status == WEIR_EVICTED ||
            status == WEIR_TOKEN_EXPIRED || status == WEIR_NOT_FOUND || status == WEIR_TIMEOUT ||
            status == WEIR_PEER_GONE);
    if (status == WEIR_FULL) sched_yield();
}

static void send_to_channel(struct writer *writer) {
    uint32_t channel = random_below(&writer->actor->random, STORM_CHANNELS);
    weir_broadcast result;
    write_down(writer, STORM_TO_CHANNEL | channel);
    REQUIRE(weir_channel_send(writer->producer, storm_channel_name(channel), 2, &writer->message, &result) ==
            WEIR_OK);
    REQUIRE(result.members == result.accepted + result.full + result.ended);
    REQUIRE(result.accepted == 0 || result.number != 0);
    u64_add_relaxed(&writer->actor->storm->accepted, result.accepted);
}

static void send_to_name(struct writer *writer) {
    uint32_t name = random_below(&writer->actor->random, STORM_NAMES);
    write_down(writer, STORM_TO_NAME | name);
    count_answer(writer, weir_send(writer->producer, storm_session_name(name), 2, &writer->message, NULL));
}

static int write_somehow(struct writer *writer, weir_session *session) {
    const weir_message *message = &writer->message;
    weir_receipt receipt = {0};
    int published;
    int status;
    switch (random_below(&writer->actor->random, 10)) {
    case 0:
        status = weir_heartbeat_publish(writer->producer, session, message->data, message->length, &published);
        REQUIRE(published == (status == WEIR_OK));
        return status;
    case 1:
        return weir_offer_wait(writer->producer, session, message,
                               (u64_load_relaxed(&writer->actor->storm->now_ms) + 2) * 1000000u, &receipt);
    case 2:
    case 3:
    case 4:
        if (message->keyed) break;
        return weir_publish(writer->producer, session, 0, message->data, message->length, &receipt.sequence);
    default:
        break;
    }
    status = weir_offer(writer->producer, session, message, &receipt);
    REQUIRE(status != WEIR_OK || (receipt.sequence != 0 && receipt.stored == 1));
    return status;
}

static void write_to_session(struct writer *writer) {
    uint32_t name = random_below(&writer->actor->random, STORM_NAMES);
    weir_session *session = storm_open(writer->actor, name, true);
    if (session == NULL) return;
    uint64_t address = STORM_TO_EPOCH | (storm_epoch(session) & STORM_TO_MASK);
    for (uint32_t i = random_below(&writer->actor->random, 12); i > 0; i--) {
        write_down(writer, address);
        count_answer(writer, write_somehow(writer, session));
    }
    weir_session_release(session);
}

void *storm_write(void *context) {
    struct writer writer = {.actor = (struct actor *)context};
    REQUIRE(weir_producer_create(writer.actor->storm->engine, &writer.producer) == WEIR_OK);
    for (uint64_t i = 0; i < writer.actor->storm->rounds; i++) {
        uint32_t die = random_below(&writer.actor->random, 8);
        if (die == 0)
            send_to_name(&writer);
        else if (die < 3)
            send_to_channel(&writer);
        else
            write_to_session(&writer);
        if (die == 7) sched_yield(); /* or it would run through its whole time slice while the others wait */
    }
    weir_producer_destroy(writer.producer);
    return NULL;
}

/* ---- Memberships ---------------------------------------------------------------------------------------------- */

struct listing {
    uint32_t name;
    uint32_t count;
};

static void check_listed(void *context, weir_channel *channel) {
    struct listing *listing = (struct listing *)context;
    size_t length;
    const char *name = weir_channel_name(channel, &length);
    REQUIRE(length == 2 && name[0] == 'c' && storm_may_join(listing->name, (uint32_t)(name[1] - '0')));
    listing->count++;
}

static void join_or_leave(struct actor *actor, weir_session *session, uint32_t name, bool joins) {
    uint32_t index = random_below(&actor->random, STORM_CHANNELS);
    weir_channel *channel;
    REQUIRE(weir_channel_open(actor->storm->engine, storm_channel_name(index), 2, WEIR_OPEN_OR_CREATE, &channel,
                              NULL) == WEIR_OK);
    if (joins && storm_may_join(name, index)) {
        int status = weir_channel_join(channel, session, NULL);
        REQUIRE(status == WEIR_OK || status == WEIR_CLOSED);
    } else {
        int status = weir_channel_leave(channel, session);
        REQUIRE(status == WEIR_OK ? storm_may_join(name, index) : status == WEIR_NOT_FOUND);
    }
    REQUIRE(weir_channel_members(channel) <= 64);
    weir_channel_release(channel);
}

void *storm_tangle(void *context) {
    struct actor *actor = (struct actor *)context;
    while (!storm_is_over(actor)) {
        uint32_t name = random_below(&actor->random, STORM_NAMES);
        uint32_t die = random_below(&actor->random, 64);
        struct listing listing = {.name = name};
        weir_session *session = storm_open(actor, name, true);
        if (session == NULL) break;
        if (die < 60)
            join_or_leave(actor, session, name, die < 36);
        else if (die < 62)
            weir_session_channels(session, check_listed, &listing);
        else if (die == 62)
            REQUIRE(weir_session_leave_all(session, check_listed, &listing) == listing.count);
        else
            weir_channel_remove(actor->storm->engine, storm_channel_name(name % STORM_CHANNELS), 2);
        weir_session_release(session);
        if (die % 8 == 0) sched_yield();
    }
    return NULL;
}
