/* The ring passes a reader while its batch is being rendered, at each event of it. The linker puts a wrapper around
 * weir_read, which publishes a whole lap behind the event that was chosen; so what is a race otherwise happens here
 * where the test wants it. The gap must stand behind the events that were rendered, and be exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "reader.h"
#include "rig.h"

enum { CAPACITY = 8, LAP = 20 };

int __wrap_weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                     weir_gap *gap);
int __real_weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                     weir_gap *gap);

static struct rig *overtaking; /* whose ring moves on */
static uint64_t overtaken_at;  /* after this event is read; 0: never */
static unsigned published;
static bool wrapped; /* the linker did it: with some compilers link-time optimisation comes first */

static void publish_more(struct rig *rig, unsigned count) {
    rig_publish_numbers(rig, "s", published + 1, published + count, 5);
    published += count;
}

int __wrap_weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                     weir_gap *gap) {
    int status = __real_weir_read(session, cursor, buffer, capacity, event, gap);
    wrapped = true;
    if (status == WEIR_OK && event->sequence == overtaken_at) {
        overtaken_at = 0;
        publish_more(overtaking, LAP);
    }
    return status;
}

/* Everything up to the newest event, with one gap, right behind `before_gap`. */
static void check_stream(const struct simulated_peer *peer, uint64_t before_gap) {
    struct stream_text text;
    uint64_t next = 1;
    unsigned gaps = 0;
    assert_true(stream_text_read(peer, 0, &text));
    for (size_t i = 1; i < text.frames.count; i++) {
        const struct decoded *frame = &text.frames.items[i];
        if (frame->type == DECODED_GAP) {
            struct frame_gap gap = frame_gap(frame);
            assert_true(gap.range && gap.lost_known);
            assert_int_equal(gap.first, next);
            assert_int_equal(gap.first, before_gap + 1);
            assert_int_equal(gap.last, published - CAPACITY);
            next = gap.last + 1;
            gaps++;
        } else {
            assert_int_equal(frame_sequence(frame), next);
            assert_int_equal(strtoul(frame->data.data, NULL, 10), next);
            next++;
        }
    }
    assert_int_equal(gaps, 1);
    assert_int_equal(next, published + 1);
    stream_text_free(&text);
}

static void start(struct rig *rig, struct simulated_peer **peers, unsigned count) {
    struct rig_options options = {.engine = {.replay_capacity = CAPACITY}};
    rig_open(rig, &options);
    overtaking = rig;
    overtaken_at = 0;
    published = 0;
    for (unsigned i = 0; i < count; i++)
        peers[i] = rig_ask(rig, "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n");
}

/* One stream has batches of its own, two share them. */
static void test_a_reader_is_passed_in_a_new_batch(void **state) {
    (void)state;
    for (unsigned streams = 1; streams <= 2; streams++)
        for (uint64_t at = 1; at < 5; at++) {
            struct rig rig;
            struct simulated_peer *peers[2];
            start(&rig, peers, streams);
            publish_more(&rig, 5);
            overtaken_at = at;
            rig_run(&rig, 1);
            if (!wrapped) skip();
            assert_int_equal(published, 5 + LAP);
            for (unsigned i = 0; i < streams; i++)
                check_stream(peers[i], at);
            rig_close(&rig);
        }
}

/* The shared batch grows, for another stream still sends it. */
static void test_a_reader_is_passed_in_a_batch_that_grows(void **state) {
    (void)state;
    for (uint64_t at = 2; at < 5; at++) {
        struct rig rig;
        struct simulated_peer *peers[2];
        start(&rig, peers, 2);
        simulated_set_window(peers[0], 0);
        publish_more(&rig, 1);
        rig_run(&rig, 1);
        const struct batch *shared = rig_connection(&rig, peers[0])->batch;
        assert_int_equal(shared->to, 2);
        publish_more(&rig, 4);
        overtaken_at = at;
        rig_run(&rig, 1);
        if (!wrapped) skip();
        assert_int_equal(published, 5 + LAP);
        assert_int_equal(shared->to, at + 1); /* it grew up to there */
        check_stream(peers[1], at);
        simulated_set_window(peers[0], SIZE_MAX);
        rig_run(&rig, 1);
        check_stream(peers[0], 1); /* it stood behind what it was sent, whatever others had rendered */
        rig_close(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_is_passed_in_a_new_batch),
        cmocka_unit_test(test_a_reader_is_passed_in_a_batch_that_grows),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (failed != 0 || wrapped) return failed;
    printf("SKIPPED: link-time optimisation has seen through the wrapper\n");
    return 77;
}
