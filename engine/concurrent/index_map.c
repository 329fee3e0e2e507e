#include "index_map.h"

#include "base/memory.h"

#define LINK_REMOVED (1ull << 32)

static uint32_t link_index(uint64_t link) {
    return (uint32_t)link;
}

#define VERSIONS ((1u << 31) - 1) /* 1 to 2^31 - 1 */

static uint32_t link_version(uint64_t link) {
    return (uint32_t)(link >> 33);
}

static uint64_t link_after(uint64_t old, uint32_t index) {
    uint64_t version = (old >> 33) + 1;
    version += version >> 31; /* past 0: the bit above is shifted out */
    return version << 33 | index;
}

static struct index_node *node_at(const struct index_map *map, uint32_t index) {
    return (struct index_node *)slab_at(map->slab, index);
}

int index_map_create(struct index_map *map, const weir_allocator *allocator, struct slab *slab, uint32_t objects) {
    uint32_t buckets = 64;
    while (buckets < objects)
        buckets *= 2;
    map->slab = slab;
    map->mask = buckets - 1;
    map->heads = (atomic_u64 *)memory_take(allocator, sizeof(atomic_u64) * buckets, CACHE_LINE);
    map->floors = NULL;
    if (map->heads == NULL) return WEIR_NO_MEMORY;
    for (uint32_t i = 0; i < buckets; i++)
        u64_store_relaxed(&map->heads[i], SLAB_NONE);
    if (slab_runs(slab) == 0) return WEIR_OK;
    map->floors = (atomic_u32 *)memory_take(allocator, sizeof(atomic_u32) * slab_runs(slab), CACHE_LINE);
    if (map->floors != NULL) return WEIR_OK;
    index_map_destroy(map, allocator);
    return WEIR_NO_MEMORY;
}

void index_map_destroy(struct index_map *map, const weir_allocator *allocator) {
    memory_give(allocator, map->heads, sizeof(atomic_u64) * ((size_t)map->mask + 1), CACHE_LINE);
    memory_give(allocator, map->floors, sizeof(atomic_u32) * slab_runs(map->slab), CACHE_LINE);
    map->heads = NULL;
}

/* One pass over a list from `head`. Takes out removed nodes on the way. *head_word is the head as this pass left it:
 * as long as the head still holds it, nothing was added since. Returns false when somebody else's change got in. */
static bool walk_once(struct index_map *map, atomic_u64 *head, uint64_t hash, index_match match, void *context,
                      uint64_t *head_word, uint32_t *found) {
    atomic_u64 *from = head;
    uint64_t word = u64_load_seq_cst(head); /* M2, M5 */
    *head_word = word;
    while (link_index(word) != SLAB_NONE) {
        struct index_node *node = node_at(map, link_index(word));
        uint64_t next = u64_load_acquire(&node->link);    /* M2 */
        if (u64_load_acquire(from) != word) return false; /* `node` may be in another list by now */
        if (next & LINK_REMOVED) {
            uint64_t around = link_after(word, link_index(next));
            if (!u64_cas_acq_rel(from, &word, around)) return false;
            if (from == head) *head_word = around;
            word = around;
            continue;
        }
        if (match != NULL && u64_load_relaxed(&node->hash) == hash && match(context, node)) {
            *found = link_index(word);
            return true;
        }
        from = &node->link;
        word = next;
    }
    *found = SLAB_NONE;
    return true;
}

static uint32_t walk(struct index_map *map, uint64_t hash, index_match match, void *context, uint64_t *head_word) {
    uint32_t found;
    while (!walk_once(map, &map->heads[hash & map->mask], hash, match, context, head_word, &found)) {
    }
    return found;
}

uint32_t index_map_find(struct index_map *map, uint64_t hash, index_match match, void *context) {
    uint64_t head_word;
    return walk(map, hash, match, context, &head_word);
}

/* Where the versions of a node go on whose link reads 0. */
static uint64_t floor_of(const struct index_map *map, uint32_t index) {
    if (map->floors == NULL) return 0;
    return (uint64_t)u32_load_relaxed(&map->floors[index / SLAB_RUN]) << 33; /* M3 */
}

