/* Publishing: fill a private cell, claim the next sequence with one compare-and-swap, keep what it replaced, tell the
 * pollers. Nothing here waits, and nothing a producer leaves half done is in anybody's way. */
#include "base/mark.h"
#include "engine.h"

static weir_producer *reuse_producer(weir_engine *engine) {
    weir_producer *producer = (weir_producer *)pointer_load_acquire(&engine->producers);
    for (; producer != NULL; producer = producer->next) {
        uint32_t expected = 0;
        if (u32_load_relaxed(&producer->taken) == 0 && u32_cas_acq_rel(&producer->taken, &expected, 1))
            return producer;
    }
    return NULL;
}

int weir_producer_create(weir_engine *engine, weir_producer **out) {
    weir_producer *producer = reuse_producer(engine);
    *out = producer;
    if (producer != NULL) return WEIR_OK;
    producer = (weir_producer *)memory_take(&engine->config.allocator, sizeof(weir_producer), CACHE_LINE);
    if (producer == NULL) return WEIR_NO_MEMORY;
    producer->engine = engine;
    cell_stock_open(&producer->stock, &engine->pool);
    u32_store_relaxed(&producer->taken, 1);
    void *first = pointer_load_acquire(&engine->producers);
    do {
        producer->next = (weir_producer *)first;
    } while (
        !pointer_cas_acq_rel(&engine->producers, &first, producer)); /* release: the list's readers see it whole */
    *out = producer;
    return WEIR_OK;
}

void weir_producer_destroy(weir_producer *producer) {
    if (producer == NULL) return;
    cell_stock_close(&producer->stock);
    u32_store_release(&producer->taken, 0); /* partner: reuse_producer's compare-and-swap */
}

/* One writer, so load and store make an increment; relaxed, for those who add up. */
static void count(atomic_u64 *counter, uint64_t more) {
    u64_store_relaxed(counter, u64_load_relaxed(counter) + more);
}

COLD int producer_publish_refused(weir_producer *producer, int status) {
    count(status == WEIR_FULL ? &producer->full : &producer->refused, 1);
    return status;
}

/* The first publish of a session brings its slots. Two may do so at once: one wins, the other's memory goes back. */
COLD static int make_slots(weir_session *session, void **ring) {
    const weir_allocator *allocator = &session->engine->config.allocator;
    size_t size = slots_size(session->ring_log2);
    if (ring_is_end(*ring)) return WEIR_CLOSED;
    struct slots *slots = (struct slots *)memory_take(allocator, size, CACHE_LINE);
    if (slots == NULL) return WEIR_NO_MEMORY;
    slots_init(slots, session->ring_log2, session->first_sequence);
    WEIR_MARK(PUBLISH_SLOTS_MADE);
    do {
        if (pointer_cas_seq_cst(&session->ring, ring, slots)) { /* seq_cst: see session_slots */
            *ring = slots;
            return WEIR_OK;
        }
    } while (*ring == NULL || *ring == RING_IDLE);
    memory_give(allocator, slots, size, CACHE_LINE);
    return ring_is_slots(*ring) ? WEIR_OK : WEIR_CLOSED;
}

static int find_slots(weir_session *session, struct slots **slots) {
    void *ring = pointer_load_acquire(&session->ring);
    if (UNLIKELY(!ring_is_slots(ring))) {
        int status = make_slots(session, &ring);
        if (status != WEIR_OK) return status;
    }
    *slots = (struct slots *)ring;
    return WEIR_OK;
}

static bool is_large(cell_reference reference) {
    return cell_is_cell(reference) && cell_class(reference) >= CELL_SMALL_CLASSES;
}

/* True when neither is large nor special: small classes use the two lower bits of the class only. */
static bool both_small(cell_reference a, cell_reference b) {
    return (a | b) < (cell_reference)CELL_SMALL_CLASSES << CELL_CLASS_SHIFT;
}

/* The count may be below zero: a cell can be replaced, and taken off, before the producer that published it and stopped
 * has put it on. */
static bool is_over(uint64_t bytes, uint64_t limit) {
    return (int64_t)bytes > 0 && bytes > limit;
}

/* Keeps a session inside its bytes: the oldest events go first, and never the one just published. Every producer that
 * finds it over does this; an event that another evicted meanwhile is passed over. */
COLD static void evict_over_budget(weir_producer *producer, weir_session *session, struct slots *slots,
                                   uint64_t newest) {
    uint64_t limit = session->engine->config.max_session_bytes;
    uint64_t oldest = session_oldest(session, slots, newest + 1, 1ull << session->ring_log2);
    while (oldest < newest && is_over(u64_load_relaxed(&session->large_bytes), limit)) {
        cell_reference evicted;
        if (slots_evict(slots, oldest, &evicted)) {
            if (is_large(evicted)) u64_subtract_relaxed(&session->large_bytes, cell_size(cell_class(evicted)));
            cell_stock_keep(&producer->stock, evicted);
        }
        oldest++;
    }
    /* Relaxed and not compared: a smaller value from another producer only makes the next search longer. */
    u64_store_relaxed(&session->tail, oldest);
}

/* What small events skip: an empty or evicted slot's word names no cell; and large events count their bytes, which
 * small ones, bounded by their number, would pay for in every publish. */
