#include "interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t seen;
static sigset_t mask_while_waiting;
static sigset_t caught;

static void count_signal(int number) {
    (void)number;
    seen = seen + 1;
}

void interrupt_catch(void) {
    sigemptyset(&caught);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGTERM);
    sigprocmask(SIG_BLOCK, &caught, &mask_while_waiting);
    sigdelset(&mask_while_waiting, SIGINT);
    sigdelset(&mask_while_waiting, SIGTERM);
    struct sigaction action = {.sa_handler = count_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

unsigned interrupt_count(void) {
    return (unsigned)seen;
}

int interrupt_poll(struct pollfd *entries, unsigned count, int64_t timeout_ms) {
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000};
    int ready = ppoll(entries, count, timeout_ms < 0 ? NULL : &timeout, &mask_while_waiting);
    /* When a descriptor is ready the kernel leaves a signal pending: under steady traffic it would never get
     * through. */
    const struct timespec no_time = {0, 0};
    while (sigtimedwait(&caught, NULL, &no_time) > 0) {
        count_signal(0);
    }
    return ready;
}

void interrupt_sleep(uint64_t ms) {
    interrupt_poll(NULL, 0, (int64_t)ms);
}

uint64_t interrupt_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}
