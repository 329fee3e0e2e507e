/* The server: resolves its configuration, opens its listeners, and gives each reactor a thread. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "backend/probe.h"
#include "http/router.h"
#include "net/reactor.h"
#include "net/socket.h"
#include "thread.h"
#include "weir_io.h"

#define THREADS_MAX             64u
#define DESCRIPTORS_RESERVED    64u /* for logs and the host program */
#define DESCRIPTORS_PER_REACTOR 8u  /* ring, events, listeners, one that is being refused */
#define TOKEN_MIN               16u
#define TOKEN_MAX               256u

struct weir_reactor {
    struct reactor *reactor;
    pthread_t thread;
    bool running;
};

struct weir_server {
    struct reactor_shared shared;
    weir_reactor reactors[THREADS_MAX];
    struct reactor *reactor_list[THREADS_MAX];
    uint32_t reactor_count;
    struct io_probe probe;
    char addresses[LISTENERS_MAX][ADDRESS_TEXT_MAX];
    char *token;
};

/* ---- Configuration -------------------------------------------------------------------------------------------- */

static bool resolve(uint32_t *field, const char *name, uint32_t standard, uint32_t least, uint32_t most,
                    weir_io_error *error) {
    if (*field == 0) *field = standard;
    if (*field >= least && *field <= most) return true;
    io_error_set(error, 0, "%s is %u; it can be %u to %u", name, *field, least, most);
    return false;
}

static uint32_t core_count(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > (long)THREADS_MAX ? THREADS_MAX : (uint32_t)cores;
}

static bool resolve_times(weir_server_config *config, weir_io_error *error) {
    const uint32_t day = 24u * 3600u * 1000u;
    if (config->heartbeat_ms != WEIR_NONE && !resolve(&config->heartbeat_ms, "heartbeat_ms", 15000, 1, day, error))
        return false;
    if (config->busy_poll_us != WEIR_NONE && !resolve(&config->busy_poll_us, "busy_poll_us", 50, 1, 10000, error))
        return false;
    return resolve(&config->head_timeout_ms, "head_timeout_ms", 10000, 1, day, error) &&
           resolve(&config->body_timeout_ms, "body_timeout_ms", 30000, 1, day, error) &&
           resolve(&config->idle_timeout_ms, "idle_timeout_ms", 60000, 1, day, error) &&
           resolve(&config->stall_timeout_ms, "stall_timeout_ms", 30000, 1, day, error) &&
           resolve(&config->drain_ms, "drain_ms", 5000, 1, day, error) &&
           resolve(&config->retry_ms, "retry_ms", 1000, 1, day, error);
}

static bool resolve_sizes(weir_server_config *config, weir_io_error *error) {
    return resolve(&config->threads, "threads", core_count(), 1, THREADS_MAX, error) &&
           resolve(&config->max_connections, "max_connections", 65536, 1, 1u << 24, error) &&
           resolve(&config->max_head_bytes, "max_head_bytes", 16384, 256, 1u << 20, error) &&
           resolve(&config->max_headers, "max_headers", 100, 8, 10000, error) &&
           resolve(&config->max_body_bytes, "max_body_bytes", 8u << 20, 1, 1u << 30, error) &&
           resolve(&config->max_batch_bytes, "max_batch_bytes", 256u << 10, 4096, 64u << 20, error);
}

static bool check_token(const char *token, weir_io_error *error) {
    if (token == NULL) return true;
    size_t length = strlen(token);
    bool valid = length >= TOKEN_MIN && length <= TOKEN_MAX;
    for (size_t i = 0; valid && i < length; i++)
        valid = token[i] > ' ' && token[i] <= '~';
    if (!valid) io_error_set(error, 0, "the token must have %u to %u visible ASCII bytes", TOKEN_MIN, TOKEN_MAX);
    return valid;
}

static bool resolve_config(weir_server_config *config, const weir_server_config *given, weir_io_error *error) {
    memset(config, 0, sizeof(*config));
    if (given != NULL) {
        if (given->size > sizeof(*config) || given->size < sizeof(size_t)) {
            io_error_set(error, 0, "the configuration is of a version that this library does not know");
            return false;
        }
        memcpy(config, given, given->size);
    }
    config->size = sizeof(*config);
    if (config->listen == NULL) config->listen = "127.0.0.1:8080";
    if (config->slow_policy == WEIR_POLICY_STANDARD) config->slow_policy = WEIR_POLICY_SKIP;
    if (config->slow_policy != WEIR_POLICY_SKIP && config->slow_policy != WEIR_POLICY_DETACH) {
        io_error_set(error, 0, "slow_policy can be skip or detach");
        return false;
    }
    return resolve_times(config, error) && resolve_sizes(config, error) && check_token(config->token, error);
}

