/* SIGINT and SIGTERM for the clients: blocked everywhere but inside the one place where they wait, so that a
 * signal can neither be missed nor arrive in the middle of anything. */
#ifndef WEIR_IO_COMMAND_INTERRUPT_H
#define WEIR_IO_COMMAND_INTERRUPT_H

#include <poll.h>
#include <stdint.h>

/* Call once, before the first wait. */
void interrupt_catch(void);

/* How many of those signals arrived since. */
unsigned interrupt_count(void);

/* poll(2), during which the signals may arrive (then -1 and EINTR). timeout_ms below 0: for ever. */
int interrupt_poll(struct pollfd *entries, unsigned count, int64_t timeout_ms);

/* Sleeps, and returns early at a signal. */
void interrupt_sleep(uint64_t ms);

/* Monotonic milliseconds. */
uint64_t interrupt_now_ms(void);

#endif
