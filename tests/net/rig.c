#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/router.h"

#define START_NS  UINT64_C(1000000000) /* fake time at the beginning: not 0, which could hide a missing stamp */
#define TURNS_MAX 20000000             /* of one rig_run: beyond that it spins */

static uint64_t now_ns(void *context) {
    const struct rig *rig = context;
    return rig->backend != NULL ? simulated_now_ns(rig->backend) : rig->last_now_ns;
}

static uint64_t wall_ms(void *context) {
    return UINT64_C(1700000000000) + now_ns(context) / 1000000;
}

/* The same epochs in every run. */
static int fill_fixed(void *context, void *memory, size_t size) {
    (void)context;
    memset(memory, 0x5A, size);
    return 0;
}

static void set_default(uint32_t *field, uint32_t value) {
    if (*field == 0) *field = value;
}

/* What server.c would resolve; smaller values than it takes are allowed here. */
static void resolve(weir_server_config *config) {
    config->size = sizeof(*config);
    config->threads = 1;
    set_default(&config->heartbeat_ms, 15000);
    set_default(&config->head_timeout_ms, 10000);
    set_default(&config->body_timeout_ms, 30000);
    set_default(&config->idle_timeout_ms, 60000);
    set_default(&config->stall_timeout_ms, 30000);
    set_default(&config->drain_ms, 5000);
    set_default(&config->retry_ms, 1000);
    set_default(&config->max_connections, 65536);
    set_default(&config->max_head_bytes, 16384);
    set_default(&config->max_headers, 100);
    set_default(&config->max_body_bytes, 8u << 20);
    set_default(&config->max_batch_bytes, 256u << 10);
}

static bool open_engine(struct rig *rig, const struct rig_options *options) {
    weir_config config = options->engine;
    config.size = sizeof(config);
    config.clock = (weir_clock){now_ns, wall_ms, rig};
    config.entropy = (weir_entropy){fill_fixed, NULL};
    if (config.max_sessions == 0) config.max_sessions = 256;
    return weir_engine_create(&rig->engine, &config) == WEIR_OK &&
           weir_producer_create(rig->engine, &rig->producer) == WEIR_OK;
}

static void close_engine(struct rig *rig) {
    weir_producer_destroy(rig->producer);
    weir_engine_destroy(rig->engine);
}

bool rig_try_open(struct rig *rig, const struct rig_options *options) {
    static const struct rig_options none;
    if (options == NULL) options = &none;
    memset(rig, 0, sizeof(*rig));
    rig->last_now_ns = START_NS;
    if (!open_engine(rig, options)) {
        close_engine(rig);
        return false;
    }
    rig->backend = simulated_create(&options->faults);
    simulated_advance(rig->backend, START_NS);
    rig->shared.engine = rig->engine;
    rig->shared.config = options->server;
    resolve(&rig->shared.config);
    rig->shared.admin_separate = options->admin;
    rig->shared.exchange = &router_exchange;
    rig->shared.reactors = rig->reactors;
    /* The listeners come later: a reactor that cannot be made leaves them to its caller, but ends the backend, which
     * here insists on their being closed. */
    static const int no_listeners[LISTENERS_MAX] = {-1, -1};
    if (reactor_create(&rig->reactor, &rig->shared, 0, rig->backend, no_listeners) != WEIR_OK) {
        rig->backend = NULL;
        close_engine(rig);
        return false;
    }
    rig->listener = simulated_listen(rig->backend);
    rig->admin_listener = options->admin ? simulated_listen(rig->backend) : -1;
    rig->reactor->listeners[LISTENER_PUBLIC].descriptor = rig->listener;
    rig->reactor->listeners[LISTENER_ADMIN].descriptor = rig->admin_listener;
    rig->reactors[0] = rig->reactor;
    rig->shared.reactor_count = 1;
    return true;
}

void rig_open(struct rig *rig, const struct rig_options *options) {
    assert_true(rig_try_open(rig, options));
}

void rig_close(struct rig *rig) {
    rig->last_now_ns = simulated_now_ns(rig->backend);
    reactor_destroy(rig->reactor);
    rig->backend = NULL;
    close_engine(rig);
}

void rig_run(struct rig *rig, uint32_t duration_ms) {
    uint64_t end_ns = simulated_now_ns(rig->backend) + duration_ms * UINT64_C(1000000);
    for (int turns = 0; simulated_now_ns(rig->backend) < end_ns; turns++) {
        assert_true(turns < TURNS_MAX);
        if (reactor_turn(rig->reactor, end_ns - simulated_now_ns(rig->backend)) < 0) return;
    }
}

struct simulated_peer *rig_connect(struct rig *rig) {
    return simulated_connect(rig->backend, rig->listener);
}

void rig_feed(struct simulated_peer *peer, const char *text) {
    simulated_feed(peer, text, strlen(text));
}

struct simulated_peer *rig_ask(struct rig *rig, const char *text) {
    struct simulated_peer *peer = rig_connect(rig);
    rig_feed(peer, text);
    rig_run(rig, 1);
    return peer;
}

weir_session *rig_session(struct rig *rig, const char *name) {
    weir_session *session;
    int status = weir_session_open(rig->engine, name, strlen(name), WEIR_OPEN_OR_CREATE, &session, NULL);
    assert_int_equal(status, WEIR_OK);
    weir_session_release(session);
    return session;
}

uint64_t rig_publish(struct rig *rig, const char *name, const char *text) {
    uint64_t sequence = 0;
    int status = weir_publish(rig->producer, rig_session(rig, name), 0, text, strlen(text), &sequence);
    assert_int_equal(status, WEIR_OK);
    return sequence;
}

void rig_publish_numbers(struct rig *rig, const char *name, unsigned first, unsigned last, unsigned length) {
    for (unsigned i = first; i <= last; i++) {
        char text[1024];
        assert_true(length < sizeof(text));
        snprintf(text, sizeof(text), "%0*u", (int)length, i);
        rig_publish(rig, name, text);
    }
}

struct connection *rig_connection(const struct rig *rig, const struct simulated_peer *peer) {
    int descriptor = simulated_descriptor(peer);
    for (uint32_t i = 0; descriptor >= 0 && i < rig->reactor->place_count; i++) {
        struct connection *connection = rig->reactor->places[i].connection;
        if (connection != NULL && connection->descriptor == descriptor) return connection;
    }
    return NULL;
}
