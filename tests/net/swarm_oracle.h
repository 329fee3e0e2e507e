/* What must hold for every subscriber, whatever happened: order, no loss without a gap, no repetition, the right bytes,
 * the right epoch. Knows the truth about what was published; reads the peers' bytes through the independent decoder. */
#ifndef WEIR_TESTS_NET_SWARM_ORACLE_H
#define WEIR_TESTS_NET_SWARM_ORACLE_H

#include "reader.h"
#include "rig.h"

#define TRUTH_SESSIONS 3u
#define TRUTH_LIVES    256u
#define VISIT_ID_MAX   64

/* The lives of the sessions "a", "b" and "c". Every event's bytes follow from its session, life and sequence. */
struct truth_life {
    unsigned session;
    char epoch[16];
    uint64_t newest;
};

struct truth {
    struct truth_life lives[TRUTH_LIVES];
    unsigned count;
};

const char *truth_name(unsigned session);
/* Publishes the next event of the session. */
void truth_publish(struct truth *truth, struct rig *rig, unsigned session);
/* The session's present life; NULL when nothing was published in it. */
const struct truth_life *truth_current(const struct truth *truth, struct rig *rig, unsigned session);

/* One connection that asks for a stream, after `answers` other requests. */
struct visit {
    struct simulated_peer *peer;
    unsigned session;
    unsigned answers;
    char last_id[VISIT_ID_MAX]; /* presented; empty: none */
    bool left;                  /* by the peer's own doing */
    char request[400];
    size_t request_length;
    size_t request_fed;
};

/* What the subscriber knows at the end. */
struct visit_result {
    bool began;
    bool ended;    /* by the server, in good order */
    bool any;      /* an event was received: */
    uint64_t last; /* the newest, */
    char last_id[VISIT_ID_MAX];
    unsigned events, gaps;
    bool positioned; /* `next` is what it waits for, in `epoch` */
    uint64_t next;
    char epoch[VISIT_ID_MAX];
};

/* Checks everything that the visit's peer was sent; fails the test when something is wrong. */
struct visit_result visit_check(const struct truth *truth, const struct visit *visit);

#endif
