/* What a load came to: the streams judged as a whole, and the figures of the measured time. */
#ifndef WEIR_IO_COMMAND_BENCH_OUTCOME_H
#define WEIR_IO_COMMAND_BENCH_OUTCOME_H

#include "load.h"

struct outcome {
    uint64_t received;
    uint64_t lost_silently;
    uint64_t lost_told; /* missing, and named by a gap */
    uint64_t repeated, disordered, strange, corrupt, gaps, refused;
    bool clean; /* nothing is wrong but what was told */

    double seconds; /* measured */
    uint64_t deliveries, published;
    double deliveries_per_s, published_per_s, bytes_per_s, events_per_read;

    bool has_server;
    double server_cpu_s, server_share, server_us_per_delivery, deliveries_per_server_cpu_s;
    double rss_per_connection, pss_per_connection;

    double own_share;         /* of one core */
    double own_starved_share; /* waiting for a core */
    bool saturated;
};

/* Once everything has come that will. Tells a person where the first losses are. */
void outcome_judge(struct outcome *outcome, struct load *load);

#endif
