/* The session registry with replay, as its tests make one. */
#ifndef CONTRACT_REGISTRY_H
#define CONTRACT_REGISTRY_H

#include "support.h"

#define DEPTH 16u

/* Keeps `capacity` events of each session, 0 for none. Its queues are as deep as each consumer asks, up to DEPTH. */
static inline void open_registry(struct fixture *fixture, uint32_t capacity) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = capacity == 0 ? WEIR_NONE : capacity;
    config.queue_depth = DEPTH;
    system_open(fixture, WEIR_PRESET_SSE_REGISTRY, config);
}

#endif
