/* How long to wait before the next attempt to reach a server: doubling, capped, and with jitter, so that clients
 * who lost the same server do not come back in one instant. */
#ifndef WEIR_IO_COMMAND_BACKOFF_H
#define WEIR_IO_COMMAND_BACKOFF_H

#include <stdint.h>

struct backoff {
    uint64_t random;
    unsigned attempts; /* failed in a row */
};

void backoff_init(struct backoff *backoff);

/* The wait before the next attempt: base_ms doubled per failed attempt, at most 30 s unless base_ms itself is more,
 * plus up to a quarter of that. */
uint64_t backoff_next_ms(struct backoff *backoff, uint64_t base_ms);

/* An attempt succeeded. */
void backoff_reset(struct backoff *backoff);

#endif
