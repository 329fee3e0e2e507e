/* weir — an embeddable event core: publish from any thread, keep a bounded replay window, resume exactly.
 *
 * The promise: never lose silently. Every event is delivered, or still replayable, or named in a gap.
 *
 * Thread model
 *   - Any thread publishes, each through its own weir_producer. Publishing takes no lock and waits for nobody.
 *   - Any thread reads, at any position, through its own weir_cursor. Reading never slows a producer.
 *   - A weir_poller belongs to one thread: it tells that thread which of its sessions have something new.
 *   - The engine starts no thread, makes no system call of its own on the publish path, prints nothing, reads no
 *     environment and has no mutable globals: two engines in one process share nothing.
 *   - Not for signal handlers, which would use a producer in the middle of itself, nor for a child of fork.
 *
 * Handles
 *   | handle        | made by              | given back by            | who may use it                         |
 *   |---------------|----------------------|--------------------------|----------------------------------------|
 *   | weir_engine   | weir_engine_create   | weir_engine_destroy      | any thread                             |
 *   | weir_session  | weir_session_open    | weir_session_release     | any thread, while it holds a reference |
 *   | weir_producer | weir_producer_create | weir_producer_destroy    | one thread at a time                   |
 *   | weir_poller   | weir_poller_create   | weir_poller_destroy      | one thread; producers wake it          |
 *   | weir_outlet   | weir_outlet_open     | weir_outlet_close        | the poller's thread                    |
 *   | weir_cursor   | weir_subscribe       | weir_unsubscribe         | one thread at a time; the caller's own memory |
 *   |               | weir_attach          | weir_unsubscribe         |                                        |
 *
 * Further parts, each with a page of its own and included here: weir_config.h (statuses, configuration, presets),
 * weir_channel.h (publish once to many sessions),
 * weir_consumer.h (batches for those who do their own I/O), weir_quota.h (limits by principal, leases, tokens).
 *
 * Every function returns WEIR_OK (0) or one negative weir_status unless it says otherwise. A function that fails
 * changes nothing. Pointers passed in are read during the call only, unless a comment says that they are kept.
 */
#ifndef WEIR_H
#define WEIR_H

#include "weir_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version ------------------------------------------------------------------------------------------------ */

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION       "0.1.0"

/* The version of the library that is linked, which may differ from WEIR_VERSION. Any thread; never fails. */
WEIR_API const char *weir_version(void);

/* ---- Engine ------------------------------------------------------------------------------------------------- */

/* Makes an engine. `config` may be NULL for all defaults. Any thread; may block in the allocator.
 * WEIR_INVALID (a field out of range), WEIR_NO_MEMORY, WEIR_NO_ENTROPY; *engine is NULL then. */
WEIR_API int weir_engine_create(weir_engine **engine, const weir_config *config);

/* Frees the engine with all its sessions. NULL does nothing. The caller must have stopped every thread that uses it
 * and given back every producer, outlet and poller; session references end here. */
WEIR_API void weir_engine_destroy(weir_engine *engine);

/* The configuration in force: every default resolved. Valid while the engine lives. Any thread; wait-free. */
WEIR_API const weir_config *weir_engine_config(const weir_engine *engine);

/* Reads the clock into the coarse time that stamps events and ages sessions, and returns it (monotonic ns).
 * Call it once per turn of a loop: events are stamped no finer than it is called. Any thread; wait-free. */
WEIR_API uint64_t weir_engine_tick(weir_engine *engine);

/* What a sweep looks for. */
#define WEIR_SWEEP_IDLE      1u /* idle_ttl_ms */
#define WEIR_SWEEP_ABSOLUTE  2u /* absolute_ttl_ms */
#define WEIR_SWEEP_TOKENS    4u /* consumers' tokens past their expiry (TOK-06) */
#define WEIR_SWEEP_CONSUMERS 8u /* consumers silent for consumer_ttl_ms */

