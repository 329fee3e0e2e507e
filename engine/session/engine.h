/* The engine's parts and the session's fields: shared by the files of session/, seen by nobody else. */
#ifndef WEIR_SESSION_ENGINE_H
#define WEIR_SESSION_ENGINE_H

#include <weir.h>

#include "base/atomic.h"
#include "base/check.h"
#include "base/memory.h"
#include "concurrent/cells.h"
#include "concurrent/index_map.h"
#include "concurrent/notify.h"
#include "concurrent/slots.h"

#define NO_CONSUMER UINT64_MAX /* weir_session.consumed when no REFUSE subscriber is attached */
enum { REFUSING_NO = 0, REFUSING_SOON, REFUSING_YES };
#define KINDS_MAX 2047u /* what a cell's header can hold */

/* One life of one name. The memory is a slab's: a pointer stays good while the engine lives, its content only under a
 * reference.
 *
 *   references   one of the registry's until the session is removed, one per weir_session_open. At 0 the session is
 *                being freed, or free, and nobody can take one any more.
 *   ring         NULL before the first publish; a weir_end_reason when it ended before that, RING_IDLE while the sweep
 *                is about to do so; else the slots, for good
 *   hint         at or below the first free sequence: where a producer starts to look
 *   tail         no event below it is kept (other than by the window)
 *   consumed     position of the REFUSE subscriber, or NO_CONSUMER */
struct weir_session {
    /* Found by name. Written at create and remove. */
    struct index_node node;
    atomic_u32 references;
    uint32_t index;
    weir_engine *engine;
    uint64_t epoch;
    uint64_t created_ms;
    uint64_t first_sequence;

    /* Read by every publish, written rarely. */
    CACHE_ALIGNED atomic_pointer ring;
    atomic_pointer outlets; /* the first outlet of a list that only grows */
    atomic_u32 refusing;    /* REFUSING_YES while `consumed` counts */
    uint32_t replay_capacity;
    uint32_t queue_depth;
    atomic_u32 refuse_depth;
    uint8_t ring_log2;
    uint8_t name_length;

    /* Written by every publish. */
    CACHE_ALIGNED atomic_u64 hint;
    atomic_u64 large_bytes; /* cell bytes in classes above the small ones */
    atomic_u64 tail;

    /* Written by consumers. */
    CACHE_ALIGNED atomic_u64 consumed;
    atomic_u64 touched_ms; /* last attach or detach, coarse clock */
    atomic_u32 subscribers;

    char name[WEIR_NAME_MAX];
};

#define RING_IDLE ((void *)SLOT_IDLE)

/* The consuming end of a session on one poller's thread. Lives as long as its session's life: closing it only switches
 * it off, so publishers may walk the list at any time. */
struct weir_outlet {
    atomic_u32 place; /* its bit in the poller's notify, or SLAB_NONE when closed */
    uint32_t index;
    weir_outlet *next; /* of the session; written, like the fields below, before the outlet is linked */
    weir_poller *poller;
    weir_session *session;
    void *user;
};

struct weir_poller {
    weir_engine *engine;
    uint32_t index;
    uint32_t max_outlets;
    uint32_t free_count;
    uint32_t *free_places;
    weir_outlet **outlets; /* by place */
    struct notify notify;
    atomic_u32 open; /* 0: this poller's memory waits for its next use */
};

struct weir_producer {
    weir_engine *engine;
    uint64_t bound_epoch; /* of the session last published to, for which `hint` holds */
    uint64_t hint;
    /* Statistics: this thread's alone to write, relaxed for those who add them up. */
    atomic_u64 published;
    atomic_u64 published_bytes;
    atomic_u64 full;
    atomic_u64 refused;
    struct cell_stock stock;
    uint64_t woken[WEIR_POLLERS_MAX]; /* by poller: the last sleep epoch that this producer ended */
    weir_producer *next;              /* all producers ever made; written before this one is linked */
    atomic_u32 taken;                 /* 1 while somebody has it; else it may be used again */
};

struct kind_entry {
    uint64_t hash;
    uint32_t length;
    uint32_t kind;
    char name[WEIR_NAME_MAX];
};

