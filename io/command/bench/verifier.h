/* What one subscriber must have received, and what it did. The events of its session come on lanes, one per
 * publisher, each numbered from 1. A number that is jumped over opens a hole; at the end what is still in a hole
 * never came, and is silent loss as far as nobody told of it. */
#ifndef WEIR_IO_COMMAND_BENCH_VERIFIER_H
#define WEIR_IO_COMMAND_BENCH_VERIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict {
    VERDICT_NEXT,       /* the number expected */
    VERDICT_AFTER_HOLE, /* a later one: what is between has not come, so far */
    VERDICT_LATE,       /* out of a hole: behind one that was published after it */
    VERDICT_REPEATED,   /* it had come before */
    VERDICT_NO_MEMORY   /* a hole cannot be noted */
};

struct hole {
    uint64_t first;
    uint64_t last;
    uint32_t lane;
};

/* A server's notice of loss, in its own numbers. */
struct told_gap {
    uint64_t first; /* first > last: no range is named */
    uint64_t last;
    uint64_t lost;
    bool lost_known; /* false: the server does not know how many are lost */
};

struct verifier {
    uint64_t *next; /* by lane: the number expected */
    uint32_t lanes;
    struct hole *holes;
    size_t hole_count;
    size_t hole_capacity;
    uint64_t received; /* different events */
    uint64_t missing;  /* numbers in holes */
    uint64_t repeated;
    uint64_t disordered;
    uint64_t gaps;
    uint64_t told;     /* events that gaps named as lost, each once */
    uint64_t told_to;  /* the last number that a gap named */
    bool told_unknown; /* a gap did not know how many */
};

/* False when there is no memory. */
bool verifier_init(struct verifier *verifier, uint32_t lanes);
void verifier_free(struct verifier *verifier);

/* An event came. `number` is at least 1. */
enum verdict verifier_take(struct verifier *verifier, uint32_t lane, uint64_t number);

/* The server told of a loss. A resume may tell the same range again: that counts once. */
void verifier_take_gap(struct verifier *verifier, const struct told_gap *gap);

/* Nothing more will come on this lane, on which `last` was the last number that was published. */
void verifier_end_lane(struct verifier *verifier, uint32_t lane, uint64_t last);

/* How many never came without anybody having told: `refused` of the missing ones were refused when published. */
uint64_t verifier_silent_losses(const struct verifier *verifier, uint64_t refused);

#endif
