/* What a consumer refuses and survives: its bounds, wrong arguments, no descriptor, no memory. */
#include "consumer_stage.h"

#include <sys/resource.h>

static size_t copy_payload(void *context, const weir_session *session, const weir_event *event, const void *data,
                           char *out, size_t room) {
    (void)session;
    (void)context;
    if (event->length <= room) memcpy(out, data, event->length);
    return event->length;
}

static void feeds_and_consumers_are_bounded_exactly(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_consumer *second;
    weir_consumer *third;
    weir_feed *feeds[3];
    weir_config config = WEIR_CONFIG_INIT;
    weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
    config.max_pollers = 2;
    batches.max_feeds = 2;
    stage_open(&stage, &config, &batches);
    assert_int_equal(weir_consumer_create(stage.fixture.engine, NULL, &second), WEIR_OK);
    assert_int_equal(weir_consumer_create(stage.fixture.engine, NULL, &third), WEIR_POLLERS_LIMIT);
    assert_null(third);
    weir_session *session = fixture_session(&stage.fixture, "s");
    for (int i = 0; i < 2; i++)
        feeds[i] = stage_feed(&stage, session, NULL);
    assert_int_equal(weir_feed_subscribe(stage.consumer, session, NULL, NULL, &feeds[2]), WEIR_OUTLETS_LIMIT);
    assert_null(feeds[2]);
    weir_feed_close(feeds[0]);
    feeds[0] = stage_feed(&stage, session, NULL);
    weir_consumer_destroy(second);
    weir_consumer_destroy(NULL);
    weir_session_release(session);
    stage_close(&stage);
}

static void without_a_descriptor_there_is_no_consumer(void **state) {
    (void)state;
    struct fixture fixture;
    weir_consumer *consumer;
    struct rlimit before;
    fixture_open(&fixture, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int status = weir_consumer_create(fixture.engine, NULL, &consumer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_string_equal(weir_status_name(status), "WEIR_DESCRIPTORS_LIMIT");
    assert_null(consumer);
    fixture_close(&fixture);
}

static void arguments_out_of_range_are_refused(void **state) {
    (void)state;
    struct consumer_stage stage;
    struct fixture other;
    weir_consumer *none;
    weir_feed *feed;
    struct {
        weir_consumer_config config;
        char tail[64];
    } longer = {WEIR_CONSUMER_CONFIG_INIT, {0}};
    const weir_consumer_config wrong[] = {
        {.size = sizeof(wrong[0]), .max_feeds = (1u << 24) + 1},
        {.size = sizeof(wrong[0]), .batch_events = WEIR_BATCH_EVENTS_MAX + 1},
        {.size = sizeof(wrong[0]), .batch_bytes = (size_t)WEIR_BATCH_BYTES_MAX + 1},
        {.size = 0},
    };
    stage_open(&stage, NULL, NULL);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(weir_consumer_create(stage.fixture.engine, &wrong[i], &none), WEIR_INVALID);
        assert_null(none);
    }
    longer.config.size = sizeof(longer);
    assert_int_equal(weir_consumer_create(stage.fixture.engine, &longer.config, &none), WEIR_OK);
    weir_consumer_destroy(none);
    longer.tail[63] = 1;
    assert_int_equal(weir_consumer_create(stage.fixture.engine, &longer.config, &none), WEIR_INVALID);
    fixture_open(&other, NULL);
    weir_session *foreign = fixture_session(&other, "s");
    assert_int_equal(weir_feed_subscribe(stage.consumer, foreign, NULL, NULL, &feed), WEIR_INVALID);
    assert_null(feed);
    weir_session_release(foreign);
    fixture_close(&other);
    weir_subscription how = {.policy = (weir_policy)99};
    weir_session *session = fixture_session(&stage.fixture, "s");
    assert_int_equal(weir_feed_subscribe(stage.consumer, session, &how, NULL, &feed), WEIR_INVALID);
    assert_null(feed);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* Wherever the allocator fails nothing is left behind, and the next try works. */
static void every_failure_of_the_allocator_is_survived(void **state) {
    (void)state;
    uint64_t failures = 0;
    for (uint64_t at = 1; at <= 24; at++) {
        struct consumer_stage stage;
        weir_consumer_config batches = WEIR_CONSUMER_CONFIG_INIT;
        weir_feed *feed;
        batches.render = copy_payload;
        fixture_open(&stage.fixture, NULL);
        weir_session *session = fixture_session(&stage.fixture, "s");
        u64_store_relaxed(&stage.fixture.memory.fail_at, u64_load_relaxed(&stage.fixture.memory.calls) + at);
        int status = weir_consumer_create(stage.fixture.engine, &batches, &stage.consumer);
        failures += status == WEIR_NO_MEMORY;
        if (status != WEIR_OK) {
            assert_null(stage.consumer);
            status = weir_consumer_create(stage.fixture.engine, &batches, &stage.consumer);
        }
        assert_string_equal(weir_status_name(status), "WEIR_OK");
        weir_subscription how = {.policy = WEIR_POLICY_DETACH, .acknowledged = 1};
        status = weir_feed_subscribe(stage.consumer, session, &how, session, &feed);
        failures += status == WEIR_NO_MEMORY;
        if (status != WEIR_OK) {
            assert_null(feed);
            assert_int_equal(info_of(session).subscribers, 0);
            status = weir_feed_subscribe(stage.consumer, session, &how, session, &feed);
        }
        assert_string_equal(weir_status_name(status), "WEIR_OK");
        u64_store_relaxed(&stage.fixture.memory.fail_at, 0);
        expect_no_batch(&stage);
        weir_session_release(session);
        stage_close(&stage);
    }
    assert_true(failures >= 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(feeds_and_consumers_are_bounded_exactly),
        cmocka_unit_test(without_a_descriptor_there_is_no_consumer),
        cmocka_unit_test(arguments_out_of_range_are_refused),
        cmocka_unit_test(every_failure_of_the_allocator_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
