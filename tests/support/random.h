/* Repeatable randomness: a test prints its seed, and runs the same again with WEIR_TEST_SEED set to it. */
#ifndef SUPPORT_RANDOM_H
#define SUPPORT_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* The seed of this run: WEIR_TEST_SEED, or drawn from the clock; printed. */
uint64_t random_seed(void);

/* A generator of its own for each user of one seed. */
struct random random_start(uint64_t seed, uint64_t user);

/* Evenly from 0 to below - 1. */
uint32_t random_below(struct random *random, uint32_t below);

#endif
