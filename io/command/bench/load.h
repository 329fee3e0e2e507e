/* A load as a whole: all its streams and publishers on one backend and one thread, through its phases: everybody
 * connects, warm-up, the measured time, and then what is under way still arrives. */
#ifndef WEIR_IO_COMMAND_BENCH_LOAD_H
#define WEIR_IO_COMMAND_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench_options.h"
#include "ledger.h"
#include "process_cost.h"
#include "publisher.h"
#include "storm.h"
#include "subscriber.h"

/* The books at one moment. */
struct mark {
    uint64_t at_ns;
    uint64_t deliveries, published, reads, bytes;
    double own_cpu_seconds, own_starved_seconds;
    struct process_cost servers;
};

enum load_phase { LOAD_CONNECTING, LOAD_WARMING, LOAD_MEASURING, LOAD_ENDING };

struct load {
    const struct bench_plan *plan;
    struct io_backend *backend;
    struct ledger *ledger;
    struct subscriber *subscribers;
    struct publisher *publishers;
    uint32_t subscriber_count, publisher_count;
    uint32_t *away; /* a ring of the streams that are to be opened */
    uint32_t away_first, away_count;
    uint32_t opening; /* asked and not answered */
    uint32_t live;
    uint64_t cuts;      /* streams that ended without having been told to */
    uint64_t fruitless; /* attempts to return that came to nothing */
    enum load_phase phase;
    bool publishing;
    bool interrupted;
    bool stalled; /* nothing went forward for --patience */
    bool refused; /* the problem is that the server does not want this load */
    uint64_t tick_ns;
    struct storm storm;
    struct mark empty, connected; /* before the first subscriber, and with all of them */
    struct mark begin, end;       /* of the measured time */
    char problem[512];            /* not empty: the run failed */
};

/* Runs it. False with a `problem` when it could not be run as planned; what was measured so far is there. */
bool load_run(struct load *load, const struct bench_plan *plan);
void load_free(struct load *load);

/* Puts a stream without a connection into the line of those to be opened. */
void load_reopen(struct load *load, struct subscriber *subscriber);

#endif
