/* The session store with lifetimes and a ring of 256: its tests by their names, under WEIR_PRESET_MCP. Names are made
 * here, a lookup is what counts as activity, and a stream that lags is told so and goes on. */
#include "support.h"

#include <stdio.h>

#define INACTIVITY_MS 1800000u
#define ABSOLUTE_MS   14400000u
#define SWEEP_MS      60000u
#define NAME_LENGTH   36u /* of a UUID in text */

static void open_store(struct fixture *fixture) {
    weir_config config = WEIR_CONFIG_INIT;
    system_open(fixture, WEIR_PRESET_MCP, config);
}

/* Inserts a session of `tenant` and `principal`, which may be NULL; returns it held, and its name in `name`. */
static weir_session *insert(struct fixture *fixture, const char *tenant, const char *principal, char *name) {
    weir_session *session;
    const weir_owner owner = {.tenant = tenant,
                              .tenant_length = tenant != NULL ? strlen(tenant) : 0,
                              .principal = principal,
                              .principal_length = principal != NULL ? strlen(principal) : 0};
    assert_int_equal(weir_session_create(fixture->engine, NULL, 0, &owner, &session, NULL), WEIR_OK);
    weir_session_info info = info_of(session);
    assert_int_equal(info.name_length, NAME_LENGTH);
    memcpy(name, info.name, NAME_LENGTH);
    name[NAME_LENGTH] = '\0';
    return session;
}

/* The same, and nobody holds it but the store. */
static void insert_unheld(struct fixture *fixture, char *name) {
    weir_session_release(insert(fixture, "tenant", NULL, name));
}

static void advance_ms(struct fixture *fixture, uint64_t ms) {
    fake_clock_advance(&fixture->clock, fixture->engine, ms);
}

static int is_hex(char digit) {
    return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f');
}

/* RFC 9562: 8-4-4-4-12 hex digits, version 7, variant 10, and the wall clock's milliseconds in the first 48 bits. */
static void check_uuid_v7(const char *name, uint64_t wall_ms) {
    uint64_t time = 0;
    for (uint32_t i = 0; i < NAME_LENGTH; i++) {
        int is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        assert_true(is_dash ? name[i] == '-' : is_hex(name[i]));
    }
    assert_int_equal(name[14], '7');
    assert_true(strchr("89ab", name[19]) != NULL);
    for (uint32_t i = 0; i < 13; i++)
        if (name[i] != '-') time = time * 16 + (uint64_t)(name[i] <= '9' ? name[i] - '0' : name[i] - 'a' + 10);
    assert_int_equal(time, wall_ms);
}

/* SES-26, SES-29, STA-04 */
static void session_store_insert_returns_unique_id(void **state) {
    (void)state;
    struct fixture fixture;
    char names[100][NAME_LENGTH + 1];
    weir_session *session;
    open_store(&fixture);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    for (int i = 0; i < 100; i++) {
        insert_unheld(&fixture, names[i]);
        check_uuid_v7(names[i], wall_s(&fixture) * 1000 + fixture.clock.now_ms % 1000);
        for (int before = 0; before < i; before++)
            assert_string_not_equal(names[before], names[i]);
        assert_int_equal(stats_of(fixture.engine).sessions, i + 1);
        advance_ms(&fixture, (uint64_t)i % 3); /* within one millisecond and over several */
    }
    /* Nobody chooses one. */
    static const char mine[] = "01890000-0000-7000-8000-000000000000";
    assert_int_equal(weir_session_create(fixture.engine, mine, NAME_LENGTH, NULL, &session, NULL), WEIR_INVALID);
    assert_int_not_equal(weir_session_open(fixture.engine, mine, NAME_LENGTH, WEIR_OPEN_OR_CREATE, &session, NULL),
                         WEIR_OK);
    assert_int_equal(stats_of(fixture.engine).sessions, 100);
    fixture_close(&fixture);
}

