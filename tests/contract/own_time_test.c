/* Tokens, lifetimes and clocks: what no test of the other systems asserts. */
#include "support.h"

#include <stdio.h>
#include <time.h>

#include "notices.h"

/* A clock with two hands that can be set apart, and that counts how often it is asked. */
struct two_hands {
    uint64_t now_ms;
    uint64_t wall_ms;
    uint64_t asked;
};

static uint64_t read_now_ns(void *context) {
    struct two_hands *clock = (struct two_hands *)context;
    clock->asked++;
    return clock->now_ms * 1000000;
}

static uint64_t read_wall_ms(void *context) {
    struct two_hands *clock = (struct two_hands *)context;
    clock->asked++;
    return clock->wall_ms;
}

#define START_MS      5000u
#define WALL_START_MS 1234567890123u

/* An engine on that clock, in the place of the fixture's own. */
static void open_on_two_hands(struct fixture *fixture, struct two_hands *clock, weir_config config) {
    memset(fixture, 0, sizeof(*fixture));
    *clock = (struct two_hands){START_MS, WALL_START_MS, 0};
    config.clock = (weir_clock){read_now_ns, read_wall_ms, clock};
    config.allocator = counting_allocator_of(&fixture->memory);
    if (config.max_sessions == 0) config.max_sessions = 256;
    assert_int_equal(weir_engine_create(&fixture->engine, &config), WEIR_OK);
    assert_int_equal(weir_producer_create(fixture->engine, &fixture->producer), WEIR_OK);
}

/* Moves one hand, and the other by the least that can be seen. */
static void set_wall(struct fixture *fixture, struct two_hands *clock, uint64_t wall_ms) {
    clock->wall_ms = wall_ms;
    clock->now_ms += 1;
    weir_engine_tick(fixture->engine);
}

static void pass_ms(struct fixture *fixture, struct two_hands *clock, uint64_t ms) {
    clock->now_ms += ms;
    weir_engine_tick(fixture->engine);
}

static int attach_with_token(struct fixture *fixture, struct listener *listener, const char *name,
                             uint64_t expiry_s) {
    weir_subscription how = from_now(fixture, 4);
    how.token_expiry_s = expiry_s;
    return listener_attach_as(fixture, listener, name, &how);
}

/* ---- Tokens --------------------------------------------------------------------------------------------------- */

/* C-08: the consumer is told that its token has expired by whoever finds it: a publish as well as the sweep. */
static void tok_05_the_publish_that_finds_an_expired_token_tells_its_consumer(void **state) {
    (void)state;
    for (int by_sweep = 0; by_sweep <= 1; by_sweep++) {
        struct fixture fixture;
        struct listener listener;
        weir_config config = WEIR_CONFIG_INIT;
        system_open(&fixture, WEIR_PRESET_REALTIME, config);
        assert_int_equal(attach_with_token(&fixture, &listener, "s", wall_s(&fixture)), WEIR_OK);
        assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_OK); /* still the second that it ends with */
        advance_s(&fixture, 1);
        if (by_sweep)
            assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 1);
        else
            assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_TOKEN_EXPIRED);
        assert_false(is_known(&fixture, "s"));
        expect_number(listener.session, &listener.cursor, 1);
        expect_over(&listener, WEIR_END, WEIR_ENDED_TOKEN);
        assert_int_equal(stats_of(fixture.engine).evicted_token, 1);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* C-10: an expired token ends the session, means nothing, or is told while the stream goes on. */
