/* Batches: what a consumer makes of the events, the losses and the ends of its feeds. */
#include "consumer_stage.h"

#include <stdio.h>
#include <stdlib.h>

static weir_consumer_config batches_of(uint32_t events, size_t bytes) {
    weir_consumer_config config = WEIR_CONSUMER_CONFIG_INIT;
    config.batch_events = events;
    config.batch_bytes = bytes;
    return config;
}

/* ---- Events ------------------------------------------------------------------------------------------------- */

static void a_batch_is_one_run_of_payloads_with_a_view_of_each_event(void **state) {
    (void)state;
    static const char *const texts[] = {"one", "", "three", "a longer one, and the last"};
    struct consumer_stage stage;
    weir_batch batch;
    uint32_t kind;
    stage_open(&stage, NULL, NULL);
    assert_int_equal(weir_kind(stage.fixture.engine, "kind", 4, &kind), WEIR_OK);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    for (uint32_t i = 0; i < 4; i++) {
        const weir_message message = {texts[i], strlen(texts[i]), i == 2 ? kind : 0, i == 1, 70 + i};
        fake_clock_advance(&stage.fixture.clock, stage.fixture.engine, 5);
        assert_int_equal(weir_offer(stage.fixture.producer, session, &message, NULL), WEIR_OK);
    }
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
    check_batch(&batch, feed);
    assert_int_equal(batch.count, 4);
    assert_int_equal(batch.length, strlen("onethreea longer one, and the last"));
    assert_memory_equal(batch.bytes, "onethreea longer one, and the last", batch.length);
    for (uint32_t i = 0; i < 4; i++) {
        const weir_view *view = &batch.views[i];
        assert_int_equal(view->sequence, i + 1);
        assert_int_equal(view->time_ms, 1000 + 5 * (i + 1));
        assert_int_equal(view->length, strlen(texts[i]));
        assert_int_equal(view->kind, i == 2 ? kind : 0);
        assert_int_equal(view->keyed, i == 1);
        assert_int_equal(view->key, i == 1 ? 71 : 0);
        assert_int_equal(view->broadcast, 0);
        assert_int_equal(view->superseded, 0);
    }
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

static void a_batch_ends_at_its_events_or_at_its_bytes(void **state) {
    (void)state;
    static const struct {
        uint32_t events;
        size_t bytes;
        uint64_t expected; /* events of 8 bytes in one batch */
    } shapes[] = {{1, 0, 1}, {3, 0, 3}, {100, 8, 1}, {100, 24, 3}, {100, 31, 3}, {7, 1000, 7}, {0, 0, 100}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        struct consumer_stage stage;
        weir_consumer_config config = batches_of(shapes[s].events, shapes[s].bytes);
        stage_open(&stage, NULL, &config);
        weir_session *session = fixture_session(&stage.fixture, "s");
        weir_feed *feed = stage_feed(&stage, session, NULL);
        publish_numbers(&stage.fixture, session, 100);
        for (uint64_t first = 1; first <= 100; first += shapes[s].expected) {
            uint64_t last = first + shapes[s].expected - 1;
            expect_batch(&stage, feed, first, last < 100 ? last : 100);
        }
        expect_no_batch(&stage);
        weir_session_release(session);
        stage_close(&stage);
    }
}

static void an_event_larger_than_a_batch_comes_alone_and_whole(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 200, 3, 0, 70000, WEIR_EVENT_BYTES_MAX, 1, 1};
    struct consumer_stage stage;
    weir_consumer_config config = batches_of(0, 16);
    char *data = (char *)malloc(WEIR_EVENT_BYTES_MAX);
    assert_non_null(data);
    memset(data, 'x', WEIR_EVENT_BYTES_MAX);
    stage_open(&stage, NULL, &config);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(weir_publish(stage.fixture.producer, session, 0, data, lengths[i], NULL), WEIR_OK);
    for (uint64_t sequence = 1; sequence <= 8;) {
        weir_batch batch;
        assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
        check_batch(&batch, feed);
        assert_int_equal(batch.views[0].sequence, sequence);
        for (uint32_t i = 0; i < batch.count; i++, sequence++) {
            assert_int_equal(batch.views[i].length, lengths[sequence - 1]);
            assert_memory_equal(batch.views[i].data, data, batch.views[i].length);
        }
        if (batch.length > 200) assert_int_equal(batch.views[batch.count - 1].length, batch.length);
    }
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
    free(data);
}

/* ---- Frames ------------------------------------------------------------------------------------------------- */

struct renderer {
    uint32_t calls;
    uint32_t short_calls; /* that had too little room */
};

