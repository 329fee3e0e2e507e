/* What counts as life of a session, whom the sweep may end, and when: the rules that can be set. */
#include "support.h"

#define TTL_MS 10000u

static void open_with(struct fixture *fixture, uint32_t activity, weir_idle_scope scope) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    config.idle_ttl_ms = TTL_MS;
    config.rules.activity = activity;
    config.rules.idle_scope = scope;
    fixture_open(fixture, &config);
}

static void pass_ms(struct fixture *fixture, uint64_t ms) {
    fake_clock_advance(&fixture->clock, fixture->engine, ms);
}

/* ---- C-06 ----------------------------------------------------------------------------------------------------- */

static void c_06_the_idle_sweep_spares_sessions_with_a_consumer_or_does_not(void **state) {
    (void)state;
    for (int scope = WEIR_IDLE_DETACHED; scope <= WEIR_IDLE_ALL; scope++) {
        struct fixture fixture;
        struct listener attached;
        int all = scope == WEIR_IDLE_ALL;
        open_with(&fixture, WEIR_ACTIVE_CREATE, (weir_idle_scope)scope);
        listener_attach(&fixture, &attached, "attached", 4);
        weir_session *subscribed = fixture_session(&fixture, "subscribed");
        weir_cursor cursor = subscribe(subscribed, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        weir_session_release(fixture_session(&fixture, "alone"));
        pass_ms(&fixture, TTL_MS);
        struct swept swept = sweep_for(&fixture, WEIR_SWEEP_IDLE, 0);
        assert_int_equal(swept.count, all ? 3 : 1);
        assert_true(was_swept(&swept, "alone", WEIR_ENDED_EXPIRED));
        assert_int_equal(was_swept(&swept, "attached", WEIR_ENDED_EXPIRED), all);
        assert_int_equal(was_swept(&swept, "subscribed", WEIR_ENDED_EXPIRED), all);
        if (all) expect_over(&attached, WEIR_END, WEIR_ENDED_EXPIRED);
        if (!all) expect_nothing(&attached);
        weir_unsubscribe(subscribed, &cursor);
        weir_session_release(subscribed);
        listener_leave(&attached);
        fixture_close(&fixture);
    }
}

/* A limit of age, tested first, ends a session whatever it does and whoever is there. */
static void c_06_an_absolute_limit_ends_sessions_with_consumers_too(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener attached;
    weir_config config = WEIR_CONFIG_INIT;
    config.absolute_ttl_ms = TTL_MS;
    fixture_open(&fixture, &config);
    listener_attach(&fixture, &attached, "s", 4);
    pass_ms(&fixture, TTL_MS - 1);
    send_number(&fixture, "s", 1);
    assert_int_equal(sweep_for(&fixture, 0, 0).count, 0);
    pass_ms(&fixture, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 0).count, 0);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_ABSOLUTE, 0).count, 1);
    expect_number(attached.session, &attached.cursor, 1);
    expect_over(&attached, WEIR_END, WEIR_ENDED_EXPIRED);
    listener_leave(&attached);
    fixture_close(&fixture);
}

/* ---- C-07 ----------------------------------------------------------------------------------------------------- */

enum act { ACT_ATTACH, ACT_DETACH, ACT_SEND, ACT_LOOKUP, ACT_REPLAY, ACT_ASK, ACT_COUNT };

/* The bit that each of them is life under; 0 for what never is. */
static const uint32_t bit_of[ACT_COUNT] = {
    WEIR_ACTIVE_ATTACH, WEIR_ACTIVE_DETACH, WEIR_ACTIVE_SEND, WEIR_ACTIVE_LOOKUP, 0, 0};

struct scene {
    struct fixture fixture;
    struct listener listener; /* attached from the start when the act is its detaching */
    weir_session *session;
    weir_cursor second;
};

static void perform(struct scene *scene, enum act act) {
    const weir_subscription oldest = {.start = WEIR_START_OLDEST};
    weir_attachment_info info;
    weir_cursor cursor;
    weir_gap gap;
    switch (act) {
    case ACT_ATTACH:
        assert_int_equal(weir_attach(scene->session, NULL, &scene->second, &gap), WEIR_OK); /* by handle: no lookup */
        break;
    case ACT_DETACH:
        assert_int_equal(weir_detach(scene->session, scene->listener.cursor.generation), WEIR_OK);
        break;
    case ACT_SEND:
        send_number(&scene->fixture, "s", 1);
        break;
    case ACT_LOOKUP:
        weir_session_release(find(&scene->fixture, "s"));
        break;
    case ACT_REPLAY:
        assert_int_equal(weir_replay(scene->session, &oldest, &cursor, &gap), WEIR_OK);
        expect_status(scene->session, &cursor, WEIR_EMPTY);
        break;
    case ACT_ASK:
        (void)weir_attachment_get(scene->session, &info);
        (void)info_of(scene->session);
        (void)stats_of(scene->fixture.engine);
        break;
    case ACT_COUNT:
        break;
    }
}

/* Whether the session lives on for as long again as after its creation when `act` comes halfway. */
static int is_life(uint32_t activity, enum act act) {
    struct scene scene;
    memset(&scene, 0, sizeof(scene));
    open_with(&scene.fixture, activity, WEIR_IDLE_ALL);
    scene.session = fixture_session(&scene.fixture, "s");
    if (act == ACT_DETACH) listener_attach(&scene.fixture, &scene.listener, "s", 4);
    pass_ms(&scene.fixture, TTL_MS / 2);
    perform(&scene, act);
    pass_ms(&scene.fixture, TTL_MS - 1);
    uint32_t early = sweep_for(&scene.fixture, WEIR_SWEEP_IDLE, 0).count;
    pass_ms(&scene.fixture, 1);
    assert_int_equal(sweep_for(&scene.fixture, WEIR_SWEEP_IDLE, 0).count, 1 - early);
    if (scene.listener.session != NULL) listener_leave(&scene.listener);
    weir_unsubscribe(scene.session, &scene.second);
    weir_session_release(scene.session);
    fixture_close(&scene.fixture);
    return early == 0;
}

