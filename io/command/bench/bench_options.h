/* The options of `weir bench`, and the load that they mean. */
#ifndef WEIR_IO_COMMAND_BENCH_BENCH_OPTIONS_H
#define WEIR_IO_COMMAND_BENCH_BENCH_OPTIONS_H

#include <stdint.h>

#include "command/options.h"
#include "process_cost.h"
#include "target.h"

enum { BODY_TEXT_MAX = 1024 }; /* of --body */

enum bench_until { UNTIL_DELIVERED = 0, UNTIL_ANSWERED };

struct bench_options {
    const char *url, *weir, *subscribe, *publish, *body, *token_file, *server_pid;
    uint64_t preset, io;
    uint64_t subscribers, sessions, opening;
    uint64_t publishers, depth, until, rate, size;
    uint64_t storm, storm_once, storm_away, slow, slow_rate;
    uint64_t warmup, seconds, patience, json;
};

extern const struct option_syntax bench_syntax;

/* What the options mean together. */
struct bench_plan {
    struct bench_options options;
    struct target subscribe, publish;
    struct process_list servers;
    char authorization[320]; /* a header line, or empty */
};

/* Fills the plan from its options. Returns 0, or an exit code after having said what is wrong. */
int bench_plan_make(struct bench_plan *plan);

#endif
