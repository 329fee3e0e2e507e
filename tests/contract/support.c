#include "support.h"

#include <stdio.h>

int asks_for_list(int argc, char **argv) {
    return argc == 2 && strcmp(argv[1], "--list") == 0;
}

int list_tests(const struct CMUnitTest *tests, size_t count) {
    for (size_t i = 0; i < count; i++)
        puts(tests[i].name);
    return 0;
}

void system_open(struct fixture *fixture, weir_preset_name preset, weir_config config) {
    assert_int_equal(weir_preset(preset, &config), WEIR_OK);
    fixture_open(fixture, &config);
}

uint64_t wall_s(const struct fixture *fixture) {
    const weir_clock *clock = &weir_engine_config(fixture->engine)->clock;
    return clock->wall_ms(clock->context) / 1000;
}

void advance_s(struct fixture *fixture, uint64_t seconds) {
    fake_clock_advance(&fixture->clock, fixture->engine, seconds * 1000);
}

/* ---- Consumers ------------------------------------------------------------------------------------------------ */

weir_subscription from_now(const struct fixture *fixture, uint32_t depth) {
    weir_subscription how;
    weir_subscription_init(fixture->engine, &how);
    how.start = WEIR_START_NOW;
    how.queue_depth = depth;
    return how;
}

int listener_attach_as(struct fixture *fixture, struct listener *consumer, const char *name,
                       const weir_subscription *how) {
    weir_gap gap;
    consumer->session = fixture_session(fixture, name);
    int status = weir_attach(consumer->session, how, &consumer->cursor, &gap);
    if (status != WEIR_OK && status != WEIR_GAP) weir_session_release(consumer->session);
    return status;
}

uint64_t listener_attach(struct fixture *fixture, struct listener *consumer, const char *name, uint32_t depth) {
    weir_subscription how = from_now(fixture, depth);
    assert_int_equal(listener_attach_as(fixture, consumer, name, &how), WEIR_OK);
    assert_true(consumer->cursor.generation > 0);
    return consumer->cursor.generation;
}

void listener_leave(struct listener *consumer) {
    weir_unsubscribe(consumer->session, &consumer->cursor);
    weir_session_release(consumer->session);
}

void expect_live(struct listener *consumer, uint64_t first, uint64_t last) {
    for (uint64_t sequence = first; sequence <= last; sequence++)
        expect_number(consumer->session, &consumer->cursor, sequence);
    expect_nothing(consumer);
}

void expect_nothing(struct listener *consumer) {
    expect_status(consumer->session, &consumer->cursor, WEIR_EMPTY);
}

void expect_over(struct listener *consumer, int status, weir_end_reason reason) {
    for (int again = 0; again < 3; again++) {
        expect_status(consumer->session, &consumer->cursor, status);
        assert_string_equal(weir_end_reason_name((weir_end_reason)consumer->cursor.ended),
                            weir_end_reason_name(reason));
        assert_int_equal(consumer->cursor.ended, reason);
    }
}

/* ---- Sending -------------------------------------------------------------------------------------------------- */

int try_send(struct fixture *fixture, const char *name, uint64_t number, weir_receipt *receipt) {
    weir_message message = {.data = &number, .length = sizeof(number)};
    return weir_send(fixture->producer, name, strlen(name), &message, receipt);
}

weir_live send_number(struct fixture *fixture, const char *name, uint64_t sequence) {
    weir_receipt receipt;
    memset(&receipt, 0xFF, sizeof(receipt));
    assert_string_equal(weir_status_name(try_send(fixture, name, sequence, &receipt)), "WEIR_OK");
    assert_int_equal(receipt.sequence, sequence);
    return receipt.live;
}

void send_numbers(struct fixture *fixture, const char *name, uint64_t first, uint64_t last) {
    for (uint64_t sequence = first; sequence <= last; sequence++)
        send_number(fixture, name, sequence);
}

/* ---- Replay --------------------------------------------------------------------------------------------------- */

