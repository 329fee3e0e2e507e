/* Conflation (WEIR_POLICY_CONFLATE): a consumer that has fallen behind gets the latest event of each key, all that have
 * none, and an exact account of the rest. LIV-16: between two events that it gets, every sequence is counted as
 * superseded or named in a gap. */
#include "fixture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "support/random.h"

#define NO_KEY UINT64_MAX /* of the tests; the engine takes any */

struct stage {
    struct fixture fixture;
    weir_session *session;
    weir_cursor cursor;
};

/* A consumer that is live at event 1, with a queue of `depth` in a session that keeps `capacity`. */
static void open_stage(struct stage *stage, uint32_t capacity, uint32_t depth) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "s");
    stage->cursor = subscribe(stage->session, WEIR_START_NOW, WEIR_POLICY_CONFLATE, depth, WEIR_OK);
    assert_int_equal(stage->cursor.live, 1);
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

/* Publishes one event for each key in turn; the payload is the key. */
static void publish_keys(struct stage *stage, const uint64_t *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const weir_message message = {
            .data = &keys[i], .length = sizeof(keys[i]), .keyed = keys[i] != NO_KEY, .key = keys[i]};
        assert_int_equal(weir_offer(stage->fixture.producer, stage->session, &message, NULL), WEIR_OK);
    }
}

static void expect_event(struct stage *stage, uint64_t sequence, uint64_t key, uint32_t superseded) {
    uint64_t payload = 0;
    weir_event event;
    weir_gap gap;
    int status = weir_read(stage->session, &stage->cursor, &payload, sizeof(payload), &event, &gap);
    assert_string_equal(weir_status_name(status), "WEIR_OK");
    assert_int_equal(event.sequence, sequence);
    assert_int_equal(event.superseded, superseded);
    assert_int_equal(event.keyed, key != NO_KEY);
    if (key != NO_KEY) assert_int_equal(event.key, key);
    assert_int_equal(payload, key);
}

/* ---- What is passed over ------------------------------------------------------------------------------------ */

static void inside_its_depth_a_consumer_gets_everything(void **state) {
    (void)state;
    static const uint64_t keys[] = {7, 7, 7, 7};
    struct stage stage;
    open_stage(&stage, 16, 4);
    for (uint64_t first = 1; first <= 9; first += 4) {
        publish_keys(&stage, keys, 4);
        for (uint64_t i = 0; i < 4; i++)
            expect_event(&stage, first + i, 7, 0);
        expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    }
    assert_int_equal(stats_of(stage.fixture.engine).conflated, 0);
    close_stage(&stage);
}

static void beyond_its_depth_the_latest_of_each_key_wins_and_what_has_none_stays(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, NO_KEY, 2, 1, 1, NO_KEY, 3, 2, 1, 3};
    struct stage stage;
    open_stage(&stage, 16, 4);
    publish_keys(&stage, keys, 10);
    expect_event(&stage, 2, NO_KEY, 1);
    expect_event(&stage, 6, NO_KEY, 3);
    expect_event(&stage, 8, 2, 1);
    expect_event(&stage, 9, 1, 0);
    expect_event(&stage, 10, 3, 0);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    weir_stats stats = stats_of(stage.fixture.engine);
    assert_int_equal(stats.conflated, 5);
    assert_int_equal(stats.gaps, 0);
    close_stage(&stage);
}

/* It is judged again when what was looked through is read; not in between. */
static void a_look_holds_for_what_was_there(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, 1, 2, 2};
    static const uint64_t more[] = {2, 1, 1};
    struct stage stage;
    open_stage(&stage, 16, 2);
    publish_keys(&stage, keys, 4);
    expect_event(&stage, 2, 1, 1);
    publish_keys(&stage, more, 3);
    expect_event(&stage, 4, 2, 1);
    expect_event(&stage, 5, 2, 0);
    expect_event(&stage, 7, 1, 1);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    close_stage(&stage);
}

