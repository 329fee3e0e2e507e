/* A connection that publishes: requests go out back to back without waiting for their answers, which come in the same
 * order. */
#ifndef WEIR_BENCH_LOAD_POSTER_H
#define WEIR_BENCH_LOAD_POSTER_H

#include "stream.h"

#define ANSWER_BYTES 65536u

struct poster {
    int descriptor;
    struct publisher *publisher;
    const char *path;
    char *out; /* requests not sent yet */
    size_t out_length;
    size_t out_capacity;
    char in[ANSWER_BYTES]; /* answers not taken yet */
    size_t in_length;
};

/* Appends the publish of the publisher's next number, which `subscribers` streams are to deliver. */
bool poster_add(struct poster *poster, struct plan *plan, uint32_t subscribers);

/* Sends what the socket takes; false when the connection is broken. */
bool poster_flush(struct poster *poster);

/* Reads answers and counts them; false, with `error` filled, when one is not 2xx or the connection ends. */
bool poster_read(struct poster *poster, char *error, size_t capacity);

#endif
