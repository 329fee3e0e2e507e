/* The realtime session server, its connections, pushes, tokens and sweeps: the tests of that system by their names, under
 * WEIR_PRESET_REALTIME. Subscriptions and deltas are seed_realtime_channels_test.c. */
#include "realtime.h"

#define SECONDS_30_DAYS (30ull * 24 * 3600)

/* Registers with a queue of `depth` and a token, 0 for none. */
static void register_connection(struct fixture *fixture, struct listener *listener, const char *name, uint32_t depth,
                                uint64_t token_expiry_s) {
    weir_subscription how = from_now(fixture, depth);
    how.token_expiry_s = token_expiry_s;
    assert_int_equal(listener_attach_as(fixture, listener, name, &how), WEIR_OK);
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

/* SES-21, STA-03 */
static void test_session_server_creation(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    assert_int_equal(weir_preset(WEIR_PRESET_REALTIME, &config), WEIR_OK);
    config.max_session_channels = 7;
    config.queue_depth = 33;
    config.node_id = 77;
    fixture_open(&fixture, &config);
    config.max_session_channels = 8; /* the caller's copy, not the server's */
    assert_int_equal(weir_engine_config(fixture.engine)->max_session_channels, 7);
    assert_int_equal(weir_engine_config(fixture.engine)->queue_depth, 33);
    weir_config before = *weir_engine_config(fixture.engine);
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.node_id, 77);
    assert_int_equal(weir_engine_config(fixture.engine)->node_id, 77);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.memberships, 0);
    assert_int_equal(stats.channels, 0);
    struct listener listener;
    register_connection(&fixture, &listener, "s", 1, 0);
    assert_memory_equal(weir_engine_config(fixture.engine), &before, sizeof(before));
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* SES-22, SES-24, SES-25 */
static void test_session_connection(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    open_server(&fixture, 0);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    register_connection(&fixture, &listener, "s", 8, 0);
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.queue_depth, 8);
    assert_int_equal(info.backlog, 0);
    assert_int_equal(info.connected_wall_s, wall_s(&fixture));
    assert_int_equal(info.active_wall_s, wall_s(&fixture));
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 0);
    assert_int_equal(info.token_expiry_s, 0);
    assert_int_equal(info_of(listener.session).channels, 0);
    assert_int_equal(weir_session_leave_all(listener.session, NULL, NULL), 0);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_NOT_FOUND);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* ---- Pushes ----------------------------------------------------------------------------------------------------- */

/* LIV-02, LIV-03, LIV-11, BKP-08 */
static void test_try_send_backpressure(void **state) {
    (void)state;
    const uint32_t depths[] = {1, 2, 16};
    for (int d = 0; d < 3; d++) {
        struct fixture fixture;
        struct listener listener;
        weir_attachment_info info;
        open_server(&fixture, 0);
        register_connection(&fixture, &listener, "s", depths[d], 0);
        for (uint64_t i = 1; i <= depths[d]; i++)
            assert_int_equal(push(&fixture, "s", i), WEIR_OK);
        uint64_t published = stats_of(fixture.engine).published;
        assert_int_equal(push(&fixture, "s", 1000), WEIR_FULL);
        assert_int_equal(stats_of(fixture.engine).published, published);
        assert_true(is_known(&fixture, "s"));
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
        assert_int_equal(info.backlog, depths[d]);
        expect_live(&listener, 1, depths[d]); /* the refused one is lost */
        assert_int_equal(push(&fixture, "s", depths[d] + 1), WEIR_OK);
        expect_live(&listener, depths[d] + 1, depths[d] + 1);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* LIV-11 */
static void try_send_to_missing_session_returns_not_found(void **state) {
    (void)state;
    struct fixture fixture;
    open_server(&fixture, 0);
    assert_int_equal(push(&fixture, "nobody", 1), WEIR_NOT_FOUND);
    assert_int_equal(stats_of(fixture.engine).sessions_created, 0);
    fixture_close(&fixture);
}

/* LIV-11, LIV-13 */
static void try_send_to_closed_sender_returns_closed_and_evicts(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_channel *channel;
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 4, 0);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, listener.session, NULL), WEIR_OK);
    weir_channel_release(channel);
    listener_leave(&listener); /* the receiver is dropped */
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    assert_int_equal(push(&fixture, "s", 1), WEIR_CLOSED);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    assert_int_equal(stats_of(fixture.engine).evicted_peer, 1);
    assert_int_equal(push(&fixture, "s", 1), WEIR_NOT_FOUND);
    fixture_close(&fixture);
}

