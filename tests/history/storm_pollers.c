#include <sched.h>
#include <string.h>

#include "storm.h"

/* ---- A polling thread ----------------------------------------------------------------------------------------- */

struct watched {
    weir_session *session;
    weir_outlet *outlet;
    weir_cursor cursor;
    struct follower follower;
};

static void watch(struct actor *actor, weir_poller *poller, struct watched *watched, uint32_t name) {
    watched->session = storm_open(actor, name, true);
    if (watched->session == NULL) return;
    REQUIRE(weir_outlet_open(poller, watched->session, watched, &watched->outlet) == WEIR_OK);
    if (storm_is_refused(weir_subscribe(watched->session, NULL, &watched->cursor, NULL))) {
        weir_outlet_close(watched->outlet);
        weir_session_release(watched->session);
        watched->session = NULL;
        return;
    }
    follower_begin(&watched->follower, actor, name, watched->session, watched->cursor.next);
}

static void unwatch(struct watched *watched) {
    if (watched->session == NULL) return;
    weir_unsubscribe(watched->session, &watched->cursor);
    weir_outlet_close(watched->outlet);
    weir_session_release(watched->session);
    watched->session = NULL;
}

/* Reads all there is: what comes later is news. */
static void read_watched(struct actor *actor, struct watched *watched) {
    uint64_t before;
    do {
        before = watched->follower.next;
        if (!storm_read(actor, &watched->follower, watched->session, &watched->cursor, 64)) {
            unwatch(watched);
            return;
        }
    } while (watched->follower.next != before);
}

void *storm_poll(void *context) {
    struct actor *actor = (struct actor *)context;
    struct watched watched[2] = {{0}};
    void *users[2];
    weir_poller *poller;
    weir_poller_config config = {8, sleeper_wake, &actor->storm->sleeper};
    REQUIRE(weir_poller_create(actor->storm->engine, &config, &poller) == WEIR_OK);
    while (!storm_is_over(actor)) {
        for (uint32_t i = 0; i < 2; i++) {
            if (watched[i].session != NULL) continue;
            watch(actor, poller, &watched[i], 2 * i + random_below(&actor->random, 2));
            if (watched[i].session != NULL) read_watched(actor, &watched[i]);
        }
        uint32_t count = weir_poller_take(poller, users, 2);
        for (uint32_t i = 0; i < count; i++)
            read_watched(actor, (struct watched *)users[i]);
        if (count == 0 && watched[0].session != NULL && watched[1].session != NULL && !storm_is_over(actor))
            sleeper_sleep(&actor->storm->sleeper, poller);
    }
    for (uint32_t i = 0; i < 2; i++)
        unwatch(&watched[i]);
    weir_poller_destroy(poller);
    return NULL;
}

/* ---- Batches -------------------------------------------------------------------------------------------------- */

#define FEEDS 4u

struct feeding {
    weir_feed *feed;
    struct follower follower;
    uint32_t batches; /* that it takes before it goes */
};

static void open_feed(struct actor *actor, weir_consumer *consumer, struct feeding *feeding, bool attaches) {
    static const weir_policy policies[] = {WEIR_POLICY_SKIP, WEIR_POLICY_DETACH, WEIR_POLICY_EVICT};
    uint32_t name = random_below(&actor->random, STORM_NAMES);
    weir_subscription how = storm_subscription(actor, policies, 3);
    weir_session *session = storm_open(actor, name, false);
    if (session == NULL) return;
    how.acknowledged = 1;
    int status = attaches ? weir_feed_attach(consumer, session, &how, feeding, &feeding->feed)
                          : weir_feed_subscribe(consumer, session, &how, feeding, &feeding->feed);
    if (!storm_is_refused(status)) {
        REQUIRE(weir_feed_session(feeding->feed) == session);
        follower_begin(&feeding->follower, actor, name, session, weir_feed_cursor(feeding->feed)->next);
        feeding->batches = 1 + random_below(&actor->random, 20);
    }
    weir_session_release(session);
}

static void take_views(struct feeding *feeding, const weir_batch *batch) {
    const char *at = batch->bytes;
    for (uint32_t i = 0; i < batch->count; i++) {
        const weir_view *view = &batch->views[i];
        union parcel parcel;
        weir_event event = {.sequence = view->sequence,
                            .length = (uint32_t)view->length,
                            .kind = view->kind,
                            .key = view->key,
                            .broadcast = view->broadcast,
                            .keyed = view->keyed,
                            .superseded = view->superseded};
        REQUIRE(view->data == at && view->length <= sizeof(parcel));
        memcpy(&parcel, view->data, view->length);
        follower_event(&feeding->follower, &event, &parcel);
        at += view->length;
    }
    REQUIRE(at == batch->bytes + batch->length && batch->last + 1 == feeding->follower.next);
}

static void take_batch(struct actor *actor, const weir_batch *batch) {
    struct feeding *feeding = (struct feeding *)batch->user;
    REQUIRE(feeding->feed == batch->feed);
    u64_add_relaxed(&actor->storm->batches, 1);
    if (batch->status == WEIR_OK)
        take_views(feeding, batch);
    else if (batch->status == WEIR_GAP)
        follower_gap(&feeding->follower, &batch->gap);
    else
        REQUIRE((batch->status == WEIR_END || batch->status == WEIR_LAGGED) && batch->ended != WEIR_ENDED_NOT);
    bool over = batch->status == WEIR_END || batch->status == WEIR_LAGGED;
    if (over) u64_add_relaxed(&actor->storm->ended, 1);
    if (!over) weir_feed_acknowledge(batch->feed, batch->last);
    if (!over && --feeding->batches > 0) return;
    weir_feed_close(feeding->feed);
    feeding->feed = NULL;
}

void *storm_batch(void *context) {
    struct actor *actor = (struct actor *)context;
    struct feeding feedings[FEEDS] = {{0}};
    weir_consumer_config config = WEIR_CONSUMER_CONFIG_INIT;
    weir_consumer *consumer;
    weir_batch batch;
    config.max_feeds = FEEDS;
    config.batch_events = 8;
    REQUIRE(weir_consumer_create(actor->storm->engine, &config, &consumer) == WEIR_OK);
    while (!storm_is_over(actor)) {
        for (uint32_t i = 0; i < FEEDS; i++)
            if (feedings[i].feed == NULL) open_feed(actor, consumer, &feedings[i], i == 0);
        uint32_t most = 16;
        while (most-- > 0 && weir_consumer_next(consumer, &batch) == WEIR_OK)
            take_batch(actor, &batch);
        sched_yield();
    }
    for (uint32_t i = 0; i < FEEDS; i++)
        weir_feed_close(feedings[i].feed);
    weir_consumer_destroy(consumer);
    return NULL;
}