struct weir_engine {
    weir_config config; /* resolved: no field is a default any more */
    weir_allocator system_memory;
    uint64_t hash_key[2];
    uint64_t epoch_start;            /* 48 random bits */
    uint64_t max_length;             /* of an event: max_event_bytes, or what fits into max_session_bytes */
    CACHE_ALIGNED atomic_u64 now_ms; /* coarse monotonic clock; written by weir_engine_tick */
    CACHE_ALIGNED atomic_u64 epochs; /* lives begun */
    atomic_u64 generations;
    atomic_u64 subscribers;
    atomic_u64 sessions;
    atomic_u64 sessions_ended;
    atomic_u64 sessions_expired;
    atomic_u64 gaps;
    atomic_u64 lost;
    uint32_t sweep_next; /* the sweeper's */
    atomic_u32 kind_count;
    atomic_pointer *kinds;        /* by kind: struct kind_entry */
    atomic_pointer *kind_buckets; /* open addressing by hash; entries are only added */
    uint32_t kind_mask;
    atomic_pointer producers; /* list of all ever made */
    atomic_pointer pollers[WEIR_POLLERS_MAX];
    struct index_map map;
    CACHE_ALIGNED struct slab sessions_slab;
    CACHE_ALIGNED struct slab outlets_slab;
    CACHE_ALIGNED struct cell_pool pool;
};

static inline uint64_t engine_now_ms(const weir_engine *engine) {
    return u64_load_relaxed(&engine->now_ms); /* relaxed: a stamp, which orders nothing */
}

static inline weir_session *session_at(const weir_engine *engine, uint32_t index) {
    return (weir_session *)slab_at(&engine->sessions_slab, index);
}

static inline bool ring_is_slots(const void *ring) {
    return (uintptr_t)ring >= SLOT_MARKS;
}

/* Whether a session without slots has ended. */
static inline bool ring_is_end(const void *ring) {
    return slot_mark_is_end((uint32_t)(uintptr_t)ring);
}

/* The slots of a session, or NULL when it has none (never published, or ended before that). */
static inline struct slots *session_slots(const weir_session *session) {
    void *ring = pointer_load_seq_cst(&session->ring); /* seq_cst: the first publish is news like any other (W1) */
    return ring_is_slots(ring) ? (struct slots *)ring : NULL;
}

/* The first sequence that is neither published nor the end. */
static inline uint64_t session_next(const weir_session *session, const struct slots *slots) {
    uint64_t hint = u64_load_acquire(&session->hint); /* H2 */
    return slots_next(slots, slots_catch_up(slots, &session->engine->pool, hint));
}

/* The first sequence from `next - window` on that is kept; `next` when none is. */
uint64_t session_oldest(const weir_session *session, const struct slots *slots, uint64_t next, uint64_t window);

/* Which end a session has come to, WEIR_ENDED_NOT for none. */
weir_end_reason session_ended(const weir_session *session);

/* Ends a session for `reason` at the first free sequence; nothing when it has ended. Then takes it out of the
 * registry. Lock-free; whoever calls it finishes what another began. */
void session_end(weir_session *session, weir_end_reason reason);

/* Ends a session as expired, if nothing was published from `next` on and nobody has subscribed since touched_ms was
 * read. */
bool session_expire(weir_session *session, uint64_t next, uint64_t touched_ms);
/* A new subscriber, already counted, keeps the session from a sweep that has not counted it. */
void session_keep(weir_session *session);

/* Tells every poller with an open outlet on the session. `woken` is the producer's array, or one of UINT64_MAX: wake
 * every sleeper. The list's head and an outlet's place are W1 and W2 of notify.h: loaded after the claim, seq_cst, or
 * an outlet that opens meanwhile is missed. */
static inline void session_notify(weir_session *session, uint64_t *woken) {
    weir_outlet *outlet = (weir_outlet *)pointer_load_seq_cst(&session->outlets);
    for (; outlet != NULL; outlet = outlet->next) {
        uint32_t place = u32_load_seq_cst(&outlet->place);
        if (place == SLAB_NONE) continue;
        struct notify *notify = &outlet->poller->notify;
        if (UNLIKELY(!notify_is_told(notify, place))) notify_set(notify, place, &woken[outlet->poller->index]);
    }
}

/* Registry: takes the session out and gives the registry's reference back, once. */
void registry_remove(weir_session *session);
/* Takes a reference unless the session is being freed. */
bool session_try_retain(weir_session *session);

int producer_publish_refused(weir_producer *producer, int status);

#endif
