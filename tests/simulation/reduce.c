#include "reduce.h"

#include <stdio.h>

struct reducing {
    struct shared *shared;
    enum oracle oracle;
    struct plan smallest;
    struct outcome outcome;
    unsigned tries;
};

#define SEEDS_PER_TRY 3u /* a smaller plan has another fate: some of them may meet the same end */

static bool still_fails(struct reducing *reducing, struct plan plan) {
    uint64_t seed = plan.seed;
    for (unsigned i = 0; i < SEEDS_PER_TRY; i++) {
        plan.seed = seed + i * UINT64_C(1000003);
        reducing->tries++;
        struct outcome outcome = child_run(reducing->shared, &plan, reducing->oracle == ORACLE_REPEAT);
        if (outcome.oracle != reducing->oracle) continue;
        reducing->smallest = plan;
        reducing->outcome = outcome;
        return true;
    }
    return false;
}

static void reduce_weather(struct reducing *reducing) {
    for (unsigned i = 0; i < WEATHERS; i++) {
        struct plan plan = reducing->smallest;
        if (!plan_has(&plan, (enum weather)i)) continue;
        plan.weather &= ~(1u << i);
        still_fails(reducing, plan);
    }
}

static bool reduce_number(struct reducing *reducing, unsigned *field, const struct plan *plan, unsigned least) {
    unsigned old = *field;
    const unsigned smaller[] = {old / 2, old * 3 / 4, old - 1};
    for (unsigned i = 0; i < 3; i++) {
        if (smaller[i] < least || smaller[i] >= old) continue;
        *field = smaller[i];
        if (still_fails(reducing, *plan)) return true;
    }
    *field = old;
    return false;
}

static void reduce_numbers(struct reducing *reducing) {
    struct plan plan = reducing->smallest;
    while (reduce_number(reducing, &plan.steps, &plan, 1))
        plan = reducing->smallest;
    plan = reducing->smallest;
    while (reduce_number(reducing, &plan.clients, &plan, 1))
        plan = reducing->smallest;
    plan = reducing->smallest;
    while (reduce_number(reducing, &plan.posters, &plan, 0))
        plan = reducing->smallest;
}

static void print_plan(const struct plan *plan) {
    printf("seed %llu, %u clients, %u posters, %u steps, weather:", (unsigned long long)plan->seed, plan->clients,
           plan->posters, plan->steps);
    for (unsigned i = 0; i < WEATHERS; i++)
        if (plan_has(plan, (enum weather)i)) printf(" %s", weather_name((enum weather)i));
    printf("%s\n", plan->weather == 0 ? " none" : "");
}

void reduce_and_print(struct shared *shared, const struct plan *plan, const struct outcome *outcome) {
    struct reducing reducing = {shared, outcome->oracle, *plan, *outcome, 0};
    printf("WEIR_TEST_SEED=%llu fails: %s: %s\n", (unsigned long long)plan->seed, oracle_name(outcome->oracle),
           outcome->text);
    print_plan(plan);
    reduce_numbers(&reducing);
    reduce_weather(&reducing);
    reduce_numbers(&reducing);
    printf("reduced in %u tries to ", reducing.tries);
    print_plan(&reducing.smallest);
    printf("%s: %s\n", oracle_name(reducing.outcome.oracle), reducing.outcome.text);
    trace_print(&reducing.outcome.trace);
}
