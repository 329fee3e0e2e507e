#include "ring_inject.h"

#include <errno.h>
#include <liburing.h>
#include <string.h>

#define NOP_INJECT_RESULT 1U /* newer than liburing 2.3 */
#define PLACES            4096u

static struct ring_plan now;
static unsigned hits;
static unsigned enters;
static unsigned at_most; /* entries in one call; 0: all */
static int failing;      /* the result of the next call; 0: it is made */
static bool made_ready;  /* for the polls: an EAGAIN has brought one about */

/* By the index in user_data: the operation that used it last. */
static uint8_t started[PLACES];

static void note_entry(const struct io_uring_sqe *entry) {
    uint8_t *place = &started[(uint32_t)entry->user_data % PLACES];
    if (entry->opcode == IORING_OP_ACCEPT) *place = RING_ACCEPT;
    if (entry->opcode == IORING_OP_RECV) *place = RING_RECEIVE;
    if (entry->opcode == IORING_OP_SEND) *place = RING_SEND;
}

static enum ring_operation operation_of(const struct io_uring_sqe *entry) {
    switch (entry->opcode) {
    case IORING_OP_ACCEPT:
        return RING_ACCEPT;
    case IORING_OP_RECV:
        return RING_RECEIVE;
    case IORING_OP_SEND:
        return RING_SEND;
    case IORING_OP_ASYNC_CANCEL:
        return RING_CANCEL;
    case IORING_OP_POLL_ADD:
        if (entry->len & IORING_POLL_ADD_MULTI) return RING_WAKE;
        return RING_ACCEPT_AGAIN + started[(uint32_t)entry->user_data % PLACES];
    default:
        return RING_OPERATIONS;
    }
}

static void replace(struct io_uring_sqe *entry, int result) {
    uint64_t user_data = entry->user_data;
    io_uring_prep_nop(entry);
    entry->len = (unsigned)result;
    entry->rw_flags = NOP_INJECT_RESULT;
    entry->user_data = user_data;
}

static void cut(struct io_uring_sqe *entry) {
    unsigned length = now.length == UINT32_MAX ? entry->len - 1 : now.length;
    if (length >= entry->len) return;
    entry->len = length;
    hits++;
}

static bool is_second_try(enum ring_operation operation) {
    return operation >= RING_ACCEPT_AGAIN && operation < RING_OPERATIONS;
}

/* A lost cancel of a receive or a send is made good by the shutdown before it; an accept would wait for ever. There the
 * cancel happens, and a second completion tells the planned result. */
static void spoil_cancel(struct io_uring *ring, struct io_uring_sqe *entry) {
    bool accept = started[(uint32_t)entry->addr % PLACES] == RING_ACCEPT;
    struct io_uring_sqe *target = accept ? io_uring_get_sqe(ring) : entry;
    if (target == NULL) return;
    target->user_data = entry->user_data;
    replace(target, now.result);
    hits++;
}

static void spoil(struct io_uring *ring, struct io_uring_sqe *entry) {
    enum ring_operation operation = operation_of(entry);
    note_entry(entry);
    if (hits >= now.times) return;
    if (is_second_try(now.operation) && !made_ready && operation == now.operation - RING_ACCEPT_AGAIN) {
        made_ready = true;
        replace(entry, -EAGAIN);
        return;
    }
    if (operation != now.operation) return;
    if (operation == RING_CANCEL) {
        spoil_cancel(ring, entry);
    } else if (now.length != 0) {
        cut(entry);
    } else {
        replace(entry, now.result);
        hits++;
    }
}

/* 0, or the result of a call that is not to be made. */
static int spoil_all(struct io_uring *ring) {
    int result = failing;
    failing = 0;
    if (result < 0) return result;
    unsigned count = ring->sq.sqe_tail - ring->sq.sqe_head;
    for (unsigned i = 0; i < count; i++)
        spoil(ring, &ring->sq.sqes[(ring->sq.sqe_head + i) & (*ring->sq.kring_entries - 1)]);
    enters++;
    return 0;
}

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals);

/* Leaves the entries behind the first few where they are. Returns the tail to put back. */
static unsigned hold_back(struct io_uring *ring) {
    unsigned tail = ring->sq.sqe_tail;
    if (at_most > 0 && tail - ring->sq.sqe_head > at_most) ring->sq.sqe_tail = ring->sq.sqe_head + at_most;
    return tail;
}

int __wrap_io_uring_submit(struct io_uring *ring) {
    int result = spoil_all(ring);
    if (result < 0) return result;
    unsigned tail = hold_back(ring);
    result = __real_io_uring_submit(ring);
    ring->sq.sqe_tail = tail;
    return result;
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring) {
    int result = spoil_all(ring);
    if (result < 0) return result;
    unsigned tail = hold_back(ring);
    result = __real_io_uring_submit_and_get_events(ring);
    ring->sq.sqe_tail = tail;
    return result;
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals) {
    int result = spoil_all(ring);
    if (result < 0) return result;
    unsigned tail = hold_back(ring);
    result = __real_io_uring_submit_and_wait_timeout(ring, entry, count, timeout, signals);
    ring->sq.sqe_tail = tail;
    return result;
}

void ring_begin(const struct ring_plan *plan) {
    now = *plan;
    hits = enters = 0;
    made_ready = false;
}

void ring_fail_next(int result) {
    failing = result;
}

void ring_take_at_most(unsigned most) {
    at_most = most;
}

unsigned ring_enters(void) {
    return enters;
}

bool ring_is_done(void) {
    return hits >= now.times;
}

bool ring_can_inject(void) {
    struct io_uring ring;
    struct io_uring_cqe *completion;
    if (io_uring_queue_init(2, &ring, 0) < 0) return false;
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    entry->user_data = 1;
    replace(entry, -ETIMEDOUT);
    bool works = __real_io_uring_submit(&ring) == 1 && io_uring_peek_cqe(&ring, &completion) == 0 &&
                 completion->res == -ETIMEDOUT;
    io_uring_queue_exit(&ring);
    return works;
}
