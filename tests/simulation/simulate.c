/* One run: the script's steps in the plan's weather, then calm, then the end. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "memory.h"
#include "sabotage.h"
#include "simulation.h"

#define START_NS      UINT64_C(1000000000)
#define WALL_START_MS UINT64_C(1700000000000)
#define SETTLE_ROUNDS 600u /* of SETTLE_STEP: within that every client must have reached the newest event */
#define SETTLE_STEP   (50 * NS_PER_MS)

void simulation_note(struct simulation *simulation, const char *what, int64_t who, int64_t value) {
    trace_add(&simulation->outcome.trace, simulation_now_ns(simulation), what, who, value);
}

void simulation_fail(struct simulation *simulation, enum oracle oracle, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(simulation->outcome.text, sizeof(simulation->outcome.text), format, arguments);
    va_end(arguments);
    simulation->outcome.oracle = oracle;
    memory.armed = false;
    longjmp(simulation->failed, 1);
}

/* ---- Steps ---------------------------------------------------------------------------------------------------------- */

static void poll_everybody(struct simulation *simulation) {
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_poll(&simulation->clients[i]);
    for (unsigned i = 0; i < simulation->plan.posters; i++)
        poster_poll(&simulation->posters[i]);
}

static void step_publish(struct simulation *simulation) {
    if (random_happens(&simulation->script, 20)) {
        static const unsigned broadcasts[] = {1, 1, 1, 2, 2, 4, 8, 100};
        for (unsigned i = RANDOM_PICK(&simulation->script, broadcasts); i > 0; i--)
            server_broadcast(simulation);
        return;
    }
    static const unsigned bursts[] = {1, 1, 1, 3, 10, 40};
    server_publish(simulation, random_below(&simulation->script, simulation->settings.sessions),
                   RANDOM_PICK(&simulation->script, bursts));
}

/* Everybody's connections go with the reactor; the next one is there at once. */
static void restart(struct simulation *simulation) {
    struct random *script = &simulation->script;
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_leave(&simulation->clients[i], random_below(script, 100) * NS_PER_MS);
    for (unsigned i = 0; i < simulation->plan.posters; i++)
        poster_leave(&simulation->posters[i]);
    server_close(simulation);
    if (random_happens(script, 30)) server_close_engine(simulation);
    server_open(simulation);
    simulation->totals->restarts++;
    simulation_note(simulation, "restarted", (int64_t)simulation->server.engines, 0);
}

/* What was accepted up to now is to be sent, before the streams end. */
static void drain(struct simulation *simulation) {
    struct server *server = &simulation->server;
    for (unsigned name = 0; name < simulation->settings.sessions && !server->draining; name++) {
        int life = simulation->truth.current[name];
        server->drain_life[name] = life;
        server->drain_newest[name] = life >= 0 ? simulation->truth.lives[life].newest : 0;
    }
    server->draining = true;
    reactors_control(&server->shared, CONTROL_DRAIN);
}

static void step_restart(struct simulation *simulation) {
    struct server *server = &simulation->server;
    unsigned how = random_below(&simulation->script, 4);
    simulation_note(simulation, "told to go", how, 0);
    if (how == 3) {
        restart(simulation);
        return;
    }
    if (!server->going) server->going_ns = simulation_now_ns(simulation);
    server->going = true;
    if (how == 0) drain(simulation);
    if (how == 1) reactors_control(&server->shared, CONTROL_STOP);
    if (how == 2) simulated_break(server->backend, EIO);
}

/* The process was stopped, or slept; the wall clock may be set meanwhile, forward or back. */
static void step_leap(struct simulation *simulation) {
    static const uint64_t leaps_ms[] = {1, 1000, 60000, 600000};
    uint64_t leap_ms = RANDOM_PICK(&simulation->script, leaps_ms);
    simulated_advance(simulation->server.backend, leap_ms * NS_PER_MS);
    simulation->server.going_ns += leap_ms * NS_PER_MS; /* nobody's patience runs while the process is stopped */
    if (random_happens(&simulation->script, 50))
        simulation->server.wall_ms = WALL_START_MS + random_below(&simulation->script, 2000000000) * UINT64_C(100);
    simulation->totals->hits[SITE_WAIT][MATRIX_LEAP]++;
    simulation_note(simulation, "time leaps (ms)", 0, (int64_t)leap_ms);
}

