/* What a person sees while a load runs: a line a second on a terminal, one every ten seconds elsewhere. */
#ifndef WEIR_IO_COMMAND_BENCH_PROGRESS_H
#define WEIR_IO_COMMAND_BENCH_PROGRESS_H

#include "load.h"

struct progress {
    bool terminal;
    uint64_t shown_ns;
    uint64_t deliveries; /* then */
};

void progress_init(struct progress *progress);
void progress_show(struct progress *progress, const struct load *load, uint64_t now_ns);

/* Leaves the line clean for what follows. */
void progress_clear(const struct progress *progress);

#endif
