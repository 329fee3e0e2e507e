/* Where a subscriber starts (design 4): every outcome of a resume, with the exact numbers. */
#include "fixture.h"

#include <stdio.h>

struct stage {
    struct fixture fixture;
    weir_session *session;
    uint64_t epoch;
};

/* A session that keeps 4 and has published `count` events from sequence `first` on. */
static void open_stage(struct stage *stage, uint64_t first, uint64_t count) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    config.first_sequence = first;
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "stage");
    stage->epoch = info_of(stage->session).epoch;
    publish_numbers(&stage->fixture, stage->session, count);
}

static void close_stage(struct stage *stage) {
    assert_int_equal(info_of(stage->session).subscribers, 0);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

/* Resumes after `last` of `epoch`, and leaves the cursor attached. */
static int resume(struct stage *stage, uint64_t epoch, uint64_t last, weir_cursor *cursor, weir_gap *gap) {
    char id[WEIR_ID_MAX];
    return subscribe_after(stage->session, id, weir_id_format(epoch, last, id), cursor, gap);
}

static void without_an_id_it_starts_at_the_oldest_or_now(void **state) {
    (void)state;
    const uint64_t counts[] = {0, 1, 4, 5, 11};
    for (int c = 0; c < 5; c++) {
        struct stage stage;
        open_stage(&stage, 1, counts[c]);
        uint64_t oldest = counts[c] > 4 ? counts[c] - 3 : 1;
        weir_cursor cursor = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        assert_int_equal(cursor.next, oldest);
        expect_numbers(stage.session, &cursor, oldest, counts[c], WEIR_EMPTY);
        weir_unsubscribe(stage.session, &cursor);
        cursor = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        assert_int_equal(cursor.next, counts[c] + 1);
        expect_status(stage.session, &cursor, WEIR_EMPTY);
        weir_unsubscribe(stage.session, &cursor);
        close_stage(&stage);
    }
}

/* RPL-03, RPL-04, RPL-05, RPL-19: after each k that was ever seen. */
static void an_id_is_followed_by_everything_after_it_or_by_an_exact_gap(void **state) {
    (void)state;
    const uint64_t firsts[] = {1, 1000, UINT64_MAX / 2 - 1};
    for (int f = 0; f < 3; f++)
        for (uint64_t count = 1; count <= 12; count++) {
            struct stage stage;
            open_stage(&stage, firsts[f], count);
            uint64_t newest = firsts[f] + count - 1;
            uint64_t oldest = count > 4 ? newest - 3 : firsts[f];
            for (uint64_t last = firsts[f] - 1; last <= newest; last++) {
                weir_cursor cursor;
                weir_gap gap;
                int status = resume(&stage, stage.epoch, last, &cursor, &gap);
                if (last + 1 >= oldest) {
                    assert_int_equal(status, WEIR_OK);
                    assert_int_equal(gap.reason, WEIR_GAP_NONE);
                    assert_int_equal(gap.lost, 0);
                    expect_numbers(stage.session, &cursor, last + 1, newest, WEIR_EMPTY);
                } else {
                    assert_int_equal(status, WEIR_GAP);
                    check_gap(&gap, last + 1, oldest - 1, WEIR_GAP_EVICTED, 1);
                    expect_numbers(stage.session, &cursor, oldest, newest, WEIR_EMPTY);
                }
                weir_unsubscribe(stage.session, &cursor);
            }
            close_stage(&stage);
        }
}

static void an_id_from_the_future_gets_a_gap_and_everything_kept(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 1, 9);
    const uint64_t ahead[] = {10, 11, 1000, UINT64_MAX / 2};
    for (int i = 0; i < 4; i++) {
        weir_cursor cursor;
        weir_gap gap;
        assert_int_equal(resume(&stage, stage.epoch, ahead[i], &cursor, &gap), WEIR_GAP);
        check_gap(&gap, 1, 5, WEIR_GAP_AHEAD, 0);
        expect_numbers(stage.session, &cursor, 6, 9, WEIR_EMPTY);
        weir_unsubscribe(stage.session, &cursor);
    }
    close_stage(&stage);
}

static void an_id_of_a_fresh_sessions_future_names_no_event_of_this_epoch(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, 1, 0);
    assert_int_equal(resume(&stage, stage.epoch, 1, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 1, 0, WEIR_GAP_AHEAD, 0);
    assert_int_equal(gap.lost, 0);
    expect_status(stage.session, &cursor, WEIR_EMPTY);
    weir_unsubscribe(stage.session, &cursor);
    close_stage(&stage);
}

