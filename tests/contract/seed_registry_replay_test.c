/* The session registry with replay, its ring: the tests of that system by their names. See seed_registry_test.c. */
#include "registry.h"

#include "session/engine.h"

/* ---- Ring and replay ------------------------------------------------------------------------------------------ */

/* SEQ-01, SEQ-07, RPL-03, LIV-01 */
static void it_buffers_event_and_delivers_to_channel(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_receipt receipt;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    assert_int_equal(try_send(&fixture, "s", 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.sequence, 0);
    assert_int_equal(receipt.stored, 1);
    assert_int_equal(receipt.live, WEIR_LIVE_ACCEPTED);
    expect_replay_all(&fixture, "s", 0, 0); /* replayable before anybody has read it live */
    expect_live(&consumer, 0, 0);
    send_numbers(&fixture, "s", 1, 2);
    expect_replay_since(&fixture, "s", 0, 1, 2);
    expect_live(&consumer, 1, 2);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* The memory that holds an event of this session. */
static struct cell *cell_of(weir_session *session, uint64_t sequence) {
    uint64_t word = slots_load(session_slots(session), sequence);
    return cell_at(&session->engine->pool, (cell_reference)word);
}

/* RPL-13, WK-20: one copy of the body stands in one cell, and both ways of reading come to that cell. What is changed there
 * behind the engine's back is what both of them then see. */
static void it_shares_arc_allocation_between_buffer_and_channel(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_cursor past;
    weir_event event;
    weir_gap gap;
    uint64_t live = 0;
    uint64_t replayed = 0;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    send_number(&fixture, "s", 0);
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.published, 1);
    assert_int_equal(stats.live_accepted, 1);
    assert_int_equal(info_of(consumer.session).oldest, 0);
    struct cell *cell = cell_of(consumer.session, 0);
    const uint64_t changed = 0x5EED5EED5EED5EEDu;
    copy_into_cell(cell->payload, &changed, sizeof(changed));
    const weir_subscription from_oldest = {.start = WEIR_START_OLDEST};
    assert_int_equal(weir_replay(consumer.session, &from_oldest, &past, &gap), WEIR_OK);
    assert_int_equal(weir_read(consumer.session, &past, &replayed, sizeof(replayed), &event, &gap), WEIR_OK);
    assert_int_equal(weir_read(consumer.session, &consumer.cursor, &live, sizeof(live), &event, &gap), WEIR_OK);
    assert_true(replayed == changed);
    assert_true(live == changed);
    assert_ptr_equal(cell_of(consumer.session, 0), cell); /* reading moved it nowhere */
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* SES-01, RPL-01, RPL-05 */
static void it_evicts_oldest_event_when_buffer_is_at_capacity(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 3);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    assert_int_equal(info_of(consumer.session).replay_capacity, 3);
    for (uint64_t sequence = 0; sequence < 10; sequence++) {
        send_number(&fixture, "s", sequence);
        expect_replay_all(&fixture, "s", sequence < 3 ? 0 : sequence - 2, sequence);
    }
    expect_replay_since(&fixture, "s", 0, 7, 9);
    assert_int_equal(info_of(consumer.session).oldest, 7);
    expect_live(&consumer, 0, 9); /* the queue is another bound, which these have not reached */
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* SES-01, RPL-02 */
static void it_returns_empty_replay_when_capacity_is_zero(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 0);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    assert_int_equal(info_of(consumer.session).replay_capacity, 0);
    for (uint64_t sequence = 0; sequence < 40; sequence++) {
        weir_receipt receipt;
        assert_int_equal(try_send(&fixture, "s", sequence, &receipt), WEIR_OK);
        assert_int_equal(receipt.sequence, sequence);
        assert_int_equal(receipt.stored, 0);
        assert_int_equal(receipt.live, WEIR_LIVE_ACCEPTED);
        expect_replay_empty(&fixture, "s");
        expect_replay_since(&fixture, "s", 0, 1, 0);
        expect_live(&consumer, sequence, sequence);
    }
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* RPL-03 */
static void it_returns_events_strictly_after_last_seq(void **state) {
    (void)state;
    struct fixture fixture;
    open_registry(&fixture, 16);
    assert_int_equal(pre_register(&fixture, "s"), 1);
    send_numbers(&fixture, "s", 0, 9);
    for (uint64_t last = 0; last < 10; last++)
        expect_replay_since(&fixture, "s", last, last + 1, 9);
    fixture_close(&fixture);
}

/* RPL-05: best effort, without an error and without a mark. */
static void it_returns_full_buffer_when_last_seq_is_evicted(void **state) {
    (void)state;
    struct fixture fixture;
    weir_cursor cursor;
    weir_gap gap;
    open_registry(&fixture, 4);
    assert_int_equal(pre_register(&fixture, "s"), 1);
    send_numbers(&fixture, "s", 0, 9);
    weir_session *session = find(&fixture, "s");
    for (uint64_t last = 0; last < 5; last++) {
        const weir_subscription how = {.start = WEIR_START_AFTER, .after = last};
        assert_int_equal(weir_replay(session, &how, &cursor, &gap), WEIR_OK);
        expect_replay_since(&fixture, "s", last, 6, 9);
    }
    weir_session_release(session);
    fixture_close(&fixture);
}

/* RPL-04 */
static void it_returns_empty_when_last_seq_equals_newest(void **state) {
    (void)state;
    struct fixture fixture;
    open_registry(&fixture, 4);
    assert_int_equal(pre_register(&fixture, "s"), 1);
    for (uint64_t sequence = 0; sequence < 10; sequence++) {
        send_number(&fixture, "s", sequence);
        expect_replay_since(&fixture, "s", sequence, sequence + 1, sequence);
    }
    fixture_close(&fixture);
}

/* RPL-08 */
static void it_returns_empty_for_unknown_session(void **state) {
    (void)state;
    struct fixture fixture;
    open_registry(&fixture, 4);
    expect_replay_since(&fixture, "nobody", 0, 1, 0);
    assert_false(is_known(&fixture, "nobody")); /* and asking did not make it */
    assert_int_equal(pre_register(&fixture, "empty"), 1);
    expect_replay_since(&fixture, "empty", 0, 1, 0);
    fixture_close(&fixture);
}

/* SEQ-08, RPL-09 */
static void it_returns_all_buffered_events(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_producer *mine;
    weir_producer *second;
    open_registry(&fixture, 32);
    mine = fixture.producer;
    assert_int_equal(weir_producer_create(fixture.engine, &second), WEIR_OK);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    for (uint64_t sequence = 0; sequence < 12; sequence++) {
        fixture.producer = sequence % 3 == 0 ? second : mine; /* whoever sends */
        send_number(&fixture, "s", sequence);
    }
    fixture.producer = mine;
    expect_replay_all(&fixture, "s", 0, 11);
    expect_live(&consumer, 0, 11); /* one order for both */
    weir_producer_destroy(second);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* RPL-09 */
static void it_returns_empty_replay_all_for_unknown_session(void **state) {
    (void)state;
    struct fixture fixture;
    open_registry(&fixture, 4);
    expect_replay_empty(&fixture, "nobody");
    assert_false(is_known(&fixture, "nobody"));
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_buffers_event_and_delivers_to_channel),
        cmocka_unit_test(it_shares_arc_allocation_between_buffer_and_channel),
        cmocka_unit_test(it_evicts_oldest_event_when_buffer_is_at_capacity),
        cmocka_unit_test(it_returns_empty_replay_when_capacity_is_zero),
        cmocka_unit_test(it_returns_events_strictly_after_last_seq),
        cmocka_unit_test(it_returns_full_buffer_when_last_seq_is_evicted),
        cmocka_unit_test(it_returns_empty_when_last_seq_equals_newest),
        cmocka_unit_test(it_returns_empty_for_unknown_session),
        cmocka_unit_test(it_returns_all_buffered_events),
        cmocka_unit_test(it_returns_empty_replay_all_for_unknown_session),
    };
    return RUN_TESTS(argc, argv, tests);
}
