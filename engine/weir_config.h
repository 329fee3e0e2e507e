/* weir — statuses, configuration, rules and presets. Part of weir.h, which includes it. */
#ifndef WEIR_CONFIG_H
#define WEIR_CONFIG_H

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
    X(NOT_FOUND, -7, "there is none of that name")                                                                   \
    X(TOO_SMALL, -8, "the buffer is smaller than the event")                                                         \
    X(BUSY, -9, "another subscriber holds the session's live queue")                                                 \
    X(EVICTED, -10, "the live queue was full once too often; the session has ended")                                 \
    X(TOKEN_EXPIRED, -11, "the consumer's token has expired")                                                        \
    X(TIMEOUT, -12, "the deadline passed")                                                                           \
    X(PEER_GONE, -13, "the consumer left while the publish waited")                                                  \
    X(INVALID, -20, "an argument is out of range")                                                                   \
    X(TOO_LARGE, -21, "the event is larger than max_event_bytes or the session's budget")                            \
    X(NO_MEMORY, -22, "the allocator returned no memory")                                                            \
    X(BYTES_LIMIT, -23, "max_bytes is reached")                                                                      \
    X(SESSIONS_LIMIT, -24, "max_sessions is reached")                                                                \
    X(SUBSCRIBERS_LIMIT, -25, "max_subscribers or max_session_subscribers is reached")                               \
    X(KINDS_LIMIT, -26, "max_kinds is reached")                                                                      \
    X(OUTLETS_LIMIT, -27, "max_outlets of the poller is reached")                                                    \
    X(POLLERS_LIMIT, -28, "max_pollers is reached")                                                                  \
    X(NO_ENTROPY, -29, "the entropy source failed")                                                                  \
    X(PRINCIPAL_LIMIT, -30, "the principal has reached its limit")                                                   \
    X(ADDRESS_LIMIT, -31, "the address has reached its limit")                                                       \
    X(CAPACITY_LIMIT, -32, "the capacity for all is exhausted")                                                      \
    X(CHANNELS_LIMIT, -33, "max_channels is reached")                                                                \
    X(MEMBERS_LIMIT, -34, "max_channel_members is reached")                                                          \
    X(JOINS_LIMIT, -35, "max_session_channels is reached")                                                           \
    X(FOREIGN, -36, "the channel belongs to another session")                                                        \
    X(TRANSACTION, -37, "not inside a transaction")                                                                  \
    X(TENANT_MISMATCH, -38, "the session belongs to another tenant")                                                 \
    X(PRINCIPAL_MISMATCH, -39, "the session belongs to another principal")                                           \
    X(SHUT_DOWN, -40, "the engine is shutting down")                                                                 \
    X(DESCRIPTORS_LIMIT, -41, "the process can open no more descriptors")

typedef enum weir_status {
#define WEIR_STATUS_ENUM(name, code, text) WEIR_##name = code,
    WEIR_STATUS_LIST(WEIR_STATUS_ENUM)
#undef WEIR_STATUS_ENUM
} weir_status;

/* The text ("ok", ...) and the name ("WEIR_OK", ...) of a status. Static strings; a code that is not in the list
 * gives "unknown status" and "WEIR_UNKNOWN". Any thread; never fail. */
WEIR_API const char *weir_strerror(int status);
WEIR_API const char *weir_status_name(int status);

/* What a limit said no to, for the answer that a client gets: fill-in of the functions that take one (it may be NULL). */
typedef struct weir_refusal {
    int status;       /* the function's result */
    const char *code; /* stable name for programs, such as "principal_stream_quota_exhausted"; static */
    uint64_t limit;   /* the limit that was reached */
    uint64_t current; /* what stood against it */
} weir_refusal;

/* ---- Configuration ------------------------------------------------------------------------------------------ */

typedef struct weir_engine weir_engine;
typedef struct weir_session weir_session;
typedef struct weir_producer weir_producer;
typedef struct weir_poller weir_poller;
typedef struct weir_outlet weir_outlet;

