#include "oracle.h"

#include <string.h>

#include "memory.h"
#include "net/outlet.h"
#include "simulation.h"

const char *oracle_name(enum oracle oracle) {
    static const char *const names[ORACLES] = {
        "none",        "O1 loss",    "O2 duplicate", "O3 order",       "O4 isolation", "O5 framing", "O6 memory",
        "O7 liveness", "O8 balance", "O9 metrics",   "O10 operations", "O11 buffers",  "O12 repeat", "crash"};
    return names[oracle];
}

/* ---- O10: operations ------------------------------------------------------------------------------------------------ */

void oracle_check_operations(struct simulation *simulation) {
    const struct reactor *reactor = simulation->server.reactor;
    unsigned started = reactor->listeners[0].accepting + reactor->listeners[1].accepting;
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        const struct connection *connection = reactor->places[i].connection;
        if (connection != NULL) started += (unsigned)connection->receiving + connection->sending;
    }
    unsigned there = simulated_started_operations(simulation->server.backend);
    SIMULATION_REQUIRE(simulation, ORACLE_OPERATIONS, started == there,
                       "the reactor waits for %u operations, the backend has %u", started, there);
    SIMULATION_REQUIRE(simulation, ORACLE_BUFFERS, simulated_lent_buffers(simulation->server.backend) <= started,
                       "%u receive buffers are lent after the turn",
                       simulated_lent_buffers(simulation->server.backend));
}

/* ---- O6: memory ----------------------------------------------------------------------------------------------------- */

/* More than any connection needs, and less than what grows without an end. */
static uint64_t memory_bound(const struct simulation *simulation) {
    const weir_server_config *config = &simulation->server.shared.config;
    const struct reactor *reactor = simulation->server.reactor;
    uint64_t batch = config->max_batch_bytes + 8 * PAYLOAD_MOST * 6 + 8192;
    uint64_t stream = 16384 + batch;
    uint64_t request =
        16384 + 2 * config->max_head_bytes + 2 * (uint64_t)config->max_body_bytes + 5 * (256u << 10) + 65536;
    uint64_t batches = BATCH_POOL + 8u * PLAN_SESSIONS;
    uint64_t others = reactor->connection_count - reactor->stream_count;
    return (2u << 20) + batches * batch + reactor->stream_count * stream + others * request;
}

static void check_memory(struct simulation *simulation, const weir_stats *stats) {
    uint64_t bound = memory_bound(simulation);
    SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, memory.server.bytes <= bound,
                       "the server holds %llu bytes; %u streams and %u connections may have %llu",
                       (unsigned long long)memory.server.bytes, simulation->server.reactor->stream_count,
                       simulation->server.reactor->connection_count, (unsigned long long)bound);
    SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, stats->cell_bytes <= simulation->settings.engine.max_bytes,
                       "%llu bytes of cells, and max_bytes is %llu", (unsigned long long)stats->cell_bytes,
                       (unsigned long long)simulation->settings.engine.max_bytes);
}

void oracle_check_server_memory(struct simulation *simulation) {
    SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, memory.server.blocks == 0 && memory.server.bytes == 0,
                       "the server has gone and leaves %llu blocks of %llu bytes",
                       (unsigned long long)memory.server.blocks, (unsigned long long)memory.server.bytes);
}

void oracle_check_engine_memory(struct simulation *simulation) {
    SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, memory.engine.blocks == 0 && memory.engine.bytes == 0,
                       "the engine has gone and leaves %llu blocks of %llu bytes",
                       (unsigned long long)memory.engine.blocks, (unsigned long long)memory.engine.bytes);
}

/* ---- O9: what is counted is what happened ----------------------------------------------------------------------------- */

static void require_equal(struct simulation *simulation, const char *what, uint64_t counted, uint64_t happened) {
    SIMULATION_REQUIRE(simulation, ORACLE_METRICS, counted == happened, "%s: %llu are counted, %llu happened", what,
                       (unsigned long long)counted, (unsigned long long)happened);
}

static void require_least(struct simulation *simulation, const char *what, uint64_t counted, uint64_t least) {
    SIMULATION_REQUIRE(simulation, ORACLE_METRICS, counted >= least, "%s: %llu are counted, %llu were heard", what,
                       (unsigned long long)counted, (unsigned long long)least);
}

static void check_engine(struct simulation *simulation, const weir_stats *stats) {
    const struct truth *truth = &simulation->truth;
    require_equal(simulation, "sessions created", stats->sessions_created, truth->created);
    require_equal(simulation, "sessions ended", stats->sessions_ended, truth->ended);
    require_equal(simulation, "sessions", stats->sessions, truth->created - truth->ended);
    require_equal(simulation, "events published", stats->published, truth->published);
    require_equal(simulation, "bytes published", stats->published_bytes, truth->bytes);
    require_least(simulation, "gaps", stats->gaps, truth->gaps);
    require_least(simulation, "lost events", stats->lost, truth->lost);
    require_equal(simulation, "subscribers", stats->subscribers, simulation->server.reactor->stream_count);
}

