/* What the event count of waiting publishers needs of the system: a clock and the futex. */
#ifndef WEIR_SESSION_WAIT_H
#define WEIR_SESSION_WAIT_H

#include <ck_ec.h>
#include <weir.h>

struct wait_ops {
    struct ck_ec_ops ops; /* first: the event count hands this pointer back */
    weir_clock clock;
};

void wait_ops_init(struct wait_ops *ops, const weir_clock *clock);

#endif
