/* How much the tests do that are as long as one likes: WEIR_TEST_SCALE, 1 unless set. */
#ifndef SUPPORT_SCALE_H
#define SUPPORT_SCALE_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t test_scale(void) {
    const char *factor = getenv("WEIR_TEST_SCALE");
    uint64_t scale = factor != NULL ? strtoull(factor, NULL, 10) : 1;
    return scale > 0 ? scale : 1;
}

#endif