static void check_reactor(struct simulation *simulation) {
    const struct reactor *reactor = simulation->server.reactor;
    const struct reactor_counters *counters = &reactor->counters;
    const struct server_seen *seen = &simulation->server.seen;
    uint32_t streams = 0, connections = 0;
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        const struct connection *connection = reactor->places[i].connection;
        connections += connection != NULL;
        streams += connection != NULL && connection->stream != NULL;
    }
    require_equal(simulation, "connections", u64_load_relaxed(&counters->connections), connections);
    require_equal(simulation, "streams", u64_load_relaxed(&counters->streams), streams);
    require_equal(simulation, "accepted", u64_load_relaxed(&counters->accepted), seen->accepted);
    require_equal(simulation, "accept errors", u64_load_relaxed(&counters->accept_errors), seen->accept_errors);
    require_equal(simulation, "requests", u64_load_relaxed(&counters->requests), seen->requests);
    require_equal(simulation, "sends", u64_load_relaxed(&counters->sends), seen->sends);
    require_least(simulation, "gap frames", u64_load_relaxed(&counters->gaps), seen->gaps);
    require_least(simulation, "heartbeats", u64_load_relaxed(&counters->heartbeats), seen->heartbeats);
    require_least(simulation, "refusals", u64_load_relaxed(&counters->refused), seen->refused);
}

static void check_outlet(struct simulation *simulation, const struct outlet *outlet) {
    const struct reactor *reactor = simulation->server.reactor;
    unsigned sending = 0, streams = 0;
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        const struct connection *connection = reactor->places[i].connection;
        if (connection == NULL || connection->stream == NULL || connection->stream->outlet != outlet) continue;
        streams++;
        sending += connection->stream->in_flight > 0;
    }
    SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, outlet->sending == sending && outlet->stream_count == streams,
                       "an outlet counts %u streams, of which %u send; %u and %u are there", outlet->stream_count,
                       outlet->sending, streams, sending);
    const struct shared_batches *shared = outlet->shared;
    for (unsigned i = 0; sending == 0 && shared != NULL && i < PROFILES; i++)
        SIMULATION_REQUIRE(simulation, ORACLE_MEMORY, shared->current[i] == NULL && shared->behind[i] == NULL,
                           "an outlet that sends nothing holds rendered bytes");
}

/* Rendered bytes are there for those who are being sent them; an outlet at rest holds none. */
static void check_outlets(struct simulation *simulation) {
    const struct reactor *reactor = simulation->server.reactor;
    const struct outlet *last = NULL;
    for (uint32_t i = 0; i < reactor->place_count; i++) {
        const struct connection *connection = reactor->places[i].connection;
        if (connection == NULL || connection->stream == NULL || connection->stream->outlet == last) continue;
        last = connection->stream->outlet;
        check_outlet(simulation, last);
    }
}

void oracle_check_counts(struct simulation *simulation) {
    check_outlets(simulation);
    weir_stats stats;
    weir_engine_stats(simulation->server.engine, &stats);
    check_memory(simulation, &stats);
    check_engine(simulation, &stats);
    check_reactor(simulation);
}

/* ---- O8: accepted = delivered + dropped + retained ---------------------------------------------------------------------- */

/* Reads what the session has kept, and compares it with the truth. */
static uint64_t count_kept(struct simulation *simulation, weir_session *session, const struct life *life) {
    static char buffer[1 << 20];
    const weir_subscription how = {.start = WEIR_START_OLDEST};
    weir_cursor cursor;
    weir_gap gap;
    weir_event event;
    uint64_t count = 0;
    weir_replay(session, &how, &cursor, &gap);
    while (weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap) == WEIR_OK) {
        size_t seen;
        uint64_t hash = payload_hash(buffer, event.length, &seen);
        SIMULATION_REQUIRE(simulation, ORACLE_BALANCE,
                           event.sequence <= life->newest && life->items[event.sequence - 1].hash == hash,
                           "%s keeps as event %llu what is none", truth_name(life->name),
                           (unsigned long long)event.sequence);
        count++;
    }
    return count;
}

static void check_session(struct simulation *simulation, unsigned name) {
    const char *text = truth_name(name);
    weir_session *session;
    weir_session_info info;
    if (weir_session_open(simulation->server.engine, text, strlen(text), WEIR_OPEN_EXISTING, &session, NULL) !=
        WEIR_OK)
        return;
    weir_session_info_get(session, &info);
    const struct life *life = truth_of_session(simulation, name, &info);
    uint64_t kept = count_kept(simulation, session, life);
    weir_session_release(session);
    SIMULATION_REQUIRE(
        simulation, ORACLE_BALANCE,
        life->newest == info.newest && info.oldest - 1 + kept == info.newest && kept <= info.replay_capacity,
        "%s: %llu were accepted; it has dropped %llu and keeps %llu", text, (unsigned long long)life->newest,
        (unsigned long long)(info.oldest - 1), (unsigned long long)kept);
}

void oracle_check_settled(struct simulation *simulation) {
    const struct reactor_counters *counters = &simulation->server.reactor->counters;
    const struct server_seen *seen = &simulation->server.seen;
    for (unsigned name = 0; name < TRUTH_NAMES; name++)
        check_session(simulation, name);
    SIMULATION_REQUIRE(simulation, ORACLE_METRICS, u64_load_relaxed(&counters->deliveries) <= seen->events,
                       "%llu deliveries are counted, and %llu events were heard",
                       (unsigned long long)u64_load_relaxed(&counters->deliveries), (unsigned long long)seen->events);
    if (seen->cut) return;
    simulation->totals->exact++;
    require_equal(simulation, "deliveries", u64_load_relaxed(&counters->deliveries), seen->events);
    require_equal(simulation, "gap frames", u64_load_relaxed(&counters->gaps), seen->gaps);
    require_equal(simulation, "heartbeats", u64_load_relaxed(&counters->heartbeats), seen->heartbeats);
    require_equal(simulation, "refusals", u64_load_relaxed(&counters->refused), seen->refused);
}
