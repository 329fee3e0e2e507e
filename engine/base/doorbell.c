#include "doorbell.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <weir.h>

int doorbell_open(struct doorbell *bell) {
    bell->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bell->answered = 0;
    u64_store_relaxed(&bell->finished, 0);
    u64_store_relaxed(&bell->started, 0); /* relaxed, both: whoever shows the bell to others publishes it */
    return bell->descriptor >= 0 ? WEIR_OK : WEIR_DESCRIPTORS_LIMIT;
}

void doorbell_close(struct doorbell *bell) {
    if (bell->descriptor >= 0) close(bell->descriptor);
}

/* Relaxed, all: counts beside system calls. An owner that sees an old one takes the long way, or looks again. */
void doorbell_ring(struct doorbell *bell) {
    const uint64_t one = 1;
    u64_add_relaxed(&bell->started, 1);
    while (write(bell->descriptor, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
    u64_add_relaxed(&bell->finished, 1);
}

bool doorbell_is_rung(const struct doorbell *bell) {
    return (int64_t)(u64_load_relaxed(&bell->finished) - bell->answered) > 0;
}

void doorbell_answer(struct doorbell *bell) {
    uint64_t rings = 0;
    if (u64_load_relaxed(&bell->started) == bell->answered) return;
    if (read(bell->descriptor, &rings, sizeof(rings)) == sizeof(rings)) bell->answered += rings;
}
