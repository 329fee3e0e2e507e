/* Those who read: attached consumers, pollers, feeds. */
#include "engine_scenarios.h"

#include <poll.h>

#include "life.h"

/* ---- The one consumer of a session ------------------------------------------------------------------------------- */

static void offer(struct life *life, weir_live expected) {
    struct torture *torture = life->torture;
    const weir_message message = {.data = "event", .length = 5};
    weir_receipt receipt;
    STEP(torture, weir_offer(life->producer, life->sessions[0], &message, &receipt));
    assert_int_equal(receipt.live, expected);
}

static void attach(struct life *life) {
    struct torture *torture = life->torture;
    weir_subscription how;
    weir_cursor second = {0};
    weir_gap gap;
    life_open(life);
    if (!torture->going) return;
    weir_subscription_init(life->engine, &how);
    how.principal = "somebody";
    how.principal_length = 8;
    how.address = "192.0.2.1";
    how.address_length = 9;
    how.token_expiry_s = UINT64_C(1) << 40;
    STEP(torture, weir_attach(life->sessions[0], &how, &life->cursors[0], &gap));
    offer(life, WEIR_LIVE_ACCEPTED);
    if (!torture->going) return;
    STEP(torture, weir_attach(life->sessions[0], &how, &second, &gap)); /* displaces the first */
    assert_int_equal(life_read(life, 0, &life->cursors[0]), 1);
    assert_int_equal(life->cursors[0].ended, WEIR_ENDED_DISPLACED);
    weir_unsubscribe(life->sessions[0], &life->cursors[0]);
    life->cursors[0] = second;
    offer(life, WEIR_LIVE_ACCEPTED);
    if (!torture->going) return;
    assert_int_equal(weir_detach(life->sessions[0], second.generation), WEIR_OK);
    offer(life, WEIR_LIVE_CLOSED);
}

static void run_attached(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    life.config.max_principal_subscribers = 3;
    life.config.max_address_subscribers = 3;
    life.config.max_principal_sessions = 3;
    attach(&life);
    life_close(&life);
}

/* ---- Conflation -------------------------------------------------------------------------------------------------- */

/* Without memory to tell superseded events apart a consumer gets them all: either way every event is accounted for. */
static void conflate(struct life *life) {
    struct torture *torture = life->torture;
    const weir_subscription how = {.start = WEIR_START_NOW, .policy = WEIR_POLICY_CONFLATE, .queue_depth = 4};
    uint64_t told = 0;
    weir_event event = {.key = 0};
    weir_gap gap;
    char data[16];
    life_open(life);
    if (!torture->going) return;
    STEP(torture, weir_subscribe(life->sessions[0], &how, &life->cursors[0], &gap));
    for (unsigned i = 0; i < 12; i++) {
        const weir_message message = {.data = "value", .length = 5, .keyed = 1, .key = i % 3};
        STEP(torture, weir_offer(life->producer, life->sessions[0], &message, NULL));
    }
    torture_forgive(torture);
    while (weir_read(life->sessions[0], &life->cursors[0], data, sizeof(data), &event, &gap) == WEIR_OK)
        told += 1 + event.superseded;
    assert_int_equal(told, 12);
    assert_int_equal(event.key, 2);
    weir_stats stats;
    weir_engine_stats(life->engine, &stats);
    if (!torture_was_hurt(torture)) assert_int_equal(stats.conflated, 9);
}

static void run_conflating(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    conflate(&life);
    life_close(&life);
}

/* ---- A poller ---------------------------------------------------------------------------------------------------- */

static void count_wake(void *context) {
    ++*(unsigned *)context;
}

static void poll_sessions(struct life *life, unsigned *wakes) {
    struct torture *torture = life->torture;
    const weir_poller_config config = {LIFE_SESSIONS, count_wake, wakes};
    void *users[LIFE_SESSIONS];
    life_open(life);
    if (!torture->going) return;
    STEP(torture, weir_poller_create(life->engine, &config, &life->poller));
    for (unsigned i = 0; i < LIFE_SESSIONS; i++)
        STEP(torture, weir_outlet_open(life->poller, life->sessions[i], &life->sessions[i], &life->outlets[i]));
    weir_poller_take(life->poller, users, LIFE_SESSIONS);
    for (unsigned i = 0; i < LIFE_SESSIONS; i++) {
        assert_int_equal(weir_poller_sleep(life->poller), 1);
        *wakes = 0;
        life_publish(life, i, 10);
        if (!torture->going) return;
        assert_int_equal(*wakes, 1);
        weir_poller_awake(life->poller);
        assert_int_equal(weir_poller_take(life->poller, users, LIFE_SESSIONS), 1);
        assert_ptr_equal(users[0], &life->sessions[i]);
    }
}

static void run_polled(struct torture *torture) {
    static struct life life;
    unsigned wakes = 0;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    poll_sessions(&life, &wakes);
    life_close(&life);
}

/* ---- A consumer with feeds --------------------------------------------------------------------------------------- */

#define FEEDS 4u

/* Takes batches until all feeds have `wanted` further events; a batch for which there was no memory comes again. */
static void take_batches(struct life *life, weir_feed *const feeds[FEEDS], uint64_t wanted) {
    struct torture *torture = life->torture;
    uint64_t counts[FEEDS] = {0};
    uint64_t left = FEEDS * wanted;
    while (left > 0) {
        weir_batch batch;
        STEP(torture, weir_consumer_next(life->consumer, &batch));
        assert_int_equal(batch.status, WEIR_OK);
        for (unsigned i = 0; i < FEEDS; i++)
            if (batch.feed == feeds[i]) counts[i] += batch.count;
        left -= batch.count;
        weir_feed_acknowledge(batch.feed, batch.last);
    }
    for (unsigned i = 0; i < FEEDS; i++)
        assert_int_equal(counts[i], wanted);
    weir_batch none;
    assert_int_equal(weir_consumer_next(life->consumer, &none), WEIR_EMPTY);
    struct pollfd wait = {.fd = weir_consumer_fd(life->consumer), .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0);
}

static void consume(struct life *life) {
    struct torture *torture = life->torture;
    weir_consumer_config config = WEIR_CONSUMER_CONFIG_INIT;
    weir_feed *feeds[FEEDS] = {NULL};
    config.batch_bytes = 64;
    life_open(life);
    if (!torture->going) return;
    STEP(torture, weir_consumer_create(life->engine, &config, &life->consumer));
    STEP(torture, weir_feed_subscribe(life->consumer, life->sessions[0], NULL, life, &feeds[0]));
    STEP(torture, weir_feed_subscribe(life->consumer, life->sessions[0], NULL, life, &feeds[1]));
    STEP(torture, weir_feed_subscribe(life->consumer, life->sessions[1], NULL, life, &feeds[2]));
    STEP(torture, weir_feed_attach(life->consumer, life->sessions[2], NULL, life, &feeds[3]));
    static const size_t lengths[] = {10, 20, 500, 9000, LIFE_BYTES};
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (unsigned session = 0; session < LIFE_SESSIONS && torture->going; session++)
            life_publish(life, session, lengths[i]);
        if (torture->going) take_batches(life, feeds, 1);
        if (!torture->going) return;
    }
    weir_feed_close(feeds[1]);
}

static void run_consumer(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    consume(&life);
    life_close(&life);
}

const struct scenario engine_attached = {"engine: attached", run_attached, 200};
const struct scenario engine_conflating = {"engine: conflation", run_conflating, 200};
const struct scenario engine_polled = {"engine: poller", run_polled, 200};
const struct scenario engine_consumer = {"engine: consumer", run_consumer, 200};
