/* Channels and their members, one thread at a time. */
#include "channels.h"
#include "support/random.h"

#define DEPTH 8u

/* ---- Membership ------------------------------------------------------------------------------------------------- */

static void sub_03_the_limit_of_a_session_is_exact_and_leaving_makes_room(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    weir_refusal refusal = {0};
    static const char *const names[] = {"a", "b", "c"};
    weir_channel *channels[3];
    config.max_session_channels = 2;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (int i = 0; i < 3; i++) {
        channels[i] = channel_of(&fixture, names[i]);
        assert_int_equal(weir_channel_join(channels[i], session, &refusal), i < 2 ? WEIR_OK : WEIR_JOINS_LIMIT);
    }
    assert_int_equal(refusal.status, WEIR_JOINS_LIMIT);
    assert_int_equal(refusal.limit, 2);
    assert_int_equal(refusal.current, 2);
    assert_int_equal(weir_channel_members(channels[2]), 0);
    expect_channels(session, "a b");
    assert_int_equal(weir_channel_join(channels[1], session, NULL), WEIR_OK); /* it is a member: no second place */
    assert_int_equal(weir_channel_leave(channels[0], session), WEIR_OK);
    assert_int_equal(weir_channel_join(channels[2], session, NULL), WEIR_OK);
    expect_channels(session, "b c");
    for (int i = 0; i < 3; i++)
        weir_channel_release(channels[i]);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void sub_06_removing_a_channel_clears_all_its_memberships(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[3];
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_channel *channel = channel_of(&fixture, "news");
    weir_channel *other = channel_of(&fixture, "other");
    for (int i = 0; i < 3; i++) {
        sessions[i] = fixture_session(&fixture, (const char *[]){"x", "y", "z"}[i]);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(other, sessions[i], NULL), WEIR_OK);
    }
    assert_int_equal(weir_channel_remove(fixture.engine, "news", 4), WEIR_OK);
    assert_int_equal(weir_channel_members(channel), 0);
    assert_int_equal(weir_channel_members(other), 3);
    assert_int_equal(stats_of(fixture.engine).memberships, 3);
    check_result(&(weir_broadcast){0}, 0, 0, 0, 0);
    weir_broadcast result = publish_to(&fixture, channel, "nobody");
    check_result(&result, 0, 0, 0, 0);
    for (int i = 0; i < 3; i++) {
        expect_channels(sessions[i], "other");
        assert_int_equal(weir_channel_leave(channel, sessions[i]), WEIR_NOT_FOUND);
        assert_int_equal(weir_channel_join(channel, sessions[i], NULL), WEIR_OK); /* and it is the same channel */
        weir_session_release(sessions[i]);
    }
    assert_int_equal(weir_channel_remove(fixture.engine, "unknown", 7), WEIR_NOT_FOUND);
    weir_channel_release(channel);
    weir_channel_release(other);
    fixture_close(&fixture);
}

