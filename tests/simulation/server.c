#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/router.h"
#include "memory.h"
#include "sabotage.h"
#include "simulation.h"

#define TURNS_MOST       200000 /* without time passing: beyond that it spins */
#define FIRST_DESCRIPTOR 1000000
#define STOP_PATIENCE_MS 500u
#define ACCEPT_PAUSE_MS  50u   /* at least, after an accept that failed for want of something */
#define GRACE_MS         2500u /* beyond drain_ms */

/* ---- Time, chance, notices ---------------------------------------------------------------------------------------- */

uint64_t simulation_now_ns(const struct simulation *simulation) {
    const struct server *server = &simulation->server;
    return server->backend != NULL ? simulated_now_ns(server->backend) : server->now_ns;
}

static uint64_t now_ns(void *context) {
    return simulation_now_ns(context);
}

static uint64_t wall_ms(void *context) {
    const struct simulation *simulation = context;
    return simulation->server.wall_ms + simulation_now_ns(simulation) / NS_PER_MS;
}

static int fill(void *context, void *place, size_t size) {
    struct simulation *simulation = context;
    struct random random = random_start(simulation->plan.seed, 1000 + simulation->server.engines);
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)place)[i] = (unsigned char)random_below(&random, 256);
    return 0;
}

static void take_notice(void *context, const weir_notice *notice) {
    struct simulation *simulation = context;
    int name = truth_find_name(notice->session, notice->session_length);
    if (notice->kind == WEIR_NOTICE_ENDED && name >= 0) truth_ended(simulation, (unsigned)name, notice->reason);
}

/* ---- What the backend tells --------------------------------------------------------------------------------------- */

static enum matrix_site find_site(const struct server *server, enum simulated_kind kind, uint64_t token) {
    const struct connection *connection = server->reactor->places[(uint32_t)token].connection;
    if (kind == SIMULATED_RECEIVE) {
        if (connection->state == CONNECTION_STREAM) return SITE_RECEIVE_STREAM;
        return connection->state == CONNECTION_LINGER ? SITE_RECEIVE_LINGER : SITE_RECEIVE_REQUEST;
    }
    if (connection->batch != NULL) return SITE_SEND_BATCH;
    return connection->state == CONNECTION_STREAM ? SITE_SEND_CONTROL : SITE_SEND_ANSWER;
}

static void see_start(void *context, enum simulated_kind kind, int descriptor, uint64_t token) {
    struct server *server = &((struct simulation *)context)->server;
    if (kind == SIMULATED_SEND) server->seen.sends++;
    if (kind == SIMULATED_ACCEPT) {
        SIMULATION_REQUIRE((struct simulation *)context, ORACLE_LIVENESS,
                           simulation_now_ns(context) >= server->seen.accept_again_ns,
                           "an accept that failed is tried again at once");
        return;
    }
    server->sites[kind == SIMULATED_SEND][descriptor - FIRST_DESCRIPTOR] =
        (unsigned char)find_site(server, kind, token);
}

static void see_fault(void *context, enum simulated_kind kind, int descriptor, enum simulated_fault fault) {
    struct simulation *simulation = context;
    unsigned site = SITE_WAIT;
    if (kind == SIMULATED_ACCEPT) site = SITE_ACCEPT;
    if (kind == SIMULATED_RECEIVE || kind == SIMULATED_SEND)
        site = simulation->server.sites[kind == SIMULATED_SEND][descriptor - FIRST_DESCRIPTOR];
    simulation->totals->hits[site][fault]++;
    trace_add(&simulation->outcome.trace, simulation_now_ns(simulation), "fault", (int64_t)site, (int64_t)fault);
}

static bool is_accept_trouble(int32_t result) {
    return result < 0 && result != -ECONNABORTED && result != -EINTR && result != -EAGAIN && result != -EPROTO;
}

static void see_completion(void *context, enum simulated_kind kind, int descriptor, int32_t result) {
    static const char *const texts[] = {"accept completed", "receive completed", "send completed"};
    struct simulation *simulation = context;
    struct server_seen *seen = &simulation->server.seen;
    simulation_note(simulation, texts[kind], descriptor - FIRST_DESCRIPTOR, result);
    if (kind != SIMULATED_ACCEPT) return;
    seen->accepted += result >= 0;
    if (!is_accept_trouble(result) || simulation->server.reactor->draining) return;
    seen->accept_errors++;
    seen->accept_again_ns = simulation_now_ns(simulation) + ACCEPT_PAUSE_MS * NS_PER_MS;
}

