/* Memory of the server and of the engine, counted, overwritten when it comes back, and failing by chance while `armed`.
 *
 * The server's malloc, calloc, realloc and free come here through the linker (see CMakeLists.txt); the engine's memory
 * comes through its injected allocator. The simulation's own memory is neither counted nor fails: its sources are
 * compiled with the real functions. */
#ifndef WEIR_TESTS_SIMULATION_MEMORY_H
#define WEIR_TESTS_SIMULATION_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir.h>

struct memory_count {
    uint64_t blocks;  /* out now */
    uint64_t bytes;   /* in them, as the allocator rounds */
    uint64_t peak;    /* most bytes at once */
    uint64_t refused; /* allocations that failed */
};

struct memory {
    bool armed;
    unsigned per_mille; /* of the allocations while armed fail */
    uint64_t random;
    struct memory_count server;
    struct memory_count engine;
};

extern struct memory memory;

/* The allocator to put into a weir_config. */
extern const weir_allocator memory_of_engine;

/* Forgets all counts; what is still out is forgotten, too. */
void memory_start(uint64_t seed, unsigned per_mille);

/* A block of the server's that nobody will give back. */
void memory_leak(void);

#endif
