/* Publishers on threads of their own against a reactor that delivers: the ring is short, so it passes readers also in
 * the middle of rendering a batch, which no single thread can bring about. Every stream must show every event once, in
 * one order, or a gap of exactly what is missing, at the place where it is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "base/atomic.h"
#include "reader.h"
#include "rig.h"

#define PUBLISHERS  2u
#define EVENTS_EACH 20000u
#define STREAMS     4u

struct publisher {
    pthread_t thread;
    weir_engine *engine;
    unsigned number;
    unsigned padding; /* bytes behind the number: the longer, the slower is rendering beside publishing */
    atomic_u32 *done;
};

static void *publish_all(void *argument) {
    struct publisher *publisher = argument;
    weir_producer *producer;
    weir_session *session;
    if (weir_producer_create(publisher->engine, &producer) != WEIR_OK) abort();
    if (weir_session_open(publisher->engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) abort();
    for (unsigned i = 1; i <= EVENTS_EACH; i++) {
        char text[1024];
        int length = snprintf(text, sizeof(text), "%u:%u:%0*u", publisher->number, i, (int)publisher->padding, 0u);
        if (weir_publish(producer, session, 0, text, (size_t)length, NULL) != WEIR_OK) abort();
        if (i % 16 == 0) sched_yield(); /* so that the reactor has a chance to be in the midst of it */
    }
    weir_session_release(session);
    weir_producer_destroy(producer);
    u32_add_relaxed(publisher->done, 1);
    return NULL;
}

struct tally {
    uint64_t events, gaps, lost;
};

static void check_stream(const struct simulated_peer *peer, struct tally *tally) {
    struct stream_text text;
    unsigned newest[PUBLISHERS] = {0};
    uint64_t next = 1;
    assert_true(stream_text_read(peer, 0, &text));
    for (size_t i = 0; i < text.frames.count; i++) {
        const struct decoded *frame = &text.frames.items[i];
        if (frame->type == DECODED_GAP) {
            struct frame_gap gap = frame_gap(frame);
            assert_true(gap.range && gap.lost_known);
            assert_int_equal(gap.first, next);
            assert_int_equal(gap.lost, gap.last - gap.first + 1);
            next = gap.last + 1;
            tally->gaps++;
            tally->lost += gap.lost;
        } else if (frame->type == DECODED_EVENT) {
            unsigned number, count;
            assert_int_equal(frame_sequence(frame), next++);
            assert_int_equal(sscanf(frame->data.data, "%u:%u", &number, &count), 2);
            assert_true(number < PUBLISHERS && count > newest[number]); /* in each publisher's order */
            newest[number] = count;
            tally->events++;
        }
    }
    assert_int_equal(next, PUBLISHERS * EVENTS_EACH + 1);
    stream_text_free(&text);
}

static void race(uint32_t replay_capacity, uint32_t batch_bytes, unsigned padding, struct tally *tally) {
    struct rig rig;
    struct rig_options options = {.engine = {.replay_capacity = replay_capacity},
                                  .server = {.max_batch_bytes = batch_bytes}};
    struct publisher publishers[PUBLISHERS];
    struct simulated_peer *peers[STREAMS];
    atomic_u32 done;
    u32_store_relaxed(&done, 0);
    rig_open(&rig, &options);
    for (unsigned i = 0; i < STREAMS; i++)
        peers[i] = rig_ask(&rig, i % 2 == 0 ? "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"
                                            : "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n"
                                              "Accept: application/x-ndjson\r\n\r\n");
    for (unsigned i = 0; i < PUBLISHERS; i++) {
        publishers[i] = (struct publisher){.engine = rig.engine, .number = i, .padding = padding, .done = &done};
        assert_int_equal(pthread_create(&publishers[i].thread, NULL, publish_all, &publishers[i]), 0);
    }
    while (u32_load_relaxed(&done) < PUBLISHERS)
        assert_true(reactor_turn(rig.reactor, 0) >= 0);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(publishers[i].thread, NULL);
    rig_run(&rig, 10);
    for (unsigned i = 0; i < STREAMS; i++)
        check_stream(peers[i], tally);
    rig_close(&rig);
}

static void test_streams_keep_their_order_while_the_ring_passes_them(void **state) {
    (void)state;
    struct tally tally = {0, 0, 0};
    race(64, 64 << 10, 1, &tally);
    race(4, 64 << 10, 900, &tally);
    race(1024, 256 << 10, 1, &tally);
    print_message("%llu events delivered, %llu gaps with %llu events\n", (unsigned long long)tally.events,
                  (unsigned long long)tally.gaps, (unsigned long long)tally.lost);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_keep_their_order_while_the_ring_passes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