/* WK-08 */
static void an_id_of_an_earlier_life_is_told_from_one_of_another_session(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, 1, 6);
    uint64_t earlier = stage.epoch;
    weir_session *other = fixture_session(&stage.fixture, "another");
    uint64_t foreign = info_of(other).epoch;
    weir_session_release(other);
    weir_session_terminate(stage.session);
    weir_session_release(stage.session);
    stage.session = fixture_session(&stage.fixture, "stage");
    publish_numbers(&stage.fixture, stage.session, 7);

    assert_int_equal(resume(&stage, earlier, 5, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 1, 3, WEIR_GAP_EPOCH, 0);
    expect_numbers(stage.session, &cursor, 4, 7, WEIR_EMPTY);
    weir_unsubscribe(stage.session, &cursor);

    assert_int_equal(resume(&stage, foreign, 5, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 1, 3, WEIR_GAP_SESSION, 0);
    expect_numbers(stage.session, &cursor, 4, 7, WEIR_EMPTY);
    weir_unsubscribe(stage.session, &cursor);
    close_stage(&stage);
}

static void what_is_no_id_gets_a_gap_and_everything_kept(void **state) {
    (void)state;
    static const char long_one[300] = {'1'};
    static const char *const texts[] = {"x", "0", "7", "undefined", "00000000000.", "\xFF\xFE", "a b"};
    struct stage stage;
    open_stage(&stage, 1, 9);
    for (size_t i = 0; i <= sizeof(texts) / sizeof(texts[0]); i++) {
        weir_cursor cursor;
        weir_gap gap;
        bool last = i == sizeof(texts) / sizeof(texts[0]);
        size_t length = last ? sizeof(long_one) : strlen(texts[i]);
        assert_int_equal(subscribe_after(stage.session, last ? long_one : texts[i], length, &cursor, &gap), WEIR_GAP);
        check_gap(&gap, 1, 5, WEIR_GAP_MALFORMED, 0);
        expect_numbers(stage.session, &cursor, 6, 9, WEIR_EMPTY);
        weir_unsubscribe(stage.session, &cursor);
    }
    close_stage(&stage);
}

static void an_empty_id_is_none(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, 1, 9);
    assert_int_equal(subscribe_after(stage.session, "", 0, &cursor, &gap), WEIR_OK);
    assert_int_equal(cursor.next, 6);
    weir_unsubscribe(stage.session, &cursor);
    assert_int_equal(weir_subscribe(stage.session, NULL, &cursor, NULL), WEIR_OK);
    assert_int_equal(cursor.next, 6);
    weir_unsubscribe(stage.session, &cursor);
    close_stage(&stage);
}

static void a_subscription_out_of_range_is_refused_and_leaves_nothing(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, 1, 2);
    const weir_subscription bad[] = {
        {.last_id_length = 1},       {.start = (weir_start)3},       {.policy = (weir_policy)6},
        {.queue_depth = 5}, /* the ring has 4 places */
        {.queue_depth = UINT32_MAX}, {.full_consecutive_max = 1024}, {.full_total_max = 4096},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(weir_subscribe(stage.session, &bad[i], &cursor, &gap), WEIR_INVALID);
        assert_int_equal(cursor.generation, 0);
        weir_unsubscribe(stage.session, &cursor); /* was never attached */
    }
    assert_int_equal(stats_of(stage.fixture.engine).subscribers, 0);
    close_stage(&stage);
}

/* SES-02, SES-03: one counter, and never 0. */
static void generations_grow_over_all_sessions(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 1, 2);
    weir_session *other = fixture_session(&stage.fixture, "other");
    uint64_t last = 0;
    for (int i = 0; i < 10; i++) {
        weir_session *session = i % 2 == 0 ? stage.session : other;
        weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        assert_int_equal(cursor.generation, last + 1);
        last = cursor.generation;
        weir_unsubscribe(session, &cursor);
        assert_int_equal(cursor.generation, 0);
    }
    weir_session_release(other);
    close_stage(&stage);
}

