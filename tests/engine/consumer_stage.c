#include "consumer_stage.h"

#include <poll.h>

void stage_open(struct consumer_stage *stage, const weir_config *config, const weir_consumer_config *batches) {
    fixture_open(&stage->fixture, config);
    assert_int_equal(weir_consumer_create(stage->fixture.engine, batches, &stage->consumer), WEIR_OK);
}

void stage_close(struct consumer_stage *stage) {
    weir_consumer_destroy(stage->consumer);
    fixture_close(&stage->fixture);
}

weir_feed *stage_feed(struct consumer_stage *stage, weir_session *session, const weir_subscription *how) {
    weir_feed *feed;
    int status = weir_feed_subscribe(stage->consumer, session, how, session, &feed);
    assert_string_equal(weir_status_name(status), "WEIR_OK");
    assert_ptr_equal(weir_feed_session(feed), session);
    return feed;
}

static void next_batch(struct consumer_stage *stage, weir_feed *feed, int status, weir_batch *batch) {
    assert_string_equal(weir_status_name(weir_consumer_next(stage->consumer, batch)), "WEIR_OK");
    assert_string_equal(weir_status_name(batch->status), weir_status_name(status));
    assert_ptr_equal(batch->feed, feed);
    check_batch(batch, feed);
}

void check_batch(const weir_batch *batch, const weir_feed *feed) {
    const char *data = batch->bytes;
    assert_ptr_equal(batch->user, weir_feed_session(feed));
    for (uint32_t i = 0; i < batch->count; i++) {
        assert_ptr_equal(batch->views[i].data, data);
        if (i > 0) assert_true(batch->views[i].sequence > batch->views[i - 1].sequence);
        data += batch->views[i].length;
    }
    assert_int_equal(data - batch->bytes, batch->length);
    assert_int_equal(batch->count > 0, batch->status == WEIR_OK);
    if (batch->count > 0) assert_int_equal(batch->last, batch->views[batch->count - 1].sequence);
}

void expect_batch(struct consumer_stage *stage, weir_feed *feed, uint64_t first, uint64_t last) {
    weir_batch batch;
    next_batch(stage, feed, WEIR_OK, &batch);
    assert_int_equal(batch.views[0].sequence, first);
    assert_int_equal(batch.last, last);
    assert_int_equal(batch.count, last + 1 - first);
    assert_int_equal(batch.length, batch.count * sizeof(uint64_t));
    for (uint32_t i = 0; i < batch.count; i++) {
        uint64_t number;
        memcpy(&number, batch.views[i].data, sizeof(number));
        assert_int_equal(number, first + i);
    }
}

void expect_batch_gap(struct consumer_stage *stage, weir_feed *feed, uint64_t first, uint64_t last,
                      weir_gap_reason reason, int known) {
    weir_batch batch;
    next_batch(stage, feed, WEIR_GAP, &batch);
    check_gap(&batch.gap, first, last, reason, known);
    assert_int_equal(batch.last, last);
}

void expect_batch_end(struct consumer_stage *stage, weir_feed *feed, int status, weir_end_reason ended) {
    weir_batch batch;
    next_batch(stage, feed, status, &batch);
    assert_string_equal(weir_end_reason_name(batch.ended), weir_end_reason_name(ended));
    assert_int_equal(batch.last, weir_feed_cursor(feed)->next - 1);
}

void expect_no_batch(struct consumer_stage *stage) {
    weir_batch batch;
    assert_string_equal(weir_status_name(weir_consumer_next(stage->consumer, &batch)), "WEIR_EMPTY");
    assert_false(is_readable(stage->consumer));
}

int is_readable(const weir_consumer *consumer) {
    struct pollfd descriptor = {weir_consumer_fd(consumer), POLLIN, 0};
    int count = poll(&descriptor, 1, 0);
    assert_true(count >= 0);
    return count == 1 && (descriptor.revents & POLLIN) != 0;
}
