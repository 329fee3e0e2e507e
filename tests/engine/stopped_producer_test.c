/* A producer is stopped at each marked step of publish and notify, in turn. While it stands still, other producers and
 * the consumer must not notice: every publish that returns is delivered to a consumer that sleeps in between, and is
 * there for replay. When the stopped one goes on, its event arrives exactly once (design 2.1, 2.3, 2.7).
 *
 * Nothing here waits for time: a wake-up that got lost leaves the test hanging, which ctest ends. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mark.h"
#include "session/engine.h"
#include "support/sleeper.h"

#define SESSIONS  2
#define RING      8u
#define LOCK_STEP 60u
#define IN_BULK   3000u
#define LARGE     1100u /* bytes that count, in a cell of 2 KiB */

/* ---- The stop ------------------------------------------------------------------------------------------------- */

static const char *const mark_names[] = {
#define MARK_NAME(name) #name,
    MARK_LIST(MARK_NAME)
#undef MARK_NAME
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum mark at;
    bool stopped;
    bool go;
    bool finished;
    unsigned met[MARK_PUBLISH_COUNT]; /* how many scenarios stopped here */
} stop = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool is_victim;

void weir_test_mark(enum mark mark) {
    if (!is_victim || mark != stop.at) return;
    pthread_mutex_lock(&stop.lock);
    if (!stop.stopped) {
        stop.stopped = true;
        stop.met[mark]++;
        pthread_cond_broadcast(&stop.changed);
        while (!stop.go)
            pthread_cond_wait(&stop.changed, &stop.lock);
    }
    pthread_mutex_unlock(&stop.lock);
}

/* ---- The victim ----------------------------------------------------------------------------------------------- */

struct victim {
    pthread_t thread;
    weir_producer *producer;
    weir_session *session;
    const void *data;
    size_t length;
    int status;
    uint64_t sequence;
};

static void *run_victim(void *context) {
    struct victim *victim = (struct victim *)context;
    is_victim = true;
    victim->status =
        weir_publish(victim->producer, victim->session, 0, victim->data, victim->length, &victim->sequence);
    pthread_mutex_lock(&stop.lock);
    stop.finished = true;
    pthread_cond_broadcast(&stop.changed);
    pthread_mutex_unlock(&stop.lock);
    return NULL;
}

static void make_victim(struct victim *victim, weir_engine *engine, weir_session *session) {
    victim->session = session;
    assert_int_equal(weir_producer_create(engine, &victim->producer), WEIR_OK);
}

/* Starts the publish and returns once it stands at the mark, or has run through without meeting it. */
static bool start_victim(struct victim *victim, enum mark at, const void *data, size_t length) {
    victim->data = data;
    victim->length = length;
    stop.at = at;
    stop.stopped = stop.go = stop.finished = false;
    assert_int_equal(pthread_create(&victim->thread, NULL, run_victim, victim), 0);
    pthread_mutex_lock(&stop.lock);
    while (!stop.stopped && !stop.finished)
        pthread_cond_wait(&stop.changed, &stop.lock);
    bool stopped = stop.stopped;
    pthread_mutex_unlock(&stop.lock);
    return stopped;
}

static void let_go(struct victim *victim) {
    pthread_mutex_lock(&stop.lock);
    stop.go = true;
    pthread_cond_broadcast(&stop.changed);
    pthread_mutex_unlock(&stop.lock);
    pthread_join(victim->thread, NULL);
    weir_producer_destroy(victim->producer);
}

/* ---- The consumer --------------------------------------------------------------------------------------------- */

#define VICTIM_PAYLOAD UINT64_MAX

struct stream {
    weir_session *session;
    weir_outlet *outlet;
    weir_cursor cursor;
    uint64_t next;
    uint64_t events;
    uint64_t lost;
    uint64_t victims;         /* events of the victim's */
    uint64_t victim_sequence; /* of the last of them */
};

struct consumer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    weir_poller *poller;
    struct sleeper sleeper;
    struct stream streams[SESSIONS];
    atomic_u32 quit;
    uint64_t slept;
};

static void fail_here(const char *what) {
    fprintf(stderr, "consumer: %s\n", what);
    abort();
}

static void count_event(struct stream *stream, const weir_event *event, uint64_t payload) {
    if (event->sequence != stream->next) fail_here("an event out of order");
    stream->next++;
    stream->events++;
    if (payload != VICTIM_PAYLOAD) return;
    stream->victims++;
    stream->victim_sequence = event->sequence;
}

