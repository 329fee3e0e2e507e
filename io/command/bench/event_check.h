/* Judges one event of a subscriber, and tells a person of the first few that are wrong. */
#ifndef WEIR_IO_COMMAND_BENCH_EVENT_CHECK_H
#define WEIR_IO_COMMAND_BENCH_EVENT_CHECK_H

#include "subscriber.h"

void event_check(struct subscriber *subscriber, const struct sse_event *event);

/* After a storm: notes whether the stream has all that had been published when it was dropped. */
void event_check_caught_up(struct subscriber *subscriber);

#endif
