/* The session registry with replay, its sessions and consumers: the tests of that system by their names, under
 * WEIR_PRESET_SSE_REGISTRY. Sequences count from 0, a session has one consumer, the first full queue cuts it off, and the
 * ring outlives it. What the ring keeps and gives back is seed_registry_replay_test.c. */
#include "registry.h"

#define TTL_MS 60000u

/* ---- Generations ---------------------------------------------------------------------------------------------- */

/* SES-02, SES-05 */
static void it_returns_generation_1_for_first_registration(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener first;
    struct listener other;
    weir_attachment_info info;
    open_registry(&fixture, 8);
    assert_false(is_known(&fixture, "s"));
    assert_int_equal(listener_attach(&fixture, &first, "s", DEPTH), 1);
    assert_true(is_known(&fixture, "s"));
    expect_replay_empty(&fixture, "s");
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.generation, 1);
    assert_int_equal(info.queue_depth, DEPTH);
    assert_int_equal(info.backlog, 0);
    assert_int_equal(info.active_wall_s, wall_s(&fixture));
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED); /* its sequence is the first one */
    expect_live(&first, 0, 0);
    assert_int_equal(listener_attach(&fixture, &other, "another", DEPTH), 2); /* one counter for the registry */
    listener_leave(&first);
    listener_leave(&other);
    fixture_close(&fixture);
}

/* SES-03 */
static void it_returns_higher_generation_on_re_register(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumers[4];
    uint64_t last = 0;
    open_registry(&fixture, 8);
    for (int i = 0; i < 4; i++) {
        uint64_t generation = listener_attach(&fixture, &consumers[i], "s", DEPTH);
        assert_true(generation > last);
        assert_int_equal(info_of(consumers[i].session).generation, generation);
        last = generation;
    }
    for (int i = 0; i < 4; i++)
        listener_leave(&consumers[i]);
    fixture_close(&fixture);
}

/* SES-04, SEQ-04 */
static void it_preserves_buffer_and_next_seq_on_re_register(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener first;
    struct listener second;
    weir_attachment_info info;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &first, "s", DEPTH);
    send_numbers(&fixture, "s", 0, 2);
    advance_s(&fixture, 5);
    listener_attach(&fixture, &second, "s", 4);
    assert_ptr_equal(first.session, second.session);
    assert_int_equal(info_of(second.session).replay_capacity, 8);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.generation, second.cursor.generation);
    assert_int_equal(info.queue_depth, 4); /* the new consumer's own queue, and nothing of the old one's is in it */
    assert_int_equal(info.backlog, 0);
    assert_int_equal(info.active_wall_s, wall_s(&fixture));
    expect_replay_all(&fixture, "s", 0, 2);
    assert_int_equal(send_number(&fixture, "s", 3), WEIR_LIVE_ACCEPTED);
    expect_replay_all(&fixture, "s", 0, 3);
    expect_live(&second, 3, 3);
    listener_leave(&first);
    listener_leave(&second);
    fixture_close(&fixture);
}

/* SES-06 */
static void it_delivers_live_events_to_latest_sender_after_reregister(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener displaced;
    struct listener latest;
    weir_receipt receipt;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &displaced, "s", DEPTH);
    send_numbers(&fixture, "s", 0, 1);
    uint64_t generation = listener_attach(&fixture, &latest, "s", DEPTH);
    assert_int_equal(try_send(&fixture, "s", 2, &receipt), WEIR_OK);
    assert_int_equal(receipt.live, WEIR_LIVE_ACCEPTED);
    assert_int_equal(receipt.generation, generation);
    expect_live(&latest, 2, 2);
    for (uint64_t queued = 0; queued <= 1; queued++)
        expect_number(displaced.session, &displaced.cursor, queued);
    expect_over(&displaced, WEIR_END, WEIR_ENDED_DISPLACED);
    assert_int_equal(stats_of(fixture.engine).displaced, 1);
    listener_leave(&displaced);
    assert_int_equal(send_number(&fixture, "s", 3), WEIR_LIVE_ACCEPTED); /* its leaving is not the latest one's */
    expect_live(&latest, 3, 3);
    listener_leave(&latest);
    fixture_close(&fixture);
}

/* ---- Detaching and terminating -------------------------------------------------------------------------------- */