static void sub_07_leaving_all_tells_each_once_in_the_order_of_joining(void **state) {
    (void)state;
    struct fixture fixture;
    static const char *const names[] = {"m", "z", "a", "k"};
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_session_leave_all(session, NULL, NULL), 0); /* it never joined any */
    for (int i = 0; i < 4; i++) {
        weir_channel *channel = channel_of(&fixture, names[i]);
        assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        if (i == 1) assert_int_equal(weir_channel_leave(channel, session), WEIR_OK);
        if (i == 1) assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        weir_channel_release(channel);
    }
    expect_channels(session, "m z a k");
    weir_channel *first = channel_of(&fixture, "m"); /* its place is free for the next, but not its turn */
    assert_int_equal(weir_channel_leave(first, session), WEIR_OK);
    assert_int_equal(weir_channel_join(first, session, NULL), WEIR_OK);
    weir_channel_release(first);
    expect_channels(session, "z a k m");
    expect_left(session, "z a k m");
    expect_left(session, "");
    expect_channels(session, "");
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    assert_int_equal(stats_of(fixture.engine).channels, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* SES-24: however it ended, and to one caller only. */
static void ses_24_an_ended_session_tells_its_channels_once(void **state) {
    (void)state;
    struct fixture fixture;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel = channel_of(&fixture, "one");
    weir_channel *another = channel_of(&fixture, "two");
    assert_int_equal(weir_channel_join(another, session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    assert_int_equal(weir_session_terminate(session), WEIR_OK);
    assert_int_equal(weir_channel_members(channel), 0);
    expect_channels(session, ""); /* it is a member no more, */
    expect_left(session, "two one");
    expect_left(session, "");
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_CLOSED);
    weir_channel_release(channel);
    weir_channel_release(another);
    assert_int_equal(stats_of(fixture.engine).channels, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void note_swept(void *context, weir_session *session, weir_end_reason reason) {
    assert_int_equal(reason, WEIR_ENDED_EXPIRED);
    assert_int_equal(weir_session_leave_all(session, note_channel, context), 2);
}

/* SES-24, SUB-07 */
static void a_session_that_the_sweep_ends_tells_its_channels_there(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.idle_ttl_ms = 1000;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel = channel_of(&fixture, "one");
    weir_channel *another = channel_of(&fixture, "two");
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(another, session, NULL), WEIR_OK);
    weir_session_release(session);
    fake_clock_advance(&fixture.clock, fixture.engine, 1000);
    struct told told = {0};
    const weir_sweep sweep = {.ended = note_swept, .context = &told};
    assert_int_equal(weir_engine_sweep_for(fixture.engine, &sweep), 1);
    expect_told(&told, "one two");
    assert_int_equal(weir_channel_members(channel), 0);
    weir_channel_release(channel);
    weir_channel_release(another);
    assert_int_equal(stats_of(fixture.engine).channels, 0);
    fixture_close(&fixture);
}

static void sub_08_an_exclusive_channel_moves_to_the_session_that_joins_last(void **state) {
    (void)state;
    struct fixture fixture;
    open_with(&fixture, WEIR_CHANNELS_MOVE);
    weir_session *first = fixture_session(&fixture, "first");
    weir_session *second = fixture_session(&fixture, "second");
    weir_channel *channel = channel_of(&fixture, "c");
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weir_channel_join(channel, first, NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(channel, first, NULL), WEIR_OK);
        expect_channels(first, "c");
        expect_channels(second, "");
        assert_int_equal(weir_channel_members(channel), 1);
        assert_int_equal(weir_channel_join(channel, second, NULL), WEIR_OK);
        expect_channels(first, "");
        expect_channels(second, "c");
        assert_int_equal(weir_channel_members(channel), 1);
        assert_int_equal(stats_of(fixture.engine).memberships, 1);
        assert_int_equal(weir_channel_leave(channel, first), WEIR_NOT_FOUND);
    }
    weir_broadcast result = publish_to(&fixture, channel, "to the second");
    check_result(&result, 1, 1, 0, 0);
    expect_only(second, "to the second", result.number);
    assert_int_equal(info_of(first).published, 0);
    assert_int_equal(weir_channel_leave(channel, second), WEIR_OK);
    result = publish_to(&fixture, channel, "to nobody");
    check_result(&result, 0, 0, 0, 0);
    weir_channel_release(channel);
    weir_session_release(first);
    weir_session_release(second);
    fixture_close(&fixture);
}

static void sub_11_an_exclusive_channel_refuses_another_session(void **state) {
    (void)state;
    struct fixture fixture;
    weir_refusal refusal = {0};
    open_with(&fixture, WEIR_CHANNELS_REFUSE);
    weir_session *first = fixture_session(&fixture, "first");
    weir_session *second = fixture_session(&fixture, "second");
    weir_channel *channel = channel_of(&fixture, "c");
    assert_int_equal(weir_channel_join(channel, first, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, second, &refusal), WEIR_FOREIGN);
    assert_int_equal(refusal.status, WEIR_FOREIGN);
    expect_channels(second, "");
    assert_int_equal(weir_channel_join(channel, first, NULL), WEIR_OK);
    expect_channels(first, "c");
    assert_int_equal(stats_of(fixture.engine).memberships, 1);
    assert_int_equal(weir_session_terminate(first), WEIR_OK); /* then it is free */
    assert_int_equal(weir_channel_join(channel, second, NULL), WEIR_OK);
    expect_channels(second, "c");
    expect_left(first, "c");
    expect_channels(second, "c");
    assert_int_equal(weir_channel_remove(fixture.engine, "c", 1), WEIR_OK);
    expect_channels(second, "");
    weir_channel_release(channel);
    weir_session_release(first);
    weir_session_release(second);
    fixture_close(&fixture);
}

/* SUB-09: here the list is a set, and one leave clears what joining twice has made. */
static void sub_09_joining_twice_takes_one_place_and_one_leave_clears_it(void **state) {
    (void)state;
    struct fixture fixture;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel = channel_of(&fixture, "c");
    for (int i = 0; i < 3; i++)
        assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    expect_channels(session, "c");
    weir_broadcast result = publish_to(&fixture, channel, "once");
    check_result(&result, 1, 1, 0, 0);
    expect_only(session, "once", result.number);
    assert_int_equal(weir_channel_leave(channel, session), WEIR_OK);
    assert_int_equal(weir_channel_leave(channel, session), WEIR_NOT_FOUND);
    expect_channels(session, "");
    weir_channel_release(channel);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* SUB-10, SUB-11, C-28: the members of all channels and the channels of all members are the same number. */
static void sub_10_both_counts_are_equal_whatever_was_done(void **state) {
    (void)state;
    enum { CHANNELS = 5, SESSIONS = 7 };
    struct fixture fixture;
    weir_channel *channels[CHANNELS];
    weir_session *sessions[SESSIONS];
    struct random random = random_start(random_seed(), 1);
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    for (int c = 0; c < CHANNELS; c++)
        channels[c] = channel_of(&fixture, (const char *[]){"a", "b", "c", "d", "e"}[c]);
    for (int s = 0; s < SESSIONS; s++)
        sessions[s] = fixture_session(&fixture, (const char *[]){"0", "1", "2", "3", "4", "5", "6"}[s]);
    for (int step = 0; step < 3000; step++) {
        weir_channel *channel = channels[random_below(&random, CHANNELS)];
        uint32_t s = random_below(&random, SESSIONS);
        uint32_t what = random_below(&random, 40);
        if (what < 20) {
            assert_int_equal(weir_channel_join(channel, sessions[s], NULL), WEIR_OK);
        } else if (what < 36) {
            weir_channel_leave(channel, sessions[s]);
        } else if (what < 38) {
            weir_session_leave_all(sessions[s], NULL, NULL);
        } else {
            char name[2] = {(char)('0' + s), '\0'};
            weir_session_terminate(sessions[s]);
            weir_session_release(sessions[s]);
            sessions[s] = fixture_session(&fixture, name);
        }
        uint32_t members = 0;
        uint32_t joined = 0;
        for (int c = 0; c < CHANNELS; c++)
            members += weir_channel_members(channels[c]);
        for (int i = 0; i < SESSIONS; i++)
            joined += info_of(sessions[i]).channels;
        assert_int_equal(members, joined);
        assert_int_equal(stats_of(fixture.engine).memberships, joined);
    }
    for (int c = 0; c < CHANNELS; c++)
        weir_channel_release(channels[c]);
    for (int s = 0; s < SESSIONS; s++)
        weir_session_release(sessions[s]);
    fixture_close(&fixture);
}

static void c_11_a_new_attachment_leaves_all_channels_where_the_rules_say_so(void **state) {
    (void)state;
    for (int drops = 0; drops < 2; drops++) {
        struct fixture fixture;
        struct listener listener;
        weir_config config = WEIR_CONFIG_INIT;
        config.rules.attach_drops_channels = drops;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        weir_channel *channel = channel_of(&fixture, "c");
        assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        listener_attach(&fixture, &listener, "s", DEPTH);
        expect_channels(session, drops ? "" : "c");
        listener_leave(&listener);
        weir_channel_release(channel);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- Channels --------------------------------------------------------------------------------------------------- */

static void a_channel_is_gone_when_nobody_holds_it_and_it_has_no_member(void **state) {
    (void)state;
    struct fixture fixture;
    weir_channel *channel;
    int created = 2;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_EXISTING, &channel, &created),
                     WEIR_NOT_FOUND);
    assert_null(channel);
    assert_int_equal(created, 0);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, &created), WEIR_OK);
    assert_int_equal(created, 1);
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    weir_channel_release(channel); /* the member keeps it */
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, &created), WEIR_OK);
    assert_int_equal(created, 0);
    assert_int_equal(weir_channel_members(channel), 1);
    assert_int_equal(weir_channel_leave(channel, session), WEIR_OK);
    weir_channel_retain(channel);
    weir_channel_release(channel);
    assert_int_equal(stats_of(fixture.engine).channels, 1);
    weir_channel_release(channel);
    weir_channel_release(NULL);
    assert_int_equal(stats_of(fixture.engine).channels, 0);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_EXISTING, &channel, NULL), WEIR_NOT_FOUND);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void names_and_modes_that_are_none_are_refused(void **state) {
    (void)state;
    struct fixture fixture;
    struct fixture elsewhere;
    weir_channel *channel;
    char name[WEIR_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    open_with(&elsewhere, WEIR_CHANNELS_SHARED);
    assert_int_equal(weir_channel_open(fixture.engine, "", 0, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_open(fixture.engine, "a b", 3, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_open(fixture.engine, name, sizeof(name), WEIR_OPEN_OR_CREATE, &channel, NULL),
                     WEIR_INVALID);
    assert_int_equal(weir_channel_open(fixture.engine, "a", 1, WEIR_OPEN_RESERVE, &channel, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_open(fixture.engine, name, WEIR_NAME_MAX, WEIR_OPEN_OR_CREATE, &channel, NULL),
                     WEIR_OK);
    size_t length;
    assert_memory_equal(weir_channel_name(channel, &length), name, WEIR_NAME_MAX);
    assert_int_equal(length, WEIR_NAME_MAX);
    weir_session *foreign = fixture_session(&elsewhere, "s");
    const weir_message message = {.data = "x", .length = 1};
    assert_int_equal(weir_channel_join(channel, foreign, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_leave(channel, foreign), WEIR_NOT_FOUND);
    assert_int_equal(weir_channel_publish(elsewhere.producer, channel, &message, NULL), WEIR_INVALID);
    assert_int_equal(weir_channel_remove(fixture.engine, "a b", 3), WEIR_NOT_FOUND);
    weir_session_release(foreign);
    weir_channel_release(channel);
    fixture_close(&elsewhere);
    fixture_close(&fixture);
}

static void the_limits_of_channels_and_of_members_are_exact(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    weir_refusal refusal = {0};
    weir_channel *third;
    config.max_channels = 2;
    config.max_channel_members = 2;
    fixture_open(&fixture, &config);
    weir_channel *channel = channel_of(&fixture, "a");
    weir_channel *other = channel_of(&fixture, "b");
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &third, NULL),
                     WEIR_CHANNELS_LIMIT);
    assert_null(third);
    weir_channel_release(other);
    third = channel_of(&fixture, "c");
    for (int i = 0; i < 3; i++) {
        weir_session *session = fixture_session(&fixture, (const char *[]){"x", "y", "z"}[i]);
        assert_int_equal(weir_channel_join(channel, session, &refusal), i < 2 ? WEIR_OK : WEIR_MEMBERS_LIMIT);
        assert_int_equal(info_of(session).channels, i < 2);
        weir_session_release(session);
    }
    assert_int_equal(refusal.status, WEIR_MEMBERS_LIMIT);
    assert_int_equal(refusal.limit, 2);
    assert_int_equal(refusal.current, 2);
    weir_session *first = find(&fixture, "x");
    assert_int_equal(weir_channel_leave(channel, first), WEIR_OK);
    weir_session *last = find(&fixture, "z");
    assert_int_equal(weir_channel_join(channel, last, NULL), WEIR_OK);
    weir_session_release(first);
    weir_session_release(last);
    weir_channel_release(channel);
    weir_channel_release(third);
    fixture_close(&fixture);
}

static void retain_channel(void *context, weir_channel *channel) {
    weir_channel **kept = (weir_channel **)context;
    weir_channel_retain(channel);
    *kept = channel;
}

static void a_channel_may_be_retained_while_it_is_told(void **state) {
    (void)state;
    struct fixture fixture;
    weir_channel *kept = NULL;
    open_with(&fixture, WEIR_CHANNELS_SHARED);
    for (int ended = 0; ended < 2; ended++) {
        weir_session *session = fixture_session(&fixture, "s");
        weir_channel *channel = channel_of(&fixture, "c");
        assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
        weir_channel_release(channel);
        if (ended) assert_int_equal(weir_session_terminate(session), WEIR_OK);
        assert_int_equal(weir_session_leave_all(session, retain_channel, &kept), 1);
        size_t length;
        assert_memory_equal(weir_channel_name(kept, &length), "c", 1);
        assert_int_equal(weir_channel_members(kept), 0);
        weir_channel_release(kept);
        weir_session_release(session);
        assert_int_equal(stats_of(fixture.engine).channels, 0);
    }
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sub_03_the_limit_of_a_session_is_exact_and_leaving_makes_room),
        cmocka_unit_test(sub_06_removing_a_channel_clears_all_its_memberships),
        cmocka_unit_test(sub_07_leaving_all_tells_each_once_in_the_order_of_joining),
        cmocka_unit_test(ses_24_an_ended_session_tells_its_channels_once),
        cmocka_unit_test(a_session_that_the_sweep_ends_tells_its_channels_there),
        cmocka_unit_test(sub_08_an_exclusive_channel_moves_to_the_session_that_joins_last),
        cmocka_unit_test(sub_11_an_exclusive_channel_refuses_another_session),
        cmocka_unit_test(sub_09_joining_twice_takes_one_place_and_one_leave_clears_it),
        cmocka_unit_test(sub_10_both_counts_are_equal_whatever_was_done),
        cmocka_unit_test(c_11_a_new_attachment_leaves_all_channels_where_the_rules_say_so),
        cmocka_unit_test(a_channel_is_gone_when_nobody_holds_it_and_it_has_no_member),
        cmocka_unit_test(names_and_modes_that_are_none_are_refused),
        cmocka_unit_test(the_limits_of_channels_and_of_members_are_exact),
        cmocka_unit_test(a_channel_may_be_retained_while_it_is_told),
    };
    return RUN_TESTS(argc, argv, tests);
}
