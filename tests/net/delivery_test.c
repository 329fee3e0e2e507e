/* Events on their way to subscribers: each exactly once or named in a gap, batches shared by all who stand together,
 * slow readers who cost themselves only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/outlet.h"
#include "reader.h"
#include "rig.h"

#define SUBSCRIBE        "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"
#define SUBSCRIBE_10     "GET /sessions/s/events HTTP/1.0\r\n\r\n"
#define SUBSCRIBE_NDJSON "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"

static struct simulated_peer *subscribe_after(struct rig *rig, const char *id) {
    char request[256];
    snprintf(request, sizeof(request), "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", id);
    return rig_ask(rig, request);
}

static void format_id(struct rig *rig, uint64_t sequence, char id[WEIR_ID_MAX + 1]) {
    weir_session_info info;
    weir_session_info_get(rig_session(rig, "s"), &info);
    id[weir_id_format(info.epoch, sequence, id)] = '\0';
}

static void test_a_subscriber_gets_what_was_kept_and_then_what_comes(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    rig_publish_numbers(&rig, "s", 1, 5, 1);
    struct simulated_peer *sse = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *plain = rig_ask(&rig, SUBSCRIBE_10);
    struct simulated_peer *ndjson = rig_ask(&rig, SUBSCRIBE_NDJSON);
    rig_publish_numbers(&rig, "s", 6, 8, 1);
    rig_run(&rig, 1);
    rig_publish_numbers(&rig, "s", 9, 9, 1);
    rig_run(&rig, 1);
    expect_numbers(sse, 1, 9);
    expect_numbers(plain, 1, 9);
    expect_numbers(ndjson, 1, 9);
    rig_close(&rig);
}

static void test_a_resume_gets_just_what_follows_its_id(void **state) {
    (void)state;
    struct rig rig;
    char id[WEIR_ID_MAX + 1];
    rig_open(&rig, NULL);
    rig_publish_numbers(&rig, "s", 1, 9, 1);
    for (unsigned last = 1; last <= 9; last++) {
        format_id(&rig, last, id);
        expect_numbers(subscribe_after(&rig, id), last + 1, 9);
    }
    rig_close(&rig);
}

/* S14, E20, E21: each outcome of design 4 says what it is, then everything kept follows. */
static void test_a_resume_that_cannot_be_exact_begins_with_a_gap(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.engine = {.replay_capacity = 4}};
    char old[WEIR_ID_MAX + 1], ahead[WEIR_ID_MAX + 1];
    rig_open(&rig, &options);
    rig_publish_numbers(&rig, "s", 1, 10, 1);
    format_id(&rig, 2, old);
    format_id(&rig, 99, ahead);
    const struct {
        const char *id, *reason;
        uint64_t first;
        bool lost_known;
    } cases[] = {{old, "evicted", 3, true}, {ahead, "ahead", 1, false}, {"what?", "malformed", 1, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct simulated_peer *peer = subscribe_after(&rig, cases[i].id);
        struct stream_text text;
        assert_true(stream_text_read(peer, 0, &text));
        assert_int_equal(text.frames.count, 2 + 4);
        struct frame_gap gap = frame_gap(&text.frames.items[1]);
        assert_string_equal(gap.reason, cases[i].reason);
        assert_true(gap.range && gap.first == cases[i].first && gap.last == 6);
        assert_int_equal(gap.lost_known, cases[i].lost_known);
        assert_int_equal(frame_sequence(&text.frames.items[2]), 7);
        assert_int_equal(frame_sequence(&text.frames.items[5]), 10);
        stream_text_free(&text);
    }
    rig_close(&rig);
}

/* Rendered once per profile: while all sends are held up, every connection holds the same batch. */
static void test_a_thousand_streams_share_one_batch_per_profile(void **state) {
    (void)state;
    enum { STREAMS = 1000 };
    static struct simulated_peer *peers[STREAMS];
    struct rig rig;
    rig_open(&rig, NULL);
    for (int i = 0; i < STREAMS; i++) {
        peers[i] = rig_connect(&rig);
        rig_feed(peers[i], i % 2 == 0 ? SUBSCRIBE : SUBSCRIBE_NDJSON);
    }
    rig_run(&rig, 10);
    for (int i = 0; i < STREAMS; i++)
        simulated_set_window(peers[i], 0);
    rig_publish_numbers(&rig, "s", 1, 50, 100);
    rig_run(&rig, 1);
    for (int i = 0; i < STREAMS; i++) {
        const struct connection *connection = rig_connection(&rig, peers[i]);
        const struct connection *first = rig_connection(&rig, peers[i % 2]);
        assert_non_null(connection->batch);
        assert_ptr_equal(connection->batch, first->batch);
        assert_int_equal(connection->stream->in_flight, 50);
    }
    const struct batch *shared = rig_connection(&rig, peers[0])->batch;
    assert_int_equal(shared->holders, STREAMS / 2 + 1); /* one for the outlet's place */
    for (int i = 0; i < STREAMS; i++)
        simulated_set_window(peers[i], SIZE_MAX);
    rig_run(&rig, 1);
    for (int i = 0; i < STREAMS; i++)
        expect_numbers(peers[i], 1, 50);
    rig_close(&rig);
}

