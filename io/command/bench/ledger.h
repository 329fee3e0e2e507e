/* The books of a load: what has been published, by whom and where; what of it has come, and how late.
 *
 * Publishers and sessions meet on lanes, each the events of one publisher in one session, numbered from 1. There are
 * as many lanes as there are of the more numerous of both: lane l belongs to session l % sessions and to publisher
 * l % publishers. So with fewer publishers than sessions each publisher goes around several sessions, and with more
 * of them several publish into one session. */
#ifndef WEIR_IO_COMMAND_BENCH_LEDGER_H
#define WEIR_IO_COMMAND_BENCH_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "histogram.h"
#include "payload.h"

struct lane {
    uint32_t session;
    uint32_t publisher;
    uint64_t sent;           /* the highest number published */
    uint64_t accepted;       /* the highest number that the server took */
    uint64_t refused;        /* how many it did not take */
    uint64_t refused_before; /* those of them below `accepted` */
    uint64_t delivered;      /* every subscriber that is waited for has all up to here */
    uint64_t storm_target;   /* what a returning subscriber must have to have caught up */
    uint32_t *remaining;     /* by number % window: subscribers that still lack it */
};

struct ledger_shape {
    uint32_t sessions;
    uint32_t publishers;
    uint32_t window; /* at least the publishes that one publisher has undelivered at once; 0: do not track */
    const uint32_t *waited_for; /* by session: subscribers without which an event is not delivered */
};

struct ledger {
    uint32_t run;
    uint32_t sessions;
    uint32_t publishers;
    uint32_t window;
    uint32_t lane_count;
    struct lane *lanes;
    uint32_t *remaining;      /* of all lanes */
    uint32_t *waited_for;     /* by session */
    uint64_t *delivered_of;   /* by publisher: events delivered to all */
    uint64_t window_begin_ns; /* of the measured time; UINT64_MAX: not yet */
    uint64_t window_end_ns;
    uint64_t progress_ns; /* when something last went forward */

    uint64_t published;  /* sent */
    uint64_t accepted;   /* answered with a 2xx */
    uint64_t refused;    /* answered otherwise */
    uint64_t deliveries; /* different events at their subscribers */
    uint64_t reads;      /* pieces that came from the network */
    uint64_t bytes;
    uint64_t strange; /* not of this run, or of another session */
    uint64_t corrupt;
    uint64_t ends;            /* streams that the server said are over */
    uint64_t complaints;      /* of the first few a person is told */
    uint32_t behind;          /* subscribers that have not caught up since the last storm */
    struct histogram latency; /* due to received, of events due in the measured time */
    struct histogram to_all;  /* the same of the last subscriber that is waited for; only with a window */
    struct histogram
        send_delay; /* due to written: the load's own lateness, and that of a server that does not answer */
};

/* False when there is no memory. */
bool ledger_init(struct ledger *ledger, const struct ledger_shape *shape);
void ledger_free(struct ledger *ledger);

/* How many lanes a session has, and its n-th. */
uint32_t ledger_lanes_of(const struct ledger *ledger, uint32_t session);
struct lane *ledger_lane(const struct ledger *ledger, uint32_t session, uint32_t which);

/* The lane on which this publisher publishes into this session, and which of the session's it is; NULL when it does
 * not. */
struct lane *ledger_find_lane(const struct ledger *ledger, uint32_t session, uint32_t publisher, uint32_t *which);

/* The next number of a lane is published now. */
uint64_t ledger_publish(struct ledger *ledger, struct lane *lane, uint64_t due_ns, uint64_t now_ns);
void ledger_answer(struct ledger *ledger, struct lane *lane, uint64_t number, bool taken);

/* One subscriber that is waited for has this number, or will not get it. True when it was the last one. */
bool ledger_settle(struct ledger *ledger, struct lane *lane, uint64_t number);

bool ledger_in_window(const struct ledger *ledger, uint64_t ns);

/* CLOCK_MONOTONIC. */
uint64_t ledger_now_ns(void);

#endif