/* Reads what a replay gives, from `first` on without a hole, and returns how many events that were. */
static uint64_t replay(struct fixture *fixture, const char *name, const weir_subscription *how, uint64_t first) {
    weir_session *session;
    weir_cursor cursor;
    weir_gap gap;
    uint64_t count = 0;
    int status = weir_session_open(fixture->engine, name, strlen(name), WEIR_OPEN_EXISTING, &session, NULL);
    if (status == WEIR_NOT_FOUND) return 0;
    assert_int_equal(status, WEIR_OK);
    weir_session_info before = info_of(session);
    status = weir_replay(session, how, &cursor, &gap);
    assert_true(status == WEIR_OK || status == WEIR_GAP);
    for (;;) {
        uint64_t number = 0;
        weir_event event;
        status = weir_read(session, &cursor, &number, sizeof(number), &event, &gap);
        if (status != WEIR_OK) break;
        assert_int_equal(event.sequence, first + count);
        assert_int_equal(event.length, sizeof(number));
        assert_int_equal(number, first + count);
        count++;
    }
    assert_string_equal(weir_status_name(status), "WEIR_EMPTY");
    assert_int_equal(info_of(session).subscribers, before.subscribers);
    weir_session_release(session);
    return count;
}

void expect_replay_all(struct fixture *fixture, const char *name, uint64_t first, uint64_t last) {
    const weir_subscription how = {.start = WEIR_START_OLDEST};
    assert_int_equal(replay(fixture, name, &how, first), last + 1 - first);
}

void expect_replay_since(struct fixture *fixture, const char *name, uint64_t after, uint64_t first, uint64_t last) {
    const weir_subscription how = {.start = WEIR_START_AFTER, .after = after};
    assert_int_equal(replay(fixture, name, &how, first), last + 1 - first);
}

void expect_replay_empty(struct fixture *fixture, const char *name) {
    expect_replay_all(fixture, name, 0, UINT64_MAX);
}

/* ---- Sessions ------------------------------------------------------------------------------------------------- */

int is_known(struct fixture *fixture, const char *name) {
    weir_session *session;
    int status = weir_session_find(fixture->engine, name, strlen(name), NULL, &session);
    assert_true(status == WEIR_OK || status == WEIR_NOT_FOUND);
    weir_session_release(status == WEIR_OK ? session : NULL);
    return status == WEIR_OK;
}

int pre_register(struct fixture *fixture, const char *name) {
    weir_session *session;
    int created = 0;
    int status = weir_session_open(fixture->engine, name, strlen(name), WEIR_OPEN_RESERVE, &session, &created);
    assert_true(status == WEIR_OK || status == WEIR_NOT_FOUND);
    weir_session_release(status == WEIR_OK ? session : NULL);
    return created;
}

weir_session *find(struct fixture *fixture, const char *name) {
    weir_session *session = NULL;
    assert_int_equal(weir_session_find(fixture->engine, name, strlen(name), NULL, &session), WEIR_OK);
    return session;
}

int attachment_info_of(struct fixture *fixture, const char *name, weir_attachment_info *info) {
    weir_session *session = find(fixture, name);
    memset(info, 0, sizeof(*info));
    int status = weir_attachment_get(session, info);
    weir_session_release(session);
    return status;
}

/* ---- Sweeps --------------------------------------------------------------------------------------------------- */

static void note_swept(void *context, weir_session *session, weir_end_reason reason) {
    struct swept *swept = (struct swept *)context;
    weir_session_info info = info_of(session);
    assert_true(swept->count < SWEPT_MAX);
    memcpy(swept->sessions[swept->count].name, info.name, info.name_length);
    swept->sessions[swept->count].reason = reason;
    assert_int_equal(info.ended, reason);
    swept->count++;
}

struct swept sweep_for(struct fixture *fixture, uint32_t what, uint64_t idle_ttl_ms) {
    struct swept swept;
    memset(&swept, 0, sizeof(swept));
    const weir_sweep sweep = {.what = what, .idle_ttl_ms = idle_ttl_ms, .ended = note_swept, .context = &swept};
    uint32_t ended = weir_engine_sweep_for(fixture->engine, &sweep);
    assert_int_equal(ended, swept.count);
    return swept;
}

int was_swept(const struct swept *swept, const char *name, weir_end_reason reason) {
    for (uint32_t i = 0; i < swept->count; i++)
        if (strcmp(swept->sessions[i].name, name) == 0) return swept->sessions[i].reason == reason;
    return 0;
}
