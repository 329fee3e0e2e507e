/* The loops of publish.c and live_hop.c on queues: what they measure of weir, measured of a queue that hands events to one
 * reader. A queue comes in as a struct of functions that is constant where it is used: all of this is inlined into one
 * loop for each queue, with no call through a pointer left in it, as in a program that uses only that queue.
 *
 *   publish   the queue as a window: it takes events until it is full, and from then on the oldest goes for each new one,
 *             taken out unread by the producer who found it full. All of that is in the time, as weir_publish has it.
 *   live hop  one producer, one reader on the other core that polls: a full queue makes the producer wait, nothing is
 *             lost. The reader copies the bytes out and gives the event back.
 *
 * Checked: of a window, that what went and what stayed is what was published, and that what stayed is whole and in each
 * producer's order; of the hop, every event. */
#ifndef WEIR_BENCH_QUEUE_LOOPS_H
#define WEIR_BENCH_QUEUE_LOOPS_H

#include "base/platform.h"
#include "cores.h"

#include <stdlib.h>

#define QUEUE_CAPACITY  256u
#define QUEUE_PRODUCERS 2u
#define QUEUE_INLINE    static inline __attribute__((always_inline))

struct queue_kind {
    /* A queue with room for about QUEUE_CAPACITY events; NULL without memory. */
    void *(*create)(void);
    void (*destroy)(void *queue); /* an empty one */
    /* What is pushed for a payload: a copy on the heap, or the payload itself where the queue copies. NULL without
     * memory. */
    void *(*make)(const void *payload);
    bool (*push)(void *queue, void *item);  /* false: full */
    bool (*pop)(void *queue, void *buffer); /* the oldest event's bytes, which is gone then; false: empty */
    bool (*drop)(void *queue);              /* the same unread */
};

struct queue_run {
    void *queue;
    struct queue_producer {
        CACHE_ALIGNED uint64_t done;
        uint64_t dropped;
    } producers[QUEUE_PRODUCERS];
    CACHE_ALIGNED uint64_t right; /* the reader's */
    uint64_t events;              /* of each producer */
    struct payloads payloads[QUEUE_PRODUCERS];
};

static inline struct queue_run *queue_run_open(const struct queue_kind *kind, uint64_t events,
                                               struct bench_result *result) {
    struct queue_run *run = aligned_alloc(CACHE_LINE, sizeof *run);
    if (run) {
        *run = (struct queue_run){.queue = kind->create(), .events = events};
        for (unsigned producer = 0; producer < QUEUE_PRODUCERS; producer++)
            payloads_fill(&run->payloads[producer], producer);
    }
    if (!run || !run->queue) bench_fail(result, "out of memory");
    return run;
}

static inline void queue_run_close(const struct queue_kind *kind, struct queue_run *run) {
    if (run && run->queue) {
        while (kind->drop(run->queue)) {
        }
        kind->destroy(run->queue);
    }
    free(run);
}

/* ---- A window ------------------------------------------------------------------------------------------------ */

QUEUE_INLINE void queue_publish(const struct queue_kind *kind, struct queue_run *run, unsigned producer) {
    void *queue = run->queue;
    const struct payloads *payloads = &run->payloads[producer];
    uint64_t dropped = 0;
    uint64_t done = 0;
    for (; done < run->events; done++) {
        void *item = kind->make(payload_of(payloads, done));
        if (!item) break;
        while (!kind->push(queue, item)) {
            dropped += kind->drop(queue);
        }
    }
    run->producers[producer].done = done;
    run->producers[producer].dropped = dropped;
}

/* Takes what stayed, and holds it against what was published. */
static inline void queue_check(const struct queue_kind *kind, struct queue_run *run, struct bench_result *result) {
    unsigned char bytes[128];
    uint64_t kept[QUEUE_PRODUCERS] = {0};
    uint64_t expected[QUEUE_PRODUCERS];
    uint64_t published = 0;
    uint64_t gone = 0;
    for (unsigned i = 0; i < QUEUE_PRODUCERS; i++) {
        published += run->producers[i].done;
        gone += run->producers[i].dropped;
        expected[i] = UINT64_MAX;
    }
    for (; kind->pop(run->queue, bytes); gone++) {
        unsigned producer = 0;
        uint64_t number = 0;
        while (producer < QUEUE_PRODUCERS && !payload_matches(bytes, producer, number)) {
            if (++number == PAYLOAD_CYCLE) producer++, number = 0;
        }
        if (producer == QUEUE_PRODUCERS || (expected[producer] != UINT64_MAX && number != expected[producer])) {
            bench_fail(result, "an event is not what was published");
            return;
        }
        kept[producer]++;
        expected[producer] = (number + 1) % PAYLOAD_CYCLE;
    }
    if (gone != published || kept[0] + kept[1] == 0) bench_fail(result, "events went missing");
}

