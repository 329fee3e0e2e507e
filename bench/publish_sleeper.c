/* What a reader on the other core costs the publisher, awake or asleep.
 *
 * publish_1p_reader_ns   a reader that takes the session's outlet from its poller again and again and never sleeps
 * publish_1p_sleeper_ns  a reader that sleeps when it has caught up, in read(2) of an eventfd; a publish that finds it
 *                        asleep writes that eventfd. How often that happens is up to both cores' pace: the run's wake-ups
 *                        stand in the JSON as `wakeups_per_event`
 * publish_wake_ns        one publish that finds the reader asleep, every time: publish and wake-up together, the system
 *                        call that it is. The median of the run's, each timed by itself
 *
 * Measured: the publisher's own time; in the first two by the whole run. Nobody waits for the reader: what it is too slow
 * for is told to it as a gap. Not measured: when the reader gets the event (wake_latency.c, live_latency.c). Checked:
 * every event was read, and right, or told as lost. */
#include "base/atomic.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RUN       64u
#define SETTLE_NS 20000u /* from the reader's word that it goes to sleep until it does */

struct sleeper {
    /* Written before the two sides start, or once at their end. */
    struct subject subject;
    struct payloads payloads;
    weir_producer *producer;
    weir_poller *poller;
    weir_outlet *outlet;
    int bell;
    bool sleeps;
    uint64_t events;
    uint32_t *times_ns; /* of single publishes; NULL when the whole run is timed */
    uint64_t run_ns;
    int publish_status;
    int read_status;
    uint64_t read;
    uint64_t lost;
    CACHE_ALIGNED atomic_u64 sleeps_begun;
    CACHE_ALIGNED atomic_u64 wakeups;
    CACHE_ALIGNED atomic_u32 ready;
    CACHE_ALIGNED atomic_u32 stop; /* the publisher gave up */
};

static void ring_bell(void *context) {
    struct sleeper *sleeper = context;
    const uint64_t one = 1;
    u64_add_relaxed(&sleeper->wakeups, 1);
    if (write(sleeper->bell, &one, sizeof one) != sizeof one) abort(); /* the reader would never wake */
}

/* ---- The publisher ------------------------------------------------------------------------------------------- */

static int publish_at_once(struct sleeper *sleeper) {
    int status = WEIR_OK;
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < sleeper->events && status == WEIR_OK; i++) {
        status = weir_publish(sleeper->producer, sleeper->subject.session, 0, payload_of(&sleeper->payloads, i),
                              PAYLOAD_BYTES, NULL);
    }
    sleeper->run_ns = now_ns() - begin_ns;
    return status;
}

/* Each when the reader has gone to sleep once more. */
static int publish_to_sleeper(struct sleeper *sleeper) {
    int status = WEIR_OK;
    unsigned spins = 0;
    for (uint64_t i = 0; i < sleeper->events && status == WEIR_OK; i++) {
        while (u64_load_acquire(&sleeper->sleeps_begun) <= i) {
            spin_wait(&spins);
        }
        uint64_t settled_ns = now_ns() + SETTLE_NS;
        uint64_t begin_ns;
        while ((begin_ns = now_ns()) < settled_ns) {
            spin_pause(1);
        }
        status = weir_publish(sleeper->producer, sleeper->subject.session, 0, payload_of(&sleeper->payloads, i),
                              PAYLOAD_BYTES, NULL);
        sleeper->times_ns[i] = (uint32_t)(now_ns() - begin_ns);
    }
    return status;
}

static void publish_side(void *context) {
    struct sleeper *sleeper = context;
    unsigned spins = 0;
    while (u32_load_acquire(&sleeper->ready) == 0) {
        spin_wait(&spins);
    }
    sleeper->publish_status = sleeper->times_ns ? publish_to_sleeper(sleeper) : publish_at_once(sleeper);
    if (sleeper->publish_status != WEIR_OK) {
        u32_store_release(&sleeper->stop, 1);
        ring_bell(sleeper);
    }
}

/* ---- The reader ---------------------------------------------------------------------------------------------- */

static bool is_right(const struct sleeper *sleeper, const weir_event *event, const unsigned char *bytes) {
    uint64_t number = sleeper->read + sleeper->lost;
    return event->sequence == sleeper->subject.first_sequence + number && event->length == PAYLOAD_BYTES &&
           payload_matches(bytes, 0, number);
}

/* Reads what there is, to WEIR_EMPTY. */
static int read_some(struct sleeper *sleeper, weir_cursor *cursor) {
    unsigned char bytes[RUN * PAYLOAD_BYTES + 64];
    weir_event events[RUN];
    weir_gap gap;
    uint32_t count;
    for (;;) {
        int status = weir_read_many(sleeper->subject.session, cursor, bytes, sizeof bytes, events, RUN, &count, &gap);
        if (status == WEIR_GAP) {
            sleeper->lost += gap.lost;
        } else if (status != WEIR_OK) {
            return status;
        }
        for (uint32_t i = 0; status == WEIR_OK && i < count; i++) {
            if (!is_right(sleeper, &events[i], bytes + (size_t)i * PAYLOAD_BYTES)) return WEIR_INVALID;
            sleeper->read++;
        }
    }
}

