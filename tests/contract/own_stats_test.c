/* Statistics, and the names of what can go wrong: what no test of the other systems asserts. */
#include "support.h"

#define DEPTH 2u

/* ---- Statistics ----------------------------------------------------------------------------------------------- */

struct stage {
    struct fixture fixture;
    weir_config config;
};

static void open_stage(struct stage *stage, weir_policy policy) {
    memset(stage, 0, sizeof(*stage));
    stage->config = (weir_config)WEIR_CONFIG_INIT;
    stage->config.replay_capacity = 8;
    stage->config.queue_depth = 8;
    stage->config.rules.full_action = policy;
    fixture_open(&stage->fixture, &stage->config);
}

/* A detaching consumer: two events have room, one meets a full queue, one nobody any more. */
static void sta_07_what_live_queues_made_of_publishes_is_counted(void **state) {
    (void)state;
    struct stage stage;
    struct listener listener;
    struct listener second;
    open_stage(&stage, WEIR_POLICY_DETACH);
    weir_engine *engine = stage.fixture.engine;
    listener_attach(&stage.fixture, &listener, "s", DEPTH);
    send_numbers(&stage.fixture, "s", 1, 4);
    weir_stats stats = stats_of(engine);
    assert_int_equal(stats.published, 4);
    assert_int_equal(stats.published_bytes, 4 * sizeof(uint64_t));
    assert_int_equal(stats.live_accepted, 2);
    assert_int_equal(stats.live_full, 1);
    assert_int_equal(stats.live_closed, 1);
    assert_int_equal(stats.detached_lagging, 1);
    assert_int_equal(stats.publish_full, 0);
    assert_int_equal(stats.displaced, 0);
    listener_attach(&stage.fixture, &second, "s", DEPTH);
    listener_leave(&listener);
    listener_attach(&stage.fixture, &listener, "s", DEPTH);
    assert_int_equal(stats_of(engine).displaced, 1); /* the second; the first had ended before */
    assert_int_equal(stats_of(engine).subscribers, 1);
    assert_int_equal(stats_of(engine).evicted_overflow, 0);
    listener_leave(&second);
    listener_leave(&listener);
    assert_int_equal(stats_of(engine).subscribers, 0);
    fixture_close(&stage.fixture);
}

/* Each session that ends on account of its consumer counts under its reason, once. */
static void sta_07_sessions_evicted_are_counted_by_reason(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    listener_attach(&fixture, &listener, "overflow", 1);
    assert_int_equal(try_send(&fixture, "overflow", 1, NULL), WEIR_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(try_send(&fixture, "overflow", 2, NULL), WEIR_FULL);
    assert_int_equal(stats_of(fixture.engine).evicted_overflow, 0);
    assert_int_equal(try_send(&fixture, "overflow", 2, NULL), WEIR_EVICTED);
    listener_leave(&listener);

    weir_subscription how = from_now(&fixture, 1);
    how.token_expiry_s = wall_s(&fixture) - 1;
    assert_int_equal(listener_attach_as(&fixture, &listener, "token", &how), WEIR_OK);
    assert_int_equal(try_send(&fixture, "token", 1, NULL), WEIR_TOKEN_EXPIRED);
    listener_leave(&listener);

    listener_attach(&fixture, &listener, "peer", 1);
    weir_unsubscribe(listener.session, &listener.cursor);
    assert_int_equal(try_send(&fixture, "peer", 1, NULL), WEIR_CLOSED);
    listener_leave(&listener);

    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.evicted_overflow, 1);
    assert_int_equal(stats.evicted_token, 1);
    assert_int_equal(stats.evicted_peer, 1);
    assert_int_equal(stats.publish_full, 10);
    assert_int_equal(stats.live_full, 11); /* the one that evicted met a full queue like the others */
    assert_int_equal(stats.sessions_ended, 3);
    assert_int_equal(stats.sessions_expired, 0);
    assert_int_equal(stats.sessions, 0);
    fixture_close(&fixture);
}

/* Replays, gaps, what was lost in them, and bytes that readers took. */
static void sta_07_reading_is_counted(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, WEIR_POLICY_STANDARD);
    weir_engine *engine = stage.fixture.engine;
    weir_session *session = fixture_session(&stage.fixture, "s");
    publish_numbers(&stage.fixture, session, 20);
    const weir_subscription after = {.start = WEIR_START_AFTER, .after = 4};
    assert_int_equal(weir_replay(session, &after, &cursor, &gap), WEIR_GAP);
    assert_int_equal(stats_of(engine).replays, 1);
    assert_int_equal(stats_of(engine).gaps, 1);
    assert_int_equal(stats_of(engine).lost, 8);
    expect_numbers(session, &cursor, 13, 20, WEIR_EMPTY);
    assert_int_equal(stats_of(engine).bytes_read, 8 * sizeof(uint64_t));

    cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, DEPTH, WEIR_OK);
    assert_int_equal(stats_of(engine).replays, 1); /* attaching at the end is none */
    publish_numbers(&stage.fixture, session, 5);
    expect_gap(session, &cursor, 21, 23);
    expect_number(session, &cursor, 24);
    weir_unsubscribe(session, &cursor);
    assert_int_equal(stats_of(engine).gaps, 2);
    assert_int_equal(stats_of(engine).lost, 11);
    assert_int_equal(stats_of(engine).bytes_read, 9 * sizeof(uint64_t));
    cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    assert_int_equal(stats_of(engine).replays, 2);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&stage.fixture);
}