/* More connections than descriptors would only mean failing accepts. */
static void lower_to_descriptors(weir_server_config *config) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
    rlim_t reserved = DESCRIPTORS_RESERVED + DESCRIPTORS_PER_REACTOR * config->threads;
    rlim_t left = limit.rlim_cur > reserved ? limit.rlim_cur - reserved : 1;
    if (config->max_connections > left) config->max_connections = (uint32_t)left;
}

/* ---- Listeners -------------------------------------------------------------------------------------------------- */

/* One listening socket per reactor at the same address. Port 0 is chosen by the first; the others follow it. A Unix
 * socket cannot be shared that way: the first reactor has it alone. */
static bool open_listeners(weir_server *server, enum listener_role role, const char *text,
                           int (*descriptors)[LISTENERS_MAX], weir_io_error *error) {
    struct address address;
    if (!address_parse(text, role == LISTENER_ADMIN, &address, error)) return false;
    uint32_t count = address.storage.ss_family == AF_UNIX ? 1 : server->reactor_count;
    for (uint32_t i = 0; i < count; i++) {
        weir_io_error why = {0, ""};
        int descriptor = socket_listen(&address, count > 1, &why);
        if (descriptor < 0) {
            io_error_set(error, 0, "%.100s: %.120s", text, why.text);
            if (error != NULL) error->os_error = why.os_error;
            return false;
        }
        descriptors[i][role] = descriptor;
        if (i > 0) continue;
        address_format(descriptor, server->addresses[role]);
        if (!address_parse(server->addresses[role], true, &address, error)) return false;
    }
    return true;
}

static void close_listeners(int (*descriptors)[LISTENERS_MAX], uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t role = 0; role < LISTENERS_MAX; role++)
            if (descriptors[i][role] >= 0) close(descriptors[i][role]);
}

/* A process that was killed may hold its port for a moment longer, until the kernel has taken its ring down: whoever
 * restarts it should not have to wait for that. */
#define PORT_TRIES   20
#define PORT_WAIT_NS 50000000l

static int listen_patiently(const struct address *address, weir_io_error *why) {
    for (int i = 1;; i++) {
        int descriptor = socket_listen(address, false, why);
        if (descriptor >= 0 || why->os_error != EADDRINUSE || i == PORT_TRIES) return descriptor;
        const struct timespec wait = {0, PORT_WAIT_NS};
        nanosleep(&wait, NULL);
    }
}

/* With SO_REUSEPORT a second server on the same port would silently take half the connections: a plain bind of the
 * port must be possible first. */
static bool port_is_free(const char *text, weir_io_error *error) {
    struct address address;
    weir_io_error why = {0, ""};
    if (!address_parse(text, true, &address, error)) return false;
    if (address.storage.ss_family == AF_UNIX) return true;
    int descriptor = listen_patiently(&address, &why);
    if (descriptor >= 0) {
        close(descriptor);
        return true;
    }
    io_error_set(error, 0, "%.100s: %.120s", text, why.text);
    if (error != NULL) error->os_error = why.os_error;
    return false;
}

/* ---- Reactors --------------------------------------------------------------------------------------------------- */

static void destroy_backends(struct io_backend **backends, uint32_t from, uint32_t to) {
    for (uint32_t i = from; i < to; i++)
        backends[i]->operations->destroy(backends[i]);
}

static int make_backends(const weir_server *server, struct io_backend **backends) {
    const struct io_backend_config config = {0, 0, 0};
    for (uint32_t i = 0; i < server->reactor_count; i++) {
        int result = server->probe.backend == IO_URING ? io_uring_backend_create(&backends[i], &config)
                                                       : io_epoll_backend_create(&backends[i], &config);
        if (result == 0) continue;
        destroy_backends(backends, 0, i);
        return result;
    }
    return 0;
}

