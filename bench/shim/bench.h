/* What a benchmark is: a C function that does its work once, checks that it was done, and says how long it took per
 * event. Google Benchmark, behind bench.cc, repeats it, interleaves the repetitions of all of them and makes the
 * statistics. A benchmark times whole runs by the wall clock on threads of its own: nothing here is sampled. */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_result {
    double event_ns;        /* wall time of the run divided by its events */
    double line_hop_ns;     /* of runs on two cores: the line hop around the run; 0 of others */
    const char *extra_name; /* what else the run found, for the JSON: a static name, NULL for nothing */
    double extra;
    bool skipped;      /* this machine cannot run it; `failure` says why */
    char failure[160]; /* why the figure is void; empty when the work was checked and found done */
};

struct bench_case {
    const char *name; /* ends in the unit; NULL ends a table */
    uint64_t events;  /* of one run */
    void (*measure)(uint64_t events, struct bench_result *result);
};

/* One table per file. */
extern const struct bench_case bench_line_hop_cases[];
extern const struct bench_case bench_publish_cases[];
extern const struct bench_case bench_publish_producers_cases[];
extern const struct bench_case bench_publish_size_cases[];
extern const struct bench_case bench_publish_sessions_cases[];
extern const struct bench_case bench_publish_million_cases[];
extern const struct bench_case bench_publish_sleeper_cases[];
extern const struct bench_case bench_bare_live_cases[];
extern const struct bench_case bench_live_hop_cases[];
extern const struct bench_case bench_live_latency_cases[];
extern const struct bench_case bench_wake_latency_cases[];
extern const struct bench_case bench_replay_cases[];
extern const struct bench_case bench_replay_overwritten_cases[];
extern const struct bench_case bench_attach_cases[];
extern const struct bench_case bench_registry_cases[];
extern const struct bench_case bench_channel_cases[];
extern const struct bench_case bench_channel_10000_cases[];
extern const struct bench_case bench_lookup_cases[];
extern const struct bench_case bench_baseline_cases[];
extern const struct bench_case bench_vyukov_cases[];
extern const struct bench_case bench_vyukov_list_cases[];
extern const struct bench_case bench_ck_ring_cases[];
extern const struct bench_case bench_render_cases[]; /* these two where the transport is built: WEIR_BENCH_WIRE */
extern const struct bench_case bench_request_cases[];

/* Voids the result: the first reason stays. */
void bench_fail(struct bench_result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
