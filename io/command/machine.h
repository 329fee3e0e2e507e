/* This machine's and this process's figures, out of /proc. */
#ifndef WEIR_IO_COMMAND_MACHINE_H
#define WEIR_IO_COMMAND_MACHINE_H

#include <stdint.h>

struct machine_figures {
    double load_1, load_5, load_15; /* runnable processes, averaged over minutes */
    double cpu_percent;             /* of all cores, since the previous sample */
    uint64_t memory_total_kib;
    uint64_t memory_used_kib; /* what is not available to new work */
    uint64_t resident_kib;    /* of this process */
};

/* What a sample needs to remember; zeroed before the first. */
struct machine_sampler {
    uint64_t busy_ticks;
    uint64_t total_ticks;
};

/* A figure that cannot be read is 0. */
void machine_sample(struct machine_sampler *sampler, struct machine_figures *figures);

#endif
