/* The outside world as the engine takes it when nothing is injected: the system's clock and entropy, and jemalloc. */
#ifndef WEIR_BASE_SYSTEM_H
#define WEIR_BASE_SYSTEM_H

#include <weir.h>

weir_clock system_clock(void);
weir_entropy system_entropy(void);

/* A jemalloc arena of its own, so that an engine's memory can be told from its host's. One arena per call; its index
 * is the context. system_memory_close gives the arena back. Where jemalloc is not built in, aligned_alloc. */
weir_allocator system_memory_open(void);
void system_memory_close(const weir_allocator *allocator);

#endif
