/* All streams drop at once and come back with their last ids, at once or after a number of events that they missed: how
 * long from then on until every one has all that had been published by then. */
#ifndef WEIR_IO_COMMAND_BENCH_STORM_H
#define WEIR_IO_COMMAND_BENCH_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

struct load;

struct storm {
    uint64_t next_ns;    /* of the next one; UINT64_MAX: none */
    uint64_t started_ns; /* when those of the one that goes on could return; 0: none does */
    bool away;           /* nobody may return yet */
    uint64_t return_at;  /* events accepted by the time when they may */
    uint64_t count;
    struct histogram *durations; /* of those that are over */
};

/* The measured time begins. */
void storm_begin(struct load *load, uint64_t now_ns);

/* Starts one when it is time for it, and notes the end of one. */
void storm_turn(struct load *load, uint64_t now_ns);

/* No more of them. */
void storm_end(struct load *load);

#endif
