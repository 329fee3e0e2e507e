/* Publishing: fill a private cell, claim the next sequence with one compare-and-swap, keep what it replaced, tell the
 * pollers. Nothing here waits, and nothing a producer leaves half done is in anybody's way. */
#include "publish.h"

#include "attachment.h"
#include "base/mark.h"

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
    if (engine->uncounted_below > 0)
        producer->plain_length =
            engine->max_length < CELL_SMALL_ROOM ? (uint32_t)engine->max_length : CELL_SMALL_ROOM;
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

COLD int publish_refused(weir_producer *producer, int status) {
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

int session_find_slots(weir_session *session, struct slots **slots) {
    void *ring = pointer_load_acquire(&session->ring);
    if (UNLIKELY(!ring_is_slots(ring))) {
        int status = make_slots(session, &ring);
        if (status != WEIR_OK) return status;
    }
    *slots = (struct slots *)ring;
    return WEIR_OK;
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
    uint64_t limit = session->engine->counted_limit;
    uint64_t oldest = session_oldest(session, slots, newest + 1, 1ull << session->ring_log2);
    while (oldest < newest && is_over(u64_load_relaxed(&session->counted_bytes), limit)) {
        cell_reference evicted;
        if (slots_evict(slots, oldest, &evicted)) {
            count(&producer->evicted_events, 1);
            settle_replaced(producer, session, evicted);
        }
        oldest++;
    }
    /* Relaxed and not compared: a smaller value from another producer only makes the next search longer. */
    u64_store_relaxed(&session->tail, oldest);
}

COLD void settle_replaced(weir_producer *producer, weir_session *session, cell_reference replaced) {
    if (!cell_is_cell(replaced)) return;
    if (replaced >= session->uncounted_below)
        u64_subtract_relaxed(&session->counted_bytes, event_bytes(session, replaced));
    cell_stock_keep(&producer->stock, replaced);
}

/* What uncounted classes skip: an empty or evicted slot's word names no cell; and the others count their bytes, which
 * events that are bounded by their number would pay for in every publish. */
COLD static void settle_counted(weir_producer *producer, weir_session *session, struct slots *slots,
                                cell_reference mine, cell_reference replaced, uint64_t sequence) {
    settle_replaced(producer, session, replaced);
    if (mine < session->uncounted_below) return;
    uint64_t bytes = event_bytes(session, mine);
    if (is_over(u64_add_relaxed(&session->counted_bytes, bytes) + bytes, session->engine->counted_limit))
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

/* `consumed` is the position of a REFUSE consumer, NULL without one. */
static inline int claim_sequence(weir_producer *producer, weir_session *session, struct slots *slots,
                                 const struct stocked_cell *mine, const atomic_u64 *consumed, uint32_t depth,
                                 uint64_t *sequence, uint64_t *replaced) {
    *sequence = first_guess(producer, session);
    WEIR_MARK(PUBLISH_SLOT_FOUND);
    if (LIKELY(consumed == NULL) &&
        LIKELY(slots_claim_expected(slots, mine->reference, mine->cell, *sequence, replaced)))
        return WEIR_OK;
    *sequence = slots_catch_up(slots, &session->engine->pool, *sequence);
    return slots_claim(slots, mine->reference, mine->cell, consumed, depth, sequence, replaced);
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
    if (LIKELY((mine | replaced) < session->uncounted_below))
        cell_stock_keep_small(&producer->stock, replaced);
    else
        settle_counted(producer, session, slots, mine, replaced, sequence);
    WEIR_MARK(PUBLISH_CELL_KEPT);
}

static inline __attribute__((always_inline)) int publish_claimed(weir_producer *producer, weir_session *session,
                                                                 struct slots *slots, const struct stocked_cell *mine,
                                                                 size_t length, const atomic_u64 *consumed,
                                                                 uint32_t depth, uint64_t *sequence) {
    uint64_t replaced;
    int status = claim_sequence(producer, session, slots, mine, consumed, depth, sequence, &replaced);
    if (UNLIKELY(status != WEIR_OK)) return status;
    WEIR_MARK(PUBLISH_CLAIMED);
    settle(producer, session, slots, mine->reference, (cell_reference)replaced, *sequence);
    outlets_notify(session_outlets(session), producer->woken);
    count(&producer->published, 1);
    count(&producer->published_bytes, length);
    WEIR_MARK(PUBLISH_END);
    return WEIR_OK;
}

COLD int publish_bounded(weir_producer *producer, weir_session *session, struct slots *slots,
                         const struct stocked_cell *mine, size_t length, const atomic_u64 *consumed, uint32_t depth,
                         uint64_t *sequence) {
    return publish_claimed(producer, session, slots, mine, length, consumed, depth, sequence);
}

/* A cell for an event, whoever has to give it up for that. */
COLD static const struct stocked_cell *find_cell(weir_producer *producer, weir_session *session, uint32_t class_index,
                                                 int *status) {
    if (*status == WEIR_BYTES_LIMIT) *status = budget_make_room(producer, session, &class_index);
    return *status == WEIR_OK ? cell_stock_next(&producer->stock, class_index, status) : NULL;
}

/* A filled cell for the message, and the session's slots. The cell stays in the stock until it is published. */
static inline __attribute__((always_inline)) int prepare(weir_producer *producer, weir_session *session,
                                                         const weir_message *message, struct slots **slots,
                                                         const struct stocked_cell **mine) {
    WEIR_MARK(PUBLISH_BEGIN);
    size_t room = message->keyed ? cell_keyed_length(message->length) : message->length;
    int status = check_arguments(producer, session, message->kind, message->data, message->length);
    if (UNLIKELY(message->keyed) && room > producer->engine->max_room) status = WEIR_TOO_LARGE;
    if (LIKELY(status == WEIR_OK)) status = session_find_slots(session, slots);
    if (UNLIKELY(status != WEIR_OK)) return status;
    uint32_t class_index = cell_class_for(room);
    *mine = cell_stock_next(&producer->stock, class_index, &status);
    if (UNLIKELY(*mine == NULL)) {
        *mine = find_cell(producer, session, class_index, &status);
        if (*mine == NULL) return status;
    }
    WEIR_MARK(PUBLISH_CELL_TAKEN);
    uint64_t facts = facts_pack(message->length, message->kind, (uint32_t)engine_now_ms(producer->engine));
    if (message->keyed) facts |= FACTS_KEYED;
    cell_fill((*mine)->cell, facts, message->data, message->length);
    if (message->keyed) cell_fill_key((*mine)->cell, message->length, message->key);
    WEIR_MARK(PUBLISH_CELL_FILLED);
    return WEIR_OK;
}

static inline __attribute__((always_inline)) int publish_message(weir_producer *producer, weir_session *session,
                                                                 const weir_message *message, uint64_t *sequence,
                                                                 weir_receipt *receipt) {
    struct slots *slots;
    const struct stocked_cell *mine;
    int status = prepare(producer, session, message, &slots, &mine);
    if (UNLIKELY(status != WEIR_OK)) return publish_refused(producer, status);
    /* A1: an attach that returned before this publish began is seen; one under way need not be. */
    if (UNLIKELY(pointer_load_acquire(&session->attachment) != NULL))
        return publish_attached(producer, session, slots, mine, message->length, sequence, receipt);
    status = publish_claimed(producer, session, slots, mine, message->length, NULL, 0, sequence);
    return LIKELY(status == WEIR_OK) ? status : publish_refused(producer, status);
}

int publish_bound(weir_producer *producer, weir_session *session, const weir_message *message,
                  struct attachment *attachment, weir_receipt *receipt) {
    struct slots *slots;
    const struct stocked_cell *mine;
    int status = prepare(producer, session, message, &slots, &mine);
    if (status == WEIR_OK)
        status = attached_offer(producer, session, slots, mine, message->length, attachment, true, &receipt->sequence,
                                receipt);
    receipt->stored = status == WEIR_OK && session->replay_capacity > 0;
    return status == WEIR_OK || status == WEIR_FULL ? status : publish_refused(producer, status);
}

static __attribute__((noinline)) int publish_any(weir_producer *producer, weir_session *session, uint32_t kind,
                                                 const void *data, size_t length, uint64_t *sequence) {
    weir_message message = {data, length, kind, 0, 0};
    weir_receipt receipt;
    uint64_t published;
    int status = publish_message(producer, session, &message, &published, &receipt);
    if (sequence != NULL && LIKELY(status == WEIR_OK)) *sequence = published;
    return status;
}

/* ---- The plain publish ------------------------------------------------------------------------------------------- */

/* What nearly every publish is: a small event of no kind, by the producer that was last here, into a session that nobody is
 * attached to. All that could make it another is looked for before anything is changed; from there on the steps are those
 * of above, in that order, with nothing to decide and nothing to call: that is a third fewer instructions, and a publish takes
 * as long as its instructions do. */
static inline bool is_plain(const weir_producer *producer, const weir_session *session, const void *ring,
                            uint32_t kind, const void *data, size_t length) {
    if (UNLIKELY(producer->bound_epoch != session->epoch || producer->engine != session->engine)) return false;
    if (UNLIKELY(length > producer->plain_length)) return false;
    if (UNLIKELY(kind != 0)) return false;
    if (UNLIKELY(data == NULL || !ring_is_slots(ring))) return false;
    /* A1, as in publish_message; a moment earlier makes no difference to an attach that returned before the call. */
    return LIKELY(pointer_load_acquire(&session->attachment) == NULL) && small_stock_turns(&producer->stock);
}

/* Another producer was faster. The filled cell is still the stock's next one. */
static __attribute__((noinline)) int publish_after(weir_producer *producer, weir_session *session, size_t length,
                                                   uint64_t *sequence) {
    uint64_t published;
    const struct stocked_cell *mine = small_stock_next(&producer->stock);
    int status = publish_claimed(producer, session, session_slots(session), mine, length, NULL, 0, &published);
    if (UNLIKELY(status != WEIR_OK)) return publish_refused(producer, status);
    if (sequence != NULL) *sequence = published;
    return WEIR_OK;
}

static __attribute__((noinline)) int publish_told(weir_producer *producer, weir_outlet *outlets) {
    outlets_notify(outlets, producer->woken);
    WEIR_MARK(PUBLISH_END);
    return WEIR_OK;
}

/* Claimed, but what it replaced was not of class 0: the slot was empty, or held a larger event or a descriptor. */
static __attribute__((noinline)) int publish_over_odd(weir_producer *producer, weir_session *session,
                                                      cell_reference replaced, uint64_t sequence) {
    cell_reference mine = small_stock_next(&producer->stock)->reference;
    cell_stock_spend(&producer->stock, 0);
    settle_counted(producer, session, session_slots(session), mine, replaced, sequence);
    WEIR_MARK(PUBLISH_CELL_KEPT);
    return publish_told(producer, session_outlets(session));
}

int weir_publish(weir_producer *producer, weir_session *session, uint32_t kind, const void *data, size_t length,
                 uint64_t *sequence) {
    void *ring = pointer_load_acquire(&session->ring);
    if (UNLIKELY(!is_plain(producer, session, ring, kind, data, length)))
        return publish_any(producer, session, kind, data, length, sequence);
    WEIR_MARK(PUBLISH_BEGIN);
    const struct stocked_cell *mine = small_stock_next(&producer->stock);
    WEIR_MARK(PUBLISH_CELL_TAKEN);
    cell_fill_small(mine->cell, facts_pack(length, 0, (uint32_t)engine_now_ms(producer->engine)), data, length);
    WEIR_MARK(PUBLISH_CELL_FILLED);

    uint64_t replaced;
    uint64_t at = producer->hint;
    WEIR_MARK(PUBLISH_SLOT_FOUND);
    if (UNLIKELY(!slots_claim_expected((struct slots *)ring, mine->reference, mine->cell, at, &replaced)))
        return publish_after(producer, session, length, sequence);
    WEIR_MARK(PUBLISH_CLAIMED);

    producer->hint = at + 1;
    if (UNLIKELY(at % HINT_EVERY == 0)) u64_store_release(&session->hint, at + 1); /* H1 */
    WEIR_MARK(PUBLISH_HINT_STORED);
    if (sequence != NULL) *sequence = at;
    count(&producer->published, 1);
    count(&producer->published_bytes, length);
    if (UNLIKELY((cell_reference)replaced > CELL_INDEX_MAX))
        return publish_over_odd(producer, session, (cell_reference)replaced, at);
    small_stock_turn(&producer->stock, (cell_reference)replaced);
    WEIR_MARK(PUBLISH_CELL_KEPT);
    weir_outlet *outlets = session_outlets(session);
    if (outlets != NULL) return publish_told(producer, outlets);
    WEIR_MARK(PUBLISH_END);
    return WEIR_OK;
}

/* ---- Offers ----------------------------------------------------------------------------------------------------- */

int publish_offer(weir_producer *producer, weir_session *session, const weir_message *message,
                  weir_receipt *receipt) {
    receipt->sequence = 0;
    receipt->live = WEIR_LIVE_NONE;
    receipt->generation = 0;
    int status = publish_message(producer, session, message, &receipt->sequence, receipt);
    receipt->stored = status == WEIR_OK && session->replay_capacity > 0;
    return status;
}

COLD static int offer_cell(weir_producer *producer, weir_session *session, struct slots *slots,
                           const struct stocked_cell *mine, size_t length, weir_receipt *receipt) {
    int status = publish_attached(producer, session, slots, mine, length, &receipt->sequence, receipt);
    receipt->stored = status == WEIR_OK && session->replay_capacity > 0;
    return status;
}

int publish_cell(weir_producer *producer, weir_session *session, const struct stocked_cell *mine, size_t length,
                 weir_receipt *receipt) {
    struct slots *slots;
    receipt->live = WEIR_LIVE_NONE;
    receipt->generation = 0;
    int status = session_find_slots(session, &slots);
    if (LIKELY(status == WEIR_OK)) {
        if (UNLIKELY(pointer_load_acquire(&session->attachment) != NULL)) /* as in publish_message */
            return offer_cell(producer, session, slots, mine, length, receipt);
        status = publish_claimed(producer, session, slots, mine, length, NULL, 0, &receipt->sequence);
    }
    if (UNLIKELY(status != WEIR_OK)) publish_refused(producer, status);
    receipt->stored = status == WEIR_OK && session->replay_capacity > 0;
    return status;
}
