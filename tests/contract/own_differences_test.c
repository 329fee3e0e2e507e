/* Where the systems differ, and the one rule that can be set to be like each of them. */
#include "support.h"

#include <weir_channel.h>

#include "notices.h"

#define DEPTH  2u
#define TTL_MS 10000u

static weir_config with_rules(weir_rules rules) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    config.queue_depth = 4;
    config.idle_ttl_ms = TTL_MS;
    config.rules = rules;
    return config;
}

/* ---- Sends and their consumers -------------------------------------------------------------------------------- */

static void c_04_a_send_to_an_unknown_session_is_an_error_or_ignored(void **state) {
    (void)state;
    for (int missing = WEIR_MISSING_ERROR; missing <= WEIR_MISSING_IGNORE; missing++) {
        struct fixture fixture;
        weir_session *session = NULL;
        weir_config config = with_rules((weir_rules){.missing = (weir_missing)missing});
        fixture_open(&fixture, &config);
        assert_int_equal(try_send(&fixture, "nobody", 1, NULL),
                         missing == WEIR_MISSING_IGNORE ? WEIR_OK : WEIR_NOT_FOUND);
        /* The engine itself says it either way. */
        assert_int_equal(weir_session_find(fixture.engine, "nobody", 6, NULL, &session), WEIR_NOT_FOUND);
        assert_int_equal(weir_session_remove(fixture.engine, "nobody", 6), WEIR_NOT_FOUND);
        fixture_close(&fixture);
    }
}

/* A consumer that has gone leaves its session, or takes it along with the publish that finds out; it is told once. */
static void c_05_a_consumer_that_has_gone_leaves_its_session_or_takes_it_along(void **state) {
    (void)state;
    for (int action = WEIR_CLOSED_DETACH; action <= WEIR_CLOSED_REMOVE; action++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        int removes = action == WEIR_CLOSED_REMOVE;
        weir_config config = with_rules((weir_rules){.closed_action = (weir_closed_action)action});
        config.observer = notices_observer(&notices);
        fixture_open(&fixture, &config);
        listener_attach(&fixture, &listener, "s", DEPTH);
        listener_leave(&listener);
        assert_true(is_known(&fixture, "s"));
        assert_int_equal(try_send(&fixture, "s", 1, NULL), removes ? WEIR_CLOSED : WEIR_OK);
        assert_int_equal(is_known(&fixture, "s"), !removes);
        assert_int_equal(try_send(&fixture, "s", 2, NULL), removes ? WEIR_NOT_FOUND : WEIR_OK);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_CLOSED, "s"), 1);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_ENDED, "s"), removes);
        assert_int_equal(stats_of(fixture.engine).evicted_peer, removes);
        fixture_close(&fixture);
    }
}

/* One that the session's live queue is for, who displaces the one before; and beside it any number who look on. */
static void c_12_one_consumer_is_attached_and_many_subscribe(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener first;
    struct listener second;
    weir_cursor others[5];
    weir_config config = with_rules((weir_rules){.full_action = WEIR_POLICY_DETACH});
    fixture_open(&fixture, &config);
    listener_attach(&fixture, &first, "s", DEPTH);
    for (int i = 0; i < 5; i++)
        others[i] = subscribe(first.session, WEIR_START_NOW, WEIR_POLICY_STANDARD, 0, WEIR_OK);
    listener_attach(&fixture, &second, "s", DEPTH);
    assert_int_equal(info_of(first.session).subscribers, 6);
    send_number(&fixture, "s", 1);
    expect_over(&first, WEIR_END, WEIR_ENDED_DISPLACED);
    expect_live(&second, 1, 1);
    for (int i = 0; i < 5; i++) {
        expect_numbers(first.session, &others[i], 1, 1, WEIR_EMPTY);
        weir_unsubscribe(first.session, &others[i]);
    }
    listener_leave(&first);
    listener_leave(&second);
    fixture_close(&fixture);
}

