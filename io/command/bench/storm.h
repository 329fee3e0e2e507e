/* All streams drop at once and come back with their last ids: how long until every one has all that had been
 * published when they dropped. */
#ifndef WEIR_IO_COMMAND_BENCH_STORM_H
#define WEIR_IO_COMMAND_BENCH_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"

struct load;

struct storm {
    uint64_t next_ns;    /* of the next one; UINT64_MAX: none */
    uint64_t started_ns; /* of the one that goes on; 0: none does */
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
