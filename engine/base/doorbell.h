/* Doorbell: a descriptor that one thread waits on and any thread rings; an eventfd, and counts beside it.
 *
 *   started   rings begun, counted before the descriptor is written
 *   finished  rings over, counted after it
 *   answered  rings taken off the descriptor: the owner's
 *
 * What is written and not yet taken off lies between finished - answered and started - answered. So the owner knows
 * without a system call that there is nothing to take off, or that the descriptor is readable; in between it does not
 * know, for a thread may have stopped inside its ring. */
#ifndef WEIR_BASE_DOORBELL_H
#define WEIR_BASE_DOORBELL_H

#include "atomic.h"

struct doorbell {
    int descriptor;
    uint64_t answered;
    CACHE_ALIGNED atomic_u64 started;
    atomic_u64 finished;
};

/* WEIR_OK, or WEIR_DESCRIPTORS_LIMIT when the system gives no descriptor. */
int doorbell_open(struct doorbell *bell);
void doorbell_close(struct doorbell *bell);

/* Any thread: makes the descriptor readable. */
void doorbell_ring(struct doorbell *bell);

/* The owner: whether the descriptor is readable for certain. */
bool doorbell_is_rung(const struct doorbell *bell);

/* The owner: makes it unreadable, but for rings that are not over yet. */
void doorbell_answer(struct doorbell *bell);

#endif
