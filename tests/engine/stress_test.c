/* Producers and readers of every policy at full speed, with every event stamped. Each reader checks that what it
 * gets is whole, in order and complete: events + gaps = everything that was published. Sizes shrink under sanitizers;
 * WEIR_TEST_SCALE multiplies them. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

#include "stamp.h"
#include "stress.h"
#include "support/sleeper.h"

static uint64_t seed;

/* ---- Producers ------------------------------------------------------------------------------------------------ */

#define PRODUCERS 3u
#define SESSIONS  3u
#define RUN       9u /* events that a reader takes at once, at most */

struct shared {
    weir_engine *engine;
    weir_session *sessions[SESSIONS];
    uint64_t epochs[SESSIONS];
    atomic_u64 published[SESSIONS];
    uint64_t each;   /* events per producer */
    uint64_t length; /* most bytes of one */
};

struct producer {
    pthread_t thread;
    struct shared *shared;
    uint32_t index;
};

static void publish_stamped(struct producer *producer, weir_producer *handle, uint32_t session, struct stamp *stamp,
                            uint32_t length) {
    struct shared *shared = producer->shared;
    uint64_t sequence = 0;
    stamp->epoch = shared->epochs[session];
    stamp->producer = producer->index;
    stamp_seal(stamp, length);
    for (;;) {
        int status = weir_publish(handle, shared->sessions[session], 0, stamp, length, &sequence);
        if (status == WEIR_OK) break;
        REQUIRE(status == WEIR_FULL);
        sched_yield();
    }
    u64_add_relaxed(&shared->published[session], 1);
}

static void *run_producer(void *context) {
    struct producer *producer = (struct producer *)context;
    struct random random = random_start(seed, producer->index);
    union {
        struct stamp stamp;
        char room[STAMP_LENGTH_MAX];
    } event;
    uint64_t numbers[SESSIONS] = {0};
    weir_producer *handle;
    REQUIRE(weir_producer_create(producer->shared->engine, &handle) == WEIR_OK);
    uint32_t most = (uint32_t)producer->shared->length;
    for (uint64_t i = 0; i < producer->shared->each; i++) {
        uint32_t session = random_below(&random, SESSIONS);
        uint32_t length = (uint32_t)sizeof(struct stamp) + random_below(&random, 90);
        if (random_below(&random, 50) == 0) length += random_below(&random, most - length);
        event.stamp.number = ++numbers[session];
        publish_stamped(producer, handle, session, &event.stamp, length);
        /* Or a producer would run through its whole time slice while the readers wait for theirs. */
        if (random_below(&random, 40) == 0) sched_yield();
    }
    weir_producer_destroy(handle);
    return NULL;
}

/* ---- Readers -------------------------------------------------------------------------------------------------- */

struct reading {
    weir_session *session;
    weir_outlet *outlet;
    weir_cursor cursor;
    weir_policy policy;
    uint32_t depth;
    uint64_t epoch;
    uint64_t next;
    uint64_t events;
    uint64_t lost;
    uint64_t gaps;
    uint64_t attached; /* how often */
    uint64_t numbers[PRODUCERS];
    bool whole; /* nothing was lost since each producer's last event */
    bool ended;
};

struct reader {
    pthread_t thread;
    struct shared *shared;
    weir_poller *poller;
    struct sleeper sleeper;
    weir_policy policy;
    uint32_t depth;
    uint32_t pause; /* yields once in so many reads: a slow reader */
    struct reading readings[SESSIONS];
};

static void take_event(struct reading *reading, const weir_event *event, const struct stamp *stamp) {
    REQUIRE(event->sequence == reading->next);
    REQUIRE(stamp_is_whole(stamp, event->length));
    REQUIRE(stamp->epoch == reading->epoch);
    REQUIRE(stamp->producer < PRODUCERS);
    uint64_t *number = &reading->numbers[stamp->producer];
    REQUIRE(stamp->number > *number);
    REQUIRE(reading->lost > 0 || stamp->number == *number + 1);
    *number = stamp->number;
    reading->next++;
    reading->events++;
}

static void take_run(struct reading *reading, const weir_event *events, uint32_t count, const char *bytes) {
    for (uint32_t i = 0; i < count; bytes += events[i++].length) {
        union {
            struct stamp stamp;
            char room[STAMP_LENGTH_MAX];
        } event;
        memcpy(&event, bytes, events[i].length);
        take_event(reading, &events[i], &event.stamp);
    }
}

