/* Counts by principal: a table from text to count, in which a principal stands for as long as its count is not 0.
 *
 *   state = life (35) | unlisted (1) | count (28)
 *
 * A principal's memory is a slab's and serves one text after the other; each use of it is a life. The count is also
 * what keeps the life going: whoever takes it from 1 to 0 ends it, and no compare-and-swap that expects another state
 * brings it back. So looking up needs no reference and writes nothing: read the state, compare the text, and then
 * either look at the life again or swap the very state that was read.
 *
 *   unlisted, count 0   born: in the map, or about to be
 *   listed, count > 0   counts; there is one such life of a text at most
 *   listed, count 0     ended: on its way out of the map and to the slab, or there
 *
 * A life may be born and then lose against another one of the same text, and a lookup that stood on the memory's last
 * life can come upon it before that is decided. To count in it then would be to count a principal twice over. So a
 * newborn life is raised by who put it into the map, or by who has met the same life in two lookups: the second one
 * began after the birth and came upon it all the same, so it is in the map. Nobody waits for a parent that is stopped.
 *
 *   pairing                                                                   without it
 *   P1 release: begin's store of the state  P2 acquire: every state load      a text of the memory's last life counts
 *                                                                             for this one
 *   P3 release fence: begin, before the     P4 acquire fence: compare and     a text that is being overwritten is
 *      text's words                            read, before the second look   taken for the one whose state was read
 *   P5 release: raise's compare-and-swap    P6 acquire: read's state load     a snapshot sees a count without the
 *                                                                             reservation before it
 *
 * Any thread; lock-free but for the allocator: a lookup or a raise starts again only when another thread's birth, raise
 * or end has succeeded. */
#ifndef WEIR_STREAM_PRINCIPALS_H
#define WEIR_STREAM_PRINCIPALS_H

#include <weir_quota.h>

#include "concurrent/index_map.h"

#define PRINCIPAL_WORDS    (WEIR_PRINCIPAL_MAX / 8)
#define PRINCIPAL_COUNT    ((1ull << 28) - 1)
#define PRINCIPAL_UNLISTED (1ull << 28)
#define PRINCIPAL_LIFE     (1ull << 29)

/* A text as it is compared: in whole words, the last one filled up with zeros. */
struct principal_key {
    uint64_t hash;
    uint64_t length;
    uint64_t words[PRINCIPAL_WORDS];
};

/* Most texts are short: then all that a lookup reads is one line. */
struct principal {
    CACHE_ALIGNED struct index_node node;
    atomic_u64 state;
    atomic_u64 length;
    atomic_u64 words[PRINCIPAL_WORDS];
};

struct principals {
    struct index_map map;
    struct slab slab;
    uint64_t hash_key[2]; /* secret; set before the first key is made */
};

/* One life, as it was seen. */
struct principal_sighting {
    uint32_t index;
    uint64_t state;
};

/* Room for `maximum` counts in all, and so for as many principals. WEIR_NO_MEMORY. */
int principals_create(struct principals *principals, const weir_allocator *allocator, uint32_t maximum);
void principals_destroy(struct principals *principals, const weir_allocator *allocator);

/* False for a text that is no principal's. */
bool principal_key_make(struct principal_key *key, const struct principals *principals, const char *text,
                        size_t length);

/* Counts one more for the text: WEIR_OK and the principal's index, or WEIR_PRINCIPAL_LIMIT with the count that is not
 * below `cap`, or WEIR_NO_MEMORY. Of the callers in here and the counts that are out there are never more than
 * `maximum`. */
int principals_take(struct principals *principals, const struct principal_key *key, uint64_t cap, uint32_t *index,
                    uint64_t *current);

/* Counts one less. The caller holds one of the principal's counts. */
void principals_give(struct principals *principals, uint32_t index);

uint64_t principals_count(struct principals *principals, const struct principal_key *key);

/* Copies the text and the count of the principal at an index below slab_fresh; false when none is counted there. */
bool principals_read(const struct principals *principals, uint32_t index, struct principal_key *key, uint64_t *count);

/* The steps of principals_take for a text that is not there, one by one so that tests can stop between them. */

/* A life of its own for the text, not in the map yet. WEIR_NO_MEMORY. */
int principals_begin(struct principals *principals, const struct principal_key *key, struct principal_sighting *born);
/* Puts it into the map: true. False when there is another life of the text, or was just now: *life is that one then,
 * and what was begun is given back. */
bool principals_list(struct principals *principals, const struct principal_key *key, struct principal_sighting *life);
/* Counts one more in this life: WEIR_OK, WEIR_PRINCIPAL_LIMIT, or WEIR_BUSY when it is over, or when it is a newborn
 * one that is not known to be listed. */
int principals_raise(struct principals *principals, const struct principal_sighting *life, bool listed, uint64_t cap,
                     uint64_t *current);

#endif