typedef struct weir_sweep {
    uint32_t what;        /* WEIR_SWEEP_ bits; 0: all */
    uint32_t budget;      /* session places to look at, going on where the last sweep stopped; 0: every one */
    uint64_t idle_ttl_ms; /* 0: the configured one; beyond 2^53 it is read as 30 days (TTL-06) */
    /* Called for each session that this sweep ended, which is valid during the call. May be NULL. */
    void (*ended)(void *context, weir_session *session, weir_end_reason reason);
    void *context;
} weir_sweep;

/* Ends what is past its time. Returns how many sessions ended. Any one thread at a time. A publish, attach or new token
 * that gets in between keeps its session: the end is claimed at the very sequence and attachment that were seen
 * (TTL-18, TOK-14). Memory of sessions that are gone goes back to the system. NULL is all, everywhere. */
WEIR_API uint32_t weir_engine_sweep_for(weir_engine *engine, const weir_sweep *sweep);

/* weir_engine_sweep_for everything at up to `budget` session places. */
WEIR_API uint32_t weir_engine_sweep(weir_engine *engine, uint32_t budget);

/* The same on a schedule: once per turn of a loop, it sweeps up to `budget` places if a sweep is due or under way. The
 * first is due one sweep_interval_ms after the engine was created; ticks that were missed are not made up (TTL-13,
 * TTL-17). Returns how many sessions ended, and in *next_ms, which may be NULL, after how many ms to call again. Any one
 * thread at a time. */
WEIR_API uint32_t weir_engine_maintain(weir_engine *engine, uint32_t budget, uint32_t *next_ms);

/* Ends all sessions as shut down, and refuses new ones from now on with WEIR_SHUT_DOWN: first this, then let consumers
 * read what is queued, then weir_engine_destroy (LF-08). Any thread; lock-free. */
WEIR_API void weir_engine_shut_down(weir_engine *engine);

typedef struct weir_stats {
    uint64_t node_id;          /* of the configuration */
    uint64_t sessions;         /* now */
    uint64_t subscribers;      /* now */
    uint64_t sessions_created; /* since create, like all below */
    uint64_t sessions_ended;
    uint64_t sessions_expired; /* of those, by the sweep */
    uint64_t published;        /* events; exact once the producers are at rest */
    uint64_t published_bytes;
    uint64_t publish_full;     /* WEIR_FULL */
    uint64_t publish_refused;  /* too large, no memory, bytes limit, closed */
    uint64_t wakeups;          /* calls of a poller's wake function */
    uint64_t gaps;             /* gaps reported to readers */
    uint64_t lost;             /* events named in those gaps */
    uint64_t cell_bytes;       /* cell memory taken from the allocator */
    uint64_t kinds;            /* kinds known */
    uint64_t live_accepted;    /* publishes that an attached consumer had room for (STA-07, like all below) */
    uint64_t live_full;        /* that met a full live queue */
    uint64_t live_closed;      /* that met a consumer who had gone */
    uint64_t evicted_overflow; /* sessions ended for a full queue */
    uint64_t evicted_token;    /* for an expired token */
    uint64_t evicted_peer;     /* for a consumer who had gone */
    uint64_t detached_lagging; /* attachments ended for a full queue, their session living on */
    uint64_t displaced;        /* attachments that another one displaced */
    uint64_t replays;          /* weir_replay, and attaching anywhere but at the end */
    uint64_t bytes_read;       /* payload bytes handed to cursors, told when they have caught up or detach */
    uint64_t conflated;        /* events superseded by a later one of their key */
    uint64_t channels;         /* now */
    uint64_t memberships;      /* now: sessions in channels */
    uint64_t broadcasts;       /* events published to channels */
    uint64_t evicted_events;   /* oldest events given up for max_bytes or max_session_bytes */
} weir_stats;

/* Fills *stats from relaxed counters, walking no session list. Any thread; wait-free for publishers. */
WEIR_API void weir_engine_stats(const weir_engine *engine, weir_stats *stats);

/* ---- Kinds -------------------------------------------------------------------------------------------------- */

