/* Publishing to channels, one thread at a time. */
#include <stdlib.h>

#include "channels.h"

#define DEPTH 8u

/* ---- Broadcast -------------------------------------------------------------------------------------------------- */

static void brd_01_every_member_gets_the_event_in_its_own_order(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[3];
    weir_cursor cursors[3];
    weir_message message = {.data = "{\"delta\":1}", .length = 11, .keyed = 1, .key = 4711};
    weir_broadcast result;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_kind(fixture.engine, "DeltaUpdate", 11, &message.kind), WEIR_OK);
    for (int i = 0; i < 3; i++) {
        sessions[i] = fixture_session(&fixture, (const char *[]){"x", "y", "z"}[i]);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK);
        cursors[i] = subscribe(sessions[i], WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        publish_numbers(&fixture, sessions[i], (uint64_t)i);
    }
    assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, &result), WEIR_OK);
    check_result(&result, 3, 3, 0, 0);
    for (int i = 0; i < 3; i++) {
        char buffer[64];
        weir_event event;
        weir_gap gap;
        publish_text(&fixture, sessions[i], "after");
        for (uint64_t number = 1; number <= (uint64_t)i; number++)
            expect_number(sessions[i], &cursors[i], number);
        assert_int_equal(weir_read(sessions[i], &cursors[i], buffer, 5, &event, &gap), WEIR_TOO_SMALL);
        assert_int_equal(event.length, 11);
        assert_int_equal(weir_read(sessions[i], &cursors[i], buffer, sizeof(buffer), &event, &gap), WEIR_OK);
        assert_int_equal(event.sequence, (uint64_t)i + 1);
        assert_int_equal(event.kind, message.kind);
        assert_int_equal(event.broadcast, result.number);
        assert_int_equal(event.keyed, 1);
        assert_int_equal(event.key, 4711);
        assert_memory_equal(buffer, message.data, 11);
        expect_text(sessions[i], &cursors[i], "after", 0);
        expect_status(sessions[i], &cursors[i], WEIR_EMPTY);
        weir_unsubscribe(sessions[i], &cursors[i]);
        weir_session_release(sessions[i]);
    }
    assert_int_equal(stats_of(fixture.engine).broadcasts, 1);
    weir_channel_release(channel);
    fixture_close(&fixture);
}

static void brd_02_a_channel_without_members_or_without_a_name_takes_anything_that_is_valid(void **state) {
    (void)state;
    struct fixture fixture;
    weir_message message = {.data = "x", .length = 1};
    weir_broadcast result;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    assert_int_equal(weir_channel_send(fixture.producer, "none", 4, &message, &result), WEIR_OK);
    check_result(&result, 0, 0, 0, 0);
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_channel_send(fixture.producer, "c", 1, &message, NULL), WEIR_OK);
    message.kind = 9;
    assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_send(fixture.producer, "none", 4, &message, NULL), WEIR_INVALID);
    message = (weir_message){.data = NULL, .length = 1};
    assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, NULL), WEIR_INVALID);
    message = (weir_message){.data = "x", .length = WEIR_EVENT_BYTES_MAX + 1};
    assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, &result), WEIR_TOO_LARGE);
    check_result(&result, 0, 0, 0, 0);
    assert_int_equal(stats_of(fixture.engine).broadcasts, 0);
    assert_int_equal(stats_of(fixture.engine).publish_refused, 4);
    weir_channel_release(channel);
    fixture_close(&fixture);
}

static void brd_03_a_member_that_ends_with_the_event_is_counted_and_the_others_get_it(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *other = fixture_session(&fixture, "other");
    weir_subscription how = from_now(&fixture, DEPTH);
    how.token_expiry_s = wall_s(&fixture) + 10;
    assert_int_equal(listener_attach_as(&fixture, &listener, "with-token", &how), WEIR_OK);
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_channel_join(channel, listener.session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, other, NULL), WEIR_OK);
    weir_broadcast result = publish_to(&fixture, channel, "in time");
    check_result(&result, 2, 2, 0, 0);
    advance_s(&fixture, 11);
    result = publish_to(&fixture, channel, "too late");
    check_result(&result, 2, 1, 0, 1);
    assert_int_equal(weir_channel_members(channel), 1); /* the membership has ended with the session */
    result = publish_to(&fixture, channel, "later");
    check_result(&result, 1, 1, 0, 0);
    assert_int_equal(info_of(other).published, 3);
    weir_channel_release(channel);
    weir_session_release(other);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* BRD-04, BRD-07: a member whose queue is full refuses for itself; nobody waits for it. */
