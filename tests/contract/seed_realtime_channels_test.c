/* The realtime session server, its subscriptions and deltas: the tests of that system by their names, under
 * WEIR_PRESET_REALTIME. A subscription is a channel with one member. */
#include "realtime.h"

#include <stdio.h>

#define DEPTH 8u

/* ---- Subscriptions ---------------------------------------------------------------------------------------------- */

/* Adds a subscription to a session, both by name: first whether there is such a session, then its limit (SUB-04). */
static int add_subscription(struct fixture *fixture, const char *name, const char *id, weir_refusal *refusal) {
    weir_session *session;
    weir_channel *channel;
    int status = weir_session_find(fixture->engine, name, strlen(name), NULL, &session);
    if (status != WEIR_OK) return status;
    assert_int_equal(weir_channel_open(fixture->engine, id, strlen(id), WEIR_OPEN_OR_CREATE, &channel, NULL),
                     WEIR_OK);
    status = weir_channel_join(channel, session, refusal);
    weir_channel_release(channel);
    weir_session_release(session);
    return status;
}

static int remove_subscription(struct fixture *fixture, const char *id) {
    return weir_channel_remove(fixture->engine, id, strlen(id));
}

/* Names of channels, in the order they were told. */
struct told {
    uint32_t count;
    char names[8][WEIR_NAME_MAX + 1];
};

static void note_channel(void *context, weir_channel *channel) {
    struct told *told = (struct told *)context;
    size_t length;
    const char *name = weir_channel_name(channel, &length);
    assert_true(told->count < 8);
    memcpy(told->names[told->count], name, length);
    told->names[told->count++][length] = '\0';
}

static struct told subscriptions_of(weir_session *session) {
    struct told told;
    memset(&told, 0, sizeof(told));
    weir_session_channels(session, note_channel, &told);
    return told;
}

static void check_counts(struct fixture *fixture, uint64_t sessions, uint64_t subscriptions) {
    weir_stats stats = stats_of(fixture->engine);
    assert_int_equal(stats.sessions, sessions);
    assert_int_equal(stats.memberships, subscriptions); /* by session */
    assert_int_equal(stats.channels, subscriptions);    /* by subscription, of one session each */
}

/* SUB-01 */
static void test_realtime_config_default(void **state) {
    (void)state;
    struct fixture fixture;
    open_server(&fixture, 0);
    assert_int_equal(weir_engine_config(fixture.engine)->max_session_channels, 100);
    fixture_close(&fixture);
    fixture_open(&fixture, NULL);
    assert_int_equal(weir_engine_config(fixture.engine)->max_session_channels, 100);
    fixture_close(&fixture);
    char id[16];
    struct listener listener;
    open_server(&fixture, 0);
    listener_attach(&fixture, &listener, "s", DEPTH);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof(id), "sub-%d", i);
        assert_int_equal(add_subscription(&fixture, "s", id, NULL), WEIR_OK);
    }
    assert_int_equal(add_subscription(&fixture, "s", "one-more", NULL), WEIR_JOINS_LIMIT);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SUB-05, SUB-06, SUB-10, STA-03 */
