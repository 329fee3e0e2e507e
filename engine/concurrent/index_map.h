/* A map from a 64-bit hash to objects of a slab, without locks: a fixed table of lists (Harris and Michael's), whose
 * nodes stand at the start of the objects and are never unmapped.
 *
 *   link = version (31, never 0) | removed (1) | index of the next node (32)
 *
 * A node is removed by setting `removed` in its own link, which freezes it, and is then taken out of its list by
 * whoever comes by. Every change of a link raises its version, for as long as the node lives, over all its uses: an
 * unchanged word means an unchanged neighbourhood, so a walker on a node that was meanwhile taken out and used
 * elsewhere notices it when it looks back at the link it came from, and starts again.
 *
 * Objects nobody uses can be discarded (slab.h): their links then read 0, which no link in use ever is.
 *   - A walker holds words that it read from links in use. 0 differs from all of them, and so does all that follows:
 *     before a run is discarded the latest version of its nodes goes into `floors`, and that is where the next use of
 *     each goes on. So a discarded node looks to a walker like any other that changed: the look back fails, or the
 *     compare-and-swap does.
 *   - Nobody changes the link of a node that is not in use: it is frozen by `removed`, and what a walker expects of it
 *     is from before. So the versions counted are the last ones.
 *   - hash reads 0 as well: a match is only tried, and fails, for an object that is all zero is one without a use.
 *   - Heads and floors are not the slab's memory and stay.
 * Versions go round after 2^31 - 1 changes of one link. Only a walker that sleeps for so many can be fooled.
 *
 *   pairing                                                                   without it
 *   M1 release: insert's compare-and-swap   M2 acquire: every link load       a lookup sees a node before its fields
 *   M3 a floor is stored before the run is restored (P1), and loaded after    a version comes back: a walker on the
 *      its object is taken (P2); both relaxed                                 node's former list takes it for that one
 *   M4 release: prepare's link store        M2, then the look back             a walker that comes upon a node's next use
 *                                                                             does not see that it was taken out: it
 *                                                                             leaves its list and misses an object
 *   M5 seq_cst: insert's compare-and-swap,  M5 remove's compare-and-swap,      neither sees the other: a removed node stays
 *      then its look whether it is removed     then its look at the head          in the list, and ends it in its next use
 *
 * Any thread; lock-free. A lookup never waits: it only starts again when somebody else's change has succeeded. */
#ifndef WEIR_CONCURRENT_INDEX_MAP_H
#define WEIR_CONCURRENT_INDEX_MAP_H

#include "slab.h"

/* The first member of every object in the slab. */
struct index_node {
    atomic_u64 link;
    atomic_u64 hash;
};

struct index_map {
    struct slab *slab;
    uint32_t mask;
    atomic_u64 *heads;
    atomic_u32 *floors; /* by run of the slab: the version from which a link that reads 0 goes on */
};

/* Tells whether `object`, whose hash matched, is the one looked for; may take a reference to it. Objects can be taken
 * out, used again and discarded while this runs: it must check under a reference of its own, and an object of zeros
 * must be one that gives none. */
typedef bool (*index_match)(void *context, void *object);

/* A map of objects of the slab, best for about `objects` of them. WEIR_NO_MEMORY. */
int index_map_create(struct index_map *map, const weir_allocator *allocator, struct slab *slab, uint32_t objects);
void index_map_destroy(struct index_map *map, const weir_allocator *allocator);

/* Index of the object with this hash that `match` accepts, or SLAB_NONE. */
uint32_t index_map_find(struct index_map *map, uint64_t hash, index_match match, void *context);

/* Begins a use of the object `index`, before anybody can take a reference to it. From here on a find can come upon it,
 * inserted or not, if it stood on the object's last use; and whoever finds it may remove it. The object's last use, if
 * it had one, was ended by index_map_remove. */
void index_map_prepare(struct index_map *map, uint32_t index, uint64_t hash);

/* Adds the prepared object, unless there is one that `match` accepts: returns that one's index instead of `index`. An
 * object that was removed before stays out. */
uint32_t index_map_insert(struct index_map *map, uint32_t index, index_match match, void *context);

/* Takes the object out, if it ever got in. True for the one caller that did it; when it returns, no later find comes
 * upon the object. */
bool index_map_remove(struct index_map *map, uint32_t index);

/* Gives memory of objects that are not in use back to the system, if the slab is discardable: looks at up to `budget`
 * runs of SLAB_RUN objects, at each at most once, and goes on where the last call stopped. Returns how many runs it
 * discarded. One thread at a time; it is in nobody's way, and whoever looks for or takes an object waits for nothing. */
uint32_t index_map_discard(struct index_map *map, uint32_t budget);

#endif
