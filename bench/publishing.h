/* Producers at work on rings of 256: what the publish_* figures share. Each has 100-byte events of its own to publish,
 * into the subject's session unless a benchmark gives it another. */
#ifndef WEIR_BENCH_PUBLISHING_H
#define WEIR_BENCH_PUBLISHING_H

#include "cores.h"
#include "subject.h"

struct publisher {
    weir_producer *producer;
    weir_session *session;
    struct payloads payloads;
    uint64_t events; /* to publish */
    uint64_t done;   /* published */
    int status;      /* of the last publish */
};

struct publishing {
    struct subject subject;
    unsigned count;
    struct publisher publishers[SIDES_MAX];
};

/* Makes it, the events dealt out evenly. NULL only without memory; what is wrong is in the result. */
struct publishing *publishing_open(uint64_t events, unsigned publishers, struct bench_result *result);
void publishing_close(struct publishing *publishing);

/* Publishes all that publisher `number` has to: a side of run_on_cores. */
void publishing_run(void *publishing, unsigned number);

/* All of them at once, each as one side; the wall time by the events of all, and the checks. */
void publishing_measure(struct publishing *publishing, struct bench_result *result);

/* Checks that each session counted every event, and that its ring holds exactly the newest of them, whole and in order,
 * each publisher's in its own order. */
void publishing_check(struct publishing *publishing, struct bench_result *result);

#endif