/* Asking for figures changes none of them: no reader of statistics writes any. */
static void sta_07_asking_changes_nothing(void **state) {
    (void)state;
    struct stage stage;
    struct listener listener;
    weir_stats first;
    weir_stats again;
    open_stage(&stage, WEIR_POLICY_DETACH);
    listener_attach(&stage.fixture, &listener, "s", DEPTH);
    send_numbers(&stage.fixture, "s", 1, 4);
    memset(&first, 0, sizeof(first));
    memset(&again, 0xFF, sizeof(again));
    weir_engine_stats(stage.fixture.engine, &first);
    weir_engine_stats(stage.fixture.engine, &again);
    assert_memory_equal(&first, &again, sizeof(first));
    listener_leave(&listener);
    fixture_close(&stage.fixture);
}

/* ---- Identities ----------------------------------------------------------------------------------------------- */

/* Every refusal of the systems that weir stands in for has one status of its own, with a name and a text. */
static void each_identity_has_a_status_of_its_own(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *name;
    } identities[] = {
        {WEIR_INVALID, "WEIR_INVALID"},
        {WEIR_NOT_FOUND, "WEIR_NOT_FOUND"},
        {WEIR_FULL, "WEIR_FULL"},
        {WEIR_EVICTED, "WEIR_EVICTED"},
        {WEIR_CLOSED, "WEIR_CLOSED"},
        {WEIR_TOKEN_EXPIRED, "WEIR_TOKEN_EXPIRED"},
        {WEIR_PEER_GONE, "WEIR_PEER_GONE"},
        {WEIR_TIMEOUT, "WEIR_TIMEOUT"},
        {WEIR_JOINS_LIMIT, "WEIR_JOINS_LIMIT"},
        {WEIR_TRANSACTION, "WEIR_TRANSACTION"},
        {WEIR_CAPACITY_LIMIT, "WEIR_CAPACITY_LIMIT"},
        {WEIR_PRINCIPAL_LIMIT, "WEIR_PRINCIPAL_LIMIT"},
        {WEIR_TENANT_MISMATCH, "WEIR_TENANT_MISMATCH"},
        {WEIR_PRINCIPAL_MISMATCH, "WEIR_PRINCIPAL_MISMATCH"},
    };
    const size_t count = sizeof(identities) / sizeof(identities[0]);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(weir_status_name(identities[i].status), identities[i].name);
        assert_string_not_equal(weir_strerror(identities[i].status), "unknown status");
        for (size_t other = 0; other < i; other++) {
            assert_int_not_equal(identities[i].status, identities[other].status);
            assert_string_not_equal(weir_strerror(identities[i].status), weir_strerror(identities[other].status));
        }
    }
}

/* A result says the same thing wherever it comes from: each send in one session's life, from unknown to gone. */
static void identities_of_a_send_follow_the_life_of_its_session(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_NOT_FOUND);
    assert_int_equal(try_send(&fixture, "", 1, NULL), WEIR_INVALID);
    weir_subscription how = from_now(&fixture, 1);
    how.full_consecutive_max = 1;
    how.full_total_max = 0;
    assert_int_equal(listener_attach_as(&fixture, &listener, "s", &how), WEIR_OK);
    assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_OK);
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_FULL);
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_EVICTED);
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_NOT_FOUND);
    const weir_message message = {.data = "x", .length = 1};
    assert_int_equal(weir_offer(fixture.producer, listener.session, &message, NULL), WEIR_CLOSED);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_NOT_FOUND);
    listener_leave(&listener);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sta_07_what_live_queues_made_of_publishes_is_counted),
        cmocka_unit_test(sta_07_sessions_evicted_are_counted_by_reason),
        cmocka_unit_test(sta_07_reading_is_counted),
        cmocka_unit_test(sta_07_asking_changes_nothing),
        cmocka_unit_test(each_identity_has_a_status_of_its_own),
        cmocka_unit_test(identities_of_a_send_follow_the_life_of_its_session),
    };
    return RUN_TESTS(argc, argv, tests);
}