/* What became of a publish is told apart from whether it was one: all that the systems return is in here. */
static void c_27_a_receipt_has_sequence_stored_and_live(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_receipt receipt;
    weir_config config = with_rules((weir_rules){.full_action = WEIR_POLICY_DETACH});
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    static const weir_live lives[] = {WEIR_LIVE_NONE, WEIR_LIVE_ACCEPTED, WEIR_LIVE_ACCEPTED, WEIR_LIVE_FULL,
                                      WEIR_LIVE_CLOSED};
    for (uint64_t i = 0; i < 5; i++) {
        if (i == 1) listener_attach(&fixture, &listener, "s", DEPTH);
        assert_int_equal(try_send(&fixture, "s", i + 1, &receipt), WEIR_OK);
        assert_int_equal(receipt.sequence, i + 1);
        assert_int_equal(receipt.stored, 1);
        assert_int_equal(receipt.live, lives[i]);
        assert_int_equal(receipt.generation, i == 0 ? 0 : listener.cursor.generation);
    }
    listener_leave(&listener);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- Attaching again ------------------------------------------------------------------------------------------ */

/* Ring and sequence stay whatever the rules; the counts begin anew; who is displaced is told so. The channels are the
 * session's, and stay where no rule says otherwise. */
static void c_11_attaching_again_keeps_the_ring_and_resets_the_counts(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener first;
    struct listener second;
    weir_channel *channel;
    weir_attachment_info info;
    weir_config config = with_rules((weir_rules){.full_action = WEIR_POLICY_REFUSE, .full_total_max = 50});
    config.rules.full_consecutive_max = 10;
    fixture_open(&fixture, &config);
    listener_attach(&fixture, &first, "s", 1);
    send_number(&fixture, "s", 1);
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_FULL);
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, first.session, NULL), WEIR_OK);
    listener_attach(&fixture, &second, "s", 1);
    assert_int_equal(weir_channel_members(channel), 1);
    weir_channel_release(channel);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 0);
    send_number(&fixture, "s", 2);
    expect_replay_all(&fixture, "s", 1, 2);
    expect_number(first.session, &first.cursor, 1);
    expect_over(&first, WEIR_END, WEIR_ENDED_DISPLACED);
    listener_leave(&first);
    listener_leave(&second);
    fixture_close(&fixture);
}

/* ---- Rings ---------------------------------------------------------------------------------------------------- */

/* Any number, exactly, and none at all, where reserving a session to keep events makes no sense and is not done. */
static void c_13_a_ring_keeps_any_number_exactly_or_nothing(void **state) {
    (void)state;
    const uint32_t capacities[] = {0, 1, 2, 3, 5, 7, 100, 256, 257};
    for (int c = 0; c < 9; c++) {
        struct fixture fixture;
        uint64_t kept = capacities[c];
        weir_config config = with_rules((weir_rules){.missing = WEIR_MISSING_ERROR});
        config.replay_capacity = kept == 0 ? WEIR_NONE : capacities[c];
        fixture_open(&fixture, &config);
        assert_int_equal(pre_register(&fixture, "reserved"), kept > 0);
        weir_session *session = fixture_session(&fixture, "s");
        assert_int_equal(info_of(session).replay_capacity, kept);
        publish_numbers(&fixture, session, 2 * kept + 3);
        expect_replay_all(&fixture, "s", kept + 4, 2 * kept + 3);
        weir_session_release(session);
        fixture_close(&fixture);
    }
    weir_config config = WEIR_CONFIG_INIT;
    struct fixture fixture;
    fixture_open(&fixture, &config);
    assert_int_equal(weir_engine_config(fixture.engine)->replay_capacity, 256);
    fixture_close(&fixture);
}

/* A session that is gone is gone: no memory of it answers, whatever took it away. */
static void c_15_a_session_is_forgotten_at_once(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = with_rules((weir_rules){.missing = WEIR_MISSING_ERROR});
    fixture_open(&fixture, &config);
    for (int by_sweep = 0; by_sweep <= 1; by_sweep++) {
        weir_session_release(fixture_session(&fixture, "s"));
        send_number(&fixture, "s", 1);
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
        if (by_sweep)
            assert_int_equal(sweep_for(&fixture, 0, 0).count, 1);
        else
            assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
        assert_false(is_known(&fixture, "s"));
        assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_NOT_FOUND);
        expect_replay_empty(&fixture, "s");
        assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_NOT_FOUND);
    }
    fixture_close(&fixture);
}

