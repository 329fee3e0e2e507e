/* The intrusive list queue of Dmitry Vyukov, many producers and one reader, with events on the heap (jemalloc) whose
 * header is the list's node: one exchange and one store per push, no compare-and-swap, no loop, no bound.
 *
 * vyukov_list_publish_1p_ns  one producer; from 256 events on it takes the oldest out and frees it for each new one
 * vyukov_list_publish_2p_ns  two producers. Only one thread may take events out: the first producer does it for both,
 *                            in the same time, and the second waits while 4,096 of its own are in the queue
 * vyukov_list_live_hop_ns    one producer, a reader on the other core that polls; the benchmark keeps the producer within
 *                            half a ring of the reader, as in live_hop_ns, for the queue has no bound of its own
 *
 * Beside weir it does not: bound its memory, keep events for a second reader or for one that comes back, number them, tell
 * what is gone; and a producer that was stopped between its exchange and its store hides every later event.
 *
 * Checked: every event, in the order of its producer. */
#include "base/atomic.h"
#include "queue_loops.h"

#define WINDOW       (QUEUE_CAPACITY / 2)
#define AHEAD_MOST   4096u
#define REPORT_EVERY 16u

struct event {
    atomic_u64 next; /* address of the event that was pushed after it, 0 while there is none */
    uint32_t producer;
    uint32_t length;
    unsigned char bytes[];
};

struct list {
    CACHE_ALIGNED atomic_u64 newest;    /* address */
    CACHE_ALIGNED struct event *oldest; /* the reader's: the last one that was taken, or the first stub */
};

struct list_run {
    struct list list;
    uint64_t events; /* of each producer */
    unsigned producers;
    struct payloads payloads[QUEUE_PRODUCERS];
    CACHE_ALIGNED uint64_t taken[QUEUE_PRODUCERS]; /* the reader's, of each producer's events */
    uint64_t wrong;                                /* the reader's: events that are not what was published */
    CACHE_ALIGNED atomic_u64 reported;             /* of the last producer's events, those taken */
};

static struct event *make(const struct list_run *run, unsigned producer, uint64_t number) {
    struct event *event = malloc(sizeof *event + PAYLOAD_BYTES);
    if (!event) abort(); /* the other side would wait for ever */
    u64_store_relaxed(&event->next, 0);
    event->producer = producer;
    event->length = PAYLOAD_BYTES;
    memcpy(event->bytes, payload_of(&run->payloads[producer], number), PAYLOAD_BYTES);
    return event;
}

/* The exchange puts it in order, the store makes it reachable. */
static inline void push(struct list *list, struct event *event) {
    uint64_t address = (uint64_t)(uintptr_t)event;
    struct event *before = (struct event *)(uintptr_t)u64_exchange_seq_cst(&list->newest, address);
    u64_store_release(&before->next, address); /* partner: the acquire of pop */
}

/* The oldest event that nobody has taken, NULL when there is none; it stays the list's until the next pop, and the one
 * before it is freed. So there is always one event in the list, and no case for an empty one. */
static inline const struct event *pop(struct list *list) {
    struct event *next = (struct event *)(uintptr_t)u64_load_acquire(&list->oldest->next);
    if (!next) return NULL;
    free(list->oldest);
    list->oldest = next;
    return next;
}

/* Takes one event out, if there is one, and checks it. */
static inline bool take(struct list_run *run) {
    unsigned char bytes[128];
    const struct event *event = pop(&run->list);
    if (!event) return false;
    memcpy(bytes, event->bytes, event->length);
    __asm__ volatile("" : : "r"(bytes) : "memory"); /* the copy is made, not seen through */
    run->wrong += !payload_matches(bytes, event->producer, run->taken[event->producer]++);
    return true;
}

/* ---- One thread ---------------------------------------------------------------------------------------------- */

static void publish_alone(struct list_run *run) {
    for (uint64_t i = 0; i < run->events; i++) {
        push(&run->list, make(run, 0, i));
        if (i >= QUEUE_CAPACITY) pop(&run->list);
    }
}

/* ---- Two cores ----------------------------------------------------------------------------------------------- */