/* Event kinds are the SSE `event:` names, kept once per engine and never forgotten. Kind 0 is the default kind
 * (no name on the wire). Finds or adds `name`: 1 to WEIR_NAME_MAX bytes without CR, LF and NUL (rule EVT-16).
 * Any thread; lock-free. WEIR_INVALID, WEIR_KINDS_LIMIT, WEIR_NO_MEMORY. */
WEIR_API int weir_kind(weir_engine *engine, const char *name, size_t length, uint32_t *kind);

/* The name of a kind and its length; NULL for kind 0 and for a kind that weir_kind never gave.
 * Valid while the engine lives. Any thread; wait-free. */
WEIR_API const char *weir_kind_name(const weir_engine *engine, uint32_t kind, size_t *length);

/* ---- Sessions ----------------------------------------------------------------------------------------------- */

typedef enum weir_open {
    WEIR_OPEN_EXISTING = 0,
    WEIR_OPEN_OR_CREATE = 1,
    WEIR_OPEN_RESERVE = 2 /* creates it to keep events until somebody attaches; not where nothing is kept (SES-14) */
} weir_open;

/* Finds the session called `name` (1 to WEIR_NAME_MAX bytes of [0-9A-Za-z._~-]) and takes a reference; creates it on
 * request. *created, which may be NULL, tells whether this call made it. A session is not touched on the hot path
 * by name: keep the handle. Any thread; lock-free, never held up by others' creating and removing.
 * WEIR_INVALID, WEIR_NOT_FOUND, WEIR_SESSIONS_LIMIT, WEIR_NO_MEMORY, WEIR_SHUT_DOWN. */
WEIR_API int weir_session_open(weir_engine *engine, const char *name, size_t length, weir_open mode,
                               weir_session **session, int *created);

/* Whose session it is. Both parts are kept as given, at most WEIR_OWNER_MAX bytes each; NULL is none. */
typedef struct weir_owner {
    const char *tenant;
    size_t tenant_length;
    const char *principal;
    size_t principal_length;
} weir_owner;

#define WEIR_OWNER_MAX 128u

/* Creates a session and takes a reference. With `name` NULL the name is made here: a UUID v7 of the wall clock and the
 * entropy source, 36 bytes (SES-26). `owner` may be NULL; it is fixed for the session's life (SES-30) and counts
 * against max_principal_sessions. Any thread; lock-free.
 * WEIR_BUSY (the name is taken), WEIR_INVALID (also a name of the caller's under WEIR_NAMES_SERVER),
 * WEIR_PRINCIPAL_LIMIT and WEIR_SESSIONS_LIMIT (both fill *refusal, which may be NULL), WEIR_NO_MEMORY,
 * WEIR_NO_ENTROPY, WEIR_SHUT_DOWN. Where several limits apply, the first of: PRINCIPAL_LIMIT, BUSY, SESSIONS_LIMIT. */
WEIR_API int weir_session_create(weir_engine *engine, const char *name, size_t length, const weir_owner *owner,
                                 weir_session **session, weir_refusal *refusal);

/* Finds a session and takes a reference, for a caller who may only have its own: each part of `owner` that is not NULL
 * must be what the session was created with. A name that is none is not found either: one answer for all that a client
 * can get wrong (MCP-06). Any thread; lock-free.
 * WEIR_NOT_FOUND; under WEIR_SCOPE_EXPLICIT also WEIR_TENANT_MISMATCH, WEIR_PRINCIPAL_MISMATCH. */
WEIR_API int weir_session_find(weir_engine *engine, const char *name, size_t length, const weir_owner *owner,
                               weir_session **session);

/* Ends the session of that name. WEIR_OK when this call ended it, WEIR_NOT_FOUND otherwise. Any thread; lock-free. */
WEIR_API int weir_session_remove(weir_engine *engine, const char *name, size_t length);

/* The name in text that a client sent: without white space around it (SES-34). WEIR_INVALID when nothing is left. The
 * result points into `text`. Any thread. */
WEIR_API int weir_session_name_parse(const char *text, size_t length, const char **name, size_t *name_length);

/* Takes one more reference, for another owner. The caller must hold one. Any thread; wait-free. */
WEIR_API void weir_session_retain(weir_session *session);