/* The probe made one small ring. What all reactors need together can be more than RLIMIT_MEMLOCK leaves: where the
 * choice is ours, that is no reason not to start. */
static bool make_all_backends(weir_server *server, struct io_backend **backends, weir_io_error *error) {
    int result = make_backends(server, backends);
    if (result < 0 && server->shared.config.io == WEIR_IO_AUTO && server->probe.backend == IO_URING) {
        server->probe.backend = IO_EPOLL;
        snprintf(server->probe.reason, sizeof(server->probe.reason), "epoll: io_uring for %u threads: %s",
                 server->reactor_count, strerror(-result));
        result = make_backends(server, backends);
    }
    if (result < 0) io_error_set(error, -result, "cannot make the I/O backend");
    return result == 0;
}

static int make_reactors(weir_server *server, int (*descriptors)[LISTENERS_MAX], weir_io_error *error) {
    struct io_backend *backends[THREADS_MAX];
    server->shared.reactors = server->reactor_list;
    if (!make_all_backends(server, backends, error)) return WEIR_NO_MEMORY;
    for (uint32_t i = 0; i < server->reactor_count; i++) {
        int status = reactor_create(&server->reactors[i].reactor, &server->shared, i, backends[i], descriptors[i]);
        if (status != WEIR_OK) {
            destroy_backends(backends, i + 1, server->reactor_count); /* it has destroyed its own */
            io_error_set(error, 0, "cannot make reactor %u: %s", i, weir_strerror(status));
            return status;
        }
        for (uint32_t role = 0; role < LISTENERS_MAX; role++)
            descriptors[i][role] = -1; /* the reactor's now */
        server->reactor_list[i] = server->reactors[i].reactor;
        server->shared.reactor_count = i + 1;
    }
    return WEIR_OK;
}

static bool find_backend(weir_server *server, weir_io_error *error) {
    static const enum io_choice choices[] = {
        [WEIR_IO_AUTO] = IO_AUTO, [WEIR_IO_URING] = IO_URING, [WEIR_IO_EPOLL] = IO_EPOLL};
    if ((unsigned)server->shared.config.io > WEIR_IO_EPOLL) {
        io_error_set(error, 0, "io can be auto, uring or epoll");
        return false;
    }
    io_probe(choices[server->shared.config.io], &server->probe);
    if (!server->probe.usable) io_error_set(error, 0, "%s", server->probe.reason);
    return server->probe.usable;
}

static int build(weir_server *server, weir_io_error *error) {
    int descriptors[THREADS_MAX][LISTENERS_MAX];
    const weir_server_config *config = &server->shared.config;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        descriptors[i][0] = descriptors[i][1] = -1;
    server->shared.admin_separate = config->admin_listen != NULL;
    bool opened = find_backend(server, error) && port_is_free(config->listen, error) &&
                  open_listeners(server, LISTENER_PUBLIC, config->listen, descriptors, error) &&
                  (config->admin_listen == NULL ||
                   (port_is_free(config->admin_listen, error) &&
                    open_listeners(server, LISTENER_ADMIN, config->admin_listen, descriptors, error)));
    int status = opened ? make_reactors(server, descriptors, error) : WEIR_INVALID;
    if (status != WEIR_OK) close_listeners(descriptors, THREADS_MAX);
    return status;
}

/* ---- The public functions ---------------------------------------------------------------------------------------- */

int weir_server_create(weir_server **out, weir_engine *engine, const weir_server_config *given,
                       weir_io_error *error) {
    if (out == NULL || engine == NULL) return WEIR_INVALID;
    *out = NULL;
    io_error_set(error, 0, "%s", weir_strerror(WEIR_NO_MEMORY)); /* until there is more to say */
    weir_server *server = calloc(1, sizeof(*server));
    if (server == NULL) return WEIR_NO_MEMORY;
    weir_server_config *config = &server->shared.config;
    int status = resolve_config(config, given, error) ? WEIR_OK : WEIR_INVALID;
    if (status == WEIR_OK && config->token != NULL) {
        server->token = strdup(config->token);
        config->token = server->token;
        if (server->token == NULL) status = WEIR_NO_MEMORY;
    }
    if (status == WEIR_OK) {
        lower_to_descriptors(config);
        server->shared.engine = engine;
        server->shared.exchange = &router_exchange;
        server->reactor_count = config->threads;
        status = build(server, error);
    }
    if (status != WEIR_OK) {
        weir_server_destroy(server);
        return status;
    }
    config->listen = server->addresses[LISTENER_PUBLIC];
    if (config->admin_listen != NULL) config->admin_listen = server->addresses[LISTENER_ADMIN];
    *out = server;
    return WEIR_OK;
}

