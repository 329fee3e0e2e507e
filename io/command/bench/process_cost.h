/* What processes have cost so far, out of /proc: a list of them, all their threads, and all that descend from them. */
#ifndef WEIR_IO_COMMAND_BENCH_PROCESS_COST_H
#define WEIR_IO_COMMAND_BENCH_PROCESS_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PROCESS_LIST_MAX = 64 };

struct process_list {
    int pids[PROCESS_LIST_MAX];
    size_t count;
};

struct process_cost {
    double cpu_seconds; /* user and system time, in clock ticks of (mostly) 10 ms */
    uint64_t resident_bytes;
    uint64_t proportional_bytes; /* shared pages divided by their users; 0 where that may not be read */
    unsigned processes;
};

/* Reads "123" or "123,456". False when it is no such list. */
bool process_list_parse(struct process_list *list, const char *text);

/* False when one of the list is gone; *gone is its number. Processes that ended before are not in the sum. */
bool process_cost_read(const struct process_list *list, struct process_cost *cost, int *gone);

/* This process: time that it ran, and time that its calling thread could have run but had no processor; 0 where the
 * kernel does not tell. */
double process_own_cpu_seconds(void);
double process_own_starved_seconds(void);

#endif