static void keys_are_told_apart_whatever_they_are(void **state) {
    (void)state;
    enum { KEYS = 128 };
    uint64_t keys[2 * KEYS];
    struct stage stage;
    open_stage(&stage, 256, 16);
    for (uint64_t i = 0; i < KEYS; i++) /* small ones, high ones, neighbours, and multiples of a power of two */
        keys[i] = keys[KEYS + i] = i % 4 == 0 ? i : i % 4 == 1 ? ~i - 1 : i % 4 == 2 ? i << 40 : i << 32 | 5;
    publish_keys(&stage, keys, 2 * KEYS);
    for (uint64_t i = 0; i < KEYS; i++)
        expect_event(&stage, KEYS + 1 + i, keys[i], i == 0 ? KEYS : 0);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    close_stage(&stage);
}

/* The start is a replay: it is whole, however long it takes. */
static void a_consumer_that_has_not_caught_up_gets_everything(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct stage stage;
    open_stage(&stage, 16, 2);
    publish_keys(&stage, keys, 8);
    weir_unsubscribe(stage.session, &stage.cursor);
    stage.cursor = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_CONFLATE, 2, WEIR_OK);
    for (uint64_t i = 1; i <= 8; i++)
        expect_event(&stage, i, 1, 0);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    publish_keys(&stage, keys, 4);
    expect_event(&stage, 12, 1, 3);
    close_stage(&stage);
}

/* ---- What is lost ------------------------------------------------------------------------------------------- */

/* Only what the ring no longer has is in the gap: of what it has, the latest of each key is delivered. */
static void what_the_ring_has_lost_is_a_gap_and_no_more(void **state) {
    (void)state;
    uint64_t keys[40];
    struct stage stage;
    open_stage(&stage, 16, 4);
    for (uint64_t i = 0; i < 40; i++)
        keys[i] = i == 30 ? 5 : i == 26 ? NO_KEY : 9;
    publish_keys(&stage, keys, 40);
    expect_gap(stage.session, &stage.cursor, 1, 24);
    expect_event(&stage, 27, NO_KEY, 2);
    expect_event(&stage, 31, 5, 3);
    expect_event(&stage, 40, 9, 8);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    weir_stats stats = stats_of(stage.fixture.engine);
    assert_int_equal(stats.lost, 24);
    assert_int_equal(stats.conflated, 13);
    close_stage(&stage);
}

/* The same when the ring passes in the middle of what was looked through. */
static void what_was_looked_through_may_be_lost_like_any_other(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, NO_KEY, 1, NO_KEY, 2, NO_KEY, 2, NO_KEY};
    struct stage stage;
    open_stage(&stage, 8, 4);
    publish_keys(&stage, keys, 8);
    expect_event(&stage, 2, NO_KEY, 1);
    publish_keys(&stage, keys, 4); /* the ring is at 5 now */
    expect_gap(stage.session, &stage.cursor, 3, 4);
    expect_event(&stage, 6, NO_KEY, 1);
    expect_event(&stage, 7, 2, 0);
    expect_event(&stage, 8, NO_KEY, 0);
    for (uint64_t i = 0; i < 4; i++)
        expect_event(&stage, 9 + i, keys[i], 0); /* four: inside the depth again */
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    close_stage(&stage);
}

/* ---- Its end ------------------------------------------------------------------------------------------------ */

/* What comes after its end supersedes nothing: it is not for this consumer (LIV-17). */
static void a_displaced_consumer_gets_the_latest_before_its_end(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, 1, 2, 1, 2};
    struct stage stage;
    weir_cursor next;
    const weir_subscription how = {.policy = WEIR_POLICY_CONFLATE, .queue_depth = 2, .start = WEIR_START_NOW};
    open_stage(&stage, 32, 2);
    weir_unsubscribe(stage.session, &stage.cursor);
    assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
    publish_keys(&stage, keys, 5);
    assert_int_equal(weir_attach(stage.session, &how, &next, NULL), WEIR_OK);
    publish_keys(&stage, keys, 5);
    expect_event(&stage, 4, 1, 3);
    expect_event(&stage, 5, 2, 0);
    expect_status(stage.session, &stage.cursor, WEIR_END);
    assert_int_equal(stage.cursor.ended, WEIR_ENDED_DISPLACED);
    weir_unsubscribe(stage.session, &stage.cursor);
    stage.cursor = next;
    expect_event(&stage, 9, 1, 3);
    expect_event(&stage, 10, 2, 0);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    close_stage(&stage);
}