static void brd_07_a_full_member_delays_nobody_and_refuses_for_itself(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener slow;
    struct listener fast;
    weir_broadcast result;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_subscription how = from_now(&fixture, 2);
    how.policy = WEIR_POLICY_REFUSE;
    assert_int_equal(listener_attach_as(&fixture, &slow, "slow", &how), WEIR_OK);
    listener_attach(&fixture, &fast, "fast", DEPTH);
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_channel_join(channel, slow.session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, fast.session, NULL), WEIR_OK);
    for (uint32_t i = 1; i <= 5; i++) {
        result = publish_to(&fixture, channel, "event");
        check_result(&result, 2, i <= 2 ? 2 : 1, i > 2, 0);
    }
    assert_int_equal(info_of(slow.session).published, 2);
    assert_int_equal(info_of(fast.session).published, 5);
    expect_text(slow.session, &slow.cursor, "event", result.number - 4);
    result = publish_to(&fixture, channel, "room again");
    check_result(&result, 2, 2, 0, 0);
    weir_channel_release(channel);
    listener_leave(&slow);
    listener_leave(&fast);
    fixture_close(&fixture);
}

static void brd_06_members_without_a_consumer_keep_the_event_for_replay(void **state) {
    (void)state;
    struct fixture fixture;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    weir_broadcast first = publish_to(&fixture, channel, "first");
    weir_broadcast second = publish_to(&fixture, channel, "second");
    check_result(&second, 1, 1, 0, 0);
    assert_true(second.number > first.number);
    for (int subscriber = 0; subscriber < 3; subscriber++) {
        weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        expect_text(session, &cursor, "first", first.number);
        expect_text(session, &cursor, "second", second.number);
        expect_status(session, &cursor, WEIR_EMPTY);
        weir_unsubscribe(session, &cursor);
    }
    assert_int_equal(weir_session_terminate(session), WEIR_OK); /* nor does its end take it away */
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_text(session, &cursor, "first", first.number);
    expect_text(session, &cursor, "second", second.number);
    expect_status(session, &cursor, WEIR_END);
    weir_unsubscribe(session, &cursor);
    weir_channel_release(channel);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* A payload of 100 KiB goes to 40 sessions and takes the memory of one, not of forty; and a ring's worth of them later
 * it is used again. */
static void the_bytes_of_a_broadcast_are_stored_once(void **state) {
    (void)state;
    enum { MEMBERS = 40, BYTES = 100 * 1024 };
    struct fixture fixture;
    weir_session *sessions[MEMBERS];
    weir_config config = WEIR_CONFIG_INIT;
    char *data = calloc(1, BYTES);
    char *copy = malloc(BYTES);
    assert_true(data != NULL && copy != NULL);
    config.replay_capacity = 4;
    fixture_open(&fixture, &config);
    weir_channel *channel = channel_of(&fixture, "c");
    for (int i = 0; i < MEMBERS; i++) {
        char name[3] = {'s', (char)('0' + i / 10), (char)('0' + i % 10)};
        assert_int_equal(weir_session_open(fixture.engine, name, 3, WEIR_OPEN_OR_CREATE, &sessions[i], NULL),
                         WEIR_OK);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK);
    }
    for (int round = 0; round < 20; round++) {
        const weir_message message = {.data = data, .length = BYTES};
        weir_broadcast result;
        data[BYTES - 1] = (char)round;
        assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, &result), WEIR_OK);
        check_result(&result, MEMBERS, MEMBERS, 0, 0);
        assert_true(stats_of(fixture.engine).cell_bytes < 12 * 256 * 1024);
    }
    for (int i = 0; i < MEMBERS; i++) {
        weir_cursor cursor = subscribe(sessions[i], WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        for (int round = 16; round < 20; round++) {
            weir_event event;
            weir_gap gap;
            assert_int_equal(weir_read(sessions[i], &cursor, copy, BYTES, &event, &gap), WEIR_OK);
            assert_int_equal(event.length, BYTES);
            assert_int_equal(copy[BYTES - 1], round);
        }
        weir_unsubscribe(sessions[i], &cursor);
        weir_session_release(sessions[i]);
    }
    weir_channel_release(channel);
    fixture_close(&fixture);
    free(data);
    free(copy);
}