static void tok_13_a_stream_may_outlive_its_token_with_a_notice(void **state) {
    (void)state;
    const weir_token_policy policies[] = {WEIR_TOKEN_EVICT, WEIR_TOKEN_IGNORE, WEIR_TOKEN_CONTINUE};
    for (int p = 0; p < 3; p++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        int ends = policies[p] == WEIR_TOKEN_EVICT;
        weir_config config = WEIR_CONFIG_INIT;
        config.rules.token_policy = policies[p];
        config.observer = notices_observer(&notices);
        fixture_open(&fixture, &config);
        assert_int_equal(attach_with_token(&fixture, &listener, "s", wall_s(&fixture)), WEIR_OK);
        advance_s(&fixture, 1);
        for (uint64_t sequence = 1; sequence <= 3; sequence++) {
            int status = try_send(&fixture, "s", sequence, NULL);
            int ended = sequence == 1 ? WEIR_TOKEN_EXPIRED : WEIR_NOT_FOUND;
            assert_int_equal(status, ends ? ended : WEIR_OK);
        }
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_TOKEN_EXPIRED, "s"), policies[p] == WEIR_TOKEN_CONTINUE);
        if (ends)
            expect_over(&listener, WEIR_END, WEIR_ENDED_TOKEN);
        else
            expect_live(&listener, 1, 3);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* ---- Lifetimes ------------------------------------------------------------------------------------------------ */

/* C-26: a session is past its time at exactly that time, by either limit; and times that no clock reaches never come, for
 * sums saturate. */
static void ttl_10_lifetimes_are_inclusive_and_saturate(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.idle_ttl_ms = WEIR_NONE;
    config.absolute_ttl_ms = 70000;
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_LOOKUP;
    fixture_open(&fixture, &config);
    weir_session_release(fixture_session(&fixture, "s"));
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 1ull << 53).count, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 69999);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 1ull << 53).count, 0);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 70000).count, 0);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_ABSOLUTE, 0).count, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_ABSOLUTE, 0).count, 1);
    weir_session_release(fixture_session(&fixture, "t"));
    fake_clock_advance(&fixture.clock, fixture.engine, 4999);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 5000).count, 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 5000).count, 1);
    fixture_close(&fixture);
}

/* C-20: a schedule does not fire at once, and fires once however many times were missed. */
static void ttl_17_a_first_tick_comes_an_interval_late_and_missed_ones_never(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t next_ms;
    weir_config config = WEIR_CONFIG_INIT;
    config.sweep_interval_ms = 1000;
    config.idle_ttl_ms = 1;
    fixture_open(&fixture, &config);
    weir_session_release(fixture_session(&fixture, "a"));
    assert_int_equal(weir_engine_maintain(fixture.engine, 100, &next_ms), 0);
    assert_int_equal(next_ms, 1000);
    fake_clock_advance(&fixture.clock, fixture.engine, 999);
    assert_int_equal(weir_engine_maintain(fixture.engine, 100, &next_ms), 0);
    assert_int_equal(next_ms, 1);
    fake_clock_advance(&fixture.clock, fixture.engine, 10 * 1000 + 500); /* ten are missed */
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 1);
    assert_true(next_ms > 0 && next_ms <= 1000);
    weir_session_release(fixture_session(&fixture, "b"));
    for (uint32_t waited = 0; waited + 1 < next_ms; waited++) {
        uint32_t left;
        fake_clock_advance(&fixture.clock, fixture.engine, 1);
        assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &left), 0);
        assert_int_equal(left, next_ms - waited - 1);
    }
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 1);
    fixture_close(&fixture);
}

/* A sweep of many places takes as many calls as its budget says, each of them bounded; between them it is due at once, and
 * after the last one an interval later. */
static void ttl_18_a_sweep_works_in_slices(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t next_ms = 0;
    uint32_t ended = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 64;
    config.sweep_interval_ms = 1000;
    config.idle_ttl_ms = 1;
    fixture_open(&fixture, &config);
    for (int i = 0; i < 40; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        weir_session_release(fixture_session(&fixture, name));
    }
    fake_clock_advance(&fixture.clock, fixture.engine, 1000);
    while (ended < 40) {
        uint32_t more = weir_engine_maintain(fixture.engine, 4, &next_ms);
        assert_true(more <= 4);
        ended += more;
        if (ended < 40) assert_int_equal(next_ms, 0);
    }
    while (next_ms == 0)
        assert_int_equal(weir_engine_maintain(fixture.engine, 4, &next_ms), 0);
    assert_int_equal(next_ms, 1000);
    fixture_close(&fixture);
}

/* WK-22: what a lookup gave stays good, whatever becomes of the session: its reader gets what was kept, and then why it
 * ended; its place and its memory are somebody else's only when the last holder has left. */