/* Those who come back together catch up together: one batch for all who stand at the same place. */
static void test_streams_that_catch_up_share_the_batch_behind(void **state) {
    (void)state;
    enum { STREAMS = 20 };
    struct simulated_peer *peers[STREAMS];
    struct rig rig;
    struct rig_options options = {.engine = {.replay_capacity = 1024}};
    char id[WEIR_ID_MAX + 1], request[256];
    rig_open(&rig, &options);
    rig_publish_numbers(&rig, "s", 1, 100, 10);
    struct simulated_peer *live[2] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE)};
    for (int i = 0; i < 2; i++)
        simulated_set_window(live[i], 0);
    rig_publish_numbers(&rig, "s", 101, 110, 10);
    rig_run(&rig, 1);
    const struct batch *current = rig_connection(&rig, live[0])->batch;
    assert_ptr_equal(current, rig_connection(&rig, live[1])->batch);

    format_id(&rig, 40, id);
    snprintf(request, sizeof(request), "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: %s\r\n\r\n", id);
    for (int i = 0; i < STREAMS; i++) {
        peers[i] = rig_connect(&rig);
        rig_feed(peers[i], request);
    }
    rig_run(&rig, 1);
    for (int i = 0; i < STREAMS; i++)
        expect_numbers(peers[i], 41, 110);
    /* The batch behind ended where the live one begins: what is there already is not rendered again. */
    const struct outlet *outlet = rig_connection(&rig, live[0])->stream->outlet;
    unsigned behind = 0;
    for (unsigned i = 0; i < PROFILES; i++) {
        if (outlet->shared->behind[i] == NULL) continue;
        behind++;
        assert_int_equal(outlet->shared->behind[i]->from, 41);
        assert_int_equal(outlet->shared->behind[i]->to, 101);
    }
    assert_int_equal(behind, 1);
    assert_ptr_equal(rig_connection(&rig, live[0])->batch, current);
    for (int i = 0; i < 2; i++)
        simulated_set_window(live[i], SIZE_MAX);
    rig_run(&rig, 1);
    for (int i = 0; i < 2; i++)
        expect_numbers(live[i], 1, 110);
    rig_close(&rig);
}

/* A slow reader holds what it is being sent, not a whole working batch: also when a publish, and not a finished send,
 * set it going. */
static void test_a_lone_stream_holds_no_more_than_it_is_sent(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(peer, 0);
    rig_publish_numbers(&rig, "s", 1, 1, 10);
    rig_run(&rig, 1);
    const struct batch *batch = rig_connection(&rig, peer)->batch;
    assert_non_null(batch);
    assert_null(batch->pool);
    assert_int_equal(batch->capacity, batch->length);
    simulated_set_window(peer, SIZE_MAX);
    rig_publish_numbers(&rig, "s", 2, 3, 10);
    rig_run(&rig, 1);
    expect_numbers(peer, 1, 3);
    rig_close(&rig);
}

static void test_an_idle_outlet_holds_no_rendered_bytes(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peers[2] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE_NDJSON)};
    rig_publish_numbers(&rig, "s", 1, 20, 100);
    rig_run(&rig, 1);
    for (int i = 0; i < 2; i++)
        expect_numbers(peers[i], 1, 20);
    const struct outlet *outlet = rig_connection(&rig, peers[0])->stream->outlet;
    assert_int_equal(outlet->sending, 0);
    for (unsigned i = 0; i < PROFILES; i++)
        assert_true(outlet->shared->current[i] == NULL && outlet->shared->behind[i] == NULL);

    /* Also after a stream has left with a send in flight. */
    struct simulated_peer *leaves = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(leaves, 0);
    rig_publish_numbers(&rig, "s", 21, 40, 100);
    rig_run(&rig, 1);
    assert_int_equal(outlet->sending, 1);
    simulated_reset(leaves);
    rig_run(&rig, 1);
    assert_int_equal(outlet->sending, 0);
    for (unsigned i = 0; i < PROFILES; i++)
        assert_true(outlet->shared->current[i] == NULL && outlet->shared->behind[i] == NULL);
    rig_close(&rig);
}

