#include "timers.h"

#include <stddef.h>

void timers_init(struct timers *timers) {
    for (int i = 0; i < TIMER_KINDS; i++) {
        timers->lists[i].next = timers->lists[i].previous = &timers->lists[i];
        timers->duration_ms[i] = TIMER_NEVER;
    }
}

void timer_stop(struct timer *timer) {
    if (timer->kind == TIMER_NONE) return;
    timer->previous->next = timer->next;
    timer->next->previous = timer->previous;
    timer->kind = TIMER_NONE;
}

void timer_set(struct timers *timers, struct timer *timer, enum timer_kind kind, uint64_t now_ms) {
    timer_stop(timer);
    if (timers->duration_ms[kind] == TIMER_NEVER) return;
    struct timer *list = &timers->lists[kind];
    timer->kind = kind;
    timer->deadline_ms = now_ms + timers->duration_ms[kind];
    timer->previous = list->previous;
    timer->next = list;
    list->previous->next = timer;
    list->previous = timer;
}

struct timer *timers_take_due(struct timers *timers, uint64_t now_ms, enum timer_kind *kind) {
    for (int i = TIMER_NONE + 1; i < TIMER_KINDS; i++) {
        struct timer *first = timers->lists[i].next;
        if (first == &timers->lists[i] || first->deadline_ms > now_ms) continue;
        *kind = first->kind;
        timer_stop(first);
        return first;
    }
    return NULL;
}

uint64_t timers_next(const struct timers *timers) {
    uint64_t next = TIMER_NEVER;
    for (int i = TIMER_NONE + 1; i < TIMER_KINDS; i++) {
        const struct timer *first = timers->lists[i].next;
        if (first != &timers->lists[i] && first->deadline_ms < next) next = first->deadline_ms;
    }
    return next;
}
