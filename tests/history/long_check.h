/* What can be said of histories that are too long to search for an order: conditions that every right one meets, each
 * looked up in what all the publishes together say about when a sequence can and when it must have been there. In n log n
 * steps for n operations.
 *
 *   - sequences are dense, and none is given twice; each producer's rise
 *   - a publish that answered before another began has the smaller sequence
 *   - a cursor reads one sequence after the other, each the event that was published under it, and not before that began
 *   - an event is not read when the ring had certainly lost it; a gap reaches as far as it could at some instant of its
 *     read, and not further; nothing is missing from events and gaps together
 *   - EMPTY, FULL, OK into a full queue, CLOSED, END: only where the state can have been so
 *
 * A history may be checked in pieces that were cut where nothing was under way: what comes before a cut is over before all
 * that comes behind it, so nothing but the state at the cut counts. */
#ifndef HISTORY_LONG_CHECK_H
#define HISTORY_LONG_CHECK_H

#include "specification.h"

struct long_event; /* what is known of one sequence of the piece */

struct long_check {
    struct settings settings; /* `queue` 0: a log whose cursors skip; otherwise cursor 0 is the queue's consumer */
    uint64_t next;            /* first sequence not published at the cut */
    bool ended;
    struct {
        uint64_t next;
        bool live;
        bool over; /* it was told of the end */
        uint64_t events;
        uint64_t lost;
    } cursors[CURSORS_MAX];
    /* Of this piece. */
    struct long_event *events;
    size_t count;
    size_t room;
    uint64_t position; /* of the queue's consumer at the cut */
    uint64_t end_invoked;
    uint64_t end_responded;
    uint64_t kept[64]; /* values of the newest events before the cut, by sequence modulo 64: rings are no larger */
};

/* A session without events whose cursors stand at its beginning. `room` is the most operations of one piece. */
void long_open(struct long_check *check, const struct settings *settings, size_t room);
void long_close(struct long_check *check);

/* The next piece, each thread's operations in their order. NULL, and the state at its end is the one at the next cut; or
 * what is wrong with the operation *at. */
const char *long_judge(struct long_check *check, const struct operation *operations, size_t count, size_t *at);

#endif
