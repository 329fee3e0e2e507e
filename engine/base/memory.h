/* Shorthand for the injected allocator. */
#ifndef WEIR_BASE_MEMORY_H
#define WEIR_BASE_MEMORY_H

#include <weir.h>

static inline void *memory_take(const weir_allocator *allocator, size_t size, size_t alignment) {
    return allocator->allocate(allocator->context, size, alignment);
}

static inline void memory_give(const weir_allocator *allocator, void *memory, size_t size, size_t alignment) {
    if (memory != NULL) allocator->release(allocator->context, memory, size, alignment);
}

/* Whole pages back to the system, which then read as zero: 0 when that was done. */
static inline int memory_discard(const weir_allocator *allocator, void *memory, size_t size) {
    return allocator->discard == NULL ? -1 : allocator->discard(allocator->context, memory, size);
}

#endif
