#include "slab.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/memory.h"

static size_t chunk_objects_size(const struct slab *slab) {
    return (size_t)slab->object_size << slab->chunk_shift;
}

static size_t chunk_size(const struct slab *slab) {
    return chunk_objects_size(slab) + (sizeof(atomic_u32) << slab->chunk_shift);
}

static atomic_u32 *link_of(const struct slab *slab, uint32_t index) {
    char *chunk = (char *)pointer_load_acquire(&slab->chunks[index >> slab->chunk_shift]);
    atomic_u32 *links = (atomic_u32 *)(void *)(chunk + chunk_objects_size(slab));
    return &links[index & ((1u << slab->chunk_shift) - 1)];
}

int slab_create(struct slab *slab, const weir_allocator *allocator, struct slab_budget *budget, uint32_t object_size,
                uint32_t maximum, uint32_t chunk_bytes_shift) {
    WEIR_CHECK(object_size % 8 == 0 && maximum < SLAB_NONE);
    slab->allocator = allocator;
    slab->budget = budget;
    slab->object_size = object_size;
    slab->maximum = maximum;
    slab->chunk_shift = 0;
    while (((size_t)object_size << (slab->chunk_shift + 1)) <= (size_t)1 << chunk_bytes_shift)
        slab->chunk_shift++;
    slab->chunk_count = (uint32_t)(((uint64_t)maximum + (1u << slab->chunk_shift) - 1) >> slab->chunk_shift);
    u64_store_relaxed(&slab->free_head, SLAB_NONE);
    u32_store_relaxed(&slab->fresh, 0);
    slab->chunks = (atomic_pointer *)memory_take(allocator, sizeof(atomic_pointer) * slab->chunk_count, CACHE_LINE);
    return slab->chunks == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

void slab_destroy(struct slab *slab) {
    if (slab->chunks == NULL) return;
    for (uint32_t i = 0; i < slab->chunk_count; i++) {
        memory_give(slab->allocator, pointer_load_acquire(&slab->chunks[i]), chunk_size(slab), CACHE_LINE);
    }
    memory_give(slab->allocator, slab->chunks, sizeof(atomic_pointer) * slab->chunk_count, CACHE_LINE);
    slab->chunks = NULL;
}

static int charge_budget(struct slab_budget *budget, uint64_t bytes) {
    if (budget == NULL) return WEIR_OK;
    /* Relaxed: only the total matters. Two threads at the edge may both be refused where one would fit. */
    if (u64_add_relaxed(&budget->used, bytes) + bytes <= budget->limit) return WEIR_OK;
    u64_subtract_relaxed(&budget->used, bytes);
    return WEIR_BYTES_LIMIT;
}

static void refund_budget(struct slab_budget *budget, uint64_t bytes) {
    if (budget != NULL) u64_subtract_relaxed(&budget->used, bytes);
}

/* Two threads may allocate the same chunk at once: one compare-and-swap wins, the other's memory goes back. Waiting
 * for the other instead would let a stopped thread stop us. */
COLD static int install_chunk(struct slab *slab, uint32_t chunk_index) {
    int status = charge_budget(slab->budget, chunk_size(slab));
    if (status != WEIR_OK) return status;
    void *memory = memory_take(slab->allocator, chunk_size(slab), CACHE_LINE);
    WEIR_MARK(PUBLISH_CHUNK_MADE);
    void *expected = NULL;
    if (memory != NULL && pointer_cas_acq_rel(&slab->chunks[chunk_index], &expected, memory)) /* S3 */
        return WEIR_OK;
    refund_budget(slab->budget, chunk_size(slab));
    if (memory == NULL) return WEIR_NO_MEMORY;
    memory_give(slab->allocator, memory, chunk_size(slab), CACHE_LINE);
    return WEIR_OK;
}

static int ensure_chunks(struct slab *slab, uint32_t first, uint32_t count) {
    for (uint32_t i = first >> slab->chunk_shift; i <= (first + count - 1) >> slab->chunk_shift; i++) {
        if (pointer_load_acquire(&slab->chunks[i]) != NULL) continue; /* S4 */
        int status = install_chunk(slab, i);
        if (status != WEIR_OK) return status;
    }
    return WEIR_OK;
}

/* Objects never used before. The chunks come first, so that an index is only handed out with memory behind it. */
static int take_fresh(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken) {
    uint32_t first = u32_load_relaxed(&slab->fresh); /* relaxed: the compare-and-swap below decides */
    for (;;) {
        uint32_t left = slab->maximum - first;
        if (left == 0) return WEIR_FULL;
        uint32_t some = count < left ? count : left;
        int status = ensure_chunks(slab, first, some);
        if (status != WEIR_OK && some > 1 && ensure_chunks(slab, first, 1) == WEIR_OK) {
            some = 1;
            status = WEIR_OK;
        }
        if (status != WEIR_OK) return status;
        if (!u32_cas_acq_rel(&slab->fresh, &first, first + some)) continue;
        for (uint32_t i = 0; i < some; i++)
            indices[i] = first + i;
        *taken = some;
        return WEIR_OK;
    }
}

static uint64_t next_head(uint64_t head, uint32_t index) {
    return ((head >> 32) + 1) << 32 | index;
}

/* Pops up to `count` with one compare-and-swap. The links walked are only believed once it succeeds: an unchanged
 * version means that nobody pushed or popped meanwhile. */
static uint32_t pop_some(struct slab *slab, uint32_t *indices, uint32_t count) {
    uint64_t head = u64_load_acquire(&slab->free_head); /* S2 */
    for (;;) {
        uint32_t found = 0;
        uint32_t index = (uint32_t)head;
        while (found < count && index != SLAB_NONE) {
            indices[found++] = index;
            /* The version validates it. Acquire, S2: a link of just now may lead to a chunk of just now. */
            index = u32_load_acquire(link_of(slab, index));
        }
        if (found == 0) return 0;
        if (u64_cas_acq_rel(&slab->free_head, &head, next_head(head, index))) return found; /* failure: S2 */
    }
}

int slab_take(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken) {
    *taken = pop_some(slab, indices, count);
    return *taken > 0 ? WEIR_OK : take_fresh(slab, indices, count, taken);
}

void slab_give(struct slab *slab, const uint32_t *indices, uint32_t count) {
    if (count == 0) return;
    for (uint32_t i = 0; i + 1 < count; i++)
        u32_store_release(link_of(slab, indices[i]), indices[i + 1]); /* S1 */
    uint64_t head = u64_load_relaxed(&slab->free_head);               /* relaxed: only compared */
    do {
        u32_store_release(link_of(slab, indices[count - 1]), (uint32_t)head);         /* S1 */
    } while (!u64_cas_acq_rel(&slab->free_head, &head, next_head(head, indices[0]))); /* S1 */
}