/* SES-07, RPL-22, LIV-04 */
static void it_disconnects_session_when_generation_matches(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_attachment_info info;
    open_registry(&fixture, 8);
    uint64_t generation = listener_attach(&fixture, &consumer, "s", DEPTH);
    send_numbers(&fixture, "s", 0, 1);
    advance_s(&fixture, 30);
    assert_int_equal(weir_detach(consumer.session, generation), WEIR_OK);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_CLOSED);
    assert_int_equal(info.generation, generation);
    assert_int_equal(info.ended, WEIR_ENDED_DETACHED);
    expect_replay_all(&fixture, "s", 0, 1);
    assert_int_equal(send_number(&fixture, "s", 2), WEIR_LIVE_CLOSED);
    expect_replay_all(&fixture, "s", 0, 2);
    for (uint64_t queued = 0; queued <= 1; queued++)
        expect_number(consumer.session, &consumer.cursor, queued);
    expect_over(&consumer, WEIR_END, WEIR_ENDED_DETACHED);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* SES-08: the newer consumer stays, and nothing is refreshed either. */
static void it_does_not_disconnect_session_when_generation_is_stale(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener old;
    struct listener current;
    open_registry(&fixture, 8);
    uint64_t stale = listener_attach(&fixture, &old, "s", DEPTH);
    uint64_t generation = listener_attach(&fixture, &current, "s", DEPTH);
    const uint64_t others[] = {stale, 0, generation + 1, UINT64_MAX};
    for (int i = 0; i < 4; i++)
        assert_int_equal(weir_detach(current.session, others[i]), WEIR_NOT_FOUND);
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED);
    expect_live(&current, 0, 0);
    assert_int_equal(weir_detach(current.session, generation), WEIR_OK);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(weir_detach(current.session, stale), WEIR_NOT_FOUND);
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 1);
    listener_leave(&old);
    listener_leave(&current);
    fixture_close(&fixture);
}

/* SES-10, RPL-08, RPL-22 */
static void it_terminates_session_unconditionally(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_receipt receipt;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    send_numbers(&fixture, "s", 0, 1);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
    assert_false(is_known(&fixture, "s"));
    expect_replay_empty(&fixture, "s");
    uint64_t published = stats_of(fixture.engine).published;
    memset(&receipt, 0xFF, sizeof(receipt));
    assert_int_equal(try_send(&fixture, "s", 2, &receipt), WEIR_OK); /* dropped, and not an error */
    assert_int_equal(receipt.stored, 0);
    assert_int_equal(receipt.live, WEIR_LIVE_NONE);
    assert_int_equal(stats_of(fixture.engine).published, published);
    expect_replay_empty(&fixture, "s");
    for (uint64_t queued = 0; queued <= 1; queued++)
        expect_number(consumer.session, &consumer.cursor, queued);
    expect_over(&consumer, WEIR_END, WEIR_ENDED_TERMINATED);
    assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_NOT_FOUND);
    assert_int_equal(weir_session_remove(fixture.engine, "never", 5), WEIR_NOT_FOUND);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* ---- Consumers that come and go ------------------------------------------------------------------------------- */

/* SEQ-03, RPL-12, RPL-22, LIV-05 */
static void it_still_buffers_when_channel_is_dead(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    weir_attachment_info info;
    open_registry(&fixture, 8);
    uint64_t generation = listener_attach(&fixture, &consumer, "s", DEPTH);
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED);
    listener_leave(&consumer); /* without a word to the registry */
    for (uint64_t sequence = 1; sequence < 4; sequence++) {
        weir_receipt receipt;
        assert_int_equal(try_send(&fixture, "s", sequence, &receipt), WEIR_OK);
        assert_int_equal(receipt.sequence, sequence);
        assert_int_equal(receipt.stored, 1);
        assert_int_equal(receipt.live, WEIR_LIVE_CLOSED);
        expect_replay_all(&fixture, "s", 0, sequence);
    }
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_CLOSED);
    assert_int_equal(info.generation, generation);
    assert_true(is_known(&fixture, "s"));
    fixture_close(&fixture);
}

/* SES-04, SEQ-04 */
static void it_produces_contiguous_seq_across_reconnects(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 32);
    for (uint64_t connection = 0; connection < 3; connection++) {
        uint64_t first = connection * 5;
        uint64_t generation = listener_attach(&fixture, &consumer, "s", DEPTH);
        send_numbers(&fixture, "s", first, first + 4);
        expect_live(&consumer, first, first + 4);
        expect_replay_all(&fixture, "s", 0, first + 4);
        assert_int_equal(weir_detach(consumer.session, generation), WEIR_OK);
        listener_leave(&consumer);
    }
    fixture_close(&fixture);
}

