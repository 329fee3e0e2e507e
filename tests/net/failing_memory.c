#include "failing_memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);

struct failing_memory failing;

static bool fails_by_chance(void) {
    failing.random = failing.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (failing.random >> 33) % 1000 < failing.per_mille;
}

static bool fails(void) {
    if (!failing.armed) return false;
    failing.count++;
    if (failing.nth != 0 && (failing.lasting ? failing.count >= failing.nth : failing.count == failing.nth))
        return true;
    return failing.per_mille != 0 && fails_by_chance();
}

void *__wrap_malloc(size_t size) {
    return fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *memory, size_t size) {
    return fails() ? NULL : __real_realloc(memory, size);
}

static void *engine_allocate(void *context, size_t size, size_t alignment) {
    (void)context;
    if (fails()) return NULL;
    void *memory = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory != NULL) memset(memory, 0, size);
    failing.engine_blocks += memory != NULL;
    return memory;
}

static void engine_release(void *context, void *memory, size_t size, size_t alignment) {
    (void)context, (void)size, (void)alignment;
    failing.engine_blocks -= memory != NULL;
    free(memory);
}

const weir_allocator failing_allocator = {engine_allocate, engine_release, NULL, NULL};
