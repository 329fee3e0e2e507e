/* What reading back costs: weir_read of 100-byte events from a full ring of 256 that nobody writes to, the copy into
 * the reader's buffer included. Each round attaches a cursor at the oldest event, reads all 256 and detaches, so a
 * 256th of attaching is in the figure. Warm memory: a window that was last touched long ago costs cache misses.
 * Checked: every event's sequence and both ends of its bytes. */
#include "cores.h"
#include "subject.h"

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

/* Reads the whole window; returns how many events it found right. */
static uint64_t read_window(struct subject *subject, struct bench_result *result) {
    unsigned char bytes[128];
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    uint64_t right = 0;
    if (!expect_ok(weir_subscribe(subject->session, NULL, &cursor, &gap), "weir_subscribe", result)) return 0;
    while (weir_read(subject->session, &cursor, bytes, sizeof bytes, &event, &gap) == WEIR_OK) {
        right += event.sequence == subject->first_sequence + right && event.length == PAYLOAD_BYTES &&
                 payload_matches(bytes, 0, right);
    }
    weir_unsubscribe(subject->session, &cursor);
    return right;
}

static void measure_replay(uint64_t events, struct bench_result *result) {
    struct subject subject;
    if (subject_open(&subject, NULL, result) && fill_ring(&subject, result)) {
        uint64_t rounds = events / RING_CAPACITY;
        uint64_t right = 0;
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        for (uint64_t i = 0; i < rounds; i++) {
            right += read_window(&subject, result);
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * RING_CAPACITY);
        if (right != rounds * RING_CAPACITY)
            bench_fail(result, "only %llu events were right", (unsigned long long)right);
    }
    subject_close(&subject);
}

const struct bench_case bench_replay_cases[] = {
    {"replay_event_ns", 20000000, measure_replay},
    {NULL, 0, NULL},
};
