/* Plain accesses. The explored source is compiled as for ThreadSanitizer, so each of them calls one of the functions
 * below, which see whether it is ordered with the accesses of the other threads; the sanitizer's own library is not
 * there. Only scenario memory is watched: stacks and what is constant have one thread or no writer. */
#include <string.h>

#include "explore.h"

#define GRANULE  4u
#define GRANULES (((size_t)8 << 20) / GRANULE)

struct granule {
    uint32_t run;
    uint32_t wrote[THREADS_MAX]; /* each thread's time at its last write, 0 for none */
    uint32_t read[THREADS_MAX];
};

static struct granule granules[GRANULES];
static uint32_t run;
static const char *base;

/* Blocks that were given back in this execution: whoever touches them then is wrong in any order. */
#define FREED_MAX 64u
static struct {
    const char *begin;
    size_t length;
} freed[FREED_MAX];
static uint32_t freed_count;

void race_begin(void) {
    run++;
    freed_count = 0;
}

static bool is_freed(const void *address) {
    for (uint32_t i = 0; i < freed_count; i++)
        if ((uintptr_t)address - (uintptr_t)freed[i].begin < freed[i].length) return true;
    return false;
}

static struct granule *granule_at(const void *address) {
    if (base == NULL) {
        base = (const char *)address;
        while (arena_has(base - 4096))
            base -= 4096;
        base = (const char *)((uintptr_t)base & ~(uintptr_t)4095);
    }
    struct granule *granule = &granules[((uintptr_t)address - (uintptr_t)base) / GRANULE];
    if (granule->run != run) {
        memset(granule, 0, sizeof(*granule));
        granule->run = run;
    }
    return granule;
}

static void access_granule(const void *address, bool is_write) {
    struct granule *granule = granule_at(address);
    const uint32_t *clock = memory_clock(explore_thread);
    if (is_freed(address)) explore_fail("memory is used after it was given back");
    for (uint32_t other = 0; other < THREADS_MAX; other++) {
        if (other == explore_thread) continue;
        if (granule->wrote[other] > clock[other] || (is_write && granule->read[other] > clock[other]))
            explore_fail("a race: plain %s by thread %u of what thread %u %s", is_write ? "write" : "read",
                         explore_thread, other, granule->wrote[other] > clock[other] ? "wrote" : "read");
    }
    if (is_write)
        granule->wrote[explore_thread] = clock[explore_thread];
    else
        granule->read[explore_thread] = clock[explore_thread];
}

void race_plain(const void *address, size_t length, bool is_write) {
    if (!arena_has(address) || length == 0) return;
    if (is_write) arena_touched(address, length);
    if (explore_thread == NO_THREAD) return;
    const char *first = (const char *)((uintptr_t)address & ~(uintptr_t)(GRANULE - 1));
    for (const char *at = first; at < (const char *)address + length; at += GRANULE)
        access_granule(at, is_write);
}

void race_free(const void *address, size_t length) {
    if (explore_thread == NO_THREAD) return;
    if (is_freed(address)) explore_fail("memory is given back twice");
    if (freed_count == FREED_MAX) explore_fail("more is given back than the explorer has room for");
    freed[freed_count].begin = (const char *)address;
    freed[freed_count++].length = length;
}

void race_check_atomic(const void *address) {
    if (is_freed(address)) explore_fail("an atomic word is used after its memory was given back");
    if (!arena_has(address)) return;
    const struct granule *granule = granule_at(address);
    const uint32_t *clock = memory_clock(explore_thread);
    for (uint32_t other = 0; other < THREADS_MAX; other++)
        if (other != explore_thread && granule->wrote[other] > clock[other])
            explore_fail("a race: thread %u uses an atomic word that thread %u has made plainly", explore_thread,
                         other);
}

/* ---- What the compiler calls --------------------------------------------------------------------------------------- */

#define ACCESS(name, size, is_write)                                                                                 \
    void name(const void *address);                                                                                  \
    void name(const void *address) {                                                                                 \
        race_plain(address, size, is_write);                                                                         \
    }
ACCESS(__tsan_read1, 1, false)
ACCESS(__tsan_read2, 2, false)
ACCESS(__tsan_read4, 4, false)
ACCESS(__tsan_read8, 8, false)
ACCESS(__tsan_read16, 16, false)
ACCESS(__tsan_unaligned_read2, 2, false)
ACCESS(__tsan_unaligned_read4, 4, false)
ACCESS(__tsan_unaligned_read8, 8, false)
ACCESS(__tsan_unaligned_read16, 16, false)
ACCESS(__tsan_write1, 1, true)
ACCESS(__tsan_write2, 2, true)
ACCESS(__tsan_write4, 4, true)
ACCESS(__tsan_write8, 8, true)
ACCESS(__tsan_write16, 16, true)
ACCESS(__tsan_unaligned_write2, 2, true)
ACCESS(__tsan_unaligned_write4, 4, true)
ACCESS(__tsan_unaligned_write8, 8, true)
ACCESS(__tsan_unaligned_write16, 16, true)

void __tsan_read_range(const void *address, size_t length);
void __tsan_read_range(const void *address, size_t length) {
    race_plain(address, length, false);
}
void __tsan_write_range(const void *address, size_t length);
void __tsan_write_range(const void *address, size_t length) {
    race_plain(address, length, true);
}
void __tsan_init(void);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void);
void __tsan_func_exit(void) {}
