/* The whole server: a reactor with its routes on the simulated backend, from the bytes of a request that arrive to the
 * sends that are started for its answer and its subscribers, and their completions, until a turn finds nothing to do.
 * Everything but the backend is counted: its operations stand for the kernel, and stop the counting while they run.
 * Time stands still, so no timer runs out. */
#include "hot_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"
#include "net/reactor.h"
#include "support/simulated_backend.h"

#define SUBSCRIBERS_MAX 100u
#define LINES           16u

struct serving {
    struct io_backend *backend;
    weir_engine *engine;
    struct reactor_shared shared;
    struct reactor *reactor;
    struct reactor *reactors[1];
    int listener;
    struct simulated_peer *publisher;
    struct simulated_peer *subscribers[SUBSCRIBERS_MAX];
    uint32_t subscriber_count;
    uint32_t request_events; /* events in `request` */
    uint64_t expected;       /* events published so far */
    size_t request_length;
    char request[4096];
};

/* ---- The backend, uncounted ----------------------------------------------------------------------------------- */

/* While a server is set up it is the other way round; what is counted then is thrown away. */
static const struct io_backend_operations *simulated;

static void uncounted_accept(struct io_backend *backend, int descriptor, uint64_t token) {
    count_end();
    simulated->accept(backend, descriptor, token);
    count_begin();
}

static void uncounted_receive(struct io_backend *backend, int descriptor, uint64_t token) {
    count_end();
    simulated->receive(backend, descriptor, token);
    count_begin();
}

static void uncounted_send(struct io_backend *backend, int descriptor, const void *data, size_t length,
                           uint64_t token) {
    count_end();
    simulated->send(backend, descriptor, data, length, token);
    count_begin();
}

static void uncounted_cancel(struct io_backend *backend, uint64_t token) {
    count_end();
    simulated->cancel(backend, token);
    count_begin();
}

static void uncounted_shutdown(struct io_backend *backend, int descriptor, int how) {
    count_end();
    simulated->shutdown(backend, descriptor, how);
    count_begin();
}

static void uncounted_close(struct io_backend *backend, int descriptor) {
    count_end();
    simulated->close(backend, descriptor);
    count_begin();
}

static void uncounted_release(struct io_backend *backend, char *data) {
    count_end();
    simulated->release(backend, data);
    count_begin();
}

static int uncounted_wait(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                          unsigned capacity) {
    count_end();
    int count = simulated->wait(backend, timeout_ns, completions, capacity);
    count_begin();
    return count;
}

static struct io_backend *create_backend(void) {
    static struct io_backend_operations uncounted;
    struct io_backend *backend = simulated_create(NULL);
    simulated = backend->operations;
    uncounted = *simulated;
    uncounted.accept = uncounted_accept;
    uncounted.receive = uncounted_receive;
    uncounted.send = uncounted_send;
    uncounted.cancel = uncounted_cancel;
    uncounted.shutdown = uncounted_shutdown;
    uncounted.close = uncounted_close;
    uncounted.release = uncounted_release;
    uncounted.wait = uncounted_wait;
    backend->operations = &uncounted;
    return backend;
}

/* ---- The server ----------------------------------------------------------------------------------------------- */

/* As server.c resolves the defaults. */
static const weir_server_config settings = {
    .size = sizeof(weir_server_config),
    .threads = 1,
    .heartbeat_ms = 15000,
    .head_timeout_ms = 10000,
    .body_timeout_ms = 30000,
    .idle_timeout_ms = 60000,
    .stall_timeout_ms = 30000,
    .drain_ms = 5000,
    .retry_ms = 1000,
    .max_connections = 65536,
    .max_head_bytes = 16384,
    .max_headers = 100,
    .max_body_bytes = 8u << 20,
    .max_batch_bytes = 256u << 10,
};

/* Until there is nothing to do; that turn, which would have slept, is the last. */
static void serve(struct serving *state) {
    while (reactor_turn(state->reactor, 1) > 0) {
    }
}

static struct simulated_peer *connect_peer(struct serving *state, const char *request) {
    struct simulated_peer *peer = simulated_connect(state->backend, state->listener);
    simulated_feed(peer, request, strlen(request));
    serve(state);
    return peer;
}

static struct serving *open_server(void) {
    static const int no_listeners[LISTENERS_MAX] = {-1, -1};
    struct serving *state = hot_path_state(sizeof(*state));
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 256;
    config.clock = fixed_clock;
    config.entropy = fixed_entropy;
    EXPECT(weir_engine_create(&state->engine, &config) == WEIR_OK);
    state->backend = create_backend();
    state->shared.engine = state->engine;
    state->shared.config = settings;
    state->shared.exchange = &router_exchange;
    state->shared.reactors = state->reactors;
    EXPECT(reactor_create(&state->reactor, &state->shared, 0, state->backend, no_listeners) == WEIR_OK);
    state->listener = simulated_listen(state->backend);
    state->reactor->listeners[LISTENER_PUBLIC].descriptor = state->listener;
    state->reactors[0] = state->reactor;
    state->shared.reactor_count = 1;
    serve(state);
    return state;
}

static void close_server(struct serving *state) {
    reactor_destroy(state->reactor);
    weir_engine_destroy(state->engine);
    free(state);
}

/* ---- What a publisher sends ----------------------------------------------------------------------------------- */

