/* The total of full queues and its decay (rules.full_decay_ms; BKP-05, BKP-07): one full is forgiven per so long, in
 * whichever order fulls and time come. */
#include "fixture.h"

#include <pthread.h>
#include <stdlib.h>

enum { DECAY_MS = 1000 };

struct stage {
    struct fixture fixture;
    weir_session *session;
    weir_cursor cursor;
};

/* One place in the queue, taken; the consumer tolerates `total` fulls. */
static void open_stage(struct stage *stage, uint32_t decay_ms, uint32_t total) {
    weir_config config = WEIR_CONFIG_INIT;
    config.rules.full_decay_ms = decay_ms;
    config.idle_ttl_ms = WEIR_NONE;
    fixture_open(&stage->fixture, &config);
    stage->session = fixture_session(&stage->fixture, "s");
    const weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 1, .full_total_max = total};
    assert_int_equal(weir_attach(stage->session, &how, &stage->cursor, NULL), WEIR_OK);
    publish_numbers(&stage->fixture, stage->session, 1);
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

static int offer(struct stage *stage) {
    const weir_message message = {.data = "x", .length = 1};
    return weir_offer(stage->fixture.producer, stage->session, &message, NULL);
}

static void pass_ms(struct stage *stage, uint64_t ms) {
    fake_clock_advance(&stage->fixture.clock, stage->fixture.engine, ms);
}

static uint32_t total_of(const struct stage *stage) {
    weir_attachment_info info;
    weir_attachment_get(stage->session, &info);
    return info.drops_total;
}

static void without_a_decay_the_total_only_grows(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 0, 10);
    for (uint32_t i = 1; i <= 10; i++) {
        pass_ms(&stage, 1000000000);
        assert_int_equal(offer(&stage), WEIR_FULL);
        assert_int_equal(total_of(&stage), i);
    }
    assert_int_equal(offer(&stage), WEIR_EVICTED);
    close_stage(&stage);
}

static void each_interval_forgives_one(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, DECAY_MS, 5);
    for (uint32_t i = 1; i <= 5; i++) {
        assert_int_equal(offer(&stage), WEIR_FULL);
        assert_int_equal(total_of(&stage), i);
    }
    pass_ms(&stage, 2 * DECAY_MS); /* two of five; and one comes */
    assert_int_equal(offer(&stage), WEIR_FULL);
    assert_int_equal(total_of(&stage), 4);
    pass_ms(&stage, 100 * DECAY_MS); /* never below none */
    assert_int_equal(offer(&stage), WEIR_FULL);
    assert_int_equal(total_of(&stage), 1);
    for (uint32_t i = 2; i <= 5; i++)
        assert_int_equal(offer(&stage), WEIR_FULL);
    pass_ms(&stage, DECAY_MS - 1);
    assert_int_equal(offer(&stage), WEIR_EVICTED); /* one millisecond too early */
    close_stage(&stage);
}

/* Fulls that come more often than the total forgives do not keep it from forgiving. */
static void what_is_left_of_an_interval_counts_for_the_next(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, DECAY_MS, 3);
    for (int i = 0; i < 20; i++) {
        pass_ms(&stage, DECAY_MS / 10 * 9);
        assert_int_equal(offer(&stage), WEIR_FULL);
        assert_in_range(total_of(&stage), 1, 3);
    }
    assert_int_equal(total_of(&stage), 2); /* 20 fulls in 18 intervals */
    for (int i = 0; i < 20; i++) {         /* and just as often as it forgives, for ever */
        pass_ms(&stage, DECAY_MS);
        assert_int_equal(offer(&stage), WEIR_FULL);
    }
    close_stage(&stage);
}

/* BKP-07: an accepted one ends the row, and leaves the total alone. */
static void the_row_of_fulls_does_not_decay(void **state) {
    (void)state;
    struct stage stage;
    weir_attachment_info info;
    open_stage(&stage, DECAY_MS, 100);
    for (uint32_t i = 1; i <= 4; i++) {
        pass_ms(&stage, 3 * DECAY_MS);
        assert_int_equal(offer(&stage), WEIR_FULL);
        weir_attachment_get(stage.session, &info);
        assert_int_equal(info.drops_consecutive, i);
        assert_int_equal(info.drops_total, 1);
    }
    expect_number(stage.session, &stage.cursor, 1);
    assert_int_equal(offer(&stage), WEIR_OK);
    weir_attachment_get(stage.session, &info);
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 1);
    close_stage(&stage);
}

/* The same for a consumer that is detached when it has been full too often. */
static void a_slow_consumer_that_decay_forgives_stays(void **state) {
    (void)state;
    for (uint32_t decay_ms = 0; decay_ms <= DECAY_MS; decay_ms += DECAY_MS) {
        struct stage stage;
        open_stage(&stage, decay_ms, 1);
        weir_unsubscribe(stage.session, &stage.cursor);
        const weir_subscription how = {
            .policy = WEIR_POLICY_DETACH, .queue_depth = 1, .full_total_max = 3, .start = WEIR_START_NOW};
        assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(offer(&stage), WEIR_OK);
            pass_ms(&stage, DECAY_MS);
        }
        assert_int_equal(stats_of(stage.fixture.engine).detached_lagging, decay_ms == 0);
        close_stage(&stage);
    }
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

enum { THREADS = 4, EACH = 500 };

static void *offer_many(void *context) {
    struct stage *stage = (struct stage *)context;
    const weir_message message = {.data = "x", .length = 1};
    weir_producer *producer;
    if (weir_producer_create(stage->fixture.engine, &producer) != WEIR_OK) abort();
    for (int i = 0; i < EACH; i++)
        if (weir_offer(producer, stage->session, &message, NULL) != WEIR_FULL) abort();
    weir_producer_destroy(producer);
    return NULL;
}

/* What is forgiven is forgiven once, whoever finds it. */
static void racing_fulls_are_all_counted_and_each_interval_forgives_one(void **state) {
    (void)state;
    enum { FORGIVEN = 300 };
    struct stage stage;
    pthread_t threads[THREADS];
    open_stage(&stage, DECAY_MS, 4000);
    for (int i = 0; i < FORGIVEN; i++)
        assert_int_equal(offer(&stage), WEIR_FULL);
    pass_ms(&stage, FORGIVEN * DECAY_MS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, offer_many, &stage), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(total_of(&stage), THREADS * EACH);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_decay_the_total_only_grows),
        cmocka_unit_test(each_interval_forgives_one),
        cmocka_unit_test(what_is_left_of_an_interval_counts_for_the_next),
        cmocka_unit_test(the_row_of_fulls_does_not_decay),
        cmocka_unit_test(a_slow_consumer_that_decay_forgives_stays),
        cmocka_unit_test(racing_fulls_are_all_counted_and_each_interval_forgives_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
