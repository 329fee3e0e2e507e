/* One run of the whole server in one thread: engine, reactor and HTTP handlers on the simulated backend, with fake time,
 * among simulated clients and in simulated weather. Everything follows from a plan, which follows from a seed.
 *
 *   plan ──> weather ──> backend (short, late, lost, failing operations), memory that fails, peers that misbehave
 *     └────> script  ──> publishers (direct and by HTTP), subscribers, ended sessions, drains, restarts, time leaps
 *   truth    what was accepted, in which order, recorded where the server's handlers accept it
 *   oracles  what must hold whatever happens; the first one that does not ends the run
 *
 * simulation.h   the run's state             plan.h     what differs from seed to seed
 * server.h       the server under test       truth.h    what was published
 * client.h       subscribers                 poster.h   everybody else on HTTP
 * decoder.h      what clients hear           oracle.h   the checks of the whole
 * memory.h       counted, failing memory     trace.h    hash and last lines
 * matrix.h       which fault met which operation          sabotage.h  proofs that the oracles can fail */
#ifndef WEIR_TESTS_SIMULATION_SIMULATION_H
#define WEIR_TESTS_SIMULATION_SIMULATION_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "matrix.h"
#include "oracle.h"
#include "plan.h"
#include "poster.h"
#include "server.h"
#include "support/random.h"
#include "trace.h"
#include "truth.h"

#define NS_PER_MS UINT64_C(1000000)

/* Over many runs. */
struct totals {
    uint64_t runs;
    uint64_t lives; /* of clients: connections from their beginning to their end */
    uint64_t virtual_ns;
    uint64_t published, events, gaps, lost, heartbeats, answers, restarts;
    uint64_t exact; /* runs in which every count was compared to the last event, for no connection was cut */
    uint64_t hits[MATRIX_SITES][MATRIX_FAULTS];
};

struct outcome {
    enum oracle oracle; /* that fired; ORACLE_NONE: none */
    char text[240];
    struct trace trace;
};

struct simulation {
    struct plan plan;
    struct settings settings;
    struct totals *totals;
    struct outcome outcome;
    jmp_buf failed;

    struct random script, weather;
    struct server server;
    struct truth truth;
    struct client clients[PLAN_CLIENTS];
    struct poster posters[PLAN_POSTERS];
    uint64_t start_ns;
    bool settling; /* the weather is over */
    struct sabotage_state {
        bool done;
        unsigned events; /* heard by client 0 */
    } sabotage;
};

/* Runs a plan in the memory given; its outcome stands there. The totals grow by what happened. */
void simulate(struct simulation *simulation, const struct plan *plan, struct totals *totals);

uint64_t simulation_now_ns(const struct simulation *simulation);
/* A line of the trace. */
void simulation_note(struct simulation *simulation, const char *what, int64_t who, int64_t value);

/* Ends the run: the oracle has fired. */
__attribute__((noreturn, format(printf, 3, 4))) void simulation_fail(struct simulation *simulation,
                                                                     enum oracle oracle, const char *format, ...);

#define SIMULATION_REQUIRE(simulation, oracle, condition, ...)                                                       \
    do {                                                                                                             \
        if (!(condition)) simulation_fail(simulation, oracle, __VA_ARGS__);                                          \
    } while (0)

static inline bool random_happens(struct random *random, unsigned per_cent) {
    return per_cent > 0 && random_below(random, 100) < per_cent;
}

#define RANDOM_PICK(random, values) ((values)[random_below(random, sizeof(values) / sizeof((values)[0]))])

#endif
