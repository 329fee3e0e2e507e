/* Attaching, publishing and sweeping at full speed on one name: whatever comes between what, each consumer has one end,
 * the newest attachment is the one that stays, and each eviction is one producer's. SES-19, SES-20, BKP-12, BKP-13, RPL-25, WK-14. */
#include "support.h"

#include <pthread.h>
#include <sched.h>

#include <weir_channel.h>

#include "engine/stress.h"

#define SENDERS   2u
#define ATTACHERS 3u

struct shared {
    weir_engine *engine;
    uint64_t rounds;
    atomic_u64 evictions;
    atomic_u64 terminations;
    atomic_u64 attached;
    atomic_u32 attaching; /* attachers that are not done */
};

static void *run_sender(void *context) {
    struct shared *shared = (struct shared *)context;
    const weir_message message = {.data = "x", .length = 1};
    weir_producer *producer;
    REQUIRE(weir_producer_create(shared->engine, &producer) == WEIR_OK);
    while (u32_load_acquire(&shared->attaching) > 0) {
        int status = weir_send(producer, "s", 1, &message, NULL);
        REQUIRE(status == WEIR_OK || status == WEIR_FULL || status == WEIR_EVICTED || status == WEIR_CLOSED ||
                status == WEIR_NOT_FOUND);
        if (status == WEIR_EVICTED) u64_add_relaxed(&shared->evictions, 1);
        if (status == WEIR_NOT_FOUND) sched_yield();
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* Reads for a while; what it gets only ever rises. An end must be one for which this attachment can have ended. */
static void listen_for_a_while(weir_session *session, weir_cursor *cursor, struct random *random) {
    uint64_t last = 0;
    for (uint32_t reads = random_below(random, 40); reads > 0; reads--) {
        char buffer[8];
        weir_event event;
        weir_gap gap;
        if (random_below(random, 4) == 0) sched_yield(); /* or nobody else would come into its life */
        int status = weir_read(session, cursor, buffer, sizeof(buffer), &event, &gap);
        if (status == WEIR_OK) {
            REQUIRE(event.sequence > last);
            last = event.sequence;
        } else if (status != WEIR_EMPTY) {
            REQUIRE(status == WEIR_END || status == WEIR_LAGGED);
            REQUIRE(cursor->ended == WEIR_ENDED_DISPLACED || cursor->ended == WEIR_ENDED_OVERFLOW ||
                    cursor->ended == WEIR_ENDED_PEER || cursor->ended == WEIR_ENDED_TERMINATED);
            return;
        }
    }
}

static void *run_attacher(void *context) {
    struct shared *shared = (struct shared *)context;
    uint64_t user = u64_add_relaxed(&shared->attached, 1);
    struct random random = random_start(1, user);
    for (uint64_t round = 0; round < shared->rounds; round++) {
        weir_session *session;
        weir_cursor cursor;
        weir_gap gap;
        weir_subscription how;
        REQUIRE(weir_session_open(shared->engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL) == WEIR_OK);
        weir_subscription_init(shared->engine, &how);
        how.start = WEIR_START_NOW;
        how.queue_depth = 1 + random_below(&random, 3);
        REQUIRE(weir_attach(session, &how, &cursor, &gap) == WEIR_OK);
        uint64_t generation = cursor.generation;
        weir_session_info info;
        weir_session_info_get(session, &info);
        REQUIRE(info.generation >= generation);
        listen_for_a_while(session, &cursor, &random);
        if (random_below(&random, 8) == 0) weir_detach(session, generation);
        if (random_below(&random, 32) == 0 && weir_session_terminate(session) == WEIR_OK)
            u64_add_relaxed(&shared->terminations, 1);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
    }
    u32_subtract_acq_rel(&shared->attaching, 1);
    return NULL;
}

static void bkp_12_evictions_at_full_speed_are_one_producers_each(void **state) {
    (void)state;
    struct fixture fixture;
    struct shared shared;
    pthread_t senders[SENDERS];
    pthread_t attachers[ATTACHERS];
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    memset(&shared, 0, sizeof(shared));
    shared.engine = fixture.engine;
    shared.rounds = scaled(500);
    u32_store_release(&shared.attaching, ATTACHERS);
    for (uint32_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&senders[i], NULL, run_sender, &shared), 0);
    for (uint32_t i = 0; i < ATTACHERS; i++)
        assert_int_equal(pthread_create(&attachers[i], NULL, run_attacher, &shared), 0);
    for (uint32_t i = 0; i < ATTACHERS; i++)
        pthread_join(attachers[i], NULL);
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    weir_stats stats = stats_of(fixture.engine);
    printf("  %llu sessions, %llu evicted, %llu with their peer, %llu displaced\n",
           (unsigned long long)stats.sessions_created, (unsigned long long)stats.evicted_overflow,
           (unsigned long long)stats.evicted_peer, (unsigned long long)stats.displaced);
    /* One caller for each session that ended so; one that was terminated in the middle of its eviction has ended so. */
    uint64_t evictions = u64_load_relaxed(&shared.evictions);
    assert_in_range(evictions - stats.evicted_overflow, 0, u64_load_relaxed(&shared.terminations));
    assert_int_equal(stats.subscribers, 0);
    assert_int_equal(stats.sessions_created, stats.sessions_ended + stats.sessions);
    fixture_close(&fixture);
}

/* ---- Attaching at once -------------------------------------------------------------------------------------------- */

struct rival {
    pthread_t thread;
    pthread_barrier_t *barrier;
    weir_session *session;
    weir_cursor cursor;
    uint64_t rounds;
};

static void *run_rival(void *context) {
    struct rival *rival = (struct rival *)context;
    for (uint64_t round = 0; round < rival->rounds; round++) {
        weir_gap gap;
        pthread_barrier_wait(rival->barrier);
        REQUIRE(weir_attach(rival->session, NULL, &rival->cursor, &gap) == WEIR_OK);
        pthread_barrier_wait(rival->barrier);
        weir_attachment_info info;
        char buffer[8];
        weir_event event;
        REQUIRE(weir_attachment_get(rival->session, &info) == WEIR_OK);
        REQUIRE(info.generation >= rival->cursor.generation);
        int status = weir_read(rival->session, &rival->cursor, buffer, sizeof(buffer), &event, &gap);
        if (info.generation == rival->cursor.generation)
            REQUIRE(status == WEIR_EMPTY);
        else
            REQUIRE(status == WEIR_END && rival->cursor.ended == WEIR_ENDED_DISPLACED);
        pthread_barrier_wait(rival->barrier);
        weir_unsubscribe(rival->session, &rival->cursor);
    }
    return NULL;
}

/* PRP-04: of all who attach at once one is there, and it is the one with the largest generation; the others are told. */
static void ses_19_of_many_that_attach_at_once_the_largest_generation_stays(void **state) {
    (void)state;
    struct fixture fixture;
    struct rival rivals[ATTACHERS];
    pthread_barrier_t barrier;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, ATTACHERS), 0);
    weir_session *session = fixture_session(&fixture, "s");
    for (uint32_t i = 0; i < ATTACHERS; i++) {
        rivals[i] = (struct rival){.barrier = &barrier, .session = session, .rounds = scaled(100)};
        assert_int_equal(pthread_create(&rivals[i].thread, NULL, run_rival, &rivals[i]), 0);
    }
    for (uint32_t i = 0; i < ATTACHERS; i++)
        pthread_join(rivals[i].thread, NULL);
    assert_int_equal(stats_of(fixture.engine).displaced, (ATTACHERS - 1) * scaled(100));
    assert_int_equal(info_of(session).subscribers, 0);
    pthread_barrier_destroy(&barrier);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- Replaying while the ring is lapped --------------------------------------------------------------------------- */