/* In a field where 0 would be meaningful, WEIR_NONE asks for zero (no replay, no expiry); 0 asks for the default. */
#define WEIR_NONE      UINT32_MAX
#define WEIR_FROM_ZERO UINT64_MAX /* first_sequence 0 */

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
    /* May be NULL. Gives whole pages inside allocated memory back to the system; what was in them reads as zero from
     * then on, and they can be written again at any time. Returns 0 when it has done so. */
    int (*discard)(void *context, void *memory, size_t size);
    void *context;
} weir_allocator;

/* Randomness, injected; asked once per engine, and for each name that the engine makes. Fills `size` bytes and returns 0, or returns another value. */
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

/* What to do for a consumer whose live queue is full (contract BKP, C-03; design 3.2). */
typedef enum weir_policy {
    WEIR_POLICY_STANDARD = 0, /* weir_subscribe: SKIP; weir_attach: rules.full_action, DETACH if that is STANDARD */
    WEIR_POLICY_SKIP,         /* a gap, and on from the oldest event inside queue_depth */
    WEIR_POLICY_DETACH,       /* what is queued is delivered, then WEIR_LAGGED; the session keeps its events */
    WEIR_POLICY_REFUSE,       /* the producer gets WEIR_FULL and uses no sequence; one such subscriber per session. A
                                 publish under way while it attaches may still go one over; keep queue_depth below the
                                 ring */
    WEIR_POLICY_EVICT,        /* like DETACH, and the session is terminated */
    WEIR_POLICY_CONFLATE      /* of the events with a key only the latest of each key; what has none stays, and what
                                 the ring has lost is a gap */
} weir_policy;

/* What counts as life of a session for the idle sweep (C-07). A publish counts as a send when it was accepted. */
#define WEIR_ACTIVE_CREATE 1u
#define WEIR_ACTIVE_ATTACH 2u
#define WEIR_ACTIVE_DETACH 4u
#define WEIR_ACTIVE_SEND   8u
#define WEIR_ACTIVE_LOOKUP 16u /* and a lookup that finds a session past its time ends it (TTL-11) */
#define WEIR_ACTIVE_STREAM 32u /* an attached consumer, for as long as it is there */

typedef enum weir_gap_signal { WEIR_GAP_SIGNAL_EVENT = 0, WEIR_GAP_SIGNAL_OFF } weir_gap_signal;
typedef enum weir_ahead { WEIR_AHEAD_RESTART = 0, WEIR_AHEAD_EMPTY } weir_ahead;
typedef enum weir_closed_action { WEIR_CLOSED_DETACH = 0, WEIR_CLOSED_REMOVE } weir_closed_action;
typedef enum weir_missing { WEIR_MISSING_ERROR = 0, WEIR_MISSING_IGNORE } weir_missing;
typedef enum weir_idle_scope { WEIR_IDLE_DETACHED = 0, WEIR_IDLE_ALL } weir_idle_scope;
typedef enum weir_token_policy { WEIR_TOKEN_EVICT = 0, WEIR_TOKEN_IGNORE, WEIR_TOKEN_CONTINUE } weir_token_policy;
typedef enum weir_heartbeat {
    WEIR_HEARTBEAT_EPHEMERAL = 0,
    WEIR_HEARTBEAT_SEQUENCED,
    WEIR_HEARTBEAT_COMMENT
} weir_heartbeat;
typedef enum weir_id_mode { WEIR_NAMES_CALLER = 0, WEIR_NAMES_SERVER } weir_id_mode;
typedef enum weir_id_form { WEIR_IDS_EPOCH = 0, WEIR_IDS_BARE } weir_id_form;
typedef enum weir_scope_errors { WEIR_SCOPE_MASK = 0, WEIR_SCOPE_EXPLICIT } weir_scope_errors;
typedef enum weir_exclusive { WEIR_CHANNELS_SHARED = 0, WEIR_CHANNELS_REFUSE, WEIR_CHANNELS_MOVE } weir_exclusive;

/* Behaviour, where systems of this kind differ (contract section 17). All 0 is weir's own; weir_preset fills in what
 * reproduces another system. */
