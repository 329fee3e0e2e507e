/* What happens to a subscriber whose queue is full, at the exact event (contract BKP-01 to BKP-03, LIV-03, LIV-10). */
#include "fixture.h"

struct stage {
    struct fixture fixture;
    weir_session *session;
    weir_cursor cursor;
};

/* A session that keeps `capacity`, and a live subscriber with a queue of `depth`. */
static void open_stage(struct stage *stage, uint32_t capacity, uint32_t depth, weir_policy policy) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity;
    config.queue_depth = depth > capacity ? depth : 0;
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "stage");
    publish_numbers(&stage->fixture, stage->session, 10);
    stage->cursor = subscribe(stage->session, WEIR_START_NOW, policy, depth, WEIR_OK);
    assert_int_equal(stage->cursor.live, 1);
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

static const struct {
    uint32_t capacity;
    uint32_t depth;
} shapes[] = {{16, 1}, {16, 2}, {16, 3}, {16, 15}, {16, 16}, {3, 3},
              {3, 2},  {5, 5},  {1, 1},  {2, 7},   {4, 4},   {256, 100}};

#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/* LIV-03: `depth` events fit, exactly. */
static void a_queue_holds_exactly_its_depth_under_every_policy(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_SKIP; policy <= WEIR_POLICY_EVICT; policy++)
        for (size_t s = 0; s < SHAPES; s++) {
            struct stage stage;
            uint32_t depth = shapes[s].depth;
            open_stage(&stage, shapes[s].capacity, depth, (weir_policy)policy);
            for (uint64_t first = 11; first < 11 + 5ull * depth; first += depth) {
                publish_numbers(&stage.fixture, stage.session, depth);
                expect_numbers(stage.session, &stage.cursor, first, first + depth - 1, WEIR_EMPTY);
            }
            assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT);
            close_stage(&stage);
        }
}

/* LIV-10: one more, or many more, is a gap of exactly what does not fit, and on from the oldest inside the depth. */
static void skip_reports_what_did_not_fit_and_goes_on(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (uint64_t more = 1; more <= 40; more += more < 5 ? 1 : 7) {
            struct stage stage;
            uint32_t depth = shapes[s].depth;
            open_stage(&stage, shapes[s].capacity, depth, WEIR_POLICY_SKIP);
            publish_numbers(&stage.fixture, stage.session, depth + more);
            expect_gap(stage.session, &stage.cursor, 11, 10 + more);
            expect_numbers(stage.session, &stage.cursor, 11 + more, 10 + more + depth, WEIR_EMPTY);
            weir_stats stats = stats_of(stage.fixture.engine);
            assert_int_equal(stats.gaps, 1);
            assert_int_equal(stats.lost, more);
            close_stage(&stage);
        }
}

static void check_detach(struct stage *stage, uint32_t capacity, uint32_t depth, uint64_t more) {
    uint64_t ring = 1;
    while (ring < capacity || ring < depth)
        ring *= 2;
    publish_numbers(&stage->fixture, stage->session, depth + more);
    uint64_t newest = 10 + depth + more;
    uint64_t end = 11 + depth;                                       /* the event that did not fit */
    uint64_t kept = newest + 1 > ring + 11 ? newest + 1 - ring : 11; /* the ring may have passed the queue by now */
    if (kept > end) kept = end;
    if (kept > 11) expect_gap(stage->session, &stage->cursor, 11, kept - 1);
    expect_numbers(stage->session, &stage->cursor, kept, end - 1, WEIR_LAGGED);
}

/* BKP-01, BKP-02: what was queued is delivered as far as the ring still has it, the event that did not fit is not, and
 * then comes the end of this attachment. BKP-03: the session stays, and a resume finds what it keeps. */
static void detach_delivers_what_was_queued_and_no_more(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (uint64_t more = 1; more <= 40; more += more < 5 ? 1 : 7) {
            struct stage stage;
            uint32_t depth = shapes[s].depth;
            open_stage(&stage, shapes[s].capacity, depth, WEIR_POLICY_DETACH);
            check_detach(&stage, shapes[s].capacity, depth, more);
            publish_numbers(&stage.fixture, stage.session, 1);
            expect_status(stage.session, &stage.cursor, WEIR_LAGGED);
            assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT);

            char id[WEIR_ID_MAX];
            weir_gap gap;
            weir_session_info info = info_of(stage.session);
            size_t length = weir_id_format(info.epoch, stage.cursor.next - 1, id);
            weir_unsubscribe(stage.session, &stage.cursor);
            int status = subscribe_after(stage.session, id, length, &stage.cursor, &gap);
            assert_int_equal(status, 11 + depth >= info.oldest ? WEIR_OK : WEIR_GAP);
            uint64_t from = 11 + depth >= info.oldest ? 11 + depth : info.oldest;
            expect_numbers(stage.session, &stage.cursor, from, info.newest, WEIR_EMPTY);
            close_stage(&stage);
        }
}