static void in_steady_state_a_broadcast_allocates_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[3];
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_channel *channel = channel_of(&fixture, "c");
    for (int i = 0; i < 3; i++) {
        sessions[i] = fixture_session(&fixture, (const char *[]){"x", "y", "z"}[i]);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK);
    }
    for (int i = 0; i < 64; i++)
        publish_to(&fixture, channel, "to fill the rings");
    uint64_t calls = u64_load_relaxed(&fixture.memory.calls);
    for (int i = 0; i < 1000; i++) {
        publish_to(&fixture, channel, "steady");
        if (i % 3 == 0) publish_text(&fixture, sessions[i % 2], "and others in between");
    }
    assert_int_equal(u64_load_relaxed(&fixture.memory.calls), calls);
    for (int i = 0; i < 3; i++)
        weir_session_release(sessions[i]);
    weir_channel_release(channel);
    fixture_close(&fixture);
}

/* The members hold the same bodies: at max_bytes each gives up its oldest, and the channel goes on with what fits. */
static void at_the_byte_limit_a_channel_lives_on_its_own_oldest_events(void **state) {
    (void)state;
    enum { MEMBERS = 5, BYTES = 30000, RING = 64, KEPT = 20 };
    struct fixture fixture;
    weir_session *sessions[MEMBERS];
    static char data[BYTES];
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = RING;
    config.max_bytes = 1u << 20; /* less than a ring of them */
    fixture_open(&fixture, &config);
    weir_channel *channel = channel_of(&fixture, "c");
    for (int i = 0; i < MEMBERS; i++) {
        sessions[i] = fixture_session(&fixture, (const char *[]){"v", "w", "x", "y", "z"}[i]);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK);
    }
    for (uint64_t round = 1; round <= 3 * RING; round++) {
        const weir_message message = {.data = data, .length = BYTES};
        weir_broadcast result;
        assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, &result), WEIR_OK);
        check_result(&result, MEMBERS, MEMBERS, 0, 0);
        for (int i = 0; i < MEMBERS; i++) {
            weir_session_info info = info_of(sessions[i]);
            assert_int_equal(info.newest, round);
            assert_true(info.newest - info.oldest + 1 >= (round < KEPT ? round : KEPT));
        }
    }
    assert_true(stats_of(fixture.engine).evicted_events > 0);
    assert_true(stats_of(fixture.engine).cell_bytes <= config.max_bytes);
    for (int i = 0; i < MEMBERS; i++)
        weir_session_release(sessions[i]);
    weir_channel_release(channel);
    fixture_close(&fixture);
}

/* The first broadcast of a session that has no ring yet, when others hold all the memory: they make room. */
static void at_the_byte_limit_others_make_room_for_the_first_broadcast(void **state) {
    (void)state;
    enum { BYTES = 30000 };
    struct fixture fixture;
    static char data[BYTES];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_bytes = 1u << 20;
    fixture_open(&fixture, &config);
    weir_session *greedy = fixture_session(&fixture, "greedy");
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel = channel_of(&fixture, "c");
    weir_broadcast result;
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    result = publish_to(&fixture, channel, "so that there is memory for descriptors");
    check_result(&result, 1, 1, 0, 0);
    assert_int_equal(weir_channel_leave(channel, session), WEIR_OK);
    weir_session *fresh = fixture_session(&fixture, "fresh");
    assert_int_equal(weir_channel_join(channel, fresh, NULL), WEIR_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_publish(fixture.producer, greedy, 0, data, BYTES, NULL), WEIR_OK);
    weir_producer *producer; /* with nothing in its stock */
    const weir_message message = {.data = data, .length = BYTES};
    assert_int_equal(weir_producer_create(fixture.engine, &producer), WEIR_OK);
    assert_int_equal(weir_channel_publish(producer, channel, &message, &result), WEIR_OK);
    check_result(&result, 1, 1, 0, 0);
    weir_producer_destroy(producer);
    assert_int_equal(info_of(fresh).published, 1);
    weir_channel_release(channel);
    weir_session_release(greedy);
    weir_session_release(session);
    weir_session_release(fresh);
    fixture_close(&fixture);
}