/* Waits until fewer than `most` events of the producer are in the queue. */
static inline void wait_for_room(struct list_run *run, uint64_t published, uint64_t most, uint64_t *reported) {
    unsigned spins = 0;
    while (published - *reported >= most) {
        *reported = u64_load_acquire(&run->reported);
        if (published - *reported >= most) spin_wait(&spins);
    }
}

static void publish_bounded(struct list_run *run, unsigned producer, uint64_t most) {
    uint64_t reported = 0;
    for (uint64_t i = 0; i < run->events; i++) {
        wait_for_room(run, i, most, &reported);
        push(&run->list, make(run, producer, i));
    }
}

/* What the last producer waits for. */
static inline void report(struct list_run *run) {
    uint64_t taken = run->taken[run->producers - 1];
    if (taken % REPORT_EVERY == 0) u64_store_release(&run->reported, taken);
}

static void take_rest(struct list_run *run) {
    unsigned spins = 0;
    uint64_t left = run->producers * run->events - run->taken[0] - run->taken[1];
    while (left > 0) {
        bool took = take(run);
        left -= took;
        if (took) {
            report(run);
        } else {
            u64_store_release(&run->reported, run->taken[run->producers - 1]);
            spin_wait(&spins);
        }
    }
}

/* Takes two for each that it pushes: the other producer's as well. */
static void publish_and_take(struct list_run *run) {
    for (uint64_t i = 0; i < run->events; i++) {
        push(&run->list, make(run, 0, i));
        for (unsigned n = 0; n < QUEUE_PRODUCERS && take(run); n++) {
            report(run);
        }
    }
    take_rest(run);
}

static void publish_side(void *context, unsigned side) {
    struct list_run *run = context;
    if (side == 0) publish_and_take(run);
    if (side == 1) publish_bounded(run, 1, AHEAD_MOST);
}

static void hop_side(void *context, unsigned side) {
    struct list_run *run = context;
    if (side == 0) publish_bounded(run, 0, WINDOW);
    if (side == 1) take_rest(run);
}

/* ---- The runs ------------------------------------------------------------------------------------------------ */

static struct list_run *open_run(uint64_t events, unsigned producers, struct bench_result *result) {
    struct list_run *run = aligned_alloc(CACHE_LINE, sizeof *run);
    if (!run) {
        bench_fail(result, "out of memory");
        return NULL;
    }
    *run = (struct list_run){.events = events, .producers = producers};
    for (unsigned producer = 0; producer < QUEUE_PRODUCERS; producer++) {
        payloads_fill(&run->payloads[producer], producer);
    }
    run->list.oldest = make(run, 0, 0);
    u64_store_relaxed(&run->list.newest, (uint64_t)(uintptr_t)run->list.oldest);
    return run;
}

static void close_run(struct list_run *run) {
    if (!run) return;
    while (pop(&run->list)) {
    }
    free(run->list.oldest);
    free(run);
}

static void measure_1p(uint64_t events, struct bench_result *result) {
    struct list_run *run = open_run(events, 1, result);
    if (run) {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        publish_alone(run);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        run->taken[0] = events - QUEUE_CAPACITY;
        while (take(run)) {
        }
        if (run->taken[0] != events || run->wrong > 0) bench_fail(result, "events went missing");
    }
    close_run(run);
}

static void measure_sides(uint64_t events, unsigned producers, void (*sides)(void *, unsigned),
                          struct bench_result *result) {
    struct list_run *run = open_run(events / producers, producers, result);
    if (run) {
        uint64_t elapsed = run_on_cores(sides, 2, run, result);
        result->event_ns = (double)elapsed / (double)events;
        if (elapsed > 0 && (run->taken[0] + run->taken[1] != producers * run->events || run->wrong > 0))
            bench_fail(result, "events went missing");
    }
    close_run(run);
}

static void measure_2p(uint64_t events, struct bench_result *result) {
    measure_sides(events, 2, publish_side, result);
}
static void measure_hop(uint64_t events, struct bench_result *result) {
    measure_sides(events, 1, hop_side, result);
}

const struct bench_case bench_vyukov_list_cases[] = {
    {"vyukov_list_publish_1p_ns", 5000000, measure_1p},
    {"vyukov_list_publish_2p_ns", 2000000, measure_2p},
    {"vyukov_list_live_hop_ns", 2000000, measure_hop},
    {NULL, 0, NULL},
};