const char *weir_server_address(const weir_server *server, int which) {
    if (which < 0 || which >= (int)LISTENERS_MAX || server->addresses[which][0] == '\0') return NULL;
    return server->addresses[which];
}

const char *weir_server_backend(const weir_server *server) {
    return server->probe.reason;
}

/* What a reactor has done for clients; heartbeats and timers are no sign that more is coming. */
static uint64_t traffic_of(const struct reactor *reactor) {
    return u64_load_relaxed(&reactor->counters.requests) + u64_load_relaxed(&reactor->counters.deliveries);
}

static uint64_t clock_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

#define POLLS_PER_US 10u /* more than any processor does: ends a busy poll where the clock stands still */

/* Turns until the server stops: without waiting while there was traffic not long ago, and else until something comes. On
 * one core that would only keep away those who bring more. */
static void *run_reactor(void *argument) {
    struct reactor *reactor = ((weir_reactor *)argument)->reactor;
    uint32_t busy_us = core_count() > 1 ? reactor->shared->config.busy_poll_us : WEIR_NONE;
    uint64_t traffic = 0;
    uint64_t since_us = 0;
    uint32_t polls = 0;
    bool busy = false;
    while (reactor_turn(reactor, busy ? 0 : IO_WAIT_FOREVER) >= 0) {
        uint64_t seen = traffic_of(reactor);
        if (busy_us == WEIR_NONE || (seen == traffic && !busy)) continue;
        uint64_t now_us = clock_us();
        if (seen != traffic) {
            since_us = now_us;
            polls = 0;
        }
        traffic = seen;
        busy = now_us - since_us < busy_us && polls++ < busy_us * POLLS_PER_US;
    }
    return NULL;
}

int weir_server_start(weir_server *server, weir_io_error *error) {
    for (uint32_t i = 0; i < server->reactor_count; i++) {
        int result = thread_start(&server->reactors[i].thread, run_reactor, &server->reactors[i]);
        if (result != 0) {
            io_error_set(error, result, "cannot start reactor %u", i);
            weir_server_stop(server);
            weir_server_join(server);
            return WEIR_NO_MEMORY;
        }
        server->reactors[i].running = true;
    }
    return WEIR_OK;
}

void weir_server_drain(weir_server *server) {
    reactors_control(&server->shared, CONTROL_DRAIN);
}

void weir_server_stop(weir_server *server) {
    reactors_control(&server->shared, CONTROL_STOP);
}

int weir_server_join(weir_server *server) {
    for (uint32_t i = 0; i < server->reactor_count; i++) {
        if (!server->reactors[i].running) continue;
        pthread_join(server->reactors[i].thread, NULL);
        server->reactors[i].running = false;
    }
    return u32_load_acquire(&server->shared.control) & CONTROL_FAILED ? WEIR_CLOSED : WEIR_OK;
}

static void remove_socket_file(const char *address) {
    if (strncmp(address, "unix:", 5) == 0) unlink(address + 5);
}

void weir_server_destroy(weir_server *server) {
    if (server == NULL) return;
    weir_server_stop(server);
    weir_server_join(server);
    for (uint32_t i = 0; i < server->shared.reactor_count; i++)
        reactor_destroy(server->reactors[i].reactor);
    remove_socket_file(server->addresses[LISTENER_ADMIN]);
    free(server->token);
    free(server);
}

weir_reactor *weir_server_reactor(weir_server *server, uint32_t index) {
    return index < server->shared.reactor_count ? &server->reactors[index] : NULL;
}

int weir_reactor_descriptor(const weir_reactor *reactor) {
    struct io_backend *backend = reactor->reactor->backend;
    return backend->operations->pollable(backend);
}

int weir_reactor_run_once(weir_reactor *reactor, uint32_t timeout_ms) {
    return reactor_visit(reactor->reactor, (uint64_t)timeout_ms * 1000000u);
}

uint32_t weir_reactor_timeout(const weir_reactor *reactor) {
    return reactor_timeout_ms(reactor->reactor);
}