static void ttl_19_a_handle_outlives_the_session(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *other;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 1;
    config.idle_ttl_ms = 1000;
    config.rules.idle_scope = WEIR_IDLE_ALL;
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_SEND;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    weir_session *held = find(&fixture, "s");
    weir_session_release(session);
    weir_cursor stream = subscribe(held, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    publish_numbers(&fixture, held, 5);
    expect_number(held, &stream, 1);
    fake_clock_advance(&fixture.clock, fixture.engine, 1000);
    assert_int_equal(sweep_for(&fixture, 0, 0).count, 1);
    assert_false(is_known(&fixture, "s")); /* out of everybody's sight at once */
    assert_int_equal(weir_session_open(fixture.engine, "t", 1, WEIR_OPEN_OR_CREATE, &other, NULL),
                     WEIR_SESSIONS_LIMIT);
    assert_int_equal(weir_publish(fixture.producer, held, 0, "x", 1, NULL), WEIR_CLOSED);
    assert_memory_equal(info_of(held).name, "s", 1);
    expect_numbers(held, &stream, 2, 5, WEIR_END);
    assert_int_equal(stream.ended, WEIR_ENDED_EXPIRED);
    weir_unsubscribe(held, &stream);
    weir_session_release(held);
    assert_int_equal(weir_session_open(fixture.engine, "t", 1, WEIR_OPEN_OR_CREATE, &other, NULL), WEIR_OK);
    weir_session_release(other);
    fixture_close(&fixture);
}

/* ---- Clocks --------------------------------------------------------------------------------------------------- */

/* Two engines that were given no clock look at the same one: the system's. */
static void clk_03_without_a_clock_of_its_own_every_engine_has_the_systems(void **state) {
    (void)state;
    weir_engine *engines[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(weir_engine_create(&engines[i], NULL), WEIR_OK);
    const weir_clock *one = &weir_engine_config(engines[0])->clock;
    const weir_clock *two = &weir_engine_config(engines[1])->clock;
    assert_true(one->now_ns == two->now_ns && one->wall_ms == two->wall_ms);
    uint64_t before = one->now_ns(one->context);
    assert_true(before <= two->now_ns(two->context));
    uint64_t seconds = (uint64_t)time(NULL);
    uint64_t wall_ms = two->wall_ms(two->context);
    assert_true(wall_ms / 1000 >= seconds && wall_ms / 1000 <= (uint64_t)time(NULL));
    for (int i = 0; i < 2; i++)
        weir_engine_destroy(engines[i]);
}

/* Every date that weir tells or acts on is a reading of that one function, in milliseconds. */
static void clk_04_all_wall_time_comes_from_one_function(void **state) {
    (void)state;
    struct fixture fixture;
    struct two_hands clock;
    struct listener listener;
    weir_attachment_info info;
    weir_config config = WEIR_CONFIG_INIT;
    open_on_two_hands(&fixture, &clock, config);
    weir_session *session;
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, NULL, &session, NULL), WEIR_OK);
    assert_int_equal(info_of(session).created_wall_ms, WALL_START_MS);
    assert_memory_equal(info_of(session).name, "011f71fb-04cb-7", 15); /* the same, in hex */
    weir_session_release(session);
    assert_int_equal(attach_with_token(&fixture, &listener, "s", WALL_START_MS / 1000), WEIR_OK);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.connected_wall_s, WALL_START_MS / 1000);
    assert_int_equal(info.active_wall_s, WALL_START_MS / 1000);
    assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_OK);
    set_wall(&fixture, &clock, WALL_START_MS + 877); /* the next second begins */
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_TOKEN_EXPIRED);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* WK-16, C-17: ages are monotonic and dates are not. A wall clock that is set, years ahead or back, ends nobody by age; a
 * machine that runs long while its date stands still ends nobody by token. */
