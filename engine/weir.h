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
 *
 * Every function returns WEIR_OK (0) or one negative weir_status unless it says otherwise. A function that fails
 * changes nothing. Pointers passed in are read during the call only, unless a comment says that they are kept.
 */
#ifndef WEIR_H
#define WEIR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

/* ---- Version ------------------------------------------------------------------------------------------------ */

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION       "0.1.0"

/* The version of the library that is linked, which may differ from WEIR_VERSION. Any thread; never fails. */
WEIR_API const char *weir_version(void);

/* ---- Status ------------------------------------------------------------------------------------------------- */

/* The one list of results: name, code, text. Codes from -1 to -19 are normal outcomes of a healthy program, codes
 * from -20 on are refusals: bad input, or a named limit that was reached. */
#define WEIR_STATUS_LIST(X)                                                                                          \
    X(OK, 0, "ok")                                                                                                   \
    X(EMPTY, -1, "nothing to read yet")                                                                              \
    X(GAP, -2, "events were lost; the gap names them")                                                               \
    X(END, -3, "the session has ended")                                                                              \
    X(LAGGED, -4, "the subscriber fell further behind than its queue depth")                                         \
    X(FULL, -5, "the live queue is full")                                                                            \
    X(CLOSED, -6, "the session has been terminated")                                                                 \
    X(NOT_FOUND, -7, "no such session")                                                                              \
    X(TOO_SMALL, -8, "the buffer is smaller than the event")                                                         \
    X(BUSY, -9, "another subscriber holds the session's live queue")                                                 \
    X(INVALID, -20, "an argument is out of range")                                                                   \
    X(TOO_LARGE, -21, "the event is larger than max_event_bytes or the session's budget")                            \
    X(NO_MEMORY, -22, "the allocator returned no memory")                                                            \
    X(BYTES_LIMIT, -23, "max_bytes is reached")                                                                      \
    X(SESSIONS_LIMIT, -24, "max_sessions is reached")                                                                \
    X(SUBSCRIBERS_LIMIT, -25, "max_subscribers or max_session_subscribers is reached")                               \
    X(KINDS_LIMIT, -26, "max_kinds is reached")                                                                      \
    X(OUTLETS_LIMIT, -27, "max_outlets of the poller is reached")                                                    \
    X(POLLERS_LIMIT, -28, "max_pollers is reached")                                                                  \
    X(NO_ENTROPY, -29, "the entropy source failed")

typedef enum weir_status {
#define WEIR_STATUS_ENUM(name, code, text) WEIR_##name = code,
    WEIR_STATUS_LIST(WEIR_STATUS_ENUM)
#undef WEIR_STATUS_ENUM
} weir_status;

/* The text ("ok", ...) and the name ("WEIR_OK", ...) of a status. Static strings; a code that is not in the list
 * gives "unknown status" and "WEIR_UNKNOWN". Any thread; never fail. */
WEIR_API const char *weir_strerror(int status);
WEIR_API const char *weir_status_name(int status);

/* ---- Configuration ------------------------------------------------------------------------------------------ */

typedef struct weir_engine weir_engine;
typedef struct weir_session weir_session;
typedef struct weir_producer weir_producer;
typedef struct weir_poller weir_poller;
typedef struct weir_outlet weir_outlet;

/* In a field where 0 would be meaningful, WEIR_NONE asks for zero (no replay, no expiry); 0 asks for the default. */
#define WEIR_NONE UINT32_MAX

#define WEIR_NAME_MAX        64u        /* bytes in a session name or in a kind name */
#define WEIR_ID_MAX          64u        /* bytes in a wire id; weir's own take at most 32 */
#define WEIR_EVENT_BYTES_MAX (1u << 20) /* the largest max_event_bytes */
#define WEIR_CAPACITY_MAX    (1u << 24) /* the largest replay_capacity and queue_depth */
#define WEIR_POLLERS_MAX     64u        /* the largest max_pollers */

/* Time, injected. Both may be called from any thread at once and must not fail.
 * now_ns is monotonic; wall_ms is Unix time. */
typedef struct weir_clock {
    uint64_t (*now_ns)(void *context);
    uint64_t (*wall_ms)(void *context);
    void *context;
} weir_clock;

/* Memory, injected. Called from any thread, at create time, when a session first publishes and while pools grow;
 * never in steady-state publishing. `allocate` returns zeroed memory at the alignment (a power of two), or NULL. */
typedef struct weir_allocator {
    void *(*allocate)(void *context, size_t size, size_t alignment);
    void (*release)(void *context, void *memory, size_t size, size_t alignment);
    void *context;
} weir_allocator;

/* Randomness, injected; asked once per engine. Fills `size` bytes and returns 0, or returns another value. */
typedef struct weir_entropy {
    int (*fill)(void *context, void *memory, size_t size);
    void *context;
} weir_entropy;

