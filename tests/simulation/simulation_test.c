/* Shows that nothing is lost, repeated, mixed up, torn, leaked, miscounted or stuck, whatever the kernel, the peers, the
 * allocator and the clock do: thousands of runs of the whole server, each in a weather of its own (see simulation.h for
 * what is in a run, and oracle.h for what is checked). First it shows that each oracle can fail.
 *
 * The same seed gives the same run, to the byte. A failure prints its seed, the oracle, and a reduced trace.
 *
 *   WEIR_TEST_SEED=N         runs that seed alone, twice
 *   WEIR_TEST_SCALE=N        N times as many seeds, from WEIR_SIMULATION_FIRST (1) on
 *   WEIR_SIMULATION_MATRIX=  prints how often which fault met which operation
 *
 * Fault ids: C and U as the matrix prints them (U03 to U08, U10, U15, U18, U19, U20, U24, U25), N03, N04, N06 to N09, N12,
 * N13, S10, S11, S14, S17, S18, A03, A04, A07, A08, E08, E10, E11, E12, E15, E20, E21, E22, M01, M03, T01, T03, T04, L01,
 * L14. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "reduce.h"
#include "sabotage.h"
#include "support/scale.h"

#ifndef SIMULATION_RUNS
#define SIMULATION_RUNS 4000
#endif

static uint64_t setting(const char *name, uint64_t standard) {
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : standard;
}

/* ---- Each oracle can fail --------------------------------------------------------------------------------------------- */

#define SABOTAGE_SEEDS 40u

static struct plan plan_for(enum sabotage sabotage, uint64_t seed) {
    struct plan plan = {.seed = seed, .clients = 4, .steps = 150, .sabotage = sabotage};
    plan.weather = 1u << WEATHER_PARTIAL | 1u << WEATHER_LATE | 1u << WEATHER_STALL;
    return plan;
}

static bool is_found(struct shared *shared, enum sabotage sabotage) {
    enum oracle wanted = sabotage_oracle(sabotage);
    for (uint64_t seed = 1; seed <= SABOTAGE_SEEDS; seed++) {
        struct plan plan = plan_for(sabotage, seed);
        struct outcome outcome = child_run(shared, &plan, wanted == ORACLE_REPEAT);
        if (outcome.oracle == ORACLE_NONE) continue; /* it never came to it */
        if (outcome.oracle == wanted) return true;
        printf("when %s, %s fires instead of %s: %s\n", sabotage_name(sabotage), oracle_name(outcome.oracle),
               oracle_name(wanted), outcome.text);
        return false;
    }
    printf("when %s, no oracle fires\n", sabotage_name(sabotage));
    return false;
}

static bool all_oracles_can_fail(struct shared *shared) {
    bool good = true;
    for (enum sabotage sabotage = SABOTAGE_NONE + 1; sabotage < SABOTAGES; sabotage++)
        good = is_found(shared, sabotage) && good;
    if (good) printf("%d oracles were seen to fail, by %d deliberate breaks\n", ORACLES - 1, SABOTAGES - 1);
    return good;
}

/* ---- The runs --------------------------------------------------------------------------------------------------------- */

static int replay(struct shared *shared, uint64_t seed) {
    struct plan plan = plan_of_seed(seed);
    struct outcome outcome = child_run(shared, &plan, true);
    if (outcome.oracle != ORACLE_NONE) {
        reduce_and_print(shared, &plan, &outcome);
        return 1;
    }
    printf("WEIR_TEST_SEED=%llu: good, trace hash %016llx, %llu lines\n", (unsigned long long)seed,
           (unsigned long long)outcome.trace.hash, (unsigned long long)outcome.trace.count);
    return 0;
}

static void print_totals(const struct totals *totals, unsigned hit, unsigned possible) {
    printf("%llu events were accepted; clients heard %llu, and of %llu lost ones in %llu gaps; %llu heartbeats, %llu "
           "answers, %llu restarts, %llu "
           "runs without a cut\n",
           (unsigned long long)totals->published, (unsigned long long)totals->events,
           (unsigned long long)totals->lost, (unsigned long long)totals->gaps, (unsigned long long)totals->heartbeats,
           (unsigned long long)totals->answers, (unsigned long long)totals->restarts,
           (unsigned long long)totals->exact);
    printf(
        "simulation: %llu runs, %llu client lives, %llu virtual seconds, trace hashes equal, matrix %u of %u cells\n",
        (unsigned long long)totals->runs, (unsigned long long)totals->lives,
        (unsigned long long)(totals->virtual_ns / 1000000000), hit, possible);
}

static int run_all(struct shared *shared, uint64_t first, uint64_t runs) {
    memset(&shared->totals, 0, sizeof(shared->totals));
    struct outcome outcome = child_run_seeds(shared, first, runs);
    if (outcome.oracle != ORACLE_NONE) {
        struct plan plan = plan_of_seed(shared->seed);
        reduce_and_print(shared, &plan, &outcome);
        return 1;
    }
    unsigned possible;
    unsigned hit = matrix_count(shared->totals.hits, &possible, true);
    if (getenv("WEIR_SIMULATION_MATRIX") != NULL) matrix_print(shared->totals.hits);
    print_totals(&shared->totals, hit, possible);
    return hit < possible || shared->repeated == 0 || shared->totals.exact == 0;
}

int main(void) {
    struct shared *shared = child_share();
    uint64_t seed = setting("WEIR_TEST_SEED", 0);
    if (seed != 0) return replay(shared, seed);
    if (!all_oracles_can_fail(shared)) return 1;
    return run_all(shared, setting("WEIR_SIMULATION_FIRST", 1), SIMULATION_RUNS * test_scale());
}