static void take_gap(struct reading *reading, const weir_gap *gap) {
    REQUIRE(gap->first == reading->next && gap->last >= gap->first && gap->lost == gap->last - gap->first + 1);
    REQUIRE(gap->lost_known == 1);
    reading->next = gap->last + 1;
    reading->lost += gap->lost;
    reading->gaps++;
}

/* As a client does that was cut off: comes back with the id that it saw last. */
static void attach_again(struct reading *reading) {
    char id[WEIR_ID_MAX];
    weir_gap gap;
    weir_unsubscribe(reading->session, &reading->cursor);
    weir_subscription how = {.last_id = id,
                             .last_id_length = weir_id_format(reading->epoch, reading->next - 1, id),
                             .policy = reading->policy,
                             .queue_depth = reading->depth};
    int status = weir_subscribe(reading->session, &how, &reading->cursor, &gap);
    REQUIRE(status == WEIR_OK || (status == WEIR_GAP && gap.reason == WEIR_GAP_EVICTED));
    if (status == WEIR_GAP) take_gap(reading, &gap);
    REQUIRE(reading->cursor.next == reading->next);
    reading->attached++;
}

static void read_all(struct reader *reader, struct reading *reading, struct random *random) {
    union {
        struct stamp stamp;
        char room[STAMP_LENGTH_MAX];
    } buffer;
    weir_event events[RUN];
    weir_gap gap;
    for (;;) {
        uint32_t count;
        uint32_t most = 1 + random_below(random, RUN);
        int status =
            weir_read_many(reading->session, &reading->cursor, &buffer, sizeof(buffer), events, most, &count, &gap);
        if (status == WEIR_EMPTY) return;
        if (status == WEIR_OK) {
            take_run(reading, events, count, buffer.room);
        } else if (status == WEIR_GAP) {
            REQUIRE(gap.reason == WEIR_GAP_SLOW);
            take_gap(reading, &gap);
        } else if (status == WEIR_LAGGED) {
            REQUIRE(reading->policy == WEIR_POLICY_DETACH);
            attach_again(reading);
        } else {
            REQUIRE(status == WEIR_END);
            reading->ended = true;
            return;
        }
        if (reader->pause != 0 && random_below(random, reader->pause) == 0) sched_yield();
    }
}

static bool all_ended(const struct reader *reader) {
    for (uint32_t i = 0; i < SESSIONS; i++)
        if (!reader->readings[i].ended) return false;
    return true;
}

static void *run_reader(void *context) {
    struct reader *reader = (struct reader *)context;
    struct random random = random_start(seed, 100 + (uint64_t)reader->policy);
    void *users[SESSIONS];
    while (!all_ended(reader)) {
        uint32_t count = weir_poller_take(reader->poller, users, SESSIONS);
        for (uint32_t i = 0; i < count; i++)
            read_all(reader, (struct reading *)users[i], &random);
        if (count == 0) sleeper_sleep(&reader->sleeper, reader->poller);
    }
    return NULL;
}

static void open_reader(struct reader *reader, struct shared *shared, weir_policy policy, uint32_t depth) {
    memset(reader, 0, sizeof(*reader));
    reader->shared = shared;
    reader->policy = policy;
    reader->depth = depth;
    reader->pause = policy == WEIR_POLICY_REFUSE ? 0 : 40;
    sleeper_open(&reader->sleeper);
    weir_poller_config config = {SESSIONS, sleeper_wake, &reader->sleeper};
    assert_int_equal(weir_poller_create(shared->engine, &config, &reader->poller), WEIR_OK);
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct reading *reading = &reader->readings[i];
        reading->session = shared->sessions[i];
        reading->epoch = shared->epochs[i];
        reading->policy = policy;
        reading->depth = depth;
        reading->next = 1;
        assert_int_equal(weir_outlet_open(reader->poller, reading->session, reading, &reading->outlet), WEIR_OK);
        reading->cursor = subscribe(reading->session, WEIR_START_OLDEST, policy, depth, WEIR_OK);
    }
}