/* SES-27, SES-30 */
static void session_store_get_returns_state_when_present(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    char anonymous[NAME_LENGTH + 1];
    open_store(&fixture);
    weir_session *created = insert(&fixture, "acme", "alice", name);
    weir_session *found = find(&fixture, name);
    assert_ptr_equal(found, created);
    weir_session_info info = info_of(found);
    assert_int_equal(info.owner.tenant_length, 4);
    assert_memory_equal(info.owner.tenant, "acme", 4);
    assert_int_equal(info.owner.principal_length, 5);
    assert_memory_equal(info.owner.principal, "alice", 5);
    assert_int_equal(info.created_wall_ms / 1000, wall_s(&fixture));
    assert_int_equal(info.replay_capacity, 256);
    assert_int_equal(info.oldest, 1);
    assert_int_equal(info.newest, 0); /* the next id is 1 */
    /* One state behind both handles: what one does the other sees. */
    weir_cursor cursor = subscribe(found, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    publish_numbers(&fixture, created, 1);
    expect_numbers(found, &cursor, 1, 1, WEIR_EMPTY);
    weir_unsubscribe(found, &cursor);
    advance_ms(&fixture, INACTIVITY_MS - 1);
    weir_session_release(find(&fixture, name));
    advance_ms(&fixture, INACTIVITY_MS - 1);
    assert_true(is_known(&fixture, name)); /* the other holder's lookup kept it */
    weir_session_release(found);
    weir_session_release(created);
    created = insert(&fixture, "acme", NULL, anonymous);
    assert_null(info_of(created).owner.principal);
    assert_int_equal(info_of(created).owner.principal_length, 0);
    weir_session_release(created);
    fixture_close(&fixture);
}

/* TTL-08, TTL-11 */
static void session_store_get_returns_none_when_expired_by_inactivity(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    char later[NAME_LENGTH + 1];
    open_store(&fixture);
    weir_session *held = insert(&fixture, "tenant", NULL, name);
    advance_ms(&fixture, INACTIVITY_MS - 1);
    assert_true(is_known(&fixture, name));
    advance_ms(&fixture, INACTIVITY_MS - 1); /* since that lookup */
    insert_unheld(&fixture, later);
    advance_ms(&fixture, 1);
    assert_int_equal(stats_of(fixture.engine).sessions, 2); /* past its time, and nobody has looked */
    assert_false(is_known(&fixture, name));
    assert_int_equal(stats_of(fixture.engine).sessions, 1); /* the lookup took it out */
    assert_int_equal(info_of(held).ended, WEIR_ENDED_EXPIRED);
    assert_false(is_known(&fixture, name));
    assert_true(is_known(&fixture, later));
    weir_session_release(held);
    fixture_close(&fixture);
}

/* TTL-09: however often it is looked up. */
static void session_store_get_returns_none_when_expired_by_absolute_ttl(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    open_store(&fixture);
    weir_session *held = insert(&fixture, "tenant", NULL, name);
    const uint64_t step = INACTIVITY_MS / 2;
    for (uint64_t age = step; age < ABSOLUTE_MS; age += step) {
        advance_ms(&fixture, step);
        assert_true(is_known(&fixture, name));
    }
    advance_ms(&fixture, step - 1); /* at 14,399,999 ms */
    assert_true(is_known(&fixture, name));
    advance_ms(&fixture, 2); /* at 14,400,001 ms */
    assert_false(is_known(&fixture, name));
    assert_int_equal(info_of(held).ended, WEIR_ENDED_EXPIRED);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    weir_session_release(held);
    fixture_close(&fixture);
}

/* TTL-12 */
static void session_store_get_refreshes_last_accessed_on_hit(void **state) {
    (void)state;
    struct fixture fixture;
    char looked_up[NAME_LENGTH + 1];
    char left[NAME_LENGTH + 1];
    open_store(&fixture);
    weir_session *session = insert(&fixture, "tenant", NULL, left);
    insert_unheld(&fixture, looked_up);
    weir_cursor stream = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    advance_ms(&fixture, 5);
    assert_true(is_known(&fixture, looked_up));
    publish_numbers(&fixture, session, 1); /* no access, and neither is the open stream */
    advance_ms(&fixture, INACTIVITY_MS - 5);
    assert_true(is_known(&fixture, looked_up));
    assert_false(is_known(&fixture, left));
    expect_number(session, &stream, 1);
    expect_status(session, &stream, WEIR_END); /* the stream is told */
    assert_int_equal(stream.ended, WEIR_ENDED_EXPIRED);
    weir_unsubscribe(session, &stream);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* SES-28 */
static void session_store_delete_returns_true_when_present(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    open_store(&fixture);
    insert_unheld(&fixture, name);
    assert_int_equal(weir_session_remove(fixture.engine, name, NAME_LENGTH), WEIR_OK);
    assert_false(is_known(&fixture, name));
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    fixture_close(&fixture);
}

/* SES-28 */
static void session_store_delete_returns_false_when_absent(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    open_store(&fixture);
    insert_unheld(&fixture, name);
    assert_int_equal(weir_session_remove(fixture.engine, "01890000-0000-7000-8000-000000000000", NAME_LENGTH),
                     WEIR_NOT_FOUND);
    assert_true(is_known(&fixture, name));
    assert_int_equal(weir_session_remove(fixture.engine, name, NAME_LENGTH), WEIR_OK);
    assert_int_equal(weir_session_remove(fixture.engine, name, NAME_LENGTH), WEIR_NOT_FOUND);
    fixture_close(&fixture);
}

/* Two sessions past their time, by inactivity and by age, and one that is not. */
static void age_three(struct fixture *fixture, char (*names)[NAME_LENGTH + 1]) {
    insert_unheld(fixture, names[1]);
    for (uint64_t age = 0; age < ABSOLUTE_MS - INACTIVITY_MS; age += INACTIVITY_MS / 2) {
        assert_true(is_known(fixture, names[1]));
        advance_ms(fixture, INACTIVITY_MS / 2);
    }
    insert_unheld(fixture, names[0]);
    for (int half = 0; half < 2; half++) {
        assert_true(is_known(fixture, names[1]));
        advance_ms(fixture, INACTIVITY_MS / 2);
    }
    insert_unheld(fixture, names[2]);
}

static void check_swept(struct fixture *fixture, char (*names)[NAME_LENGTH + 1]) {
    weir_stats stats = stats_of(fixture->engine);
    assert_int_equal(stats.sessions, 1);
    assert_int_equal(stats.sessions_expired, 2);
    assert_false(is_known(fixture, names[0]));
    assert_false(is_known(fixture, names[1]));
    assert_true(is_known(fixture, names[2]));
}

/* SES-29, TTL-14, TTL-15: nothing is swept but by hand. */
static void session_store_sweep_now_removes_expired(void **state) {
    (void)state;
    struct fixture fixture;
    char names[3][NAME_LENGTH + 1];
    open_store(&fixture);
    age_three(&fixture, names);
    assert_int_equal(stats_of(fixture.engine).sessions, 3); /* counted until somebody looks */
    struct swept swept = sweep_for(&fixture, 0, 0);
    assert_int_equal(swept.count, 2);
    assert_true(was_swept(&swept, names[0], WEIR_ENDED_EXPIRED));
    assert_true(was_swept(&swept, names[1], WEIR_ENDED_EXPIRED));
    check_swept(&fixture, names);
    assert_int_equal(sweep_for(&fixture, 0, 0).count, 0);
    fixture_close(&fixture);
}

/* TTL-13, TTL-14 */
static void session_store_background_sweep_removes_expired(void **state) {
    (void)state;
    struct fixture fixture;
    char names[3][NAME_LENGTH + 1];
    uint32_t next_ms = 0;
    open_store(&fixture);
    assert_int_equal(weir_engine_config(fixture.engine)->sweep_interval_ms, SWEEP_MS);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 0);
    assert_int_equal(next_ms, SWEEP_MS); /* the first one is due a whole interval from the start */
    age_three(&fixture, names);
    assert_int_equal(stats_of(fixture.engine).sessions, 3);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 2);
    check_swept(&fixture, names);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 0); /* none for those that were missed */
    assert_true(next_ms > 0 && next_ms <= SWEEP_MS);
    fixture_close(&fixture);

    /* And at the very start: what is past its time at 59,999 ms stays until 60,000. */
    weir_config config = WEIR_CONFIG_INIT;
    assert_int_equal(weir_preset(WEIR_PRESET_MCP, &config), WEIR_OK);
    config.idle_ttl_ms = 1000;
    fixture_open(&fixture, &config);
    insert_unheld(&fixture, names[0]);
    advance_ms(&fixture, SWEEP_MS - 1);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 0);
    assert_int_equal(next_ms, 1);
    assert_int_equal(stats_of(fixture.engine).sessions, 1);
    advance_ms(&fixture, 1);
    assert_int_equal(weir_engine_maintain(fixture.engine, 1000, &next_ms), 1);
    assert_int_equal(stats_of(fixture.engine).sessions, 0);
    fixture_close(&fixture);
}

