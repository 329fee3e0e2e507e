/* Sessions that begin and end at full speed, under publishers, readers, lookups and the sweep. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

#include "stamp.h"
#include "stress.h"

static uint64_t seed;

/* ---- Churn ---------------------------------------------------------------------------------------------------- */

#define CHURNERS     4u
#define CHURN_NAMES  5u
#define CHURN_PLACES 4u

struct churner {
    pthread_t thread;
    weir_engine *engine;
    uint32_t index;
    uint64_t rounds;
    uint64_t opened;
    uint64_t accepted;
    uint64_t closed;
};

/* Publishes a few events that carry the epoch of the life they belong to; others may end it at any time. */
static void publish_into_life(struct churner *churner, weir_producer *producer, weir_session *session,
                              struct random *random) {
    struct stamp stamp = {.epoch = info_of(session).epoch, .producer = churner->index};
    for (uint32_t i = random_below(random, 6); i > 0; i--) {
        stamp.number = i;
        stamp_seal(&stamp, sizeof(stamp));
        int status = weir_publish(producer, session, 0, &stamp, sizeof(stamp), NULL);
        REQUIRE(status == WEIR_OK || status == WEIR_CLOSED);
        churner->accepted += status == WEIR_OK;
        churner->closed += status == WEIR_CLOSED;
    }
}

/* Whatever is read is whole, of this life, and without a hole that is not named. */
static void read_life(weir_session *session, uint32_t most) {
    union {
        struct stamp stamp;
        char room[256];
    } buffer;
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    weir_session_info info = info_of(session);
    REQUIRE(weir_subscribe(session, NULL, &cursor, &gap) == WEIR_OK);
    uint64_t next = cursor.next;
    while (most-- > 0) {
        int status = weir_read(session, &cursor, &buffer, sizeof(buffer), &event, &gap);
        if (status == WEIR_EMPTY || status == WEIR_END) break;
        REQUIRE(status == WEIR_OK || status == WEIR_GAP);
        if (status == WEIR_GAP) {
            REQUIRE(gap.first == next);
            next = gap.last + 1;
            continue;
        }
        REQUIRE(event.sequence == next++);
        REQUIRE(stamp_is_whole(&buffer.stamp, event.length) && buffer.stamp.epoch == info.epoch);
    }
    weir_unsubscribe(session, &cursor);
}

static void *run_churner(void *context) {
    static const char *const names[CHURN_NAMES] = {"a", "b", "c", "d", "e"};
    struct churner *churner = (struct churner *)context;
    struct random random = random_start(seed, 200 + churner->index);
    weir_producer *producer;
    REQUIRE(weir_producer_create(churner->engine, &producer) == WEIR_OK);
    for (uint64_t round = 0; round < churner->rounds; round++) {
        const char *name = names[random_below(&random, CHURN_NAMES)];
        weir_session *session;
        int created;
        weir_engine_tick(churner->engine);
        int status = weir_session_open(churner->engine, name, 1, WEIR_OPEN_OR_CREATE, &session, &created);
        REQUIRE(status == WEIR_OK || status == WEIR_SESSIONS_LIMIT);
        if (status != WEIR_OK) continue;
        churner->opened++;
        weir_session_info info = info_of(session);
        REQUIRE(info.name_length == 1 && info.name[0] == name[0]);
        if (random_below(&random, 2) == 0) publish_into_life(churner, producer, session, &random);
        if (random_below(&random, 4) == 0) read_life(session, 20);
        if (random_below(&random, 2) == 0) weir_session_terminate(session);
        weir_session_release(session);
        if (churner->index == 0 && round % 16 == 0) weir_engine_sweep(churner->engine, CHURN_PLACES);
    }
    weir_producer_destroy(producer);
    return NULL;
}

static void end_what_is_left(struct fixture *fixture) {
    for (char name = 'a'; name <= 'e'; name++) {
        weir_session *session;
        if (weir_session_open(fixture->engine, &name, 1, WEIR_OPEN_EXISTING, &session, NULL) != WEIR_OK) continue;
        weir_session_terminate(session);
        weir_session_release(session);
    }
}

/* Few names and fewer places: names are created, ended and swept while others find them, and each life's memory is
 * soon another's. */