static void test_session_subscription(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_server(&fixture, 0);
    listener_attach(&fixture, &listener, "s", DEPTH);
    check_counts(&fixture, 1, 0);
    assert_int_equal(add_subscription(&fixture, "s", "sub-1", NULL), WEIR_OK);
    check_counts(&fixture, 1, 1);
    assert_int_equal(add_subscription(&fixture, "s", "sub-2", NULL), WEIR_OK);
    check_counts(&fixture, 1, 2);
    assert_int_equal(stats_of(fixture.engine).node_id, 0x1122334455667788u);
    assert_int_equal(info_of(listener.session).channels, 2);
    assert_int_equal(remove_subscription(&fixture, "sub-1"), WEIR_OK);
    check_counts(&fixture, 1, 1);
    struct told told = subscriptions_of(listener.session);
    assert_int_equal(told.count, 1);
    assert_string_equal(told.names[0], "sub-2");
    assert_int_equal(remove_subscription(&fixture, "sub-2"), WEIR_OK);
    check_counts(&fixture, 1, 0);
    assert_int_equal(info_of(listener.session).channels, 0);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SUB-03, SUB-04 */
static void test_session_subscription_limit(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_refusal refusal;
    open_server(&fixture, 2);
    listener_attach(&fixture, &listener, "s", DEPTH);
    assert_int_equal(add_subscription(&fixture, "s", "sub-1", NULL), WEIR_OK);
    assert_int_equal(add_subscription(&fixture, "s", "sub-2", NULL), WEIR_OK);
    for (int again = 0; again < 3; again++) {
        memset(&refusal, 0, sizeof(refusal));
        assert_int_equal(add_subscription(&fixture, "s", "sub-3", &refusal), WEIR_JOINS_LIMIT);
        assert_int_equal(refusal.status, WEIR_JOINS_LIMIT);
        assert_int_equal(refusal.limit, 2);
        assert_int_equal(refusal.current, 2);
        check_counts(&fixture, 1, 2);
        assert_int_equal(subscriptions_of(listener.session).count, 2);
    }
    assert_int_equal(remove_subscription(&fixture, "sub-1"), WEIR_OK); /* and there is room for one */
    assert_int_equal(add_subscription(&fixture, "s", "sub-3", NULL), WEIR_OK);
    listener_leave(&listener);
    fixture_close(&fixture);

    open_server(&fixture, WEIR_NONE);
    listener_attach(&fixture, &listener, "s", DEPTH);
    assert_int_equal(add_subscription(&fixture, "s", "sub-1", &refusal), WEIR_JOINS_LIMIT);
    assert_int_equal(refusal.limit, 0);
    check_counts(&fixture, 1, 0);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SUB-10, STA-01, STA-02 */
static void test_session_stats(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_server(&fixture, 0);
    listener_attach(&fixture, &listener, "s", DEPTH);
    assert_int_equal(add_subscription(&fixture, "s", "sub-1", NULL), WEIR_OK);
    assert_int_equal(add_subscription(&fixture, "s", "sub-2", NULL), WEIR_OK);
    check_counts(&fixture, 1, 2);
    assert_int_equal(info_of(listener.session).channels, 2);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SES-24, BKP-10, SUB-07 */
static void remove_connection_purges_subscription_mappings(void **state) {
    (void)state;
    static const char *const ids[] = {"zebra", "ant", "mole"};
    struct fixture fixture;
    struct listener listener;
    struct listener other;
    struct told told;
    weir_broadcast result;
    const weir_message message = {.data = "x", .length = 1};
    open_server(&fixture, 0);
    listener_attach(&fixture, &listener, "s", DEPTH);
    listener_attach(&fixture, &other, "other", DEPTH);
    for (int i = 0; i < 3; i++)
        assert_int_equal(add_subscription(&fixture, "s", ids[i], NULL), WEIR_OK);
    assert_int_equal(add_subscription(&fixture, "other", "kept", NULL), WEIR_OK);
    check_counts(&fixture, 2, 4);
    memset(&told, 0, sizeof(told));
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
    assert_int_equal(weir_session_leave_all(listener.session, note_channel, &told), 3);
    assert_int_equal(told.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(told.names[i], ids[i]); /* in the order of adding */
        assert_int_equal(weir_channel_send(fixture.producer, ids[i], strlen(ids[i]), &message, &result), WEIR_OK);
        assert_int_equal(result.members, 0);
    }
    assert_int_equal(stats_of(fixture.engine).memberships, 1);
    assert_int_equal(weir_session_leave_all(listener.session, note_channel, &told), 0); /* a second time: none */
    assert_int_equal(told.count, 3);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_NOT_FOUND);
    assert_int_equal(subscriptions_of(other.session).count, 1);
    listener_leave(&listener);
    check_counts(&fixture, 1, 1);
    listener_leave(&other);
    fixture_close(&fixture);
}

/* SUB-02, SUB-04 */
static void add_subscription_to_unknown_session_errors(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_channel *channel;
    open_server(&fixture, WEIR_NONE); /* the session is missed before the limit is */
    assert_int_equal(add_subscription(&fixture, "nobody", "sub-1", NULL), WEIR_NOT_FOUND);
    check_counts(&fixture, 0, 0);
    fixture_close(&fixture);

    open_server(&fixture, 0); /* and a session that has ended is no better, for who still has its handle */
    listener_attach(&fixture, &listener, "s", DEPTH);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
    assert_int_equal(weir_channel_open(fixture.engine, "sub-1", 5, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, listener.session, NULL), WEIR_CLOSED);
    assert_int_equal(weir_channel_members(channel), 0);
    weir_channel_release(channel);
    check_counts(&fixture, 0, 0);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SUB-06 */
static void remove_unknown_subscription_is_noop(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_server(&fixture, 0);
    assert_int_equal(remove_subscription(&fixture, "never"), WEIR_NOT_FOUND);
    listener_attach(&fixture, &listener, "s", DEPTH);
    assert_int_equal(add_subscription(&fixture, "s", "sub-1", NULL), WEIR_OK);
    assert_int_equal(remove_subscription(&fixture, "never"), WEIR_NOT_FOUND);
    check_counts(&fixture, 1, 1);
    assert_int_equal(remove_subscription(&fixture, "sub-1"), WEIR_OK);
    assert_int_equal(remove_subscription(&fixture, "sub-1"), WEIR_NOT_FOUND);
    check_counts(&fixture, 1, 0);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* ---- Deltas ----------------------------------------------------------------------------------------------------- */

/* BRD-01 */
static void broadcast_delta_routes_to_subscribed_session(void **state) {
    (void)state;
    static const char *const deltas[] = {"{\"subscription_id\":\"sub-1\",\"delta\":{\"added\":[{\"id\":1}]}}",
                                         "{\"subscription_id\":\"sub-1\",\"delta\":{\"added\":[]}}"};
    struct fixture fixture;
    struct listener subscribed;
    struct listener other;
    uint64_t last = 0;
    open_server(&fixture, 0);
    listener_attach(&fixture, &subscribed, "subscribed", DEPTH);
    listener_attach(&fixture, &other, "other", DEPTH);
    assert_int_equal(add_subscription(&fixture, "subscribed", "sub-1", NULL), WEIR_OK);
    assert_int_equal(add_subscription(&fixture, "other", "sub-2", NULL), WEIR_OK);
    for (int i = 0; i < 2; i++) {
        weir_message message = {.data = deltas[i], .length = strlen(deltas[i])};
        weir_broadcast result;
        char buffer[128];
        weir_event event;
        weir_gap gap;
        size_t length;
        assert_int_equal(weir_kind(fixture.engine, "DeltaUpdate", 11, &message.kind), WEIR_OK);
        assert_int_equal(weir_channel_send(fixture.producer, "sub-1", 5, &message, &result), WEIR_OK);
        assert_int_equal(result.members, 1);
        assert_int_equal(result.accepted, 1);
        assert_true(result.number > last);
        last = result.number;
        assert_int_equal(weir_read(subscribed.session, &subscribed.cursor, buffer, sizeof(buffer), &event, &gap),
                         WEIR_OK);
        assert_int_equal(event.length, strlen(deltas[i]));
        assert_memory_equal(buffer, deltas[i], event.length);
        assert_int_equal(event.broadcast, result.number);
        assert_memory_equal(weir_kind_name(fixture.engine, event.kind, &length), "DeltaUpdate", 11);
        assert_int_equal(length, 11);
        expect_nothing(&subscribed);
        expect_nothing(&other);
    }
    listener_leave(&subscribed);
    listener_leave(&other);
    fixture_close(&fixture);
}

/* BRD-02 */
static void broadcast_delta_without_subscription_is_noop(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_broadcast result;
    const weir_message message = {.data = "{}", .length = 2};
    open_server(&fixture, 0);
    listener_attach(&fixture, &listener, "s", DEPTH);
    for (int again = 0; again < 2; again++) {
        memset(&result, 0xFF, sizeof(result));
        assert_int_equal(weir_channel_send(fixture.producer, "sub-1", 5, &message, &result), WEIR_OK);
        assert_int_equal(result.number, 0);
        assert_int_equal(result.members, 0);
        assert_int_equal(result.accepted, 0);
        assert_int_equal(result.full, 0);
        assert_int_equal(result.ended, 0);
        expect_nothing(&listener);
        assert_int_equal(stats_of(fixture.engine).channels, 0);
        if (again) break;
        assert_int_equal(add_subscription(&fixture, "s", "sub-1", NULL),
                         WEIR_OK); /* and one that was there and left */
        assert_int_equal(remove_subscription(&fixture, "sub-1"), WEIR_OK);
    }
    listener_leave(&listener);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_realtime_config_default),
        cmocka_unit_test(test_session_subscription),
        cmocka_unit_test(test_session_subscription_limit),
        cmocka_unit_test(test_session_stats),
        cmocka_unit_test(remove_connection_purges_subscription_mappings),
        cmocka_unit_test(add_subscription_to_unknown_session_errors),
        cmocka_unit_test(remove_unknown_subscription_is_noop),
        cmocka_unit_test(broadcast_delta_routes_to_subscribed_session),
        cmocka_unit_test(broadcast_delta_without_subscription_is_noop),
    };
    return RUN_TESTS(argc, argv, tests);
}
