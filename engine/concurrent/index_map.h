/* A map from a 64-bit hash to objects of a slab, without locks: a fixed table of lists (Harris and Michael's), whose
 * nodes stand at the start of the objects and are never unmapped.
 *
 *   link = version (31) | removed (1) | index of the next node (32)
 *
 * A node is removed by setting `removed` in its own link, which freezes it, and is then taken out of its list by
 * whoever comes by. Every change of a link raises its version, for as long as the node lives, over all its uses: an
 * unchanged word means an unchanged neighbourhood, so a walker on a node that was meanwhile taken out and used
 * elsewhere notices it when it looks back at the link it came from, and starts again.
 *
 *   pairing                                                                   without it
 *   M1 release: insert's compare-and-swap   M2 acquire: every link load       a lookup sees a node before its fields
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
    const struct slab *slab;
    uint32_t mask;
    atomic_u64 *heads;
};

/* Tells whether `object`, whose hash matched, is the one looked for; may take a reference to it. Objects can be taken
 * out and used again while this runs: it must check under a reference of its own. */
typedef bool (*index_match)(void *context, void *object);

int index_map_create(struct index_map *map, const weir_allocator *allocator, const struct slab *slab,
                     uint32_t objects);
void index_map_destroy(struct index_map *map, const weir_allocator *allocator);

/* Index of the object with this hash that `match` accepts, or SLAB_NONE. */
uint32_t index_map_find(struct index_map *map, uint64_t hash, index_match match, void *context);

/* Begins a use of the object `index`, before anybody can take a reference to it. From here on a find can come upon it,
 * inserted or not, if it stood on the object's last use; and whoever finds it may remove it. */
void index_map_prepare(struct index_map *map, uint32_t index, uint64_t hash);

/* Adds the prepared object, unless there is one that `match` accepts: returns that one's index instead of `index`. An
 * object that was removed before stays out. */
uint32_t index_map_insert(struct index_map *map, uint32_t index, index_match match, void *context);

/* Takes the object out, if it ever got in. True for the one caller that did it; when it returns, no later find comes upon the object. */
bool index_map_remove(struct index_map *map, uint32_t index);

#endif
