#include "slab.h"

#include "base/check.h"
#include "base/mark.h"
#include "base/memory.h"

#define CHUNKS_MOST  32u   /* of a discardable slab whose allocator can discard */
#define CHUNK_ALIGNS 4096u /* a page, so that no two chunks touch the same one; and discarding needs whole ones */

static size_t chunk_objects_size(const struct slab *slab) {
    return (size_t)slab->object_size << slab->chunk_shift;
}

static size_t chunk_size(const struct slab *slab) {
    size_t links = slab->occupancy == NULL ? sizeof(atomic_u32) << slab->chunk_shift : 0;
    return chunk_objects_size(slab) + links;
}

static atomic_u32 *link_of(const struct slab *slab, uint32_t index) {
    char *chunk = (char *)pointer_load_acquire(&slab->chunks[index >> slab->chunk_shift]);
    atomic_u32 *links = (atomic_u32 *)(void *)(chunk + chunk_objects_size(slab));
    return &links[index & ((1u << slab->chunk_shift) - 1)];
}

static uint32_t chunks_for(uint64_t objects, uint32_t chunk_shift) {
    return (uint32_t)((objects + (1u << chunk_shift) - 1) >> chunk_shift);
}

static int create(struct slab *slab, const weir_allocator *allocator, uint64_t objects, uint32_t object_size,
                  uint32_t chunk_shift) {
    slab->allocator = allocator;
    slab->object_size = object_size;
    slab->chunk_shift = chunk_shift;
    slab->chunk_count = chunks_for(objects, chunk_shift);
    u64_store_relaxed(&slab->free_head, SLAB_NONE);
    u32_store_relaxed(&slab->fresh, 0);
    slab->chunks = (atomic_pointer *)memory_take(allocator, sizeof(atomic_pointer) * slab->chunk_count, CACHE_LINE);
    return slab->chunks == NULL ? WEIR_NO_MEMORY : WEIR_OK;
}

static uint32_t shift_within(uint32_t object_size, uint32_t chunk_bytes_shift) {
    uint32_t chunk_shift = 0;
    while (((size_t)object_size << (chunk_shift + 1)) <= (size_t)1 << chunk_bytes_shift)
        chunk_shift++;
    return chunk_shift;
}

int slab_create(struct slab *slab, const weir_allocator *allocator, struct slab_budget *budget, uint32_t object_size,
                uint32_t maximum, uint32_t chunk_bytes_shift) {
    WEIR_CHECK(object_size % 8 == 0 && maximum < SLAB_NONE);
    slab->budget = budget;
    slab->maximum = maximum;
    slab->occupancy = NULL;
    return create(slab, allocator, maximum, object_size, shift_within(object_size, chunk_bytes_shift));
}

int slab_create_discardable(struct slab *slab, const weir_allocator *allocator, uint32_t object_size,
                            uint32_t maximum, uint32_t chunk_bytes_shift) {
    WEIR_CHECK((size_t)object_size * SLAB_RUN % CHUNK_ALIGNS == 0 && maximum < SLAB_NONE - 2 * SLAB_RUN);
    uint64_t objects = (uint64_t)occupancy_runs(maximum) * SLAB_RUN;
    uint32_t chunk_shift = shift_within(object_size, chunk_bytes_shift);
    while ((1u << chunk_shift) < SLAB_RUN)
        chunk_shift++;
    while (allocator->discard != NULL && chunks_for(objects, chunk_shift) > CHUNKS_MOST)
        chunk_shift++;
    slab->budget = NULL;
    slab->maximum = maximum;
    slab->occupancy = (struct occupancy *)memory_take(allocator, occupancy_size(maximum), CACHE_LINE);
    if (slab->occupancy == NULL) return WEIR_NO_MEMORY;
    occupancy_init(slab->occupancy, maximum);
    int status = create(slab, allocator, objects, object_size, chunk_shift);
    if (status == WEIR_OK) return WEIR_OK;
    memory_give(allocator, slab->occupancy, occupancy_size(maximum), CACHE_LINE);
    return status;
}