static void close_reader(struct reader *reader, bool lossless) {
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct reading *reading = &reader->readings[i];
        assert_int_equal(reading->events + reading->lost, u64_load_relaxed(&reader->shared->published[i]));
        if (lossless) assert_int_equal(reading->lost, 0);
        weir_unsubscribe(reading->session, &reading->cursor);
        printf("  policy %d, session %u: %llu events, %llu lost in %llu gaps, attached again %llu times\n",
               (int)reader->policy, i, (unsigned long long)reading->events, (unsigned long long)reading->lost,
               (unsigned long long)reading->gaps, (unsigned long long)reading->attached);
    }
    for (uint32_t i = 0; i < SESSIONS; i++)
        weir_outlet_close(reader->readings[i].outlet);
    weir_poller_destroy(reader->poller);
    sleeper_close(&reader->sleeper);
}

static void open_shared(struct shared *shared, struct fixture *fixture) {
    static const char *const names[SESSIONS] = {"one", "two", "three"};
    memset(shared, 0, sizeof(*shared));
    shared->engine = fixture->engine;
    shared->each = scaled(5000);
    shared->length = STAMP_LENGTH_MAX;
    for (uint32_t i = 0; i < SESSIONS; i++) {
        shared->sessions[i] = fixture_session(fixture, names[i]);
        shared->epochs[i] = info_of(shared->sessions[i]).epoch;
    }
}

static void run_streams(uint32_t capacity, const weir_policy *policies, uint32_t readers, bool lossless) {
    struct fixture fixture;
    struct shared shared;
    struct producer producers[PRODUCERS];
    struct reader all[3];
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    fixture_open(&fixture, &config);
    open_shared(&shared, &fixture);
    for (uint32_t i = 0; i < readers; i++)
        open_reader(&all[i], &shared, policies[i], capacity / (i + 1));
    for (uint32_t i = 0; i < readers; i++)
        assert_int_equal(pthread_create(&all[i].thread, NULL, run_reader, &all[i]), 0);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.shared = &shared, .index = i};
        assert_int_equal(pthread_create(&producers[i].thread, NULL, run_producer, &producers[i]), 0);
    }
    for (uint32_t i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    for (uint32_t i = 0; i < SESSIONS; i++)
        weir_session_terminate(shared.sessions[i]);
    for (uint32_t i = 0; i < readers; i++) {
        pthread_join(all[i].thread, NULL);
        close_reader(&all[i], lossless);
    }
    assert_int_equal(stats_of(fixture.engine).published, PRODUCERS * shared.each);
    assert_int_equal(stats_of(fixture.engine).subscribers, 0);
    for (uint32_t i = 0; i < SESSIONS; i++)
        weir_session_release(shared.sessions[i]);
    fixture_close(&fixture);
}

/* SEQ-08, WK-19: what each producer sent comes in its order, in the one order of the session. WK-02: who was cut off comes
 * back with its last id, and nothing falls between what it replays and what is live, and nothing comes twice. */
static void readers_that_skip_or_detach_get_every_event_or_a_gap_that_names_it(void **state) {
    (void)state;
    const weir_policy policies[] = {WEIR_POLICY_SKIP, WEIR_POLICY_DETACH};
    run_streams(64, policies, 2, false);
}

/* RPL-24, RPL-25: overtaken in nearly every read, a reader gets whole events in order, and gaps for exactly the others. */
static void readers_of_a_tiny_ring_get_every_event_or_a_gap_that_names_it(void **state) {
    (void)state;
    const weir_policy policies[] = {WEIR_POLICY_SKIP, WEIR_POLICY_DETACH};
    run_streams(3, policies, 2, false);
}

/* Beside a REFUSE reader nobody loses anything that is inside its depth; the REFUSE reader itself nothing at all. */
static void a_reader_that_refuses_gets_every_event(void **state) {
    (void)state;
    const weir_policy policies[] = {WEIR_POLICY_REFUSE};
    run_streams(16, policies, 1, true);
}

/* ---- Wake-up -------------------------------------------------------------------------------------------------- */

struct waker {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    uint64_t count;
};

