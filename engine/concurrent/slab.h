/* A slab: fixed-size objects named by index, whose addresses are never given back while the slab lives.
 *
 * That is what makes the rest simple: whoever still holds the index of an object that was given back and taken again
 * reads stale words of the same type, never unmapped memory, and finds out by the check of its own protocol. There is
 * nothing to reclaim and no reference to count.
 *
 *   fresh      index above all that were ever handed out; grows only
 *   free_head  version | index of a stack of objects given back; the links stand in an array of their own, since a
 *              link inside the object would be a write that readers of the object can still see
 *   chunks     pointers to blocks of 2^chunk_shift objects, each followed by its links; set once
 *   occupancy  of a discardable slab, instead of the stack and its links: a bit for each object (occupancy.h)
 *
 * Any thread; lock-free but for the allocator. The version in free_head is what keeps a pop from mistaking a stack
 * that was changed and changed back (ABA) for the one it looked at.
 *
 *   pairing                                                                     without it
 *   S1 release: push's compare-and-swap      S2 acquire: pop's load and failed   a popped object is used before its
 *                                               compare-and-swap of free_head     last owner's accesses ended; a stale
 *                                                                                 link doubles an object
 *   S3 release: chunk compare-and-swap       S4 acquire: chunk load              an index leads to unwritten memory
 *
 * Discardable slabs give memory back to the system while they live: the pages behind a run of 64 objects of which none
 * is in use. They start at a page and are whole pages, for an object is a multiple of 64 bytes.
 *   - No object is lost or doubled: slab_retire takes all 64 at once, by the compare-and-swap by which anybody takes
 *     one; slab_restore gives them back. Between the two they are nobody else's, and only then the pages go. A taker
 *     that meets a retired run takes from another: there are 64 objects to spare, so `maximum` stays exact.
 *   - The addresses stay good. A late reader of an object sees its last words, or zero in all of a page from some
 *     moment on. So a word that a late reader may look at must mean "free" when it is zero, and a version in such a
 *     word must go on from somewhere else (index_map.h). Nobody writes into an object that it does not hold, except by
 *     a compare-and-swap from a word that zero and all later words differ from; nor follows a pointer that stands in it.
 *   - An index is only taken once the chunk behind it is there, and the search goes from low to high: so all below
 *     `fresh` have memory. */
#ifndef WEIR_CONCURRENT_SLAB_H
#define WEIR_CONCURRENT_SLAB_H

#include <weir.h>

#include "base/atomic.h"
#include "occupancy.h"

#define SLAB_NONE UINT32_MAX
#define SLAB_RUN  OCCUPANCY_RUN /* objects that are discarded together */

/* Bytes that several slabs may take together. */
struct slab_budget {
    atomic_u64 used;
    uint64_t limit;
};

struct slab {
    const weir_allocator *allocator; /* written at create, like all up to `occupancy` */
    struct slab_budget *budget;      /* may be NULL */
    uint32_t object_size;
    uint32_t maximum;
    uint32_t chunk_shift;
    uint32_t chunk_count;
    atomic_pointer *chunks;
    struct occupancy *occupancy;        /* NULL when the slab is not discardable */
    CACHE_ALIGNED atomic_u64 free_head; /* any thread */
    atomic_u32 fresh;                   /* any thread */
};

/* A slab of at most `maximum` objects of object_size bytes (a multiple of 8), zeroed when first handed out. A chunk
 * holds as many as fit into 2^chunk_bytes_shift bytes, rounded down to a power of two, and one at least.
 * WEIR_NO_MEMORY. */
int slab_create(struct slab *slab, const weir_allocator *allocator, struct slab_budget *budget, uint32_t object_size,
                uint32_t maximum, uint32_t chunk_bytes_shift);

/* The same, discardable: object_size is a multiple of 64. Indices go up to maximum + 2 * SLAB_RUN. Where the allocator
 * can discard, memory counts as used by the page and chunks may be longer than asked for: at most 32 in all, so that
 * the allocator keeps few records of memory that is gone. WEIR_NO_MEMORY. */
int slab_create_discardable(struct slab *slab, const weir_allocator *allocator, uint32_t object_size,
                            uint32_t maximum, uint32_t chunk_bytes_shift);

void slab_destroy(struct slab *slab);

/* Takes up to `count` objects: their number is stored in *taken. WEIR_OK when at least one was found; WEIR_NO_MEMORY,
 * WEIR_BYTES_LIMIT (the budget) or WEIR_FULL (`maximum` objects are out) otherwise. */
int slab_take(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken);

/* Gives `count` objects back. */
void slab_give(struct slab *slab, const uint32_t *indices, uint32_t count);

/* Takes all objects of a run of which none is in use, but some were since the run was last retired: *first to
 * *first + SLAB_RUN - 1 are the caller's until slab_restore. Goes on where the last call stopped; each look lowers
 * *budget by one. False when that is spent, or when the slab or its allocator cannot discard. One thread at a time;
 * nobody waits for it. */
bool slab_retire(struct slab *slab, uint32_t *budget, uint32_t *first);

/* Discards the memory of a retired run and gives its objects back. False when the allocator kept the memory as it is.
 * The thread that retired it. */
bool slab_restore(struct slab *slab, uint32_t first);

/* Runs that slab_retire goes around. */
static inline uint32_t slab_runs(const struct slab *slab) {
    return slab->occupancy == NULL ? 0 : slab->occupancy->runs;
}

/* Objects ever handed out: no index at or above it is in use. */
static inline uint32_t slab_fresh(const struct slab *slab) {
    return u32_load_acquire(&slab->fresh);
}

/* For walks over all objects: the first index from `index` on that may be in use, or some index above it below which
 * none is. At most SLAB_RUN above; of a slab that is not discardable, `index`. Any thread; wait-free. */
static inline uint32_t slab_next_in_use(const struct slab *slab, uint32_t index) {
    return slab->occupancy == NULL ? index : occupancy_next_taken(slab->occupancy, index);
}

/* The object behind an index that slab_take gave. The chunk load is S4; it is acquire although the index usually came
 * through an acquire of its own, because that costs nothing. */
static inline void *slab_at(const struct slab *slab, uint32_t index) {
    char *chunk = (char *)pointer_load_acquire(&slab->chunks[index >> slab->chunk_shift]);
    uint32_t place = index & ((1u << slab->chunk_shift) - 1);
    return chunk + (size_t)place * slab->object_size;
}

#endif
