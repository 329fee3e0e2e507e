/* What everything that is created from a configuration has in common: the structure that grows with versions, and
 * the services that are the system's unless injected. */
#ifndef WEIR_BASE_CONFIGURE_H
#define WEIR_BASE_CONFIGURE_H

#include <stdbool.h>
#include <string.h>

#include "base/system.h"

/* Copies what the caller's version of a structure has; a longer one is taken when what we do not know is zero. Both
 * begin with their size_t size. False for a size that cannot be. */
static inline bool configure_copy(void *into, size_t size, const void *from) {
    memset(into, 0, size);
    size_t given = size;
    if (from != NULL) {
        memcpy(&given, from, sizeof(given));
        if (given < sizeof(given) || given > 4096) return false;
        const char *bytes = (const char *)from;
        for (size_t at = size; at < given; at++)
            if (bytes[at] != 0) return false;
        memcpy(into, from, given < size ? given : size);
    }
    memcpy(into, &size, sizeof(size));
    return true;
}

/* True when the allocator is one of the system's, to be closed in the end. */
static inline bool configure_allocator(weir_allocator *allocator) {
    if (allocator->allocate != NULL && allocator->release != NULL) return false;
    *allocator = system_memory_open();
    return true;
}

static inline void configure_entropy(weir_entropy *entropy) {
    if (entropy->fill == NULL) *entropy = system_entropy();
}

static inline void configure_clock(weir_clock *clock) {
    if (clock->now_ns == NULL || clock->wall_ms == NULL) *clock = system_clock();
}

#endif