/* Gives one reference back. NULL does nothing. The last one of an ended session frees its events.
 * Any thread; lock-free. */
WEIR_API void weir_session_release(weir_session *session);

/* Ends the session: events published before stay readable by whoever holds it, later publishes get WEIR_CLOSED, its
 * name is free at once and its epoch never comes back. One order with publishes: every event that was accepted
 * precedes the end. WEIR_OK when this call ended it, WEIR_CLOSED when it had ended before. Any thread; lock-free. */
WEIR_API int weir_session_terminate(weir_session *session);

typedef struct weir_session_info {
    const char *name; /* valid while the caller holds its reference; not terminated by NUL */
    size_t name_length;
    uint64_t epoch;     /* identity of this life of the session */
    uint64_t oldest;    /* oldest sequence still kept; newest + 1 when none is */
    uint64_t newest;    /* newest sequence; first_sequence - 1 before the first publish */
    uint64_t published; /* events published in this life */
    uint32_t replay_capacity;
    uint32_t queue_depth;
    uint32_t subscribers;
    weir_end_reason ended;
    weir_owner owner;         /* valid like name */
    uint64_t created_wall_ms; /* Unix time, by the coarse clock */
    uint64_t generation;      /* of the newest attachment, 0 before the first (SES-15) */
    uint32_t channels;        /* that it is a member of */
    uint64_t bytes;           /* cell bytes of the events it keeps */
} weir_session_info;

/* A snapshot; each number is right at some instant during the call. Any thread holding the session; lock-free. */
WEIR_API void weir_session_info_get(const weir_session *session, weir_session_info *info);

/* ---- Publishing --------------------------------------------------------------------------------------------- */

/* Makes the publishing handle of one thread (its own stock of cells). Any thread. WEIR_NO_MEMORY. */
WEIR_API int weir_producer_create(weir_engine *engine, weir_producer **producer);

/* Gives the handle's cells back. NULL does nothing. */
WEIR_API void weir_producer_destroy(weir_producer *producer);

/* Publishes `length` bytes (0 to max_event_bytes) as one event of `kind` (from weir_kind, or 0). The bytes are
 * copied. When it returns WEIR_OK the event is replayable, has the sequence stored in *sequence (may be NULL), and
 * every poller with an outlet on the session has been told (contract SEQ-07, SEQ-08).
 * Lock-free: a producer stopped at any instruction delays no other. No lock, no allocation and no system call in
 * steady state; a poller that sleeps is woken through its own function.
 * WEIR_FULL (policy REFUSE only), WEIR_CLOSED, WEIR_TOO_LARGE, WEIR_BYTES_LIMIT, WEIR_NO_MEMORY, WEIR_INVALID. */
WEIR_API int weir_publish(weir_producer *producer, weir_session *session, uint32_t kind, const void *data,
                          size_t length, uint64_t *sequence);

/* An event to publish. All 0 but data and length is an event of kind 0. */
typedef struct weir_message {
    const void *data;
    size_t length;
    uint32_t kind;
    uint32_t keyed; /* 1: `key` counts */
    uint64_t key;   /* what WEIR_POLICY_CONFLATE tells values apart by */
} weir_message;

typedef enum weir_live {
    WEIR_LIVE_NONE = 0, /* nobody is attached */
    WEIR_LIVE_ACCEPTED, /* inside the attached consumer's live queue */
    WEIR_LIVE_FULL,     /* beyond it */
    WEIR_LIVE_CLOSED    /* the consumer has gone, or was cut off before */
} weir_live;

/* What became of a publish (C-27). */
typedef struct weir_receipt {
    uint64_t sequence; /* when it was published */
    int stored;        /* 1 when it can be replayed */
    weir_live live;
    uint64_t generation; /* the attachment that `live` is about; 0 for none */
} weir_receipt;