static void drain(struct stream *stream) {
    uint64_t payload[512];
    weir_event event;
    weir_gap gap;
    for (;;) {
        int status = weir_read(stream->session, &stream->cursor, payload, sizeof(payload), &event, &gap);
        if (status == WEIR_EMPTY) return;
        if (status == WEIR_OK) {
            count_event(stream, &event, payload[0]);
        } else if (status == WEIR_GAP && gap.first == stream->next) {
            stream->lost += gap.lost;
            stream->next = gap.last + 1;
        } else {
            fail_here(weir_status_name(status));
        }
    }
}

static void *run_consumer(void *context) {
    struct consumer *consumer = (struct consumer *)context;
    void *users[64];
    while (u32_load_acquire(&consumer->quit) == 0) {
        uint32_t count = weir_poller_take(consumer->poller, users, 64);
        pthread_mutex_lock(&consumer->lock);
        for (uint32_t i = 0; i < count; i++)
            drain((struct stream *)users[i]);
        pthread_cond_broadcast(&consumer->moved);
        pthread_mutex_unlock(&consumer->lock);
        if (count == 0) consumer->slept += (uint64_t)sleeper_sleep(&consumer->sleeper, consumer->poller);
    }
    return NULL;
}

static void start_consumer(struct consumer *consumer, weir_engine *engine, weir_session **sessions,
                           weir_policy policy) {
    memset(consumer, 0, sizeof(*consumer));
    pthread_mutex_init(&consumer->lock, NULL);
    pthread_cond_init(&consumer->moved, NULL);
    sleeper_open(&consumer->sleeper);
    weir_poller_config config = {8, sleeper_wake, &consumer->sleeper};
    assert_int_equal(weir_poller_create(engine, &config, &consumer->poller), WEIR_OK);
    for (int i = 0; i < SESSIONS; i++) {
        struct stream *stream = &consumer->streams[i];
        stream->session = sessions[i];
        assert_int_equal(weir_outlet_open(consumer->poller, sessions[i], stream, &stream->outlet), WEIR_OK);
        stream->cursor = subscribe(sessions[i], WEIR_START_NOW, policy, 0, WEIR_OK);
        stream->next = stream->cursor.next;
    }
    assert_int_equal(pthread_create(&consumer->thread, NULL, run_consumer, consumer), 0);
}

static void stop_consumer(struct consumer *consumer) {
    u32_store_release(&consumer->quit, 1);
    sleeper_wake(&consumer->sleeper);
    pthread_join(consumer->thread, NULL);
    for (int i = 0; i < SESSIONS; i++) {
        weir_unsubscribe(consumer->streams[i].session, &consumer->streams[i].cursor);
        weir_outlet_close(consumer->streams[i].outlet);
    }
    weir_poller_destroy(consumer->poller);
    sleeper_close(&consumer->sleeper);
}

/* Until the consumer has got past `sequence`, by itself. */
static void wait_for(struct consumer *consumer, int stream, uint64_t sequence) {
    pthread_mutex_lock(&consumer->lock);
    while (consumer->streams[stream].next <= sequence)
        pthread_cond_wait(&consumer->moved, &consumer->lock);
    pthread_mutex_unlock(&consumer->lock);
}

/* Until the consumer has announced that it sleeps: only then does a publish go through every step of notify. */
static void wait_for_sleep(struct consumer *consumer) {
    while ((u64_load_seq_cst(&consumer->poller->notify.epoch) & 1) == 0)
        sched_yield();
}

/* ---- The others ----------------------------------------------------------------------------------------------- */

/* Every producer makes some publishes, each to be delivered before the next, to a consumer that fell asleep. */
static void publish_in_lock_step(struct fixture *fixture, struct consumer *consumer, weir_session **sessions) {
    for (uint64_t i = 0; i < LOCK_STEP; i++) {
        int stream = (int)(i % SESSIONS);
        uint64_t sequence;
        assert_int_equal(weir_publish(fixture->producer, sessions[stream], 0, &i, sizeof(i), &sequence), WEIR_OK);
        wait_for(consumer, stream, sequence);
        wait_for_sleep(consumer);
    }
}

struct other {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    uint64_t published;
    uint64_t last;
};

