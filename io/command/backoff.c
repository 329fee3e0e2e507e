#include "backoff.h"

#include <sys/random.h>

enum { CAP_MS = 30000, DOUBLINGS_MAX = 10 };

void backoff_init(struct backoff *backoff) {
    backoff->attempts = 0;
    /* Without entropy the jitter is the same everywhere, which costs politeness and nothing else. */
    if (getrandom(&backoff->random, sizeof backoff->random, GRND_NONBLOCK) < 0) backoff->random = 0;
    backoff->random |= 1; /* xorshift stays at zero for ever */
}

uint64_t backoff_next_ms(struct backoff *backoff, uint64_t base_ms) {
    unsigned doublings = backoff->attempts < DOUBLINGS_MAX ? backoff->attempts : DOUBLINGS_MAX;
    uint64_t wait = base_ms << doublings;
    if (wait > CAP_MS) wait = base_ms > CAP_MS ? base_ms : CAP_MS;
    backoff->attempts++;
    backoff->random ^= backoff->random << 13;
    backoff->random ^= backoff->random >> 7;
    backoff->random ^= backoff->random << 17;
    return wait + (backoff->random >> 11) % (wait / 4 + 1);
}

void backoff_reset(struct backoff *backoff) {
    backoff->attempts = 0;
}