/* weir_publish of a message, which tells what the attached consumer made of it; *receipt is filled when it returns
 * WEIR_OK, WEIR_FULL, WEIR_EVICTED, WEIR_TOKEN_EXPIRED or WEIR_CLOSED, and may be NULL. With an attached consumer
 * (weir_attach) the order is token, then queue (LIV-11):
 *   WEIR_TOKEN_EXPIRED  its token is past its time; the session has ended with it (TOK-03)
 *   WEIR_FULL           policy REFUSE: not published; counted
 *   WEIR_EVICTED        policy REFUSE, once too often: the session has ended (BKP-04). One caller gets it (BKP-12)
 *   WEIR_CLOSED         the session has ended, or the consumer has gone and the session with it (LIV-13)
 * Otherwise as weir_publish. The producer's thread; lock-free. */
WEIR_API int weir_offer(weir_producer *producer, weir_session *session, const weir_message *message,
                        weir_receipt *receipt);

/* weir_offer by name: WEIR_INVALID without a name (LIV-07), and for an unknown session WEIR_NOT_FOUND, or WEIR_OK with
 * nothing done under WEIR_MISSING_IGNORE (LIV-06). Does not count as a lookup. */
WEIR_API int weir_send(weir_producer *producer, const char *name, size_t length, const weir_message *message,
                       weir_receipt *receipt);

/* weir_offer that waits where it would have been refused as full: until the attached consumer has made room, or the
 * clock shows deadline_ns (monotonic; an injected clock is looked at every 10 ms). The only function of the engine that
 * blocks, and it only blocks its caller. It is bound to the consumer it began with (C-14, LIV-18); one that had gone
 * before the call is weir_offer's to judge.
 * WEIR_TIMEOUT; WEIR_CLOSED (the consumer was displaced); WEIR_PEER_GONE (it went away, also where the session ends with
 * it); WEIR_TOKEN_EXPIRED; else as weir_offer, but it counts no fulls. */
WEIR_API int weir_offer_wait(weir_producer *producer, weir_session *session, const weir_message *message,
                             uint64_t deadline_ns, weir_receipt *receipt);

/* The heartbeat that rules.heartbeat asks for: SEQUENCED publishes an event of kind "heartbeat" with `data`; otherwise
 * nothing, for then heartbeats are the writer's own (EVT-06, C-16). *published, which may be NULL, tells. As
 * weir_publish. */
WEIR_API int weir_heartbeat_publish(weir_producer *producer, weir_session *session, const void *data, size_t length,
                                    int *published);

/* ---- Wire ids ----------------------------------------------------------------------------------------------- */

/* Writes the wire id of an event, "<epoch>.<sequence>" in [0-9A-Za-z._~-], at most 32 bytes and not terminated;
 * returns its length. Opaque to clients. `out` has room for WEIR_ID_MAX bytes. Any thread; wait-free. */
WEIR_API size_t weir_id_format(uint64_t epoch, uint64_t sequence, char *out);

/* Writes the epoch part of those ids, 11 bytes, not terminated; returns 11. Any thread; wait-free. */
WEIR_API size_t weir_epoch_format(uint64_t epoch, char *out);

/* The same in the form that the session's engine uses: weir_id_format, or the bare sequence in decimal. */
WEIR_API size_t weir_session_id_format(const weir_session *session, uint64_t sequence, char *out);

/* ---- Reading ------------------------------------------------------------------------------------------------ */

typedef enum weir_gap_reason {
    WEIR_GAP_NONE = 0,
    WEIR_GAP_EVICTED,  /* "evicted": older than the window */
    WEIR_GAP_SLOW,     /* "slow": the subscriber's live queue overflowed, or the ring passed it */
    WEIR_GAP_AHEAD,    /* "ahead": the id is newer than the newest event */
    WEIR_GAP_EPOCH,    /* "epoch": the id is from another life of the session */
    WEIR_GAP_SESSION,  /* "session": the id belongs to a session of another name */
    WEIR_GAP_MALFORMED /* "malformed": not an id of weir's, or over-long */
} weir_gap_reason;

/* The reason as clients see it, in quotes above; "none" for others. Static; any thread. */
WEIR_API const char *weir_gap_reason_name(weir_gap_reason reason);