/* Each act refreshes a session under its own bit and under no other; replays and questions never do. */
static void c_07_what_counts_as_life_is_chosen_bit_by_bit(void **state) {
    (void)state;
    for (int act = 0; act < ACT_COUNT; act++)
        for (uint32_t bit = WEIR_ACTIVE_ATTACH; bit <= WEIR_ACTIVE_LOOKUP; bit <<= 1) {
            assert_int_equal(is_life(WEIR_ACTIVE_CREATE | bit, (enum act)act), bit_of[act] == bit);
        }
}

/* A stream that is open keeps its session where that counts, and not where it does not (WK-22). */
static void c_07_an_open_stream_counts_where_that_is_the_rule(void **state) {
    (void)state;
    for (int counts = 0; counts <= 1; counts++) {
        struct fixture fixture;
        open_with(&fixture, WEIR_ACTIVE_CREATE | (counts ? WEIR_ACTIVE_STREAM : 0), WEIR_IDLE_ALL);
        weir_session *session = fixture_session(&fixture, "s");
        weir_cursor cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        pass_ms(&fixture, TTL_MS);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 0).count, !counts);
        expect_status(session, &cursor, counts ? WEIR_EMPTY : WEIR_END); /* never left behind without a word */
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- C-26, C-30 ----------------------------------------------------------------------------------------------- */

/* Every limit of time is reached at exactly that time; a token is the one thing that is good up to the end of its last
 * second; and who wants "longer than", as the session server does, passes a second more. */
static void c_26_limits_include_their_last_moment_and_tokens_their_last_second(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    const uint64_t max_idle_s = 60;
    weir_subscription how = from_now(&fixture, 4);
    how.token_expiry_s = wall_s(&fixture) + max_idle_s + 1;
    assert_int_equal(listener_attach_as(&fixture, &listener, "s", &how), WEIR_OK);
    advance_s(&fixture, max_idle_s);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, (max_idle_s + 1) * 1000).count, 0);
    advance_s(&fixture, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
    pass_ms(&fixture, 999 - fixture.clock.now_ms % 1000);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, (max_idle_s + 1) * 1000).count, 1);
    listener_leave(&listener);
    assert_int_equal(listener_attach_as(&fixture, &listener, "s", &how), WEIR_OK);
    pass_ms(&fixture, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 1);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* A lookup takes out what is past its time only where lookups count; elsewhere it waits for the sweep, and is right. */
static void c_30_a_lookup_ends_what_is_past_its_time_or_leaves_it_to_the_sweep(void **state) {
    (void)state;
    for (int counts = 0; counts <= 1; counts++) {
        struct fixture fixture;
        open_with(&fixture, WEIR_ACTIVE_CREATE | (counts ? WEIR_ACTIVE_LOOKUP : 0), WEIR_IDLE_ALL);
        weir_session_release(fixture_session(&fixture, "s"));
        pass_ms(&fixture, TTL_MS);
        assert_int_equal(stats_of(fixture.engine).sessions, 1);
        assert_int_equal(is_known(&fixture, "s"), !counts);
        assert_int_equal(stats_of(fixture.engine).sessions, !counts);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 0).count, !counts);
        assert_int_equal(stats_of(fixture.engine).sessions_expired, 1); /* either way */
        fixture_close(&fixture);
    }
}

/* ---- WK-07 ---------------------------------------------------------------------------------------------------- */

/* A session that nobody listens to, and that is sent to for ever, ends where sends do not count as its life; and however
 * many names are reserved, there is a bound to them. */
static void wk_07_sends_to_nobody_need_not_keep_a_session(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *session;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 2;
    config.idle_ttl_ms = TTL_MS;
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_DETACH | WEIR_ACTIVE_STREAM;
    fixture_open(&fixture, &config);
    assert_int_equal(pre_register(&fixture, "a"), 1);
    assert_int_equal(pre_register(&fixture, "b"), 1);
    assert_int_equal(weir_session_open(fixture.engine, "c", 1, WEIR_OPEN_RESERVE, &session, NULL),
                     WEIR_SESSIONS_LIMIT);
    for (uint64_t sequence = 1; sequence <= 10; sequence++) {
        send_number(&fixture, "a", sequence);
        pass_ms(&fixture, TTL_MS / 10);
    }
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 0).count, 2);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c_06_the_idle_sweep_spares_sessions_with_a_consumer_or_does_not),
        cmocka_unit_test(c_06_an_absolute_limit_ends_sessions_with_consumers_too),
        cmocka_unit_test(c_07_what_counts_as_life_is_chosen_bit_by_bit),
        cmocka_unit_test(c_07_an_open_stream_counts_where_that_is_the_rule),
        cmocka_unit_test(c_26_limits_include_their_last_moment_and_tokens_their_last_second),
        cmocka_unit_test(c_30_a_lookup_ends_what_is_past_its_time_or_leaves_it_to_the_sweep),
        cmocka_unit_test(wk_07_sends_to_nobody_need_not_keep_a_session),
    };
    return RUN_TESTS(argc, argv, tests);
}
