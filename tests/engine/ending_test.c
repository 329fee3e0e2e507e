/* How sessions end: terminate in one order with publishes, and the idle sweep to the exact millisecond. */
#include "fixture.h"

#include <stdio.h>

#include "session/engine.h"

/* SES-10, LIV-17: everything accepted comes first, whatever the window, then END and nothing else. */
static void an_end_comes_after_every_event_and_costs_none(void **state) {
    (void)state;
    const uint32_t capacities[] = {1, 2, 3, 4, 8, 256};
    for (int c = 0; c < 6; c++)
        for (uint64_t count = 0; count <= 2 * capacities[c] + 1; count += capacities[c] > 8 ? 64 : 1) {
            struct fixture fixture;
            weir_config config = WEIR_CONFIG_INIT;
            config.replay_capacity = capacities[c];
            fixture_open(&fixture, &config);
            weir_session *session = fixture_session(&fixture, "s");
            publish_numbers(&fixture, session, count);
            uint64_t oldest = info_of(session).oldest;
            weir_cursor before = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
            weir_session_terminate(session);
            assert_int_equal(info_of(session).ended, WEIR_ENDED_TERMINATED);
            assert_int_equal(info_of(session).oldest, oldest);
            assert_int_equal(info_of(session).newest, count);
            assert_int_equal(weir_publish(fixture.producer, session, 0, "x", 1, NULL), WEIR_CLOSED);
            weir_cursor after = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
            expect_numbers(session, &before, oldest, count, WEIR_END);
            expect_numbers(session, &after, oldest, count, WEIR_END);
            expect_status(session, &after, WEIR_END);
            weir_unsubscribe(session, &before);
            weir_unsubscribe(session, &after);
            weir_session_release(session);
            fixture_close(&fixture);
        }
}