/* "<sequence:payload>", and nothing at all for a payload that begins with '-'. */
static size_t render_frame(void *context, const weir_session *session, const weir_event *event, const void *data,
                           char *out, size_t room) {
    struct renderer *renderer = (struct renderer *)context;
    char head[32];
    size_t begun = (size_t)snprintf(head, sizeof(head), "<%llu:", (unsigned long long)event->sequence);
    size_t length = begun + event->length + 1;
    assert_int_equal(info_of(session).name_length, 1);
    if (event->length > 0 && *(const char *)data == '-') return 0;
    renderer->calls++;
    if (length > room) {
        renderer->short_calls++;
        return length;
    }
    memcpy(out, head, begun);
    memcpy(out + begun, data, event->length);
    out[length - 1] = '>';
    return length;
}

static weir_consumer_config frames_of(struct renderer *renderer, uint32_t events, size_t bytes) {
    weir_consumer_config config = batches_of(events, bytes);
    memset(renderer, 0, sizeof(*renderer));
    config.render = render_frame;
    config.context = renderer;
    return config;
}

static void expect_frames(struct consumer_stage *stage, weir_feed *feed, uint32_t count, const char *frames) {
    weir_batch batch;
    assert_string_equal(weir_status_name(weir_consumer_next(stage->consumer, &batch)), "WEIR_OK");
    check_batch(&batch, feed);
    assert_int_equal(batch.count, count);
    assert_int_equal(batch.length, strlen(frames));
    assert_memory_equal(batch.bytes, frames, batch.length);
}

