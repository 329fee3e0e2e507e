#include "cells.h"

#include "base/check.h"

int cell_pool_create(struct cell_pool *pool, const weir_allocator *allocator, uint64_t max_bytes) {
    pool->budget.limit = max_bytes;
    u64_store_relaxed(&pool->budget.used, 0);
    for (uint32_t i = 0; i < CELL_KINDS; i++) {
        uint32_t size = i == CELL_DESCRIPTOR ? CELL_DESCRIPTOR_SIZE : cell_size(i);
        uint64_t most = i == CELL_DESCRIPTOR ? CELL_DESCRIPTOR_MAX : CELL_INDEX_MAX;
        uint64_t maximum = max_bytes / size + 1;
        if (maximum > most) maximum = most;
        int status =
            slab_create(&pool->classes[i], allocator, &pool->budget, size, (uint32_t)maximum, CELL_CHUNK_SHIFT);
        WEIR_CHECK(status != WEIR_OK || i == CELL_DESCRIPTOR || pool->classes[i].chunk_shift == cell_chunk_shift(i));
        if (status == WEIR_OK) continue;
        while (i-- > 0)
            slab_destroy(&pool->classes[i]);
        return status;
    }
    return WEIR_OK;
}

void cell_pool_destroy(struct cell_pool *pool) {
    for (uint32_t i = 0; i < CELL_KINDS; i++)
        slab_destroy(&pool->classes[i]);
}

void cell_stock_open(struct cell_stock *stock, struct cell_pool *pool) {
    stock->pool = pool;
    stock->owed = 0;
    stock->collects = false;
    for (uint32_t i = 0; i < CELL_KINDS; i++)
        stock->classes[i].head = stock->classes[i].tail = 0;
}

static uint32_t held(const struct stock_class *kept) {
    return kept->tail - kept->head;
}

/* Small classes and descriptors are stocked STOCK_DEPTH deep; of large cells only one is taken when there is none, for
 * sixteen cells of 1 MiB in every producer's stock would eat the budget. */
static bool is_small(uint32_t class_index) {
    return class_index < CELL_SMALL_CLASSES || class_index == CELL_DESCRIPTOR;
}

static struct cell *any_cell_at(const struct cell_pool *pool, cell_reference reference) {
    return cell_has_payload(reference) ? cell_at(pool, reference) : descriptor_at(pool, reference);
}

COLD int cell_stock_refill(struct cell_stock *stock, uint32_t class_index) {
    struct stock_class *kept = &stock->classes[class_index];
    bool small = is_small(class_index);
    if (!small && held(kept) > 0) return WEIR_OK;
    uint32_t indices[STOCK_REFILL];
    uint32_t taken;
    int status = slab_take(&stock->pool->classes[class_index], indices, small ? STOCK_REFILL : 1, &taken);
    /* What is held already still serves; and every cell being out is the byte budget, which sized the classes. */
    if (status != WEIR_OK) return held(kept) > 0 ? WEIR_OK : status == WEIR_FULL ? WEIR_BYTES_LIMIT : status;
    for (uint32_t i = 0; i < taken; i++) {
        struct stocked_cell *place = &stock->cells[class_index][kept->tail++ & (STOCK_ROOM - 1)];
        place->reference = class_index << CELL_CLASS_SHIFT | indices[i];
        place->cell = any_cell_at(stock->pool, place->reference);
    }
    WEIR_DCHECK(held(kept) <= STOCK_ROOM);
    return WEIR_OK;
}

static void give_oldest(struct cell_stock *stock, uint32_t class_index, uint32_t count) {
    struct stock_class *kept = &stock->classes[class_index];
    uint32_t indices[STOCK_ROOM];
    for (uint32_t i = 0; i < count; i++)
        indices[i] = cell_index(stock->cells[class_index][kept->head++ & (STOCK_ROOM - 1)].reference);
    slab_give(&stock->pool->classes[class_index], indices, count);
}

COLD void cell_stock_spill(struct cell_stock *stock, uint32_t class_index) {
    give_oldest(stock, class_index, held(&stock->classes[class_index]) / 2);
}

static void keep_with_payload(struct cell_stock *stock, cell_reference reference) {
    uint32_t class_index = cell_class(reference);
    if (class_index >= CELL_SMALL_CLASSES && held(&stock->classes[class_index]) == STOCK_LARGE)
        cell_stock_spill(stock, class_index);
    cell_stock_keep_small(stock, reference);
}

