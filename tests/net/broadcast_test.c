/* Events of a channel on their way to the subscribers of its members: rendered once per format, in the order of each
 * session, under ids of each session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reader.h"
#include "rig.h"

#define MEMBERS 20u

static void name_of(unsigned member, char name[8]) {
    snprintf(name, 8, "m%u", member);
}

static weir_channel *open_channel(struct rig *rig) {
    weir_channel *channel;
    assert_int_equal(weir_channel_open(rig->engine, "c", 1, WEIR_OPEN_OR_CREATE, &channel, NULL), WEIR_OK);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[8];
        name_of(i, name);
        assert_int_equal(weir_channel_join(channel, rig_session(rig, name), NULL), WEIR_OK);
    }
    return channel;
}

static struct simulated_peer *subscribe(struct rig *rig, unsigned member, const char *headers, const char *version) {
    char request[160];
    snprintf(request, sizeof(request), "GET /sessions/m%u/events HTTP/%s\r\nHost: x\r\n%s\r\n", member, version,
             headers);
    return rig_ask(rig, request);
}

static void publish(struct rig *rig, weir_channel *channel, const char *data, size_t length) {
    weir_message message = {.data = data, .length = length};
    weir_broadcast result;
    assert_int_equal(weir_kind(rig->engine, "news", 4, &message.kind), WEIR_OK);
    assert_int_equal(weir_channel_publish(rig->producer, channel, &message, &result), WEIR_OK);
    assert_int_equal(result.accepted, MEMBERS);
}

/* The stream is: own event, broadcast, own event; with dense ids of one session. */
static void expect_three(const struct simulated_peer *peer, const char *data, size_t length) {
    struct stream_text text;
    assert_true(stream_text_read(peer, 0, &text));
    const struct decoded *events[4];
    unsigned count = 0;
    for (size_t i = 0; i < text.frames.count; i++)
        if (text.frames.items[i].type == DECODED_EVENT && count < 4) events[count++] = &text.frames.items[i];
    assert_int_equal(count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(frame_sequence(events[i]), i + 1);
    assert_int_equal(events[1]->data.length, length);
    assert_memory_equal(events[1]->data.data, data, length);
    assert_int_equal(events[1]->kind.length, 4);
    assert_memory_equal(events[1]->kind.data, "news", 4);
    stream_text_free(&text);
}

static void broadcast_to_all(const char *data, size_t length, uint64_t renderings) {
    struct rig rig;
    struct simulated_peer *sse[MEMBERS], *old[MEMBERS], *ndjson[MEMBERS];
    rig_open(&rig, NULL);
    weir_channel *channel = open_channel(&rig);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[8];
        name_of(i, name);
        rig_publish(&rig, name, "own");
        sse[i] = subscribe(&rig, i, "", "1.1");
        old[i] = subscribe(&rig, i, "", "1.0"); /* without chunks: the same text in another frame */
        ndjson[i] = subscribe(&rig, i, "Accept: application/x-ndjson\r\n", "1.1");
    }
    publish(&rig, channel, data, length);
    for (unsigned i = 0; i < MEMBERS; i++) {
        char name[8];
        name_of(i, name);
        rig_publish(&rig, name, "own again");
    }
    rig_run(&rig, 1);
    for (unsigned i = 0; i < MEMBERS; i++) {
        expect_three(sse[i], data, length);
        expect_three(old[i], data, length);
        expect_three(ndjson[i], data, length);
    }
    assert_int_equal(rig.reactor->rendered.renderings, renderings);
    weir_channel_release(channel);
    rig_close(&rig);
}

static void test_a_broadcast_is_rendered_once_per_format(void **state) {
    (void)state;
    broadcast_to_all("two\nlines of \"text\"", 19, 2);
}

static void test_a_broadcast_too_long_to_keep_is_rendered_for_each(void **state) {
    (void)state;
    static char data[RENDERED_MAX + 1];
    memset(data, 'x', sizeof(data));
    broadcast_to_all(data, sizeof(data), 0);
}

/* Hundreds under way at once, more in all than there are places: each member gets each, in order, from one rendering. */
static void test_many_broadcasts_in_one_batch_are_rendered_once(void **state) {
    (void)state;
    struct rig rig;
    struct simulated_peer *peers[MEMBERS];
    rig_open(&rig, NULL);
    weir_channel *channel = open_channel(&rig);
    for (unsigned i = 0; i < MEMBERS; i++)
        peers[i] = subscribe(&rig, i, "", "1.1");
    const unsigned all = 3 * RENDERED_PLACES / 2;
    for (unsigned number = 1; number <= all; number++) {
        char text[16];
        weir_message message = {.data = text};
        message.length = (size_t)snprintf(text, sizeof(text), "%u", number);
        assert_int_equal(weir_channel_publish(rig.producer, channel, &message, NULL), WEIR_OK);
        if (number % 128 == 0) rig_run(&rig, 1);
    }
    rig_run(&rig, 1);
    for (unsigned i = 0; i < MEMBERS; i++)
        expect_numbers(peers[i], 1, all);
    assert_int_equal(rig.reactor->rendered.renderings, all);
    weir_channel_release(channel);
    rig_close(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_broadcast_is_rendered_once_per_format),
        cmocka_unit_test(test_a_broadcast_too_long_to_keep_is_rendered_for_each),
        cmocka_unit_test(test_many_broadcasts_in_one_batch_are_rendered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