/* What a subscriber can no longer get: sequences first to last of this epoch (none when first > last), and for the
 * last four reasons also whatever followed its id where that came from, which nobody can count (`lost_known` 0). Where
 * sequences begin at 0, none before 0 reads last = UINT64_MAX: `lost` == 0 says "none" in every case. */
typedef struct weir_gap {
    uint64_t first;
    uint64_t last;
    uint64_t lost;  /* last - first + 1, or 0 */
    int lost_known; /* 1 when `lost` is all that was lost */
    weir_gap_reason reason;
} weir_gap;

/* The reading end of one subscriber: replay and live through one position over one ring, so nothing can fall
 * between them (design 2.4). The caller provides the memory; the fields are weir's and may be read. */
typedef struct weir_cursor {
    uint64_t next;        /* sequence wanted next */
    uint64_t generation;  /* identity of this attachment, unique in the engine, 0 when not attached */
    uint64_t end;         /* where delivery stops; UINT64_MAX while nothing stops it */
    void *attachment;     /* weir's: what only some subscribers need */
    uint32_t queue_depth; /* live queue bound */
    uint32_t unread;      /* weir's: bytes not yet in the statistics */
    uint8_t policy;       /* weir_policy, resolved */
    uint8_t live;         /* 1 once it has caught up: the bound counts from then on */
    uint8_t ended;        /* weir_end_reason: why WEIR_END or WEIR_LAGGED was returned */
    uint8_t slow;         /* 1 between WEIR_NOTICE_SLOW and WEIR_NOTICE_RECOVERED */
    uint8_t watch;        /* weir's: how often it looks whether it is slow; 0 never */
    uint8_t rare;         /* weir's: 1 when reading takes more than a look at the ring */
    uint8_t reserved[2];
} weir_cursor;

typedef enum weir_start {
    WEIR_START_OLDEST = 0,
    WEIR_START_NOW = 1,
    WEIR_START_AFTER = 2 /* after the sequence `after`, as if it came as an id of this life (C-01) */
} weir_start;

/* How to attach. 0 everywhere is: from the oldest event kept, the standard policy, the engine's queue depth. */
typedef struct weir_subscription {
    const char *last_id;   /* the id the client saw last, any bytes; NULL or length 0: none, use `start` */
    size_t last_id_length; /* bounded by the caller; over WEIR_ID_MAX is malformed */
    weir_start start;
    weir_policy policy;
    uint32_t queue_depth;          /* 1 .. the session's ring; 0 the engine's */
    uint32_t full_consecutive_max; /* with a policy of its own: as in weir_rules, up to 1,023 */
    uint32_t full_total_max;       /* up to 4,095 */
    uint32_t acknowledged;         /* 1: a place in the queue is free when weir_acknowledge says so, not when read */
    uint64_t after;                /* with WEIR_START_AFTER */
    uint64_t token_expiry_s;       /* Unix seconds; still valid in that second (TOK-02); 0: no token */
    const char *principal;         /* counts against max_principal_subscribers; NULL: nobody's */
    size_t principal_length;       /* up to WEIR_OWNER_MAX */
    const char *address;           /* counts against max_address_subscribers; any bytes */
    size_t address_length;         /* up to WEIR_OWNER_MAX */
    weir_refusal *refusal;         /* filled when a limit says no; may be NULL */
} weir_subscription;

/* Two ways to consume a session:
 *   weir_subscribe  any number of subscribers; each finds out by itself, when it reads, that it has fallen behind
 *   weir_attach     the one consumer that the session's live queue is for: publishing tells what it made of the event,
 *                   and a new one displaces the old (SES-06)
 * Both end with weir_unsubscribe. */

/* Attaches a cursor to the session and places it: after last_id when that is inside the window, else where design 4
 * says, with WEIR_GAP and *gap telling what is gone. WEIR_OK and WEIR_GAP both mean attached.
 * A session that has ended can be attached to as well: what it kept is read, and then WEIR_END.
 * `how` may be NULL. Any thread that holds the session, which must stay held until weir_unsubscribe; lock-free.
 * WEIR_SUBSCRIBERS_LIMIT, WEIR_PRINCIPAL_LIMIT, WEIR_ADDRESS_LIMIT (all fill how->refusal), WEIR_BUSY (a REFUSE
 * subscriber where the session's live queue is taken), WEIR_NO_MEMORY, WEIR_INVALID. */