/* The producer's own share, larger than any number of slots: descriptors may be evicted, and give theirs back, before
 * those that got into slots are added up. */
#define BODY_PRODUCER (1ull << 40)

/* True for the last share: the body is the caller's then. */
static bool give_shares(struct cell *body, uint64_t shares) {
    return u64_subtract_acq_rel(&body->sequence, shares) == shares; /* B1, B2 */
}

static cell_reference body_of(const struct cell *descriptor) {
    return (cell_reference)cell_word_load(descriptor, DESCRIPTOR_BODY); /* relaxed: an evicted one is the caller's */
}

static void pay_shares(struct cell_stock *stock) {
    if (stock->owed == 0) return;
    struct cell *body = cell_at(stock->pool, stock->owed_body);
    if (give_shares(body, stock->owed)) keep_with_payload(stock, stock->owed_body);
    stock->owed = 0;
}

static void keep_descriptor(struct cell_stock *stock, cell_reference reference) {
    struct stock_class *kept = &stock->classes[CELL_DESCRIPTOR];
    struct cell *descriptor = descriptor_at(stock->pool, reference);
    cell_reference body = body_of(descriptor);
    if (body != stock->owed_body) pay_shares(stock);
    stock->owed_body = body;
    stock->owed++;
    if (!stock->collects) pay_shares(stock);
    if (held(kept) == STOCK_ROOM) cell_stock_spill(stock, CELL_DESCRIPTOR);
    struct stocked_cell *place = &stock->cells[CELL_DESCRIPTOR][kept->tail++ & (STOCK_ROOM - 1)];
    place->cell = descriptor;
    place->reference = reference;
}

void cell_stock_keep(struct cell_stock *stock, cell_reference reference) {
    if (cell_has_payload(reference))
        keep_with_payload(stock, reference);
    else
        keep_descriptor(stock, reference);
}

void cell_pool_give(struct cell_pool *pool, cell_reference reference) {
    uint32_t index = cell_index(reference);
    if (!cell_has_payload(reference)) {
        cell_reference body = body_of(descriptor_at(pool, reference));
        if (give_shares(cell_at(pool, body), 1)) cell_pool_give(pool, body);
    }
    slab_give(&pool->classes[cell_class(reference)], &index, 1);
}

void body_open(struct body *body, struct cell_stock *stock, const struct stocked_cell *filled) {
    body->cell = filled->cell;
    body->reference = filled->reference;
    body->facts = u64_load_relaxed(&filled->cell->facts) | FACTS_KEYED;
    u64_store_relaxed(&filled->cell->sequence, BODY_PRODUCER); /* relaxed: published with the first descriptor (R2) */
    cell_stock_spend(stock, cell_class(filled->reference));
    stock->collects = true;
}

const struct stocked_cell *body_describe(const struct body *body, struct cell_stock *stock, uint64_t broadcast,
                                         int *status) {
    if (cell_stock_next(stock, CELL_DESCRIPTOR, status) == NULL) return NULL;
    struct stock_class *kept = &stock->classes[CELL_DESCRIPTOR];
    struct stocked_cell *next = &stock->cells[CELL_DESCRIPTOR][kept->head & (STOCK_ROOM - 1)];
    next->reference = CELL_DESCRIPTOR << CELL_CLASS_SHIFT | cell_class(body->reference) << CELL_DESCRIPTOR_SHIFT |
                      cell_index(next->reference);
    fence_release();                                    /* F1 */
    u64_store_relaxed(&next->cell->facts, body->facts); /* relaxed, all three: R2 publishes them */
    u64_store_relaxed(cell_word(next->cell, DESCRIPTOR_BODY), body->reference);
    u64_store_relaxed(cell_word(next->cell, DESCRIPTOR_BROADCAST), broadcast);
    return next;
}

void body_close(const struct body *body, struct cell_stock *stock, uint64_t published) {
    stock->collects = false;
    pay_shares(stock);
    if (give_shares(body->cell, BODY_PRODUCER - published)) keep_with_payload(stock, body->reference);
}

void cell_stock_close(struct cell_stock *stock) {
    for (uint32_t i = 0; i < CELL_KINDS; i++)
        give_oldest(stock, i, held(&stock->classes[i]));
}
