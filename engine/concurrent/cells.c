#include "cells.h"

#include "base/check.h"

int cell_pool_create(struct cell_pool *pool, const weir_allocator *allocator, uint64_t max_bytes) {
    pool->budget.limit = max_bytes;
    u64_store_relaxed(&pool->budget.used, 0);
    for (uint32_t i = 0; i < CELL_CLASSES; i++) {
        uint64_t maximum = max_bytes / cell_size(i) + 1;
        if (maximum > CELL_INDEX_MAX) maximum = CELL_INDEX_MAX;
        int status = slab_create(&pool->classes[i], allocator, &pool->budget, cell_size(i), (uint32_t)maximum,
                                 CELL_CHUNK_SHIFT);
        if (status == WEIR_OK) continue;
        while (i-- > 0)
            slab_destroy(&pool->classes[i]);
        return status;
    }
    return WEIR_OK;
}

void cell_pool_destroy(struct cell_pool *pool) {
    for (uint32_t i = 0; i < CELL_CLASSES; i++)
        slab_destroy(&pool->classes[i]);
}

void cell_stock_open(struct cell_stock *stock, struct cell_pool *pool) {
    stock->pool = pool;
    for (uint32_t i = 0; i < CELL_CLASSES; i++)
        stock->classes[i].head = stock->classes[i].tail = 0;
}

static uint32_t held(const struct stock_class *kept) {
    return kept->tail - kept->head;
}

/* A small class is stocked STOCK_DEPTH deep; of large cells only one is taken when there is none, for sixteen cells of
 * 1 MiB in every producer's stock would eat the budget. */
COLD int cell_stock_refill(struct cell_stock *stock, uint32_t class_index) {
    struct stock_class *kept = &stock->classes[class_index];
    bool small = class_index < CELL_SMALL_CLASSES;
    if (!small && held(kept) > 0) return WEIR_OK;
    uint32_t indices[STOCK_REFILL];
    uint32_t taken;
    int status = slab_take(&stock->pool->classes[class_index], indices, small ? STOCK_REFILL : 1, &taken);
    /* What is held already still serves; and every cell being out is the byte budget, which sized the classes. */
    if (status != WEIR_OK) return held(kept) > 0 ? WEIR_OK : status == WEIR_FULL ? WEIR_BYTES_LIMIT : status;
    for (uint32_t i = 0; i < taken; i++) {
        struct stocked_cell *place = &stock->cells[class_index][kept->tail++ & (STOCK_ROOM - 1)];
        place->reference = class_index << CELL_CLASS_SHIFT | indices[i];
        place->cell = cell_at(stock->pool, place->reference);
    }
    WEIR_DCHECK(held(kept) <= STOCK_ROOM);
    return WEIR_OK;
}

static void give_oldest(struct cell_stock *stock, uint32_t class_index, uint32_t count) {
    struct stock_class *kept = &stock->classes[class_index];
    uint32_t indices[STOCK_ROOM];
    for (uint32_t i = 0; i < count; i++)
        indices[i] = stock->cells[class_index][kept->head++ & (STOCK_ROOM - 1)].reference & CELL_INDEX_MAX;
    slab_give(&stock->pool->classes[class_index], indices, count);
}

COLD void cell_stock_spill(struct cell_stock *stock, uint32_t class_index) {
    give_oldest(stock, class_index, held(&stock->classes[class_index]) / 2);
}

void cell_stock_keep(struct cell_stock *stock, cell_reference reference) {
    uint32_t class_index = cell_class(reference);
    if (class_index >= CELL_SMALL_CLASSES && held(&stock->classes[class_index]) == STOCK_LARGE)
        cell_stock_spill(stock, class_index);
    cell_stock_keep_small(stock, reference);
}

void cell_stock_close(struct cell_stock *stock) {
    for (uint32_t i = 0; i < CELL_CLASSES; i++)
        give_oldest(stock, i, held(&stock->classes[i]));
}