WEIR_API int weir_subscribe(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap);

/* The same as the session's one consumer. One that was attached is displaced: it can read what was published before,
 * and then gets WEIR_END with WEIR_ENDED_DISPLACED. Of two that attach at once the one with the larger
 * cursor->generation stays (SES-19). `how` NULL is what rules say, and weir_subscription_init gives that to change it. */
WEIR_API int weir_attach(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap);
WEIR_API void weir_subscription_init(const weir_engine *engine, weir_subscription *how);

/* Detaches. A cursor that is not attached, or is attached no more, is left alone: late clean-up is harmless. For an
 * attached consumer this says that it has gone: rules.closed_action follows. The cursor's thread; lock-free. */
WEIR_API void weir_unsubscribe(weir_session *session, weir_cursor *cursor);

/* Closes the live queue of that attachment, from any thread: its consumer reads what is queued and then gets WEIR_END
 * with WEIR_ENDED_DETACHED; events go on being kept. Another generation than the newest is left alone (SES-08).
 * WEIR_OK, or WEIR_NOT_FOUND when nothing was done. Any thread that holds the session; lock-free. */
WEIR_API int weir_detach(weir_session *session, uint64_t generation);

/* The session's attachment as it stands, for answers and probes; asking counts as nothing (BKP-14). */
typedef struct weir_attachment_info {
    uint64_t generation;
    weir_end_reason ended; /* WEIR_ENDED_NOT while it is open */
    uint64_t backlog;      /* events in its live queue */
    uint32_t queue_depth;
    uint32_t drops_consecutive;
    uint32_t drops_total;
    uint64_t connected_wall_s; /* Unix seconds (SES-22) */
    uint64_t active_wall_s;    /* attached, or last publish accepted */
    uint64_t token_expiry_s;   /* 0: none */
} weir_attachment_info;

/* WEIR_OK; WEIR_FULL when its queue is full; WEIR_CLOSED when it has ended; WEIR_NOT_FOUND when none ever was. Any
 * thread that holds the session; lock-free. */
WEIR_API int weir_attachment_get(const weir_session *session, weir_attachment_info *info);

/* Places a cursor for one look back, attached to nothing and counted nowhere: how->last_id or how->start decide where,
 * weir_read gives WEIR_EMPTY after the newest event of this moment (RPL-11). WEIR_OK or WEIR_GAP, like weir_subscribe;
 * WEIR_INVALID. Any thread that holds the session; lock-free. */
WEIR_API int weir_replay(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap);

typedef struct weir_event {
    uint64_t sequence;
    uint64_t time_ms; /* monotonic, from the coarse clock at publish */
    uint32_t length;  /* payload bytes */
    uint32_t kind;
    uint64_t key;        /* when keyed */
    uint64_t broadcast;  /* the same for every copy of one event published to a channel; 0 for others */
    uint32_t keyed;      /* 1: published with a key */
    uint32_t superseded; /* events before this one that a later one of their key replaced (WEIR_POLICY_CONFLATE) */
} weir_event;

/* Copies the next event's payload into `buffer` and moves the cursor past it.
 *   WEIR_OK         *event is filled
 *   WEIR_EMPTY      caught up
 *   WEIR_GAP        *gap is filled and the cursor stands after it; call again
 *   WEIR_TOO_SMALL  event->length tells the size needed; the cursor has not moved
 *   WEIR_LAGGED     policy DETACH, EVICT or a bounded REFUSE: everything queued was delivered, and the queue had been
 *                   full once too often
 *   WEIR_END        the session or the attachment has ended and everything before was delivered
 * After the last two cursor->ended tells why; the reason is kept apart from the queue, so it is never lost (LIV-17).
 * The bytes are checked after the copy: what is returned was never torn. One thread per cursor; lock-free, and
 * bounded: it gives up with a gap, never retries for ever (rule RPL-24). */