static void fall_asleep(struct sleeper *sleeper) {
    uint64_t rings;
    if (!weir_poller_sleep(sleeper->poller)) return;
    u64_add_relaxed(&sleeper->sleeps_begun, 1);
    if (read(sleeper->bell, &rings, sizeof rings) != sizeof rings) abort(); /* nothing interrupts it */
    weir_poller_awake(sleeper->poller);
}

static void read_side(void *context) {
    struct sleeper *sleeper = context;
    void *users[64];
    unsigned spins = 0;
    weir_cursor cursor;
    weir_gap gap;
    int status = weir_subscribe(sleeper->subject.session, NULL, &cursor, &gap);
    u32_store_release(&sleeper->ready, 1);
    if (status == WEIR_OK) {
        status = WEIR_EMPTY;
        while (status == WEIR_EMPTY && sleeper->read + sleeper->lost < sleeper->events &&
               !u32_load_acquire(&sleeper->stop)) {
            if (weir_poller_take(sleeper->poller, users, 64) > 0) {
                status = read_some(sleeper, &cursor);
            } else if (sleeper->sleeps) {
                fall_asleep(sleeper);
            } else {
                spin_wait(&spins);
            }
        }
        weir_unsubscribe(sleeper->subject.session, &cursor);
    }
    sleeper->read_status = status;
    /* Were it to give up, the publisher of single events would wait for ever for it to sleep. */
    u64_store_release(&sleeper->sleeps_begun, UINT64_MAX);
}

/* ---- The runs ------------------------------------------------------------------------------------------------ */

static bool open_sleeper(struct sleeper *sleeper, bool singly, struct bench_result *result) {
    const weir_poller_config config = {.max_outlets = 64, .wake = ring_bell, .context = sleeper};
    payloads_fill(&sleeper->payloads, 0);
    sleeper->bell = eventfd(0, EFD_CLOEXEC);
    if (sleeper->bell < 0) bench_fail(result, "no eventfd");
    if (singly) sleeper->times_ns = calloc(sleeper->events, sizeof(uint32_t));
    if (singly && !sleeper->times_ns) bench_fail(result, "out of memory");
    return result->failure[0] == '\0' && subject_open(&sleeper->subject, NULL, result) &&
           expect_ok(weir_producer_create(sleeper->subject.engine, &sleeper->producer), "weir_producer_create",
                     result) &&
           expect_ok(weir_poller_create(sleeper->subject.engine, &config, &sleeper->poller), "weir_poller_create",
                     result) &&
           expect_ok(weir_outlet_open(sleeper->poller, sleeper->subject.session, sleeper, &sleeper->outlet),
                     "weir_outlet_open", result);
}

static void close_sleeper(struct sleeper *sleeper) {
    weir_outlet_close(sleeper->outlet);
    weir_poller_destroy(sleeper->poller);
    weir_producer_destroy(sleeper->producer);
    subject_close(&sleeper->subject);
    if (sleeper->bell >= 0) close(sleeper->bell);
    free(sleeper->times_ns);
    free(sleeper);
}

static void judge(struct sleeper *sleeper, struct bench_result *result) {
    uint64_t wakeups = u64_load_relaxed(&sleeper->wakeups);
    if (sleeper->times_ns) {
        times_sort(sleeper->times_ns, sleeper->events);
        result->event_ns = sleeper->times_ns[sleeper->events / 2];
        if (wakeups < sleeper->events) bench_fail(result, "only %llu wake-ups", (unsigned long long)wakeups);
    } else {
        result->event_ns = (double)sleeper->run_ns / (double)sleeper->events;
    }
    result->extra_name = "wakeups_per_event";
    result->extra = (double)wakeups / (double)sleeper->events;
    expect_ok(sleeper->publish_status, "weir_publish", result);
    if (sleeper->read_status != WEIR_EMPTY) expect_ok(sleeper->read_status, "weir_read_many", result);
    if (sleeper->read + sleeper->lost != sleeper->events || sleeper->read == 0)
        bench_fail(result, "%llu events read and %llu told as lost", (unsigned long long)sleeper->read,
                   (unsigned long long)sleeper->lost);
}

static void measure(uint64_t events, bool sleeps, bool singly, struct bench_result *result) {
    struct sleeper *sleeper = aligned_alloc(CACHE_LINE, sizeof *sleeper);
    if (!sleeper) {
        bench_fail(result, "out of memory");
        return;
    }
    *sleeper = (struct sleeper){.events = events, .sleeps = sleeps};
    if (open_sleeper(sleeper, singly, result) && run_on_two_cores(publish_side, read_side, sleeper, result) > 0)
        judge(sleeper, result);
    close_sleeper(sleeper);
}

static void measure_reader(uint64_t events, struct bench_result *result) {
    measure(events, false, false, result);
}
static void measure_sleeper(uint64_t events, struct bench_result *result) {
    measure(events, true, false, result);
}
static void measure_wake(uint64_t events, struct bench_result *result) {
    measure(events, true, true, result);
}

const struct bench_case bench_publish_sleeper_cases[] = {
    {"publish_1p_reader_ns", 3000000, measure_reader},
    {"publish_1p_sleeper_ns", 3000000, measure_sleeper},
    {"publish_wake_ns", 2000, measure_wake},
    {NULL, 0, NULL},
};
