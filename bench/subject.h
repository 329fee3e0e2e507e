/* The engine under measurement: one engine, one session with a ring of 256, as an embedder would set it up. */
#ifndef WEIR_BENCH_SUBJECT_H
#define WEIR_BENCH_SUBJECT_H

#include "shim/bench.h"

#include <weir.h>

#define RING_CAPACITY 256u

struct subject {
    weir_engine *engine;
    weir_session *session;
    uint64_t first_sequence;
};

/* Makes it. On failure the result is void and what was made is for subject_close all the same. */
bool subject_open(struct subject *subject, const weir_config *config, struct bench_result *result);
void subject_close(struct subject *subject);

/* Opens one more session of this name, created; NULL and a void result when that fails. */
weir_session *subject_session(struct subject *subject, const char *name, struct bench_result *result);

/* Voids the result unless `status` is WEIR_OK. */
bool expect_ok(int status, const char *what, struct bench_result *result);

#endif
