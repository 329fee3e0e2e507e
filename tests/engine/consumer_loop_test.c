/* The loop around a consumer: when its descriptor is readable, whose turn it is, and what acknowledging frees. */
#include "consumer_stage.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- The descriptor ----------------------------------------------------------------------------------------- */

/* Publishes the next event while one is rendered, up to ten: the consumer is awake then, and nobody rings. */
static size_t publish_more(void *context, const weir_session *session, const weir_event *event, const void *data,
                           char *out, size_t room) {
    if (event->sequence < 10) publish_numbers((struct fixture *)context, (weir_session *)(uintptr_t)session, 1);
    if (event->length <= room) memcpy(out, data, event->length);
    return event->length;
}

static void the_descriptor_is_readable_exactly_while_there_is_news(void **state) {
    (void)state;
    struct consumer_stage stage;
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_session *nobodys = fixture_session(&stage.fixture, "nobodys");
    assert_false(is_readable(stage.consumer));
    weir_feed *feed = stage_feed(&stage, session, NULL);
    assert_true(is_readable(stage.consumer));
    for (uint64_t round = 0; round < 5; round++) {
        expect_no_batch(&stage);
        publish_numbers(&stage.fixture, nobodys, 3);
        assert_false(is_readable(stage.consumer));
        publish_numbers(&stage.fixture, session, 3);
        assert_true(is_readable(stage.consumer));
        expect_batch(&stage, feed, 3 * round + 1, 3 * round + 3);
        assert_true(is_readable(stage.consumer)); /* it has not been told yet that this was all */
    }
    expect_no_batch(&stage);
    weir_feed_close(feed);
    publish_numbers(&stage.fixture, session, 1);
    assert_false(is_readable(stage.consumer));
    weir_session_release(nobodys);
    weir_session_release(session);
    stage_close(&stage);
}

