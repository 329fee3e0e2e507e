/* Deadlines of a reactor. Every kind of deadline has one duration, so its timers expire in the order in which they
 * were set: a list per kind, appended at the end, looked at from the front. Setting and stopping cost a few
 * instructions, and a turn of the loop looks at no timer that is not due. One thread: the reactor's. */
#ifndef WEIR_IO_NET_TIMERS_H
#define WEIR_IO_NET_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

enum timer_kind {
    TIMER_NONE,
    TIMER_HEAD,      /* a request head must be complete */
    TIMER_BODY,      /* a request body must be complete */
    TIMER_IDLE,      /* keep-alive without a request */
    TIMER_HEARTBEAT, /* a quiet stream gets a comment */
    TIMER_STALL,     /* a send must have made progress */
    TIMER_LINGER,    /* the peer must have closed its side */
    TIMER_ACCEPT,    /* a listener that ran out of descriptors tries again */
    TIMER_KINDS
};

#define TIMER_NEVER UINT64_MAX

struct timer {
    struct timer *next;
    struct timer *previous;
    uint64_t deadline_ms;
    enum timer_kind kind; /* TIMER_NONE: not set */
};

struct timers {
    struct timer lists[TIMER_KINDS];   /* list heads */
    uint64_t duration_ms[TIMER_KINDS]; /* TIMER_NEVER: this kind is off */
};

void timers_init(struct timers *timers);

/* Sets the timer, which may be set already, to expire one duration of `kind` from now. */
void timer_set(struct timers *timers, struct timer *timer, enum timer_kind kind, uint64_t now_ms);
void timer_stop(struct timer *timer);

/* Takes out and returns one timer that is due, its kind still telling which; NULL when none is. */
struct timer *timers_take_due(struct timers *timers, uint64_t now_ms, enum timer_kind *kind);

/* The earliest deadline, TIMER_NEVER when no timer is set. */
uint64_t timers_next(const struct timers *timers);

#endif
