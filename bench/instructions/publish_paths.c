/* Publishing: into a ring that is full, as any ring is that has been used for a while. */
#include "hot_path.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS 100u

struct publishing {
    struct subject subject;
    uint64_t expected; /* events that the session must have counted in the end */
    weir_poller *poller;
    weir_outlet *outlet;
    weir_cursor cursor;
    weir_channel *channel;
    weir_session *members[MEMBERS];
};

static void *open_publishing(void) {
    struct publishing *state = hot_path_state(sizeof(*state));
    subject_open(&state->subject, (weir_config)WEIR_CONFIG_INIT);
    return state;
}

static void close_publishing(void *context) {
    struct publishing *state = context;
    EXPECT(subject_published(&state->subject) == state->expected);
    subject_close(&state->subject);
    free(state);
}

static void publish_bytes(struct publishing *state, uint32_t operations, size_t length) {
    weir_producer *producer = state->subject.producer;
    weir_session *session = state->subject.session;
    state->expected += operations;
    count_begin();
    for (uint32_t i = 0; i < operations; i++)
        weir_publish(producer, session, 0, payload, length, NULL);
    count_end();
}

static void run_publish(void *state, uint32_t operations) {
    publish_bytes(state, operations, EVENT_BYTES);
}
static void run_publish_16(void *state, uint32_t operations) {
    publish_bytes(state, operations, 16);
}
static void run_publish_1024(void *state, uint32_t operations) {
    publish_bytes(state, operations, 1024);
}

static void run_publish_by_name(void *context, uint32_t operations) {
    struct publishing *state = context;
    state->expected += operations;
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_session *session = NULL;
        weir_session_open(state->subject.engine, "hot", 3, WEIR_OPEN_EXISTING, &session, NULL);
        weir_publish(state->subject.producer, session, 0, payload, EVENT_BYTES, NULL);
        weir_session_release(session);
    }
    count_end();
}

static void run_offer(void *context, uint32_t operations) {
    struct publishing *state = context;
    const weir_message message = {.data = payload, .length = EVENT_BYTES};
    weir_receipt receipt;
    state->expected += operations;
    count_begin();
    for (uint32_t i = 0; i < operations; i++)
        weir_offer(state->subject.producer, state->subject.session, &message, &receipt);
    count_end();
}

/* ---- With somebody to tell ------------------------------------------------------------------------------------ */

static void never_wake(void *context) {
    (void)context;
    EXPECT(false);
}

static void *open_notified(void) {
    struct publishing *state = open_publishing();
    const weir_poller_config config = {.max_outlets = 1024, .wake = never_wake};
    EXPECT(weir_poller_create(state->subject.engine, &config, &state->poller) == WEIR_OK);
    EXPECT(weir_outlet_open(state->poller, state->subject.session, state, &state->outlet) == WEIR_OK);
    return state;
}

static void close_notified(void *context) {
    struct publishing *state = context;
    void *user = NULL;
    EXPECT(weir_poller_take(state->poller, &user, 1) == 1 && user == state);
    weir_outlet_close(state->outlet);
    weir_poller_destroy(state->poller);
    close_publishing(state);
}

/* Each publish is taken by the poller before the next: the way of an event that finds its reader idle. */
static void run_publish_and_take(void *context, uint32_t operations) {
    struct publishing *state = context;
    void *user = NULL;
    state->expected += operations;
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_publish(state->subject.producer, state->subject.session, 0, payload, EVENT_BYTES, NULL);
        weir_poller_take(state->poller, &user, 1);
    }
    count_end();
    subject_publish(&state->subject, 1); /* for the check at the end */
    state->expected++;
}

/* The one consumer that a live queue is for, kept at the newest event; then its queue never fills. */
static void *open_attached(void) {
    struct publishing *state = open_publishing();
    weir_gap gap;
    EXPECT(weir_attach(state->subject.session, NULL, &state->cursor, &gap) == WEIR_OK);
    return state;
}

static void close_attached(void *context) {
    struct publishing *state = context;
    weir_unsubscribe(state->subject.session, &state->cursor);
    close_publishing(state);
}

static void run_offer_attached(void *context, uint32_t operations) {
    struct publishing *state = context;
    const weir_message message = {.data = payload, .length = EVENT_BYTES};
    weir_receipt receipt;
    weir_event event;
    weir_gap gap;
    char buffer[128];
    state->expected += operations;
    for (uint32_t i = 0; i < operations; i++) {
        count_begin();
        weir_offer(state->subject.producer, state->subject.session, &message, &receipt);
        count_end();
        EXPECT(receipt.live == WEIR_LIVE_ACCEPTED);
        EXPECT(weir_read(state->subject.session, &state->cursor, buffer, sizeof(buffer), &event, &gap) == WEIR_OK);
    }
}

/* ---- Channels ------------------------------------------------------------------------------------------------- */

static void *open_channel(void) {
    struct publishing *state = open_publishing();
    EXPECT(weir_channel_open(state->subject.engine, "all", 3, WEIR_OPEN_OR_CREATE, &state->channel, NULL) == WEIR_OK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "member-%u", i);
        state->members[i] = subject_session(&state->subject, name);
        EXPECT(weir_channel_join(state->channel, state->members[i], NULL) == WEIR_OK);
    }
    return state;
}

static void close_channel(void *context) {
    struct publishing *state = context;
    weir_channel_release(state->channel);
    for (uint32_t i = 0; i < MEMBERS; i++)
        weir_session_release(state->members[i]);
    close_publishing(state);
}

/* An operation is one member's share. */
static void run_channel(void *context, uint32_t operations) {
    struct publishing *state = context;
    const weir_message message = {.data = payload, .length = EVENT_BYTES};
    weir_broadcast result = {0};
    count_begin();
    for (uint32_t i = 0; i < operations / MEMBERS; i++)
        weir_channel_publish(state->subject.producer, state->channel, &message, &result);
    count_end();
    EXPECT(result.accepted == MEMBERS);
}

const struct hot_path publish_paths[] = {
    {"publish", 4096, open_publishing, run_publish, close_publishing},
    {"publish_16_bytes", 4096, open_publishing, run_publish_16, close_publishing},
    {"publish_1024_bytes", 4096, open_publishing, run_publish_1024, close_publishing},
    {"publish_notify", 4096, open_notified, run_publish, close_notified},
    {"publish_notify_and_take", 4096, open_notified, run_publish_and_take, close_notified},
    {"publish_by_name", 4096, open_publishing, run_publish_by_name, close_publishing},
    {"offer", 4096, open_publishing, run_offer, close_publishing},
    {"offer_attached", 4096, open_attached, run_offer_attached, close_attached},
    {"channel_100_each", 100 * 512, open_channel, run_channel, close_channel},
    {0},
};
