#include "memory.h"

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);

#define POISON      0xDB
#define POISON_MOST 65536u /* bytes of one block: more would be time, not strength */

struct memory memory;

static bool fails(struct memory_count *count) {
    if (!memory.armed || memory.per_mille == 0) return false;
    memory.random = memory.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if ((memory.random >> 33) % 1000 >= memory.per_mille) return false;
    count->refused++;
    return true;
}

static void took(struct memory_count *count, uint64_t bytes) {
    count->blocks++;
    count->bytes += bytes;
    if (count->bytes > count->peak) count->peak = count->bytes;
}

static void *counted(void *block) {
    if (block != NULL) took(&memory.server, malloc_usable_size(block));
    return block;
}

/* Whoever still reads a block that was given back shall not find what was there. */
static void poison(void *block, size_t size) {
    memset(block, POISON, size < POISON_MOST ? size : POISON_MOST);
}

void *__wrap_malloc(size_t size) {
    return fails(&memory.server) ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails(&memory.server) ? NULL : counted(__real_calloc(count, size));
}

void __wrap_free(void *block) {
    if (block == NULL) return;
    size_t size = malloc_usable_size(block);
    memory.server.blocks--;
    memory.server.bytes -= size;
    poison(block, size);
    __real_free(block);
}

/* Always moves, so that a pointer into the old place is found out. */
void *__wrap_realloc(void *block, size_t size) {
    void *moved = __wrap_malloc(size);
    if (moved == NULL || block == NULL) return moved;
    size_t old = malloc_usable_size(block);
    memcpy(moved, block, old < size ? old : size);
    __wrap_free(block);
    return moved;
}

static void *engine_allocate(void *context, size_t size, size_t alignment) {
    (void)context;
    if (fails(&memory.engine)) return NULL;
    size_t whole = (size + alignment - 1) / alignment * alignment;
    void *block = aligned_alloc(alignment, whole);
    if (block == NULL) return NULL;
    memset(block, 0, whole);
    took(&memory.engine, size);
    return block;
}

static void engine_release(void *context, void *block, size_t size, size_t alignment) {
    (void)context, (void)alignment;
    if (block == NULL) return;
    memory.engine.blocks--;
    memory.engine.bytes -= size;
    poison(block, size);
    __real_free(block);
}

const weir_allocator memory_of_engine = {engine_allocate, engine_release, NULL, NULL};

void memory_start(uint64_t seed, unsigned per_mille) {
    memory = (struct memory){.random = seed, .per_mille = per_mille};
}

void memory_leak(void) {
    static void *volatile leaked; /* so that no compiler leaves the allocation out */
    leaked = __wrap_malloc(100);
    (void)leaked;
}
