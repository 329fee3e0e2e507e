/* How far apart the two cores are: one cache line there and back between two pinned threads, halved. It prices a
 * single store that another core waits for, the unit that every figure of two cores is made of; it changes with
 * where the machine puts its virtual cores. It says nothing about weir. */
#include "cores.h"

static void measure_line_hop(uint64_t events, struct bench_result *result) {
    uint64_t rounds = events / 2;
    result->event_ns = line_hop_ns(rounds);
    result->line_hop_ns = result->event_ns;
    if (result->event_ns == 0) {
        result->skipped = true;
        bench_fail(result, "skipped: needs two cores");
    }
}

const struct bench_case bench_line_hop_cases[] = {
    {"line_hop_ns", 1000000, measure_line_hop},
    {NULL, 0, NULL},
};
