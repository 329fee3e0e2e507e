/* One ring with its cells and two producers' stocks: what the scenarios of slots and cells begin with. The helpers check
 * what holds at every step; the number of cells is fixed, so that evicted ones are written again at once. */
#ifndef WEIR_EXPLORE_RING_H
#define WEIR_EXPLORE_RING_H

#include "concurrent/slots.h"
#include "explore.h"

struct ring {
    struct cell_pool pool;
    struct slots *slots;
    struct cell_stock stocks[THREADS_MAX];
    uint64_t names[THREADS_MAX + 1];
    atomic_u64 hint;
    atomic_u64 position;
    uint64_t published; /* counted by ring_check */
    uint64_t accepted[THREADS_MAX + 1];
    uint64_t consumed;
    uint32_t ended[THREADS_MAX];
    uint32_t refused[THREADS_MAX];
    uint64_t done[THREADS_MAX + 1]; /* publishes by thread */
    uint64_t guards[8];
    uint64_t owner[64]; /* of each cell, written plainly by whoever has just taken it: a race tells */
};
extern struct ring *R;

/* A ring of 2^log2 places with `published` events, and `spare` cells for each producer. There are no more. */
void ring_begin(uint32_t log2, uint32_t published, uint32_t spare);

/* Publishes an event of this thread's, from a sequence at or below the first free one: its sequence. */
uint64_t ring_publish(uint64_t from);
uint64_t ring_publish_keyed(void);
/* UINT64_MAX when it is refused or the end is there. */
uint64_t ring_try_publish(uint64_t from, const atomic_u64 *consumed, uint32_t depth);
/* Keeps an evicted cell. */
void ring_keep(cell_reference reference);

/* Reads, and expects that what is accepted is one event. */
enum slot_state ring_read(uint64_t sequence);
void ring_read_key(uint64_t sequence);

/* Alone: all that was published is there, or was lapped, and each cell is in one place. The number of events. */
uint64_t ring_check(void);
void ring_check_cells(void);

#endif