typedef struct weir_rules {
    weir_gap_signal gap_signal;    /* OFF: losses are passed over in silence; they are counted, and *gap tells */
    weir_ahead ahead;              /* an id newer than the newest event: RESTART with a gap, or EMPTY: from now */
    weir_policy full_action;       /* of weir_attach */
    uint32_t full_consecutive_max; /* fulls in a row tolerated before full_action; REFUSE then ends the session, and
                                         with both bounds 0 tolerates any number (BKP-04, C-03) */
    uint32_t full_total_max;       /* in one attachment's life; 0: no bound (BKP-05) */
    uint32_t full_decay_ms;        /* the total forgives one full per so long; 0: never */
    weir_closed_action closed_action; /* the consumer has gone: keep the session, or REMOVE it at the next publish */
    weir_missing missing;             /* weir_send to an unknown session: WEIR_NOT_FOUND, or ignored (C-04) */
    int attach_drops_channels;        /* 1: a new attachment leaves all channels (C-11) */
    weir_idle_scope idle_scope;       /* whether the idle sweep may end a session that has a consumer (C-06) */
    uint32_t activity;                /* WEIR_ACTIVE_ bits; 0: CREATE, ATTACH, DETACH, SEND and STREAM */
    weir_token_policy token_policy;   /* past its expiry: end the session, nothing, or go on with a notice (C-10) */
    weir_heartbeat heartbeat;         /* what weir_heartbeat and writers send (C-16) */
    weir_id_mode id_mode;             /* SERVER: sessions are only created under names that weir makes (C-18) */
    weir_id_form id_form;             /* BARE: wire ids are decimal sequences, without the epoch; then an id of an
                                         earlier life cannot be told, and a malformed one counts as none (RPL-21) */
    weir_scope_errors scope_errors;   /* another's session: MASK it as WEIR_NOT_FOUND, or say which (C-19) */
    weir_exclusive exclusive;         /* a channel has one member: REFUSE a second, or MOVE to it (SUB-08, SUB-11) */
    uint32_t reserved[7];             /* 0 */
} weir_rules;

/* Something that happened to a consumer or a session and that an operator may want to know. */
typedef enum weir_notice_kind {
    WEIR_NOTICE_SLOW = 1,     /* the backlog has passed 75 % of queue_depth */
    WEIR_NOTICE_RECOVERED,    /* and is below 37.5 % again; the next SLOW may come */
    WEIR_NOTICE_CLOSED,       /* an attachment has ended, with its reason; once per attachment (C-05) */
    WEIR_NOTICE_ENDED,        /* a session has ended, with its reason */
    WEIR_NOTICE_TOKEN_EXPIRED /* WEIR_TOKEN_CONTINUE: the token is past its time and the stream goes on (TOK-13) */
} weir_notice_kind;

typedef enum weir_end_reason {
    WEIR_ENDED_NOT = 0,
    WEIR_ENDED_TERMINATED = 1, /* weir_session_terminate */
    WEIR_ENDED_EXPIRED = 2,    /* the sweep, or a lookup past the session's time */
    WEIR_ENDED_OVERFLOW = 3,   /* a live queue that was full once too often; the session has ended */
    WEIR_ENDED_TOKEN = 5,      /* the consumer's token has expired */
    WEIR_ENDED_PEER = 6, /* the consumer has gone (weir_unsubscribe); under WEIR_CLOSED_REMOVE the session, too */
    WEIR_ENDED_SHUT_DOWN = 7, /* weir_engine_shut_down */
    WEIR_ENDED_DISPLACED = 8, /* from here on of an attachment only: another consumer took its place */
    WEIR_ENDED_DETACHED = 9,  /* weir_detach */
    WEIR_ENDED_LAGGING = 10,  /* its live queue was full once too often; the session lives on */
    WEIR_ENDED_SILENT = 11    /* it has not read for consumer_ttl_ms */
} weir_end_reason;

/* The reason as clients see it ("terminated", "expired", "overflow", "auth_failed", "closed", "shut_down", "displaced",
 * "detached", "lagging", "silent"; "none") and as a sentence. Static; any thread. */
WEIR_API const char *weir_end_reason_name(weir_end_reason reason);
WEIR_API const char *weir_end_reason_text(weir_end_reason reason);

typedef struct weir_notice {
    weir_notice_kind kind;
    weir_end_reason reason; /* CLOSED, ENDED */
    const char *session;    /* name; valid during the call, not terminated */
    size_t session_length;
    uint64_t generation; /* of the attachment, or 0 */
    uint64_t backlog;    /* events published and not read */
    uint32_t queue_depth;
} weir_notice;