/* ---- The live hop -------------------------------------------------------------------------------------------- */

QUEUE_INLINE void queue_send(const struct queue_kind *kind, struct queue_run *run) {
    unsigned spins = 0;
    uint64_t done = 0;
    for (; done < run->events; done++) {
        void *item = kind->make(payload_of(&run->payloads[0], done));
        if (!item) abort(); /* the reader would wait for ever */
        while (!kind->push(run->queue, item)) {
            spin_wait(&spins);
        }
    }
    run->producers[0].done = done;
}

QUEUE_INLINE void queue_receive(const struct queue_kind *kind, struct queue_run *run) {
    unsigned char bytes[128];
    unsigned spins = 0;
    uint64_t right = 0;
    for (uint64_t i = 0; i < run->events; i++) {
        while (!kind->pop(run->queue, bytes)) {
            spin_wait(&spins);
        }
        __asm__ volatile("" : : "r"(bytes) : "memory"); /* the copy is made, not seen through */
        right += payload_matches(bytes, 0, i);
    }
    run->right = right;
}

/* ---- The runs ------------------------------------------------------------------------------------------------ */

static inline void queue_measure_1p(const struct queue_kind *kind, void (*publish)(void *, unsigned), uint64_t events,
                                    struct bench_result *result) {
    struct queue_run *run = queue_run_open(kind, events, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        publish(run, 0);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        if (run->producers[0].done != events) bench_fail(result, "the producer stopped early");
        queue_check(kind, run, result);
    }
    queue_run_close(kind, run);
}

static inline void queue_measure_2p(const struct queue_kind *kind, void (*publish)(void *, unsigned), uint64_t events,
                                    struct bench_result *result) {
    struct queue_run *run = queue_run_open(kind, events / 2, result);
    if (result->failure[0] == '\0') {
        uint64_t elapsed = run_on_cores(publish, 2, run, result);
        result->event_ns = (double)elapsed / (double)(2 * run->events);
        if (elapsed > 0) {
            if (run->producers[0].done + run->producers[1].done != 2 * run->events)
                bench_fail(result, "a producer stopped early");
            queue_check(kind, run, result);
        }
    }
    queue_run_close(kind, run);
}

/* `hop` sends as side 0 and receives as side 1. */
static inline void queue_measure_hop(const struct queue_kind *kind, void (*hop)(void *, unsigned), uint64_t events,
                                     struct bench_result *result) {
    struct queue_run *run = queue_run_open(kind, events, result);
    if (result->failure[0] == '\0') {
        uint64_t elapsed = run_on_cores(hop, 2, run, result);
        result->event_ns = (double)elapsed / (double)events;
        if (elapsed > 0 && run->right != events) bench_fail(result, "events went missing");
    }
    queue_run_close(kind, run);
}

/* The loops for one kind, as the sides that the runs above want: `kind`_publish and `kind`_hop. */
#define QUEUE_PUBLISH(kind)                                                                                          \
    static void kind##_publish(void *run, unsigned producer) {                                                       \
        queue_publish(&kind, run, producer);                                                                         \
    }
#define QUEUE_HOP(kind)                                                                                              \
    static void kind##_hop(void *run, unsigned side) {                                                               \
        if (side == 0) queue_send(&kind, run);                                                                       \
        if (side == 1) queue_receive(&kind, run);                                                                    \
    }

/* ---- Events on the heap -------------------------------------------------------------------------------------- */

struct heap_event {
    uint32_t length;
    unsigned char bytes[];
};

static inline void *heap_event_make(const void *payload) {
    struct heap_event *event = malloc(sizeof *event + PAYLOAD_BYTES);
    if (!event) return NULL;
    event->length = PAYLOAD_BYTES;
    memcpy(event->bytes, payload, PAYLOAD_BYTES);
    return event;
}

/* Copies it out and frees it. */
static inline void heap_event_take(struct heap_event *event, void *buffer) {
    memcpy(buffer, event->bytes, event->length);
    free(event);
}

#endif
