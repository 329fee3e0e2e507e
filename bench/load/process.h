/* What the server under load costs, as the kernel counts it: a process and its children. */
#ifndef WEIR_BENCH_LOAD_PROCESS_H
#define WEIR_BENCH_LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_cost {
    double cpu_seconds;          /* user and system time of all threads, to the clock tick (10 ms) */
    uint64_t resident_bytes;     /* VmRSS; shared pages of a child count again */
    uint64_t proportional_bytes; /* proportional set size: pages shared by n processes count as 1/n */
    unsigned processes;
};

/* Adds up the process and its living children. False when there is no such process. */
bool process_cost_read(int pid, struct process_cost *cost);

/* User and system time of this program so far. */
double own_cpu_seconds(void);

#endif
