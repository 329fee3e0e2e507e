/* From a publish on one core to the bytes in a reader's buffer on the other.
 *
 * live_hop_ns          a reader that polls its cursor: wall time of the whole run per event, so events travel while others
 *                      are written. Nothing is lost: the producer keeps within half a ring of the reader.
 * live_poller_ns       the same through a poller and an outlet, the way a reactor reads
 * live_backoff_ns      the same as live_hop_ns with a reader that stays away for 64 pauses when it has caught up: what
 *                      batching gives, as a reactor that sends in between gets it
 * live_refuse_ns       the engine's own bound instead of the benchmark's: policy REFUSE, publish again on WEIR_FULL
 *
 * Not measured: sleeping and waking, sockets. Checked: every event's sequence, length and both ends of its bytes. */
#include "base/atomic.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

#define WINDOW       (RING_CAPACITY / 2)
#define REPORT_EVERY 16u /* events between two reports of the reader; small beside the window */

struct hop {
    /* Written before the two sides start, or once at their end. */
    struct subject subject;
    struct payloads payloads;
    weir_producer *producer;
    weir_poller *poller; /* NULL: the cursor is polled */
    weir_outlet *outlet;
    weir_policy policy;
    unsigned backoff; /* pauses of a reader that found nothing */
    bool own_bound;   /* the producer keeps within WINDOW of the reader */
    uint64_t events;
    int publish_status;
    int read_status;
    /* Written while they run: on lines of their own, or the benchmark would measure its own sharing. */
    CACHE_ALIGNED uint64_t read;       /* the reader's: events read and found right */
    CACHE_ALIGNED atomic_u64 consumed; /* what the reader has reported, for own_bound */
    CACHE_ALIGNED atomic_u32 reader_ready;
    CACHE_ALIGNED atomic_u32 stop; /* one side gave up */
};

/* Waits until fewer than WINDOW events are unread; false when the reader gave up. */
static bool wait_for_room(struct hop *hop, uint64_t published, uint64_t *consumed) {
    unsigned spins = 0;
    while (published - *consumed >= WINDOW) {
        *consumed = u64_load_acquire(&hop->consumed);
        if (published - *consumed < WINDOW) break;
        if (u32_load_acquire(&hop->stop)) return false;
        spin_wait(&spins);
    }
    return true;
}

static void publish_side(void *context) {
    struct hop *hop = context;
    uint64_t consumed = 0;
    unsigned spins = 0;
    int status = WEIR_OK;
    while (u32_load_acquire(&hop->reader_ready) == 0) {
        spin_wait(&spins);
    }
    for (uint64_t i = 0; i < hop->events; i++) {
        if (hop->own_bound && !wait_for_room(hop, i, &consumed)) break;
        do {
            status = weir_publish(hop->producer, hop->subject.session, 0, payload_of(&hop->payloads, i),
                                  PAYLOAD_BYTES, NULL);
            if (status == WEIR_FULL) spin_wait(&spins);
        } while (status == WEIR_FULL && !u32_load_acquire(&hop->stop));
        if (status != WEIR_OK) {
            u32_store_release(&hop->stop, 1);
            break;
        }
    }
    hop->publish_status = status;
}

/* Reads what there is. Returns the status that ended it: WEIR_EMPTY, or WEIR_OK once everything has been read. */
static int read_some(struct hop *hop, weir_cursor *cursor) {
    unsigned char bytes[128];
    weir_event event;
    weir_gap gap;
    while (hop->read < hop->events) {
        int status = weir_read(hop->subject.session, cursor, bytes, sizeof bytes, &event, &gap);
        if (status != WEIR_OK) return status;
        if (event.sequence != hop->subject.first_sequence + hop->read || event.length != PAYLOAD_BYTES ||
            !payload_matches(bytes, 0, hop->read)) {
            return WEIR_INVALID;
        }
        if (++hop->read % REPORT_EVERY == 0) u64_store_release(&hop->consumed, hop->read);
    }
    return WEIR_OK;
}

