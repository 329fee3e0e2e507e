#include "fixture.h"

void fixture_open(struct fixture *fixture, const weir_config *config) {
    weir_config used = WEIR_CONFIG_INIT;
    memset(fixture, 0, sizeof(*fixture));
    if (config != NULL) used = *config;
    fixture->clock.now_ms = 1000;
    used.clock = fake_clock_of(&fixture->clock);
    used.allocator = counting_allocator_of(&fixture->memory);
    if (used.max_sessions == 0) used.max_sessions = 256;
    assert_int_equal(weir_engine_create(&fixture->engine, &used), WEIR_OK);
    assert_int_equal(weir_producer_create(fixture->engine, &fixture->producer), WEIR_OK);
}

void fixture_close(struct fixture *fixture) {
    weir_producer_destroy(fixture->producer);
    weir_engine_destroy(fixture->engine);
    assert_int_equal(u64_load_relaxed(&fixture->memory.outstanding), 0);
    assert_int_equal(u64_load_relaxed(&fixture->memory.outstanding_bytes), 0);
}

weir_session *fixture_session(struct fixture *fixture, const char *name) {
    weir_session *session;
    int status = weir_session_open(fixture->engine, name, strlen(name), WEIR_OPEN_OR_CREATE, &session, NULL);
    assert_int_equal(status, WEIR_OK);
    return session;
}

uint64_t publish_text(struct fixture *fixture, weir_session *session, const char *text) {
    uint64_t sequence = 0;
    assert_int_equal(weir_publish(fixture->producer, session, 0, text, strlen(text), &sequence), WEIR_OK);
    return sequence;
}

uint64_t publish_numbers(struct fixture *fixture, weir_session *session, uint64_t count) {
    uint64_t next = info_of(session).newest + 1;
    for (uint64_t i = 0; i < count; i++, next++) {
        uint64_t sequence = 0;
        assert_int_equal(weir_publish(fixture->producer, session, 0, &next, sizeof(next), &sequence), WEIR_OK);
        assert_int_equal(sequence, next);
    }
    return next - 1;
}

void expect_number(weir_session *session, weir_cursor *cursor, uint64_t sequence) {
    uint64_t number = 0;
    weir_event event;
    weir_gap gap;
    assert_int_equal(weir_read(session, cursor, &number, sizeof(number), &event, &gap), WEIR_OK);
    assert_int_equal(event.sequence, sequence);
    assert_int_equal(event.length, sizeof(number));
    assert_int_equal(number, sequence);
    assert_int_equal(cursor->next, sequence + 1);
}

void expect_numbers(weir_session *session, weir_cursor *cursor, uint64_t first, uint64_t last, int status) {
    for (uint64_t sequence = first; sequence <= last; sequence++)
        expect_number(session, cursor, sequence);
    expect_status(session, cursor, status);
}

void expect_gap(weir_session *session, weir_cursor *cursor, uint64_t first, uint64_t last) {
    char buffer[64];
    weir_event event;
    weir_gap gap;
    assert_int_equal(weir_read(session, cursor, buffer, sizeof(buffer), &event, &gap), WEIR_GAP);
    check_gap(&gap, first, last, WEIR_GAP_SLOW, 1);
    assert_int_equal(cursor->next, last + 1);
}

void expect_status(weir_session *session, weir_cursor *cursor, int status) {
    char buffer[64];
    weir_event event;
    weir_gap gap;
    uint64_t next = cursor->next;
    assert_string_equal(weir_status_name(weir_read(session, cursor, buffer, sizeof(buffer), &event, &gap)),
                        weir_status_name(status));
    assert_int_equal(cursor->next, next);
}

void check_gap(const weir_gap *gap, uint64_t first, uint64_t last, weir_gap_reason reason, int known) {
    assert_string_equal(weir_gap_reason_name(gap->reason), weir_gap_reason_name(reason));
    assert_int_equal(gap->first, first);
    assert_int_equal(gap->last, last);
    assert_int_equal(gap->lost, last + 1 - first);
    assert_int_equal(gap->lost_known, known);
}

weir_cursor subscribe(weir_session *session, weir_start start, weir_policy policy, uint32_t depth, int status) {
    weir_subscription how = {.start = start, .policy = policy, .queue_depth = depth};
    weir_cursor cursor;
    weir_gap gap;
    assert_string_equal(weir_status_name(weir_subscribe(session, &how, &cursor, &gap)), weir_status_name(status));
    return cursor;
}

int subscribe_after(weir_session *session, const char *id, size_t length, weir_cursor *cursor, weir_gap *gap) {
    weir_subscription how = {.last_id = id, .last_id_length = length};
    return weir_subscribe(session, &how, cursor, gap);
}

weir_session_info info_of(const weir_session *session) {
    weir_session_info info;
    weir_session_info_get(session, &info);
    return info;
}

weir_stats stats_of(const weir_engine *engine) {
    weir_stats stats;
    weir_engine_stats(engine, &stats);
    return stats;
}
