/* Cells: the memory of events, in size classes, and each producer's private stock of them.
 *
 * A cell is filled by the one producer that holds it, published by naming it in a slot (slots.h), and evicted by the
 * producer that replaces that slot's word, which then holds it. So a cell has one holder at any time: the pool, a
 * producer's stock, or a slot. Readers never hold cells; they copy and check.
 *
 * A stock hands cells out in the order it got them, and keeps at least STOCK_DEPTH of a class that it uses: a cell is
 * written again some publishes after its eviction, when its lines have come back from the last reader's core.
 *
 * An event that goes to many sessions is stored once: a cell that no slot names, its body, and one descriptor for each
 * slot, a cell of 32 bytes that names the body. The body's holder is all of them together: its `sequence` word, which
 * nothing else needs in a cell outside of slots, counts the descriptors that are in a slot, and one share of the
 * producer that is still handing them out. Whoever evicts a descriptor holds it, and gives its share back.
 *
 *   pairing                                                                   without it
 *   B1 release: giving a share back          B2 acquire: giving the last one   the body is filled again before the slots
 *                                                                              that led to it have changed: torn */
#ifndef WEIR_CONCURRENT_CELLS_H
#define WEIR_CONCURRENT_CELLS_H

#include "slab.h"

#define CELL_CLASSES        15 /* 128 B << 0 .. 14: the largest holds 1 MiB and its header */
#define CELL_SMALLEST_SHIFT 7
#define CELL_SMALLEST       (1u << CELL_SMALLEST_SHIFT)
#define CELL_HEADER         16u
#define CELL_SMALL_ROOM     (CELL_SMALLEST - CELL_HEADER)
#define CELL_CLASS_SHIFT    28 /* a reference is class | index */
#define CELL_INDEX_MAX      ((1u << CELL_CLASS_SHIFT) - 1)
#define CELL_SMALL_CLASSES  4  /* 128 B to 1 KiB: bounded by their count, not by bytes. A power of two: see publish */
#define CELL_CHUNK_SHIFT    16 /* a slab's chunk of cells: 64 KiB, or one larger cell */

/* A descriptor's reference is 15 | class of its body | index. */
#define CELL_DESCRIPTOR       15u
#define CELL_DESCRIPTOR_SIZE  32u
#define CELL_DESCRIPTOR_SHIFT 24
#define CELL_DESCRIPTOR_MAX   ((1u << CELL_DESCRIPTOR_SHIFT) - 1)
#define CELL_KINDS            16u /* classes and descriptors: what a pool and a stock are made of */

/* References that name nothing: as if of a body of class 15. */
#define CELL_EMPTY   0xFF000000u /* nothing published in this slot yet */
#define CELL_EVICTED 0xFF000001u /* published, and evicted before its slot came round again */

typedef uint32_t cell_reference;

struct cell {
    atomic_u64 sequence; /* full number of the event, checked after every copy; of a body, its shares */
    atomic_u64 facts;    /* length 21 | rare 1 | kind 10 | time in ms since engine start 32 */
    uint64_t payload[];  /* through copy.h, or as atomic words where it is not the event's bytes */
};

enum { DESCRIPTOR_BODY = 0, DESCRIPTOR_BROADCAST = 1 }; /* words of a descriptor's payload */