static void evict_is_detach_and_ends_the_session(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (uint64_t more = 1; more <= 40; more += more < 5 ? 1 : 7) {
            struct stage stage;
            open_stage(&stage, shapes[s].capacity, shapes[s].depth, WEIR_POLICY_EVICT);
            check_detach(&stage, shapes[s].capacity, shapes[s].depth, more);
            assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_OVERFLOW);
            int status = weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL);
            assert_int_equal(status, WEIR_CLOSED);
            assert_int_equal(stats_of(stage.fixture.engine).sessions, 0);
            close_stage(&stage);
        }
}

/* The producer gets FULL, no number is used, and nothing is ever lost. */
static void refuse_takes_no_number_and_loses_nothing(void **state) {
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        struct stage stage;
        uint32_t depth = shapes[s].depth;
        open_stage(&stage, shapes[s].capacity, depth, WEIR_POLICY_REFUSE);
        publish_numbers(&stage.fixture, stage.session, depth);
        for (uint64_t round = 0; round < 10; round++) {
            uint64_t newest = 10 + depth + round;
            uint64_t sequence = 5;
            for (int again = 0; again < 3; again++)
                assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, &sequence),
                                 WEIR_FULL);
            assert_int_equal(sequence, 5);
            assert_int_equal(info_of(stage.session).newest, newest);
            expect_number(stage.session, &stage.cursor, 11 + round);
            publish_numbers(&stage.fixture, stage.session, 1);
        }
        assert_int_equal(stats_of(stage.fixture.engine).publish_full, 30);
        expect_numbers(stage.session, &stage.cursor, 21, 20 + depth, WEIR_EMPTY);
        assert_int_equal(stats_of(stage.fixture.engine).lost, 0);
        close_stage(&stage);
    }
}

static void there_is_one_refusing_subscriber_and_the_place_is_free_again_after_it(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 4, 2, WEIR_POLICY_REFUSE);
    weir_cursor second = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_REFUSE, 2, WEIR_BUSY);
    assert_int_equal(second.generation, 0);
    assert_int_equal(info_of(stage.session).subscribers, 1);
    publish_numbers(&stage.fixture, stage.session, 2);
    assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
    weir_unsubscribe(stage.session, &stage.cursor);
    publish_numbers(&stage.fixture, stage.session, 20); /* nobody refuses now */
    second = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_REFUSE, 1, WEIR_OK);
    publish_numbers(&stage.fixture, stage.session, 1);
    assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
    expect_numbers(stage.session, &second, 33, 33, WEIR_EMPTY);
    weir_unsubscribe(stage.session, &second);
    close_stage(&stage);
}

/* A backlog counts: who refuses from the oldest event on lets producers on only when there is room again. */
static void refuse_counts_from_where_the_subscriber_stands(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 8, 3, WEIR_POLICY_SKIP);
    weir_unsubscribe(stage.session, &stage.cursor);
    stage.cursor = subscribe(stage.session, WEIR_START_OLDEST, WEIR_POLICY_REFUSE, 3, WEIR_OK);
    for (uint64_t sequence = 3; sequence <= 8; sequence++) {
        int status = weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL);
        assert_int_equal(status, WEIR_FULL);
        expect_number(stage.session, &stage.cursor, sequence);
    }
    publish_numbers(&stage.fixture, stage.session, 1);
    assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
    expect_numbers(stage.session, &stage.cursor, 9, 11, WEIR_EMPTY);
    close_stage(&stage);
}

static void moving_the_cursor_makes_room_for_a_refused_producer(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 4, 4, WEIR_POLICY_REFUSE);
    publish_numbers(&stage.fixture, stage.session, 4);
    assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
    weir_cursor_advance(stage.session, &stage.cursor, 13);
    weir_cursor_advance(stage.session, &stage.cursor, 11); /* never back */
    assert_int_equal(stage.cursor.next, 13);
    publish_numbers(&stage.fixture, stage.session, 2);
    assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
    expect_numbers(stage.session, &stage.cursor, 13, 16, WEIR_EMPTY);
    close_stage(&stage);
}