static void wait_for_news(struct hop *hop) {
    unsigned spins = 0;
    void *users[64];
    if (!hop->poller) {
        spin_pause(hop->backoff);
        return;
    }
    while (weir_poller_take(hop->poller, users, 64) == 0 && !u32_load_acquire(&hop->stop)) {
        spin_wait(&spins);
    }
}

static void read_side(void *context) {
    struct hop *hop = context;
    weir_cursor cursor;
    weir_gap gap;
    const weir_subscription how = {.policy = hop->policy};
    int status = weir_subscribe(hop->subject.session, &how, &cursor, &gap);
    u32_store_release(&hop->reader_ready, 1);
    if (status == WEIR_OK) {
        unsigned turns = 0;
        while ((status = read_some(hop, &cursor)) == WEIR_EMPTY && !u32_load_acquire(&hop->stop)) {
            u64_store_release(&hop->consumed, hop->read);
            wait_for_news(hop);
            spin_wait(&turns);
        }
        weir_unsubscribe(hop->subject.session, &cursor);
    }
    hop->read_status = status;
    u32_store_release(&hop->stop, 1);
}

static void never_wake(void *context) {
    (void)context;
}

static bool open_hop(struct hop *hop, bool polled, struct bench_result *result) {
    const weir_poller_config config = {.max_outlets = 64, .wake = never_wake};
    payloads_fill(&hop->payloads, 0);
    if (!subject_open(&hop->subject, NULL, result) ||
        !expect_ok(weir_producer_create(hop->subject.engine, &hop->producer), "weir_producer_create", result)) {
        return false;
    }
    return !polled ||
           (expect_ok(weir_poller_create(hop->subject.engine, &config, &hop->poller), "weir_poller_create", result) &&
            expect_ok(weir_outlet_open(hop->poller, hop->subject.session, hop, &hop->outlet), "weir_outlet_open",
                      result));
}

static void close_hop(struct hop *hop) {
    weir_outlet_close(hop->outlet);
    weir_poller_destroy(hop->poller);
    weir_producer_destroy(hop->producer);
    subject_close(&hop->subject);
    free(hop);
}

static void run_hop(const struct hop *plan, bool polled, struct bench_result *result) {
    struct hop *hop = aligned_alloc(CACHE_LINE, sizeof *hop);
    if (!hop) {
        bench_fail(result, "out of memory");
        return;
    }
    *hop = *plan;
    if (open_hop(hop, polled, result)) {
        uint64_t elapsed = run_on_two_cores(publish_side, read_side, hop, result);
        result->event_ns = (double)elapsed / (double)hop->events;
        expect_ok(hop->publish_status, "weir_publish", result);
        expect_ok(hop->read_status, "weir_read", result);
        if (hop->read != hop->events) bench_fail(result, "read %llu events", (unsigned long long)hop->read);
    }
    close_hop(hop);
}

static void measure_live_hop(uint64_t events, struct bench_result *result) {
    run_hop(&(struct hop){.events = events, .own_bound = true}, false, result);
}

static void measure_live_poller(uint64_t events, struct bench_result *result) {
    run_hop(&(struct hop){.events = events, .own_bound = true}, true, result);
}

static void measure_live_backoff(uint64_t events, struct bench_result *result) {
    run_hop(&(struct hop){.events = events, .own_bound = true, .backoff = 64}, false, result);
}

static void measure_live_refuse(uint64_t events, struct bench_result *result) {
    run_hop(&(struct hop){.events = events, .policy = WEIR_POLICY_REFUSE}, false, result);
}

const struct bench_case bench_live_hop_cases[] = {
    {"live_hop_ns", 4000000, measure_live_hop},
    {"live_poller_ns", 3000000, measure_live_poller},
    {"live_backoff_ns", 4000000, measure_live_backoff},
    {"live_refuse_ns", 1000000, measure_live_refuse},
    {NULL, 0, NULL},
};
