/* The memory of scenarios: taken in order and never used twice within one execution, so that addresses repeat from one
 * execution to the next, and put back as `prepare` left it, a touched page at a time. */
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define ARENA_SIZE ((size_t)8 << 20)
#define REGION     ((size_t)1 << 20) /* of each thread; the rest is prepare's and check's */
#define PAGE       4096u
#define PAGES      (ARENA_SIZE / PAGE)

static char *arena;
static char *saved;
static bool touched[PAGES];
static uint32_t touched_pages[PAGES];
static uint32_t touched_count;
static size_t used[THREADS_MAX + 1];
static size_t used_saved;
static uint32_t blocks;
static uint32_t blocks_saved;

static size_t region_begin(uint32_t region) {
    return region < THREADS_MAX ? region * REGION : THREADS_MAX * REGION;
}

static void forget_touched(void) {
    for (uint32_t i = 0; i < touched_count; i++)
        touched[touched_pages[i]] = false;
    touched_count = 0;
}

void arena_reset(void) {
    if (arena == NULL) {
        arena = (char *)aligned_alloc(PAGE, ARENA_SIZE);
        saved = (char *)aligned_alloc(PAGE, ARENA_SIZE);
        if (arena == NULL || saved == NULL) abort();
        memset(arena, 0, ARENA_SIZE);
        memset(saved, 0, ARENA_SIZE);
        used[THREADS_MAX] = region_begin(THREADS_MAX);
    }
    /* What is not touched, and not taken by the last prepare, is zero in both. */
    size_t begin = region_begin(THREADS_MAX);
    memset(saved + begin, 0, used_saved > begin ? used_saved - begin : 0);
    arena_restore();
    memset(arena + begin, 0, used_saved > begin ? used_saved - begin : 0);
    blocks = 0;
    for (uint32_t i = 0; i <= THREADS_MAX; i++)
        used[i] = region_begin(i);
}

void arena_save(void) {
    size_t begin = region_begin(THREADS_MAX);
    memcpy(saved + begin, arena + begin, used[THREADS_MAX] - begin);
    forget_touched();
    used_saved = used[THREADS_MAX];
    blocks_saved = blocks;
}

void arena_restore(void) {
    for (uint32_t i = 0; i < touched_count; i++) {
        size_t at = (size_t)touched_pages[i] * PAGE;
        memcpy(arena + at, saved + at, PAGE);
    }
    forget_touched();
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        used[i] = region_begin(i);
    used[THREADS_MAX] = used_saved;
    blocks = blocks_saved;
}

bool arena_has(const void *address) {
    return (uintptr_t)address - (uintptr_t)arena < ARENA_SIZE;
}

void arena_touched(const void *address, size_t length) {
    if (!arena_has(address) || length == 0) return;
    size_t first = ((uintptr_t)address - (uintptr_t)arena) / PAGE;
    size_t last = ((uintptr_t)address + length - 1 - (uintptr_t)arena) / PAGE;
    for (size_t page = first; page <= last && page < PAGES; page++) {
        if (touched[page]) continue;
        touched[page] = true;
        touched_pages[touched_count++] = (uint32_t)page;
    }
}

static void *take(size_t size, size_t alignment) {
    uint32_t region = explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
    size_t end = region == THREADS_MAX ? ARENA_SIZE : region_begin(region + 1);
    if (alignment < 16) alignment = 16;
    size_t at = (used[region] + alignment - 1) / alignment * alignment;
    if (at + size > end) explore_fail("the scenario's memory is used up");
    used[region] = at + size + 16; /* a gap, so that what runs over is nobody's */
    return arena + at;
}

void *explore_new(size_t size) {
    return take(size, 64);
}

static void *allocate(void *context, size_t size, size_t alignment) {
    (void)context;
    blocks++;
    void *memory = take(size, alignment);
    race_plain(memory, size < PAGE ? size : PAGE, true); /* zeroed; the first page of it stands for all */
    return memory;
}

static void release(void *context, void *memory, size_t size, size_t alignment) {
    (void)context;
    (void)alignment;
    blocks--;
    race_free(memory, size);
}

/* The system takes pages away a word at a time, as far as other threads can tell; and a core that finds one gone has been
 * told to forget its address, which it answers after all that came before: release. */
static struct explore_site discard_site = {"system",        "discard",     "discard",     0,
                                           OPERATION_STORE, ORDER_RELEASE, ORDER_RELAXED, 0};

void explore_store(struct explore_site *site, void *address, uint32_t size, uint64_t value);

static int discard(void *context, void *memory, size_t size) {
    void *words[LOCATIONS_MAX];
    uint32_t sizes[LOCATIONS_MAX];
    (void)context;
    uint32_t count = explore_thread == NO_THREAD ? 0 : memory_words_in(memory, size, words, sizes, LOCATIONS_MAX);
    for (uint32_t i = 0; i < count; i++)
        explore_store(&discard_site, words[i], sizes[i], 0);
    arena_touched(memory, size);
    memset(memory, 0, size);
    return 0;
}

const weir_allocator explore_allocator = {allocate, release, discard, NULL};

uint32_t explore_blocks(void) {
    return blocks;
}