static void lives_that_begin_and_end_at_full_speed_never_mix(void **state) {
    (void)state;
    struct fixture fixture;
    struct churner churners[CHURNERS];
    uint64_t accepted = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = CHURN_PLACES;
    config.replay_capacity = 4;
    config.idle_ttl_ms = 1;
    fixture_open(&fixture, &config);
    for (uint32_t i = 0; i < CHURNERS; i++) {
        churners[i] = (struct churner){.engine = fixture.engine, .index = i, .rounds = scaled(5000)};
        assert_int_equal(pthread_create(&churners[i].thread, NULL, run_churner, &churners[i]), 0);
    }
    for (uint32_t i = 0; i < CHURNERS; i++) {
        pthread_join(churners[i].thread, NULL);
        accepted += churners[i].accepted;
        printf("  thread %u: %llu opened, %llu accepted, %llu closed\n", i, (unsigned long long)churners[i].opened,
               (unsigned long long)churners[i].accepted, (unsigned long long)churners[i].closed);
    }
    end_what_is_left(&fixture);
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscribers, 0);
    assert_int_equal(stats.sessions_created, stats.sessions_ended);
    assert_int_equal(stats.published, accepted);
    printf("  %llu lives\n", (unsigned long long)stats.sessions_created);
    for (uint32_t i = 0; i < CHURN_PLACES; i++) {
        char name[] = {'z', (char)('0' + i), 0};
        weir_session_release(fixture_session(&fixture, name)); /* every place is free again */
    }
    fixture_close(&fixture);
}

/* ---- The sweep against subscribers ---------------------------------------------------------------------------- */

struct visitor {
    pthread_t thread;
    weir_engine *engine;
    uint64_t rounds;
    uint64_t stayed;
    uint64_t too_late;
    atomic_u32 done;
};

/* Attached to a session that has not ended, it must not see it end: only the sweep ends sessions here. */
static void visit(struct visitor *visitor, weir_session *session) {
    weir_cursor cursor;
    weir_gap gap;
    REQUIRE(weir_subscribe(session, NULL, &cursor, &gap) == WEIR_OK);
    if (info_of(session).ended != WEIR_ENDED_NOT) {
        visitor->too_late++;
    } else {
        for (int i = 0; i < 3; i++) {
            sched_yield();
            REQUIRE(info_of(session).ended == WEIR_ENDED_NOT);
        }
        visitor->stayed++;
    }
    weir_unsubscribe(session, &cursor);
}

static void *run_visitor(void *context) {
    struct visitor *visitor = (struct visitor *)context;
    struct random random = random_start(seed, 300);
    weir_producer *producer;
    REQUIRE(weir_producer_create(visitor->engine, &producer) == WEIR_OK);
    for (uint64_t round = 0; round < visitor->rounds; round++) {
        weir_session *session;
        REQUIRE(weir_session_open(visitor->engine, "inn", 3, WEIR_OPEN_OR_CREATE, &session, NULL) == WEIR_OK);
        if (random_below(&random, 2) == 0) weir_publish(producer, session, 0, "x", 1, NULL);
        for (uint32_t spin = random_below(&random, 300); spin > 0; spin--)
            __asm__ volatile("");
        visit(visitor, session);
        weir_session_release(session);
    }
    weir_producer_destroy(producer);
    u32_store_release(&visitor->done, 1);
    return NULL;
}

/* TTL-02, TTL-04: a subscriber that is attached keeps its session, whenever it came. */
static void a_sweep_never_ends_a_session_under_a_subscriber(void **state) {
    (void)state;
    struct fixture fixture;
    struct visitor visitor;
    weir_config config = WEIR_CONFIG_INIT;
    uint64_t swept = 0;
    config.idle_ttl_ms = 1;
    config.replay_capacity = 2;
    fixture_open(&fixture, &config);
    memset(&visitor, 0, sizeof(visitor));
    visitor.engine = fixture.engine;
    visitor.rounds = scaled(2000);
    assert_int_equal(pthread_create(&visitor.thread, NULL, run_visitor, &visitor), 0);
    while (u32_load_acquire(&visitor.done) == 0) {
        fake_clock_advance(&fixture.clock, fixture.engine, 1);
        swept += weir_engine_sweep(fixture.engine, 8);
    }
    pthread_join(visitor.thread, NULL);
    printf("  %llu stayed, %llu came too late, %llu swept\n", (unsigned long long)visitor.stayed,
           (unsigned long long)visitor.too_late, (unsigned long long)swept);
    assert_true(visitor.stayed > 0 && swept > 0);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_that_begin_and_end_at_full_speed_never_mix),
        cmocka_unit_test(a_sweep_never_ends_a_session_under_a_subscriber),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