typedef enum weir_log_level { WEIR_LOG_ERROR = 1, WEIR_LOG_WARNING, WEIR_LOG_INFO, WEIR_LOG_DEBUG } weir_log_level;

/* Log lines, injected; silent when NULL. `text` is valid during the call. Called from the thread that found it. */
typedef struct weir_log {
    void (*write)(void *context, weir_log_level level, const char *text);
    void *context;
} weir_log;

/* What to do for a subscriber whose live queue is full (contract BKP, design 3.2). */
typedef enum weir_policy {
    WEIR_POLICY_SKIP = 0, /* a gap, and on from the oldest event inside queue_depth */
    WEIR_POLICY_DETACH,   /* what is queued is delivered, then WEIR_LAGGED; the session keeps its events */
    WEIR_POLICY_REFUSE, /* the producer gets WEIR_FULL and uses no sequence; one such subscriber per session. A publish
                             under way while it attaches may still go one over; keep queue_depth below the ring */
    WEIR_POLICY_EVICT   /* like DETACH, and the session is terminated */
} weir_policy;

/* Every field but `size`: 0 means the default that its comment names. Use WEIR_CONFIG_INIT and set what differs.
 * weir copies the structure. An unknown, longer structure is taken when its tail is zero. */
typedef struct weir_config {
    size_t size;                      /* sizeof(weir_config) */
    uint32_t max_sessions;            /* 1 .. 2^24, default 65,536 */
    uint32_t max_kinds;               /* distinct event kinds, 1 .. 2,047, default 1,024 */
    uint32_t max_pollers;             /* consuming threads, 1 .. 64, default 16 */
    uint32_t max_subscribers;         /* in all, default 1,048,576 */
    uint32_t max_session_subscribers; /* of one session, default 65,536 */
    uint32_t replay_capacity;         /* events kept per session, exact; default 256, WEIR_NONE keeps none */
    uint32_t queue_depth;             /* live queue bound; default: replay_capacity, or 256 if that is none */
    uint32_t max_event_bytes;         /* payload bytes of one event, default and most 1 MiB */
    uint64_t max_session_bytes;       /* cell bytes one session may hold in events over 1,008 bytes; default 16 MiB.
                                         Smaller events are bounded by their count. The oldest go first. */
    uint64_t max_bytes;               /* cell memory of all sessions, default 1 GiB */
    uint32_t idle_ttl_ms;             /* a session without subscriber and publish for so long ends at the next
                                         sweep; default 300,000, WEIR_NONE never */
    uint32_t reserved;                /* 0 */
    uint64_t first_sequence;          /* of each session, default 1 */
    weir_clock clock;                 /* default: the system's */
    weir_allocator allocator;         /* default: a jemalloc arena of the engine's own */
    weir_entropy entropy;             /* default: getrandom(2) */
    weir_log log;                     /* default: silent */
} weir_config;

#ifdef __cplusplus /* which learnt to name a field here in C++20 */
static inline weir_config weir_config_init(void) {
    weir_config config = {};
    config.size = sizeof(config);
    return config;
}
#define WEIR_CONFIG_INIT weir_config_init()
#else
#define WEIR_CONFIG_INIT                                                                                             \
    { .size = sizeof(weir_config) }
#endif

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

/* Ends sessions that have been idle for idle_ttl_ms, looking at no more than `budget` session places and going on
 * where the last call stopped. Returns how many ended. Any one thread at a time; a publish or subscribe that gets in
 * between keeps its session (the end is claimed at the very sequence that was seen idle). */
WEIR_API uint32_t weir_engine_sweep(weir_engine *engine, uint32_t budget);

