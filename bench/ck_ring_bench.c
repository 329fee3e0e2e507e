/* ck_ring of Concurrency Kit, a ring for pointers or for elements of a fixed size, as its users know it. Two ways to put
 * 100 bytes through it:
 *
 * ck_ring_*       pointers to events on the heap (jemalloc)
 * ck_ring_copy_*  elements of 128 bytes: the payload is copied into the ring and out again, nothing is allocated
 *
 * publish_1p and live_hop use the operations for one producer and one reader (spsc), publish_2p those for several
 * producers (mpmc), and mpsc_live_hop those for several producers and one reader, which is what weir's session is. See
 * queue_loops.h. Where elements are thrown away from a full ring, the reader's position is moved on without the copy
 * that a dequeue would make.
 *
 * Beside weir it does not: keep events for a second reader or for one that comes back, number them, tell what is gone
 * (a full ring refuses), take elements of another size; and a producer that was stopped in the middle holds up all the
 * others, which wait for it. */
#include "queue_loops.h"

#ifdef WEIR_TSAN /* which does not see the order that ck_pr's instructions make */
const struct bench_case bench_ck_ring_cases[] = {{NULL, 0, NULL}};
#else

#include <ck_ring.h>

struct element {
    unsigned char bytes[128];
};

CK_RING_PROTOTYPE(element, element)

/* Room for QUEUE_CAPACITY - 1: one place always stays free. */
struct pointer_ring {
    CACHE_ALIGNED ck_ring_t ring;
    CACHE_ALIGNED ck_ring_buffer_t buffer[QUEUE_CAPACITY];
};

struct element_ring {
    CACHE_ALIGNED ck_ring_t ring;
    CACHE_ALIGNED struct element buffer[QUEUE_CAPACITY];
};

static void *create_pointer_ring(void) {
    struct pointer_ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    if (ring) ck_ring_init(&ring->ring, QUEUE_CAPACITY);
    return ring;
}

static void *create_element_ring(void) {
    struct element_ring *ring = aligned_alloc(CACHE_LINE, sizeof *ring);
    if (!ring) return NULL;
    memset(ring, 0, sizeof *ring); /* the system gives the pages before the clock starts */
    ck_ring_init(&ring->ring, QUEUE_CAPACITY);
    return ring;
}

/* ---- Pointers ------------------------------------------------------------------------------------------------ */

QUEUE_INLINE bool finish(struct heap_event *event, void *buffer) {
    if (buffer) {
        heap_event_take(event, buffer);
    } else {
        free(event);
    }
    return true;
}

QUEUE_INLINE bool push_spsc(void *context, void *item) {
    struct pointer_ring *ring = context;
    return ck_ring_enqueue_spsc(&ring->ring, ring->buffer, item);
}

QUEUE_INLINE bool pop_spsc(void *context, void *buffer) {
    struct pointer_ring *ring = context;
    struct heap_event *event;
    return ck_ring_dequeue_spsc(&ring->ring, ring->buffer, &event) && finish(event, buffer);
}

QUEUE_INLINE bool drop_spsc(void *ring) {
    return pop_spsc(ring, NULL);
}

QUEUE_INLINE bool push_mpmc(void *context, void *item) {
    struct pointer_ring *ring = context;
    return ck_ring_enqueue_mpmc(&ring->ring, ring->buffer, item);
}

QUEUE_INLINE bool pop_mpmc(void *context, void *buffer) {
    struct pointer_ring *ring = context;
    struct heap_event *event;
    return ck_ring_dequeue_mpmc(&ring->ring, ring->buffer, &event) && finish(event, buffer);
}

QUEUE_INLINE bool drop_mpmc(void *ring) {
    return pop_mpmc(ring, NULL);
}

static const struct queue_kind spsc = {create_pointer_ring, free, heap_event_make, push_spsc, pop_spsc, drop_spsc};
static const struct queue_kind mpmc = {create_pointer_ring, free, heap_event_make, push_mpmc, pop_mpmc, drop_mpmc};
static const struct queue_kind mpsc = {create_pointer_ring, free, heap_event_make, push_mpmc, pop_spsc, drop_spsc};
QUEUE_PUBLISH(spsc)
QUEUE_PUBLISH(mpmc)
QUEUE_HOP(spsc)
QUEUE_HOP(mpsc)

/* ---- Elements ------------------------------------------------------------------------------------------------ */

QUEUE_INLINE void *payload_itself(const void *payload) {
    return (void *)(uintptr_t)payload;
}

