/* Publishing and reading: exact windows, every size, and each bound with its own error. */
#include "fixture.h"

#include <stdlib.h>

/* RPL-01, RPL-03, RPL-04: the newest `capacity`, exactly, and a replay after every k. */
static void a_ring_of_any_capacity_keeps_exactly_that_many(void **state) {
    (void)state;
    const uint32_t capacities[] = {1, 2, 3, 4, 5, 7, 8, 9, 255, 256, 257};
    for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        uint32_t capacity = capacities[c];
        config.replay_capacity = capacity;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        for (uint64_t newest = 1; newest <= 2 * capacity + 3; newest++) {
            publish_numbers(&fixture, session, 1);
            uint64_t oldest = newest > capacity ? newest - capacity + 1 : 1;
            assert_int_equal(info_of(session).newest, newest);
            assert_int_equal(info_of(session).oldest, oldest);
            if (capacity > 9 && newest % 50 != 0) continue;
            weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
            expect_numbers(session, &cursor, oldest, newest, WEIR_EMPTY);
            weir_unsubscribe(session, &cursor);
        }
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* RPL-14: ids 51 to 306 after 306 publishes. */
static void after_306_publishes_the_default_ring_holds_51_to_306(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 306);
    assert_int_equal(info_of(session).oldest, 51);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_numbers(session, &cursor, 51, 306, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* RPL-02: nothing is kept, and live delivery works. */
static void capacity_zero_keeps_nothing_and_delivers_live(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = WEIR_NONE;
    config.queue_depth = 4;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 3);
    assert_int_equal(info_of(session).oldest, 4);
    assert_int_equal(info_of(session).replay_capacity, 0);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_status(session, &cursor, WEIR_EMPTY);
    publish_numbers(&fixture, session, 4);
    expect_numbers(session, &cursor, 4, 7, WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void fill(unsigned char *data, size_t length, unsigned seed) {
    for (size_t i = 0; i < length; i++)
        data[i] = (unsigned char)(i * 31 + seed + (i >> 8));
}

static void an_event_of_any_size_comes_back_byte_for_byte(void **state) {
    (void)state;
    static const size_t lengths[] = {0,     1,     2,      15,     16,     17,      111,    112,  113,
                                     127,   128,   239,    240,    241,    496,     497,    1007, 1008,
                                     1009,  2031,  2032,   2033,   4095,   4096,    8192,   9999, 65519,
                                     65520, 65521, 262144, 524272, 524273, 1048575, 1048576};
    struct fixture fixture;
    unsigned char *data = (unsigned char *)malloc(WEIR_EVENT_BYTES_MAX + 64);
    unsigned char *back = (unsigned char *)malloc(WEIR_EVENT_BYTES_MAX + 64);
    weir_event event;
    weir_gap gap;
    assert_true(data != NULL && back != NULL);
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t length = lengths[i];
        fill(data, length, (unsigned)i);
        assert_int_equal(weir_publish(fixture.producer, session, 0, length > 0 ? data : NULL, length, NULL), WEIR_OK);
        if (length > 0) { /* TOO_SMALL tells the size, moves nothing and writes nothing */
            memset(back, 0x55, length);
            assert_int_equal(weir_read(session, &cursor, back, length - 1, &event, &gap), WEIR_TOO_SMALL);
            assert_int_equal(event.length, length);
            assert_int_equal(cursor.next, i + 1);
            for (size_t at = 0; at < length; at++)
                assert_int_equal(back[at], 0x55);
        }
        memset(back, 0x55, length + 64);
        assert_int_equal(weir_read(session, &cursor, back, length, &event, &gap), WEIR_OK);
        assert_int_equal(event.length, length);
        assert_memory_equal(back, data, length);
        for (size_t at = length; at < length + 64; at++)
            assert_int_equal(back[at], 0x55);
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
    free(data);
    free(back);
}

static void every_small_length_is_exact_in_both_directions(void **state) {
    (void)state;
    struct fixture fixture;
    unsigned char data[400];
    unsigned char back[400];
    weir_event event;
    weir_gap gap;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (size_t length = 0; length <= sizeof(data); length++) {
        fill(data, length, (unsigned)length);
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, length, NULL), WEIR_OK);
        assert_int_equal(weir_read(session, &cursor, back, sizeof(back), &event, &gap), WEIR_OK);
        assert_int_equal(event.length, length);
        assert_memory_equal(back, data, length);
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void check_too_large(uint32_t max_event_bytes, uint64_t max_session_bytes, size_t most) {
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    uint64_t sequence = 77;
    char *data = (char *)calloc(1, most + 1);
    assert_non_null(data);
    config.max_event_bytes = max_event_bytes;
    config.max_session_bytes = max_session_bytes;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_publish(fixture.producer, session, 0, data, most + 1, &sequence), WEIR_TOO_LARGE);
    assert_int_equal(sequence, 77);
    assert_int_equal(weir_publish(fixture.producer, session, 0, data, most, &sequence), WEIR_OK);
    assert_int_equal(sequence, 1); /* the refused one took no number */
    assert_int_equal(stats_of(fixture.engine).publish_refused, 1);
    weir_session_release(session);
    fixture_close(&fixture);
    free(data);
}

static void an_event_over_either_bound_is_too_large_at_the_exact_byte(void **state) {
    (void)state;
    check_too_large(1, 0, 1);
    check_too_large(100, 0, 100);
    check_too_large(1500, 0, 1500);
    check_too_large(0, 0, WEIR_EVENT_BYTES_MAX);
    check_too_large(0, 128, 112); /* one cell of the smallest class */
    check_too_large(0, 255, 112);
    check_too_large(0, 2047, 1008);
    check_too_large(0, 2048, 2032);
    check_too_large(0, 4095, 2032);
    check_too_large(0, 4096, 4080);
    check_too_large(3000, 4096, 3000);
}

static void arguments_that_make_no_sense_are_refused(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_publish(fixture.producer, session, 0, NULL, 1, NULL), WEIR_INVALID);
    assert_int_equal(weir_publish(fixture.producer, session, 0, NULL, 0, NULL), WEIR_OK);
    assert_int_equal(info_of(session).newest, 1);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* At max_bytes a session that has most of it pays for its own events. */
static void bytes_of_all_sessions_are_bounded_and_the_greedy_one_loses_its_oldest(void **state) {
    (void)state;
    struct fixture fixture;
    char data[60000] = {0};
    weir_config config = WEIR_CONFIG_INIT;
    config.max_bytes = 1u << 20;
    config.max_session_bytes = 1u << 30;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
    weir_session_info full = info_of(session);
    assert_int_equal(full.newest, 100);
    uint64_t kept = full.newest + 1 - full.oldest;
    assert_true(kept >= 10 && kept <= 16);
    assert_int_equal(stats_of(fixture.engine).evicted_events, 100 - kept);
    assert_true(stats_of(fixture.engine).cell_bytes <= config.max_bytes);
    assert_int_equal(stats_of(fixture.engine).publish_refused, 0);
    /* Another session gets its share of what the greedy one holds, half and half. */
    weir_session *other = fixture_session(&fixture, "other");
    for (int i = 0; i < 100; i++)
        assert_int_equal(weir_publish(fixture.producer, other, 0, data, sizeof(data), NULL), WEIR_OK);
    uint64_t left = info_of(session).newest + 1 - info_of(session).oldest;
    uint64_t share = info_of(other).newest + 1 - info_of(other).oldest;
    assert_true(left >= kept / 2 - 1 && share >= kept / 2 - 1);
    assert_true(left + share <= 16);
    weir_session_release(other);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* What a producer has in stock serves on when the pool is empty: a full ring feeds itself. */
static void when_all_bytes_are_out_the_richest_session_gives_and_the_last_event_stays(void **state) {
    (void)state;
    struct fixture fixture;
    weir_producer *late;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 16;
    config.max_bytes = 70000; /* one chunk of the smallest cells */
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    weir_session *greedy = fixture_session(&fixture, "greedy");
    publish_numbers(&fixture, session, 20);
    uint64_t taken = 0; /* by other producers, who keep what they have: nothing is left for anybody */
    weir_producer *others[64];
    for (int i = 0; i < 64; i++) {
        assert_int_equal(weir_producer_create(fixture.engine, &others[i]), WEIR_OK);
        taken += weir_publish(others[i], greedy, 0, "x", 1, NULL) == WEIR_OK;
    }
    assert_int_equal(taken, 64);
    assert_true(stats_of(fixture.engine).evicted_events > 0);
    assert_int_equal(weir_producer_create(fixture.engine, &late), WEIR_OK);
    assert_int_equal(weir_publish(late, session, 0, "x", 1, NULL), WEIR_OK);
    for (int i = 0; i < 100; i++)
        publish_numbers(&fixture, session, 1);
    assert_true(info_of(greedy).newest >= info_of(greedy).oldest); /* never the last one */
    for (int i = 0; i < 64; i++)
        weir_producer_destroy(others[i]);
    assert_int_equal(weir_publish(late, session, 0, "x", 1, NULL), WEIR_OK);
    weir_producer_destroy(late);
    weir_session_release(session);
    weir_session_release(greedy);
    fixture_close(&fixture);
}

/* WK-07, C-13: a ring is bounded in bytes, too. */
static void a_session_over_its_bytes_loses_its_oldest_events_first(void **state) {
    (void)state;
    struct fixture fixture;
    char data[4000];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_bytes = 5 * 4096;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (uint64_t i = 1; i <= 40; i++) {
        memset(data, (int)i, sizeof(data));
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
        assert_int_equal(info_of(session).oldest, i > 5 ? i - 4 : 1);
    }
    weir_cursor cursor;
    weir_gap gap;
    weir_event event;
    char id[WEIR_ID_MAX];
    size_t length = weir_id_format(info_of(session).epoch, 20, id);
    assert_int_equal(subscribe_after(session, id, length, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 21, 35, WEIR_GAP_EVICTED, 1);
    for (int i = 36; i <= 40; i++) {
        assert_int_equal(weir_read(session, &cursor, data, sizeof(data), &event, &gap), WEIR_OK);
        assert_int_equal(event.sequence, i);
        assert_int_equal(data[3999], i);
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* A ring of the smallest cells takes at most half of the budget here: those are bounded by their number, and the larger
 * ones share the other half. */
static void small_events_do_not_count_but_go_with_the_large_ones_before_them(void **state) {
    (void)state;
    struct fixture fixture;
    char data[4000] = {0};
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 128;
    config.max_session_bytes = 2 * 128 * 128;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    for (int i = 0; i < 100; i++)
        publish_text(&fixture, session, "small");
    assert_int_equal(info_of(session).oldest, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
    assert_int_equal(info_of(session).oldest, 1);
    assert_true(info_of(session).bytes <= config.max_session_bytes);
    assert_int_equal(weir_publish(fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
    assert_int_equal(info_of(session).oldest, 102); /* the first large one was 101 */
    weir_session_release(session);
    fixture_close(&fixture);
}

static void a_reader_that_the_byte_budget_passed_gets_a_gap(void **state) {
    (void)state;
    struct fixture fixture;
    char data[4000] = {0};
    weir_event event;
    weir_gap gap;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_bytes = 2 * 4096;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "s");
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
    expect_gap(session, &cursor, 1, 4);
    assert_int_equal(weir_read(session, &cursor, data, sizeof(data), &event, &gap), WEIR_OK);
    assert_int_equal(event.sequence, 5);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void an_event_is_stamped_with_the_coarse_clock(void **state) {
    (void)state;
    struct fixture fixture;
    char buffer[8];
    weir_event event;
    weir_gap gap;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    fixture.clock.now_ms = 0xFFFFFFFFull - 5; /* the 32 bits kept with an event are about to wrap */
    for (int i = 0; i < 4; i++) {
        fake_clock_advance(&fixture.clock, fixture.engine, 3);
        publish_text(&fixture, session, "x");
    }
    fake_clock_advance(&fixture.clock, fixture.engine, 1000000);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
        assert_int_equal(event.time_ms, 0xFFFFFFFFull - 5 + 3 * (i + 1));
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* One handle for two sessions, two handles for one session, and a handle that comes back later: hints may be stale. */
static void producers_that_take_turns_leave_no_hole(void **state) {
    (void)state;
    struct fixture fixture;
    weir_producer *producers[3];
    weir_session *sessions[2];
    uint64_t next[2] = {1, 1};
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    fixture_open(&fixture, &config);
    sessions[0] = fixture_session(&fixture, "a");
    sessions[1] = fixture_session(&fixture, "b");
    for (int i = 0; i < 3; i++)
        assert_int_equal(weir_producer_create(fixture.engine, &producers[i]), WEIR_OK);
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t who = i % 97 == 0 ? 2 : (i / 7) % 2;
        uint32_t where = (i / 11) % 2;
        uint64_t sequence;
        assert_int_equal(weir_publish(producers[who], sessions[where], 0, &i, sizeof(i), &sequence), WEIR_OK);
        assert_int_equal(sequence, next[where]++);
    }
    for (int i = 0; i < 3; i++)
        weir_producer_destroy(producers[i]);
    weir_producer_destroy(NULL);
    for (int i = 0; i < 2; i++)
        weir_session_release(sessions[i]);
    fixture_close(&fixture);
}

/* Laps wrap at 2^29 of them: a ring whose first sequences stand just before that goes on as ever. */
static void sequences_go_on_where_laps_wrap_and_where_they_start_high(void **state) {
    (void)state;
    const uint64_t firsts[] = {(1ull << 31) - 6, (1ull << 32) - 6, (1ull << 34) - 6, UINT64_MAX / 2 - 1};
    for (int f = 0; f < 4; f++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 4;
        config.first_sequence = firsts[f];
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        weir_cursor cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        uint64_t next = firsts[f];
        for (int i = 0; i < 20; i++) {
            publish_numbers(&fixture, session, 3);
            expect_numbers(session, &cursor, next, next + 2, WEIR_EMPTY);
            next += 3;
        }
        publish_numbers(&fixture, session, 9);
        expect_gap(session, &cursor, next, next + 4);
        expect_numbers(session, &cursor, next + 5, next + 8, WEIR_EMPTY);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

static void statistics_add_up_over_all_producers(void **state) {
    (void)state;
    struct fixture fixture;
    weir_producer *second;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_producer_create(fixture.engine, &second), WEIR_OK);
    publish_text(&fixture, session, "12345");
    assert_int_equal(weir_publish(second, session, 0, "123", 3, NULL), WEIR_OK);
    weir_producer_destroy(second);
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.published, 2);
    assert_int_equal(stats.published_bytes, 8);
    assert_int_equal(stats.publish_full, 0);
    assert_int_equal(stats.publish_refused, 0);
    assert_int_equal(stats.sessions, 1);
    assert_true(stats.cell_bytes >= 2 * 128);
    weir_session_release(session);
    fixture_close(&fixture);
}

/* ---- A producer that stays: the plain publish (publish.c) ---------------------------------------------------------- */

static int fill_alike(void *context, void *bytes, size_t size) {
    (void)context;
    memset(bytes, 0x5A, size);
    return 0;
}

/* Whatever the first publish of a producer is refused for, a later one is. */
static void a_producer_that_stays_is_refused_the_same(void **state) {
    (void)state;
    struct fixture fixture, another;
    const char data[113] = {0};
    weir_config config = WEIR_CONFIG_INIT;
    const uint64_t bounds[] = {1, 40, 111, 112, 113};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        uint64_t sequence = 0;
        config.max_event_bytes = bounds[i];
        config.replay_capacity = 4;
        config.entropy.fill = fill_alike; /* so that epochs of the two engines are the same */
        fixture_open(&fixture, &config);
        fixture_open(&another, &config);
        weir_session *session = fixture_session(&fixture, "s");
        weir_session *foreign = fixture_session(&another, "s");
        assert_int_equal(info_of(session).epoch, info_of(foreign).epoch);
        publish_numbers(&another, foreign, bounds[i] < 8 ? 0 : 20);
        for (uint64_t j = 1; j <= 20; j++) {
            assert_int_equal(weir_publish(fixture.producer, session, 0, data, bounds[i], &sequence), WEIR_OK);
            assert_int_equal(sequence, j);
        }
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, bounds[i] + 1, &sequence), WEIR_TOO_LARGE);
        assert_int_equal(weir_publish(fixture.producer, session, 0, NULL, 1, &sequence), WEIR_INVALID);
        assert_int_equal(weir_publish(fixture.producer, session, 1, data, 1, &sequence), WEIR_INVALID);
        assert_int_equal(weir_publish(fixture.producer, foreign, 0, data, 1, &sequence), WEIR_INVALID);
        assert_int_equal(sequence, 20);
        assert_int_equal(weir_publish(fixture.producer, session, 0, NULL, 0, &sequence), WEIR_OK);
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, 0, NULL), WEIR_OK);
        assert_int_equal(weir_session_terminate(session), WEIR_OK);
        assert_int_equal(weir_publish(fixture.producer, session, 0, data, 1, &sequence), WEIR_CLOSED);
        assert_int_equal(sequence, 21);
        weir_stats stats = stats_of(fixture.engine);
        assert_int_equal(stats.published, 22);
        assert_int_equal(stats.published_bytes, 20 * bounds[i]);
        assert_int_equal(stats.publish_refused, 5);
        assert_int_equal(info_of(session).newest, 22);
        weir_session_release(session);
        weir_session_release(foreign);
        fixture_close(&fixture);
        fixture_close(&another);
    }
}

/* Empty events, other small ones, and large ones, in every order of three, where small events count their bytes and where
 * they do not: a session never holds more than it may, and the newest event stays. */
static void bytes_are_bounded_whatever_replaces_what(void **state) {
    (void)state;
    const uint64_t session_bytes[] = {128, 500, 960, 1024, 2048, 4096, 1u << 16};
    const size_t lengths[] = {0, 1, 112, 120, 0, 1, 0, 240};
    const char data[240] = {0};
    for (size_t i = 0; i < sizeof(session_bytes) / sizeof(session_bytes[0]); i++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = 4;
        config.queue_depth = 4;
        config.max_session_bytes = session_bytes[i];
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        uint64_t newest = 0;
        for (uint32_t turn = 0; turn < 512 * 4; turn++) {
            /* Each of three in turn for a while, so that the producer gets to the short way in between. */
            size_t length = lengths[((turn / 4) >> (3 * (turn / 16 % 3))) & 7];
            uint64_t sequence;
            int status = weir_publish(fixture.producer, session, 0, data, length, &sequence);
            if (status == WEIR_TOO_LARGE && session_bytes[i] < 1024) continue;
            assert_int_equal(status, WEIR_OK);
            assert_int_equal(sequence, ++newest);
            weir_session_info info = info_of(session);
            assert_true(info.bytes <= session_bytes[i]);
            assert_int_equal(info.newest, newest);
            assert_true(info.oldest <= newest);
        }
        assert_true(newest > 1000);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_of_any_capacity_keeps_exactly_that_many),
        cmocka_unit_test(after_306_publishes_the_default_ring_holds_51_to_306),
        cmocka_unit_test(capacity_zero_keeps_nothing_and_delivers_live),
        cmocka_unit_test(an_event_of_any_size_comes_back_byte_for_byte),
        cmocka_unit_test(every_small_length_is_exact_in_both_directions),
        cmocka_unit_test(an_event_over_either_bound_is_too_large_at_the_exact_byte),
        cmocka_unit_test(arguments_that_make_no_sense_are_refused),
        cmocka_unit_test(bytes_of_all_sessions_are_bounded_and_the_greedy_one_loses_its_oldest),
        cmocka_unit_test(when_all_bytes_are_out_the_richest_session_gives_and_the_last_event_stays),
        cmocka_unit_test(a_session_over_its_bytes_loses_its_oldest_events_first),
        cmocka_unit_test(small_events_do_not_count_but_go_with_the_large_ones_before_them),
        cmocka_unit_test(a_reader_that_the_byte_budget_passed_gets_a_gap),
        cmocka_unit_test(an_event_is_stamped_with_the_coarse_clock),
        cmocka_unit_test(producers_that_take_turns_leave_no_hole),
        cmocka_unit_test(sequences_go_on_where_laps_wrap_and_where_they_start_high),
        cmocka_unit_test(statistics_add_up_over_all_producers),
        cmocka_unit_test(a_producer_that_stays_is_refused_the_same),
        cmocka_unit_test(bytes_are_bounded_whatever_replaces_what),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