/* Notices, injected. Called from the thread that found it, which may be a publishing one: it must not block and must
 * not call back into the engine. */
typedef struct weir_observer {
    void (*notice)(void *context, const weir_notice *notice);
    void *context;
} weir_observer;

/* Every field but `size`: 0 means the default that its comment names. Use WEIR_CONFIG_INIT and set what differs.
 * weir copies the structure. An unknown, longer structure is taken when its tail is zero. */
typedef struct weir_config {
    size_t size;                      /* sizeof(weir_config) */
    uint32_t max_sessions;            /* 1 .. 2^24, default 65,536 */
    uint32_t max_kinds;               /* distinct event kinds, 1 .. 1,023, default 1,023 */
    uint32_t max_pollers;             /* consuming threads, 1 .. 64, default 16 */
    uint32_t max_subscribers;         /* in all, default 1,048,576 */
    uint32_t max_session_subscribers; /* of one session, default 65,536 */
    uint32_t replay_capacity;         /* events kept per session, exact; default 256, WEIR_NONE keeps none */
    uint32_t queue_depth;             /* live queue bound; default: replay_capacity, or 256 if that is none */
    uint32_t max_event_bytes;         /* payload bytes of one event, default and most 1 MiB */
    uint64_t max_session_bytes;       /* cell bytes one session may hold; default 16 MiB. The oldest go first */
    uint64_t max_bytes;               /* cell memory of all sessions, default 1 GiB. At it, whoever holds most of it
                                         loses its oldest events */
    uint32_t idle_ttl_ms;             /* a session idle for so long ends at the next sweep; default 1,800,000,
                                         WEIR_NONE never */
    uint32_t absolute_ttl_ms;         /* a session ends so long after its creation; default never (TTL-09) */
    uint64_t first_sequence;          /* of each session, default 1; WEIR_FROM_ZERO counts from 0 (C-01) */
    weir_clock clock;                 /* default: the system's */
    weir_allocator allocator;         /* default: a jemalloc arena of the engine's own */
    weir_entropy entropy;             /* default: getrandom(2) */
    weir_log log;                     /* default: silent */
    weir_observer observer;           /* default: nobody is told */
    uint32_t sweep_interval_ms;       /* of weir_engine_maintain, default 60,000, WEIR_NONE never */
    uint32_t consumer_ttl_ms;         /* an attached consumer that has not read for so long is detached by the sweep;
                                         default never (TTL-03) */
    uint32_t max_channels;            /* default 65,536 */
    uint32_t max_channel_members;     /* sessions in one channel, default 65,536 */
    uint32_t max_session_channels;    /* channels of one session, default 100 (SUB-01), WEIR_NONE refuses all */
    uint32_t max_principal_sessions;  /* created by one principal, default no limit */
    uint32_t max_principal_subscribers; /* of one principal, default no limit */
    uint32_t max_address_subscribers;   /* of one address, default no limit */
    uint32_t reserved;                  /* 0 */
    uint64_t node_id; /* the embedder's, told back by weir_engine_stats (STA-01); weir makes nothing of it */
    weir_rules rules;
} weir_config;

/* Ready-made configurations (contract 17.2): behaviour that code written against these systems relies on. */
typedef enum weir_preset_name {
    WEIR_PRESET_WEIR = 0,     /* weir's own */
    WEIR_PRESET_SSE_REGISTRY, /* sequences from 0, the first full queue cuts the stream, the ring survives */
    WEIR_PRESET_REALTIME,     /* no replay, ten fulls in a row or fifty in all end the session, tokens, channels */
    WEIR_PRESET_MCP, /* 256 events, skip with a notice, 30 minutes idle and 4 hours in all, server-made ids */
    WEIR_PRESET_HUB  /* no replay, 256 events of queue, a closed consumer's session goes */
} weir_preset_name;

/* Sets the fields of *config that the preset decides, over what stands there; size is set too. What the preset leaves
 * to the caller (queue depth, replay capacity, ttl) stays. WEIR_INVALID for a name that is none. */
WEIR_API int weir_preset(weir_preset_name preset, weir_config *config);

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

#ifdef __cplusplus
}
#endif
#endif
