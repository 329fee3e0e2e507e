/* A reactor: one I/O thread's worth of everything. All of it belongs to that thread, but for the counters, which
 * others may read, and the two flags of `control`, which others may set before they call the backend's wake.
 *
 *   listener ──accept──> connection ──request──> exchange (http/) ──publish──> engine
 *                            │                                                    │
 *                            └──becomes──> stream <──batches── outlet <──news── poller
 *
 * Names point one way: reactor and outlet know connections and streams; http/ is known only as the table below. */
#ifndef WEIR_IO_NET_REACTOR_H
#define WEIR_IO_NET_REACTOR_H

#include "backend/backend.h"
#include "base/atomic.h"
#include "batch.h"
#include "rendered.h"
#include "timers.h"
#include "weir_io.h"
#include "wire/http_request.h"

struct connection;
struct reactor;

#define LISTENERS_MAX 2u
enum listener_role { LISTENER_PUBLIC = 0, LISTENER_ADMIN = 1 };

#define CONTROL_DRAIN  1u
#define CONTROL_STOP   2u
#define CONTROL_FAILED 4u /* with STOP: a backend broke */

/* What is done with requests. Called on the reactor's thread, never while completions are being collected. */
struct exchange {
    /* The head of a request with a body is complete, and nothing of the body has been looked at. True to take the body;
     * false when a refusal has been written: then the connection ends, for the body must not be taken for a request. */
    bool (*head)(struct connection *connection, const struct http_request *request);
    /* The whole request is there. Writes the answer, or makes the connection a stream. */
    void (*request)(struct connection *connection, const struct http_request *request, struct span body);
    /* The request was refused by the parser or timed out: writes the answer. */
    void (*refused)(struct connection *connection, unsigned status, const char *code, const char *message);
};

/* Written by the reactor's thread, read by any: relaxed. */
struct reactor_counters {
    atomic_u64 connections; /* now */
    atomic_u64 streams;     /* now */
    atomic_u64 accepted;
    atomic_u64 requests;
    atomic_u64 refused;    /* answers of status 400 and above */
    atomic_u64 deliveries; /* events taken over by the kernel, once per subscriber */
    atomic_u64 sends;
    atomic_u64 gaps; /* gap frames sent */
    atomic_u64 heartbeats;
    atomic_u64 stalled;    /* connections closed because a send made no progress */
    atomic_u64 lagged;     /* streams ended by the slow policy DETACH */
    atomic_u64 over_limit; /* connections refused at max_connections */
    atomic_u64 accept_errors;
};

struct listener {
    int descriptor; /* -1: none */
    enum listener_role role;
    bool accepting; /* an accept is started */
    struct timer retry;
    struct reactor *reactor;
};

struct connection_place {
    struct connection *connection; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
};

/* What the reactors of one server share: settings that do not change, and a count. */
struct reactor_shared {
    weir_engine *engine;
    weir_server_config config; /* resolved: no field is a default any more */
    bool admin_separate;       /* the admin routes have a listener of their own */
    const struct exchange *exchange;
    atomic_u32 control;     /* CONTROL_ bits, set once each */
    atomic_u32 connections; /* of all reactors */
    uint32_t reactor_count;
    struct reactor **reactors; /* for the sum of their counters */
};

struct reactor {
    struct reactor_shared *shared;
    uint32_t index;
    struct io_backend *backend;
    weir_poller *poller;
    weir_producer *producer;
    uint64_t now_ms;
    uint64_t random;

    struct listener listeners[LISTENERS_MAX];
    struct connection_place *places;
    uint32_t place_count;
    uint32_t free_place; /* UINT32_MAX: none */
    uint32_t connection_count;
    uint32_t stream_count;
    struct connection *buried; /* closed in this turn, freed at its end: whoever has a pointer may finish */
    struct timers timers;

    struct batch_pool batches;
    struct rendered rendered;
    char *scratch; /* one event's payload */
    size_t scratch_size;

    bool draining;
    uint64_t drain_started_ms;
    uint32_t drain_streams; /* there when it began */
    uint32_t drain_ended;   /* ended since */
    uint32_t drain_cursor;  /* place where the next one is looked for */
    uint64_t next_sweep_ms;
    bool finished;
    uint32_t reports; /* log lines since, see report.h */
    uint64_t reports_since_ms;

    struct reactor_counters counters;
};

/* Takes over `backend` and the listening descriptors (-1: none). A weir_status. */
int reactor_create(struct reactor **reactor, struct reactor_shared *shared, uint32_t index,
                   struct io_backend *backend, const int descriptors[LISTENERS_MAX]);

/* Closes what is open without ceremony, waits for the kernel to let go of it, and frees. */
void reactor_destroy(struct reactor *reactor);

/* One turn; see weir_reactor_run_once. timeout_ns may be IO_WAIT_FOREVER. */
int reactor_turn(struct reactor *reactor, uint64_t timeout_ns);

/* Turns until there is nothing left to do, or some have been taken; then has the pollable descriptor tell of whatever
 * comes while nobody is here. For loops of an embedder's own. */
int reactor_visit(struct reactor *reactor, uint64_t timeout_ns);

/* How long reactor_visit may stay uncalled while the backend's pollable descriptor is silent. */
uint32_t reactor_timeout_ms(const struct reactor *reactor);

/* Any thread, and signal handlers: has the reactor's wait return. */
void reactor_wake(struct reactor *reactor);

/* Any thread, and signal handlers: sets a CONTROL_ bit and has all reactors look at it. */
void reactors_control(struct reactor_shared *shared, uint32_t bit);

/* For connection.c: a place in the table, or UINT32_MAX; and back. */
uint32_t reactor_take_place(struct reactor *reactor, struct connection *connection);
void reactor_give_place(struct reactor *reactor, uint32_t index);

/* For connection.c: has the connection freed at the end of this turn. */
void reactor_bury(struct reactor *reactor, struct connection *connection);

/* Uniform below `bound`; for jitter, not for secrets. */
uint32_t reactor_random(struct reactor *reactor, uint32_t bound);

enum token_kind { TOKEN_ACCEPT, TOKEN_RECEIVE, TOKEN_SEND };

/* Names an operation to the backend: what, and whose; the generation tells a late completion from a live one's. */
static inline uint64_t token_make(enum token_kind kind, uint32_t index, uint32_t generation) {
    return (uint64_t)kind << 56 | (uint64_t)(generation & 0xFFFFFF) << 32 | index;
}

static inline void counter_add(atomic_u64 *counter, uint64_t more) {
    u64_store_relaxed(counter, u64_load_relaxed(counter) + more); /* one writer: no read-modify-write needed */
}

static inline void counter_subtract(atomic_u64 *counter, uint64_t less) {
    u64_store_relaxed(counter, u64_load_relaxed(counter) - less);
}

#endif