/* WK-13, and an engine may go while sessions are members, while ended ones have yet to tell, and channels are held. */
static void an_engine_is_destroyed_with_whatever_is_left_in_it(void **state) {
    (void)state;
    for (int exclusive = WEIR_CHANNELS_SHARED; exclusive <= WEIR_CHANNELS_MOVE; exclusive++) {
        struct fixture fixture;
        open_with(&fixture, (weir_exclusive)exclusive);
        weir_session *session = fixture_session(&fixture, "s");
        weir_session *ended = fixture_session(&fixture, "ended");
        weir_channel *channel = channel_of(&fixture, "c");
        weir_channel *other = channel_of(&fixture, "other");
        assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(other, ended, NULL), WEIR_OK);
        assert_int_equal(weir_session_terminate(ended), WEIR_OK);
        publish_to(&fixture, channel, "event");
        fixture_close(&fixture);
    }
}

/* What every allocation of joining and publishing can come to: nothing is half done, and nothing is lost. */
static void without_memory_a_join_or_a_broadcast_changes_nothing(void **state) {
    (void)state;
    for (uint64_t fail = 1; fail < 40; fail++) {
        struct fixture fixture;
        weir_channel *channel = NULL;
        const weir_message message = {.data = "x", .length = 1};
        weir_broadcast result;
        open_with(&fixture, WEIR_CHANNELS_SHARED);
        weir_session *session = fixture_session(&fixture, "s");
        u64_store_relaxed(&fixture.memory.fail_at, u64_load_relaxed(&fixture.memory.calls) + fail);
        int status = weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_NO_MEMORY);
            assert_int_equal(stats_of(fixture.engine).channels, 0);
            channel = channel_of(&fixture, "c");
        }
        status = weir_channel_join(channel, session, NULL);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_NO_MEMORY);
            expect_channels(session, "");
            assert_int_equal(weir_channel_members(channel), 0);
            assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        }
        status = weir_channel_publish(fixture.producer, channel, &message, &result);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_NO_MEMORY);
            check_result(&result, 1, 0, 0, 0);
            assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, &result), WEIR_OK);
        }
        check_result(&result, 1, 1, 0, 0);
        expect_only(session, "x", result.number);
        weir_channel_release(channel);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_a_join_or_a_broadcast_changes_nothing),
        cmocka_unit_test(brd_01_every_member_gets_the_event_in_its_own_order),
        cmocka_unit_test(brd_02_a_channel_without_members_or_without_a_name_takes_anything_that_is_valid),
        cmocka_unit_test(brd_03_a_member_that_ends_with_the_event_is_counted_and_the_others_get_it),
        cmocka_unit_test(brd_07_a_full_member_delays_nobody_and_refuses_for_itself),
        cmocka_unit_test(brd_06_members_without_a_consumer_keep_the_event_for_replay),
        cmocka_unit_test(the_bytes_of_a_broadcast_are_stored_once),
        cmocka_unit_test(in_steady_state_a_broadcast_allocates_nothing),
        cmocka_unit_test(at_the_byte_limit_a_channel_lives_on_its_own_oldest_events),
        cmocka_unit_test(at_the_byte_limit_others_make_room_for_the_first_broadcast),
        cmocka_unit_test(an_engine_is_destroyed_with_whatever_is_left_in_it),
    };
    return RUN_TESTS(argc, argv, tests);
}
