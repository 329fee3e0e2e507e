/* weir_io — the server on top of weir.h: HTTP/1.1 in, SSE and NDJSON out, over io_uring or epoll.
 *
 * Thread model
 *   - A server owns `threads` reactors. A reactor is one I/O thread's worth of work: one backend (an io_uring or an
 *     epoll set), its own listening socket (SO_REUSEPORT), its connections, its timers. Nothing mutable is shared
 *     between reactors but the engine.
 *   - weir_server_start gives each reactor a thread. An embedder with loops of its own creates the server with
 *     `threads` reactors and drives each from one thread with weir_reactor_run_once instead.
 *   - weir_server_drain and weir_server_stop may be called from any thread and from a signal handler.
 *
 * The library installs no signal handler, prints nothing, reads no environment and exits nothing.
 */
#ifndef WEIR_IO_H
#define WEIR_IO_H

#include <weir.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_server weir_server;
typedef struct weir_reactor weir_reactor;

typedef enum weir_io_choice { WEIR_IO_AUTO = 0, WEIR_IO_URING = 1, WEIR_IO_EPOLL = 2 } weir_io_choice;

/* Every field but `size`: 0 or NULL means the default that its comment names. The structure and its strings are
 * copied. Times are milliseconds; WEIR_NONE switches a time off where the comment says so. */
typedef struct weir_server_config {
    size_t size;        /* sizeof(weir_server_config) */
    const char *listen; /* "ADDR:PORT", "[V6]:PORT", ":PORT" is not taken; default "127.0.0.1:8080"; port 0: any */
    const char *admin_listen; /* publish, create, delete and metrics only here: "ADDR:PORT" or "unix:PATH";
                                  default: on `listen` too */
    const char *token;        /* bearer token that those routes demand, 16 to 256 visible bytes; default: none */
    uint32_t threads;         /* reactors, 1 to 64; default: one per core */
    weir_io_choice io;
    uint32_t strict_sessions;  /* 1: only PUT creates sessions; default 0: first use does */
    weir_policy slow_policy;   /* of stream subscribers: WEIR_POLICY_SKIP (default) or WEIR_POLICY_DETACH */
    uint32_t heartbeat_ms;     /* comment on a quiet stream; default 15,000; WEIR_NONE never */
    uint32_t head_timeout_ms;  /* to receive a request head; default 10,000 */
    uint32_t body_timeout_ms;  /* to receive a request body; default 30,000 */
    uint32_t idle_timeout_ms;  /* keep-alive without a request; default 60,000 */
    uint32_t stall_timeout_ms; /* a send that makes no progress; default 30,000 */
    uint32_t drain_ms;         /* over which a drain spreads closes; default 5,000 */
    uint32_t retry_ms;         /* SSE `retry:`, drawn between this and twice this per connection; default 1,000 */
    uint32_t max_connections;  /* in all; default 65,536, lowered to what RLIMIT_NOFILE leaves */
    uint32_t max_head_bytes;   /* default 16,384 */
    uint32_t max_headers;      /* default 100 */
    uint32_t max_body_bytes;   /* of one publish request, all its lines; default 8 MiB */
    uint32_t max_batch_bytes;  /* rendered events that one send may carry; default 262,144 */
    /* How long a reactor's thread that has had a request or has delivered something looks for more before it sleeps: what
     * comes meanwhile need not wake it, which takes longer than all the rest. In microseconds, up to 10,000; default
     * 50; WEIR_NONE never, as on a single core and with weir_reactor_run_once. */
    uint32_t busy_poll_us;
} weir_server_config;

#define WEIR_SERVER_CONFIG_INIT                                                                                      \
    { .size = sizeof(weir_server_config) }

/* Why something could not be done, for a person: one line, ending without a period. */
typedef struct weir_io_error {
    int os_error; /* errno, or 0 */
    char text[240];
} weir_io_error;

/* Makes a server with bound and listening sockets; nothing runs yet. The engine must outlive it. `error` may be NULL.
 * WEIR_INVALID (a field out of range, an address that does not parse or bind, a backend that cannot run),
 * WEIR_NO_MEMORY. May block for up to two seconds: the probe, and an address that is still in
 * use. */
WEIR_API int weir_server_create(weir_server **server, weir_engine *engine, const weir_server_config *config,
                                weir_io_error *error);

/* The address that listeners got, "127.0.0.1:41234" or "unix:PATH": which 0 is `listen`, 1 `admin_listen`; NULL when
 * there is none. Valid while the server lives. */
WEIR_API const char *weir_server_address(const weir_server *server, int which);

/* One line that says which backend runs and why: "io_uring: kernel 6.18", "epoll: io_uring_setup:
 * Operation not permitted". */
WEIR_API const char *weir_server_backend(const weir_server *server);

/* Starts one thread per reactor. They block every signal but SIGPROF and those that a thread raises itself, so that the
 * program's handlers run on its own threads. WEIR_NO_MEMORY when a thread cannot be made; those already made are stopped. */
WEIR_API int weir_server_start(weir_server *server, weir_io_error *error);

/* Begins a graceful end: /ready answers 503, listeners close, streams get what was accepted so far and a jittered
 * `retry:`, and end spread over drain_ms, requests in hand are answered. Any thread, any number of times,
 * async-signal-safe. */
WEIR_API void weir_server_drain(weir_server *server);

/* Ends at once: connections are closed without ceremony. Any thread, async-signal-safe. */
WEIR_API void weir_server_stop(weir_server *server);

/* Waits until all reactor threads have ended, which a drain or a stop brings about. WEIR_OK; WEIR_CLOSED when the
 * server stopped by itself because an I/O backend broke (the log tells why). */
WEIR_API int weir_server_join(weir_server *server);

/* Stops, joins and frees. NULL does nothing. Meanwhile no other thread may publish to a session that has subscribers
 * here: what would wake a reactor is going. Reactors that an embedder drives: on the thread that drives them, or after
 * each of them has returned a negative number. */
WEIR_API void weir_server_destroy(weir_server *server);

/* ---- Reactors driven by the embedder -------------------------------------------------------------------------- */

/* Reactor `index`, below the configured threads; NULL above. Not to be mixed with weir_server_start. */
WEIR_API weir_reactor *weir_server_reactor(weir_server *server, uint32_t index);

/* A descriptor that polls readable when the reactor has work. The reactor's; do not close it. */
WEIR_API int weir_reactor_descriptor(const weir_reactor *reactor);

/* One bounded turn: sends, completions, deliveries, timers. Waits for work at most timeout_ms. Returns the amount of
 * work done (0: none), or a negative number once the reactor has ended. Always from the same thread. */
WEIR_API int weir_reactor_run_once(weir_reactor *reactor, uint32_t timeout_ms);

/* How long weir_reactor_run_once may be left uncalled, in ms, when the descriptor stays silent. */
WEIR_API uint32_t weir_reactor_timeout(const weir_reactor *reactor);

#ifdef __cplusplus
}
#endif
#endif
