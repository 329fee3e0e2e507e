#include "plan.h"

#include <string.h>

#include "simulation.h"

const char *weather_name(enum weather weather) {
    static const char *const names[WEATHERS] = {"partial", "late",    "lost",      "reorder", "reset", "error",
                                                "cancel",  "buffers", "early",     "memory",  "leave", "stall",
                                                "drip",    "post",    "terminate", "restart", "leap",  "storm"};
    return names[weather];
}

struct plan plan_of_seed(uint64_t seed) {
    static const unsigned clients[] = {1, 2, 4, 8, 16, PLAN_CLIENTS};
    static const unsigned chances[] = {10, 30, 50, 80}; /* per cent: calm runs and wild ones */
    struct random random = random_start(seed, 1);
    struct plan plan = {.seed = seed, .clients = RANDOM_PICK(&random, clients), .steps = 400};
    unsigned chance = RANDOM_PICK(&random, chances);
    for (unsigned i = 0; i < WEATHERS; i++)
        plan.weather |= random_happens(&random, chance) ? 1u << i : 0;
    plan.posters = 1 + random_below(&random, PLAN_POSTERS);
    return plan;
}

static void draw_engine(struct settings *settings, const struct plan *plan, struct random *random) {
    static const uint32_t capacities[] = {1, 2, 3, 8, 64, 300};
    weir_config *engine = &settings->engine;
    engine->max_sessions = 64;
    engine->max_kinds = 8;
    engine->max_pollers = 4;
    engine->max_channels = 8;
    engine->max_subscribers = 256;
    engine->replay_capacity = RANDOM_PICK(random, capacities);
    engine->queue_depth = random_happens(random, 30) ? 1 + random_below(random, engine->replay_capacity) : 0;
    engine->idle_ttl_ms = random_happens(random, 30) && plan_has(plan, WEATHER_TERMINATE) ? 2000 : WEIR_NONE;
    engine->max_event_bytes = random_happens(random, 20) ? 2000 : 16384;
    engine->max_session_bytes = random_happens(random, 20) ? 64u << 10 : 0;
    engine->max_bytes = 8u << 20;
}

static void draw_server(struct settings *settings, const struct plan *plan, struct random *random) {
    static const uint32_t batches[] = {64, 512, 4096, 65536};
    weir_server_config *server = &settings->server;
    server->max_batch_bytes = RANDOM_PICK(random, batches);
    server->max_connections = random_happens(random, 20) ? plan->clients + 4 : 1000;
    server->slow_policy = random_happens(random, 25) ? WEIR_POLICY_DETACH : WEIR_POLICY_SKIP;
    server->strict_sessions = random_happens(random, 15);
    server->heartbeat_ms = random_happens(random, 10) ? WEIR_NONE : 50 + random_below(random, 2000);
    server->stall_timeout_ms = 100 + random_below(random, 3000);
    server->head_timeout_ms = 200 + random_below(random, 3000);
    server->body_timeout_ms = 200 + random_below(random, 3000);
    server->idle_timeout_ms = 200 + random_below(random, 5000);
    server->drain_ms = 1 + random_below(random, 2000);
    server->retry_ms = 1 + random_below(random, 500);
    server->max_head_bytes = 2048;
    server->max_headers = 16;
    server->max_body_bytes = random_happens(random, 30) ? 300 : 65536;
}

static unsigned rate(const struct plan *plan, enum weather weather, struct random *random, unsigned most) {
    unsigned drawn = 1 + random_below(random, most);
    return plan_has(plan, weather) ? drawn : 0;
}

void settings_draw(struct settings *settings, const struct plan *plan, struct random *random) {
    memset(settings, 0, sizeof(*settings));
    settings->sessions = 1 + random_below(random, PLAN_SESSIONS);
    draw_engine(settings, plan, random);
    draw_server(settings, plan, random);
    settings->memory_per_mille = rate(plan, WEATHER_MEMORY, random, 30);
    settings->leave = rate(plan, WEATHER_LEAVE, random, 200);
    settings->stall = rate(plan, WEATHER_STALL, random, 60);
    settings->drip = rate(plan, WEATHER_DRIP, random, 600);
    settings->publish = 10 + random_below(random, 40);
    settings->post = rate(plan, WEATHER_POST, random, 40);
    settings->terminate = rate(plan, WEATHER_TERMINATE, random, 4);
    settings->restart = rate(plan, WEATHER_RESTART, random, 2);
    settings->leap = rate(plan, WEATHER_LEAP, random, 3);
    settings->storm = rate(plan, WEATHER_STORM, random, 20);
    settings->long_payload = random_below(random, 6);
}

static unsigned chance_of(const struct plan *plan, enum weather weather, struct random *random, unsigned most) {
    unsigned drawn = 1 + random_below(random, most);
    return plan_has(plan, weather) && random_happens(random, 80) ? drawn : 0;
}

struct simulated_faults faults_draw(const struct plan *plan, struct random *random) {
    static const unsigned buffers[] = {1, 2, 4};
    static const unsigned sizes[] = {1, 7, 100, 8192};
    struct simulated_faults faults = {
        .seed = plan->seed,
        .short_send = chance_of(plan, WEATHER_PARTIAL, random, 60),
        .split_receive = chance_of(plan, WEATHER_PARTIAL, random, 60),
        .late_completion = chance_of(plan, WEATHER_LATE, random, 60),
        .max_delay_ns = 1 + random_below(random, 20 * NS_PER_MS),
        .reset = chance_of(plan, WEATHER_RESET, random, 5),
        .accept_error = chance_of(plan, WEATHER_RESET, random, 10),
        .early_wait = chance_of(plan, WEATHER_EARLY, random, 50),
        .error = chance_of(plan, WEATHER_ERROR, random, 60),
        .lost = chance_of(plan, WEATHER_LOST, random, 20),
        .reorder = plan_has(plan, WEATHER_REORDER),
        .cancel =
            plan_has(plan, WEATHER_CANCEL) ? (enum simulated_cancel)random_below(random, 4) : SIMULATED_CANCEL_WINS,
        .receive_buffers = plan_has(plan, WEATHER_BUFFERS) ? RANDOM_PICK(random, buffers) : 0,
        .receive_size = plan_has(plan, WEATHER_BUFFERS) ? RANDOM_PICK(random, sizes) : 0,
    };
    return faults;
}