/* The bound counts from the moment the subscriber has caught up: a long replay is no overflow. */
static void a_subscriber_that_catches_up_is_not_bound_by_its_depth(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_SKIP; policy <= WEIR_POLICY_EVICT; policy++) {
        if (policy == WEIR_POLICY_REFUSE) continue;
        struct stage stage;
        open_stage(&stage, 16, 2, WEIR_POLICY_SKIP);
        weir_unsubscribe(stage.session, &stage.cursor);
        stage.cursor = subscribe(stage.session, WEIR_START_OLDEST, (weir_policy)policy, 2, WEIR_OK);
        publish_numbers(&stage.fixture, stage.session, 5);
        expect_numbers(stage.session, &stage.cursor, 1, 15, WEIR_EMPTY);
        publish_numbers(&stage.fixture, stage.session, 2);
        expect_numbers(stage.session, &stage.cursor, 16, 17, WEIR_EMPTY);
        publish_numbers(&stage.fixture, stage.session, 3);
        if (policy == WEIR_POLICY_SKIP) expect_gap(stage.session, &stage.cursor, 18, 18);
        if (policy == WEIR_POLICY_SKIP) expect_numbers(stage.session, &stage.cursor, 19, 20, WEIR_EMPTY);
        if (policy != WEIR_POLICY_SKIP) expect_numbers(stage.session, &stage.cursor, 18, 19, WEIR_LAGGED);
        close_stage(&stage);
    }
}

/* Passed by the ring while it catches up: a gap, whatever the policy, up to the oldest event kept. WK-05: a reader in the
 * middle of its replay holds no publisher up. */
static void a_subscriber_that_is_passed_while_it_catches_up_gets_a_gap_and_stays(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_SKIP; policy <= WEIR_POLICY_EVICT; policy++) {
        if (policy == WEIR_POLICY_REFUSE) continue;
        struct stage stage;
        open_stage(&stage, 8, 2, WEIR_POLICY_SKIP);
        weir_unsubscribe(stage.session, &stage.cursor);
        stage.cursor = subscribe(stage.session, WEIR_START_OLDEST, (weir_policy)policy, 2, WEIR_OK);
        publish_numbers(&stage.fixture, stage.session, 5);
        expect_gap(stage.session, &stage.cursor, 3, 7);
        expect_numbers(stage.session, &stage.cursor, 8, 15, WEIR_EMPTY);
        assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT);
        close_stage(&stage);
    }
}

/* A slow subscriber costs itself only (design 2.6). */
static void one_that_overflows_does_not_touch_the_others(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 16, 2, WEIR_POLICY_DETACH);
    weir_cursor wide = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 16, WEIR_OK);
    weir_cursor narrow = subscribe(stage.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 1, WEIR_OK);
    publish_numbers(&stage.fixture, stage.session, 6);
    expect_numbers(stage.session, &wide, 11, 16, WEIR_EMPTY);
    expect_numbers(stage.session, &stage.cursor, 11, 12, WEIR_LAGGED);
    expect_gap(stage.session, &narrow, 11, 15);
    expect_numbers(stage.session, &narrow, 16, 16, WEIR_EMPTY);
    weir_unsubscribe(stage.session, &wide);
    weir_unsubscribe(stage.session, &narrow);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queue_holds_exactly_its_depth_under_every_policy),
        cmocka_unit_test(skip_reports_what_did_not_fit_and_goes_on),
        cmocka_unit_test(detach_delivers_what_was_queued_and_no_more),
        cmocka_unit_test(evict_is_detach_and_ends_the_session),
        cmocka_unit_test(refuse_takes_no_number_and_loses_nothing),
        cmocka_unit_test(there_is_one_refusing_subscriber_and_the_place_is_free_again_after_it),
        cmocka_unit_test(refuse_counts_from_where_the_subscriber_stands),
        cmocka_unit_test(moving_the_cursor_makes_room_for_a_refused_producer),
        cmocka_unit_test(a_subscriber_that_catches_up_is_not_bound_by_its_depth),
        cmocka_unit_test(a_subscriber_that_is_passed_while_it_catches_up_gets_a_gap_and_stays),
        cmocka_unit_test(one_that_overflows_does_not_touch_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