static void clk_07_ages_are_monotonic_and_dates_are_wall_time(void **state) {
    (void)state;
    const uint64_t years[] = {WALL_START_MS + 100000000000u, 1000, 0};
    for (int y = 0; y < 3; y++) {
        struct fixture fixture;
        struct two_hands clock;
        struct listener listener;
        weir_cursor cursor;
        weir_event event;
        weir_gap gap;
        uint64_t number;
        weir_config config = WEIR_CONFIG_INIT;
        config.idle_ttl_ms = 1000;
        config.absolute_ttl_ms = 5000;
        open_on_two_hands(&fixture, &clock, config);
        weir_session *session = fixture_session(&fixture, "s");
        set_wall(&fixture, &clock, years[y]);
        assert_int_equal(info_of(session).created_wall_ms, WALL_START_MS); /* a date that was, not one that moves */
        assert_int_equal(sweep_for(&fixture, 0, 0).count, 0);
        send_number(&fixture, "s", 1);
        pass_ms(&fixture, &clock, 999);
        assert_int_equal(sweep_for(&fixture, 0, 0).count, 0);
        const weir_subscription oldest = {.start = WEIR_START_OLDEST};
        assert_int_equal(weir_replay(session, &oldest, &cursor, &gap), WEIR_OK);
        assert_int_equal(weir_read(session, &cursor, &number, sizeof(number), &event, &gap), WEIR_OK);
        assert_int_equal(event.time_ms, START_MS + 1);
        pass_ms(&fixture, &clock, 1);
        assert_int_equal(sweep_for(&fixture, 0, 0).count, 1);
        weir_session_release(session);

        assert_int_equal(attach_with_token(&fixture, &listener, "t", years[y] / 1000 + 1), WEIR_OK);
        pass_ms(&fixture, &clock, 4000);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
        set_wall(&fixture, &clock, years[y] + 2000);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 1);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* WK-04: publishing asks no clock. An event has the time of the last tick, so it is off by exactly as much as has passed
 * since then, which is what bounds the error: whoever ticks every 10 ms is never off by more. */
static void clk_08_the_hot_path_reads_a_coarse_clock_that_is_off_by_a_tick_at_most(void **state) {
    (void)state;
    struct fixture fixture;
    struct two_hands clock;
    weir_event event;
    weir_gap gap;
    uint64_t number;
    weir_config config = WEIR_CONFIG_INIT;
    open_on_two_hands(&fixture, &clock, config);
    weir_session *session = fixture_session(&fixture, "s");
    weir_cursor cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    publish_numbers(&fixture, session, 1);
    expect_number(session, &cursor, 1);
    for (uint64_t since_tick = 0; since_tick <= 10; since_tick++) {
        assert_int_equal(weir_engine_tick(fixture.engine), clock.now_ms * 1000000);
        uint64_t ticked_ms = clock.now_ms;
        uint64_t asked = clock.asked;
        clock.now_ms += since_tick;
        publish_numbers(&fixture, session, 1);
        assert_int_equal(weir_read(session, &cursor, &number, sizeof(number), &event, &gap), WEIR_OK);
        assert_int_equal(clock.asked, asked);
        assert_int_equal(event.time_ms, ticked_ms);
        assert_int_equal(clock.now_ms - event.time_ms, since_tick);
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tok_05_the_publish_that_finds_an_expired_token_tells_its_consumer),
        cmocka_unit_test(tok_13_a_stream_may_outlive_its_token_with_a_notice),
        cmocka_unit_test(ttl_10_lifetimes_are_inclusive_and_saturate),
        cmocka_unit_test(ttl_17_a_first_tick_comes_an_interval_late_and_missed_ones_never),
        cmocka_unit_test(ttl_18_a_sweep_works_in_slices),
        cmocka_unit_test(ttl_19_a_handle_outlives_the_session),
        cmocka_unit_test(clk_03_without_a_clock_of_its_own_every_engine_has_the_systems),
        cmocka_unit_test(clk_04_all_wall_time_comes_from_one_function),
        cmocka_unit_test(clk_07_ages_are_monotonic_and_dates_are_wall_time),
        cmocka_unit_test(clk_08_the_hot_path_reads_a_coarse_clock_that_is_off_by_a_tick_at_most),
    };
    return RUN_TESTS(argc, argv, tests);
}
