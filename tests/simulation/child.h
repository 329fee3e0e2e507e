/* Runs in a child process, so that a crash of the server is an outcome like any other. */
#ifndef WEIR_TESTS_SIMULATION_CHILD_H
#define WEIR_TESTS_SIMULATION_CHILD_H

#include "simulation.h"

/* Written by the child, read by the parent. */
struct shared {
    struct totals totals;
    uint64_t seed;     /* of the run that is under way */
    uint64_t repeated; /* runs that were run twice and were the same */
    struct outcome outcome;
    struct simulation simulation; /* after a crash: how far it came */
};

struct shared *child_share(void);

/* Runs one plan; twice when `repeat` says so, which then must be the same. */
struct outcome child_run(struct shared *shared, const struct plan *plan, bool repeat);

/* Runs the seeds until one fails: shared->seed is its. Some are run twice. */
struct outcome child_run_seeds(struct shared *shared, uint64_t first, uint64_t count);

#endif
