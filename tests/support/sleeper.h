/* A thread's bed: what weir_poller_sleep and its wake function stand on in the tests. An eventfd, as a reactor has. */
#ifndef SUPPORT_SLEEPER_H
#define SUPPORT_SLEEPER_H

#include <weir.h>

struct sleeper {
    int descriptor;
};

void sleeper_open(struct sleeper *sleeper);
void sleeper_close(struct sleeper *sleeper);

/* Any thread; `context` is the sleeper: the `wake` of a weir_poller_config. */
void sleeper_wake(void *context);

/* Blocks until it is woken; returns how often it was since the last time. */
uint64_t sleeper_wait(struct sleeper *sleeper);

/* Sleeps as a reactor does, unless there is news. Returns 1 when it slept. */
int sleeper_sleep(struct sleeper *sleeper, weir_poller *poller);

#endif
