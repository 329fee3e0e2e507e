/* A slab: fixed-size objects named by index, whose memory is never returned while the slab lives.
 *
 * That is what makes the rest simple: whoever still holds the index of an object that was given back and taken again
 * reads stale words of the same type, never unmapped memory, and finds out by the check of its own protocol. There is
 * nothing to reclaim and no reference to count.
 *
 *   fresh      index of the first object never handed out; grows only
 *   free_head  version | index of a stack of objects given back; the links stand in an array of their own, since a
 *              link inside the object would be a write that readers of the object can still see
 *   chunks     pointers to blocks of 2^chunk_shift objects, each followed by its links; set once
 *
 * Any thread; lock-free but for the allocator. The version in free_head is what keeps a pop from mistaking a stack
 * that was changed and changed back (ABA) for the one it looked at.
 *
 *   pairing                                                                     without it
 *   S1 release: push's compare-and-swap      S2 acquire: pop's load and failed   a popped object is used before its
 *                                               compare-and-swap of free_head     last owner's accesses ended; a stale
 *                                                                                 link doubles an object
 *   S3 release: chunk compare-and-swap       S4 acquire: chunk load              an index leads to unwritten memory */
#ifndef WEIR_CONCURRENT_SLAB_H
#define WEIR_CONCURRENT_SLAB_H

#include <weir.h>

#include "base/atomic.h"

#define SLAB_NONE UINT32_MAX

/* Bytes that several slabs may take together. */
struct slab_budget {
    atomic_u64 used;
    uint64_t limit;
};

struct slab {
    const weir_allocator *allocator; /* written at create, like all up to `chunks` */
    struct slab_budget *budget;      /* may be NULL */
    uint32_t object_size;
    uint32_t maximum;
    uint32_t chunk_shift;
    uint32_t chunk_count;
    atomic_pointer *chunks;
    CACHE_ALIGNED atomic_u64 free_head; /* any thread */
    atomic_u32 fresh;                   /* any thread */
};

/* A slab of at most `maximum` objects of object_size bytes (a multiple of 8), zeroed when first handed out. A chunk
 * holds as many as fit into 2^chunk_bytes_shift bytes, rounded down to a power of two, and one at least.
 * WEIR_NO_MEMORY. */
int slab_create(struct slab *slab, const weir_allocator *allocator, struct slab_budget *budget, uint32_t object_size,
                uint32_t maximum, uint32_t chunk_bytes_shift);
void slab_destroy(struct slab *slab);

/* Takes up to `count` objects: their number is stored in *taken. WEIR_OK when at least one was found; WEIR_NO_MEMORY,
 * WEIR_BYTES_LIMIT (the budget) or WEIR_FULL (`maximum` objects are out) otherwise. */
int slab_take(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken);

/* Gives `count` objects back. */
void slab_give(struct slab *slab, const uint32_t *indices, uint32_t count);

/* Objects ever handed out: no index at or above it is in use. */
static inline uint32_t slab_fresh(const struct slab *slab) {
    return u32_load_acquire(&slab->fresh);
}

/* The object behind an index that slab_take gave. The chunk load is S4; it is acquire although the index usually came
 * through an acquire of its own, because that costs nothing. */
static inline void *slab_at(const struct slab *slab, uint32_t index) {
    char *chunk = (char *)pointer_load_acquire(&slab->chunks[index >> slab->chunk_shift]);
    uint32_t place = index & ((1u << slab->chunk_shift) - 1);
    return chunk + (size_t)place * slab->object_size;
}

#endif
