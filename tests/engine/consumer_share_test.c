/* Feeds of one session at one consumer: they share what they can, and each gets what is its own. */
#include "consumer_stage.h"

static size_t count_renders(void *context, const weir_session *session, const weir_event *event, const void *data,
                            char *out, size_t room) {
    (void)session;
    ++*(uint32_t *)context;
    if (event->length <= room) memcpy(out, data, event->length);
    return event->length;
}

static void feeds_of_one_session_share_what_is_rendered(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_feed *feeds[8];
    uint32_t renders = 0;
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.render = count_renders;
    batches.context = &renders;
    stage_open(&stage, NULL, &batches);
    weir_session *session = fixture_session(&stage.fixture, "s");
    for (int i = 0; i < 8; i++)
        feeds[i] = stage_feed(&stage, session, NULL);
    expect_no_batch(&stage);
    uint64_t first = 1;
    for (uint64_t round = 1; round <= 10; round++, first += 3) {
        weir_batch batch;
        uint32_t served = 0;
        publish_numbers(&stage.fixture, session, 3);
        while (weir_consumer_next(stage.consumer, &batch) == WEIR_OK) {
            check_batch(&batch, batch.feed);
            assert_int_equal(batch.views[0].sequence, first);
            assert_int_equal(batch.last, first + 2);
            assert_int_equal(weir_feed_cursor(batch.feed)->next, first + 3);
            served++;
        }
        assert_int_equal(served, 8);
        assert_int_equal(renders, 3 * round);
        assert_false(is_readable(stage.consumer));
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(weir_feed_cursor(feeds[i])->next, first);
    weir_stats stats = stats_of(stage.fixture.engine);
    assert_int_equal(stats.subscribers, 8);
    weir_consumer_destroy(stage.consumer);
    stage.consumer = NULL;
    assert_int_equal(stats_of(stage.fixture.engine).subscribers, 0);
    assert_int_equal(stats_of(stage.fixture.engine).bytes_read, 8 * 30 * sizeof(uint64_t));
    weir_session_release(session);
    stage_close(&stage);
}

/* What is published after the first feed has caught up, and before the others have had their shared batch, is missed by
 * none of them: there is nothing else that would tell them. */
static void news_between_two_that_share_reaches_both(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_session *sessions[2];
    weir_feed *pair[2];
    uint64_t seen[2] = {0, 0};
    stage_open(&stage, NULL, NULL);
    sessions[0] = fixture_session(&stage.fixture, "s");
    sessions[1] = fixture_session(&stage.fixture, "between");
    pair[0] = stage_feed(&stage, sessions[0], NULL);
    stage_feed(&stage, sessions[1], NULL);
    pair[1] = stage_feed(&stage, sessions[0], NULL);
    expect_no_batch(&stage);
    for (uint64_t round = 0; round < 12; round++) {
        weir_batch batch;
        publish_numbers(&stage.fixture, sessions[0], 1);
        publish_numbers(&stage.fixture, sessions[1], 1);
        for (uint64_t turn = 0; weir_consumer_next(stage.consumer, &batch) == WEIR_OK; turn++) {
            if (turn == round % 4) publish_numbers(&stage.fixture, sessions[0], 1);
            for (int i = 0; i < 2; i++)
                if (batch.feed == pair[i]) {
                    assert_int_equal(batch.views[0].sequence, seen[i] + 1);
                    seen[i] = batch.last;
                }
        }
        assert_int_equal(seen[0], info_of(sessions[0]).newest);
        assert_int_equal(seen[1], info_of(sessions[0]).newest);
    }
    weir_session_release(sessions[0]);
    weir_session_release(sessions[1]);
    stage_close(&stage);
}

/* The same where a new round has taken the news meanwhile: the one that shares was in the queue all the time. */
static void news_taken_by_a_round_before_it_shares_is_not_forgotten(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.batch_events = 2;
    stage_open(&stage, NULL, &batches);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *ahead = stage_feed(&stage, session, NULL);
    expect_no_batch(&stage);
    publish_numbers(&stage.fixture, session, 5);
    expect_batch(&stage, ahead, 1, 2);
    weir_subscription fifth = {.start = WEIR_START_AFTER, .after = 4};
    weir_feed *behind = stage_feed(&stage, session, &fifth);
    expect_batch(&stage, ahead, 3, 4);
    expect_batch(&stage, behind, 5, 5);
    publish_numbers(&stage.fixture, session, 1);
    expect_batch(&stage, ahead, 5, 5); /* shared */
    expect_batch(&stage, behind, 6, 6);
    expect_batch(&stage, ahead, 6, 6);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* What one feed passes over the other must get. */
static void a_batch_with_something_left_out_is_not_shared(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_batch batch;
    weir_subscription latest = {.policy = WEIR_POLICY_CONFLATE, .queue_depth = 2};
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *conflating = stage_feed(&stage, session, &latest);
    weir_feed *plain = stage_feed(&stage, session, NULL);
    expect_no_batch(&stage);
    for (uint64_t number = 1; number <= 6; number++) {
        const weir_message message = {.data = &number, .length = sizeof(number), .keyed = 1, .key = 9};
        assert_int_equal(weir_offer(stage.fixture.producer, session, &message, NULL), WEIR_OK);
    }
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
    check_batch(&batch, conflating);
    assert_ptr_equal(batch.feed, conflating);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.views[0].sequence, 6);
    assert_int_equal(batch.views[0].superseded, 5);
    expect_batch(&stage, plain, 1, 6);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* A feed that stands elsewhere reads for itself, and so does one that has never caught up. */
static void feeds_of_one_session_may_stand_anywhere(void **state) {
    (void)state;
    struct consumer_stage stage;
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    publish_numbers(&stage.fixture, session, 5);
    weir_subscription now = {.start = WEIR_START_NOW};
    weir_subscription third = {.start = WEIR_START_AFTER, .after = 2};
    weir_feed *all = stage_feed(&stage, session, NULL);
    weir_feed *again = stage_feed(&stage, session, NULL);
    weir_feed *late = stage_feed(&stage, session, &third);
    weir_feed *live = stage_feed(&stage, session, &now);
    expect_batch(&stage, all, 1, 5);
    expect_batch(&stage, again, 1, 5);
    expect_batch(&stage, late, 3, 5); /* live has nothing */
    expect_no_batch(&stage);
    assert_int_equal(weir_feed_cursor(again)->live, 1); /* it shared, and then found nothing by itself */
    /* Closing the one that the outlet names leaves the others connected. */
    weir_feed_close(all);
    publish_numbers(&stage.fixture, session, 1);
    assert_true(is_readable(stage.consumer));
    weir_batch batch;
    int served = 0;
    for (; weir_consumer_next(stage.consumer, &batch) == WEIR_OK; served++)
        assert_int_equal(batch.last, 6);
    assert_int_equal(served, 3);
    weir_feed_close(again);
    weir_feed_close(late);
    publish_numbers(&stage.fixture, session, 1);
    expect_batch(&stage, live, 7, 7);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* One that is cut when it falls behind is cut also where a batch is there to be shared. */
static void a_feed_that_is_judged_shares_nothing(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_subscription strict = {.start = WEIR_START_NOW, .policy = WEIR_POLICY_DETACH, .queue_depth = 2};
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *wide = stage_feed(&stage, session, NULL);
    weir_feed *narrow = stage_feed(&stage, session, &strict);
    expect_no_batch(&stage);
    publish_numbers(&stage.fixture, session, 5);
    expect_batch(&stage, wide, 1, 5);
    expect_batch(&stage, narrow, 1, 2);
    expect_batch_end(&stage, narrow, WEIR_LAGGED, WEIR_ENDED_LAGGING);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_of_one_session_share_what_is_rendered),
        cmocka_unit_test(news_between_two_that_share_reaches_both),
        cmocka_unit_test(news_taken_by_a_round_before_it_shares_is_not_forgotten),
        cmocka_unit_test(a_batch_with_something_left_out_is_not_shared),
        cmocka_unit_test(feeds_of_one_session_may_stand_anywhere),
        cmocka_unit_test(a_feed_that_is_judged_shares_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
