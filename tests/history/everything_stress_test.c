/* All that the engine allows at once, at once: publishes of every kind, broadcasts, memberships, subscribers of every
 * policy, attached consumers that displace each other, a poller that sleeps, a consumer with feeds, sweeps under a running
 * clock, ends by handle, by name and by shut-down, owners, statistics and a quota. Each payload says who sent it, where to
 * and which of that sender's it is, under a checksum, and every reader checks all of it: whole, in order, meant for this
 * life of this session, without a hole that is not named. At rest nothing is left over.
 *
 * WEIR_TEST_SCALE multiplies the rounds; WEIR_TEST_SEED repeats the dice. */
#include <stdio.h>

#include "engine/prelude.h"
#include "storm.h"
#include "support/random.h"
#include "team.h"

static const struct {
    void *(*run)(void *context);
    uint32_t count;
} parts[] = {
    {storm_write, STORM_WRITERS},
    {storm_tangle, 1},
    {storm_subscribe, 2},
    {storm_attach, 2},
    {storm_poll, 1},
    {storm_batch, 1},
    {storm_keep, 1},
    {storm_quota, 2},
};

#define ACTORS_MAX 16u

static uint64_t read_now_ns(void *context) {
    return u64_load_relaxed(&((struct storm *)context)->now_ms) * 1000000u;
}

static uint64_t read_wall_ms(void *context) {
    return u64_load_relaxed(&((struct storm *)context)->now_ms);
}

static void open_storm(struct storm *storm, uint64_t seed) {
    weir_config config = WEIR_CONFIG_INIT;
    weir_quota_config quota = WEIR_QUOTA_CONFIG_INIT;
    memset(storm, 0, sizeof(*storm));
    storm->seed = seed;
    storm->rounds = history_scaled(600000);
    u64_store_relaxed(&storm->now_ms, 100000); /* relaxed, like all before the threads begin */
    config.clock = (weir_clock){read_now_ns, read_wall_ms, storm};
    config.allocator = counting_allocator_of(&storm->memory);
    config.max_sessions = 128;
    config.max_subscribers = 64;
    config.replay_capacity = STORM_RING;
    config.max_event_bytes = STORM_LENGTH;
    config.max_session_bytes = 12u << 10; /* less than the ring of the largest: the oldest go first */
    config.idle_ttl_ms = 60;
    config.absolute_ttl_ms = 5000;
    config.sweep_interval_ms = 10;
    config.consumer_ttl_ms = 200;
    config.max_principal_sessions = 2;
    config.max_principal_subscribers = 3;
    config.max_address_subscribers = 3;
    config.rules.heartbeat = WEIR_HEARTBEAT_SEQUENCED;
    assert_int_equal(weir_engine_create(&storm->engine, &config), WEIR_OK);
    quota.allocator = config.allocator;
    assert_int_equal(weir_quota_create(&storm->quota, &quota), WEIR_OK);
    sleeper_open(&storm->sleeper);
}

/* Both are told what there is, and it is nothing. */
static void check_at_rest(struct storm *storm) {
    weir_stats stats;
    weir_engine_stats(storm->engine, &stats);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscribers, 0);
    assert_int_equal(stats.memberships, 0);
    assert_int_equal(stats.channels, 0);
    assert_int_equal(stats.sessions_created, stats.sessions_ended);
    assert_int_equal(stats.published, u64_load_relaxed(&storm->accepted));
    assert_int_equal(weir_quota_count(storm->quota), 0);
    printf("  %llu lives of sessions, %llu swept, %llu displaced, %llu broadcasts, %llu slept through\n",
           (unsigned long long)stats.sessions_created, (unsigned long long)u64_load_relaxed(&storm->swept),
           (unsigned long long)stats.displaced, (unsigned long long)stats.broadcasts,
           (unsigned long long)stats.wakeups);
    printf("  %llu accepted, %llu refused, %llu given up for room; %llu read, %llu in gaps, %llu conflated\n",
           (unsigned long long)stats.published, (unsigned long long)u64_load_relaxed(&storm->refused),
           (unsigned long long)stats.evicted_events, (unsigned long long)u64_load_relaxed(&storm->read),
           (unsigned long long)u64_load_relaxed(&storm->lost),
           (unsigned long long)u64_load_relaxed(&storm->conflated));
}

static void close_storm(struct storm *storm) {
    weir_quota_destroy(storm->quota);
    weir_engine_destroy(storm->engine);
    sleeper_close(&storm->sleeper);
    assert_int_equal(u64_load_relaxed(&storm->memory.outstanding), 0);
    assert_int_equal(u64_load_relaxed(&storm->memory.outstanding_bytes), 0);
}

/* The writers make their rounds, then the engine is shut down under all the others. */
static void everything_at_once_loses_nothing_and_leaves_nothing(void **state) {
    static struct storm storm;
    static struct actor actors[ACTORS_MAX];
    uint32_t count = 0;
    (void)state;
    open_storm(&storm, random_seed());
    for (uint32_t part = 0; part < sizeof(parts) / sizeof(parts[0]); part++)
        for (uint32_t i = 0; i < parts[part].count; i++, count++) {
            assert_true(count < ACTORS_MAX);
            actors[count] = (struct actor){.storm = &storm, .index = i, .random = random_start(storm.seed, count)};
            assert_int_equal(pthread_create(&actors[count].thread, NULL, parts[part].run, &actors[count]), 0);
        }
    for (uint32_t i = 0; i < STORM_WRITERS; i++)
        pthread_join(actors[i].thread, NULL);
    weir_engine_shut_down(storm.engine);
    u32_store_release(&storm.quit, 1);
    sleeper_wake(&storm.sleeper);
    for (uint32_t i = STORM_WRITERS; i < count; i++)
        pthread_join(actors[i].thread, NULL);
    check_at_rest(&storm);
    assert_true(u64_load_relaxed(&storm.read) > 0 && u64_load_relaxed(&storm.batches) > 0);
    assert_true(u64_load_relaxed(&storm.swept) > 0 && u64_load_relaxed(&storm.conflated) > 0);
    assert_true(u64_load_relaxed(&storm.ended) > 0 && u64_load_relaxed(&storm.places) > 0);
    printf(
        "everything_stress: %u threads, %llu events accepted, %llu read and checked, %llu batches, %llu ends told, "
        "%llu places\n",
        count, (unsigned long long)u64_load_relaxed(&storm.accepted),
        (unsigned long long)u64_load_relaxed(&storm.read), (unsigned long long)u64_load_relaxed(&storm.batches),
        (unsigned long long)u64_load_relaxed(&storm.ended), (unsigned long long)u64_load_relaxed(&storm.places));
    close_storm(&storm);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_at_once_loses_nothing_and_leaves_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