/* Design 3.5: what arrives while a send is in flight goes out together in the next one. */
static void test_events_behind_a_send_go_out_in_one(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peer = rig_ask(&rig, SUBSCRIBE);
    uint64_t before = u64_load_relaxed(&rig.reactor->counters.sends);
    simulated_set_window(peer, 0);
    rig_publish_numbers(&rig, "s", 1, 1, 10);
    rig_run(&rig, 1);
    for (unsigned i = 2; i <= 200; i++) {
        rig_publish_numbers(&rig, "s", i, i, 10);
        rig_run(&rig, 1);
    }
    simulated_set_window(peer, SIZE_MAX);
    rig_run(&rig, 1);
    expect_numbers(peer, 1, 200);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.sends) - before, 2);
    rig_close(&rig);
}

/* A batch that is full is followed by the next one; an event larger than any batch gets one of its own. */
static void test_events_of_every_size_arrive_whole(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.server = {.max_batch_bytes = 512}};
    static const size_t sizes[] = {1, 400, 511, 512, 513, 3000, 2, 100000, 1 << 20, 7};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    static char large[1 << 20];
    memset(large, 'x', sizeof(large));
    rig_open(&rig, &options);
    struct simulated_peer *peers[3] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE),
                                       rig_ask(&rig, SUBSCRIBE_NDJSON)};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < COUNT; i++) {
            int status = weir_publish(rig.producer, rig_session(&rig, "s"), 0, large, sizes[i], NULL);
            assert_int_equal(status, WEIR_OK);
            if (round == 0) rig_run(&rig, 1);
        }
        rig_run(&rig, 1);
    }
    for (int p = 0; p < 3; p++) {
        struct stream_text text;
        assert_true(stream_text_read(peers[p], 0, &text));
        size_t at = text.ndjson ? 0 : 1;
        assert_int_equal(text.frames.count, at + 2 * COUNT);
        for (size_t i = 0; i < 2 * COUNT; i++) {
            assert_int_equal(frame_sequence(&text.frames.items[at + i]), i + 1);
            assert_int_equal(text.frames.items[at + i].data.length, sizes[i % COUNT]);
        }
        stream_text_free(&text);
    }
    rig_close(&rig);
}

/* N03, S17, E06: the ring passes a reader that has stopped. The gap stands exactly between the events around it, and
 * nobody else notices. */
static void test_a_reader_that_the_ring_has_passed_gets_an_exact_gap(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.engine = {.replay_capacity = 16}};
    rig_open(&rig, &options);
    struct simulated_peer *slow = rig_ask(&rig, SUBSCRIBE);
    struct simulated_peer *quick = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(slow, 1);
    for (unsigned i = 1; i <= 1000; i++) {
        rig_publish_numbers(&rig, "s", i, i, 10);
        rig_run(&rig, 1);
    }
    simulated_set_window(slow, SIZE_MAX);
    rig_run(&rig, 1);
    rig_publish_numbers(&rig, "s", 1001, 1003, 10);
    rig_run(&rig, 1);
    expect_numbers(quick, 1, 1003);

    struct stream_text text;
    assert_true(stream_text_read(slow, 0, &text));
    uint64_t next = 1;
    unsigned gaps = 0;
    for (size_t i = 1; i < text.frames.count; i++) {
        const struct decoded *frame = &text.frames.items[i];
        if (frame->type == DECODED_GAP) {
            struct frame_gap gap = frame_gap(frame);
            assert_true(gap.range && gap.lost_known);
            assert_string_equal(gap.reason, "slow");
            assert_int_equal(gap.first, next);
            assert_int_equal(gap.last, 1000 - 16);
            assert_int_equal(gap.lost, gap.last - gap.first + 1);
            next = gap.last + 1;
            gaps++;
        } else {
            assert_int_equal(frame_sequence(frame), next);
            assert_int_equal(strtoul(frame->data.data, NULL, 10), next);
            next++;
        }
    }
    assert_int_equal(gaps, 1);
    assert_int_equal(next, 1004);
    stream_text_free(&text);
    rig_close(&rig);
}

