/* Whether a test may do without a backend: only without io_uring, and only where the probe says that it cannot run. */
#ifndef SUPPORT_BACKENDS_H
#define SUPPORT_BACKENDS_H

#include <stdio.h>

#include <weir_io.h>

#include "backend/probe.h"

#define EXIT_SKIPPED_BACKEND 77 /* ctest shows it as skipped */

/* Says so, too. */
static inline bool backend_is_missing(weir_io_choice io) {
    if (io != WEIR_IO_URING) return false;
    struct io_probe probe;
    io_probe(IO_URING, &probe);
    if (!probe.usable) printf("SKIPPED  io_uring cannot run here: %s\n", probe.reason);
    return !probe.usable;
}

#endif
