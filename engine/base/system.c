#include "system.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#ifdef WEIR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

static uint64_t read_now_ns(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t read_wall_ms(void *context) {
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

weir_clock system_clock(void) {
    weir_clock clock = {read_now_ns, read_wall_ms, NULL};
    return clock;
}

static int fill_random(void *context, void *memory, size_t size) {
    (void)context;
    return getrandom(memory, size, 0) == (ssize_t)size ? 0 : -1;
}

weir_entropy system_entropy(void) {
    weir_entropy entropy = {fill_random, NULL};
    return entropy;
}

/* Whatever allocated it, the memory is private and anonymous. MADV_DONTNEED takes the pages at once, where MADV_FREE
 * would leave them counted as ours, with their content, until somebody needs memory. It rounds the size up to a page:
 * what is not whole pages is refused, for the rest of a page may be somebody else's. */
static int discard_pages(void *context, void *memory, size_t size) {
    (void)context;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if ((uintptr_t)memory % page != 0 || size % page != 0) return -1;
    return madvise(memory, size, MADV_DONTNEED);
}

#ifdef WEIR_JEMALLOC

/* No thread cache: these are slabs and tables, taken rarely and by any thread; a cache would only hold memory back. */
static int arena_flags(void *context, size_t alignment) {
    return MALLOCX_ARENA((unsigned)(uintptr_t)context) | MALLOCX_TCACHE_NONE | MALLOCX_ALIGN(alignment);
}

static void *allocate_in_arena(void *context, size_t size, size_t alignment) {
    return mallocx(size, arena_flags(context, alignment) | MALLOCX_ZERO);
}

static void release_to_arena(void *context, void *memory, size_t size, size_t alignment) {
    sdallocx(memory, size, arena_flags(context, alignment));
}

weir_allocator system_memory_open(void) {
    unsigned arena = 0;
    size_t size = sizeof(arena);
    /* Arena 0 is the process's own: used when no further arena can be made. */
    if (mallctl("arenas.create", &arena, &size, NULL, 0) != 0) arena = 0;
    weir_allocator allocator = {.allocate = allocate_in_arena,
                                .release = release_to_arena,
                                .discard = discard_pages,
                                .context = (void *)(uintptr_t)arena};
    return allocator;
}

void system_memory_close(const weir_allocator *allocator) {
    unsigned arena = (unsigned)(uintptr_t)allocator->context;
    if (arena == 0) return;
    size_t mib[3];
    size_t length = 3;
    if (mallctlnametomib("arena.0.destroy", mib, &length) != 0) return;
    mib[1] = arena;
    mallctlbymib(mib, length, NULL, NULL, NULL, 0);
}

#else

static void *allocate_aligned(void *context, size_t size, size_t alignment) {
    (void)context;
    size_t rounded = (size + alignment - 1) & ~(alignment - 1);
    void *memory = aligned_alloc(alignment < sizeof(void *) ? sizeof(void *) : alignment, rounded);
    if (memory != NULL) memset(memory, 0, rounded);
    return memory;
}

static void release_aligned(void *context, void *memory, size_t size, size_t alignment) {
    (void)context;
    (void)size;
    (void)alignment;
    free(memory);
}

weir_allocator system_memory_open(void) {
    weir_allocator allocator = {.allocate = allocate_aligned, .release = release_aligned, .discard = discard_pages};
    return allocator;
}

void system_memory_close(const weir_allocator *allocator) {
    (void)allocator;
}

#endif
