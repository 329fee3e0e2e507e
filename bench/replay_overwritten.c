/* What reading back costs while a producer on the other core overwrites the ring as fast as it can.
 *
 * replay_overwritten_ns         from the oldest event kept, the one that is about to go: a reader at the end of the window
 *                               meets the producer at once, is told what it missed, and goes on from the oldest event
 *                               that is left
 * replay_resume_overwritten_ns  from the middle of the window, where a client stands that was away for a moment
 *
 * Measured: the reader's wall time by the events that it got; each round attaches a cursor, takes 256 or 128 events,
 * read or told as lost, 64 at a time, and detaches. How many were told as lost stands in the JSON as
 * `lost_per_event_read`: it is the pace of the two cores, not a fault. Not measured: what the reader costs the producer
 * (publish_sleeper.c). Checked: every event is the next one, whole, or inside a gap that begins where the last event
 * ended; and that the ring was overwritten meanwhile. */
#include "base/atomic.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

#define RUN 64u

struct race {
    /* Written before the two sides start, or once at their end. */
    struct subject subject;
    struct payloads payloads;
    weir_producer *producer;
    uint64_t behind; /* events between the reader's start and the newest one */
    uint64_t events; /* to read */
    uint64_t published;
    uint64_t read;
    uint64_t lost;
    uint64_t run_ns;
    int publish_status;
    int read_status;
    CACHE_ALIGNED atomic_u32 ready; /* the ring has been filled */
    CACHE_ALIGNED atomic_u32 done;  /* the reader */
};

static void publish_side(void *context) {
    struct race *race = context;
    uint64_t published = 0;
    int status = WEIR_OK;
    while (status == WEIR_OK && !u32_load_acquire(&race->done)) {
        status = weir_publish(race->producer, race->subject.session, 0, payload_of(&race->payloads, published),
                              PAYLOAD_BYTES, NULL);
        if (status == WEIR_OK) published++;
        if (published == 2 * RING_CAPACITY) u32_store_release(&race->ready, 1);
    }
    race->published = published;
    race->publish_status = status;
    u32_store_release(&race->ready, 1);
}

static bool is_right(const struct race *race, const weir_event *event, const unsigned char *bytes,
                     uint64_t expected) {
    return event->sequence == expected && event->length == PAYLOAD_BYTES &&
           payload_matches(bytes, 0, expected - race->subject.first_sequence);
}

/* Accounts for the events from the cursor's on, `count` of them at least, each as read or as lost. */
static int read_window(struct race *race, weir_cursor *cursor, uint64_t count) {
    unsigned char bytes[RUN * PAYLOAD_BYTES + 64];
    weir_event events[RUN];
    weir_gap gap;
    uint32_t got;
    uint64_t expected = cursor->next;
    for (uint64_t end = expected + count; expected < end;) {
        uint32_t wanted = end - expected < RUN ? (uint32_t)(end - expected) : RUN;
        int status = weir_read_many(race->subject.session, cursor, bytes, sizeof bytes, events, wanted, &got, &gap);
        if (status == WEIR_EMPTY) continue; /* the producer is stopped for a moment: what is next comes */
        if (status == WEIR_GAP) {
            if (gap.first != expected || gap.lost == 0) return WEIR_INVALID;
            expected += gap.lost;
            race->lost += gap.lost;
            continue;
        }
        if (status != WEIR_OK) return status;
        for (uint32_t i = 0; i < got; i++) {
            if (!is_right(race, &events[i], bytes + (size_t)i * PAYLOAD_BYTES, expected++)) return WEIR_INVALID;
        }
        race->read += got;
    }
    return WEIR_OK;
}

static int read_once(struct race *race) {
    weir_session *session = race->subject.session;
    weir_subscription how = {.start = WEIR_START_OLDEST};
    weir_session_info info;
    weir_cursor cursor;
    weir_gap gap;
    if (race->behind < RING_CAPACITY) {
        weir_session_info_get(session, &info);
        how.start = WEIR_START_AFTER;
        how.after = info.newest - race->behind;
    }
    int status = weir_subscribe(session, &how, &cursor, &gap);
    if (status == WEIR_GAP) { /* overtaken between the look and the start */
        race->lost += gap.lost;
    } else if (status != WEIR_OK) {
        return status;
    }
    status = read_window(race, &cursor, race->behind);
    weir_unsubscribe(session, &cursor);
    return status;
}

static void read_side(void *context) {
    struct race *race = context;
    unsigned spins = 0;
    int status = WEIR_OK;
    while (u32_load_acquire(&race->ready) == 0) {
        spin_wait(&spins);
    }
    uint64_t begin_ns = now_ns();
    while (race->read < race->events && status == WEIR_OK) {
        status = read_once(race);
    }
    race->run_ns = now_ns() - begin_ns;
    race->read_status = status;
    u32_store_release(&race->done, 1);
}

static void judge(const struct race *race, struct bench_result *result) {
    result->event_ns = (double)race->run_ns / (double)race->read;
    result->extra_name = "lost_per_event_read";
    result->extra = (double)race->lost / (double)race->read;
    expect_ok(race->publish_status, "weir_publish", result);
    expect_ok(race->read_status, "weir_read_many", result);
    if (race->read < race->events) bench_fail(result, "read %llu events", (unsigned long long)race->read);
    if (race->published <= 2 * RING_CAPACITY) bench_fail(result, "nothing was overwritten meanwhile");
}

static void measure(uint64_t events, uint64_t behind, struct bench_result *result) {
    struct race *race = aligned_alloc(CACHE_LINE, sizeof *race);
    if (!race) {
        bench_fail(result, "out of memory");
        return;
    }
    *race = (struct race){.events = events, .behind = behind};
    payloads_fill(&race->payloads, 0);
    if (subject_open(&race->subject, NULL, result) &&
        expect_ok(weir_producer_create(race->subject.engine, &race->producer), "weir_producer_create", result) &&
        run_on_two_cores(publish_side, read_side, race, result) > 0)
        judge(race, result);
    weir_producer_destroy(race->producer);
    subject_close(&race->subject);
    free(race);
}

static void measure_oldest(uint64_t events, struct bench_result *result) {
    measure(events, RING_CAPACITY, result);
}
static void measure_resume(uint64_t events, struct bench_result *result) {
    measure(events, RING_CAPACITY / 2, result);
}

const struct bench_case bench_replay_overwritten_cases[] = {
    {"replay_overwritten_ns", 2000000, measure_oldest},
    {"replay_resume_overwritten_ns", 2000000, measure_resume},
    {NULL, 0, NULL},
};
