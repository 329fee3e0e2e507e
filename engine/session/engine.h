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
#include "wait.h"

#define KINDS_MAX 1023u /* what a cell's header can hold */

struct attachment;
struct owner_record;

/* One life of one name. The memory is a slab's: a pointer stays good while the engine lives, its content only under a
 * reference.
 *
 *   references   one of the registry's until the session is removed, one per weir_session_open. At 0 the session is
 *                being freed, or free, and nobody can take one any more.
 *   ring         NULL before the first publish; a weir_end_reason when it ended before that, RING_IDLE while the sweep
 *                is about to do so; else the slots, for good
 *   hint         at or below the first free sequence: where a producer starts to look
 *   tail         no event below it is kept (other than by the window)
 *   attachment   the newest attachment (attachment.h) and, in the low bits, the reason for which the session is being
 *                ended on its account; NULL before the first */
struct weir_session {
    /* Found by name. Written at create and remove. */
    struct index_node node;
    atomic_u32 references;
    uint32_t index;
    weir_engine *engine;
    uint64_t epoch;
    uint64_t created_ms;
    uint64_t created_wall_ms;
    uint64_t first_sequence;

    /* Read by every publish, written rarely. */
    CACHE_ALIGNED atomic_pointer ring;
    atomic_pointer outlets; /* the first outlet of a list that only grows */
    atomic_pointer attachment;
    uint32_t replay_capacity;
    uint32_t queue_depth;
    uint8_t ring_log2;
    uint8_t name_length;
    uint16_t reserved;
    cell_reference uncounted_below; /* references below it are of classes bounded by their count, not by bytes */
    struct owner_record *owner;     /* written at create */
    atomic_pointer memberships;     /* of channels (channel.c); NULL before the first */

    /* Written by every publish. */
    CACHE_ALIGNED atomic_u64 hint;
    atomic_u64 counted_bytes; /* cell bytes in the other classes */
    atomic_u64 tail;

    /* Written by consumers. */
    CACHE_ALIGNED atomic_u64 touched_ms; /* last thing that counts as life, other than a publish; coarse clock */
    atomic_u32 subscribers;              /* consumers attached, of either way */
    atomic_u32 listed;                   /* 1: it got into the map, which is not looked up again (registry.c) */

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
    uint32_t plain_length; /* the longest event of a plain publish (publish.c) */
    /* Statistics: this thread's alone to write, relaxed for those who add them up. */
    atomic_u64 published;
    atomic_u64 published_bytes;
    atomic_u64 full;
    atomic_u64 refused;
    atomic_u64 live_accepted;
    atomic_u64 live_full;
    atomic_u64 live_closed;
    atomic_u64 evicted_events;
    atomic_u64 broadcasts;
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
    uint64_t epoch_start;           /* 48 random bits */
    uint64_t max_length;            /* of an event: max_event_bytes, or what fits into max_session_bytes */
    uint64_t max_room;              /* of an event with its key */
    cell_reference uncounted_below; /* see weir_session */
    uint64_t counted_limit;         /* bytes of the counted classes that one session may hold */
    struct wait_ops wait_ops;
    atomic_pointer channels;          /* struct channels, made with the first one */
    struct weir_quota *session_quota; /* by principal; NULL where there is no such limit, like the two below */
    struct weir_quota *principal_quota;
    struct weir_quota *address_quota;
    CACHE_ALIGNED atomic_u64 now_ms; /* coarse monotonic clock; written by weir_engine_tick */
    atomic_u64 wall_ms;              /* coarse Unix time, likewise */
    atomic_u32 shutting_down;
    CACHE_ALIGNED atomic_u64 epochs; /* lives begun */
    atomic_u64 generations;
    atomic_u64 subscribers;
    atomic_u64 sessions;
    atomic_u64 sessions_ended;
    atomic_u64 sessions_expired;
    atomic_u64 gaps;
    atomic_u64 lost;
    atomic_u64 evicted[8]; /* sessions ended, by reason */
    atomic_u64 detached_lagging;
    atomic_u64 displaced;
    atomic_u64 replays;
    atomic_u64 bytes_read;
    atomic_u64 conflated;
    atomic_u64 budget_turn;    /* where the search for the richest session goes on */
    atomic_u32 budget_richest; /* the index of the last one found */
    uint32_t sweep_next;       /* the sweeper's, like the three below */
    uint32_t maintain_left;    /* places left of the sweep under way */
    uint64_t maintain_due_ms;
    atomic_u32 kind_count;
    atomic_pointer *kinds;        /* by kind: struct kind_entry */
    atomic_pointer *kind_buckets; /* open addressing by hash; entries are only added */
    uint32_t kind_mask;
    atomic_pointer producers; /* list of all ever made */
    atomic_pointer pollers[WEIR_POLLERS_MAX];
    struct index_map map;
    CACHE_ALIGNED struct slab sessions_slab;
    CACHE_ALIGNED struct slab outlets_slab;
    CACHE_ALIGNED struct slab attachments_slab;
    CACHE_ALIGNED struct cell_pool pool;
};