void index_map_prepare(struct index_map *map, uint32_t index, uint64_t hash) {
    struct index_node *node = node_at(map, index);
    u64_store_relaxed(&node->hash, hash); /* relaxed: M1 publishes it, or the object's own first reference */
    /* The version goes on from the node's last use, so that no word of it ever comes back. */
    uint64_t link = u64_load_relaxed(&node->link);
    if (link == 0) link = floor_of(map, index);
    u64_store_release(&node->link, link_after(link, SLAB_NONE)); /* M4 */
}

/* Has the node's link lead to `next`, unless the node is removed. */
static bool point_to(struct index_node *node, uint32_t next) {
    uint64_t link = u64_load_acquire(&node->link);
    do {
        if (link & LINK_REMOVED) return false;
        if (link_index(link) == next) return true; /* as a new one does whose list is empty */
    } while (!u64_cas_acq_rel(&node->link, &link, link_after(link, next)));
    return true;
}

uint32_t index_map_insert(struct index_map *map, uint32_t index, index_match match, void *context) {
    struct index_node *node = node_at(map, index);
    uint64_t hash = u64_load_relaxed(&node->hash); /* relaxed: the caller prepared it */
    atomic_u64 *head = &map->heads[hash & map->mask];
    for (;;) {
        uint64_t head_word;
        uint32_t found = walk(map, hash, match, context, &head_word);
        if (found != SLAB_NONE) return found;
        if (!point_to(node, link_index(head_word))) return index;
        if (!u64_cas_seq_cst(head, &head_word, link_after(head_word, index))) continue; /* M1, M5 */
        /* Removed between the two steps, when its remover found it in no list: then it leaves this one now. */
        if (u64_load_seq_cst(&node->link) & LINK_REMOVED) /* M5 */
            walk(map, hash, NULL, NULL, &head_word);
        return index;
    }
}

bool index_map_remove(struct index_map *map, uint32_t index) {
    struct index_node *node = node_at(map, index);
    uint64_t link = u64_load_acquire(&node->link);
    do {
        if (link & LINK_REMOVED) return false;
    } while (!u64_cas_seq_cst(&node->link, &link, link_after(link, link_index(link)) | LINK_REMOVED)); /* M5 */
    uint64_t head_word;
    walk(map, u64_load_relaxed(&node->hash), NULL, NULL, &head_word); /* takes it out, unless somebody has */
    return true;
}

/* Of the versions in a retired run the one that is most changes from the run's floor, where all of them went on from:
 * so it is told which is the latest, also where versions have gone round. */
static uint32_t latest_version(const struct index_map *map, uint32_t first) {
    uint32_t floor = u32_load_relaxed(&map->floors[first / SLAB_RUN]); /* relaxed: only retirers store it */
    uint32_t latest = floor;
    uint32_t most = 0;
    for (uint32_t index = first; index < first + SLAB_RUN; index++) {
        uint32_t version = link_version(u64_load_relaxed(&node_at(map, index)->link)); /* relaxed: after P2 */
        uint32_t changes = version >= floor ? version - floor : version + (VERSIONS - floor);
        if (version == 0 || changes <= most) continue;
        most = changes;
        latest = version;
    }
    return latest;
}

/* From here on the next use of each node goes on from the floor, whether the system takes the node's page or not. */
static void raise_floor(struct index_map *map, uint32_t first) {
    uint32_t latest = latest_version(map, first);
    for (uint32_t index = first; index < first + SLAB_RUN; index++) {
        struct index_node *node = node_at(map, index);
        if (u64_load_relaxed(&node->link) == 0) continue;
        u64_store_relaxed(&node->link, (uint64_t)latest << 33 | LINK_REMOVED | SLAB_NONE); /* relaxed: only differs */
    }
    u32_store_relaxed(&map->floors[first / SLAB_RUN], latest); /* M3 */
}

uint32_t index_map_discard(struct index_map *map, uint32_t budget) {
    uint32_t discarded = 0;
    uint32_t first;
    if (budget > slab_runs(map->slab)) budget = slab_runs(map->slab);
    while (slab_retire(map->slab, &budget, &first)) {
        raise_floor(map, first);
        if (slab_restore(map->slab, first)) discarded++;
    }
    return discarded;
}