/* Under every policy: a queue that is exactly full when the session ends is delivered, and then comes END. */
static void a_full_queue_is_delivered_before_the_end(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_SKIP; policy <= WEIR_POLICY_EVICT; policy++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 8;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        publish_numbers(&fixture, session, 20);
        weir_cursor cursor = subscribe(session, WEIR_START_NOW, (weir_policy)policy, 8, WEIR_OK);
        publish_numbers(&fixture, session, 8);
        weir_session_terminate(session);
        expect_numbers(session, &cursor, 21, 28, WEIR_END);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* A producer that was here last some laps ago may stand in the end's own slot. */
static void no_producer_gets_past_the_end_however_long_it_was_away(void **state) {
    (void)state;
    for (uint64_t away = 0; away <= 20; away++) {
        struct fixture fixture;
        weir_producer *idle;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 4;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        assert_int_equal(weir_producer_create(fixture.engine, &idle), WEIR_OK);
        assert_int_equal(weir_publish(idle, session, 0, "x", 1, NULL), WEIR_OK);
        publish_numbers(&fixture, session, away);
        weir_session_terminate(session);
        assert_int_equal(weir_publish(idle, session, 0, "x", 1, NULL), WEIR_CLOSED);
        assert_int_equal(weir_publish(fixture.producer, session, 0, "x", 1, NULL), WEIR_CLOSED);
        assert_int_equal(info_of(session).newest, 1 + away);
        assert_int_equal(info_of(session).ended, WEIR_ENDED_TERMINATED);
        weir_producer_destroy(idle);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- The idle sweep: TTL-01 to TTL-05, on a clock that the test moves ------------------------------------------ */

#define TTL_MS 1000u

static void open_sweep(struct fixture *fixture) {
    weir_config config = WEIR_CONFIG_INIT;
    config.idle_ttl_ms = TTL_MS;
    config.replay_capacity = 4;
    fixture_open(fixture, &config);
}

static int is_there(struct fixture *fixture, const char *name) {
    weir_session *session;
    int status = weir_session_open(fixture->engine, name, strlen(name), WEIR_OPEN_EXISTING, &session, NULL);
    weir_session_release(session);
    return status == WEIR_OK;
}

static void an_idle_session_ends_at_its_ttl_and_not_before(void **state) {
    (void)state;
    for (uint64_t published = 0; published <= 9; published++) {
        struct fixture fixture;
        open_sweep(&fixture);
        weir_session *session = fixture_session(&fixture, "s");
        fake_clock_advance(&fixture.clock, fixture.engine, published > 0 ? 500 : 0);
        publish_numbers(&fixture, session, published);
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
        assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
        fake_clock_advance(&fixture.clock, fixture.engine, 1);
        assert_int_equal(weir_engine_sweep(fixture.engine, 100), 1);
        assert_int_equal(info_of(session).ended, WEIR_ENDED_EXPIRED);
        assert_int_equal(info_of(session).newest, published);
        assert_false(is_there(&fixture, "s"));
        assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
        weir_stats stats = stats_of(fixture.engine);
        assert_int_equal(stats.sessions_expired, 1);
        assert_int_equal(stats.sessions_ended, 1);
        weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        expect_numbers(session, &cursor, info_of(session).oldest, published, WEIR_END);
        weir_unsubscribe(session, &cursor);
        assert_int_equal(weir_publish(fixture.producer, session, 0, "x", 1, NULL), WEIR_CLOSED);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

static void a_publish_or_a_subscriber_keeps_a_session(void **state) {
    (void)state;
    struct fixture fixture;
    open_sweep(&fixture);
    weir_session *published = fixture_session(&fixture, "published");
    weir_session *read = fixture_session(&fixture, "read");
    weir_session *forgotten = fixture_session(&fixture, "forgotten");
    weir_cursor cursor = subscribe(read, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (int i = 0; i < 5; i++) {
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
        publish_numbers(&fixture, published, 1);
        weir_engine_sweep(fixture.engine, 100);
    }
    assert_true(is_there(&fixture, "published"));
    assert_true(is_there(&fixture, "read"));
    assert_false(is_there(&fixture, "forgotten"));
    weir_unsubscribe(read, &cursor); /* leaving counts as activity */
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 2);
    weir_session_release(published);
    weir_session_release(read);
    weir_session_release(forgotten);
    fixture_close(&fixture);
}

/* RPL-11, TTL-05: replay is no activity; a subscriber that came and went is. */
static void coming_and_going_refreshes_a_session(void **state) {
    (void)state;
    struct fixture fixture;
    open_sweep(&fixture);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 2);
    fake_clock_advance(&fixture.clock, fixture.engine, 700);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_unsubscribe(session, &cursor);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 1);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* TTL-18, WK-10 */
static void a_sweep_looks_at_no_more_than_its_budget_and_goes_on_from_there(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[20];
    char name[8];
    open_sweep(&fixture);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        sessions[i] = fixture_session(&fixture, name);
    }
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
    assert_int_equal(weir_engine_sweep(fixture.engine, 0), 0);
    for (int slice = 0; slice < 6; slice++)
        assert_int_equal(weir_engine_sweep(fixture.engine, 3), 3);
    assert_int_equal(weir_engine_sweep(fixture.engine, 3), 2);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    for (int i = 0; i < 20; i++)
        weir_session_release(sessions[i]);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    fixture_close(&fixture);
}

static void without_a_ttl_nothing_ends(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.idle_ttl_ms = WEIR_NONE;
    fixture_open(&fixture, &config);
    weir_session_release(fixture_session(&fixture, "s"));
    fake_clock_advance(&fixture.clock, fixture.engine, 1ull << 40);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    assert_true(is_there(&fixture, "s"));
    fixture_close(&fixture);
}

static void a_clock_that_steps_back_ends_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    open_sweep(&fixture);
    fake_clock_advance(&fixture.clock, fixture.engine, 5000);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 1);
    fixture.clock.now_ms = 1;
    weir_engine_tick(fixture.engine);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* An expired name begins a new life like a terminated one, and its old ids say so. */
static void an_expired_name_begins_a_new_life(void **state) {
    (void)state;
    struct fixture fixture;
    char id[WEIR_ID_MAX];
    weir_cursor cursor;
    weir_gap gap;
    open_sweep(&fixture);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 3);
    size_t length = weir_id_format(info_of(session).epoch, 2, id);
    weir_session_release(session);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
    assert_int_equal(weir_engine_sweep(fixture.engine, 100), 1);
    session = fixture_session(&fixture, "s");
    assert_int_equal(subscribe_after(session, id, length, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 1, 0, WEIR_GAP_EPOCH, 0);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* As the sweep leaves it between its two steps. */
static void mark_idle(weir_session *session) {
    void *unpublished = NULL;
    struct slots *slots = session_slots(session);
    if (slots != NULL) assert_true(slots_mark_idle(slots, session_next(session, slots)));
    if (slots == NULL) assert_true(pointer_cas_seq_cst(&session->ring, &unpublished, RING_IDLE));
}

static int is_marked(weir_session *session) {
    struct slots *slots = session_slots(session);
    if (slots == NULL) return pointer_load_seq_cst(&session->ring) == RING_IDLE;
    return slot_mark(slots_load(slots, session_next(session, slots))) == SLOT_IDLE;
}

/* TTL-04: whoever gets in between the sweep's look and its end keeps the session. */
static void a_subscriber_or_a_publish_in_the_middle_of_a_sweep_keeps_the_session(void **state) {
    (void)state;
    for (uint64_t published = 0; published <= 9; published++) {
        struct fixture fixture;
        open_sweep(&fixture);
        weir_session *session = fixture_session(&fixture, "s");
        publish_numbers(&fixture, session, published);
        mark_idle(session);
        assert_true(is_marked(session));
        assert_int_equal(info_of(session).ended, WEIR_ENDED_NOT);
        assert_int_equal(info_of(session).newest, published);
        weir_cursor cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        assert_false(is_marked(session));
        mark_idle(session);
        expect_status(session, &cursor, WEIR_EMPTY);
        publish_numbers(&fixture, session, 1);
        assert_false(is_marked(session));
        expect_numbers(session, &cursor, published + 1, published + 1, WEIR_EMPTY);
        mark_idle(session);
        weir_session_terminate(session); /* and an end takes the marked place as well */
        expect_status(session, &cursor, WEIR_END);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_comes_after_every_event_and_costs_none),
        cmocka_unit_test(a_full_queue_is_delivered_before_the_end),
        cmocka_unit_test(no_producer_gets_past_the_end_however_long_it_was_away),
        cmocka_unit_test(an_idle_session_ends_at_its_ttl_and_not_before),
        cmocka_unit_test(a_publish_or_a_subscriber_keeps_a_session),
        cmocka_unit_test(coming_and_going_refreshes_a_session),
        cmocka_unit_test(a_sweep_looks_at_no_more_than_its_budget_and_goes_on_from_there),
        cmocka_unit_test(without_a_ttl_nothing_ends),
        cmocka_unit_test(a_clock_that_steps_back_ends_nothing),
        cmocka_unit_test(an_expired_name_begins_a_new_life),
        cmocka_unit_test(a_subscriber_or_a_publish_in_the_middle_of_a_sweep_keeps_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
