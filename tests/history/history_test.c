/* Linearizability of the engine as its callers see it: many short histories of two to four threads that publish, read, end
 * and look up at once, each compared with what one caller alone would have seen (search.h). Three things are specified: a
 * queue that refuses, a log with gaps, and the names of sessions. SEQ-07, SEQ-08, SEQ-11, RPL-24, RPL-25, LIV-11, SES-01.
 *
 * Linked with the marked engine the same histories have threads that let others have the core in the middle of a call.
 * WEIR_TEST_SCALE multiplies the number of histories; WEIR_TEST_SEED runs one again. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mark.h"
#include "support/random.h"
#include "trial.h"

#define SUBJECTS 6u

struct bed {
    struct trial trial;
    struct search *search;
    struct subject subjects[SUBJECTS];
    uint64_t seed;
    uint64_t histories;
    uint64_t operations;
    uint64_t overlapping; /* operations that began before one before them was over */
};

#ifdef WEIR_MARKS
#include <sched.h>

#define PROGRAM        "history_steps"
#define MAKES_OVERLAPS true

static _Thread_local uint32_t steps;

/* A thread may be stopped at every marked step, as if its time slice were over just there. */
void weir_test_mark(enum mark mark) {
    steps = steps * 1664525u + 1013904223u + (uint32_t)mark;
    if (steps >> 28 == 0) sched_yield();
}
#else
#define PROGRAM "history"
#define MAKES_OVERLAPS                                                                                               \
    false /* that they overlap is up to the scheduler: on one core for all of them, hardly any do */
#endif

static void count_overlaps(struct bed *bed) {
    const struct history *history = &bed->trial.history;
    bed->histories++;
    bed->operations += history->count;
    for (uint32_t i = 0; i < history->count; i++)
        for (uint32_t j = 0; j < history->count; j++)
            if (history->operations[j].thread != history->operations[i].thread &&
                history->operations[j].invoked < history->operations[i].invoked &&
                history->operations[j].responded > history->operations[i].invoked) {
                bed->overlapping++;
                break;
            }
}

static void judge(struct bed *bed, uint64_t seed) {
    struct history *history = &bed->trial.history;
    const char *objection = history_judge(bed->search, history);
    count_overlaps(bed);
    if (objection == NULL) return;
    printf("not linearizable: %s. To run it first: WEIR_TEST_SEED=%llu\n", objection, (unsigned long long)seed);
    history_print(history);
    history_minimise(bed->search, history);
    printf("the smallest part that is wrong by itself:\n");
    history_print(history);
    abort();
}

static void run_one(struct bed *bed, struct team *team, uint64_t seed) {
    struct random random = random_start(seed, 9);
    struct subject *subject = &bed->subjects[random_below(&random, SUBJECTS)];
    uint32_t kind = random_below(&random, 8);
    if (kind < 3) {
        queue_trial(&bed->trial, team, subject, seed);
    } else if (kind < 7) {
        log_trial(&bed->trial, team, subject, seed);
    } else {
        registry_trial(&bed->trial, team, subject, seed);
        registry_part(&bed->trial, 0);
        judge(bed, seed);
        registry_part(&bed->trial, 1);
    }
    judge(bed, seed);
}

static void open_bed(struct bed *bed) {
    bed->search = search_create();
    bed->seed = random_seed();
    for (uint32_t i = 0; i < 4; i++)
        subject_open(&bed->subjects[i], i + 1, 1);
    /* Laps are counted in 29 bits: these rings begin just before they come round to 0. */
    subject_open(&bed->subjects[4], 1, (1ull << 29) - 8);
    subject_open(&bed->subjects[5], 4, (1ull << 31) - 9);
}

static void close_bed(struct bed *bed) {
    for (uint32_t i = 0; i < SUBJECTS; i++)
        subject_close(&bed->subjects[i]);
    search_destroy(bed->search);
}

int main(void) {
    static struct bed bed;
    uint64_t each = history_scaled(60000);
    uint64_t seed;
    open_bed(&bed);
    seed = bed.seed;
    for (uint32_t i = 0; i < 3; i++, seed++) {
        struct team team;
        team_open(&team, 2 + (uint32_t)(seed % 3)); /* so that the seed of a run tells its number of threads, too */
        for (uint64_t j = 0; j < each; j++)
            run_one(&bed, &team, seed + 3 * j);
        team_close(&team);
    }
    close_bed(&bed);
    printf(PROGRAM ": %llu histories of %llu operations, %llu of them overlapping another\n",
           (unsigned long long)bed.histories, (unsigned long long)bed.operations,
           (unsigned long long)bed.overlapping);
    return MAKES_OVERLAPS && bed.overlapping == 0 ? 1 : 0;
}
