/* Memory that fails when the test says so. malloc, calloc and realloc of everything that is linked into the test come
 * through wrappers (the linker puts them there: see CMakeLists.txt); the engine's memory comes through its injected
 * allocator. The simulated backend's own memory never fails, and nothing fails outside of `armed`. */
#ifndef WEIR_TESTS_NET_FAILING_MEMORY_H
#define WEIR_TESTS_NET_FAILING_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir.h>

struct failing_memory {
    bool armed;
    bool lasting;           /* all from `nth` on fail, not just that one */
    uint64_t nth;           /* 0: none */
    unsigned per_mille;     /* further ones by chance: */
    uint64_t random;        /* its seed */
    uint64_t count;         /* allocations while armed */
    uint64_t engine_blocks; /* that the engine holds */
};

extern struct failing_memory failing;

extern const weir_allocator failing_allocator;

#endif