/* SES-08: late clean-up is harmless. */
static void detaching_twice_counts_once(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 1, 2);
    weir_cursor one = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_cursor two = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_unsubscribe(stage.session, &one);
    weir_unsubscribe(stage.session, &one);
    weir_unsubscribe(stage.session, NULL);
    assert_int_equal(info_of(stage.session).subscribers, 1);
    weir_unsubscribe(stage.session, &two);
    close_stage(&stage);
}

static void subscribers_are_bounded_per_session_and_in_all(void **state) {
    (void)state;
    struct fixture fixture;
    weir_cursor cursors[5];
    weir_cursor cursor;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_subscribers = 3;
    config.max_subscribers = 5;
    fixture_open(&fixture, &config);
    weir_session *one = fixture_session(&fixture, "one");
    weir_session *two = fixture_session(&fixture, "two");
    for (int i = 0; i < 3; i++)
        cursors[i] = subscribe(one, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    subscribe(one, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_SUBSCRIBERS_LIMIT);
    for (int i = 3; i < 5; i++)
        cursors[i] = subscribe(two, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    subscribe(two, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_SUBSCRIBERS_LIMIT);
    assert_int_equal(info_of(two).subscribers, 2);
    assert_int_equal(stats_of(fixture.engine).subscribers, 5);
    weir_unsubscribe(one, &cursors[0]);
    cursor = subscribe(two, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
    weir_unsubscribe(two, &cursor);
    for (int i = 1; i < 5; i++)
        weir_unsubscribe(i < 3 ? one : two, &cursors[i]);
    weir_session_release(one);
    weir_session_release(two);
    fixture_close(&fixture);
}

/* RPL-11: a replay consumes nothing. LIV-09: everybody gets everything. */
static void any_number_of_subscribers_read_the_same(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursors[10];
    open_stage(&stage, 1, 9);
    for (int i = 0; i < 10; i++)
        cursors[i] = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (int i = 0; i < 10; i++)
        expect_numbers(stage.session, &cursors[i], 6, 9, WEIR_EMPTY);
    publish_numbers(&stage.fixture, stage.session, 2);
    for (int i = 0; i < 10; i++) {
        expect_numbers(stage.session, &cursors[i], 10, 11, WEIR_EMPTY);
        weir_unsubscribe(stage.session, &cursors[i]);
    }
    close_stage(&stage);
}

static void gaps_of_resumes_are_counted(void **state) {
    (void)state;
    struct stage stage;
    weir_cursor cursor;
    weir_gap gap;
    open_stage(&stage, 1, 10);
    assert_int_equal(resume(&stage, stage.epoch, 2, &cursor, &gap), WEIR_GAP);
    check_gap(&gap, 3, 6, WEIR_GAP_EVICTED, 1);
    weir_unsubscribe(stage.session, &cursor);
    assert_int_equal(stats_of(stage.fixture.engine).gaps, 1);
    assert_int_equal(stats_of(stage.fixture.engine).lost, 4);
    close_stage(&stage);
}

static void a_gaps_reason_has_a_name(void **state) {
    (void)state;
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_NONE), "none");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_EVICTED), "evicted");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_SLOW), "slow");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_AHEAD), "ahead");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_EPOCH), "epoch");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_SESSION), "session");
    assert_string_equal(weir_gap_reason_name(WEIR_GAP_MALFORMED), "malformed");
    assert_string_equal(weir_gap_reason_name((weir_gap_reason)99), "none");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_id_it_starts_at_the_oldest_or_now),
        cmocka_unit_test(an_id_is_followed_by_everything_after_it_or_by_an_exact_gap),
        cmocka_unit_test(an_id_from_the_future_gets_a_gap_and_everything_kept),
        cmocka_unit_test(an_id_of_a_fresh_sessions_future_names_no_event_of_this_epoch),
        cmocka_unit_test(an_id_of_an_earlier_life_is_told_from_one_of_another_session),
        cmocka_unit_test(what_is_no_id_gets_a_gap_and_everything_kept),
        cmocka_unit_test(an_empty_id_is_none),
        cmocka_unit_test(a_subscription_out_of_range_is_refused_and_leaves_nothing),
        cmocka_unit_test(generations_grow_over_all_sessions),
        cmocka_unit_test(detaching_twice_counts_once),
        cmocka_unit_test(subscribers_are_bounded_per_session_and_in_all),
        cmocka_unit_test(any_number_of_subscribers_read_the_same),
        cmocka_unit_test(gaps_of_resumes_are_counted),
        cmocka_unit_test(a_gaps_reason_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
