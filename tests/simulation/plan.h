/* What differs from seed to seed. Each run has a part of the weather only, at rates of its own, so that kinds of faults
 * meet in all combinations and none hides another. */
#ifndef WEIR_TESTS_SIMULATION_PLAN_H
#define WEIR_TESTS_SIMULATION_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "support/random.h"
#include "support/simulated_backend.h"
#include "weir_io.h"

#define PLAN_CLIENTS  24u
#define PLAN_POSTERS  6u
#define PLAN_SESSIONS 6u

enum weather {
    WEATHER_PARTIAL,   /* short sends, receives in pieces */
    WEATHER_LATE,      /* late completions */
    WEATHER_LOST,      /* lost ones */
    WEATHER_REORDER,   /* completions in any order */
    WEATHER_RESET,     /* connections reset in the middle */
    WEATHER_ERROR,     /* operations that end with an error */
    WEATHER_CANCEL,    /* cancels that race */
    WEATHER_BUFFERS,   /* few and small receive buffers */
    WEATHER_EARLY,     /* waits that return for nothing */
    WEATHER_MEMORY,    /* allocations that fail */
    WEATHER_LEAVE,     /* peers that reset, finish, half-close, come back */
    WEATHER_STALL,     /* peers that read slowly or not at all */
    WEATHER_DRIP,      /* requests in pieces, and late ones */
    WEATHER_POST,      /* publishing and everything else by HTTP */
    WEATHER_TERMINATE, /* sessions that end and begin anew */
    WEATHER_RESTART,   /* drains, stops, broken backends, new engines */
    WEATHER_LEAP,      /* time that leaps; the wall clock, too */
    WEATHER_STORM,     /* all clients come back at once */
    WEATHERS
};

const char *weather_name(enum weather weather);

/* A deliberate break, which an oracle must find; see sabotage.h. */
enum sabotage {
    SABOTAGE_NONE,
    SABOTAGE_LOSE_EVENT,
    SABOTAGE_REPEAT_EVENT,
    SABOTAGE_SWAP_EVENTS,
    SABOTAGE_FOREIGN_EVENT,
    SABOTAGE_CORRUPT_EVENT,
    SABOTAGE_DROP_BYTE,
    SABOTAGE_LEAK,
    SABOTAGE_DEAF_CLIENT,
    SABOTAGE_MISCOUNT_GAP,
    SABOTAGE_MISCOUNT_METRIC,
    SABOTAGE_LOSE_COMPLETION,
    SABOTAGE_CHANGE_SEND,
    SABOTAGE_CHANCE,
    SABOTAGE_CRASH,
    SABOTAGES
};

struct plan {
    uint64_t seed;
    unsigned clients; /* 1 .. PLAN_CLIENTS */
    unsigned posters; /* 0 .. PLAN_POSTERS */
    unsigned steps;
    uint32_t weather; /* a bit for each kind that the run has */
    enum sabotage sabotage;
};

/* What the plan comes to: rates and limits. */
struct settings {
    unsigned sessions;
    weir_config engine;
    weir_server_config server;
    unsigned memory_per_mille;
    unsigned leave, stall, drip;                             /* per mille of a client's polls */
    unsigned publish, post, terminate, restart, leap, storm; /* weights of steps */
    unsigned long_payload;                                   /* per cent of the events are long */
};

/* The plan of a seed, whole. */
struct plan plan_of_seed(uint64_t seed);
static inline bool plan_has(const struct plan *plan, enum weather weather) {
    return plan->weather >> weather & 1u;
}

void settings_draw(struct settings *settings, const struct plan *plan, struct random *random);
/* The backend's part of the weather, drawn anew. */
struct simulated_faults faults_draw(const struct plan *plan, struct random *random);

#endif
