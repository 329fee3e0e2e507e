/* A batch: consecutive events of one session, rendered once for one wire profile, shared by every subscriber that
 * stands inside it.
 *
 *   events    [from, to); event s lies at data[offset[s - from] .. offset[s - from + 1])
 *   append    grows at the end only, never moves: a send in flight keeps its bytes
 *   holders   sends in flight and the outlet's places; the last one to let go frees it
 *
 * A working batch has room for the configured number of bytes and is kept for re-use; an exact one (for a lone
 * subscriber, which may hold it for long) is as large as its content. One thread: the reactor's. */
#ifndef WEIR_IO_NET_BATCH_H
#define WEIR_IO_NET_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BATCH_EVENTS 1024u /* in one batch, and so in one send */
#define BATCH_POOL   8u    /* working batches kept for re-use */

struct batch_pool;

struct batch {
    struct batch_pool *pool; /* NULL: exact, freed at the end */
    struct batch *next_free;
    uint32_t holders;
    uint64_t from;
    uint64_t to;
    size_t length;
    size_t capacity;
    uint32_t *offsets; /* NULL: exact, one run from the start */
    char *data;
};

struct batch_pool {
    struct batch *free;
    uint32_t free_count;
    size_t capacity; /* of a working batch */
};

void batch_pool_init(struct batch_pool *pool, size_t capacity);
void batch_pool_close(struct batch_pool *pool);

/* An empty working batch with one holder, beginning at `from`; NULL without memory. */
struct batch *batch_take(struct batch_pool *pool, uint64_t from);

/* The content from `sequence` on, copied into an exact batch with one holder; NULL without memory. */
struct batch *batch_copy(const struct batch *batch, uint64_t sequence);

/* Room for one more event of up to `size` bytes? For an event larger than a whole working batch, an empty batch is
 * made larger. */
bool batch_fits(struct batch *batch, size_t size);
void batch_added(struct batch *batch, size_t size);

static inline bool batch_holds(const struct batch *batch, uint64_t sequence) {
    return batch != NULL && sequence >= batch->from && sequence < batch->to;
}

static inline size_t batch_offset(const struct batch *batch, uint64_t sequence) {
    return batch->offsets == NULL ? 0 : batch->offsets[sequence - batch->from];
}

static inline void batch_hold(struct batch *batch) {
    batch->holders++;
}

/* NULL does nothing. */
void batch_release(struct batch *batch);

#endif