static void see_violation(void *context, bool memory_changed, const char *text) {
    simulation_fail(context, memory_changed ? ORACLE_BUFFERS : ORACLE_OPERATIONS, "%s", text);
}

/* ---- What the handlers do ----------------------------------------------------------------------------------------- */

static struct simulation *simulation_of(const struct connection *connection) {
    struct reactor_shared *shared = connection->reactor->shared;
    return (struct simulation *)(void *)((char *)shared - offsetof(struct simulation, server.shared));
}

static int name_of(const struct http_request *request) {
    static const char before[] = "/sessions/";
    size_t skip = sizeof(before) - 1;
    if (request->path.length <= skip || memcmp(request->path.data, before, skip) != 0) return -1;
    const char *start = request->path.data + skip;
    const char *end = memchr(start, '/', request->path.length - skip);
    return truth_find_name(start, end != NULL ? (size_t)(end - start) : request->path.length - skip);
}

static bool query_has(const struct http_request *request, const char *text) {
    return request->query.length > 0 &&
           memmem(request->query.data, request->query.length, text, strlen(text)) != NULL;
}

static unsigned kind_of(const struct http_request *request) {
    return query_has(request, "event=k1") ? 1 : query_has(request, "event=%C3%A4%202") ? 2 : 0;
}

/* The events of a body, in order, by the rules that the routes document. */
static bool next_event(const struct http_request *request, struct span *rest, struct span *event) {
    bool lines = query_has(request, "split=lines") ||
                 span_equal(request->content_type, (struct span){"application/x-ndjson", 20});
    if (rest->length == 0) return false;
    const char *end = lines ? memchr(rest->data, '\n', rest->length) : NULL;
    event->data = rest->data;
    event->length = end != NULL ? (size_t)(end - rest->data) : rest->length;
    size_t taken = end != NULL ? event->length + 1 : event->length;
    rest->data += taken;
    rest->length -= taken;
    return true;
}

/* The handler has run: what it published is what the session has more than before. */
static void look_at_session(struct simulation *simulation, unsigned name, const struct http_request *request,
                            struct span body) {
    weir_session_info info;
    if (!server_session(simulation, name, &info)) return;
    struct life *life = truth_of_session(simulation, name, &info);
    struct span event;
    while (life->newest < info.newest) {
        bool given = request->method == HTTP_METHOD_POST && next_event(request, &body, &event);
        SIMULATION_REQUIRE(simulation, ORACLE_ISOLATION, given, "session %s has events that nobody sent",
                           truth_name(name));
        truth_accepted(simulation, life, kind_of(request), event.data, event.length);
    }
}

static void watch_request(struct connection *connection, const struct http_request *request, struct span body) {
    struct simulation *simulation = simulation_of(connection);
    int name = name_of(request);
    simulation->server.seen.requests += !request->has_body;
    router_exchange.request(connection, request, body);
    bool armed = memory.armed;
    memory.armed = false;
    if (name >= 0) look_at_session(simulation, (unsigned)name, request, body);
    if (connection->state == CONNECTION_STREAM) client_subscribed(simulation, connection);
    memory.armed = armed;
}

static bool watch_head(struct connection *connection, const struct http_request *request) {
    simulation_of(connection)->server.seen.requests++;
    return router_exchange.head(connection, request);
}

static void watch_refusal(struct connection *connection, unsigned status, const char *code, const char *message) {
    router_exchange.refused(connection, status, code, message);
}

static const struct exchange watcher = {watch_head, watch_request, watch_refusal};

/* ---- Life --------------------------------------------------------------------------------------------------------- */

static void open_engine(struct simulation *simulation) {
    struct server *server = &simulation->server;
    weir_config config = simulation->settings.engine;
    config.size = sizeof(config);
    config.clock = (weir_clock){now_ns, wall_ms, simulation};
    config.entropy = (weir_entropy){fill, simulation};
    config.allocator = memory_of_engine;
    config.observer = (weir_observer){take_notice, simulation};
    server->engines++;
    int status = weir_engine_create(&server->engine, &config);
    if (status == WEIR_OK) status = weir_producer_create(server->engine, &server->producer);
    if (status != WEIR_OK) abort(); /* the plan is wrong: a configuration that cannot be */
    truth_new_engine(&simulation->truth);
}