static inline uint64_t engine_now_ms(const weir_engine *engine) {
    return u64_load_relaxed(&engine->now_ms); /* relaxed: a stamp, which orders nothing */
}

#define IDLE_NEVER UINT64_MAX

static inline uint64_t engine_idle_ttl_ms(const weir_engine *engine) {
    return engine->config.idle_ttl_ms == WEIR_NONE ? IDLE_NEVER : engine->config.idle_ttl_ms;
}

/* The cell keeps 32 bits of the time; the rest is the clock's, for no event is 49 days old. So it is the latest time with
 * these 32 bits that is at most an hour ahead: another thread may have stamped by a later reading of the clock. */
static inline uint64_t event_time_at(uint64_t now_ms, uint64_t facts) {
    uint64_t latest_ms = now_ms + 3600000;
    return latest_ms - ((uint32_t)latest_ms - facts_time_ms(facts));
}

static inline uint64_t engine_wall_s(const weir_engine *engine) {
    return u64_load_relaxed(&engine->wall_ms) / 1000; /* relaxed, as above */
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

/* What an event takes of its session's budget. The body of a broadcast counts with every session that keeps it, for each
 * of them alone may be the one that still does. */
static inline uint32_t event_bytes(const weir_session *session, cell_reference reference) {
    uint32_t class_index = cell_payload_class(reference);
    if (!cell_has_payload(reference) && class_index << CELL_CLASS_SHIFT < session->uncounted_below)
        return CELL_DESCRIPTOR_SIZE;
    return cell_size(class_index);
}

/* Cell bytes of the events in its slots, as they stand. */
uint64_t session_bytes(const weir_session *session, const struct slots *slots);

/* Which end a session has come to, WEIR_ENDED_NOT for none. */
weir_end_reason session_ended(const weir_session *session);

/* Ends a session for `reason` at the first free sequence; nothing when it has ended. Then takes it out of the
 * registry. Lock-free; whoever calls it finishes what another began. True for the caller whose end it is. */
bool session_end(weir_session *session, weir_end_reason reason);

/* Ends a session as expired, if nothing that counts as life has happened since `seen` was looked at. */
struct life_seen {
    uint64_t next;       /* the first free sequence */
    uint64_t touched_ms; /* session->touched_ms */
    bool any_consumer;   /* whether consumers keep it */
};
bool session_expire(weir_session *session, const struct life_seen *seen);

/* Something that counts as life happens now: stamps it, and takes the session from a sweep that has not seen it. */
void session_touch(weir_session *session);
/* The same if the rules count it; an attached consumer keeps its session in any case. */
void session_touch_for(weir_session *session, uint32_t activity);

/* Wakes every poller with an outlet on the session. */
void session_wake(weir_session *session);

/* Whether the session is past one of its times, for reasons WEIR_SWEEP_IDLE and WEIR_SWEEP_ABSOLUTE; then ends it. */
bool session_expire_if_due(weir_session *session, uint32_t what, uint64_t idle_ttl_ms);

/* The outlets of the session, and telling every poller with an open one among them. `woken` is the producer's array, or one
 * of UINT64_MAX: wake every sleeper. The list's head and an outlet's place are W1 and W2 of notify.h: loaded after the
 * claim, seq_cst, or an outlet that opens meanwhile is missed. */
static inline weir_outlet *session_outlets(const weir_session *session) {
    return (weir_outlet *)pointer_load_seq_cst(&session->outlets); /* W1 */
}
static inline void outlets_notify(weir_outlet *outlet, uint64_t *woken) {
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

/* The session of that name with a reference, which counts as no lookup; NULL when there is none. */
weir_session *registry_find(weir_engine *engine, const char *name, size_t length);

/* What a lookup does to the session that it found: ends one past its time where lookups are what keeps sessions
 * (TTL-11); otherwise it is a sign of life if `touch` (TTL-12). False when the session is gone. */
bool registry_look_up(weir_session *session, bool touch);

/* Gives the owner's record back with what it holds. NULL does nothing. */
void owner_free(weir_engine *engine, struct owner_record *owner);

/* Brings a cell of the class *class_index, or of a larger one that it then names, to the producer's stock by taking the
 * oldest events of whoever holds most (budget.c). WEIR_OK when the stock has it now. */
int budget_make_room(weir_producer *producer, weir_session *session, uint32_t *class_index);

/* One writer, so load and store make an increment; relaxed, for those who add up. */
static inline void count(atomic_u64 *counter, uint64_t more) {
    u64_store_relaxed(counter, u64_load_relaxed(counter) + more);
}

/* Fills *refusal, which may be NULL, and returns `status`. */
int refuse(weir_refusal *refusal, int status, uint64_t limit, uint64_t current);

/* Tells the observer, if there is one. */
void tell(weir_session *session, weir_notice_kind kind, weir_end_reason reason, uint64_t generation, uint64_t backlog,
          uint32_t queue_depth);

#endif