typedef struct weir_stats {
    uint64_t sessions;         /* now */
    uint64_t subscribers;      /* now */
    uint64_t sessions_created; /* since create, like all below */
    uint64_t sessions_ended;
    uint64_t sessions_expired; /* of those, by the sweep */
    uint64_t published;        /* events; exact once the producers are at rest */
    uint64_t published_bytes;
    uint64_t publish_full;    /* WEIR_FULL */
    uint64_t publish_refused; /* too large, no memory, bytes limit, closed */
    uint64_t wakeups;         /* calls of a poller's wake function */
    uint64_t gaps;            /* gaps reported to readers */
    uint64_t lost;            /* events named in those gaps */
    uint64_t cell_bytes;      /* cell memory taken from the allocator */
    uint64_t kinds;           /* kinds known */
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

typedef enum weir_open { WEIR_OPEN_EXISTING = 0, WEIR_OPEN_OR_CREATE = 1 } weir_open;

/* Finds the session called `name` (1 to WEIR_NAME_MAX bytes of [0-9A-Za-z._~-]) and takes a reference; creates it on
 * request. *created, which may be NULL, tells whether this call made it. A session is not touched on the hot path
 * by name: keep the handle. Any thread; lock-free, never held up by others' creating and removing.
 * WEIR_INVALID, WEIR_NOT_FOUND, WEIR_SESSIONS_LIMIT, WEIR_NO_MEMORY. */
WEIR_API int weir_session_open(weir_engine *engine, const char *name, size_t length, weir_open mode,
                               weir_session **session, int *created);

/* Takes one more reference, for another owner. The caller must hold one. Any thread; wait-free. */
WEIR_API void weir_session_retain(weir_session *session);

/* Gives one reference back. NULL does nothing. The last one of an ended session frees its events.
 * Any thread; lock-free. */
WEIR_API void weir_session_release(weir_session *session);

typedef enum weir_end_reason {
    WEIR_ENDED_NOT = 0,
    WEIR_ENDED_TERMINATED, /* weir_session_terminate */
    WEIR_ENDED_EXPIRED,    /* the idle sweep */
    WEIR_ENDED_OVERFLOW    /* a subscriber's WEIR_POLICY_EVICT */
} weir_end_reason;

/* Ends the session: events published before stay readable by whoever holds it, later publishes get WEIR_CLOSED, its
 * name is free at once and its epoch never comes back. One order with publishes: every event that was accepted
 * precedes the end. Repeating it does nothing. Any thread; lock-free. */
WEIR_API void weir_session_terminate(weir_session *session);

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

/* ---- Wire ids ----------------------------------------------------------------------------------------------- */

/* Writes the wire id of an event, "<epoch>.<sequence>" in [0-9A-Za-z._~-], at most 32 bytes and not terminated;
 * returns its length. Opaque to clients. `out` has room for WEIR_ID_MAX bytes. Any thread; wait-free. */
WEIR_API size_t weir_id_format(uint64_t epoch, uint64_t sequence, char *out);

/* Writes the epoch part of those ids, 11 bytes, not terminated; returns 11. Any thread; wait-free. */
WEIR_API size_t weir_epoch_format(uint64_t epoch, char *out);

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
 * last four reasons also whatever followed its id where that came from, which nobody can count (`lost_known` 0). */
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
    uint64_t end;         /* where delivery stops after an overflow; UINT64_MAX before */
    uint32_t queue_depth; /* live queue bound */
    uint8_t policy;       /* weir_policy */
    uint8_t live;         /* 1 once it has caught up: the bound counts from then on */
    uint8_t reserved[2];
} weir_cursor;

typedef enum weir_start { WEIR_START_OLDEST = 0, WEIR_START_NOW = 1 } weir_start;

/* How to attach. 0 everywhere is: from the oldest event kept, skip when slow, the engine's queue depth. */
typedef struct weir_subscription {
    const char *last_id;   /* the id the client saw last, any bytes; NULL or length 0: none, use `start` */
    size_t last_id_length; /* bounded by the caller; over WEIR_ID_MAX is malformed */
    weir_start start;
    weir_policy policy;
    uint32_t queue_depth; /* 1 .. the session's ring; 0 the engine's */
} weir_subscription;

/* Attaches a cursor to the session and places it: after last_id when that is inside the window, else where design 4
 * says, with WEIR_GAP and *gap telling what is gone. WEIR_OK and WEIR_GAP both mean attached.
 * A session that has ended can be attached to as well: what it kept is read, and then WEIR_END.
 * `how` may be NULL. Any thread that holds the session, which must stay held until weir_unsubscribe; lock-free.
 * WEIR_SUBSCRIBERS_LIMIT, WEIR_BUSY (a second REFUSE subscriber), WEIR_INVALID. */
WEIR_API int weir_subscribe(weir_session *session, const weir_subscription *how, weir_cursor *cursor, weir_gap *gap);

/* Detaches. A cursor that is not attached, or is attached no more, is left alone: late clean-up is harmless. */
WEIR_API void weir_unsubscribe(weir_session *session, weir_cursor *cursor);

typedef struct weir_event {
    uint64_t sequence;
    uint64_t time_ms; /* monotonic, from the coarse clock at publish */
    uint32_t length;  /* payload bytes */
    uint32_t kind;
} weir_event;

/* Copies the next event's payload into `buffer` and moves the cursor past it.
 *   WEIR_OK         *event is filled
 *   WEIR_EMPTY      caught up
 *   WEIR_GAP        *gap is filled and the cursor stands after it; call again
 *   WEIR_TOO_SMALL  event->length tells the size needed; the cursor has not moved
 *   WEIR_LAGGED     policy DETACH or EVICT: everything queued was delivered, and the queue had overflowed
 *   WEIR_END        the session has ended and everything before its end was delivered
 * The bytes are checked after the copy: what is returned was never torn. One thread per cursor; lock-free, and
 * bounded: it gives up with a gap, never retries for ever (rule RPL-24). */
WEIR_API int weir_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                       weir_gap *gap);

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
#endif