/* Exactly the payload is copied, into the place that the ring names. */
QUEUE_INLINE bool push_copy_spsc(void *context, void *payload) {
    struct element_ring *ring = context;
    struct element *place = ck_ring_enqueue_reserve_spsc_element(&ring->ring, ring->buffer);
    if (!place) return false;
    memcpy(place->bytes, payload, PAYLOAD_BYTES);
    ck_ring_enqueue_commit_spsc(&ring->ring);
    return true;
}

QUEUE_INLINE bool pop_copy_spsc(void *context, void *buffer) {
    struct element_ring *ring = context;
    return ck_ring_dequeue_spsc_element(&ring->ring, ring->buffer, buffer);
}

/* As a dequeue, without the copy: the reader's position moves on by one. */
QUEUE_INLINE bool drop_copy_spsc(void *context) {
    struct element_ring *ring = context;
    if (ck_ring_size(&ring->ring) == 0) return false;
    ck_pr_store_uint(&ring->ring.c_head, ring->ring.c_head + 1);
    return true;
}

QUEUE_INLINE bool push_copy_mpmc(void *context, void *payload) {
    struct element_ring *ring = context;
    unsigned int ticket;
    struct element *place = ck_ring_enqueue_reserve_mpmc_element(&ring->ring, ring->buffer, &ticket);
    if (!place) return false;
    memcpy(place->bytes, payload, PAYLOAD_BYTES);
    ck_ring_enqueue_commit_mpmc(&ring->ring, ticket);
    return true;
}

QUEUE_INLINE bool pop_copy_mpmc(void *context, void *buffer) {
    struct element_ring *ring = context;
    return ck_ring_dequeue_mpmc_element(&ring->ring, ring->buffer, buffer);
}

QUEUE_INLINE bool drop_copy_mpmc(void *context) {
    struct element_ring *ring = context;
    unsigned int oldest = ck_pr_load_uint(&ring->ring.c_head);
    ck_pr_fence_load(); /* the producers' position is to be no older than that */
    if (oldest == ck_pr_load_uint(&ring->ring.p_tail)) return false;
    return ck_pr_cas_uint(&ring->ring.c_head, oldest, oldest + 1);
}

static const struct queue_kind copy_spsc = {create_element_ring, free,          payload_itself,
                                            push_copy_spsc,      pop_copy_spsc, drop_copy_spsc};
static const struct queue_kind copy_mpmc = {create_element_ring, free,          payload_itself,
                                            push_copy_mpmc,      pop_copy_mpmc, drop_copy_mpmc};
QUEUE_PUBLISH(copy_spsc)
QUEUE_PUBLISH(copy_mpmc)
QUEUE_HOP(copy_spsc)

/* ---- The runs ------------------------------------------------------------------------------------------------ */

static void measure_1p(uint64_t events, struct bench_result *result) {
    queue_measure_1p(&spsc, spsc_publish, events, result);
}
static void measure_2p(uint64_t events, struct bench_result *result) {
    queue_measure_2p(&mpmc, mpmc_publish, events, result);
}
static void measure_hop(uint64_t events, struct bench_result *result) {
    queue_measure_hop(&spsc, spsc_hop, events, result);
}
static void measure_mpsc_hop(uint64_t events, struct bench_result *result) {
    queue_measure_hop(&mpsc, mpsc_hop, events, result);
}
static void measure_copy_1p(uint64_t events, struct bench_result *result) {
    queue_measure_1p(&copy_spsc, copy_spsc_publish, events, result);
}
static void measure_copy_2p(uint64_t events, struct bench_result *result) {
    queue_measure_2p(&copy_mpmc, copy_mpmc_publish, events, result);
}
static void measure_copy_hop(uint64_t events, struct bench_result *result) {
    queue_measure_hop(&copy_spsc, copy_spsc_hop, events, result);
}

const struct bench_case bench_ck_ring_cases[] = {
    {"ck_ring_publish_1p_ns", 5000000, measure_1p},
    {"ck_ring_publish_2p_ns", 2000000, measure_2p},
    {"ck_ring_live_hop_ns", 2000000, measure_hop},
    {"ck_ring_mpsc_live_hop_ns", 2000000, measure_mpsc_hop},
    {"ck_ring_copy_publish_1p_ns", 10000000, measure_copy_1p},
    {"ck_ring_copy_publish_2p_ns", 2000000, measure_copy_2p},
    {"ck_ring_copy_live_hop_ns", 3000000, measure_copy_hop},
    {NULL, 0, NULL},
};
#endif
