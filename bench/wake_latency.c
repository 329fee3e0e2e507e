/* How long a reader on the other core that sleeps in the kernel waits for an event: from just before the publish until
 * the event's bytes are in its hand. The median of a run; the 99th percentile stands in the JSON as `p99_ns`.
 *
 * wake_bare_ns      no event at all: an eventfd is written, and read(2) of it returns. The floor, and most of the rest
 * wake_poller_ns    weir_poller: its wake function writes an eventfd, the reader sleeps in read(2), as a reactor does
 *                   on a ring or an epoll, takes the outlet, and reads the event
 * wake_consumer_ns  weir_consumer: the reader sleeps in poll(2) of weir_consumer_fd and takes the batch
 * baseline_wake_ns  the channel of baseline.h: a condition variable
 *
 * The publisher waits before each event until the reader has gone to sleep and a little longer, so the core has gone
 * idle: on a virtual machine it has been given back to the host, and getting it again is part of the figure. Not
 * measured: sockets, io_uring, a busy machine. Checked: every event, and that each publish really woke somebody. */
#include "base/atomic.h"
#include "baseline.h"
#include "cores.h"
#include "subject.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SETTLE_NS 50000u /* from the reader's word that it goes to sleep until its core is idle */

struct sleep;

/* How a reader sleeps and is woken. */
struct way {
    bool (*open)(struct sleep *sleep, struct bench_result *result);
    void (*close)(struct sleep *sleep);
    bool (*publish)(struct sleep *sleep, uint64_t number);
    /* Sleeps until event `number` is there and takes it; says so with fall_asleep just before it sleeps. */
    bool (*receive)(struct sleep *sleep, uint64_t number);
};

struct sleep {
    const struct way *way;
    struct payloads payloads;
    struct subject subject;
    weir_producer *producer;
    weir_poller *poller;
    weir_outlet *outlet;
    weir_cursor cursor;
    weir_consumer *consumer;
    weir_feed *feed;
    struct baseline *baseline;
    struct baseline_session *session;
    int bell;
    uint64_t events;
    uint32_t *times_ns;
    uint64_t right;
    CACHE_ALIGNED uint64_t sent_ns;  /* of the event under way */
    CACHE_ALIGNED atomic_u64 asleep; /* times that the reader has said so */
    CACHE_ALIGNED atomic_u64 woken;  /* times that a publish rang the bell */
    CACHE_ALIGNED atomic_u32 over;   /* a side gave up */
};

static void fall_asleep(struct sleep *sleep) {
    u64_add_acq_rel(&sleep->asleep, 1);
}

/* ---- An eventfd ---------------------------------------------------------------------------------------------- */

static bool open_bell(struct sleep *sleep, struct bench_result *result) {
    sleep->bell = eventfd(0, EFD_CLOEXEC);
    if (sleep->bell < 0) bench_fail(result, "no eventfd");
    return sleep->bell >= 0;
}

static void ring_bell(void *context) {
    struct sleep *sleep = context;
    const uint64_t one = 1;
    u64_add_relaxed(&sleep->woken, 1);
    if (write(sleep->bell, &one, sizeof one) != sizeof one) abort(); /* the reader would never wake */
}

static void hear_bell(struct sleep *sleep) {
    uint64_t rings;
    if (read(sleep->bell, &rings, sizeof rings) != sizeof rings) abort(); /* nothing interrupts it */
}

static void close_bell(struct sleep *sleep) {
    if (sleep->bell >= 0) close(sleep->bell);
}

static bool ring_alone(struct sleep *sleep, uint64_t number) {
    (void)number;
    ring_bell(sleep);
    return true;
}

static bool hear_alone(struct sleep *sleep, uint64_t number) {
    (void)number;
    fall_asleep(sleep);
    hear_bell(sleep);
    return true;
}

/* ---- weir's poller ------------------------------------------------------------------------------------------- */

static bool open_engine(struct sleep *sleep, struct bench_result *result) {
    return subject_open(&sleep->subject, NULL, result) &&
           expect_ok(weir_producer_create(sleep->subject.engine, &sleep->producer), "weir_producer_create", result);
}

