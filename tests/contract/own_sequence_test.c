/* Sequences and replay: what no test of the other systems asserts. */
#include "support.h"

#include <stdio.h>

/* ---- Which sends take a number -------------------------------------------------------------------------------- */

static void seq_05_a_send_to_nobody_takes_no_number(void **state) {
    (void)state;
    const weir_preset_name presets[] = {WEIR_PRESET_SSE_REGISTRY, WEIR_PRESET_WEIR};
    for (int p = 0; p < 2; p++) {
        struct fixture fixture;
        weir_receipt receipt;
        const weir_message message = {.data = "x", .length = 1};
        weir_config config = WEIR_CONFIG_INIT;
        system_open(&fixture, presets[p], config);
        weir_session *session = fixture_session(&fixture, "s");
        uint64_t first = info_of(session).newest + 1;
        send_number(&fixture, "s", first);
        int unknown = presets[p] == WEIR_PRESET_SSE_REGISTRY ? WEIR_OK : WEIR_NOT_FOUND;
        assert_int_equal(weir_send(fixture.producer, "nobody", 6, &message, NULL), unknown);
        assert_int_equal(weir_send(fixture.producer, NULL, 0, &message, &receipt), WEIR_INVALID);
        assert_int_equal(weir_send(fixture.producer, "s", 0, &message, &receipt), WEIR_INVALID);
        assert_int_equal(info_of(session).newest, first);
        assert_int_equal(stats_of(fixture.engine).published, 1);
        assert_int_equal(stats_of(fixture.engine).sessions_created, 1); /* and it makes nobody known */
        send_number(&fixture, "s", first + 1);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* 64 bits of sequences cannot be used up: one starts below the upper half, of which the whole is left. */
static void seq_13_sequences_start_where_they_cannot_wrap(void **state) {
    (void)state;
    struct fixture fixture;
    weir_engine *engine;
    weir_config config = WEIR_CONFIG_INIT;
    config.first_sequence = UINT64_MAX / 2;
    assert_int_equal(weir_engine_create(&engine, &config), WEIR_INVALID);
    config.first_sequence = UINT64_MAX - 1;
    assert_int_equal(weir_engine_create(&engine, &config), WEIR_INVALID);
    config.first_sequence = UINT64_MAX / 2 - 1;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(publish_numbers(&fixture, session, 1000), UINT64_MAX / 2 + 998);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* C-01: where sequences begin is a choice, the library names positions without a magic number, and only in the text of a
 * bare id, where sequences begin at 1, does 0 stand for nothing seen. */
static void c_01_the_first_sequence_is_chosen_and_no_number_means_nothing_seen(void **state) {
    (void)state;
    for (uint64_t first = 0; first <= 1; first++) {
        struct fixture fixture;
        weir_cursor cursor;
        weir_gap gap;
        weir_config config = WEIR_CONFIG_INIT;
        config.first_sequence = first == 0 ? WEIR_FROM_ZERO : first;
        config.rules.id_form = WEIR_IDS_BARE;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        for (uint64_t sequence = first; sequence < first + 3; sequence++)
            send_number(&fixture, "s", sequence);
        const weir_subscription after_0 = {.start = WEIR_START_AFTER, .after = 0};
        assert_int_equal(weir_replay(session, &after_0, &cursor, &gap), WEIR_OK);
        assert_int_equal(cursor.next, 1); /* after the event 0, or before the first one: never a gap */
        const weir_subscription id_0 = {.last_id = "0", .last_id_length = 1};
        assert_int_equal(weir_replay(session, &id_0, &cursor, &gap), WEIR_OK);
        assert_int_equal(cursor.next, 1);
        const weir_subscription none = {.start = WEIR_START_OLDEST};
        assert_int_equal(weir_replay(session, &none, &cursor, &gap), WEIR_OK);
        assert_int_equal(cursor.next, first);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- Which events a replay gives ------------------------------------------------------------------------------ */

/* Keeps four events, and starts again with who is ahead. */
static void open_ring(struct fixture *fixture, weir_gap_signal signal) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    config.rules.gap_signal = signal;
    fixture_open(fixture, &config);
}

/* C-02, C-29: the events are those that are kept and above the last one seen, by the one rule; what lies between is
 * counted as a difference of sequences; and whether it is told is all that the systems differ in. */
static void rpl_06_one_rule_says_what_is_replayed_and_only_the_mark_differs(void **state) {
    (void)state;
    for (int signal = WEIR_GAP_SIGNAL_EVENT; signal <= WEIR_GAP_SIGNAL_OFF; signal++)
        for (uint64_t count = 1; count <= 9; count++) {
            struct fixture fixture;
            open_ring(&fixture, (weir_gap_signal)signal);
            weir_session *session = fixture_session(&fixture, "s");
            publish_numbers(&fixture, session, count);
            uint64_t oldest = count > 4 ? count - 3 : 1;
            uint64_t lost_in_all = 0;
            for (uint64_t last = 0; last <= count; last++) {
                weir_cursor cursor;
                weir_gap gap;
                const weir_subscription how = {.start = WEIR_START_AFTER, .after = last};
                uint64_t dropped = last + 1 < oldest ? oldest - last - 1 : 0;
                int status = weir_replay(session, &how, &cursor, &gap);
                assert_int_equal(status, dropped > 0 && signal == WEIR_GAP_SIGNAL_EVENT ? WEIR_GAP : WEIR_OK);
                assert_int_equal(gap.lost, dropped);
                if (dropped > 0) check_gap(&gap, last + 1, oldest - 1, WEIR_GAP_EVICTED, 1);
                expect_numbers(session, &cursor, last + 1 > oldest ? last + 1 : oldest, count, WEIR_EMPTY);
                lost_in_all += dropped;
            }
            assert_int_equal(stats_of(fixture.engine).lost, lost_in_all);
            weir_session_release(session);
            fixture_close(&fixture);
        }
}

/* C-22: a cursor from the future gets nothing and no error, where that is the rule, and goes on with what comes. */
static void rpl_07_a_cursor_ahead_of_the_newest_event_gets_nothing(void **state) {
    (void)state;
    const uint64_t ahead[] = {0, 1, 1000, UINT64_MAX / 2, UINT64_MAX - 9};
    for (int i = 0; i < 5; i++) {
        struct fixture fixture;
        weir_cursor cursor;
        weir_gap gap;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 4;
        system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);
        weir_session *session = fixture_session(&fixture, "s");
        send_numbers(&fixture, "s", 0, 8);
        const weir_subscription how = {.start = WEIR_START_AFTER, .after = 9 + ahead[i]};
        assert_int_equal(weir_replay(session, &how, &cursor, &gap), WEIR_OK);
        assert_int_equal(gap.reason, WEIR_GAP_AHEAD); /* no secret from who wants to know */
        assert_int_equal(gap.lost, 0);
        expect_status(session, &cursor, WEIR_EMPTY);
        assert_int_equal(weir_subscribe(session, &how, &cursor, &gap), WEIR_OK);
        expect_status(session, &cursor, WEIR_EMPTY);
        send_number(&fixture, "s", 9);
        expect_numbers(session, &cursor, 9, 9, WEIR_EMPTY);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* C-22: the other rule. What such a cursor has seen was of another life, so it gets everything that is kept. */
static void c_22_a_cursor_ahead_of_the_newest_event_starts_again(void **state) {
    (void)state;
    struct fixture fixture;
    weir_cursor cursor;
    weir_gap gap;
    open_ring(&fixture, WEIR_GAP_SIGNAL_EVENT);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 8);
    const weir_subscription how = {.start = WEIR_START_AFTER, .after = 9};
    assert_int_equal(weir_replay(session, &how, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 1, 4, WEIR_GAP_AHEAD, 0);
    expect_numbers(session, &cursor, 5, 8, WEIR_EMPTY);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* It looks at what was there when it began, takes nothing, moves nothing, and may be done again. */
static void rpl_11_a_replay_is_a_pure_read(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener listener;
    weir_attachment_info before;
    weir_attachment_info after;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 8;
    system_open(&fixture, WEIR_PRESET_SSE_REGISTRY, config);
    listener_attach(&fixture, &listener, "s", 8);
    send_numbers(&fixture, "s", 0, 4);
    weir_session_info session_before = info_of(listener.session);
    attachment_info_of(&fixture, "s", &before);
    advance_s(&fixture, 7);
    for (int again = 0; again < 3; again++)
        expect_replay_all(&fixture, "s", 0, 4);
    assert_int_equal(attachment_info_of(&fixture, "s", &after), WEIR_OK);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(info_of(listener.session).newest, session_before.newest);
    assert_int_equal(info_of(listener.session).oldest, session_before.oldest);
    assert_int_equal(info_of(listener.session).subscribers, session_before.subscribers);
    expect_live(&listener, 0, 4);
    listener_leave(&listener);
    fixture_close(&fixture);
}

/* ---- Ids that are bare numbers -------------------------------------------------------------------------------- */

static void open_store(struct fixture *fixture, uint64_t count, weir_session **session) {
    weir_config config = WEIR_CONFIG_INIT;
    system_open(fixture, WEIR_PRESET_MCP, config);
    assert_int_equal(weir_session_create(fixture->engine, NULL, 0, NULL, session, NULL), WEIR_OK);
    publish_numbers(fixture, *session, count);
}

static int resume(weir_session *session, const char *id, weir_cursor *cursor, weir_gap *gap) {
    const weir_subscription how = {.last_id = id, .last_id_length = id != NULL ? strlen(id) : 0};
    return weir_subscribe(session, &how, cursor, gap);
}

/* C-02: told first, once, with the number of events that are gone; then comes what is kept. */
static void rpl_18_an_id_older_than_the_ring_is_answered_by_one_gap_and_the_rest(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *session;
    weir_cursor cursor;
    weir_gap gap;
    open_store(&fixture, 306, &session);
    assert_int_equal(resume(session, "10", &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 11, 50, WEIR_GAP_EVICTED, 1);
    assert_int_equal(gap.lost, 40);
    expect_numbers(session, &cursor, 51, 306, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    assert_int_equal(resume(session, "49", &cursor, &gap), WEIR_GAP);
    assert_int_equal(gap.lost, 1);
    weir_unsubscribe(session, &cursor);
    assert_int_equal(resume(session, "50", &cursor, &gap), WEIR_OK); /* nothing lies between 50 and 51 */
    expect_numbers(session, &cursor, 51, 306, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    assert_int_equal(stats_of(fixture.engine).lost, 41);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* 0, an empty id and none: everything that is kept, and no gap though events were evicted. */
static void rpl_20_who_has_seen_nothing_gets_everything_kept_and_no_gap(void **state) {
    (void)state;
    static const char *const nothing[] = {"0", "00", "", NULL};
    struct fixture fixture;
    weir_session *session;
    open_store(&fixture, 306, &session);
    for (int i = 0; i < 4; i++) {
        weir_cursor cursor;
        weir_gap gap;
        assert_int_equal(resume(session, nothing[i], &cursor, &gap), WEIR_OK);
        assert_int_equal(gap.reason, WEIR_GAP_NONE);
        expect_numbers(session, &cursor, 51, 306, WEIR_EMPTY);
        weir_unsubscribe(session, &cursor);
    }
    assert_int_equal(stats_of(fixture.engine).gaps, 0);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* Not a decimal number of 64 bits: as if there were none, never an error, and never 0 with a gap. */
static void rpl_21_what_is_no_number_is_no_id(void **state) {
    (void)state;
    static const char *const texts[] = {"-1",
                                        "+5",
                                        " 5",
                                        "5 ",
                                        "1 2",
                                        "5\n",
                                        "0x7",
                                        "1e2",
                                        "60.",
                                        "sixty",
                                        "\xD9\xA1",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "000000000000000000060"};
    struct fixture fixture;
    weir_session *session;
    open_store(&fixture, 306, &session);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        weir_cursor cursor;
        weir_gap gap;
        assert_int_equal(resume(session, texts[i], &cursor, &gap), WEIR_OK);
        assert_int_equal(gap.reason, WEIR_GAP_NONE);
        assert_int_equal(cursor.next, 51);
        weir_unsubscribe(session, &cursor);
    }
    weir_cursor cursor;
    weir_gap gap;
    assert_int_equal(resume(session, "00000000000000000060", &cursor, &gap), WEIR_OK); /* 20 digits are a number */
    assert_int_equal(cursor.next, 61);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seq_05_a_send_to_nobody_takes_no_number),
        cmocka_unit_test(seq_13_sequences_start_where_they_cannot_wrap),
        cmocka_unit_test(c_01_the_first_sequence_is_chosen_and_no_number_means_nothing_seen),
        cmocka_unit_test(rpl_06_one_rule_says_what_is_replayed_and_only_the_mark_differs),
        cmocka_unit_test(rpl_07_a_cursor_ahead_of_the_newest_event_gets_nothing),
        cmocka_unit_test(c_22_a_cursor_ahead_of_the_newest_event_starts_again),
        cmocka_unit_test(rpl_11_a_replay_is_a_pure_read),
        cmocka_unit_test(rpl_18_an_id_older_than_the_ring_is_answered_by_one_gap_and_the_rest),
        cmocka_unit_test(rpl_20_who_has_seen_nothing_gets_everything_kept_and_no_gap),
        cmocka_unit_test(rpl_21_what_is_no_number_is_no_id),
    };
    return RUN_TESTS(argc, argv, tests);
}