static void step_storm(struct simulation *simulation) {
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_leave(&simulation->clients[i], 0);
    simulation_note(simulation, "all leave", 0, 0);
}

static void step_weather(struct simulation *simulation) {
    struct simulated_faults faults = faults_draw(&simulation->plan, &simulation->weather);
    simulated_set_faults(simulation->server.backend, &faults);
}

static void step_ask(struct simulation *simulation) {
    if (simulation->server.going || simulation->plan.posters == 0) return;
    poster_ask(&simulation->posters[random_below(&simulation->script, simulation->plan.posters)]);
}

static void step(struct simulation *simulation) {
    const struct settings *settings = &simulation->settings;
    unsigned weights[] = {settings->publish,
                          settings->post,
                          settings->terminate,
                          settings->restart,
                          settings->leap,
                          settings->storm,
                          2,
                          60};
    unsigned total = 0, kind = 0;
    for (unsigned i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
        total += weights[i];
    unsigned drawn = random_below(&simulation->script, total);
    while (drawn >= weights[kind])
        drawn -= weights[kind++];
    switch (kind) {
    case 0:
        step_publish(simulation);
        break;
    case 1:
        step_ask(simulation);
        break;
    case 2:
        server_terminate(simulation, random_below(&simulation->script, settings->sessions));
        break;
    case 3:
        step_restart(simulation);
        break;
    case 4:
        step_leap(simulation);
        break;
    case 5:
        step_storm(simulation);
        break;
    case 6:
        step_weather(simulation);
        break;
    default: /* time passes */
        server_run(simulation, random_below(&simulation->script, 40) * NS_PER_MS);
    }
}

static void go_on(struct simulation *simulation) {
    for (unsigned turns = random_below(&simulation->script, 4); turns > 0; turns--)
        if (!server_turn(simulation, 0)) break;
    if (simulation->server.reactor->finished) restart(simulation);
    sabotage_step(simulation);
    poll_everybody(simulation);
}

/* ---- Calm ----------------------------------------------------------------------------------------------------------- */

/* Every client has what there is, and the first poster all its answers. */
static bool all_at_head(struct simulation *simulation) {
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        if (!client_is_at_head(&simulation->clients[i])) return false;
    return simulation->plan.posters == 0 || simulation->posters[0].served;
}

static void calm_down(struct simulation *simulation) {
    const struct simulated_faults none = {.seed = simulation->plan.seed};
    simulation_note(simulation, "calm", 0, 0);
    simulation->settling = true;
    if (simulation->server.going || simulation->server.reactor->finished) restart(simulation);
    for (unsigned i = 0; i < simulation->plan.posters; i++) {
        if (i > 0 && random_happens(&simulation->script, 50))
            poster_fall_silent(&simulation->posters[i]);
        else
            poster_leave(&simulation->posters[i]);
    }
    simulated_set_faults(simulation->server.backend, &none);
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_calm_down(&simulation->clients[i]);
    for (unsigned name = 0; name < simulation->settings.sessions; name++)
        server_publish(simulation, name, 1);
}

/* Sessions may end of old age while clients come back: what is published last is what they all must get. */
static void settle(struct simulation *simulation) {
    calm_down(simulation);
    for (unsigned round = 0; round < SETTLE_ROUNDS; round++) {
        if (simulation->plan.posters > 0 && !simulation->posters[0].served)
            poster_ask_greedily(&simulation->posters[0]);
        server_run(simulation, SETTLE_STEP);
        poll_everybody(simulation);
        if (round % 20 == 19)
            for (unsigned name = 0; name < simulation->settings.sessions; name++)
                server_publish(simulation, name, 1);
        if (round >= 4 && all_at_head(simulation)) return;
    }
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, client_is_at_head(&simulation->clients[i]),
                           "client %u has not reached the newest event after %llu s of calm", i,
                           (unsigned long long)(SETTLE_ROUNDS * SETTLE_STEP / 1000000000));
    SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, all_at_head(simulation), "poster 0 was not answered in the calm");
}

