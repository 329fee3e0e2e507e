/* A few threads that do the same thing together, again and again: each round starts at one line that all of them have
 * reached, so that what they do overlaps. */
#ifndef HISTORY_TEAM_H
#define HISTORY_TEAM_H

#include <pthread.h>

#include "base/atomic.h"
#include "operation.h"
#include "support/random.h"

#define TEAM_MAX 4u

struct team {
    uint32_t size;
    pthread_t threads[TEAM_MAX];
    struct team_seat {
        struct team *team;
        uint32_t index;
    } seats[TEAM_MAX];
    atomic_u32 round;    /* the one that has begun */
    atomic_u32 started;  /* the one whose line all have reached */
    atomic_u32 finished; /* the one that all are through with */
    atomic_u32 coming;   /* who is not at the line yet */
    atomic_u32 working;
    atomic_u32 quit;
    void (*work)(void *context, uint32_t index);
    void *context;
};

/* `size` threads, of which the caller is the first. */
void team_open(struct team *team, uint32_t size);
void team_close(struct team *team);

/* Has each of them call work(context, index) at once, and returns when all have. */
void team_run(struct team *team, void (*work)(void *context, uint32_t index), void *context);

/* The counter of all instants. acq_rel: what responded under a smaller number happens before what is invoked under a
 * larger one. */
static inline uint64_t instant_draw(atomic_u64 *instants) {
    return u64_add_acq_rel(instants, 1) + 1;
}

/* `count` times test_scale(), and less under the sanitizers. */
uint64_t history_scaled(uint64_t count);

#endif