static void open_reactor(struct simulation *simulation) {
    struct server *server = &simulation->server;
    struct simulated_faults faults = faults_draw(&simulation->plan, &simulation->weather);
    static const int no_listeners[LISTENERS_MAX] = {-1, -1};
    uint64_t start_ns = server->now_ns;
    if (simulation->settling) faults = (struct simulated_faults){.seed = faults.seed};
    server->backend = simulated_create(&faults);
    simulated_advance(server->backend, start_ns);
    memset(&server->shared, 0, sizeof(server->shared));
    server->shared.engine = server->engine;
    server->shared.config = simulation->settings.server;
    server->shared.exchange = &watcher;
    server->shared.reactors = server->reactors;
    if (reactor_create(&server->reactor, &server->shared, 0, server->backend, no_listeners) != WEIR_OK) abort();
    server->listener = simulated_listen(server->backend);
    server->reactor->listeners[LISTENER_PUBLIC].descriptor = server->listener;
    server->reactors[0] = server->reactor;
    server->shared.reactor_count = 1;
    server->seen = (struct server_seen){0};
    server->going = server->draining = false;
    const struct simulated_observer observer = {simulation, see_fault, see_start, see_completion, see_violation};
    simulated_observe(server->backend, &observer);
    sabotage_backend(simulation);
}

void server_open(struct simulation *simulation) {
    if (simulation->server.engine == NULL) open_engine(simulation);
    open_reactor(simulation);
}

void server_close(struct simulation *simulation) {
    struct server *server = &simulation->server;
    server->now_ns = simulated_now_ns(server->backend);
    reactor_destroy(server->reactor);
    server->backend = NULL;
    oracle_check_server_memory(simulation);
}

void server_close_engine(struct simulation *simulation) {
    struct server *server = &simulation->server;
    weir_producer_destroy(server->producer);
    weir_engine_destroy(server->engine);
    server->engine = NULL;
    oracle_check_engine_memory(simulation);
}

/* ---- Turns -------------------------------------------------------------------------------------------------------- */

static void count_refusals(struct simulation *simulation) {
    simulation->totals->hits[SITE_SERVER_MEMORY][MATRIX_REFUSED] += memory.server.refused;
    simulation->totals->hits[SITE_ENGINE_MEMORY][MATRIX_REFUSED] += memory.engine.refused;
    memory.server.refused = memory.engine.refused = 0;
}

/* A server that was told to go goes in time, whatever its peers and its kernel do. */
static void check_going(struct simulation *simulation) {
    const struct server *server = &simulation->server;
    uint64_t patience_ms = server->draining ? server->shared.config.drain_ms + GRACE_MS : STOP_PATIENCE_MS;
    uint64_t gone_ns = simulation_now_ns(simulation) - server->going_ns;
    SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, !server->going || gone_ns < patience_ms * NS_PER_MS,
                       "a server that was told to go is still there after %llu ms",
                       (unsigned long long)(gone_ns / NS_PER_MS));
}

bool server_turn(struct simulation *simulation, uint64_t timeout_ns) {
    struct server *server = &simulation->server;
    memory.armed = !simulation->settling;
    int work = reactor_turn(server->reactor, timeout_ns);
    memory.armed = false;
    count_refusals(simulation);
    if (work < 0) return false;
    oracle_check_operations(simulation);
    if (++server->turns % 16 == 0) oracle_check_counts(simulation);
    check_going(simulation);
    return true;
}

void server_run(struct simulation *simulation, uint64_t duration_ns) {
    uint64_t end_ns = simulation_now_ns(simulation) + duration_ns;
    for (int turns = 0; simulation_now_ns(simulation) < end_ns; turns++) {
        SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, turns < TURNS_MOST, "the reactor spins");
        if (!server_turn(simulation, end_ns - simulation_now_ns(simulation))) return;
    }
}

/* ---- Directly ----------------------------------------------------------------------------------------------------- */

