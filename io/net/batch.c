#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void batch_pool_init(struct batch_pool *pool, size_t capacity) {
    pool->free = NULL;
    pool->free_count = 0;
    pool->capacity = capacity;
}

static void free_batch(struct batch *batch) {
    free(batch->offsets);
    free(batch->data);
    free(batch);
}

void batch_pool_close(struct batch_pool *pool) {
    while (pool->free != NULL) {
        struct batch *batch = pool->free;
        pool->free = batch->next_free;
        free_batch(batch);
    }
    pool->free_count = 0;
}

static struct batch *make_batch(size_t capacity, bool indexed) {
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) return NULL;
    batch->data = malloc(capacity);
    if (indexed) batch->offsets = malloc((BATCH_EVENTS + 1) * sizeof(uint32_t));
    if (batch->data == NULL || (indexed && batch->offsets == NULL)) {
        free_batch(batch);
        return NULL;
    }
    batch->capacity = capacity;
    batch->holders = 1;
    return batch;
}

struct batch *batch_take(struct batch_pool *pool, uint64_t from) {
    struct batch *batch = pool->free;
    if (batch != NULL) {
        pool->free = batch->next_free;
        pool->free_count--;
        batch->holders = 1;
    } else {
        batch = make_batch(pool->capacity, true);
        if (batch == NULL) return NULL;
        batch->pool = pool;
    }
    batch->from = batch->to = from;
    batch->length = 0;
    batch->offsets[0] = 0;
    return batch;
}

struct batch *batch_copy(const struct batch *batch, uint64_t sequence) {
    size_t start = batch_offset(batch, sequence);
    struct batch *copy = make_batch(batch->length - start, false);
    if (copy == NULL) return NULL;
    memcpy(copy->data, batch->data + start, batch->length - start);
    copy->length = batch->length - start;
    copy->from = sequence;
    copy->to = batch->to;
    return copy;
}

bool batch_fits(struct batch *batch, size_t size) {
    if (batch->to - batch->from >= BATCH_EVENTS) return false;
    if (batch->capacity - batch->length >= size) return true;
    if (batch->length > 0) return false;
    char *data = realloc(batch->data, size);
    if (data == NULL) return false;
    batch->data = data;
    batch->capacity = size;
    return true;
}

void batch_added(struct batch *batch, size_t size) {
    WEIR_DCHECK(size <= batch->capacity - batch->length && batch->to - batch->from < BATCH_EVENTS);
    batch->length += size;
    batch->to++;
    batch->offsets[batch->to - batch->from] = (uint32_t)batch->length;
}

void batch_release(struct batch *batch) {
    if (batch == NULL) return;
    WEIR_CHECK(batch->holders > 0);
    if (--batch->holders > 0) return;
    struct batch_pool *pool = batch->pool;
    if (pool == NULL || pool->free_count == BATCH_POOL || batch->capacity > pool->capacity) {
        free_batch(batch);
        return;
    }
    batch->next_free = pool->free;
    pool->free = batch;
    pool->free_count++;
}