/* Whoever looks without having waited, and finds something that nobody rang for, is called back for the rest. */
static void one_batch_at_a_wait_is_enough(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.batch_events = 2;
    batches.render = publish_more;
    batches.context = &stage.fixture;
    stage_open(&stage, NULL, &batches);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    publish_numbers(&stage.fixture, session, 1);
    for (uint64_t first = 1; first <= 9; first += 2) {
        assert_true(is_readable(stage.consumer));
        expect_batch(&stage, feed, first, first + 1);
    }
    assert_true(is_readable(stage.consumer));
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

static void an_end_and_a_new_feed_are_news_too(void **state) {
    (void)state;
    struct consumer_stage stage;
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    publish_numbers(&stage.fixture, session, 2);
    expect_no_batch(&stage);
    weir_feed *feed = stage_feed(&stage, session, NULL);
    assert_true(is_readable(stage.consumer));
    expect_batch(&stage, feed, 1, 2);
    expect_no_batch(&stage);
    weir_session_terminate(session);
    assert_true(is_readable(stage.consumer));
    expect_batch_end(&stage, feed, WEIR_END, WEIR_ENDED_TERMINATED);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* Each producer that finds the consumer asleep rings; one look answers all of them. */
static void several_rings_are_answered_at_once(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_producer *second;
    stage_open(&stage, NULL, NULL);
    assert_int_equal(weir_producer_create(stage.fixture.engine, &second), WEIR_OK);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    for (uint64_t round = 1; round <= 3; round++) {
        uint64_t number = 2 * round;
        expect_no_batch(&stage);
        publish_numbers(&stage.fixture, session, 1);
        assert_int_equal(weir_publish(second, session, 0, &number, sizeof(number), NULL), WEIR_OK);
        assert_int_equal(stats_of(stage.fixture.engine).wakeups, 2 * round);
        expect_batch(&stage, feed, number - 1, number);
    }
    expect_no_batch(&stage);
    weir_producer_destroy(second);
    weir_session_release(session);
    stage_close(&stage);
}

/* ---- Turns -------------------------------------------------------------------------------------------------- */

static void a_feed_that_always_has_more_keeps_nobody_waiting(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.batch_events = 2;
    stage_open(&stage, NULL, &batches);
    weir_session *busy = fixture_session(&stage.fixture, "busy");
    weir_session *calm = fixture_session(&stage.fixture, "calm");
    weir_feed *busy_feed = stage_feed(&stage, busy, NULL);
    publish_numbers(&stage.fixture, busy, 100);
    expect_batch(&stage, busy_feed, 1, 2);
    weir_feed *calm_feed = stage_feed(&stage, calm, NULL);
    for (uint64_t round = 1; round <= 20; round++) {
        uint32_t waited = 0;
        weir_batch batch;
        publish_numbers(&stage.fixture, calm, 1);
        publish_numbers(&stage.fixture, busy, 4);
        for (;; waited++) {
            assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
            if (batch.feed == calm_feed) break;
            assert_ptr_equal(batch.feed, busy_feed);
        }
        assert_int_equal(batch.last, round);
        assert_true(waited <= 2); /* the turn under way, and one more */
    }
    weir_session_release(calm);
    weir_session_release(busy);
    stage_close(&stage);
}

/* Every feed that has something gets its batch before any gets its second. */
static void many_busy_feeds_take_turns(void **state) {
    (void)state;
    enum { FEEDS = 150, BATCHES = 4 };
    struct consumer_stage stage;
    weir_session *sessions[FEEDS];
    uint32_t taken[FEEDS] = {0};
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    batches.batch_events = 1;
    stage_open(&stage, NULL, &batches);
    for (int i = 0; i < FEEDS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        sessions[i] = fixture_session(&stage.fixture, name);
        stage_feed(&stage, sessions[i], NULL);
    }
    expect_no_batch(&stage);
    for (int i = 0; i < FEEDS; i++)
        publish_numbers(&stage.fixture, sessions[i], BATCHES);
    for (uint32_t round = 1; round <= BATCHES; round++)
        for (int turn = 0; turn < FEEDS; turn++) {
            weir_batch batch;
            int who = 0;
            assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
            while (sessions[who] != batch.user)
                who++;
            assert_int_equal(++taken[who], round);
            assert_int_equal(batch.last, round);
        }
    expect_no_batch(&stage);
    for (int i = 0; i < FEEDS; i++)
        weir_session_release(sessions[i]);
    stage_close(&stage);
}

/* ---- Acknowledging ------------------------------------------------------------------------------------------ */

static int publish_number(struct consumer_stage *stage, weir_session *session, uint64_t number) {
    return weir_publish(stage->fixture.producer, session, 0, &number, sizeof(number), NULL);
}

static void places_are_free_when_they_are_acknowledged(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_feed *feed;
    weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 4, .acknowledged = 1};
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    assert_int_equal(weir_feed_attach(stage.consumer, session, &how, session, &feed), WEIR_OK);
    publish_numbers(&stage.fixture, session, 4);
    assert_int_equal(publish_number(&stage, session, 5), WEIR_FULL);
    expect_batch(&stage, feed, 1, 4);
    assert_int_equal(publish_number(&stage, session, 5), WEIR_FULL); /* read, but not arrived */
    weir_feed_acknowledge(feed, 1);
    publish_numbers(&stage.fixture, session, 1);
    assert_int_equal(publish_number(&stage, session, 6), WEIR_FULL);
    weir_feed_acknowledge(feed, 1); /* never back, never twice */
    weir_feed_acknowledge(feed, 5); /* nor ahead of what was taken */
    assert_int_equal(publish_number(&stage, session, 6), WEIR_FULL);
    weir_feed_acknowledge(feed, 4);
    publish_numbers(&stage.fixture, session, 3);
    assert_int_equal(publish_number(&stage, session, 9), WEIR_FULL);
    expect_batch(&stage, feed, 5, 8);
    weir_session_release(session);
    stage_close(&stage);
}

static void what_was_not_acknowledged_comes_again(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_feed *feed;
    char id[WEIR_ID_MAX];
    weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 8, .acknowledged = 1};
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    assert_int_equal(weir_feed_attach(stage.consumer, session, &how, session, &feed), WEIR_OK);
    publish_numbers(&stage.fixture, session, 8);
    expect_batch(&stage, feed, 1, 8);
    weir_feed_acknowledge(feed, 3);
    weir_feed_close(feed);
    publish_numbers(&stage.fixture, session, 2);
    how.last_id = id;
    how.last_id_length = weir_session_id_format(session, 3, id);
    assert_int_equal(weir_feed_attach(stage.consumer, session, &how, session, &feed), WEIR_OK);
    expect_batch(&stage, feed, 4, 10);
    weir_session_release(session);
    stage_close(&stage);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

enum { SESSIONS = 3, PRODUCERS = 2, EACH = 4000 };

struct publishing {
    weir_engine *engine;
    weir_session *session;
};

/* Waits where the queue is full, so that nothing is ever lost; the deadline never comes. */
static void *publish_all(void *context) {
    const struct publishing *publishing = (const struct publishing *)context;
    weir_producer *producer;
    if (weir_producer_create(publishing->engine, &producer) != WEIR_OK) abort();
    for (uint64_t i = 0; i < EACH; i++) {
        const weir_message message = {.data = &i, .length = sizeof(i)};
        if (weir_offer_wait(producer, publishing->session, &message, UINT64_MAX / 2, NULL) != WEIR_OK) abort();
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* Nothing but the descriptor wakes this thread: were a ring lost, it would wait for ever. Every second batch it waits
 * before it has heard that there is nothing more. */
static void consume_all(weir_consumer *consumer, weir_feed *const *feeds) {
    struct pollfd descriptor = {weir_consumer_fd(consumer), POLLIN, 0};
    uint64_t received[SESSIONS] = {0};
    weir_batch batch;
    bool wait = true;
    for (uint64_t left = (uint64_t)SESSIONS * PRODUCERS * EACH; left > 0;) {
        if (wait) assert_int_equal(poll(&descriptor, 1, -1), 1);
        int status = weir_consumer_next(consumer, &batch);
        wait = status == WEIR_EMPTY || !wait;
        if (status == WEIR_EMPTY) continue;
        assert_int_equal(status, WEIR_OK);
        assert_int_equal(batch.status, WEIR_OK);
        int who = 0;
        while (feeds[who] != batch.feed)
            who++;
        assert_int_equal(batch.views[0].sequence, received[who] + 1);
        received[who] = batch.last;
        left -= batch.count;
        weir_feed_acknowledge(batch.feed, batch.last);
    }
}

static void no_ring_is_lost_whenever_it_comes(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_feed *feeds[SESSIONS];
    struct publishing publishing[SESSIONS];
    pthread_t threads[SESSIONS * PRODUCERS];
    weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 16, .acknowledged = 1};
    stage_open(&stage, NULL, NULL);
    for (int i = 0; i < SESSIONS; i++) {
        char name[8];
        snprintf(name, sizeof(name), "n%d", i);
        weir_session *session = fixture_session(&stage.fixture, name);
        publishing[i] = (struct publishing){stage.fixture.engine, session};
        assert_int_equal(weir_feed_attach(stage.consumer, session, &how, session, &feeds[i]), WEIR_OK);
    }
    for (int i = 0; i < SESSIONS * PRODUCERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, publish_all, &publishing[i % SESSIONS]), 0);
    consume_all(stage.consumer, feeds);
    for (int i = 0; i < SESSIONS * PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    weir_batch batch;
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_EMPTY);
    for (int i = 0; i < SESSIONS; i++)
        weir_session_release(publishing[i].session);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_descriptor_is_readable_exactly_while_there_is_news),
        cmocka_unit_test(one_batch_at_a_wait_is_enough),
        cmocka_unit_test(an_end_and_a_new_feed_are_news_too),
        cmocka_unit_test(several_rings_are_answered_at_once),
        cmocka_unit_test(a_feed_that_always_has_more_keeps_nobody_waiting),
        cmocka_unit_test(many_busy_feeds_take_turns),
        cmocka_unit_test(places_are_free_when_they_are_acknowledged),
        cmocka_unit_test(what_was_not_acknowledged_comes_again),
        cmocka_unit_test(no_ring_is_lost_whenever_it_comes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