/* ---- Session ids as text -------------------------------------------------------------------------------------- */

/* SES-34 */
static void session_id_round_trips_through_string(void **state) {
    (void)state;
    struct fixture fixture;
    char made[NAME_LENGTH + 1];
    char padded[NAME_LENGTH + 16];
    const char *name;
    size_t length;
    open_store(&fixture);
    insert_unheld(&fixture, made);
    static const char *const frames[] = {"%s", " %s", "%s ", "\t %s\r\n", "  %s\t"};
    for (int i = 0; i < 5; i++) {
        snprintf(padded, sizeof(padded), frames[i], made);
        assert_int_equal(weir_session_name_parse(padded, strlen(padded), &name, &length), WEIR_OK);
        assert_int_equal(length, NAME_LENGTH);
        assert_memory_equal(name, made, NAME_LENGTH);
        assert_true(name >= padded && name + length <= padded + strlen(padded));
        weir_session *session;
        assert_int_equal(weir_session_find(fixture.engine, name, length, NULL, &session), WEIR_OK);
        assert_memory_equal(info_of(session).name, made, NAME_LENGTH); /* text, session, the same text */
        weir_session_release(session);
    }
    assert_int_equal(weir_session_name_parse(" any other text ", strlen(" any other text "), &name, &length),
                     WEIR_OK); /* it is the lookup that decides */
    assert_int_equal(length, strlen("any other text"));
    assert_memory_equal(name, "any other text", length);
    fixture_close(&fixture);
}