static void frames_are_the_bytes_where_there_is_a_renderer(void **state) {
    (void)state;
    struct consumer_stage stage;
    struct renderer renderer;
    weir_consumer_config config = frames_of(&renderer, 4, 0);
    stage_open(&stage, NULL, &config);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    publish_text(&stage.fixture, session, "a");
    publish_text(&stage.fixture, session, "-left out");
    publish_text(&stage.fixture, session, "");
    publish_text(&stage.fixture, session, "d");
    publish_text(&stage.fixture, session, "-the last one");
    expect_frames(&stage, feed, 4, "<1:a><3:><4:d>");
    expect_frames(&stage, feed, 1, "");
    assert_int_equal(renderer.calls, 3);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* The frame that crosses batch_bytes is the batch's last; one larger than all room makes the room larger, and what was
 * there before it stays. */
static void a_batch_of_frames_ends_once_it_has_its_bytes(void **state) {
    (void)state;
    struct consumer_stage stage;
    struct renderer renderer;
    weir_consumer_config config = frames_of(&renderer, 0, 10);
    char frame[9000];
    stage_open(&stage, NULL, &config);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    for (int i = 0; i < 5; i++)
        publish_text(&stage.fixture, session, "abc");
    expect_frames(&stage, feed, 2, "<1:abc><2:abc>");
    expect_frames(&stage, feed, 2, "<3:abc><4:abc>");
    expect_frames(&stage, feed, 1, "<5:abc>");
    publish_text(&stage.fixture, session, "x");
    memset(frame, 'y', 8000);
    assert_int_equal(weir_publish(stage.fixture.producer, session, 0, frame, 8000, NULL), WEIR_OK);
    publish_text(&stage.fixture, session, "z");
    memmove(frame + 8, frame, 8000);
    memcpy(frame, "<6:x><7:", 8);
    memcpy(frame + 8008, ">", 2);
    expect_frames(&stage, feed, 2, frame);
    expect_frames(&stage, feed, 1, "<8:z>");
    assert_int_equal(renderer.calls - renderer.short_calls, 8);
    assert_true(renderer.short_calls > 0);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* ---- No memory ---------------------------------------------------------------------------------------------- */

static void refuse_next_allocation(struct consumer_stage *stage) {
    u64_store_relaxed(&stage->fixture.memory.fail_at, u64_load_relaxed(&stage->fixture.memory.calls) + 1);
}

static void without_memory_for_a_large_event_it_comes_later(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_batch batch;
    weir_consumer_config config = batches_of(0, 16);
    char data[5000] = {0};
    stage_open(&stage, NULL, &config);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    publish_numbers(&stage.fixture, session, 1);
    assert_int_equal(weir_publish(stage.fixture.producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
    publish_numbers(&stage.fixture, session, 1);
    expect_batch(&stage, feed, 1, 1);
    refuse_next_allocation(&stage);
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_NO_MEMORY);
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_OK);
    assert_int_equal(batch.views[0].sequence, 2);
    assert_int_equal(batch.views[0].length, sizeof(data));
    if (batch.count == 1) expect_batch(&stage, feed, 3, 3);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* The event has been read by then, and the other feed's must not come in its place. */
static void without_memory_for_a_frame_its_event_is_held(void **state) {
    (void)state;
    for (int before = 0; before <= 1; before++) {
        struct consumer_stage stage;
        struct renderer renderer;
        weir_batch batch;
        weir_consumer_config config = frames_of(&renderer, 0, 12);
        stage_open(&stage, NULL, &config);
        weir_session *session = fixture_session(&stage.fixture, "s");
        weir_session *other = fixture_session(&stage.fixture, "o");
        weir_feed *feed = stage_feed(&stage, session, NULL);
        if (before) publish_text(&stage.fixture, session, "a");
        publish_text(&stage.fixture, session, "0123456789");
        publish_text(&stage.fixture, session, "b");
        publish_text(&stage.fixture, other, "of the other");
        weir_feed *second = stage_feed(&stage, other, NULL);
        refuse_next_allocation(&stage);
        if (before)
            expect_frames(&stage, feed, 1, "<1:a>");
        else
            assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_NO_MEMORY);
        weir_feed *third = stage_feed(&stage, session, NULL); /* stands before the held one */
        expect_frames(&stage, feed, 1, before ? "<2:0123456789>" : "<1:0123456789>");
        expect_frames(&stage, second, 1, "<1:of the other>");
        expect_frames(&stage, third, before ? 2 : 1, before ? "<1:a><2:0123456789>" : "<1:0123456789>");
        expect_frames(&stage, feed, 1, before ? "<3:b>" : "<2:b>");
        expect_frames(&stage, third, 1, before ? "<3:b>" : "<2:b>");
        expect_no_batch(&stage);
        weir_session_release(session);
        weir_session_release(other);
        stage_close(&stage);
    }
}

static void a_feed_can_be_closed_while_its_event_is_held(void **state) {
    (void)state;
    struct consumer_stage stage;
    struct renderer renderer;
    weir_batch batch;
    weir_consumer_config config = frames_of(&renderer, 0, 4);
    stage_open(&stage, NULL, &config);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    publish_text(&stage.fixture, session, "0123456789");
    refuse_next_allocation(&stage);
    assert_int_equal(weir_consumer_next(stage.consumer, &batch), WEIR_NO_MEMORY);
    weir_feed_close(feed);
    expect_no_batch(&stage);
    feed = stage_feed(&stage, session, NULL);
    expect_frames(&stage, feed, 1, "<1:0123456789>");
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* ---- Gaps --------------------------------------------------------------------------------------------------- */

static void what_is_lost_at_the_start_is_the_first_batch(void **state) {
    (void)state;
    struct consumer_stage stage;
    char id[WEIR_ID_MAX];
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    stage_open(&stage, &config, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    publish_numbers(&stage.fixture, session, 10);
    weir_subscription evicted = {.last_id = id, .last_id_length = weir_session_id_format(session, 2, id)};
    weir_feed *feed = stage_feed(&stage, session, &evicted);
    expect_batch_gap(&stage, feed, 3, 6, WEIR_GAP_EVICTED, 1);
    expect_batch(&stage, feed, 7, 10);
    weir_subscription malformed = {.last_id = "what?", .last_id_length = 5};
    feed = stage_feed(&stage, session, &malformed);
    expect_batch_gap(&stage, feed, 1, 6, WEIR_GAP_MALFORMED, 0);
    expect_batch(&stage, feed, 7, 10);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

static void a_feed_that_falls_behind_gets_a_gap_and_goes_on(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 4;
    stage_open(&stage, &config, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    expect_no_batch(&stage);
    publish_numbers(&stage.fixture, session, 10);
    expect_batch_gap(&stage, feed, 1, 6, WEIR_GAP_SLOW, 1);
    expect_batch(&stage, feed, 7, 10);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* Publishes ten events while the first one is rendered: the ring goes past the feed in the middle of its batch. */
static size_t render_and_overtake(void *context, const weir_session *session, const weir_event *event,
                                  const void *data, char *out, size_t room) {
    struct fixture *fixture = (struct fixture *)context;
    if (event->sequence == 1) publish_numbers(fixture, (weir_session *)(uintptr_t)session, 10);
    if (event->length <= room) memcpy(out, data, event->length);
    return event->length;
}

static void a_gap_behind_events_comes_after_them(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_config config = WEIR_CONFIG_INIT;
    weir_consumer_config batches = batches_of(0, 0);
    config.replay_capacity = 4;
    batches.render = render_and_overtake;
    batches.context = &stage.fixture;
    stage_open(&stage, &config, &batches);
    weir_session *session = fixture_session(&stage.fixture, "s");
    publish_numbers(&stage.fixture, session, 2);
    weir_feed *feed = stage_feed(&stage, session, NULL);
    expect_batch(&stage, feed, 1, 1);
    expect_batch_gap(&stage, feed, 2, 8, WEIR_GAP_SLOW, 1);
    expect_batch(&stage, feed, 9, 12);
    expect_no_batch(&stage);
    weir_session_release(session);
    stage_close(&stage);
}

/* ---- Ends --------------------------------------------------------------------------------------------------- */

static void an_end_comes_once_behind_everything_before_it(void **state) {
    (void)state;
    struct consumer_stage stage;
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_feed *feed = stage_feed(&stage, session, NULL);
    publish_numbers(&stage.fixture, session, 3);
    assert_int_equal(weir_session_terminate(session), WEIR_OK);
    weir_session_release(session); /* the feed has a reference of its own */
    expect_batch(&stage, feed, 1, 3);
    expect_batch_end(&stage, feed, WEIR_END, WEIR_ENDED_TERMINATED);
    expect_no_batch(&stage);
    expect_no_batch(&stage);
    weir_feed_close(feed);
    weir_feed_close(NULL);
    stage_close(&stage);
}

static void a_lagging_feed_gets_what_was_queued_and_then_that(void **state) {
    (void)state;
    for (int policy = WEIR_POLICY_DETACH; policy <= WEIR_POLICY_EVICT; policy++) {
        if (policy == WEIR_POLICY_REFUSE) continue;
        struct consumer_stage stage;
        weir_subscription how = {.policy = (weir_policy)policy, .queue_depth = 4};
        stage_open(&stage, NULL, NULL);
        weir_session *session = fixture_session(&stage.fixture, "s");
        weir_feed *feed = stage_feed(&stage, session, &how);
        expect_no_batch(&stage);
        publish_numbers(&stage.fixture, session, 6);
        expect_batch(&stage, feed, 1, 4);
        weir_end_reason reason = policy == WEIR_POLICY_EVICT ? WEIR_ENDED_OVERFLOW : WEIR_ENDED_LAGGING;
        expect_batch_end(&stage, feed, WEIR_LAGGED, reason);
        expect_no_batch(&stage);
        weir_session_release(session);
        stage_close(&stage);
    }
}

/* SES-06, LIV-17 */
static void an_attached_feed_is_displaced_by_the_next_one(void **state) {
    (void)state;
    struct consumer_stage stage;
    weir_feed *first;
    weir_feed *second;
    stage_open(&stage, NULL, NULL);
    weir_session *session = fixture_session(&stage.fixture, "s");
    assert_int_equal(weir_feed_attach(stage.consumer, session, NULL, session, &first), WEIR_OK);
    publish_numbers(&stage.fixture, session, 2);
    weir_subscription how = {.start = WEIR_START_NOW, .policy = WEIR_POLICY_DETACH};
    assert_int_equal(weir_feed_attach(stage.consumer, session, &how, session, &second), WEIR_OK);
    publish_numbers(&stage.fixture, session, 1);
    expect_batch(&stage, first, 1, 2);
    expect_batch(&stage, second, 3, 3);
    expect_batch_end(&stage, first, WEIR_END, WEIR_ENDED_DISPLACED);
    expect_no_batch(&stage);
    assert_int_equal(weir_detach(session, weir_feed_cursor(second)->generation), WEIR_OK);
    assert_true(is_readable(stage.consumer));
    expect_batch_end(&stage, second, WEIR_END, WEIR_ENDED_DETACHED);
    weir_session_release(session);
    stage_close(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_is_one_run_of_payloads_with_a_view_of_each_event),
        cmocka_unit_test(a_batch_ends_at_its_events_or_at_its_bytes),
        cmocka_unit_test(an_event_larger_than_a_batch_comes_alone_and_whole),
        cmocka_unit_test(frames_are_the_bytes_where_there_is_a_renderer),
        cmocka_unit_test(a_batch_of_frames_ends_once_it_has_its_bytes),
        cmocka_unit_test(without_memory_for_a_large_event_it_comes_later),
        cmocka_unit_test(without_memory_for_a_frame_its_event_is_held),
        cmocka_unit_test(a_feed_can_be_closed_while_its_event_is_held),
        cmocka_unit_test(what_is_lost_at_the_start_is_the_first_batch),
        cmocka_unit_test(a_feed_that_falls_behind_gets_a_gap_and_goes_on),
        cmocka_unit_test(a_gap_behind_events_comes_after_them),
        cmocka_unit_test(an_end_comes_once_behind_everything_before_it),
        cmocka_unit_test(a_lagging_feed_gets_what_was_queued_and_then_that),
        cmocka_unit_test(an_attached_feed_is_displaced_by_the_next_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
