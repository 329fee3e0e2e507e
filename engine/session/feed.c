/* Feeds: one session read for one client, batch by batch. */
#include <string.h>

#include "base/memory.h"
#include "consumer.h"
#include "read.h"

/* ---- Open and close ----------------------------------------------------------------------------------------- */

/* Beside the session's other feeds of this consumer, or alone behind an outlet of its own. */
static int join_outlet(weir_feed *feed) {
    weir_poller *poller = feed->consumer->poller;
    link_alone(&feed->beside);
    weir_feed *other = (weir_feed *)weir_outlet_user(poller, feed->session);
    if (other == NULL) return weir_outlet_open(poller, feed->session, feed, &feed->outlet);
    feed->outlet = other->outlet;
    link_before(&feed->beside, &other->beside);
    return WEIR_OK;
}

static void leave_outlet(weir_feed *feed) {
    if (link_is_alone(&feed->beside)) {
        weir_outlet_close(feed->outlet);
        return;
    }
    if (feed->outlet->user == feed) feed->outlet->user = feed_of_beside(feed->beside.next);
    link_remove(&feed->beside);
}

typedef int attach_function(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap);

/* The outlet first: what is published once the cursor stands is then told. */
static int begin_feed(weir_feed *feed, const weir_subscription *how, attach_function *attach) {
    int status = join_outlet(feed);
    if (status != WEIR_OK) return status;
    status = attach(feed->session, how, &feed->cursor, &feed->gap);
    if (status != WEIR_OK && status != WEIR_GAP) {
        leave_outlet(feed);
        return status;
    }
    feed->owes_gap = status == WEIR_GAP;
    return WEIR_OK;
}

static int open_feed(weir_consumer *consumer, weir_session *session, const weir_subscription *how, void *user,
                     attach_function *attach, weir_feed **out) {
    const weir_allocator *allocator = &consumer->engine->config.allocator;
    *out = NULL;
    if (consumer->feeds == consumer->config.max_feeds) return WEIR_OUTLETS_LIMIT;
    weir_feed *feed = (weir_feed *)memory_take(allocator, sizeof(weir_feed), CACHE_LINE);
    if (feed == NULL) return WEIR_NO_MEMORY;
    feed->consumer = consumer;
    feed->session = session;
    feed->user = user;
    link_alone(&feed->ready);
    int status = begin_feed(feed, how, attach);
    if (status != WEIR_OK) {
        memory_give(allocator, feed, sizeof(*feed), CACHE_LINE);
        return status;
    }
    weir_session_retain(session);
    consumer->feeds++;
    feed_make_ready(feed);
    /* Its first batch is news that no publish told of. */
    if (consumer->asleep) doorbell_ring(&consumer->bell);
    *out = feed;
    return WEIR_OK;
}

int weir_feed_subscribe(weir_consumer *consumer, weir_session *session, const weir_subscription *how, void *user,
                        weir_feed **feed) {
    return open_feed(consumer, session, how, user, weir_subscribe, feed);
}

int weir_feed_attach(weir_consumer *consumer, weir_session *session, const weir_subscription *how, void *user,
                     weir_feed **feed) {
    return open_feed(consumer, session, how, user, weir_attach, feed);
}

void weir_feed_close(weir_feed *feed) {
    if (feed == NULL) return;
    weir_consumer *consumer = feed->consumer;
    weir_session *session = feed->session;
    if (consumer->held == feed) consumer->held = NULL;
    link_remove(&feed->ready);
    leave_outlet(feed);
    weir_unsubscribe(session, &feed->cursor);
    consumer->feeds--;
    memory_give(&consumer->engine->config.allocator, feed, sizeof(*feed), CACHE_LINE);
    weir_session_release(session);
}

weir_session *weir_feed_session(const weir_feed *feed) {
    return feed->session;
}

const weir_cursor *weir_feed_cursor(const weir_feed *feed) {
    return &feed->cursor;
}

void weir_feed_acknowledge(weir_feed *feed, uint64_t sequence) {
    weir_acknowledge(feed->session, &feed->cursor, sequence);
}

/* ---- Building a batch --------------------------------------------------------------------------------------- */

/* The views follow the bytes to where they have moved. */
static void place_views(weir_consumer *consumer) {
    const char *data = consumer->bytes.data;
    for (uint32_t i = 0; i < consumer->built.count; data += consumer->views[i++].length)
        consumer->views[i].data = data;
}

/* Reads into `store` from `used` on. An event too large for it makes it larger when it is empty, and otherwise waits for
 * the next batch. */
static int read_into(weir_feed *feed, struct store *store, size_t used, weir_event *event, weir_gap *gap) {
    for (;;) {
        int status = weir_read(feed->session, &feed->cursor, store->data + used, store->size - used, event, gap);
        if (status != WEIR_TOO_SMALL || used > 0) return status;
        if (!store_grow(feed->consumer->engine, store, event->length, 0)) return WEIR_NO_MEMORY;
        place_views(feed->consumer); /* of empty events, which take no bytes */
    }
}

/* The frame of the event whose payload was read, behind what the batch has. */
static int render(weir_consumer *consumer, const weir_session *session, const weir_event *event, size_t *length) {
    const weir_consumer_config *config = &consumer->config;
    struct store *bytes = &consumer->bytes;
    size_t used = consumer->built.length;
    for (;;) {
        size_t room = bytes->size - used;
        *length = config->render(config->context, session, event, consumer->payload.data, bytes->data + used, room);
        if (*length <= room) return WEIR_OK;
        if (!store_grow(consumer->engine, bytes, used + *length, used)) return WEIR_NO_MEMORY;
        place_views(consumer);
    }
}