static void the_end_of_the_session_comes_behind_the_latest(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, 1, 1, 1, 1};
    struct stage stage;
    open_stage(&stage, 16, 2);
    publish_keys(&stage, keys, 5);
    weir_session_terminate(stage.session);
    expect_event(&stage, 5, 1, 4);
    expect_status(stage.session, &stage.cursor, WEIR_END);
    close_stage(&stage);
}

/* As the session's one consumer it refuses nobody, and receipts tell how it stands. */
static void an_attached_one_never_refuses(void **state) {
    (void)state;
    static const uint64_t key = 1;
    struct stage stage;
    weir_receipt receipt;
    const weir_subscription how = {.policy = WEIR_POLICY_CONFLATE, .queue_depth = 3};
    open_stage(&stage, 16, 2);
    weir_unsubscribe(stage.session, &stage.cursor);
    assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
    for (int i = 1; i <= 10; i++) {
        const weir_message message = {.data = &key, .length = sizeof(key), .keyed = 1, .key = key};
        assert_int_equal(weir_offer(stage.fixture.producer, stage.session, &message, &receipt), WEIR_OK);
        assert_int_equal(receipt.live, i <= 3 ? WEIR_LIVE_ACCEPTED : WEIR_LIVE_FULL);
    }
    expect_event(&stage, 10, 1, 9);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    weir_attachment_info info;
    assert_int_equal(weir_attachment_get(stage.session, &info), WEIR_OK);
    assert_int_equal(info.backlog, 0);
    close_stage(&stage);
}

/* ---- No memory ---------------------------------------------------------------------------------------------- */

static void without_memory_it_reads_all_that_is_there(void **state) {
    (void)state;
    static const uint64_t keys[] = {1, 1, 1, 1, 1};
    struct stage stage;
    open_stage(&stage, 16, 2);
    publish_keys(&stage, keys, 5);
    for (uint64_t i = 1; i <= 2; i++) {
        u64_store_relaxed(&stage.fixture.memory.fail_at, u64_load_relaxed(&stage.fixture.memory.calls) + 1);
        expect_event(&stage, i, 1, 0);
    }
    expect_event(&stage, 5, 1, 2); /* the memory came */
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    close_stage(&stage);
}

/* ---- Nothing is lost silently ------------------------------------------------------------------------------- */

/* Reads up to `count` times, and checks that each sequence is delivered, counted or in a gap. What is counted has a
 * successor of its key that is not. */
struct account {
    uint64_t next;      /* the first that nothing is known of */
    uint64_t lost;      /* in gaps since the last event */
    uint64_t delivered; /* of all */
    bool told[4096];    /* by sequence: delivered, or in a gap */
};

static int read_into_account(struct stage *stage, struct account *account) {
    uint64_t payload;
    weir_event event;
    weir_gap gap;
    int status = weir_read(stage->session, &stage->cursor, &payload, sizeof(payload), &event, &gap);
    if (status == WEIR_GAP) {
        assert_true(gap.first >= account->next && gap.last >= gap.first);
        for (uint64_t i = gap.first; i <= gap.last; i++)
            account->told[i % 4096] = true;
        account->lost += gap.lost;
    } else if (status == WEIR_OK) {
        assert_int_equal(event.sequence - account->next, event.superseded + account->lost);
        account->told[event.sequence % 4096] = true;
        account->next = event.sequence + 1;
        account->lost = 0;
        account->delivered++;
    }
    return status;
}

/* Every key's last event was told, and of two neighbours of a key the earlier one may only be missing if a later one of
 * them was told. */