#define BEAT_LATE_MS 150u  /* a heartbeat may come so much later: this and no more is a round */
#define LINGER_MS    2000u /* the server's own patience after an answer that ends a connection */

/* In the quiet, streams hear heartbeats; and who has fallen silent is let go once every deadline has passed. */
static void stay_quiet(struct simulation *simulation) {
    const weir_server_config *config = &simulation->server.shared.config;
    uint64_t beat_ms = config->heartbeat_ms == WEIR_NONE ? UINT32_MAX : config->heartbeat_ms + BEAT_LATE_MS;
    uint64_t deadlines_ms = (uint64_t)config->head_timeout_ms + config->body_timeout_ms + config->idle_timeout_ms +
                            2 * config->stall_timeout_ms + LINGER_MS;
    uint64_t end_ns = simulation_now_ns(simulation) + deadlines_ms * NS_PER_MS;
    while (simulation_now_ns(simulation) < end_ns) {
        server_run(simulation, SETTLE_STEP);
        poll_everybody(simulation);
        for (unsigned i = 0; i < simulation->plan.clients; i++) {
            const struct client *client = &simulation->clients[i];
            uint64_t quiet_ns = simulation_now_ns(simulation) - client->heard_ns;
            SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, client->peer == NULL || quiet_ns < beat_ms * NS_PER_MS,
                               "client %u has heard no heartbeat for %llu ms", i,
                               (unsigned long long)(quiet_ns / NS_PER_MS));
        }
    }
    const struct reactor *reactor = simulation->server.reactor;
    SIMULATION_REQUIRE(simulation, ORACLE_LIVENESS, reactor->connection_count <= simulation->plan.clients,
                       "%u clients are there, and %u connections: silent peers are not let go",
                       simulation->plan.clients, reactor->connection_count);
}

#define LAST_TURNS 8 /* of no time: what is being sent arrives */

static void end(struct simulation *simulation) {
    for (int i = 0; i < LAST_TURNS; i++)
        server_turn(simulation, 0);
    poll_everybody(simulation);
    oracle_check_counts(simulation);
    oracle_check_settled(simulation);
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_leave(&simulation->clients[i], 0);
    for (unsigned i = 0; i < simulation->plan.posters; i++)
        poster_leave(&simulation->posters[i]);
    server_close(simulation);
    server_close_engine(simulation);
}

/* ---- The run -------------------------------------------------------------------------------------------------------- */

static void start(struct simulation *simulation, const struct plan *plan, struct totals *totals) {
    struct random settings = random_start(plan->seed, 2);
    memset(simulation, 0, offsetof(struct simulation, clients));
    memset(&simulation->sabotage, 0, sizeof(simulation->sabotage));
    simulation->settling = false;
    simulation->plan = *plan;
    simulation->totals = totals;
    settings_draw(&simulation->settings, plan, &settings);
    simulation->script = random_start(plan->seed, 3);
    simulation->weather = random_start(plan->seed, 4);
    trace_start(&simulation->outcome.trace);
    truth_start(&simulation->truth);
    memory_start(plan->seed, simulation->settings.memory_per_mille);
    simulation->server.now_ns = simulation->start_ns = START_NS;
    simulation->server.wall_ms = WALL_START_MS;
}

static void run(struct simulation *simulation) {
    server_open(simulation);
    for (unsigned i = 0; i < simulation->plan.clients; i++)
        client_start(simulation, i);
    for (unsigned i = 0; i < simulation->plan.posters; i++)
        poster_start(simulation, i);
    for (unsigned i = 0; i < simulation->plan.steps; i++) {
        step(simulation);
        go_on(simulation);
    }
    settle(simulation);
    if (random_happens(&simulation->script, 20)) stay_quiet(simulation);
    simulation->totals->virtual_ns += simulation_now_ns(simulation) - simulation->start_ns;
    end(simulation);
}

void simulate(struct simulation *simulation, const struct plan *plan, struct totals *totals) {
    start(simulation, plan, totals);
    if (setjmp(simulation->failed) == 0) run(simulation);
    truth_free(&simulation->truth);
    totals->runs++;
}