struct lapper {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    atomic_u32 *quit;
};

static void *run_lapper(void *context) {
    struct lapper *lapper = (struct lapper *)context;
    weir_producer *producer;
    REQUIRE(weir_producer_create(lapper->engine, &producer) == WEIR_OK);
    for (uint64_t i = 0; u32_load_acquire(lapper->quit) == 0; i++) {
        uint64_t text[4] = {i, i * 3, i * 5, i * 7}; /* which tells when it is torn */
        REQUIRE(weir_publish(producer, lapper->session, 0, text, sizeof(text), NULL) == WEIR_OK);
        if (i % 16 == 0) sched_yield();
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* One look back: ascending, whole, nothing twice, nothing missing that is not named; and it comes to an end. */
static void replay_once(weir_session *session) {
    const weir_subscription how = {.start = WEIR_START_OLDEST};
    weir_cursor cursor;
    weir_gap gap;
    REQUIRE(weir_replay(session, &how, &cursor, &gap) == WEIR_OK);
    uint64_t next = cursor.next;
    for (;;) {
        uint64_t text[4];
        weir_event event;
        int status = weir_read(session, &cursor, text, sizeof(text), &event, &gap);
        if (status == WEIR_EMPTY) return;
        REQUIRE(status == WEIR_OK || status == WEIR_GAP);
        if (status == WEIR_GAP) {
            REQUIRE(gap.first == next && gap.last >= gap.first);
            next = gap.last + 1;
            continue;
        }
        REQUIRE(event.sequence == next++);
        REQUIRE(text[1] == text[0] * 3 && text[2] == text[0] * 5 && text[3] == text[0] * 7);
    }
}

static void rpl_25_a_replay_has_no_hole_while_the_ring_is_lapped(void **state) {
    (void)state;
    struct fixture fixture;
    struct lapper lappers[SENDERS];
    atomic_u32 quit;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 6;
    fixture_open(&fixture, &config);
    u32_store_relaxed(&quit, 0);
    weir_session *session = fixture_session(&fixture, "s");
    for (uint32_t i = 0; i < SENDERS; i++) {
        lappers[i] = (struct lapper){.engine = fixture.engine, .session = session, .quit = &quit};
        assert_int_equal(pthread_create(&lappers[i].thread, NULL, run_lapper, &lappers[i]), 0);
    }
    for (uint64_t round = 0; round < scaled(2000); round++) {
        replay_once(session);
        if (round % 4 == 0) sched_yield();
    }
    u32_store_release(&quit, 1);
    for (uint32_t i = 0; i < SENDERS; i++)
        pthread_join(lappers[i].thread, NULL);
    assert_true(info_of(session).newest > 100);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- Joining at once ---------------------------------------------------------------------------------------------- */

#define JOINS_MAX 4u

struct joiner {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    uint32_t index;
    uint64_t joined;
    uint64_t refused;
};

static void *run_joiner(void *context) {
    struct joiner *joiner = (struct joiner *)context;
    struct random random = random_start(1, 400 + joiner->index);
    weir_channel *channels[JOINS_MAX];
    for (uint32_t i = 0; i < JOINS_MAX; i++) {
        const char name[] = {(char)('a' + joiner->index), (char)('0' + i)};
        REQUIRE(weir_channel_open(joiner->engine, name, 2, WEIR_OPEN_OR_CREATE, &channels[i], NULL) == WEIR_OK);
    }
    for (uint64_t round = 0; round < scaled(1000); round++) {
        weir_channel *channel = channels[random_below(&random, JOINS_MAX)];
        weir_refusal refusal;
        weir_session_info info;
        int status = weir_channel_join(channel, joiner->session, &refusal);
        REQUIRE(status == WEIR_OK || (status == WEIR_JOINS_LIMIT && refusal.limit == JOINS_MAX));
        joiner->joined += status == WEIR_OK;
        joiner->refused += status != WEIR_OK;
        weir_session_info_get(joiner->session, &info);
        REQUIRE(info.channels <= JOINS_MAX);
        if (random_below(&random, 2) == 0) sched_yield();
        if (random_below(&random, 3) != 0) weir_channel_leave(channel, joiner->session);
    }
    for (uint32_t i = 0; i < JOINS_MAX; i++) {
        weir_channel_leave(channels[i], joiner->session);
        weir_channel_release(channels[i]);
    }
    return NULL;
}

/* A place is taken before it is used: however many join one session at once, its limit holds at every moment. */
static void wk_14_a_limit_of_channels_holds_when_many_join_at_once(void **state) {
    (void)state;
    struct fixture fixture;
    struct joiner joiners[ATTACHERS];
    uint64_t refused = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_channels = JOINS_MAX;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (uint32_t i = 0; i < ATTACHERS; i++) {
        joiners[i] = (struct joiner){.engine = fixture.engine, .session = session, .index = i};
        assert_int_equal(pthread_create(&joiners[i].thread, NULL, run_joiner, &joiners[i]), 0);
    }
    for (uint32_t i = 0; i < ATTACHERS; i++) {
        pthread_join(joiners[i].thread, NULL);
        assert_true(joiners[i].joined > 0);
        refused += joiners[i].refused;
    }
    assert_true(refused > 0);
    assert_int_equal(info_of(session).channels, 0);
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    assert_int_equal(stats_of(fixture.engine).channels, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bkp_12_evictions_at_full_speed_are_one_producers_each),
        cmocka_unit_test(ses_19_of_many_that_attach_at_once_the_largest_generation_stays),
        cmocka_unit_test(rpl_25_a_replay_has_no_hole_while_the_ring_is_lapped),
        cmocka_unit_test(wk_14_a_limit_of_channels_holds_when_many_join_at_once),
    };
    return RUN_TESTS(argc, argv, tests);
}