static void check_account(const struct account *account, const uint64_t *keys, uint64_t count) {
    bool key_told[16] = {false};
    for (uint64_t sequence = count; sequence >= 1; sequence--) {
        uint64_t key = keys[sequence - 1];
        if (key == NO_KEY)
            assert_true(account->told[sequence]);
        else if (account->told[sequence])
            key_told[key] = true;
        else
            assert_true(key_told[key]);
    }
}

static void every_event_is_delivered_counted_or_named(void **state) {
    (void)state;
    enum { EVENTS = 2000 };
    static uint64_t keys[EVENTS];
    uint64_t conflated = 0;
    uint64_t gaps = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct stage stage;
        struct account account = {.next = 1};
        struct random random = {seed};
        open_stage(&stage, 1u << (2 + seed % 5), 1 + (uint32_t)(seed % 3));
        for (uint64_t published = 0; published < EVENTS;) {
            for (uint64_t burst = random_below(&random, 40); burst > 0 && published < EVENTS; burst--, published++) {
                keys[published] = random_below(&random, 8) == 0 ? NO_KEY : random_below(&random, 1 + seed % 16);
                publish_keys(&stage, &keys[published], 1);
            }
            for (uint64_t reads = random_below(&random, 12); reads > 0; reads--)
                read_into_account(&stage, &account);
        }
        while (read_into_account(&stage, &account) != WEIR_EMPTY)
            continue;
        assert_int_equal(account.next + account.lost, EVENTS + 1);
        check_account(&account, keys, EVENTS);
        weir_stats stats = stats_of(stage.fixture.engine);
        assert_int_equal(account.delivered + stats.conflated + stats.lost, EVENTS);
        conflated += stats.conflated;
        gaps += stats.gaps;
        close_stage(&stage);
    }
    assert_true(conflated > 1000 && gaps > 100); /* both were met */
}

enum { STRESSED = 30000 };

static void *publish_stressed(void *context) {
    struct stage *stage = (struct stage *)context;
    for (uint64_t i = 0; i < STRESSED; i++) {
        const uint64_t key = i % 7;
        const weir_message message = {.data = &key, .length = sizeof(key), .keyed = key != 0, .key = key};
        if (weir_offer(stage->fixture.producer, stage->session, &message, NULL) != WEIR_OK) abort();
    }
    return NULL;
}

static void the_account_is_exact_while_others_publish(void **state) {
    (void)state;
    struct stage stage;
    struct account account = {.next = 1};
    pthread_t producer;
    open_stage(&stage, 64, 8);
    assert_int_equal(pthread_create(&producer, NULL, publish_stressed, &stage), 0);
    while (account.next + account.lost < STRESSED + 1)
        read_into_account(&stage, &account);
    pthread_join(producer, NULL);
    expect_status(stage.session, &stage.cursor, WEIR_EMPTY);
    weir_stats stats = stats_of(stage.fixture.engine);
    assert_int_equal(account.delivered + stats.conflated + stats.lost, STRESSED);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inside_its_depth_a_consumer_gets_everything),
        cmocka_unit_test(beyond_its_depth_the_latest_of_each_key_wins_and_what_has_none_stays),
        cmocka_unit_test(a_look_holds_for_what_was_there),
        cmocka_unit_test(keys_are_told_apart_whatever_they_are),
        cmocka_unit_test(a_consumer_that_has_not_caught_up_gets_everything),
        cmocka_unit_test(what_the_ring_has_lost_is_a_gap_and_no_more),
        cmocka_unit_test(what_was_looked_through_may_be_lost_like_any_other),
        cmocka_unit_test(a_displaced_consumer_gets_the_latest_before_its_end),
        cmocka_unit_test(the_end_of_the_session_comes_behind_the_latest),
        cmocka_unit_test(an_attached_one_never_refuses),
        cmocka_unit_test(without_memory_it_reads_all_that_is_there),
        cmocka_unit_test(every_event_is_delivered_counted_or_named),
        cmocka_unit_test(the_account_is_exact_while_others_publish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
