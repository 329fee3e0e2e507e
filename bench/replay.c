/* What reading back costs: 100-byte events from a full ring of 256 that nobody writes to, the copy into the reader's
 * buffer included, 64 at a time with weir_read_many, and one at a time with weir_read. Each round attaches a cursor at
 * the oldest event, reads all 256 and detaches, so a 256th of attaching is in the figure. Warm memory: a window that was
 * last touched long ago costs cache misses. Checked: every event's sequence and both ends of its bytes. */
#include "cores.h"
#include "subject.h"

#define RUN 64u

static bool fill_ring(struct subject *subject, struct bench_result *result) {
    struct payloads payloads;
    weir_producer *producer = NULL;
    payloads_fill(&payloads, 0);
    if (!expect_ok(weir_producer_create(subject->engine, &producer), "weir_producer_create", result)) return false;
    bool ok = true;
    for (uint64_t i = 0; ok && i < RING_CAPACITY; i++) {
        ok = expect_ok(weir_publish(producer, subject->session, 0, payload_of(&payloads, i), PAYLOAD_BYTES, NULL),
                       "weir_publish", result);
    }
    weir_producer_destroy(producer);
    return ok;
}

static bool is_right(const struct subject *subject, const weir_event *event, const unsigned char *bytes,
                     uint64_t place) {
    return event->sequence == subject->first_sequence + place && event->length == PAYLOAD_BYTES &&
           payload_matches(bytes, 0, place);
}

/* Both read what is there and return how many events they found right. */
typedef uint64_t read_function(const struct subject *subject, weir_cursor *cursor);

static uint64_t read_singly(const struct subject *subject, weir_cursor *cursor) {
    unsigned char bytes[128];
    weir_event event;
    weir_gap gap;
    uint64_t right = 0;
    while (weir_read(subject->session, cursor, bytes, sizeof bytes, &event, &gap) == WEIR_OK)
        right += is_right(subject, &event, bytes, right);
    return right;
}

static uint64_t read_runs(const struct subject *subject, weir_cursor *cursor) {
    unsigned char bytes[RUN * PAYLOAD_BYTES + 64];
    weir_event events[RUN];
    weir_gap gap;
    uint32_t count;
    uint64_t right = 0;
    while (weir_read_many(subject->session, cursor, bytes, sizeof bytes, events, RUN, &count, &gap) == WEIR_OK) {
        for (uint32_t i = 0; i < count; i++)
            right += is_right(subject, &events[i], bytes + (size_t)i * PAYLOAD_BYTES, right);
    }
    return right;
}

static uint64_t read_window(struct subject *subject, read_function *read, struct bench_result *result) {
    weir_cursor cursor;
    weir_gap gap;
    if (!expect_ok(weir_subscribe(subject->session, NULL, &cursor, &gap), "weir_subscribe", result)) return 0;
    uint64_t right = read(subject, &cursor);
    weir_unsubscribe(subject->session, &cursor);
    return right;
}

static void measure(uint64_t events, read_function *read, struct bench_result *result) {
    struct subject subject;
    if (subject_open(&subject, NULL, result) && fill_ring(&subject, result)) {
        uint64_t rounds = events / RING_CAPACITY;
        uint64_t right = 0;
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        for (uint64_t i = 0; i < rounds; i++) {
            right += read_window(&subject, read, result);
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * RING_CAPACITY);
        if (right != rounds * RING_CAPACITY)
            bench_fail(result, "only %llu events were right", (unsigned long long)right);
    }
    subject_close(&subject);
}

static void measure_runs(uint64_t events, struct bench_result *result) {
    measure(events, read_runs, result);
}
static void measure_singly(uint64_t events, struct bench_result *result) {
    measure(events, read_singly, result);
}

const struct bench_case bench_replay_cases[] = {
    {"replay_event_ns", 20000000, measure_runs},
    {"replay_single_ns", 20000000, measure_singly},
    {NULL, 0, NULL},
};
