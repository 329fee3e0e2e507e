/* The byte budget of all sessions: at max_bytes whoever holds most gives up its oldest events, so that one greedy session
 * does not stop the others (WK-07). Only a producer that found nothing left in the pool comes here. */
#include "publish.h"

#define LOOKED_AT     8u   /* sessions looked at in one go: the next ones in a rotation */
#define LOOKS_MAX     8u   /* as long as nobody is found who holds more than there is for each */
#define EVICTIONS_MAX 256u /* given up in one go before the publish is refused */

/* Classes of cells that an event fits: its own, or else any larger one that a session may have. */
struct fitting {
    uint32_t from;
    uint32_t to;
};

static bool is_fitting(const struct fitting *fitting, uint32_t class_index) {
    return class_index >= fitting->from && class_index <= fitting->to;
}

/* The first class that the stock has a cell of; fitting->to + 1 when there is none. */
static uint32_t class_in_stock(const weir_producer *producer, const struct fitting *fitting) {
    uint32_t class_index = fitting->from;
    while (class_index <= fitting->to && !cell_stock_has(&producer->stock, class_index))
        class_index++;
    return class_index;
}

/* What a session holds; 0 when none of the events that it can give up is in a cell that fits, for then it would lose
 * them for nothing. A body that others share is nobody's to give. */
static uint64_t bytes_to_give(const weir_session *session, const struct fitting *fitting) {
    const struct slots *slots = session_slots(session);
    if (slots == NULL) return 0;
    uint64_t newest = session_next(session, slots) - 1;
    uint64_t bytes = 0;
    bool fits = false;
    for (uint32_t i = 0; i <= slots->mask; i++) {
        cell_reference reference = (cell_reference)u64_load_relaxed(&slots->words[i]); /* relaxed: a sum */
        if (!cell_is_cell(reference)) continue;
        bytes += cell_has_payload(reference) ? cell_size(cell_class(reference)) : CELL_DESCRIPTOR_SIZE;
        fits = fits || (is_fitting(fitting, cell_class(reference)) && i != (newest & slots->mask));
    }
    return fits ? bytes : 0;
}

/* Who has been found to hold most; held. */
struct search {
    weir_engine *engine;
    const struct fitting *fitting;
    weir_session *richest;
    uint64_t most;
};

/* `session` comes with a reference. */
static void consider(struct search *search, weir_session *session) {
    uint64_t bytes = session != search->richest ? bytes_to_give(session, search->fitting) : 0;
    weir_session *loser = session;
    if (bytes > search->most) {
        loser = search->richest;
        search->richest = session;
        search->most = bytes;
    }
    weir_session_release(loser);
}

static void consider_at(struct search *search, uint32_t index) {
    weir_session *session = session_at(search->engine, index);
    if (session_try_retain(session)) consider(search, session);
}

/* The publishing session, the one that was the richest last time, and some more. With many sessions a greedy one may be
 * met only after a while; from then on it is remembered. */
static weir_session *find_richest(weir_engine *engine, weir_session *session, const struct fitting *fitting) {
    struct search search = {engine, fitting, NULL, 0};
    uint32_t places = slab_fresh(&engine->sessions_slab);
    uint64_t sessions = u64_load_relaxed(&engine->sessions); /* relaxed: a measure, like the bytes */
    uint64_t average = u64_load_relaxed(&engine->pool.budget.used) / (sessions > 0 ? sessions : 1);
    weir_session_retain(session);
    consider(&search, session);
    consider_at(&search, u32_load_relaxed(&engine->budget_richest) % places); /* relaxed: a hint */
    for (uint32_t look = 0; look < LOOKS_MAX && look * LOOKED_AT < places; look++) {
        if (look > 0 && search.most > average) break;
        uint64_t turn = u64_add_relaxed(&engine->budget_turn, LOOKED_AT);
        for (uint32_t i = 0; i < LOOKED_AT && i < places; i++)
            consider_at(&search, (uint32_t)((turn + i) % places));
    }
    if (search.richest != NULL) u32_store_relaxed(&engine->budget_richest, search.richest->index);
    return search.richest;
}

/* Evicts from the oldest on until the stock has a cell that fits. What else comes goes back to the pool through the
 * stock, which spills. */
static void take_from(weir_producer *producer, weir_session *victim, const struct fitting *fitting, uint32_t *left) {
    struct slots *slots = session_slots(victim);
    uint64_t next = session_next(victim, slots);
    uint64_t oldest = session_oldest(victim, slots, next, 1ull << victim->ring_log2);
    while (oldest + 1 < next && *left > 0 && class_in_stock(producer, fitting) > fitting->to) {
        cell_reference evicted;
        --*left;
        if (!slots_evict(slots, oldest++, &evicted)) continue;
        count(&producer->evicted_events, 1);
        settle_replaced(producer, victim, evicted);
    }
    u64_store_relaxed(&victim->tail, oldest); /* relaxed and not compared: see evict_over_budget */
}

/* The class of the cell that fits and is in the stock now; fitting->to + 1 when nobody has one to give. */
static uint32_t find_fitting(weir_producer *producer, weir_session *session, const struct fitting *fitting) {
    uint32_t left = EVICTIONS_MAX;
    uint32_t class_index = class_in_stock(producer, fitting);
    for (uint32_t attempt = 0; attempt < 8 && left > 0 && class_index > fitting->to; attempt++) {
        weir_session *victim = find_richest(producer->engine, session, fitting);
        if (victim == NULL) break;
        take_from(producer, victim, fitting, &left);
        weir_session_release(victim);
        class_index = class_in_stock(producer, fitting);
    }
    return class_index;
}

COLD int budget_make_room(weir_producer *producer, weir_session *session, uint32_t *class_index) {
    struct fitting fitting = {*class_index, *class_index};
    uint32_t found = find_fitting(producer, session, &fitting);
    if (found > fitting.to) {
        fitting.from = *class_index + 1;
        fitting.to = cell_class_for(producer->engine->max_room);
        if (*class_index >= fitting.to) return WEIR_BYTES_LIMIT; /* descriptors have one size, too */
        found = find_fitting(producer, session, &fitting);
    }
    if (found > fitting.to) return WEIR_BYTES_LIMIT;
    *class_index = found;
    return WEIR_OK;
}
