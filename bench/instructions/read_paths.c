/* Reading back what stands in a ring: 100 bytes each, the copy into the reader's buffer included. */
#include "hot_path.h"

#include <stdlib.h>

struct reading {
    struct subject subject;
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    weir_consumer *consumer;
    weir_feed *feed;
    _Alignas(64) char buffer[RING * EVENT_BYTES];
    weir_event events[RING];
};

static void *open_reading(void) {
    struct reading *state = aligned_alloc(64, sizeof(*state));
    EXPECT(state != NULL);
    subject_open(&state->subject, (weir_config)WEIR_CONFIG_INIT);
    EXPECT(weir_subscribe(state->subject.session, NULL, &state->cursor, &state->gap) == WEIR_OK);
    return state;
}

static void close_reading(void *context) {
    struct reading *state = context;
    weir_unsubscribe(state->subject.session, &state->cursor);
    subject_close(&state->subject);
    free(state);
}

static void run_read(void *context, uint32_t operations) {
    struct reading *state = context;
    for (uint32_t done = 0; done < operations; done += RING) {
        uint32_t read = 0;
        subject_publish(&state->subject, RING);
        count_begin();
        for (uint32_t i = 0; i < RING; i++)
            read += weir_read(state->subject.session, &state->cursor, state->buffer, EVENT_BYTES, &state->event,
                              &state->gap) == WEIR_OK;
        count_end();
        EXPECT(read == RING);
    }
}

static void read_many(struct reading *state, uint32_t operations, uint32_t most) {
    for (uint32_t done = 0; done < operations; done += RING) {
        uint32_t read = 0;
        uint32_t count;
        subject_publish(&state->subject, RING);
        count_begin();
        for (uint32_t i = 0; i < RING / most; i++) {
            weir_read_many(state->subject.session, &state->cursor, state->buffer, sizeof(state->buffer),
                           state->events, most, &count, &state->gap);
            read += count;
        }
        count_end();
        EXPECT(read == RING);
    }
}

static void run_read_many_64(void *state, uint32_t operations) {
    read_many(state, operations, 64);
}
static void run_read_many_1(void *state, uint32_t operations) {
    read_many(state, operations, 1);
}

/* Looking and finding nothing. */
static void run_read_empty(void *context, uint32_t operations) {
    struct reading *state = context;
    uint32_t empty = 0;
    count_begin();
    for (uint32_t i = 0; i < operations; i++)
        empty += weir_read(state->subject.session, &state->cursor, state->buffer, EVENT_BYTES, &state->event,
                           &state->gap) == WEIR_EMPTY;
    count_end();
    EXPECT(empty == operations);
}

/* ---- The consumer's batches ----------------------------------------------------------------------------------- */

static void *open_feed(void) {
    struct reading *state = open_reading();
    EXPECT(weir_consumer_create(state->subject.engine, NULL, &state->consumer) == WEIR_OK);
    EXPECT(weir_feed_subscribe(state->consumer, state->subject.session, NULL, NULL, &state->feed) == WEIR_OK);
    return state;
}

static void close_feed(void *context) {
    struct reading *state = context;
    weir_consumer_destroy(state->consumer);
    close_reading(state);
}

/* `count` events are there whenever it is asked, and it is asked until there is nothing more: with its eventfd, whose
 * system calls count here for nothing but the instructions around them. */
static void consume(struct reading *state, uint32_t operations, uint32_t count) {
    weir_batch batch;
    for (uint32_t done = 0; done < operations; done += count) {
        uint32_t taken = 0;
        subject_publish(&state->subject, count);
        count_begin();
        while (weir_consumer_next(state->consumer, &batch) == WEIR_OK)
            taken += batch.count;
        count_end();
        EXPECT(taken == count);
    }
}

static void run_feed_64(void *state, uint32_t operations) {
    consume(state, operations, 64);
}
static void run_feed_1(void *state, uint32_t operations) {
    consume(state, operations, 1);
}

const struct hot_path read_paths[] = {
    {"read", 4096, open_reading, run_read, close_reading},
    {"read_empty", 4096, open_reading, run_read_empty, close_reading},
    {"read_many_by_64", 4096, open_reading, run_read_many_64, close_reading},
    {"read_many_by_1", 4096, open_reading, run_read_many_1, close_reading},
    {"feed_by_64", 4096, open_feed, run_feed_64, close_feed},
    {"feed_by_1", 1024, open_feed, run_feed_1, close_feed},
    {0},
};