static void close_engine(struct sleep *sleep) {
    weir_producer_destroy(sleep->producer);
    subject_close(&sleep->subject);
}

static bool publish(struct sleep *sleep, uint64_t number) {
    return weir_publish(sleep->producer, sleep->subject.session, 0, payload_of(&sleep->payloads, number),
                        PAYLOAD_BYTES, NULL) == WEIR_OK;
}

static bool open_poller(struct sleep *sleep, struct bench_result *result) {
    const weir_poller_config config = {.max_outlets = 64, .wake = ring_bell, .context = sleep};
    weir_gap gap;
    return open_bell(sleep, result) && open_engine(sleep, result) &&
           expect_ok(weir_poller_create(sleep->subject.engine, &config, &sleep->poller), "weir_poller_create",
                     result) &&
           expect_ok(weir_outlet_open(sleep->poller, sleep->subject.session, sleep, &sleep->outlet),
                     "weir_outlet_open", result) &&
           expect_ok(weir_subscribe(sleep->subject.session, NULL, &sleep->cursor, &gap), "weir_subscribe", result);
}

static void close_poller(struct sleep *sleep) {
    if (sleep->subject.session) weir_unsubscribe(sleep->subject.session, &sleep->cursor);
    weir_outlet_close(sleep->outlet);
    weir_poller_destroy(sleep->poller);
    close_engine(sleep);
    close_bell(sleep);
}

static bool receive_by_poller(struct sleep *sleep, uint64_t number) {
    unsigned char bytes[128];
    void *users[64];
    weir_event event;
    weir_gap gap;
    if (weir_poller_sleep(sleep->poller)) {
        fall_asleep(sleep);
        hear_bell(sleep);
        weir_poller_awake(sleep->poller);
    }
    return weir_poller_take(sleep->poller, users, 64) == 1 &&
           weir_read(sleep->subject.session, &sleep->cursor, bytes, sizeof bytes, &event, &gap) == WEIR_OK &&
           event.length == PAYLOAD_BYTES && payload_matches(bytes, 0, number);
}

/* ---- weir's consumer ----------------------------------------------------------------------------------------- */

static bool open_consumer(struct sleep *sleep, struct bench_result *result) {
    return open_engine(sleep, result) &&
           expect_ok(weir_consumer_create(sleep->subject.engine, NULL, &sleep->consumer), "weir_consumer_create",
                     result) &&
           expect_ok(weir_feed_subscribe(sleep->consumer, sleep->subject.session, NULL, sleep, &sleep->feed),
                     "weir_feed_subscribe", result);
}

static void close_consumer(struct sleep *sleep) {
    weir_stats stats;
    if (sleep->subject.engine) {
        weir_engine_stats(sleep->subject.engine, &stats);
        u64_store_relaxed(&sleep->woken, stats.wakeups);
    }
    weir_consumer_destroy(sleep->consumer);
    close_engine(sleep);
}

static bool receive_by_consumer(struct sleep *sleep, uint64_t number) {
    struct pollfd news = {weir_consumer_fd(sleep->consumer), POLLIN, 0};
    bool said = false;
    weir_batch batch;
    int status;
    while ((status = weir_consumer_next(sleep->consumer, &batch)) == WEIR_EMPTY) {
        if (!said) fall_asleep(sleep); /* once: a wait may end in vain */
        said = true;
        if (poll(&news, 1, -1) != 1) return false;
    }
    return status == WEIR_OK && batch.status == WEIR_OK && batch.length == PAYLOAD_BYTES &&
           payload_matches(batch.bytes, 0, number);
}

/* ---- The straightforward channel ----------------------------------------------------------------------------- */

static bool open_baseline(struct sleep *sleep, struct bench_result *result) {
    sleep->baseline = baseline_create();
    if (sleep->baseline) sleep->session = baseline_find(sleep->baseline, "bench", true);
    if (!sleep->session) bench_fail(result, "out of memory");
    if (sleep->session) baseline_attach(sleep->session);
    return sleep->session != NULL;
}

static void close_baseline(struct sleep *sleep) {
    baseline_destroy(sleep->baseline);
}