/* WK-23: a heartbeat is an event like others only where that is asked for; else it takes no place in the ring and no id. */
static void c_16_heartbeats_take_a_place_in_the_ring_only_on_request(void **state) {
    (void)state;
    for (int mode = WEIR_HEARTBEAT_EPHEMERAL; mode <= WEIR_HEARTBEAT_COMMENT; mode++) {
        struct fixture fixture;
        int sequenced = mode == WEIR_HEARTBEAT_SEQUENCED;
        weir_config config = with_rules((weir_rules){.heartbeat = (weir_heartbeat)mode});
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        publish_numbers(&fixture, session, 4);
        int published = 7;
        assert_int_equal(weir_heartbeat_publish(fixture.producer, session, NULL, 0, &published), WEIR_OK);
        assert_int_equal(published, sequenced);
        assert_int_equal(info_of(session).newest, sequenced ? 5 : 4);
        assert_int_equal(info_of(session).oldest, sequenced ? 2 : 1);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- Names and owners ----------------------------------------------------------------------------------------- */

/* WK-23: names are the caller's, or made here and not to be guessed; either way one finds a session by nothing else. */
static void c_18_names_are_the_callers_or_made_here(void **state) {
    (void)state;
    for (int mode = WEIR_NAMES_CALLER; mode <= WEIR_NAMES_SERVER; mode++) {
        struct fixture fixture;
        weir_session *named = NULL;
        weir_session *made = NULL;
        weir_config config = with_rules((weir_rules){.id_mode = (weir_id_mode)mode});
        fixture_open(&fixture, &config);
        int server = mode == WEIR_NAMES_SERVER;
        assert_int_equal(weir_session_create(fixture.engine, "mine", 4, NULL, &named, NULL),
                         server ? WEIR_INVALID : WEIR_OK);
        if (!server) {
            weir_session *again = NULL;
            assert_int_equal(weir_session_create(fixture.engine, "mine", 4, NULL, &again, NULL), WEIR_BUSY);
            weir_session_release(named);
        }
        assert_int_equal(is_known(&fixture, "mine"), !server);
        assert_int_equal(weir_session_create(fixture.engine, NULL, 0, NULL, &made, NULL), WEIR_OK);
        assert_int_equal(info_of(made).name_length, 36);
        weir_session *found = NULL;
        assert_int_equal(weir_session_find(fixture.engine, info_of(made).name, 36, NULL, &found), WEIR_OK);
        assert_ptr_equal(made, found);
        weir_session_release(found);
        weir_session_release(made);
        fixture_close(&fixture);
    }
}

/* How much of a server one principal may take is bounded, and the refusal says by what. */
static void wk_23_sessions_are_bounded_in_all_and_by_principal(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[4] = {NULL};
    weir_refusal refusal;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 4;
    config.max_principal_sessions = 2;
    fixture_open(&fixture, &config);
    const weir_owner alice = {.principal = "alice", .principal_length = 5};
    const weir_owner bob = {.principal = "bob", .principal_length = 3};
    weir_session *refused = NULL;
    for (int i = 0; i < 2; i++)
        assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &alice, &sessions[i], NULL), WEIR_OK);
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &alice, &refused, &refusal), WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(refusal.status, WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(refusal.limit, 2);
    assert_int_equal(refusal.current, 2);
    for (int i = 2; i < 4; i++)
        assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &bob, &sessions[i], NULL), WEIR_OK);
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, NULL, &refused, &refusal), WEIR_SESSIONS_LIMIT);
    assert_int_equal(refusal.status, WEIR_SESSIONS_LIMIT);
    assert_int_equal(refusal.limit, 4);
    /* All places are taken, and by owners: what is in alice's and carol's way is told all the same. */
    const weir_owner carol = {.principal = "carol", .principal_length = 5};
    weir_session_info info;
    weir_session_info_get(sessions[0], &info);
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &alice, &refused, &refusal), WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(weir_session_create(fixture.engine, info.name, info.name_length, &carol, &refused, NULL),
                     WEIR_BUSY);
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &carol, &refused, &refusal), WEIR_SESSIONS_LIMIT);
    assert_int_equal(weir_session_terminate(sessions[0]), WEIR_OK);
    weir_session_release(sessions[0]);
    assert_int_equal(weir_session_create(fixture.engine, NULL, 0, &alice, &sessions[0], NULL), WEIR_OK);
    for (int i = 0; i < 4; i++)
        weir_session_release(sessions[i]);
    fixture_close(&fixture);
}

/* WK-21: what a client presents as a session and is none, is not one: unknown, never none at all. */
static void wk_21_a_session_id_that_is_no_name_is_an_unknown_one(void **state) {
    (void)state;
    static const char *const texts[] = {"\xC3\xA9t\xC3\xA9", "a\001b", "a b", "a\"b", "%41", "\x7F"};
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_MCP, config);
    for (int i = 0; i < 6; i++) {
        const char *name;
        size_t length;
        weir_session *session;
        assert_int_equal(weir_session_name_parse(texts[i], strlen(texts[i]), &name, &length), WEIR_OK);
        assert_int_equal(weir_session_find(fixture.engine, name, length, NULL, &session), WEIR_NOT_FOUND);
    }
    assert_int_equal(stats_of(fixture.engine).sessions_created, 0);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(c_04_a_send_to_an_unknown_session_is_an_error_or_ignored),
        cmocka_unit_test(c_05_a_consumer_that_has_gone_leaves_its_session_or_takes_it_along),
        cmocka_unit_test(c_12_one_consumer_is_attached_and_many_subscribe),
        cmocka_unit_test(c_27_a_receipt_has_sequence_stored_and_live),
        cmocka_unit_test(c_11_attaching_again_keeps_the_ring_and_resets_the_counts),
        cmocka_unit_test(c_13_a_ring_keeps_any_number_exactly_or_nothing),
        cmocka_unit_test(c_15_a_session_is_forgotten_at_once),
        cmocka_unit_test(c_16_heartbeats_take_a_place_in_the_ring_only_on_request),
        cmocka_unit_test(c_18_names_are_the_callers_or_made_here),
        cmocka_unit_test(wk_23_sessions_are_bounded_in_all_and_by_principal),
        cmocka_unit_test(wk_21_a_session_id_that_is_no_name_is_an_unknown_one),
    };
    return RUN_TESTS(argc, argv, tests);
}