/* ---- Before the first consumer -------------------------------------------------------------------------------- */

/* SES-12, SES-16, RPL-10, LIV-04 */
static void it_buffers_events_during_pre_registration_window(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    struct listener in_one_step;
    weir_attachment_info info;
    open_registry(&fixture, 8);
    assert_int_equal(pre_register(&fixture, "s"), 1);
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_NOT_FOUND);
    weir_session *session = find(&fixture, "s");
    assert_int_equal(info_of(session).generation, 0);
    weir_session_release(session);
    expect_replay_empty(&fixture, "s");
    for (uint64_t sequence = 0; sequence < 3; sequence++)
        assert_int_equal(send_number(&fixture, "s", sequence), WEIR_LIVE_NONE);
    assert_int_equal(listener_attach(&fixture, &consumer, "s", DEPTH), 1);
    expect_replay_all(&fixture, "s", 0, 2);
    expect_nothing(&consumer);
    assert_int_equal(send_number(&fixture, "s", 3), WEIR_LIVE_ACCEPTED);
    expect_live(&consumer, 3, 3);
    listener_leave(&consumer);

    /* What a first connection does in weir: replay and live are one operation, and nothing falls between them. */
    weir_subscription how = from_now(&fixture, DEPTH);
    how.start = WEIR_START_OLDEST;
    assert_int_equal(listener_attach_as(&fixture, &in_one_step, "s", &how), WEIR_OK);
    send_number(&fixture, "s", 4);
    expect_live(&in_one_step, 0, 4);
    listener_leave(&in_one_step);
    fixture_close(&fixture);
}

/* SES-13 */
static void it_pre_register_is_noop_when_session_already_registered(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 8);
    uint64_t generation = listener_attach(&fixture, &consumer, "s", DEPTH);
    send_numbers(&fixture, "s", 0, 1);
    assert_int_equal(pre_register(&fixture, "s"), 0);
    assert_int_equal(info_of(consumer.session).generation, generation);
    expect_replay_all(&fixture, "s", 0, 1);
    assert_int_equal(send_number(&fixture, "s", 2), WEIR_LIVE_ACCEPTED);
    expect_live(&consumer, 0, 2);
    listener_leave(&consumer);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(pre_register(&fixture, "s"), 0); /* and does not make it look active */
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 1);
    fixture_close(&fixture);
}

/* SES-14 */
static void it_pre_register_is_noop_when_capacity_is_zero(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 0);
    assert_int_equal(pre_register(&fixture, "s"), 0);
    assert_false(is_known(&fixture, "s"));
    assert_int_equal(stats_of(fixture.engine).sessions_created, 0);
    assert_int_equal(listener_attach(&fixture, &consumer, "s", DEPTH), 1); /* attaching makes it as ever */
    assert_int_equal(pre_register(&fixture, "s"), 0);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

/* ---- A full queue --------------------------------------------------------------------------------------------- */

/* SEQ-03, RPL-12, LIV-03, BKP-01, BKP-02, BKP-03 */
static void it_disconnects_live_stream_when_queue_fills(void **state) {
    (void)state;
    const uint32_t depths[] = {1, 2, 3, 16};
    for (int d = 0; d < 4; d++) {
        struct fixture fixture;
        struct listener consumer;
        struct listener resumed;
        weir_attachment_info info;
        uint64_t depth = depths[d];
        open_registry(&fixture, 32);
        listener_attach(&fixture, &consumer, "s", depths[d]);
        for (uint64_t sequence = 0; sequence < depth; sequence++)
            assert_int_equal(send_number(&fixture, "s", sequence), WEIR_LIVE_ACCEPTED);
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_FULL);
        assert_int_equal(info.backlog, depth);
        assert_int_equal(send_number(&fixture, "s", depth), WEIR_LIVE_FULL); /* a success that cuts the stream */
        assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_CLOSED);
        assert_int_equal(info.ended, WEIR_ENDED_LAGGING);
        assert_int_equal(send_number(&fixture, "s", depth + 1), WEIR_LIVE_CLOSED);
        for (uint64_t queued = 0; queued < depth; queued++)
            expect_number(consumer.session, &consumer.cursor, queued);
        expect_over(&consumer, WEIR_LAGGED, WEIR_ENDED_LAGGING);
        assert_int_equal(stats_of(fixture.engine).detached_lagging, 1);
        expect_replay_all(&fixture, "s", 0, depth + 1);
        listener_leave(&consumer);

        weir_subscription how = from_now(&fixture, depths[d]);
        how.start = WEIR_START_AFTER;
        how.after = depth - 1;
        assert_int_equal(listener_attach_as(&fixture, &resumed, "s", &how), WEIR_OK);
        assert_int_equal(resumed.cursor.generation, 2);
        expect_live(&resumed, depth, depth + 1);
        assert_int_equal(send_number(&fixture, "s", depth + 2), WEIR_LIVE_ACCEPTED);
        expect_live(&resumed, depth + 2, depth + 2);
        listener_leave(&resumed);
        fixture_close(&fixture);
    }
}

