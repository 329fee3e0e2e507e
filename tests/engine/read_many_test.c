/* Reading a run of events with one call: it gives what as many single reads give, and touches nothing beyond. */
#include "fixture.h"

#include "support/random.h"

#define ROOM   6000u
#define CANARY 0xA5

static uint64_t seed;

struct pair {
    weir_session *session;
    weir_cursor single;
    weir_cursor many;
};

static void fill(unsigned char *data, size_t length, uint64_t number) {
    for (size_t i = 0; i < length; i++)
        data[i] = (unsigned char)(number * 7 + i * 31 + (i >> 8));
}

/* Mostly small events with the same few lengths, some of any length, some with a key. */
static void publish_some(struct fixture *fixture, weir_session *session, struct random *random, uint32_t count) {
    unsigned char data[ROOM];
    for (uint32_t i = 0; i < count; i++) {
        size_t length = random_below(random, 5) == 0 ? random_below(random, 5000) : random_below(random, 130);
        weir_message message = {.data = data, .length = length};
        if (random_below(random, 12) == 0) {
            message.keyed = 1;
            message.key = random_below(random, 3);
        }
        fill(data, length, i);
        assert_int_equal(weir_offer(fixture->producer, session, &message, NULL), WEIR_OK);
        fixture->clock.now_ms += random_below(random, 3);
        weir_engine_tick(fixture->engine);
    }
}

static void check_same_event(const weir_event *one, const weir_event *other) {
    assert_int_equal(one->sequence, other->sequence);
    assert_int_equal(one->time_ms, other->time_ms);
    assert_int_equal(one->length, other->length);
    assert_int_equal(one->kind, other->kind);
    assert_int_equal(one->keyed, other->keyed);
    assert_int_equal(one->key, other->key);
    assert_int_equal(one->superseded, other->superseded);
}

/* One call of many, and each of its events read singly beside it. Returns the status. */
static int read_both(struct pair *pair, size_t room, uint32_t max_events) {
    static unsigned char run[ROOM + 64];
    static unsigned char alone[ROOM];
    weir_event events[40];
    weir_event event;
    weir_gap gap;
    weir_gap other;
    uint32_t count = 77;
    memset(run, CANARY, sizeof(run));
    int status = weir_read_many(pair->session, &pair->many, run, room, events, max_events, &count, &gap);
    for (size_t i = room; i < sizeof(run); i++)
        assert_int_equal(run[i], CANARY);
    assert_true(count <= max_events && (count > 0) == (status == WEIR_OK));
    size_t at = 0;
    for (uint32_t i = 0; i < count; at += events[i++].length) {
        assert_int_equal(weir_read(pair->session, &pair->single, alone, sizeof(alone), &event, &other), WEIR_OK);
        check_same_event(&event, &events[i]);
        assert_memory_equal(run + at, alone, event.length);
    }
    if (status == WEIR_OK) return status;
    size_t single_room = status == WEIR_TOO_SMALL ? room : sizeof(alone);
    assert_int_equal(weir_read(pair->session, &pair->single, alone, single_room, &event, &other), status);
    if (status == WEIR_TOO_SMALL) assert_int_equal(event.length, events[0].length);
    if (status == WEIR_GAP) assert_memory_equal(&gap, &other, sizeof(gap));
    assert_int_equal(pair->many.ended, pair->single.ended);
    return status;
}

static void read_everything(struct pair *pair, struct random *random) {
    for (;;) {
        size_t room = random_below(random, 4) == 0 ? random_below(random, 300) : ROOM - random_below(random, 900);
        int status = read_both(pair, room, 1 + random_below(random, 40));
        assert_int_equal(pair->many.next, pair->single.next);
        if (status != WEIR_OK && status != WEIR_GAP && status != WEIR_TOO_SMALL) return;
    }
}

static void compare(uint32_t capacity, uint32_t depth, weir_policy policy, uint64_t user) {
    struct fixture fixture;
    struct random random = random_start(seed, user);
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    config.queue_depth = depth;
    config.max_session_bytes = random_below(&random, 2) == 0 ? 20000 : 0;
    fixture_open(&fixture, &config);
    struct pair pair = {.session = fixture_session(&fixture, "s")};
    for (uint32_t round = 0; round < 30; round++) {
        publish_some(&fixture, pair.session, &random, random_below(&random, 3 * capacity));
        if (round % 5 == 0) {
            if (round > 0) weir_unsubscribe(pair.session, &pair.single);
            if (round > 0) weir_unsubscribe(pair.session, &pair.many);
            pair.single = subscribe(pair.session, WEIR_START_OLDEST, policy, depth, WEIR_OK);
            pair.many = subscribe(pair.session, WEIR_START_OLDEST, policy, depth, WEIR_OK);
        }
        if (random_below(&random, 3) != 0) read_everything(&pair, &random);
    }
    weir_session_terminate(pair.session);
    read_everything(&pair, &random);
    weir_unsubscribe(pair.session, &pair.single);
    weir_unsubscribe(pair.session, &pair.many);
    weir_session_release(pair.session);
    fixture_close(&fixture);
}

