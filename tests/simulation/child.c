#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPEAT_EVERY 25u

struct shared *child_share(void) {
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) abort();
    return shared;
}

static bool run_plan(struct shared *shared, const struct plan *plan, bool repeat) {
    shared->seed = plan->seed;
    simulate(&shared->simulation, plan, &shared->totals);
    shared->outcome = shared->simulation.outcome;
    if (shared->outcome.oracle != ORACLE_NONE || !repeat) return shared->outcome.oracle == ORACLE_NONE;
    uint64_t hash = shared->outcome.trace.hash;
    simulate(&shared->simulation, plan, &shared->totals);
    shared->outcome = shared->simulation.outcome;
    if (shared->outcome.oracle == ORACLE_NONE && shared->outcome.trace.hash != hash) {
        shared->outcome.oracle = ORACLE_REPEAT;
        snprintf(shared->outcome.text, sizeof(shared->outcome.text), "two runs, trace hashes %016llx and %016llx",
                 (unsigned long long)hash, (unsigned long long)shared->outcome.trace.hash);
    }
    shared->repeated += shared->outcome.oracle == ORACLE_NONE;
    return shared->outcome.oracle == ORACLE_NONE;
}

/* The child has ended: well, by a failure, or by a signal. */
static struct outcome wait_for(struct shared *shared, pid_t child) {
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (WIFSIGNALED(status) || WEXITSTATUS(status) != 0) {
        shared->outcome = shared->simulation.outcome;
        shared->outcome.oracle = ORACLE_CRASH;
        snprintf(shared->outcome.text, sizeof(shared->outcome.text), "the server ended with %s",
                 WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "an exit code");
    }
    return shared->outcome;
}

/* A child, which goes when its parent does; 0 in the child. */
static pid_t begin_child(struct shared *shared) {
    fflush(stdout);
    memset(&shared->outcome, 0, sizeof(shared->outcome));
    pid_t child = fork();
    if (child == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

struct outcome child_run(struct shared *shared, const struct plan *plan, bool repeat) {
    pid_t child = begin_child(shared);
    if (child == 0) {
        run_plan(shared, plan, repeat);
        _exit(0);
    }
    return wait_for(shared, child);
}

struct outcome child_run_seeds(struct shared *shared, uint64_t first, uint64_t count) {
    pid_t child = begin_child(shared);
    if (child == 0) {
        for (uint64_t i = 0; i < count; i++) {
            struct plan plan = plan_of_seed(first + i);
            if (!run_plan(shared, &plan, i % REPEAT_EVERY == 0)) break;
        }
        _exit(0);
    }
    return wait_for(shared, child);
}
