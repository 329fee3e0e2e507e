/* See principals.h for the states and their argument. */
#include "principals.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

/* 64 KiB, like the engine's tables. */
#define CHUNK_SHIFT 16

struct search {
    const struct principal_key *key;
    uint64_t state; /* of the life that matched */
};

static struct principal *principal_at(const struct principals *principals, uint32_t index) {
    return (struct principal *)slab_at(&principals->slab, index);
}

static bool is_over(uint64_t state) {
    return (state & (PRINCIPAL_UNLISTED | PRINCIPAL_COUNT)) == 0;
}

static bool same_life(uint64_t one, uint64_t other) {
    return one / PRINCIPAL_LIFE == other / PRINCIPAL_LIFE;
}

int principals_create(struct principals *principals, const weir_allocator *allocator, uint32_t maximum) {
    int status = slab_create(&principals->slab, allocator, NULL, sizeof(struct principal), maximum, CHUNK_SHIFT);
    return status != WEIR_OK ? status : index_map_create(&principals->map, allocator, &principals->slab, maximum);
}

void principals_destroy(struct principals *principals, const weir_allocator *allocator) {
    if (principals->map.heads != NULL) index_map_destroy(&principals->map, allocator);
    slab_destroy(&principals->slab);
}

bool principal_key_make(struct principal_key *key, const struct principals *principals, const char *text,
                        size_t length) {
    if (length > WEIR_PRINCIPAL_MAX || (text == NULL && length > 0)) return false;
    key->length = length;
    if (length > 0) {
        key->words[(length - 1) / 8] = 0;
        memcpy(key->words, text, length);
    }
    key->hash = hash_name(principals->hash_key, (const char *)key->words, length);
    return true;
}

/* Relaxed, all of it: the words are believed only when the life is still the same after P4. */
static bool has_text(const struct principal *principal, const struct principal_key *key) {
    if (u64_load_relaxed(&principal->length) != key->length) return false;
    for (size_t at = 0; at * 8 < key->length; at++)
        if (u64_load_relaxed(&principal->words[at]) != key->words[at]) return false;
    return true;
}

/* A life that changes under the comparison was over at that moment, and that is what a lookup may say of it. Its
 * memory can only come back to the list at the front, which an insert looks at once more. */
static bool match_text(void *context, void *object) {
    struct search *search = (struct search *)context;
    const struct principal *principal = (const struct principal *)object;
    uint64_t state = u64_load_acquire(&principal->state); /* P2 */
    if (is_over(state) || !has_text(principal, search->key)) return false;
    fence_acquire();                                     /* P4 */
    search->state = u64_load_acquire(&principal->state); /* P2 */
    return same_life(state, search->state) && !is_over(search->state);
}

static bool find(struct principals *principals, const struct principal_key *key, struct principal_sighting *seen) {
    struct search search = {key, 0};
    seen->index = index_map_find(&principals->map, key->hash, match_text, &search);
    seen->state = search.state;
    return seen->index != SLAB_NONE;
}

/* There is room for every caller, so a slab that is full is one that was just changed by another: look again. */
static int take_memory(struct principals *principals, uint32_t *index) {
    uint32_t taken;
    int status;
    do {
        status = slab_take(&principals->slab, index, 1, &taken);
    } while (status == WEIR_FULL);
    return status;
}

int principals_begin(struct principals *principals, const struct principal_key *key,
                     struct principal_sighting *born) {
    int status = take_memory(principals, &born->index);
    if (status != WEIR_OK) return status;
    struct principal *principal = principal_at(principals, born->index);
    index_map_prepare(&principals->map, born->index, key->hash);
    uint64_t last = u64_load_relaxed(&principal->state); /* relaxed: the slab's S2 has shown us the last life's end */
    fence_release();                                     /* P3 */
    u64_store_relaxed(&principal->length, key->length);  /* relaxed, both: P1 and P3 order them */
    for (size_t at = 0; at * 8 < key->length; at++)
        u64_store_relaxed(&principal->words[at], key->words[at]);
    born->state = (last / PRINCIPAL_LIFE + 1) * PRINCIPAL_LIFE | PRINCIPAL_UNLISTED;
    u64_store_release(&principal->state, born->state); /* P1 */
    return WEIR_OK;
}

