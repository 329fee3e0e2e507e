/* A scenario is run again and again, and each time another of its calls fails: every n-th call with every error that the
 * call has; all calls from the n-th on until somebody notices; all of them for good; and every pair of calls where the
 * scenario is short enough. A loop is over when a run passes in which nothing was made to fail.
 *
 * After each run everything that was taken has been given back: heap blocks, the engine's blocks, descriptors, threads.
 *
 * WEIR_TEST_SCALE multiplies the largest number of calls of a scenario whose pairs are all run. */
#ifndef TORTURE_TORTURE_H
#define TORTURE_TORTURE_H

#include <weir.h>

#include "engine/prelude.h"

#include "census.h"
#include "faults.h"
#include "support/counting_allocator.h"

struct torture {
    const char *scenario;
    struct fault_plan plan;
    bool gone;    /* failures last for good: whoever meets one gives up */
    bool going;   /* false: gave up; what was made is to be given back */
    uint64_t met; /* failures that were there when the last step ended */
    weir_engine *engine;
    weir_stats stats; /* before the step under way */
    struct counting_allocator memory;
};

struct scenario {
    const char *name;
    void (*run)(struct torture *torture);
    unsigned pairs; /* all pairs are run when the scenario comes to no more calls than that; 0: no pairs */
};

/* Runs all of that, and prints a line. Fails the test when any run does; torture_explain says which. */
void torture_scenario(const struct scenario *scenario);

/* In a failed test: the run that failed, and how to have it again. A cmocka teardown. */
int torture_explain(void **state);

/* `torture: N call sites, M of them made to fail, R runs, L of them leaked` */
void torture_print(void);

/* For scenarios. An allocator and an entropy source that fail when their turn comes. */
weir_allocator torture_allocator(struct torture *torture);
weir_entropy torture_entropy(void);

/* Begins a step: notes what a failure must not change. */
void torture_step(struct torture *torture);

/* Ends it. True: it was made to fail, named a failure, changed nothing, and is to be tried once more. False: it
 * succeeded, or the run gives up (`going`). Anything else fails the test. */
bool torture_again(struct torture *torture, int status, const char *what, int line);

/* Whether a call was made to fail since the last step or torture_forgive. */
bool torture_was_hurt(const struct torture *torture);
void torture_forgive(struct torture *torture);

/* The call succeeds, at the second or third try if it was made to fail; ends the function when the run gives up. */
#define STEP(torture, call)                                                                                          \
    do {                                                                                                             \
        int status_;                                                                                                 \
        do {                                                                                                         \
            torture_step(torture);                                                                                   \
            status_ = (call);                                                                                        \
        } while (torture_again(torture, status_, #call, __LINE__));                                                  \
        if (!(torture)->going) return;                                                                               \
    } while (0)

#endif