/* SES-34 */
static void session_id_parse_rejects_empty_string(void **state) {
    (void)state;
    struct fixture fixture;
    const char *name;
    size_t length;
    weir_session *session;
    static const char *const blank[] = {"", " ", "\t", "   \t \r\n "};
    open_store(&fixture);
    for (int i = 0; i < 4; i++)
        assert_int_equal(weir_session_name_parse(blank[i], strlen(blank[i]), &name, &length), WEIR_INVALID);
    assert_int_equal(weir_session_name_parse(NULL, 0, &name, &length), WEIR_INVALID);
    /* Malformed, over-long and unknown ids get one and the same answer. */
    char overlong[200];
    memset(overlong, 'a', sizeof(overlong));
    assert_int_equal(weir_session_find(fixture.engine, "", 0, NULL, &session), WEIR_NOT_FOUND);
    assert_int_equal(weir_session_find(fixture.engine, "a/b", 3, NULL, &session), WEIR_NOT_FOUND);
    assert_int_equal(weir_session_find(fixture.engine, overlong, sizeof(overlong), NULL, &session), WEIR_NOT_FOUND);
    assert_int_equal(weir_session_find(fixture.engine, "unknown", 7, NULL, &session), WEIR_NOT_FOUND);
    fixture_close(&fixture);
}