static void *run_waker(void *context) {
    struct waker *waker = (struct waker *)context;
    struct random random = random_start(seed, (uint64_t)(uintptr_t)waker);
    weir_producer *producer;
    REQUIRE(weir_producer_create(waker->engine, &producer) == WEIR_OK);
    for (uint64_t i = 0; i < waker->count; i++) {
        int status;
        while ((status = weir_publish(producer, waker->session, 0, &i, sizeof(i), NULL)) == WEIR_FULL)
            sched_yield();
        REQUIRE(status == WEIR_OK);
        for (uint32_t spin = random_below(&random, 200); spin > 0; spin--)
            __asm__ volatile("");
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* The consumer sleeps whenever it may, right after each look: a wake-up that got lost would leave it asleep for good,
 * for with a queue of 2 the producers stand still as well. */
static void a_consumer_that_always_sleeps_misses_no_wake_up(void **state) {
    (void)state;
    struct fixture fixture;
    struct sleeper sleeper;
    struct waker wakers[2];
    weir_poller *poller;
    weir_outlet *outlet;
    weir_event event;
    weir_gap gap;
    uint64_t payload;
    uint64_t slept = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 2;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "bell");
    sleeper_open(&sleeper);
    weir_poller_config poller_config = {1, sleeper_wake, &sleeper};
    assert_int_equal(weir_poller_create(fixture.engine, &poller_config, &poller), WEIR_OK);
    assert_int_equal(weir_outlet_open(poller, session, &sleeper, &outlet), WEIR_OK);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_REFUSE, 2, WEIR_OK);
    for (int i = 0; i < 2; i++) {
        wakers[i] = (struct waker){.engine = fixture.engine, .session = session, .count = scaled(2000)};
        assert_int_equal(pthread_create(&wakers[i].thread, NULL, run_waker, &wakers[i]), 0);
    }
    while (cursor.next <= wakers[0].count + wakers[1].count) {
        void *user;
        slept += (uint64_t)sleeper_sleep(&sleeper, poller);
        if (weir_poller_take(poller, &user, 1) == 0) continue;
        int status;
        while ((status = weir_read(session, &cursor, &payload, sizeof(payload), &event, &gap)) == WEIR_OK) {
        }
        assert_int_equal(status, WEIR_EMPTY);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(wakers[i].thread, NULL);
    printf("  slept %llu times\n", (unsigned long long)slept);
    assert_true(slept > 0);
    weir_unsubscribe(session, &cursor);
    weir_outlet_close(outlet);
    weir_poller_destroy(poller);
    sleeper_close(&sleeper);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- Refusing from now on ------------------------------------------------------------------------------------- */

struct hammer {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    atomic_u32 quit;
};

static void *run_hammer(void *context) {
    struct hammer *hammer = (struct hammer *)context;
    weir_producer *producer;
    REQUIRE(weir_producer_create(hammer->engine, &producer) == WEIR_OK);
    while (u32_load_acquire(&hammer->quit) == 0) {
        int status = weir_publish(producer, hammer->session, 0, "x", 1, NULL);
        REQUIRE(status == WEIR_OK || status == WEIR_FULL);
        if (status == WEIR_FULL) sched_yield();
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* A subscriber that comes while producers publish at full speed loses nothing from its first event on. */
static void a_reader_that_refuses_from_now_on_loses_nothing_from_there(void **state) {
    (void)state;
    struct fixture fixture;
    struct hammer hammers[2];
    weir_config config = WEIR_CONFIG_INIT;
    char buffer[8];
    weir_event event;
    weir_gap gap;
    config.replay_capacity = 8;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (int i = 0; i < 2; i++) {
        hammers[i] = (struct hammer){.engine = fixture.engine, .session = session};
        assert_int_equal(pthread_create(&hammers[i].thread, NULL, run_hammer, &hammers[i]), 0);
    }
    for (uint64_t round = 0; round < scaled(500); round++) {
        weir_cursor cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_REFUSE, 4, WEIR_OK);
        for (int reads = 0; reads < 20; reads++) {
            int status = weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap);
            if (status == WEIR_EMPTY) sched_yield();
            if (status != WEIR_EMPTY) assert_int_equal(status, WEIR_OK);
        }
        weir_unsubscribe(session, &cursor);
    }
    for (int i = 0; i < 2; i++) {
        u32_store_release(&hammers[i].quit, 1);
        pthread_join(hammers[i].thread, NULL);
    }
    assert_int_equal(stats_of(fixture.engine).lost, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_that_skip_or_detach_get_every_event_or_a_gap_that_names_it),
        cmocka_unit_test(readers_of_a_tiny_ring_get_every_event_or_a_gap_that_names_it),
        cmocka_unit_test(a_reader_that_refuses_gets_every_event),
        cmocka_unit_test(a_reader_that_refuses_from_now_on_loses_nothing_from_there),
        cmocka_unit_test(a_consumer_that_always_sleeps_misses_no_wake_up),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