/* SES-25, LIV-11, BKP-04, BKP-06, BKP-08, BKP-09, BKP-10 */
static void backpressure_evicts_after_max_consecutive_drops(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    struct listener other;
    weir_channel *channel;
    weir_attachment_info info;
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 1, 0);
    register_connection(&fixture, &other, "other", 1, 0);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, listener.session, NULL), WEIR_OK);
    assert_int_equal(push(&fixture, "s", 1), WEIR_OK);
    for (uint32_t full = 1; full <= 10; full++) {
        assert_int_equal(push(&fixture, "s", 2), WEIR_FULL);
        assert_int_equal(stats_of(fixture.engine).sessions, 2);
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
        assert_int_equal(info.drops_consecutive, full);
        assert_int_equal(info.drops_total, full);
    }
    assert_int_equal(push(&fixture, "s", 2), WEIR_EVICTED);
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    assert_false(is_known(&fixture, "s"));
    assert_int_equal(push(&fixture, "s", 2), WEIR_NOT_FOUND);
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    assert_int_equal(weir_channel_members(channel), 0);
    assert_int_equal(stats_of(fixture.engine).evicted_overflow, 1);
    expect_number(listener.session, &listener.cursor, 1); /* what was queued, and then that it lagged */
    expect_over(&listener, WEIR_LAGGED, WEIR_ENDED_OVERFLOW);
    assert_int_equal(push(&fixture, "other", 1), WEIR_OK); /* nobody else's business */
    weir_channel_release(channel);
    listener_leave(&listener);
    listener_leave(&other);
    fixture_close(&fixture);
}

/* LIV-12, BKP-07 */
static void drop_counter_resets_on_successful_send(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 1, 0);
    uint64_t active = wall_s(&fixture);
    assert_int_equal(push(&fixture, "s", 1), WEIR_OK);
    for (uint64_t round = 1; round <= 3; round++) {
        for (int full = 0; full < 10; full++) {
            advance_s(&fixture, 1);
            assert_int_equal(push(&fixture, "s", round + 1), WEIR_FULL);
            assert_int_equal(last_active_s(&fixture, "s"), active); /* a failure is no sign of life */
        }
        expect_number(listener.session, &listener.cursor, round);
        active = wall_s(&fixture);
        assert_int_equal(push(&fixture, "s", round + 1), WEIR_OK);
        assert_int_equal(last_active_s(&fixture, "s"), active);
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
        assert_int_equal(info.drops_consecutive, 0);
        assert_int_equal(info.drops_total, 10 * round);
    }
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* BKP-05, BKP-06, BKP-07: six rounds of one accepted and nine full; the 51st full of all is the sixth of the last round. */
static void total_drops_evicts_intermittently_slow_client(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    struct listener again;
    weir_attachment_info info;
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 1, 0);
    int fulls = 0;
    int status = WEIR_OK;
    for (uint64_t round = 1; round <= 6; round++) {
        if (round > 1) expect_number(listener.session, &listener.cursor, round - 1);
        assert_int_equal(push(&fixture, "s", round), WEIR_OK);
        for (int full = 1; full <= 9 && status != WEIR_EVICTED; full++) {
            status = push(&fixture, "s", 1000);
            fulls++;
            assert_int_equal(status, fulls == 51 ? WEIR_EVICTED : WEIR_FULL);
            if (status == WEIR_EVICTED) assert_true(round == 6 && full == 6);
        }
    }
    assert_int_equal(fulls, 51);
    assert_false(is_known(&fixture, "s"));
    register_connection(&fixture, &again, "s", 1, 0); /* who registers anew begins with both counts at 0 */
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 0);
    listener_leave(&listener);
    listener_leave(&again);
    fixture_close(&fixture);
}

/* ---- The send that waits ---------------------------------------------------------------------------------------- */