/* ---- Publishing ----------------------------------------------------------------------------------------------- */

/* Publishes `text` as an event of the kind called `kind`; returns its id. */
static uint64_t publish_event(struct fixture *fixture, weir_session *session, const char *kind, const char *text) {
    weir_message message = {.data = text, .length = strlen(text)};
    weir_receipt receipt;
    assert_int_equal(weir_kind(fixture->engine, kind, strlen(kind), &message.kind), WEIR_OK);
    assert_int_equal(weir_offer(fixture->producer, session, &message, &receipt), WEIR_OK);
    assert_int_equal(receipt.stored, 1);
    return receipt.sequence;
}

/* Reads that event. */
static void expect_event(struct fixture *fixture, weir_session *session, weir_cursor *cursor, uint64_t id,
                         const char *kind, const char *text) {
    char buffer[128];
    weir_event event;
    weir_gap gap;
    size_t length = 0;
    assert_int_equal(weir_read(session, cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
    assert_int_equal(event.sequence, id);
    assert_int_equal(event.length, strlen(text));
    assert_memory_equal(buffer, text, event.length);
    const char *name = weir_kind_name(fixture->engine, event.kind, &length);
    assert_int_equal(length, strlen(kind));
    assert_memory_equal(name, kind, length);
}

/* SEQ-02, SEQ-11: of whatever kind, heartbeats included. */
static void session_state_publish_event_returns_monotonic_ids(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    weir_cursor seen_nothing;
    weir_gap gap;
    int published = 0;
    open_store(&fixture);
    weir_session *session = insert(&fixture, "tenant", NULL, name);
    assert_int_equal(publish_event(&fixture, session, "init", "{}"), 1);
    assert_int_equal(publish_event(&fixture, session, "message", "{\"a\":1}"), 2);
    assert_int_equal(publish_event(&fixture, session, "progress", "{\"a\":2}"), 3);
    assert_int_equal(weir_heartbeat_publish(fixture.producer, session, "{}", 2, &published), WEIR_OK);
    assert_int_equal(published, 1);
    assert_int_equal(publish_event(&fixture, session, "message", "{\"a\":3}"), 5);
    const weir_subscription how = {.start = WEIR_START_AFTER, .after = 0}; /* has seen nothing */
    assert_int_equal(weir_replay(session, &how, &seen_nothing, &gap), WEIR_OK);
    expect_event(&fixture, session, &seen_nothing, 1, "init", "{}");
    expect_event(&fixture, session, &seen_nothing, 2, "message", "{\"a\":1}");
    expect_event(&fixture, session, &seen_nothing, 3, "progress", "{\"a\":2}");
    expect_event(&fixture, session, &seen_nothing, 4, "heartbeat", "{}");
    expect_event(&fixture, session, &seen_nothing, 5, "message", "{\"a\":3}");
    expect_status(session, &seen_nothing, WEIR_EMPTY);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* SEQ-06, RPL-17, LIV-08, LIV-09, BRD-06 */
static void session_state_publish_event_broadcasts_to_subscribers(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    weir_cursor cursors[3];
    static const char text[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"x\":[1,2]}}";
    open_store(&fixture);
    weir_session *session = insert(&fixture, "tenant", NULL, name);
    assert_int_equal(publish_event(&fixture, session, "message", "{\"before\":1}"), 1);
    for (int i = 0; i < 2; i++)
        cursors[i] = subscribe(session, WEIR_START_NOW, WEIR_POLICY_STANDARD, 0, WEIR_OK);
    assert_int_equal(publish_event(&fixture, session, "message", text), 2);
    /* Connecting in the middle: history and live are one cursor, so what lies around the connect comes once. */
    cursors[2] = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_STANDARD, 0, WEIR_OK);
    assert_int_equal(publish_event(&fixture, session, "progress", "{\"after\":1}"), 3);
    for (int i = 0; i < 3; i++) {
        if (i == 2) expect_event(&fixture, session, &cursors[i], 1, "message", "{\"before\":1}");
        expect_event(&fixture, session, &cursors[i], 2, "message", text);
        expect_event(&fixture, session, &cursors[i], 3, "progress", "{\"after\":1}");
        expect_status(session, &cursors[i], WEIR_EMPTY);
        weir_unsubscribe(session, &cursors[i]);
    }
    weir_session_release(session);
    fixture_close(&fixture);
}

/* RPL-14, RPL-15, LIV-10 */
static void session_state_event_buffer_capacity_256(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    open_store(&fixture);
    assert_int_equal(weir_engine_config(fixture.engine)->replay_capacity, 256);
    assert_int_equal(weir_engine_config(fixture.engine)->queue_depth, 256);
    weir_session *session = insert(&fixture, "tenant", NULL, name);
    weir_cursor slow = subscribe(session, WEIR_START_NOW, WEIR_POLICY_STANDARD, 0, WEIR_OK);
    publish_numbers(&fixture, session, 256);
    expect_replay_all(&fixture, name, 1, 256);
    publish_numbers(&fixture, session, 1); /* one more takes exactly one */
    expect_replay_all(&fixture, name, 2, 257);
    publish_numbers(&fixture, session, 49);
    expect_replay_all(&fixture, name, 51, 306);
    assert_int_equal(info_of(session).oldest, 51);
    assert_int_equal(info_of(session).newest, 306);
    expect_gap(session, &slow, 1, 50); /* the one that lagged is told how much it missed, and goes on */
    expect_numbers(session, &slow, 51, 306, WEIR_EMPTY);
    weir_unsubscribe(session, &slow);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* SEQ-06, SEQ-07, RPL-16, BRD-06 */
static void session_state_publish_event_no_subscribers_is_lossless_to_buffer(void **state) {
    (void)state;
    struct fixture fixture;
    char name[NAME_LENGTH + 1];
    weir_cursor cursor;
    weir_gap gap;
    open_store(&fixture);
    weir_session *session = insert(&fixture, "tenant", NULL, name);
    for (uint64_t id = 1; id <= 3; id++) {
        weir_message message = {.data = &id, .length = sizeof(id)};
        weir_receipt receipt;
        assert_int_equal(weir_offer(fixture.producer, session, &message, &receipt), WEIR_OK);
        assert_int_equal(receipt.sequence, id);
        assert_int_equal(receipt.stored, 1);
        assert_int_equal(receipt.live, WEIR_LIVE_NONE);
        expect_replay_all(&fixture, name, 1, id);
    }
    const weir_subscription how = {.start = WEIR_START_AFTER, .after = 1};
    assert_int_equal(weir_subscribe(session, &how, &cursor, &gap), WEIR_OK);
    expect_numbers(session, &cursor, 2, 3, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session_store_insert_returns_unique_id),
        cmocka_unit_test(session_store_get_returns_state_when_present),
        cmocka_unit_test(session_store_get_returns_none_when_expired_by_inactivity),
        cmocka_unit_test(session_store_get_returns_none_when_expired_by_absolute_ttl),
        cmocka_unit_test(session_store_get_refreshes_last_accessed_on_hit),
        cmocka_unit_test(session_store_delete_returns_true_when_present),
        cmocka_unit_test(session_store_delete_returns_false_when_absent),
        cmocka_unit_test(session_store_sweep_now_removes_expired),
        cmocka_unit_test(session_store_background_sweep_removes_expired),
        cmocka_unit_test(session_id_round_trips_through_string),
        cmocka_unit_test(session_id_parse_rejects_empty_string),
        cmocka_unit_test(session_state_publish_event_returns_monotonic_ids),
        cmocka_unit_test(session_state_publish_event_broadcasts_to_subscribers),
        cmocka_unit_test(session_state_event_buffer_capacity_256),
        cmocka_unit_test(session_state_publish_event_no_subscribers_is_lossless_to_buffer),
    };
    return RUN_TESTS(argc, argv, tests);
}