static void *run_other(void *context) {
    struct other *other = (struct other *)context;
    weir_producer *producer;
    if (weir_producer_create(other->engine, &producer) != WEIR_OK) fail_here("no producer");
    for (uint64_t i = 0; i < IN_BULK; i++) {
        int status = weir_publish(producer, other->session, 0, &i, sizeof(i), &other->last);
        if (status == WEIR_FULL) {
            sched_yield();
            i--;
        } else if (status != WEIR_OK) {
            fail_here(weir_status_name(status));
        } else {
            other->published++;
        }
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* Two producers on the victim's session and one on the other lap the rings hundreds of times. */
static void publish_in_bulk(weir_engine *engine, struct consumer *consumer, weir_session **sessions) {
    struct other others[3];
    for (int i = 0; i < 3; i++) {
        others[i] = (struct other){.engine = engine, .session = sessions[i / 2]};
        assert_int_equal(pthread_create(&others[i].thread, NULL, run_other, &others[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(others[i].thread, NULL);
        assert_int_equal(others[i].published, IN_BULK);
        if (consumer != NULL) wait_for(consumer, i / 2, others[i].last);
    }
}

/* A replay that begins now finds the whole window, up to the newest event. */
static void check_replay(weir_session *session) {
    uint64_t payload[512];
    weir_event event;
    weir_gap gap;
    weir_session_info info = info_of(session);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    assert_int_equal(info.newest + 1 - info.oldest, RING);
    for (uint64_t sequence = info.oldest; sequence <= info.newest; sequence++) {
        assert_int_equal(weir_read(session, &cursor, payload, sizeof(payload), &event, &gap), WEIR_OK);
        assert_int_equal(event.sequence, sequence);
    }
    assert_int_equal(weir_read(session, &cursor, payload, sizeof(payload), &event, &gap), WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
}

/* ---- The scenarios -------------------------------------------------------------------------------------------- */

struct scenario {
    weir_policy policy;
    bool first_publish; /* the victim's is the session's first */
    size_t length;      /* of the victim's event */
    enum {
        STRANGE,      /* the victim's producer has not been there */
        BOUND,        /* it was the last one there: its publish is a plain one (publish.c) */
        BOUND_BEHIND, /* it was there, and others have been since: it loses its first claim */
        BOUND_OVER    /* as BOUND, and what its event replaces is a large one */
    } victim;
};

static void open_both(struct fixture *fixture, weir_session **sessions, bool publish_before) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = RING;
    config.max_session_bytes = (uint64_t)RING * 4096;
    fixture_open(fixture, &config);
    sessions[0] = fixture_session(fixture, "stopped");
    sessions[1] = fixture_session(fixture, "another");
    if (publish_before)
        for (int i = 0; i < SESSIONS; i++)
            publish_numbers(fixture, sessions[i], 3 * RING);
}

/* The victim's producer publishes until its next event goes the short way. */
static void bind_victim(const struct scenario *scenario, struct fixture *fixture, struct victim *victim) {
    static const char large[LARGE];
    const weir_producer *producer = victim->producer;
    weir_session *session = victim->session;
    if (scenario->victim == STRANGE) return;
    if (scenario->victim == BOUND_OVER)
        for (uint32_t i = 0; i < RING; i++)
            assert_int_equal(weir_publish(fixture->producer, session, 0, large, LARGE, NULL), WEIR_OK);
    for (uint64_t i = 0; i < 2; i++)
        assert_int_equal(weir_publish(victim->producer, session, 0, &i, sizeof(i), NULL), WEIR_OK);
    assert_true(producer->bound_epoch == session->epoch && small_stock_turns(&producer->stock));
    assert_true(scenario->length <= producer->plain_length && pointer_load_relaxed(&session->attachment) == NULL);
    cell_reference oldest = (cell_reference)u64_load_relaxed(&session_slots(session)->words[producer->hint % RING]);
    assert_int_equal(cell_class(oldest) == 0, scenario->victim != BOUND_OVER);
    if (scenario->victim == BOUND_BEHIND) publish_numbers(fixture, session, 1);
}

static void check_streams(struct consumer *consumer, const struct victim *victim, bool lossless) {
    assert_int_equal(victim->status, WEIR_OK);
    wait_for(consumer, 0, victim->sequence);
    pthread_mutex_lock(&consumer->lock);
    assert_int_equal(consumer->streams[0].victims, 1);
    assert_int_equal(consumer->streams[0].victim_sequence, victim->sequence);
    assert_int_equal(consumer->streams[1].victims, 0);
    for (int i = 0; i < SESSIONS; i++) {
        const struct stream *stream = &consumer->streams[i];
        assert_int_equal(stream->next, info_of(stream->session).newest + 1);
        if (lossless) assert_int_equal(stream->lost, 0);
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* Returns whether the victim met the mark. */
static bool play(const struct scenario *scenario, enum mark at) {
    static uint64_t payload[512] = {VICTIM_PAYLOAD};
    struct fixture fixture;
    struct consumer consumer;
    struct victim victim;
    weir_session *sessions[SESSIONS];
    open_both(&fixture, sessions, !scenario->first_publish);
    make_victim(&victim, fixture.engine, sessions[0]);
    bind_victim(scenario, &fixture, &victim);
    start_consumer(&consumer, fixture.engine, sessions, scenario->policy);
    wait_for_sleep(&consumer);
    bool met = start_victim(&victim, at, payload, scenario->length);
    if (met) {
        publish_in_lock_step(&fixture, &consumer, sessions);
        publish_in_bulk(fixture.engine, &consumer, sessions);
        check_replay(sessions[0]);
        check_replay(sessions[1]);
        /* Stopped before its claim it has published nothing; from there on its event is everybody's. */
        pthread_mutex_lock(&consumer.lock);
        assert_int_equal(consumer.streams[0].victims, at >= MARK_PUBLISH_CLAIMED);
        pthread_mutex_unlock(&consumer.lock);
        assert_true(consumer.slept > 0);
    }
    let_go(&victim);
    check_streams(&consumer, &victim, scenario->policy == WEIR_POLICY_REFUSE);
    stop_consumer(&consumer);
    for (int i = 0; i < SESSIONS; i++)
        weir_session_release(sessions[i]);
    fixture_close(&fixture);
    return met;
}

static void play_everywhere(const struct scenario *scenario) {
    for (int at = 0; at < MARK_PUBLISH_COUNT; at++) {
        bool met = play(scenario, (enum mark)at);
        bool at_creation = at == MARK_PUBLISH_SLOTS_MADE || at == MARK_PUBLISH_CHUNK_MADE;
        if (met || (at_creation && !scenario->first_publish)) continue;
        fail_msg("no publish came by %s", mark_names[at]);
    }
}

/* SEQ-09, SEQ-10: nobody sees its number before its event, and when it goes on after hundreds of laps its event takes a
 * number of its own and no other's place. RPL-23: one that never goes on leaves replay whole. WK-03, WK-06, WK-18. */
static void a_producer_stopped_anywhere_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, false, 8, STRANGE};
    play_everywhere(&scenario);
}

static void a_producer_stopped_anywhere_delays_nobody_on_a_refusing_session(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_REFUSE, false, 8, STRANGE};
    play_everywhere(&scenario);
}

static void a_producer_stopped_anywhere_in_a_first_publish_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, true, 8, STRANGE};
    play_everywhere(&scenario);
}

static void a_producer_stopped_anywhere_with_a_large_event_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, false, 2000, STRANGE};
    play_everywhere(&scenario);
}