void slab_destroy(struct slab *slab) {
    if (slab->chunks == NULL) return;
    for (uint32_t i = 0; i < slab->chunk_count; i++) {
        memory_give(slab->allocator, pointer_load_acquire(&slab->chunks[i]), chunk_size(slab), CHUNK_ALIGNS);
    }
    memory_give(slab->allocator, slab->chunks, sizeof(atomic_pointer) * slab->chunk_count, CACHE_LINE);
    memory_give(slab->allocator, slab->occupancy, occupancy_size(slab->maximum), CACHE_LINE);
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
    void *memory = memory_take(slab->allocator, chunk_size(slab), CHUNK_ALIGNS);
    WEIR_MARK(PUBLISH_CHUNK_MADE);
    void *expected = NULL;
    if (memory != NULL && pointer_cas_acq_rel(&slab->chunks[chunk_index], &expected, memory)) /* S3 */
        return WEIR_OK;
    refund_budget(slab->budget, chunk_size(slab));
    if (memory == NULL) return WEIR_NO_MEMORY;
    memory_give(slab->allocator, memory, chunk_size(slab), CHUNK_ALIGNS);
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

/* ---- Discardable slabs ------------------------------------------------------------------------------------------ */

/* `end` is above an index that was handed out. */
static void raise_fresh(struct slab *slab, uint32_t end) {
    uint32_t fresh = u32_load_acquire(&slab->fresh);
    while (fresh < end && !u32_cas_acq_rel(&slab->fresh, &fresh, end)) {
    }
}

/* The chunk comes before the place, like everywhere: a walk over all that is below `fresh` finds memory there. */
static int take_place(struct slab *slab, uint32_t *index) {
    struct occupancy *occupancy = slab->occupancy;
    if (!occupancy_enter(occupancy)) return WEIR_FULL;
    for (;;) {
        uint32_t run = occupancy_find(occupancy);
        int status = ensure_chunks(slab, run * SLAB_RUN, SLAB_RUN);
        if (status != WEIR_OK) {
            occupancy_leave(occupancy);
            return status;
        }
        if (occupancy_take(occupancy, run, index)) break;
    }
    raise_fresh(slab, *index + 1);
    return WEIR_OK;
}

static int take_places(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken) {
    int status = WEIR_OK;
    for (*taken = 0; *taken < count; ++*taken) {
        status = take_place(slab, &indices[*taken]);
        if (status != WEIR_OK) break;
    }
    return *taken > 0 ? WEIR_OK : status;
}

static void give_places(struct slab *slab, const uint32_t *indices, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        occupancy_give(slab->occupancy, indices[i]);
        occupancy_leave(slab->occupancy);
    }
}

bool slab_retire(struct slab *slab, uint32_t *budget, uint32_t *first) {
    uint32_t run;
    if (slab->occupancy == NULL || slab->allocator->discard == NULL) return false;
    if (!occupancy_retire(slab->occupancy, budget, &run)) return false;
    *first = run * SLAB_RUN;
    return true;
}

bool slab_restore(struct slab *slab, uint32_t first) {
    bool discarded = memory_discard(slab->allocator, slab_at(slab, first), (size_t)slab->object_size * SLAB_RUN) == 0;
    occupancy_restore(slab->occupancy, first / SLAB_RUN);
    return discarded;
}

/* ---- All slabs ------------------------------------------------------------------------------------------------- */

int slab_take(struct slab *slab, uint32_t *indices, uint32_t count, uint32_t *taken) {
    if (slab->occupancy != NULL) return take_places(slab, indices, count, taken);
    *taken = pop_some(slab, indices, count);
    return *taken > 0 ? WEIR_OK : take_fresh(slab, indices, count, taken);
}

static void push_some(struct slab *slab, const uint32_t *indices, uint32_t count) {
    if (count == 0) return;
    for (uint32_t i = 0; i + 1 < count; i++)
        u32_store_release(link_of(slab, indices[i]), indices[i + 1]); /* S1 */
    uint64_t head = u64_load_relaxed(&slab->free_head);               /* relaxed: only compared */
    do {
        u32_store_release(link_of(slab, indices[count - 1]), (uint32_t)head);         /* S1 */
    } while (!u64_cas_acq_rel(&slab->free_head, &head, next_head(head, indices[0]))); /* S1 */
}

void slab_give(struct slab *slab, const uint32_t *indices, uint32_t count) {
    if (slab->occupancy != NULL)
        give_places(slab, indices, count);
    else
        push_some(slab, indices, count);
}