/* ---- The stale sweep ------------------------------------------------------------------------------------------ */

/* Sessions without a live consumer, for every reason that there is, all active at this moment for the last time. */
static void lose_consumers(struct fixture *fixture, struct listener *detached, struct listener *overflowed) {
    struct listener dead;
    assert_int_equal(pre_register(fixture, "reserved"), 1);
    uint64_t generation = listener_attach(fixture, detached, "detached", DEPTH);
    assert_int_equal(weir_detach(detached->session, generation), WEIR_OK);
    listener_attach(fixture, overflowed, "overflowed", 1);
    send_numbers(fixture, "overflowed", 0, 1);
    listener_attach(fixture, &dead, "dead", DEPTH);
    listener_leave(&dead);
    listener_attach(fixture, &dead, "sent-to", DEPTH);
    listener_leave(&dead);
}

/* RPL-22, TTL-01, TTL-03, TTL-05, CLK-05 */
static void it_evicts_stale_disconnected_sessions(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener live;
    struct listener detached;
    struct listener overflowed;
    static const char *const gone[] = {"reserved", "detached", "overflowed", "dead"};
    open_registry(&fixture, 8);
    listener_attach(&fixture, &live, "live", DEPTH);
    lose_consumers(&fixture, &detached, &overflowed);
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count, 0);
    send_number(&fixture, "sent-to", 0);             /* activity, though nobody is there */
    expect_replay_all(&fixture, "overflowed", 0, 1); /* and this is none */
    fake_clock_advance(&fixture.clock, fixture.engine, 1);
    struct swept swept = sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS);
    assert_int_equal(swept.count, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(was_swept(&swept, gone[i], WEIR_ENDED_EXPIRED));
        assert_false(is_known(&fixture, gone[i]));
        expect_replay_empty(&fixture, gone[i]);
    }
    assert_true(is_known(&fixture, "live"));
    assert_true(is_known(&fixture, "sent-to"));
    fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS - 1);
    swept = sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS);
    assert_int_equal(swept.count, 1);
    assert_true(was_swept(&swept, "sent-to", WEIR_ENDED_EXPIRED));
    listener_leave(&live);
    listener_leave(&detached);
    listener_leave(&overflowed);
    fixture_close(&fixture);
}

/* TTL-02 */
static void it_keeps_live_sessions_even_when_idle(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener consumer;
    open_registry(&fixture, 8);
    listener_attach(&fixture, &consumer, "s", DEPTH);
    for (int year = 0; year < 3; year++) {
        advance_s(&fixture, 365ull * 86400);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_IDLE, 1).count, 0);
    }
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED);
    expect_live(&consumer, 0, 0);
    listener_leave(&consumer);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_returns_generation_1_for_first_registration),
        cmocka_unit_test(it_returns_higher_generation_on_re_register),
        cmocka_unit_test(it_preserves_buffer_and_next_seq_on_re_register),
        cmocka_unit_test(it_delivers_live_events_to_latest_sender_after_reregister),
        cmocka_unit_test(it_disconnects_session_when_generation_matches),
        cmocka_unit_test(it_does_not_disconnect_session_when_generation_is_stale),
        cmocka_unit_test(it_terminates_session_unconditionally),
        cmocka_unit_test(it_still_buffers_when_channel_is_dead),
        cmocka_unit_test(it_produces_contiguous_seq_across_reconnects),
        cmocka_unit_test(it_buffers_events_during_pre_registration_window),
        cmocka_unit_test(it_pre_register_is_noop_when_session_already_registered),
        cmocka_unit_test(it_pre_register_is_noop_when_capacity_is_zero),
        cmocka_unit_test(it_disconnects_live_stream_when_queue_fills),
        cmocka_unit_test(it_evicts_stale_disconnected_sessions),
        cmocka_unit_test(it_keeps_live_sessions_even_when_idle),
    };
    return RUN_TESTS(argc, argv, tests);
}