/* RPL-03, RPL-17, RPL-24: under every policy, from every place, in buffers of every size. */
static void a_run_is_what_single_reads_give(void **state) {
    (void)state;
    static const weir_policy policies[] = {WEIR_POLICY_SKIP, WEIR_POLICY_DETACH, WEIR_POLICY_CONFLATE};
    static const uint32_t capacities[] = {1, 2, 5, 16, 64};
    uint64_t user = 0;
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++)
        for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++)
            for (uint32_t depth = 1; depth <= 2 * capacities[c]; depth += 1 + capacities[c] / 2)
                compare(capacities[c], depth, policies[p], user++);
}

static void a_run_of_nothing_is_no_run(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 1);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_event event;
    weir_gap gap;
    uint32_t count = 7;
    char byte[8];
    assert_int_equal(weir_read_many(session, &cursor, byte, sizeof(byte), &event, 0, &count, &gap), WEIR_INVALID);
    assert_int_equal(count, 0);
    expect_numbers(session, &cursor, 1, 1, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* A run goes on over the end of the ring, and to the end of what one look back may give. */
static void a_run_crosses_laps_and_stops_where_a_replay_ends(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 8;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 13);
    weir_cursor cursor;
    weir_gap gap;
    assert_int_equal(weir_replay(session, NULL, &cursor, &gap), WEIR_OK);
    publish_numbers(&fixture, session, 0);
    weir_event events[16];
    char bytes[16 * 8 + 16];
    uint32_t count;
    assert_int_equal(weir_read_many(session, &cursor, bytes, sizeof(bytes), events, 16, &count, &gap), WEIR_OK);
    assert_int_equal(count, 8);
    assert_int_equal(events[0].sequence, 6);
    assert_int_equal(events[7].sequence, 13);
    publish_numbers(&fixture, session, 1);
    assert_int_equal(weir_read_many(session, &cursor, bytes, sizeof(bytes), events, 16, &count, &gap), WEIR_EMPTY);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* A cell of another size does not end a run; what is more than its payload, like the copy of a broadcast, does. */
static void a_run_passes_larger_cells_and_stops_before_what_is_rare(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_channel *channel;
    assert_int_equal(weir_channel_open(fixture.engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    static const size_t lengths[] = {8, 8, 500, 8, 3000, 112, 113, 8};
    unsigned char data[3000];
    for (uint64_t i = 0; i < 8; i++) {
        fill(data, lengths[i], i);
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, lengths[i], NULL), WEIR_OK);
        if (i != 5) continue;
        weir_message message = {.data = data, .length = 20};
        assert_int_equal(weir_channel_publish(fixture.producer, channel, &message, NULL), WEIR_OK);
    }
    static const uint32_t runs[] = {6, 1, 2};
    static unsigned char bytes[8000];
    weir_event events[16];
    weir_gap gap;
    uint32_t count;
    uint64_t number = 0;
    for (int run = 0; run < 3; run++) {
        assert_int_equal(weir_read_many(session, &cursor, bytes, sizeof(bytes), events, 16, &count, &gap), WEIR_OK);
        assert_int_equal(count, runs[run]);
        assert_true((events[0].broadcast != 0) == (run == 1));
        const unsigned char *at = bytes;
        for (uint32_t i = 0; run != 1 && i < count; at += events[i++].length, number++) {
            fill(data, lengths[number], number);
            assert_int_equal(events[i].length, lengths[number]);
            assert_memory_equal(at, data, lengths[number]);
        }
    }
    assert_int_equal(number, 8);
    weir_unsubscribe(session, &cursor);
    weir_channel_release(channel);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* STA-07: what runs read is counted like what is read singly. */
static void what_runs_read_is_counted(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 100);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_event events[64];
    char bytes[64 * 8];
    weir_gap gap;
    uint32_t count;
    while (weir_read_many(session, &cursor, bytes, sizeof(bytes), events, 64, &count, &gap) == WEIR_OK) {
    }
    assert_int_equal(stats_of(fixture.engine).bytes_read, 100 * sizeof(uint64_t));
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_what_single_reads_give),
        cmocka_unit_test(a_run_of_nothing_is_no_run),
        cmocka_unit_test(a_run_crosses_laps_and_stops_where_a_replay_ends),
        cmocka_unit_test(a_run_passes_larger_cells_and_stops_before_what_is_rare),
        cmocka_unit_test(what_runs_read_is_counted),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