bool principals_list(struct principals *principals, const struct principal_key *key,
                     struct principal_sighting *life) {
    struct search search = {key, 0};
    uint32_t index = life->index;
    uint32_t found = index_map_insert(&principals->map, index, match_text, &search);
    if (found == index) return true;
    /* Nobody has raised it: for that it would have had to be in the map. Relaxed: the slab's S1 takes it along. */
    u64_store_relaxed(&principal_at(principals, index)->state, life->state & ~PRINCIPAL_UNLISTED);
    index_map_remove(&principals->map, index); /* which it never got into: each use of a node ends like that */
    slab_give(&principals->slab, &index, 1);
    life->index = found;
    life->state = search.state;
    return false;
}

int principals_raise(struct principals *principals, const struct principal_sighting *life, bool listed, uint64_t cap,
                     uint64_t *current) {
    struct principal *principal = principal_at(principals, life->index);
    uint64_t state = life->state;
    for (;;) {
        if (!same_life(state, life->state) || is_over(state)) return WEIR_BUSY;
        *current = state & PRINCIPAL_COUNT;
        if (*current >= cap) return WEIR_PRINCIPAL_LIMIT;
        if ((state & PRINCIPAL_UNLISTED) && !listed) return WEIR_BUSY;
        if (u64_cas_acq_rel(&principal->state, &state, (state & ~PRINCIPAL_UNLISTED) + 1)) /* P5; failure: P2 */
            return WEIR_OK;
    }
}

int principals_take(struct principals *principals, const struct principal_key *key, uint64_t cap, uint32_t *index,
                    uint64_t *current) {
    struct principal_sighting last = {SLAB_NONE, 0};
    for (;;) {
        struct principal_sighting life;
        bool listed;
        if (find(principals, key, &life)) {
            listed = life.index == last.index && same_life(life.state, last.state);
        } else {
            *current = 0;
            if (cap == 0) return WEIR_PRINCIPAL_LIMIT;
            int status = principals_begin(principals, key, &life);
            if (status != WEIR_OK) return status;
            listed = principals_list(principals, key, &life);
        }
        int status = principals_raise(principals, &life, listed, cap, current);
        *index = life.index;
        if (status != WEIR_BUSY) return status;
        last = life;
    }
}

void principals_give(struct principals *principals, uint32_t index) {
    struct principal *principal = principal_at(principals, index);
    uint64_t state = u64_load_relaxed(&principal->state); /* relaxed: the compare-and-swap decides */
    do {
        WEIR_CHECK((state & PRINCIPAL_COUNT) > 0);
        /* What follows an end has its own order: removing (M1, M2) and the slab (S1). */
    } while (!u64_cas_acq_rel(&principal->state, &state, state - 1));
    if ((state & PRINCIPAL_COUNT) > 1) return;
    bool removed = index_map_remove(&principals->map, index);
    WEIR_CHECK(removed);
    slab_give(&principals->slab, &index, 1);
}

uint64_t principals_count(struct principals *principals, const struct principal_key *key) {
    struct principal_sighting life;
    return find(principals, key, &life) ? life.state & PRINCIPAL_COUNT : 0;
}

bool principals_read(const struct principals *principals, uint32_t index, struct principal_key *key,
                     uint64_t *count) {
    const struct principal *principal = principal_at(principals, index);
    uint64_t state = u64_load_acquire(&principal->state); /* P2, P6 */
    *count = state & PRINCIPAL_COUNT;
    if (*count == 0) return false;
    key->length = u64_load_relaxed(&principal->length); /* relaxed, like the words: see has_text */
    for (size_t at = 0; at * 8 < key->length; at++)
        key->words[at] = u64_load_relaxed(&principal->words[at]);
    fence_acquire();                                    /* P4 */
    uint64_t now = u64_load_relaxed(&principal->state); /* relaxed: P4 stands before it */
    return same_life(state, now) && !is_over(now);      /* the next life's text is written before its state */
}
