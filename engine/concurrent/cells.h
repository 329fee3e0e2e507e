/* Cells: the memory of events, in size classes, and each producer's private stock of them.
 *
 * A cell is filled by the one producer that holds it, published by naming it in a slot (slots.h), and evicted by the
 * producer that replaces that slot's word, which then holds it. So a cell has one holder at any time: the pool, a
 * producer's stock, or a slot. Readers never hold cells; they copy and check.
 *
 * A stock hands cells out in the order it got them, and keeps at least STOCK_DEPTH of a class that it uses: a cell is
 * written again some publishes after its eviction, when its lines have come back from the last reader's core. */
#ifndef WEIR_CONCURRENT_CELLS_H
#define WEIR_CONCURRENT_CELLS_H

#include "slab.h"

#define CELL_CLASSES        15 /* 128 B << 0 .. 14: the largest holds 1 MiB and its header */
#define CELL_SMALLEST_SHIFT 7
#define CELL_SMALLEST       (1u << CELL_SMALLEST_SHIFT)
#define CELL_HEADER         16u
#define CELL_CLASS_SHIFT    28 /* a reference is class | index */
#define CELL_INDEX_MAX      ((1u << CELL_CLASS_SHIFT) - 1)
#define CELL_SMALL_CLASSES  4  /* 128 B to 1 KiB: bounded by their count, not by bytes. A power of two: see publish */
#define CELL_CHUNK_SHIFT    16 /* a slab's chunk of cells: 64 KiB, or one larger cell */

/* References that name no cell: class 15. */
#define CELL_EMPTY   0xF0000000u /* nothing published in this slot yet */
#define CELL_EVICTED 0xF0000001u /* published, and evicted before its slot came round again */

typedef uint32_t cell_reference;

struct cell {
    atomic_u64 sequence; /* full number of the event, checked after every copy */
    atomic_u64 facts;    /* length 21 | kind 11 | time in ms since engine start 32 */
    uint64_t payload[];  /* through copy.h only */
};

struct cell_pool {
    struct slab classes[CELL_CLASSES];
    struct slab_budget budget;
};

#define STOCK_DEPTH  8u /* publishes between eviction and re-use: measured, see bench/README.md */
#define STOCK_REFILL 8u
#define STOCK_ROOM   16u /* power of two; more goes back to the pool */
#define STOCK_LARGE  4u  /* the same for classes above the small ones, whose memory counts */

/* A cell with its address, worked out while nobody waits for it: between two publishes, not before a claim. */
struct stocked_cell {
    struct cell *cell;
    cell_reference reference;
};

struct cell_stock {
    struct cell_pool *pool;
    struct stock_class {
        uint32_t head; /* free-running: next to hand out */
        uint32_t tail; /* free-running: next place to keep */
    } classes[CELL_CLASSES];
    struct stocked_cell cells[CELL_CLASSES][STOCK_ROOM];
};

int cell_pool_create(struct cell_pool *pool, const weir_allocator *allocator, uint64_t max_bytes);
void cell_pool_destroy(struct cell_pool *pool);

void cell_stock_open(struct cell_stock *stock, struct cell_pool *pool);
void cell_stock_close(struct cell_stock *stock);

/* Gets cells of a class from the pool. Statuses of slab_take. */
int cell_stock_refill(struct cell_stock *stock, uint32_t class_index);
/* Gives the older half of a class back to the pool. */
void cell_stock_spill(struct cell_stock *stock, uint32_t class_index);

static inline uint32_t cell_class(cell_reference reference) {
    return reference >> CELL_CLASS_SHIFT;
}
static inline bool cell_is_cell(cell_reference reference) {
    return cell_class(reference) < CELL_CLASSES;
}
static inline uint32_t cell_size(uint32_t class_index) {
    return CELL_SMALLEST << class_index;
}
static inline uint32_t cell_room(uint32_t class_index) {
    return cell_size(class_index) - CELL_HEADER;
}

/* The class for a payload: the position of the highest bit that header and payload reach beyond 127. */
static inline uint32_t cell_class_for(size_t length) {
    if (LIKELY(length <= CELL_SMALLEST - CELL_HEADER)) return 0;
    return 32 - (uint32_t)__builtin_clz((uint32_t)((length + CELL_HEADER - 1) / CELL_SMALLEST));
}

/* slab_at with what is known of cells: sizes are powers of two. */
static inline struct cell *cell_at(const struct cell_pool *pool, cell_reference reference) {
    uint32_t class_index = cell_class(reference);
    uint32_t index = reference & CELL_INDEX_MAX;
    const struct slab *slab = &pool->classes[class_index];
    uint32_t chunk_index = index >> slab->chunk_shift;
    uint32_t place = index - (chunk_index << slab->chunk_shift);
    char *chunk = (char *)pointer_load_acquire(&slab->chunks[chunk_index]);
    return (struct cell *)(void *)(chunk + ((size_t)place << (CELL_SMALLEST_SHIFT + class_index)));
}

/* The facts travel as the one word they are stored as. The time wraps after 49 days; weir_read completes it from the
 * clock. */
static inline uint64_t facts_pack(size_t length, uint32_t kind, uint32_t time_ms) {
    return (uint64_t)length << 43 | (uint64_t)kind << 32 | time_ms;
}
static inline uint32_t facts_length(uint64_t facts) {
    return (uint32_t)(facts >> 43);
}
static inline uint32_t facts_kind(uint64_t facts) {
    return (uint32_t)(facts >> 32) & 0x7FF;
}
static inline uint32_t facts_time_ms(uint64_t facts) {
    return (uint32_t)facts;
}

/* The next cell of a class from the stock, or NULL with a status. It stays in the stock until cell_stock_spend: a
 * claim that fails needs no undoing. */
static inline const struct stocked_cell *cell_stock_next(struct cell_stock *stock, uint32_t class_index,
                                                         int *status) {
    struct stock_class *kept = &stock->classes[class_index];
    if (UNLIKELY(kept->tail - kept->head <= STOCK_DEPTH)) {
        *status = cell_stock_refill(stock, class_index);
        if (UNLIKELY(*status != WEIR_OK)) return NULL;
    }
    return &stock->cells[class_index][kept->head & (STOCK_ROOM - 1)];
}

/* What cell_stock_next gave is published. */
static inline void cell_stock_spend(struct cell_stock *stock, uint32_t class_index) {
    stock->classes[class_index].head++;
}

/* Keeps an evicted cell of a small class. The lines are asked for now, for writing, some publishes before they are
 * needed. */
static inline void cell_stock_keep_small(struct cell_stock *stock, cell_reference reference) {
    uint32_t class_index = cell_class(reference);
    struct stock_class *kept = &stock->classes[class_index];
    if (UNLIKELY(kept->tail - kept->head == STOCK_ROOM)) cell_stock_spill(stock, class_index);
    struct cell *cell = cell_at(stock->pool, reference);
    prefetch_for_write(cell);
    prefetch_for_write((char *)cell + CACHE_LINE);
    struct stocked_cell *place = &stock->cells[class_index][kept->tail++ & (STOCK_ROOM - 1)];
    place->cell = cell;
    place->reference = reference;
}

/* The same for a cell of any class. */
void cell_stock_keep(struct cell_stock *stock, cell_reference reference);

#endif
