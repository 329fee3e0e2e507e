#include "places.h"

#include "base/check.h"
#include "base/memory.h"

#define PLACE_FREE (1ull << 63)

static uint32_t segment_of(uint32_t index) {
    return 31 - (uint32_t)__builtin_clz((index >> PLACES_FIRST_SHIFT) + 1);
}

static uint32_t segment_length(uint32_t segment) {
    return 1u << (PLACES_FIRST_SHIFT + segment);
}

static uint32_t segment_begin(uint32_t segment) {
    return segment_length(segment) - segment_length(0);
}

static atomic_u64 *word_at(const struct places *places, uint32_t index) {
    uint32_t segment = segment_of(index);
    atomic_u64 *words = (atomic_u64 *)pointer_load_seq_cst(&places->segments[segment]); /* L2 */
    return &words[index - segment_begin(segment)];
}

void places_init(struct places *places, const weir_allocator *allocator, uint32_t maximum) {
    WEIR_CHECK(maximum <= PLACES_MAX);
    places->allocator = allocator;
    places->maximum = maximum;
    u32_store_relaxed(&places->fresh, 0); /* relaxed, all: whoever shows the places to others publishes them */
    u64_store_relaxed(&places->free_head, PLACES_NONE);
    for (uint32_t i = 0; i < PLACES_SEGMENTS; i++)
        pointer_store_relaxed(&places->segments[i], NULL);
}

void places_destroy(struct places *places) {
    for (uint32_t i = 0; i < PLACES_SEGMENTS; i++) {
        memory_give(places->allocator, pointer_load_acquire(&places->segments[i]),
                    sizeof(atomic_u64) * segment_length(i), CACHE_LINE);
        pointer_store_relaxed(&places->segments[i], NULL);
    }
}

/* Two threads may bring the same segment: one wins, the other's memory goes back. */
static int ensure_segment(struct places *places, uint32_t segment) {
    if (pointer_load_seq_cst(&places->segments[segment]) != NULL) return WEIR_OK;
    size_t size = sizeof(atomic_u64) * segment_length(segment);
    void *words = memory_take(places->allocator, size, CACHE_LINE);
    void *expected = NULL;
    if (words == NULL) return WEIR_NO_MEMORY;
    if (!pointer_cas_seq_cst(&places->segments[segment], &expected, words)) /* L1 */
        memory_give(places->allocator, words, size, CACHE_LINE);
    return WEIR_OK;
}

static int take_fresh(struct places *places, uint32_t *index) {
    uint32_t fresh = u32_load_relaxed(&places->fresh); /* relaxed: the compare-and-swap decides */
    do {
        if (fresh == places->maximum) return WEIR_FULL;
        int status = ensure_segment(places, segment_of(fresh));
        if (status != WEIR_OK) return status;
    } while (!u32_cas_seq_cst(&places->fresh, &fresh, fresh + 1)); /* L1 */
    *index = fresh;
    return WEIR_OK;
}

static uint64_t next_head(uint64_t head, uint32_t index) {
    return ((head >> 32) + 1) << 32 | index;
}

/* The link is believed once the compare-and-swap succeeds: an unchanged version means that the place was free all the
 * time; before that it may be anybody's value. */
static bool pop_free(struct places *places, uint32_t *index) {
    uint64_t head = u64_load_acquire(&places->free_head); /* L4 */
    uint64_t link;
    do {
        if ((uint32_t)head == PLACES_NONE) return false;
        link = u64_load_acquire(word_at(places, (uint32_t)head));                           /* L4 */
    } while (!u64_cas_acq_rel(&places->free_head, &head, next_head(head, (uint32_t)link))); /* failure: L4 */
    *index = (uint32_t)head;
    return true;
}

int places_claim(struct places *places, uint64_t value, uint32_t *index) {
    WEIR_DCHECK(value != 0 && value <= PLACES_VALUE_MAX);
    if (!pop_free(places, index)) {
        int status = take_fresh(places, index);
        if (status != WEIR_OK) return status;
    }
    u64_store_seq_cst(word_at(places, *index), value); /* L1 */
    return WEIR_OK;
}

bool places_clear(struct places *places, uint32_t index, uint64_t value) {
    atomic_u64 *word = word_at(places, index);
    uint64_t head = u64_load_relaxed(&places->free_head); /* relaxed: only compared */
    if (!u64_cas_acq_rel(word, &value, PLACE_FREE | (uint32_t)head)) return false;
    /* The place is nobody's but ours until the head leads to it. */
    while (!u64_cas_acq_rel(&places->free_head, &head, next_head(head, index))) /* L3 */
        u64_store_release(word, PLACE_FREE | (uint32_t)head);
    return true;
}

const atomic_u64 *places_run(const struct places *places, uint32_t index, uint32_t end, uint32_t *count) {
    uint32_t segment = segment_of(index);
    uint32_t stop = segment_begin(segment) + segment_length(segment);
    *count = (stop < end ? stop : end) - index;
    return word_at(places, index);
}