/* The next event's bytes behind what the batch has. An event that was read and found no memory for its frame is held,
 * and is the next one. */
static int next_event(weir_feed *feed, weir_event *event, size_t *length, weir_gap *gap) {
    weir_consumer *consumer = feed->consumer;
    if (consumer->config.render == NULL) {
        int status = read_into(feed, &consumer->bytes, consumer->built.length, event, gap);
        *length = status == WEIR_OK ? event->length : 0;
        return status;
    }
    *length = 0;
    if (consumer->held == feed) {
        *event = consumer->held_event;
    } else {
        int status = read_into(feed, &consumer->payload, 0, event, gap);
        if (status != WEIR_OK) return status;
    }
    int status = render(consumer, feed->session, event, length);
    consumer->held = status == WEIR_OK ? NULL : feed;
    consumer->held_event = *event;
    return status;
}

static void add_view(weir_consumer *consumer, const weir_event *event, size_t length) {
    struct built *built = &consumer->built;
    consumer->views[built->count++] = (weir_view){.sequence = event->sequence,
                                                  .time_ms = event->time_ms,
                                                  .key = event->key,
                                                  .broadcast = event->broadcast,
                                                  .data = consumer->bytes.data + built->length,
                                                  .length = length,
                                                  .kind = event->kind,
                                                  .keyed = event->keyed,
                                                  .superseded = event->superseded};
    built->length += length;
    built->payload += event->length;
    built->next = event->sequence + 1;
}

/* Reads until the batch is full, and returns WEIR_OK or WEIR_TOO_SMALL; or what else there was. */
static int build(weir_feed *feed, weir_gap *gap) {
    weir_consumer *consumer = feed->consumer;
    struct built *built = &consumer->built;
    memset(built, 0, sizeof(*built));
    built->epoch = feed->session->epoch;
    built->first = feed->cursor.next;
    while (built->count < consumer->config.batch_events && built->length < consumer->config.batch_bytes) {
        weir_event event;
        size_t length;
        int status = next_event(feed, &event, &length, gap);
        if (status != WEIR_OK) return status;
        add_view(consumer, &event, length);
    }
    return WEIR_OK;
}

/* ---- Handing it out ----------------------------------------------------------------------------------------- */

static void begin_batch(weir_feed *feed, int status, weir_batch *batch) {
    memset(batch, 0, sizeof(*batch));
    batch->feed = feed;
    batch->user = feed->user;
    batch->status = status;
    batch->last = feed->cursor.next - 1;
}

static int tell_events(weir_feed *feed, weir_batch *batch) {
    weir_consumer *consumer = feed->consumer;
    const struct built *built = &consumer->built;
    begin_batch(feed, WEIR_OK, batch);
    batch->bytes = consumer->bytes.data;
    batch->length = built->length;
    batch->views = consumer->views;
    batch->count = built->count;
    batch->last = built->next - 1;
    return WEIR_OK;
}

static int tell_gap(weir_feed *feed, weir_batch *batch) {
    begin_batch(feed, WEIR_GAP, batch);
    batch->gap = feed->gap;
    batch->last = feed->gap.last;
    feed->owes_gap = false;
    feed_make_ready(feed);
    return WEIR_OK;
}

static int tell_end(weir_feed *feed, int status, weir_batch *batch) {
    begin_batch(feed, status, batch);
    batch->ended = (weir_end_reason)feed->cursor.ended;
    feed->over = true;
    return WEIR_OK;
}

/* Another feed of the session has just been given what this one is to get: the batch is handed out again. Not to one
 * whose every read is judged, nor where something was left out in between. */
static bool can_share(const weir_feed *feed) {
    const struct built *built = &feed->consumer->built;
    const weir_cursor *cursor = &feed->cursor;
    return built->count > 0 && built->epoch == feed->session->epoch && built->first == cursor->next &&
           built->next - built->first == built->count && cursor->policy == WEIR_POLICY_SKIP &&
           cursor->attachment == NULL;
}

static int share(weir_feed *feed, weir_batch *batch) {
    const struct built *built = &feed->consumer->built;
    bool was_live = feed->cursor.live;
    weir_cursor_advance(feed->session, &feed->cursor, built->next);
    cursor_read_bytes(feed->session->engine, &feed->cursor, built->payload);
    /* One that has never caught up does so by finding nothing itself. */
    if (!built->caught_up || !was_live) feed_make_ready(feed);
    return tell_events(feed, batch);
}

/* Nothing was read before `status` came. */
static int tell_other(weir_feed *feed, int status, weir_batch *batch) {
    if (status == WEIR_GAP) return tell_gap(feed, batch);
    if (status == WEIR_END || status == WEIR_LAGGED) return tell_end(feed, status, batch);
    return status;
}

int feed_next(weir_feed *feed, weir_batch *batch) {
    weir_consumer *consumer = feed->consumer;
    if (feed->owes_gap) return tell_gap(feed, batch);
    if (feed->over) return WEIR_EMPTY;
    if (can_share(feed)) return share(feed, batch);
    int status = build(feed, &feed->gap);
    if (status == WEIR_NO_MEMORY) {
        /* First again, before the held payload is overwritten. */
        link_before(&feed->ready, consumer->ready.next);
        consumer->turns++;
    }
    if (consumer->built.count == 0) return tell_other(feed, status, batch);
    feed->owes_gap = status == WEIR_GAP;
    consumer->built.caught_up = status == WEIR_EMPTY;
    if (status != WEIR_EMPTY) feed_make_ready(feed);
    return tell_events(feed, batch);
}