static weir_session *find_session(struct simulation *simulation, unsigned name, weir_open mode) {
    weir_session *session = NULL;
    const char *text = truth_name(name);
    (void)weir_session_open(simulation->server.engine, text, strlen(text), mode, &session, NULL);
    return session;
}

bool server_session(struct simulation *simulation, unsigned name, weir_session_info *info) {
    weir_session *session = find_session(simulation, name, WEIR_OPEN_EXISTING);
    if (session == NULL) return false;
    weir_session_info_get(session, info);
    weir_session_release(session);
    return true;
}

static uint32_t number_kind(struct simulation *simulation, unsigned kind) {
    const char *name = truth_kind(kind);
    uint32_t number = 0;
    if (kind > 0 && weir_kind(simulation->server.engine, name, strlen(name), &number) != WEIR_OK) abort();
    return number;
}

void server_publish(struct simulation *simulation, unsigned name, unsigned count) {
    char payload[PAYLOAD_MOST];
    weir_session *session = find_session(simulation, name, WEIR_OPEN_OR_CREATE);
    weir_session_info info;
    weir_session_info_get(session, &info);
    struct life *life = truth_of_session(simulation, name, &info);
    for (; count > 0; count--) {
        uint32_t number;
        uint64_t sequence;
        size_t length = payload_write(simulation, name, PAYLOAD_TEXT, &simulation->script, payload, &number);
        uint32_t kind = number_kind(simulation, number % TRUTH_KINDS);
        memory.armed = !simulation->settling;
        int status = weir_publish(simulation->server.producer, session, kind, payload, length, &sequence);
        memory.armed = false;
        if (status == WEIR_TOO_LARGE || status == WEIR_NO_MEMORY) continue;
        SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, status == WEIR_OK, "publishing gives %s",
                           weir_status_name(status));
        SIMULATION_REQUIRE(simulation, ORACLE_ORDER, sequence == life->newest + 1, "sequence %llu follows %llu",
                           (unsigned long long)sequence, (unsigned long long)life->newest);
        truth_accepted(simulation, life, number % TRUTH_KINDS, payload, length);
    }
    weir_session_release(session);
}

/* Every session that there is becomes a member; who is one stays one. */
static weir_channel *gather(struct simulation *simulation) {
    weir_channel *channel = NULL;
    if (weir_channel_open(simulation->server.engine, "all", 3, WEIR_OPEN_OR_CREATE, &channel, NULL) != WEIR_OK)
        abort();
    for (unsigned name = 0; name < simulation->settings.sessions; name++) {
        weir_session *session = find_session(simulation, name, WEIR_OPEN_EXISTING);
        if (session != NULL) weir_channel_join(channel, session, NULL);
        weir_session_release(session);
    }
    return channel;
}

void server_broadcast(struct simulation *simulation) {
    char payload[PAYLOAD_MOST];
    uint32_t number;
    weir_channel *channel = gather(simulation);
    weir_broadcast result;
    weir_message message = {.data = payload};
    message.length = payload_write(simulation, TRUTH_ALL, PAYLOAD_TEXT, &simulation->script, payload, &number);
    message.kind = number_kind(simulation, number % TRUTH_KINDS);
    memory.armed = !simulation->settling;
    weir_channel_publish(simulation->server.producer, channel, &message, &result);
    memory.armed = false;
    weir_channel_release(channel);
    unsigned accepted = 0;
    for (unsigned name = 0; name < simulation->settings.sessions; name++) {
        weir_session_info info;
        if (!server_session(simulation, name, &info)) continue;
        struct life *life = truth_of_session(simulation, name, &info);
        if (info.newest == life->newest) continue;
        truth_accepted(simulation, life, number % TRUTH_KINDS, payload, message.length);
        accepted++;
    }
    SIMULATION_REQUIRE(simulation, ORACLE_BALANCE, accepted == result.accepted,
                       "a broadcast counts %u sessions that took it; %u did", result.accepted, accepted);
}

void server_terminate(struct simulation *simulation, unsigned name) {
    weir_session *session = find_session(simulation, name, WEIR_OPEN_EXISTING);
    if (session == NULL) return;
    weir_session_terminate(session);
    weir_session_release(session);
}
