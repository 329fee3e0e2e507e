/* Results of the kernel's, by the kernel: an entry that is about to be submitted is replaced by a no-op that completes
 * with a chosen result, through the real ring (IORING_NOP_INJECT_RESULT, Linux 6.10). What the entry asked for has not
 * happened then. Short results are real: the entry asks for less. */
#ifndef TORTURE_RING_INJECT_H
#define TORTURE_RING_INJECT_H

#include <stdbool.h>
#include <stdint.h>

enum ring_operation {
    RING_ACCEPT,
    RING_RECEIVE,
    RING_SEND,
    RING_CANCEL,
    RING_WAKE,          /* the multishot poll of the wake descriptor */
    RING_ACCEPT_AGAIN,  /* the poll that goes before a second try, */
    RING_RECEIVE_AGAIN, /* after EAGAIN */
    RING_SEND_AGAIN,
    RING_OPERATIONS
};

struct ring_plan {
    enum ring_operation operation;
    int result;      /* -errno, or what the no-op returns */
    unsigned length; /* not 0: no no-op, but the entry is cut to so many bytes; UINT32_MAX: to all but one */
    unsigned times;  /* so often; 0: nothing is replaced */
};

/* The kernel can do that. */
bool ring_can_inject(void);

void ring_begin(const struct ring_plan *plan);

/* The next call into the kernel fails, with -errno, and does nothing. */
void ring_fail_next(int result);

/* Of what is queued, each call submits the first `most` entries only; 0: all of it, as at the beginning. */
void ring_take_at_most(unsigned most);

/* Calls into the kernel since ring_begin. */
unsigned ring_enters(void);

/* Whether as many entries were hit as planned; `times` 0 counts as done. */
bool ring_is_done(void);

#endif
