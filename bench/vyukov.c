/* The bounded array queue of Dmitry Vyukov, for any number of producers and readers, with events on the heap (jemalloc): the
 * queue that most people reach for. One compare-and-swap on a shared position per operation; each place carries a number
 * that says whose turn it is.
 *
 * vyukov_publish_1p_ns, vyukov_publish_2p_ns, vyukov_live_hop_ns: see queue_loops.h.
 *
 * Beside weir it does not: keep events for a second reader or for one that comes back, number them, tell what is gone
 * (a full queue refuses, and here the producer throws the oldest away), or go on past a producer that was stopped
 * between taking its place and filling it. */
#include "base/atomic.h"
#include "queue_loops.h"

/* `turn` is, for the place's round r of the array: r * capacity + index when it is free for the push of that number, one
 * more when it holds that item. */
struct place {
    atomic_u64 turn;
    void *item;
};

struct array_queue {
    CACHE_ALIGNED atomic_u64 pushed; /* next number to push */
    CACHE_ALIGNED atomic_u64 popped;
    CACHE_ALIGNED struct place places[QUEUE_CAPACITY];
};

static void *create(void) {
    struct array_queue *queue = aligned_alloc(CACHE_LINE, sizeof *queue);
    if (!queue) return NULL;
    *queue = (struct array_queue){0};
    for (uint64_t i = 0; i < QUEUE_CAPACITY; i++) {
        u64_store_relaxed(&queue->places[i].turn, i);
    }
    return queue;
}

/* Takes the next number of `position` whose place is at `turn_ahead` of it; NULL when the place is not so far. */
QUEUE_INLINE struct place *take_turn(struct array_queue *queue, atomic_u64 *position, uint64_t turn_ahead,
                                     uint64_t *number) {
    *number = u64_load_relaxed(position); /* relaxed: the place tells, and the compare-and-swap */
    for (;;) {
        struct place *place = &queue->places[*number % QUEUE_CAPACITY];
        /* Acquire, partner: the release of the push or pop before. Without it, the item of a round ago. */
        int64_t ahead = (int64_t)(u64_load_acquire(&place->turn) - (*number + turn_ahead));
        if (ahead < 0) return NULL;
        if (ahead > 0) {
            *number = u64_load_relaxed(position); /* another has been here */
        } else if (u64_cas_acq_rel(position, number, *number + 1)) {
            return place;
        }
    }
}

QUEUE_INLINE bool push(void *context, void *item) {
    struct array_queue *queue = context;
    uint64_t number;
    struct place *place = take_turn(queue, &queue->pushed, 0, &number);
    if (!place) return false;
    place->item = item;
    u64_store_release(&place->turn, number + 1); /* partner: the acquire of the pop */
    return true;
}

QUEUE_INLINE struct heap_event *take(void *context) {
    struct array_queue *queue = context;
    uint64_t number;
    struct place *place = take_turn(queue, &queue->popped, 1, &number);
    if (!place) return NULL;
    struct heap_event *event = place->item;
    u64_store_release(&place->turn, number + QUEUE_CAPACITY); /* partner: the acquire of the push a round later */
    return event;
}

QUEUE_INLINE bool pop(void *queue, void *buffer) {
    struct heap_event *event = take(queue);
    if (event) heap_event_take(event, buffer);
    return event != NULL;
}

QUEUE_INLINE bool drop(void *queue) {
    struct heap_event *event = take(queue);
    free(event);
    return event != NULL;
}

static const struct queue_kind array = {create, free, heap_event_make, push, pop, drop};
QUEUE_PUBLISH(array)
QUEUE_HOP(array)

static void measure_1p(uint64_t events, struct bench_result *result) {
    queue_measure_1p(&array, array_publish, events, result);
}
static void measure_2p(uint64_t events, struct bench_result *result) {
    queue_measure_2p(&array, array_publish, events, result);
}
static void measure_hop(uint64_t events, struct bench_result *result) {
    queue_measure_hop(&array, array_hop, events, result);
}

const struct bench_case bench_vyukov_cases[] = {
    {"vyukov_publish_1p_ns", 5000000, measure_1p},
    {"vyukov_publish_2p_ns", 2000000, measure_2p},
    {"vyukov_live_hop_ns", 2000000, measure_hop},
    {NULL, 0, NULL},
};
