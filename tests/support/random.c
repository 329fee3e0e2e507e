#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t random_seed(void) {
    const char *wanted = getenv("WEIR_TEST_SEED");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seed = wanted != NULL ? strtoull(wanted, NULL, 0) : (uint64_t)now.tv_sec << 30 ^ (uint64_t)now.tv_nsec;
    printf("WEIR_TEST_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

static uint64_t next(struct random *random) {
    /* SplitMix64's step (Steele, Lea and Flood). */
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

struct random random_start(uint64_t seed, uint64_t user) {
    struct random random = {seed ^ user << 48};
    random.state = next(&random);
    return random;
}

uint32_t random_below(struct random *random, uint32_t below) {
    return (uint32_t)(next(random) >> 32) % below;
}