/* The same where its publish is a plain one (publish.c): all marks are on the short way, too. */
static void a_producer_that_was_there_before_stopped_anywhere_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, false, 8, BOUND};
    play_everywhere(&scenario);
}

static void a_producer_that_others_have_overtaken_stopped_anywhere_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, false, 8, BOUND_BEHIND};
    play_everywhere(&scenario);
}

static void a_producer_that_replaces_a_large_event_stopped_anywhere_delays_nobody(void **state) {
    (void)state;
    const struct scenario scenario = {WEIR_POLICY_SKIP, false, 8, BOUND_OVER};
    play_everywhere(&scenario);
}

/* The stopped producer has not counted its bytes yet when another replaces its cell and takes them off. */
static void a_producer_stopped_before_counting_its_bytes_costs_no_other_event(void **state) {
    (void)state;
    static uint64_t payload[512];
    struct fixture fixture;
    struct victim victim;
    weir_session *sessions[SESSIONS];
    open_both(&fixture, sessions, true);
    make_victim(&victim, fixture.engine, sessions[0]);
    assert_true(start_victim(&victim, MARK_PUBLISH_CLAIMED, payload, 3 * LARGE));
    publish_numbers(&fixture, sessions[0], RING); /* its cell is replaced, and so taken off */
    assert_int_equal(weir_publish(fixture.producer, sessions[0], 0, payload, LARGE, NULL), WEIR_OK);
    check_replay(sessions[0]);
    let_go(&victim);
    check_replay(sessions[0]);
    for (int i = 0; i < SESSIONS; i++)
        weir_session_release(sessions[i]);
    fixture_close(&fixture);
}

static void every_mark_was_met(void **state) {
    (void)state;
    for (int at = 0; at < MARK_PUBLISH_COUNT; at++)
        if (stop.met[at] == 0) fail_msg("no producer was stopped at %s", mark_names[at]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_producer_stopped_anywhere_delays_nobody),
        cmocka_unit_test(a_producer_stopped_anywhere_delays_nobody_on_a_refusing_session),
        cmocka_unit_test(a_producer_stopped_anywhere_in_a_first_publish_delays_nobody),
        cmocka_unit_test(a_producer_stopped_anywhere_with_a_large_event_delays_nobody),
        cmocka_unit_test(a_producer_that_was_there_before_stopped_anywhere_delays_nobody),
        cmocka_unit_test(a_producer_that_others_have_overtaken_stopped_anywhere_delays_nobody),
        cmocka_unit_test(a_producer_that_replaces_a_large_event_stopped_anywhere_delays_nobody),
        cmocka_unit_test(a_producer_stopped_before_counting_its_bytes_costs_no_other_event),
        cmocka_unit_test(every_mark_was_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