static bool publish_to_baseline(struct sleep *sleep, uint64_t number) {
    u64_add_relaxed(&sleep->woken, 1); /* it cannot be told from here; the figure would show it */
    return baseline_publish(sleep->session, payload_of(&sleep->payloads, number), PAYLOAD_BYTES) != 0;
}

static bool receive_from_baseline(struct sleep *sleep, uint64_t number) {
    unsigned char bytes[128];
    size_t length;
    fall_asleep(sleep);
    return baseline_receive(sleep->session, bytes, sizeof bytes, &length) == number + 1 && length == PAYLOAD_BYTES &&
           payload_matches(bytes, 0, number);
}

/* ---- The run ------------------------------------------------------------------------------------------------- */

static void publish_side(void *context) {
    struct sleep *sleep = context;
    unsigned spins = 0;
    for (uint64_t i = 0; i < sleep->events; i++) {
        while (u64_load_acquire(&sleep->asleep) <= i) {
            if (u32_load_acquire(&sleep->over)) return;
            spin_wait(&spins);
        }
        uint64_t settled_ns = now_ns() + SETTLE_NS;
        while ((sleep->sent_ns = now_ns()) < settled_ns) {
            spin_pause(1);
        }
        if (!sleep->way->publish(sleep, i)) abort(); /* the reader would sleep for ever */
    }
}

static void receive_side(void *context) {
    struct sleep *sleep = context;
    for (uint64_t i = 0; i < sleep->events; i++) {
        if (!sleep->way->receive(sleep, i)) break;
        sleep->times_ns[i] = (uint32_t)(now_ns() - sleep->sent_ns);
        sleep->right++;
    }
    u32_store_release(&sleep->over, 1);
}

static void judge(struct sleep *sleep, struct bench_result *result) {
    uint64_t woken = u64_load_relaxed(&sleep->woken);
    if (sleep->right != sleep->events) bench_fail(result, "got %llu events", (unsigned long long)sleep->right);
    if (woken < sleep->events) bench_fail(result, "only %llu wake-ups", (unsigned long long)woken);
    times_sort(sleep->times_ns, sleep->events);
    result->event_ns = sleep->times_ns[sleep->events / 2];
    result->extra_name = "p99_ns";
    result->extra = sleep->times_ns[sleep->events * 99 / 100];
}

static void measure(uint64_t events, const struct way *way, struct bench_result *result) {
    struct sleep *sleep = aligned_alloc(CACHE_LINE, sizeof *sleep);
    if (!sleep) {
        bench_fail(result, "out of memory");
        return;
    }
    *sleep = (struct sleep){.way = way, .bell = -1, .events = events, .times_ns = calloc(events, sizeof(uint32_t))};
    payloads_fill(&sleep->payloads, 0);
    if (!sleep->times_ns) bench_fail(result, "out of memory");
    bool ran = sleep->times_ns && way->open(sleep, result) &&
               run_on_two_cores(publish_side, receive_side, sleep, result) > 0;
    way->close(sleep);
    if (ran) judge(sleep, result);
    free(sleep->times_ns);
    free(sleep);
}

static void measure_bare(uint64_t events, struct bench_result *result) {
    static const struct way way = {open_bell, close_bell, ring_alone, hear_alone};
    measure(events, &way, result);
}
static void measure_poller(uint64_t events, struct bench_result *result) {
    static const struct way way = {open_poller, close_poller, publish, receive_by_poller};
    measure(events, &way, result);
}
static void measure_consumer(uint64_t events, struct bench_result *result) {
    static const struct way way = {open_consumer, close_consumer, publish, receive_by_consumer};
    measure(events, &way, result);
}
static void measure_baseline(uint64_t events, struct bench_result *result) {
    static const struct way way = {open_baseline, close_baseline, publish_to_baseline, receive_from_baseline};
    measure(events, &way, result);
}

const struct bench_case bench_wake_latency_cases[] = {
    {"wake_bare_ns", 2000, measure_bare},
    {"wake_poller_ns", 2000, measure_poller},
    {"wake_consumer_ns", 2000, measure_consumer},
    {"baseline_wake_ns", 2000, measure_baseline},
    {NULL, 0, NULL},
};
