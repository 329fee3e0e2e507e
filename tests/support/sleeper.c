#include "sleeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void give_up(const char *what) {
    perror(what);
    abort();
}

void sleeper_open(struct sleeper *sleeper) {
    sleeper->descriptor = eventfd(0, EFD_CLOEXEC);
    if (sleeper->descriptor < 0) give_up("eventfd");
}

void sleeper_close(struct sleeper *sleeper) {
    close(sleeper->descriptor);
}

void sleeper_wake(void *context) {
    const uint64_t one = 1;
    if (write(((struct sleeper *)context)->descriptor, &one, sizeof(one)) != sizeof(one)) give_up("write");
}

uint64_t sleeper_wait(struct sleeper *sleeper) {
    uint64_t count = 0;
    while (read(sleeper->descriptor, &count, sizeof(count)) != sizeof(count))
        if (errno != EINTR) give_up("read");
    return count;
}

int sleeper_sleep(struct sleeper *sleeper, weir_poller *poller) {
    if (!weir_poller_sleep(poller)) return 0;
    sleeper_wait(sleeper);
    weir_poller_awake(poller);
    return 1;
}
