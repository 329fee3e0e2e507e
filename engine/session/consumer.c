/* Consumers: their life, whose turn it is, and sleeping behind a descriptor. */
#include "consumer.h"

#include <string.h>

#include "base/configure.h"
#include "base/mark.h"
#include "base/memory.h"

static void ring(void *context) {
    doorbell_ring(&((weir_consumer *)context)->bell);
}

static bool resolve(weir_consumer_config *config, const weir_engine *engine) {
    if (config->max_feeds == 0) config->max_feeds = engine->config.max_sessions;
    if (config->batch_events == 0) config->batch_events = 256;
    if (config->batch_bytes == 0) config->batch_bytes = 64u << 10;
    return config->max_feeds <= 1u << 24 && config->batch_events <= WEIR_BATCH_EVENTS_MAX &&
           config->batch_bytes <= WEIR_BATCH_BYTES_MAX;
}

bool store_grow(weir_engine *engine, struct store *store, size_t size, size_t kept) {
    const weir_allocator *allocator = &engine->config.allocator;
    char *data = (char *)memory_take(allocator, size, CACHE_LINE);
    if (data == NULL) return false;
    if (kept > 0) memcpy(data, store->data, kept);
    memory_give(allocator, store->data, store->size, CACHE_LINE);
    store->data = data;
    store->size = size;
    return true;
}

static size_t views_size(const weir_consumer *consumer) {
    return sizeof(weir_view) * consumer->config.batch_events;
}

#define PAYLOAD_FIRST 4096u /* grows to the largest event that is rendered */

static int create_parts(weir_consumer *consumer) {
    weir_engine *engine = consumer->engine;
    weir_poller_config poller = {consumer->config.max_feeds, ring, consumer};
    int status = doorbell_open(&consumer->bell);
    if (status != WEIR_OK) return status;
    status = weir_poller_create(engine, &poller, &consumer->poller);
    if (status != WEIR_OK) return status;
    consumer->views = (weir_view *)memory_take(&engine->config.allocator, views_size(consumer), CACHE_LINE);
    if (consumer->views == NULL || !store_grow(engine, &consumer->bytes, consumer->config.batch_bytes, 0))
        return WEIR_NO_MEMORY;
    if (consumer->config.render != NULL && !store_grow(engine, &consumer->payload, PAYLOAD_FIRST, 0))
        return WEIR_NO_MEMORY;
    return WEIR_OK;
}

int weir_consumer_create(weir_engine *engine, const weir_consumer_config *config, weir_consumer **out) {
    weir_consumer_config resolved;
    *out = NULL;
    if (!configure_copy(&resolved, sizeof(resolved), config) || !resolve(&resolved, engine)) return WEIR_INVALID;
    weir_consumer *consumer =
        (weir_consumer *)memory_take(&engine->config.allocator, sizeof(weir_consumer), CACHE_LINE);
    if (consumer == NULL) return WEIR_NO_MEMORY;
    consumer->engine = engine;
    consumer->config = resolved;
    link_alone(&consumer->ready);
    int status = create_parts(consumer);
    if (status != WEIR_OK) {
        weir_consumer_destroy(consumer);
        return status;
    }
    consumer->asleep =
        weir_poller_sleep(consumer->poller); /* there is no news yet: the loop may begin with its wait */
    *out = consumer;
    return WEIR_OK;
}

static void close_feeds(weir_consumer *consumer) {
    const weir_poller *poller = consumer->poller;
    for (uint32_t place = 0; consumer->feeds > 0 && place < poller->max_outlets; place++)
        while (poller->outlets[place] != NULL)
            weir_feed_close((weir_feed *)poller->outlets[place]->user);
}

void weir_consumer_destroy(weir_consumer *consumer) {
    if (consumer == NULL) return;
    const weir_allocator *allocator = &consumer->engine->config.allocator;
    if (consumer->poller != NULL) close_feeds(consumer);
    weir_poller_destroy(consumer->poller);
    doorbell_close(&consumer->bell);
    memory_give(allocator, consumer->payload.data, consumer->payload.size, CACHE_LINE);
    memory_give(allocator, consumer->bytes.data, consumer->bytes.size, CACHE_LINE);
    memory_give(allocator, consumer->views, views_size(consumer), CACHE_LINE);
    memory_give(allocator, consumer, sizeof(*consumer), CACHE_LINE);
}

int weir_consumer_fd(const weir_consumer *consumer) {
    return consumer->bell.descriptor;
}

#define TAKE_AT_ONCE 64u

/* Begins a round: every feed whose outlet has news gets a place in the queue, as far as one look around finds them. */
static void begin_round(weir_consumer *consumer) {
    void *users[TAKE_AT_ONCE];
    uint32_t taken = TAKE_AT_ONCE;
    for (uint32_t left = consumer->config.max_feeds; taken == TAKE_AT_ONCE && left > 0;
         left = left > taken ? left - taken : 0) {
        taken = weir_poller_take(consumer->poller, users, TAKE_AT_ONCE);
        for (uint32_t i = 0; i < taken; i++) {
            weir_feed *first = (weir_feed *)users[i];
            feed_make_ready(first);
            for (struct link *link = first->beside.next; link != &first->beside; link = link->next)
                feed_make_ready(feed_of_beside(link));
        }
    }
    consumer->built.caught_up = false;
    consumer->turns = 0;
    for (const struct link *link = consumer->ready.next; link != &consumer->ready; link = link->next)
        consumer->turns++;
}

/* The feed whose turn it is, out of the queue; NULL when nobody has anything. */
static weir_feed *take_turn(weir_consumer *consumer) {
    if (consumer->turns == 0 || link_is_alone(&consumer->ready)) begin_round(consumer);
    if (link_is_alone(&consumer->ready)) return NULL;
    weir_feed *feed = feed_of_ready(consumer->ready.next);
    consumer->turns--;
    link_remove(&feed->ready);
    return feed;
}

/* Awake, the descriptor is readable: whoever takes only some of the batches before he waits again is called back. */
static int stay_awake(weir_consumer *consumer, int status) {
    if (!doorbell_is_rung(&consumer->bell)) doorbell_ring(&consumer->bell);
    return status;
}

/* The bell is answered before the sleep is announced: what rings from then on belongs to this sleep. */
static bool fall_asleep(weir_consumer *consumer) {
    WEIR_MARK(CONSUMER_FOUND_NOTHING);
    doorbell_answer(&consumer->bell);
    WEIR_MARK(CONSUMER_ANSWERED);
    consumer->asleep = weir_poller_sleep(consumer->poller);
    WEIR_MARK(CONSUMER_ASLEEP);
    return consumer->asleep;
}

int weir_consumer_next(weir_consumer *consumer, weir_batch *batch) {
    if (consumer->asleep) weir_poller_awake(consumer->poller);
    consumer->asleep = false;
    WEIR_MARK(CONSUMER_AWAKE);
    for (;;) {
        weir_feed *feed = take_turn(consumer);
        if (feed == NULL) {
            if (fall_asleep(consumer)) return WEIR_EMPTY;
            continue;
        }
        int status = feed_next(feed, batch);
        if (status != WEIR_EMPTY) return stay_awake(consumer, status);
    }
}