/* LIV-14, LIV-15 */
static void send_to_session_delivers_message(void **state) {
    (void)state;
    static const char text[] = "{\"client_sub_id\":\"c\",\"job\":{\"job_id\":\"j\",\"progress\":null}}";
    struct fixture fixture;
    struct listener listener;
    weir_receipt receipt;
    char buffer[128];
    weir_event event;
    weir_gap gap;
    size_t length;
    weir_message message = {.data = text, .length = sizeof(text) - 1};
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 1, 0);
    assert_int_equal(weir_kind(fixture.engine, "JobUpdate", 9, &message.kind), WEIR_OK);
    weir_session *session = find(&fixture, "s");
    assert_int_equal(weir_offer_wait(fixture.producer, session, &message, UINT64_MAX, &receipt), WEIR_OK);
    assert_int_equal(receipt.live, WEIR_LIVE_ACCEPTED);
    assert_int_equal(weir_read(listener.session, &listener.cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
    assert_int_equal(event.length, sizeof(text) - 1);
    assert_memory_equal(buffer, text, event.length);
    assert_memory_equal(weir_kind_name(fixture.engine, event.kind, &length), "JobUpdate", 9);
    assert_int_equal(length, 9);
    expect_nothing(&listener);
    weir_session_release(session);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* LIV-14 */
static void send_to_unknown_session_errors(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_session *session;
    const weir_message message = {.data = "x", .length = 1};
    open_server(&fixture, 0);
    assert_int_equal(weir_session_find(fixture.engine, "nobody", 6, NULL, &session), WEIR_NOT_FOUND);
    register_connection(&fixture, &listener, "s", 1, 0);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
    assert_int_equal(weir_session_find(fixture.engine, "s", 1, NULL, &session), WEIR_NOT_FOUND);
    /* Who still has the handle waits for nothing. */
    assert_int_equal(weir_offer_wait(fixture.producer, listener.session, &message, UINT64_MAX, NULL), WEIR_CLOSED);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* ---- Tokens ----------------------------------------------------------------------------------------------------- */

/* LIV-11, TOK-02, TOK-03 */
static void expired_token_session_is_evicted_on_push(void **state) {
    (void)state;
    for (uint64_t queued = 0; queued <= 1; queued++) {
        struct fixture fixture;
        struct listener listener;
        open_server(&fixture, 0);
        register_connection(&fixture, &listener, "s", 1, wall_s(&fixture));
        if (queued) assert_int_equal(push(&fixture, "s", 1), WEIR_OK); /* valid during the second that it names */
        advance_s(&fixture, 1);
        assert_int_equal(push(&fixture, "s", 2), WEIR_TOKEN_EXPIRED); /* full or not: the token comes first */
        assert_false(is_known(&fixture, "s"));
        assert_int_equal(push(&fixture, "s", 2), WEIR_NOT_FOUND);
        weir_stats stats = stats_of(fixture.engine);
        assert_int_equal(stats.evicted_token, 1);
        assert_int_equal(stats.live_full, 0);
        assert_int_equal(stats.sessions, 0);
        if (queued) expect_number(listener.session, &listener.cursor, 1);
        expect_over(&listener, WEIR_END, WEIR_ENDED_TOKEN); /* and never the refused one */
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* LIV-12, TOK-02, TOK-04 */
static void valid_token_session_is_not_evicted(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info info;
    open_server(&fixture, 0);
    uint64_t expiry = wall_s(&fixture) + 10;
    register_connection(&fixture, &listener, "s", 64, expiry);
    for (uint64_t second = 1; second <= 11; second++) {
        assert_int_equal(push(&fixture, "s", second), WEIR_OK);
        assert_true(is_known(&fixture, "s"));
        assert_int_equal(last_active_s(&fixture, "s"), wall_s(&fixture));
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
        assert_int_equal(info.token_expiry_s, expiry);
        if (second < 11) advance_s(&fixture, 1);
    }
    assert_int_equal(wall_s(&fixture), expiry); /* the last one was in the token's last second */
    expect_live(&listener, 1, 11);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* TOK-06, TOK-07, TOK-08, TOK-09 */
static void cleanup_expired_tokens_evicts_and_notifies(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener expired;
    struct listener full;
    struct listener later;
    struct listener anonymous;
    weir_channel *channel;
    open_server(&fixture, 0);
    register_connection(&fixture, &expired, "expired", 4, wall_s(&fixture) + 9);
    register_connection(&fixture, &full, "full", 1, wall_s(&fixture) + 9);
    register_connection(&fixture, &later, "later", 4, wall_s(&fixture) + 10);
    register_connection(&fixture, &anonymous, "anonymous", 4, 0);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, expired.session, NULL), WEIR_OK);
    assert_int_equal(push(&fixture, "full", 1), WEIR_OK);
    advance_s(&fixture, 10);
    struct swept swept = sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0);
    assert_int_equal(swept.count, 2);
    assert_true(was_swept(&swept, "expired", WEIR_ENDED_TOKEN));
    assert_true(was_swept(&swept, "full", WEIR_ENDED_TOKEN));
    assert_int_equal(stats_of(fixture.engine).sessions, 2);
    assert_int_equal(stats_of(fixture.engine).memberships, 0);
    assert_int_equal(weir_channel_members(channel), 0);
    assert_int_equal(push(&fixture, "expired", 2), WEIR_NOT_FOUND);
    expect_over(&expired, WEIR_END,
                WEIR_ENDED_TOKEN); /* readable though the session is gone, and with a full queue */
    expect_number(full.session, &full.cursor, 1);
    expect_over(&full, WEIR_END, WEIR_ENDED_TOKEN);
    assert_string_equal(weir_end_reason_name(WEIR_ENDED_TOKEN), "auth_failed");
    assert_non_null(strstr(weir_end_reason_text(WEIR_ENDED_TOKEN), "expired"));
    assert_int_equal(push(&fixture, "later", 1), WEIR_OK);
    assert_int_equal(push(&fixture, "anonymous", 1), WEIR_OK);
    weir_channel_release(channel);
    listener_leave(&expired);
    listener_leave(&full);
    listener_leave(&later);
    listener_leave(&anonymous);
    fixture_close(&fixture);
}

/* TOK-01, TOK-07 */
static void cleanup_expired_tokens_skips_unauthenticated_sessions(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_server(&fixture, 0);
    register_connection(&fixture, &listener, "s", 4, 0);
    advance_s(&fixture, 100ull * 365 * 86400);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
    assert_int_equal(push(&fixture, "s", 1), WEIR_OK);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* TOK-07 */
static void cleanup_expired_tokens_returns_empty_when_nothing_expired(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    open_server(&fixture, 0);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
    register_connection(&fixture, &listener, "s", 4, wall_s(&fixture) + 1);
    for (int second = 0; second <= 1; second++) {
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
        assert_int_equal(push(&fixture, "s", 1), WEIR_OK);
        if (second == 0) advance_s(&fixture, 1);
    }
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* ---- Idle sessions ---------------------------------------------------------------------------------------------- */

/* A sweep of who has been idle for longer than `max_idle_s` (C-26: a second more, for weir's limits are inclusive). */
static struct swept cleanup_stale(struct fixture *fixture, uint64_t max_idle_s) {
    return sweep_for(fixture, WEIR_SWEEP_IDLE, max_idle_s < UINT64_MAX / 1000 ? (max_idle_s + 1) * 1000 : UINT64_MAX);
}

/* TTL-06, TTL-07, CLK-06 */
static void cleanup_stale_evicts_only_idle_sessions(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener idle;
    struct listener active;
    struct listener refused;
    open_server(&fixture, 0);
    register_connection(&fixture, &idle, "idle", 4, 0);
    register_connection(&fixture, &active, "active", 4, 0);
    register_connection(&fixture, &refused, "refused", 1, 0);
    assert_int_equal(push(&fixture, "refused", 1), WEIR_OK);
    advance_s(&fixture, 60);
    assert_int_equal(push(&fixture, "active", 1), WEIR_OK);
    assert_int_equal(push(&fixture, "refused", 2), WEIR_FULL); /* active is who was pushed to, not who was tried */
    expect_nothing(&idle);                                     /* and reading is not being active */
    assert_int_equal(cleanup_stale(&fixture, 60).count, 0);
    advance_s(&fixture, 1);
    struct swept swept = cleanup_stale(&fixture, 60);
    assert_int_equal(swept.count, 2);
    assert_true(was_swept(&swept, "idle", WEIR_ENDED_EXPIRED));
    assert_true(was_swept(&swept, "refused", WEIR_ENDED_EXPIRED));
    expect_over(&idle, WEIR_END, WEIR_ENDED_EXPIRED);
    assert_true(is_known(&fixture, "active"));
    listener_leave(&idle);
    listener_leave(&refused);

    /* What no clock reaches is thirty days. */
    advance_s(&fixture, SECONDS_30_DAYS - 2);
    assert_int_equal(cleanup_stale(&fixture, UINT64_MAX).count, 0);
    advance_s(&fixture, 1);
    swept = cleanup_stale(&fixture, UINT64_MAX);
    assert_int_equal(swept.count, 1);
    assert_true(was_swept(&swept, "active", WEIR_ENDED_EXPIRED));
    listener_leave(&active);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session_server_creation),
        cmocka_unit_test(test_session_connection),
        cmocka_unit_test(test_try_send_backpressure),
        cmocka_unit_test(expired_token_session_is_evicted_on_push),
        cmocka_unit_test(valid_token_session_is_not_evicted),
        cmocka_unit_test(try_send_to_missing_session_returns_not_found),
        cmocka_unit_test(try_send_to_closed_sender_returns_closed_and_evicts),
        cmocka_unit_test(backpressure_evicts_after_max_consecutive_drops),
        cmocka_unit_test(drop_counter_resets_on_successful_send),
        cmocka_unit_test(total_drops_evicts_intermittently_slow_client),
        cmocka_unit_test(send_to_session_delivers_message),
        cmocka_unit_test(send_to_unknown_session_errors),
        cmocka_unit_test(cleanup_stale_evicts_only_idle_sessions),
        cmocka_unit_test(cleanup_expired_tokens_evicts_and_notifies),
        cmocka_unit_test(cleanup_expired_tokens_skips_unauthenticated_sessions),
        cmocka_unit_test(cleanup_expired_tokens_returns_empty_when_nothing_expired),
    };
    return RUN_TESTS(argc, argv, tests);
}
