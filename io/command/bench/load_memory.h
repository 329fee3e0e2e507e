/* What a load consists of, made and freed. */
#ifndef WEIR_IO_COMMAND_BENCH_LOAD_MEMORY_H
#define WEIR_IO_COMMAND_BENCH_LOAD_MEMORY_H

#include "load.h"

/* Makes backend, ledger, streams and publishers as the plan has them. False without memory, or with a `problem`. */
bool load_memory_take(struct load *load);

/* The backend is gone already. */
void load_memory_free(struct load *load);

#endif