COLD static void settle_large(weir_producer *producer, weir_session *session, struct slots *slots,
                              cell_reference mine, cell_reference replaced, uint64_t sequence) {
    if (is_large(replaced)) u64_subtract_relaxed(&session->large_bytes, cell_size(cell_class(replaced)));
    if (cell_is_cell(replaced)) cell_stock_keep(&producer->stock, replaced);
    if (!is_large(mine)) return;
    uint64_t bytes = cell_size(cell_class(mine));
    if (is_over(u64_add_relaxed(&session->large_bytes, bytes) + bytes, session->engine->config.max_session_bytes))
        evict_over_budget(producer, session, slots, sequence);
}

static inline int check_arguments(const weir_producer *producer, const weir_session *session, uint32_t kind,
                                  const void *data, size_t length) {
    const weir_engine *engine = producer->engine;
    if (UNLIKELY(session->engine != engine || (data == NULL && length > 0))) return WEIR_INVALID;
    if (UNLIKELY(kind != 0 && kind > u32_load_acquire(&engine->kind_count))) return WEIR_INVALID;
    return LIKELY(length <= engine->max_length) ? WEIR_OK : WEIR_TOO_LARGE;
}

/* Where to start looking for a free sequence. A producer that was here last knows better than the shared word, which
 * another core may have written; its knowledge belongs to one life of the session. */
static uint64_t first_guess(const weir_producer *producer, const weir_session *session) {
    if (LIKELY(producer->bound_epoch == session->epoch)) return producer->hint;
    return u64_load_acquire(&session->hint); /* H2 */
}

/* The claim when the expected sequence is taken, or a REFUSE subscriber has a say. */
static int claim_slowly(weir_session *session, struct slots *slots, cell_reference mine, struct cell *cell,
                        uint64_t *sequence, uint64_t *replaced) {
    const atomic_u64 *consumed = NULL;
    uint32_t depth = 0;
    if (u32_load_acquire(&session->refusing) == REFUSING_YES) { /* partner: become_refusing (subscribe.c) */
        consumed = &session->consumed;
        depth = u32_load_relaxed(&session->refuse_depth);
    }
    *sequence = slots_catch_up(slots, &session->engine->pool, *sequence);
    return slots_claim(slots, mine, cell, consumed, depth, sequence, replaced);
}

static inline int claim_sequence(weir_producer *producer, weir_session *session, struct slots *slots,
                                 const struct stocked_cell *mine, uint64_t *sequence, uint64_t *replaced) {
    *sequence = first_guess(producer, session);
    WEIR_MARK(PUBLISH_SLOT_FOUND);
    if (LIKELY(u32_load_acquire(&session->refusing) == REFUSING_NO) &&
        LIKELY(slots_claim_expected(slots, mine->reference, mine->cell, *sequence, replaced)))
        return WEIR_OK;
    return claim_slowly(session, slots, mine->reference, mine->cell, sequence, replaced);
}

/* A producer that stays with a session knows where it stands, and tells the others only now and then: the shared word is
 * a line that two producers would pass back and forth for every event, and whoever starts there steps over no more
 * slots than this. One that comes from another session always tells. */
#define HINT_EVERY 8u

/* After the claim: what others may want to know, and what this producer can use again. */
static inline void settle(weir_producer *producer, weir_session *session, struct slots *slots, cell_reference mine,
                          cell_reference replaced, uint64_t sequence) {
    bool returning = producer->bound_epoch == session->epoch;
    if (UNLIKELY(!returning || sequence % HINT_EVERY == 0)) u64_store_release(&session->hint, sequence + 1); /* H1 */
    WEIR_MARK(PUBLISH_HINT_STORED);
    if (UNLIKELY(!returning)) producer->bound_epoch = session->epoch;
    producer->hint = sequence + 1;
    cell_stock_spend(&producer->stock, cell_class(mine));
    if (LIKELY(both_small(mine, replaced)))
        cell_stock_keep_small(&producer->stock, replaced);
    else
        settle_large(producer, session, slots, mine, replaced, sequence);
    WEIR_MARK(PUBLISH_CELL_KEPT);
}

int weir_publish(weir_producer *producer, weir_session *session, uint32_t kind, const void *data, size_t length,
                 uint64_t *sequence) {
    WEIR_MARK(PUBLISH_BEGIN);
    struct slots *slots;
    int status = check_arguments(producer, session, kind, data, length);
    if (LIKELY(status == WEIR_OK)) status = find_slots(session, &slots);
    if (UNLIKELY(status != WEIR_OK)) return producer_publish_refused(producer, status);
    const struct stocked_cell *mine = cell_stock_next(&producer->stock, cell_class_for(length), &status);
    if (UNLIKELY(mine == NULL)) return producer_publish_refused(producer, status);
    WEIR_MARK(PUBLISH_CELL_TAKEN);
    uint64_t facts = facts_pack(length, kind, (uint32_t)engine_now_ms(producer->engine));
    cell_fill(mine->cell, facts, data, length);
    WEIR_MARK(PUBLISH_CELL_FILLED);
    uint64_t published;
    uint64_t replaced;
    status = claim_sequence(producer, session, slots, mine, &published, &replaced);
    if (UNLIKELY(status != WEIR_OK)) return producer_publish_refused(producer, status);
    WEIR_MARK(PUBLISH_CLAIMED);
    settle(producer, session, slots, mine->reference, (cell_reference)replaced, published);
    session_notify(session, producer->woken);
    count(&producer->published, 1);
    count(&producer->published_bytes, length);
    if (sequence != NULL) *sequence = published;
    WEIR_MARK(PUBLISH_END);
    return WEIR_OK;
}