WEIR_API int weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                       weir_gap *gap);

/* weir_read of up to `max_events` events (1 or more) with one call, for a fraction of the price of each: their payloads
 * stand one behind the other in `buffer`, without anything between them, and *count is their number. Bytes of the
 * buffer behind the last payload may have been overwritten. It reads as far as there are events and room, and may
 * stop before: call again.
 * WEIR_OK with *count >= 1; otherwise *count is 0, and it is what weir_read says of the next event (events[0] is filled
 * for WEIR_TOO_SMALL). Then nothing has been passed over that was not told. WEIR_INVALID: max_events is 0. The cursor's
 * thread; lock-free, and bounded like weir_read. */
WEIR_API int weir_read_many(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity,
                            weir_event *events, uint32_t max_events, uint32_t *count, weir_gap *gap);

/* With how->acknowledged: events up to and including `sequence` are done with. A consumer that comes back asks for what
 * follows the last one. Never moves back. The cursor's thread; wait-free but for waking a waiting publisher. */
WEIR_API void weir_acknowledge(weir_session *session, weir_cursor *cursor, uint64_t sequence);

/* Moves the cursor forward to `next`: its subscriber got the events before that by other means, such as bytes that
 * were rendered once for many. Never moves it back. The cursor's thread; wait-free. */
WEIR_API void weir_cursor_advance(weir_session *session, weir_cursor *cursor, uint64_t next);

/* ---- Polling: which sessions have news ------------------------------------------------------------------------ */

/* `wake` is called by a publishing thread when the poller sleeps; it must be callable from any thread at once and
 * must make the sleeper return (write an eventfd). Nothing is called while the poller is awake. */
typedef struct weir_poller_config {
    uint32_t max_outlets; /* 1 .. 2^24, default: the engine's max_sessions */
    void (*wake)(void *context);
    void *context;
} weir_poller_config;

/* Makes the ready set of one consuming thread. WEIR_POLLERS_LIMIT, WEIR_NO_MEMORY, WEIR_INVALID. */
WEIR_API int weir_poller_create(weir_engine *engine, const weir_poller_config *config, weir_poller **poller);

/* Frees a poller whose outlets are all closed. No producer may publish meanwhile to a session that had one.
 * NULL does nothing. */
WEIR_API void weir_poller_destroy(weir_poller *poller);

/* Has the poller told of each publish to `session` from now on; `user` comes back from weir_poller_take. Subscribe
 * or read after opening, and nothing is missed. One outlet per poller and session. The session must stay held.
 * The poller's thread. WEIR_OUTLETS_LIMIT, WEIR_BUSY (there is one already), WEIR_NO_MEMORY. */
WEIR_API int weir_outlet_open(weir_poller *poller, weir_session *session, void *user, weir_outlet **outlet);

/* Ends that. NULL does nothing. The poller's thread. */
WEIR_API void weir_outlet_close(weir_outlet *outlet);

/* The `user` of the poller's open outlet on the session, NULL when there is none. The poller's thread. */
WEIR_API void *weir_outlet_user(const weir_poller *poller, const weir_session *session);

/* Takes up to `capacity` outlets' `user` pointers that may have news, each once; returns how many. An outlet is
 * cleared before it is returned, so what is published while the caller reads it shows up again.
 * The poller's thread; wait-free. */
WEIR_API uint32_t weir_poller_take(weir_poller *poller, void **users, uint32_t capacity);

/* Before blocking: announces sleep and looks once more. Returns 1 when the thread may block, 0 when there is news
 * (then it counts as awake). After blocking, call weir_poller_awake. The poller's thread; wait-free. */
WEIR_API int weir_poller_sleep(weir_poller *poller);
WEIR_API void weir_poller_awake(weir_poller *poller);

#ifdef __cplusplus
}
#endif

#include "weir_channel.h"
#include "weir_consumer.h"
#include "weir_quota.h"

#endif