/* Policy DETACH: what was queued arrives, then the stream ends in good order; the rest is there for the resume. */
static void test_a_slow_reader_can_be_cut_and_comes_back_without_loss(void **state) {
    (void)state;
    struct rig rig;
    struct rig_options options = {.engine = {.replay_capacity = 64, .queue_depth = 8},
                                  .server = {.slow_policy = WEIR_POLICY_DETACH}};
    char id[WEIR_ID_MAX + 1];
    rig_open(&rig, &options);
    struct simulated_peer *slow = rig_ask(&rig, SUBSCRIBE);
    simulated_set_window(slow, 1);
    for (unsigned i = 1; i <= 40; i++) {
        rig_publish_numbers(&rig, "s", i, i, 10);
        rig_run(&rig, 1);
    }
    simulated_set_window(slow, SIZE_MAX);
    rig_run(&rig, 1);
    assert_true(simulated_saw_finish(slow));
    assert_false(simulated_saw_reset(slow));
    struct stream_text text;
    assert_true(stream_text_read(slow, 0, &text));
    assert_true(text.ended);
    uint64_t last = 0;
    for (size_t i = 0; i < text.frames.count; i++)
        if (text.frames.items[i].type == DECODED_EVENT)
            assert_int_equal(frame_sequence(&text.frames.items[i]), ++last);
    assert_true(last > 0 && last < 40);
    assert_int_equal(text.frames.items[text.frames.count - 1].type, DECODED_RETRY);
    stream_text_free(&text);
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.lagged), 1);
    format_id(&rig, last, id);
    expect_numbers(subscribe_after(&rig, id), (unsigned)last + 1, 40);
    rig_close(&rig);
}

static void test_a_terminated_session_ends_its_streams_with_an_end_frame(void **state) {
    (void)state;
    struct rig rig;
    rig_open(&rig, NULL);
    struct simulated_peer *peers[3] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE_10),
                                       rig_ask(&rig, SUBSCRIBE_NDJSON)};
    rig_publish_numbers(&rig, "s", 1, 3, 1);
    weir_session_terminate(rig_session(&rig, "s"));
    rig_run(&rig, 1);
    for (int i = 0; i < 3; i++) {
        struct stream_text text;
        assert_true(stream_text_read(peers[i], 0, &text));
        assert_int_equal(count_frames(&text, DECODED_EVENT), 3);
        const struct decoded *last = &text.frames.items[text.frames.count - 1];
        assert_int_equal(last->type, DECODED_END);
        assert_non_null(strstr(last->data.data, "terminated"));
        assert_int_equal(text.ended, text.answer.chunked);
        assert_true(simulated_saw_finish(peers[i]));
        stream_text_free(&text);
    }
    assert_int_equal(u64_load_relaxed(&rig.reactor->counters.streams), 0);
    rig_close(&rig);
}

/* Every short send, down to single bytes, continues where it stopped (U03). */
static void test_short_sends_lose_and_repeat_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rig rig;
        struct rig_options options = {.faults = {.seed = seed, .short_send = 70, .late_completion = 50}};
        rig_open(&rig, &options);
        struct simulated_peer *peers[2] = {rig_ask(&rig, SUBSCRIBE), rig_ask(&rig, SUBSCRIBE_NDJSON)};
        for (unsigned i = 0; i < 20; i++) {
            rig_publish_numbers(&rig, "s", i * 5 + 1, i * 5 + 5, 20);
            rig_run(&rig, 1);
        }
        rig_run(&rig, 1000);
        for (int i = 0; i < 2; i++)
            expect_numbers(peers[i], 1, 100);
        rig_close(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_subscriber_gets_what_was_kept_and_then_what_comes),
        cmocka_unit_test(test_a_resume_gets_just_what_follows_its_id),
        cmocka_unit_test(test_a_resume_that_cannot_be_exact_begins_with_a_gap),
        cmocka_unit_test(test_a_thousand_streams_share_one_batch_per_profile),
        cmocka_unit_test(test_streams_that_catch_up_share_the_batch_behind),
        cmocka_unit_test(test_a_lone_stream_holds_no_more_than_it_is_sent),
        cmocka_unit_test(test_an_idle_outlet_holds_no_rendered_bytes),
        cmocka_unit_test(test_events_behind_a_send_go_out_in_one),
        cmocka_unit_test(test_events_of_every_size_arrive_whole),
        cmocka_unit_test(test_a_reader_that_the_ring_has_passed_gets_an_exact_gap),
        cmocka_unit_test(test_a_slow_reader_can_be_cut_and_comes_back_without_loss),
        cmocka_unit_test(test_a_terminated_session_ends_its_streams_with_an_end_frame),
        cmocka_unit_test(test_short_sends_lose_and_repeat_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