static void add_text(struct serving *state, const char *text) {
    size_t length = strlen(text);
    EXPECT(length < sizeof(state->request) - state->request_length);
    memcpy(state->request + state->request_length, text, length);
    state->request_length += length;
}

/* One request of so many lines, each an event of EVENT_BYTES; one line is the body as it is. */
static void add_request(struct serving *state, uint32_t lines) {
    char text[256];
    snprintf(text, sizeof(text),
             "POST /sessions/chat/events%s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: %u\r\n\r\n",
             lines > 1 ? "?split=lines" : "", lines > 1 ? lines * (EVENT_BYTES + 1) : EVENT_BYTES);
    add_text(state, text);
    for (uint32_t i = 0; i < lines; i++) {
        snprintf(text, sizeof(text), "%.*s%s", (int)EVENT_BYTES, payload, lines > 1 ? "\n" : "");
        add_text(state, text);
    }
    state->request_events += lines;
}

static void open_publisher(struct serving *state) {
    state->publisher = connect_peer(state, "PUT /sessions/chat HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
}

static void *open_publishing(uint32_t requests) {
    struct serving *state = open_server();
    open_publisher(state);
    for (uint32_t i = 0; i < requests; i++)
        add_request(state, 1);
    return state;
}

static void *open_single(void) {
    return open_publishing(1);
}
static void *open_pipelined(void) {
    return open_publishing(LINES);
}

static unsigned occurrences(const struct simulated_peer *peer, const char *what) {
    size_t length;
    const char *at = simulated_sent(peer, &length);
    const char *end = at + length;
    unsigned count = 0;
    while ((at = memmem(at, (size_t)(end - at), what, strlen(what))) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void close_publishing(void *context) {
    struct serving *state = context;
    weir_stats stats;
    weir_engine_stats(state->engine, &stats);
    EXPECT(stats.published == state->expected);
    for (uint32_t i = 0; i < state->subscriber_count; i++)
        EXPECT(occurrences(state->subscribers[i], "\ndata: What these bytes") == state->expected);
    close_server(state);
}

/* The publisher sends its request so often, and each time all that follows from it is done. */
static void publish_rounds(struct serving *state, uint32_t rounds) {
    state->expected += (uint64_t)rounds * state->request_events;
    for (uint32_t i = 0; i < rounds; i++) {
        simulated_feed(state->publisher, state->request, state->request_length);
        count_begin();
        serve(state);
        count_end();
    }
}

static void run_single(void *state, uint32_t operations) {
    publish_rounds(state, operations);
}
static void run_pipelined(void *state, uint32_t operations) {
    publish_rounds(state, operations / LINES);
}

/* ---- Fan-out -------------------------------------------------------------------------------------------------- */

static void *open_fan_out(uint32_t subscribers, uint32_t lines) {
    struct serving *state = open_server();
    for (; state->subscriber_count < subscribers; state->subscriber_count++)
        state->subscribers[state->subscriber_count] =
            connect_peer(state, "GET /sessions/chat/events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
    open_publisher(state);
    add_request(state, lines);
    return state;
}

static void *open_deliver_1(void) {
    return open_fan_out(1, 1);
}
static void *open_deliver_100(void) {
    return open_fan_out(SUBSCRIBERS_MAX, 1);
}
static void *open_deliver_100_lines(void) {
    return open_fan_out(SUBSCRIBERS_MAX, LINES);
}

/* An operation is one event at one subscriber. */
static void run_deliver_100(void *state, uint32_t operations) {
    publish_rounds(state, operations / SUBSCRIBERS_MAX);
}
static void run_deliver_100_lines(void *state, uint32_t operations) {
    publish_rounds(state, operations / (SUBSCRIBERS_MAX * LINES));
}

/* ---- A subscriber that comes and goes ------------------------------------------------------------------------- */

static void *open_coming(void) {
    struct serving *state = open_server();
    open_publisher(state);
    add_request(state, LINES);
    simulated_feed(state->publisher, state->request, state->request_length);
    serve(state);
    return state;
}

static void close_coming(void *context) {
    close_server(context);
}

/* From the accept on: the request, LINES events to replay, and the end. */
static void run_coming(void *context, uint32_t operations) {
    struct serving *state = context;
    static const char request[] = "GET /sessions/chat/events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
    for (uint32_t i = 0; i < operations; i++) {
        struct simulated_peer *peer = simulated_connect(state->backend, state->listener);
        simulated_feed(peer, request, sizeof(request) - 1);
        count_begin();
        serve(state);
        count_end();
        EXPECT(occurrences(peer, "\ndata: What these bytes") == LINES);
        simulated_finish(peer);
        count_begin();
        serve(state);
        count_end();
        EXPECT(simulated_was_closed(peer));
        simulated_dismiss(peer);
    }
}

const struct hot_path server_paths[] = {
    {"server_publish", 512, open_single, run_single, close_publishing},
    {"server_publish_pipelined", 512, open_pipelined, run_pipelined, close_publishing},
    {"server_deliver_1", 512, open_deliver_1, run_single, close_publishing},
    {"server_deliver_100", 100 * 64, open_deliver_100, run_deliver_100, close_publishing},
    {"server_deliver_100_by_16", 100 * 16 * 16, open_deliver_100_lines, run_deliver_100_lines, close_publishing},
    {"server_subscribe_replay_16", 128, open_coming, run_coming, close_coming},
    {0},
};