struct cell_pool {
    struct slab classes[CELL_KINDS];
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
    } classes[CELL_KINDS];
    struct stocked_cell cells[CELL_KINDS][STOCK_ROOM];
    /* Shares of one body that evicted descriptors held: while a broadcast goes from ring to ring, all of them evict
     * descriptors of the same old body, mostly, and one subtraction gives all those shares back. */
    cell_reference owed_body;
    uint32_t owed;
    bool collects;
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
/* Whether it names anything: a cell with an event's payload, or a descriptor. */
static inline bool cell_is_cell(cell_reference reference) {
    return reference < CELL_EMPTY;
}
static inline bool cell_has_payload(cell_reference reference) {
    return reference < CELL_DESCRIPTOR << CELL_CLASS_SHIFT;
}
static inline uint32_t cell_index(cell_reference reference) {
    return reference & (cell_has_payload(reference) ? CELL_INDEX_MAX : CELL_DESCRIPTOR_MAX);
}
/* The class of the cell that the payload is in: its own, or the body's. */
static inline uint32_t cell_payload_class(cell_reference reference) {
    if (LIKELY(cell_has_payload(reference))) return cell_class(reference);
    return reference >> CELL_DESCRIPTOR_SHIFT & 0xF;
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

/* Bytes of payload that a key stands behind, which must have room as well. */
static inline size_t cell_keyed_length(size_t length) {
    return (length + 7) / 8 * 8 + 8;
}

/* How many cells of a class, as a power of two, share a chunk: what slab_create makes of CELL_CHUNK_SHIFT. */
static inline uint32_t cell_chunk_shift(uint32_t class_index) {
    uint32_t size_shift = CELL_SMALLEST_SHIFT + class_index;
    return size_shift < CELL_CHUNK_SHIFT ? CELL_CHUNK_SHIFT - size_shift : 0;
}

/* slab_at with what is known of cells: sizes and chunks are powers of two. Not for descriptors. The chunks of the class are
 * given for the sake of loops, whose stores would otherwise have the pointer to them loaded again each time. */
static inline struct cell *cell_in_chunks(const atomic_pointer *chunks, uint32_t class_index, uint32_t index) {
    uint32_t shift = cell_chunk_shift(class_index);
    char *chunk = (char *)pointer_load_acquire(&chunks[index >> shift]); /* S4 */
    uint32_t place = index & ((1u << shift) - 1);
    return (struct cell *)(void *)(chunk + ((size_t)place << (CELL_SMALLEST_SHIFT + class_index)));
}

static inline struct cell *cell_in_class(const struct cell_pool *pool, uint32_t class_index, uint32_t index) {
    return cell_in_chunks(pool->classes[class_index].chunks, class_index, index);
}

static inline struct cell *cell_at(const struct cell_pool *pool, cell_reference reference) {
    return cell_in_class(pool, cell_class(reference), reference & CELL_INDEX_MAX);
}

static inline struct cell *descriptor_at(const struct cell_pool *pool, cell_reference reference) {
    return (struct cell *)slab_at(&pool->classes[CELL_DESCRIPTOR], reference & CELL_DESCRIPTOR_MAX);
}

/* A word of the payload that is not the event's bytes. */
static inline atomic_u64 *cell_word(struct cell *cell, size_t word) {
    return (atomic_u64 *)(void *)&cell->payload[word];
}
static inline uint64_t cell_word_load(const struct cell *cell, size_t word) {
    return u64_load_relaxed((const atomic_u64 *)(const void *)&cell->payload[word]); /* relaxed: judged by R3 */
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
    return (uint32_t)(facts >> 32) & 0x3FF;
}
/* In a cell with its payload: a key stands behind it. In a descriptor always set, for a broadcast's number is as rare. So
 * of an event that was read: there is more to it than its payload, which slots_read_rare tells. */
#define FACTS_KEYED (1ull << 42)
static inline bool facts_are_rare(uint64_t facts) {
    return (facts & FACTS_KEYED) != 0;
}
/* The length; of a rare event more than any, so that one comparison with the room refuses both. */
static inline uint32_t facts_plain_length(uint64_t facts) {
    uint32_t length_and_rare = (uint32_t)(facts >> 42);
    return length_and_rare >> 1 | length_and_rare << 31;
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

static inline bool cell_stock_has(const struct cell_stock *stock, uint32_t class_index) {
    return stock->classes[class_index].tail != stock->classes[class_index].head;
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

/* For events in cells of class 0 that replace such events, as nearly all do: then the stock only turns. Whether it holds
 * enough for that, the next cell, and what becomes of the one that was evicted; all as above, with nothing to decide. */
static inline bool small_stock_turns(const struct cell_stock *stock) {
    return stock->classes[0].tail - stock->classes[0].head > STOCK_DEPTH;
}
static inline const struct stocked_cell *small_stock_next(const struct cell_stock *stock) {
    return &stock->cells[0][stock->classes[0].head & (STOCK_ROOM - 1)];
}
static inline void small_stock_turn(struct cell_stock *stock, cell_reference evicted) {
    struct stock_class *kept = &stock->classes[0];
    kept->head++;
    struct cell *cell = cell_in_class(stock->pool, 0, evicted);
    prefetch_for_write(cell);
    prefetch_for_write((char *)cell + CACHE_LINE);
    struct stocked_cell *place = &stock->cells[0][kept->tail++ & (STOCK_ROOM - 1)];
    place->cell = cell;
    place->reference = evicted;
}

/* The same for a cell of any class. A descriptor's share goes back; with the last one the body is kept as well. */
void cell_stock_keep(struct cell_stock *stock, cell_reference reference);

/* Gives an evicted cell of any class, and what it held, back to the pool. */
void cell_pool_give(struct cell_pool *pool, cell_reference reference);

/* The cell that cell_stock_next gave, filled and keyed, becomes a body: it leaves the stock, and its producer holds a share
 * until body_close. One body at a time is open in a stock. */
struct body {
    struct cell *cell;
    cell_reference reference;
    uint64_t facts; /* as descriptors have them */
};
void body_open(struct body *body, struct cell_stock *stock, const struct stocked_cell *filled);

/* The next descriptor, filled for the body, or NULL with a status. It stays in the stock until cell_stock_spend. */
const struct stocked_cell *body_describe(const struct body *body, struct cell_stock *stock, uint64_t broadcast,
                                         int *status);

/* `published` of its descriptors got into slots. */
void body_close(const struct body *body, struct cell_stock *stock, uint64_t published);

#endif
