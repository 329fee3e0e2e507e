/* The load program must see what it is there to see: every hole, repetition and strange byte, wherever the stream is
 * cut. Otherwise a server that loses events would only look fast. */
#include "load/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENTS 20u

struct scene {
    struct plan plan;
    struct stream stream;
};

static struct scene *make_scene(void) {
    struct scene *scene = calloc(1, sizeof *scene);
    struct publisher *publisher = &scene->plan.publishers[0];
    scene->plan.payload_bytes = 100;
    scene->plan.publisher_count = 1;
    scene->stream.hold = calloc(1, STREAM_HOLD_BYTES);
    publisher->payloads = calloc(DEPTH_MAX, PAYLOAD_MAX);
    for (uint64_t number = 0; number < EVENTS; number++) {
        plan_render(&scene->plan, publisher, number);
        publisher->remaining[number] = 1;
        publisher->sent++;
    }
    return scene;
}

static void free_scene(struct scene *scene) {
    free(scene->plan.publishers[0].payloads);
    free(scene->stream.hold);
    free(scene);
}

/* A response whose events are those `numbers`, -1 ending the list; chunked on request, a chunk per event. */
static char *write_response(const struct scene *scene, const int *numbers, bool chunked) {
    char *text = malloc(64 * 1024);
    char *end = text + sprintf(text, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s\r\n",
                               chunked ? "Transfer-Encoding: chunked\r\n" : "");
    for (; *numbers >= 0; numbers++) {
        char frame[256];
        const char *payload = scene->plan.publishers[0].payloads[*numbers];
        int length = snprintf(frame, sizeof frame, "id: e.%d\ndata: %.100s\n\n", *numbers, payload);
        end += chunked ? sprintf(end, "%x\r\n%s\r\n", (unsigned)length, frame) : sprintf(end, "%s", frame);
    }
    return text;
}

/* Feeds the text in pieces of `piece` bytes. */
static void feed(struct scene *scene, const char *text, size_t piece) {
    size_t length = strlen(text);
    for (size_t at = 0; at < length; at += piece) {
        size_t take = length - at < piece ? length - at : piece;
        assert_true(stream_feed(&scene->plan, &scene->stream, text + at, take));
    }
}

static struct tally tally_of(const int *numbers, bool chunked, size_t piece) {
    struct scene *scene = make_scene();
    char *text = write_response(scene, numbers, chunked);
    feed(scene, text, piece);
    struct tally tally = scene->plan.tally;
    assert_int_equal(scene->stream.status, 200);
    free(text);
    free_scene(scene);
    return tally;
}

static void every_event_is_counted_however_the_bytes_are_cut(void **state) {
    (void)state;
    const int numbers[] = {0, 1, 2, 3, 4, -1};
    for (size_t piece = 1; piece < 300; piece++) {
        for (int chunked = 0; chunked < 2; chunked++) {
            struct tally tally = tally_of(numbers, chunked, piece);
            assert_int_equal(tally.events, 5);
            assert_int_equal(tally.lost + tally.repeated + tally.foreign + tally.gaps, 0);
        }
    }
}

static void a_hole_is_counted_as_lost(void **state) {
    (void)state;
    const int numbers[] = {0, 1, 4, 5, -1};
    struct tally tally = tally_of(numbers, true, 7);
    assert_int_equal(tally.events, 4);
    assert_int_equal(tally.lost, 2);
}

static void a_repetition_is_counted(void **state) {
    (void)state;
    const int numbers[] = {0, 1, 1, 2, 0, -1};
    struct tally tally = tally_of(numbers, false, 1000);
    assert_int_equal(tally.events, 3);
    assert_int_equal(tally.repeated, 2);
    assert_int_equal(tally.lost, 0);
}

static void one_wrong_byte_makes_a_payload_foreign(void **state) {
    (void)state;
    const int numbers[] = {0, 1, -1};
    struct scene *scene = make_scene();
    char *text = write_response(scene, numbers, false);
    strrchr(text, '\n')[-3] ^= 1; /* inside the last payload */
    feed(scene, text, 100000);
    assert_int_equal(scene->plan.tally.events, 1);
    assert_int_equal(scene->plan.tally.foreign, 1);
    free(text);
    free_scene(scene);
}

static void a_gap_frame_is_counted(void **state) {
    (void)state;
    struct scene *scene = make_scene();
    feed(scene, "HTTP/1.1 200 OK\r\n\r\nevent: gap\ndata: {\"first\":1}\n\n", 5);
    assert_int_equal(scene->plan.tally.gaps, 1);
    assert_int_equal(scene->plan.tally.foreign, 1);
    free_scene(scene);
}

static void an_event_is_delivered_once_every_subscriber_has_it(void **state) {
    (void)state;
    const int numbers[] = {0, 1, 2, -1};
    struct scene *scene = make_scene();
    struct publisher *publisher = &scene->plan.publishers[0];
    for (unsigned number = 0; number < EVENTS; number++) {
        publisher->remaining[number] = 2;
    }
    char *text = write_response(scene, numbers, false);
    feed(scene, text, 100000);
    assert_int_equal(publisher->delivered, 0);
    char *hold = scene->stream.hold;
    scene->stream = (struct stream){.hold = hold};
    feed(scene, text, 100000);
    assert_int_equal(publisher->delivered, 3);
    free(text);
    free_scene(scene);
}

static void bytes_that_are_no_response_are_refused(void **state) {
    (void)state;
    struct scene *scene = make_scene();
    const char *text = "SSH-2.0-nonsense\r\n\r\n";
    assert_false(stream_feed(&scene->plan, &scene->stream, text, strlen(text)));
    free_scene(scene);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_is_counted_however_the_bytes_are_cut),
        cmocka_unit_test(a_hole_is_counted_as_lost),
        cmocka_unit_test(a_repetition_is_counted),
        cmocka_unit_test(one_wrong_byte_makes_a_payload_foreign),
        cmocka_unit_test(a_gap_frame_is_counted),
        cmocka_unit_test(an_event_is_delivered_once_every_subscriber_has_it),
        cmocka_unit_test(bytes_that_are_no_response_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
