/* Sizes, seed and checks that hold in any thread, for the stress tests. */
#ifndef ENGINE_STRESS_H
#define ENGINE_STRESS_H

#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "support/random.h"
#include "support/scale.h"

#if defined(WEIR_TSAN)
#define SCALE 4u
#elif defined(__SANITIZE_ADDRESS__)
#define SCALE 10u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SCALE 10u
#endif
#endif
#ifndef SCALE
#define SCALE 40u
#endif

#define REQUIRE(condition)                                                                                           \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                           \
            abort();                                                                                                 \
        }                                                                                                            \
    } while (0)

/* `each`, times what this build can do in some seconds, times WEIR_TEST_SCALE. */
static inline uint64_t scaled(uint64_t each) {
    return each * SCALE * test_scale();
}

#endif
