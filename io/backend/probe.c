/* The probe tries what the reactor will do. A version number or a feature flag says too little: seccomp profiles, the
 * io_uring_disabled sysctl and memory limits refuse single calls, and kernels carry backports. */
#include "backend/probe.h"

#include "backend/backend.h"
#include "backend/uring.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Receives into provided buffers, deferred task work and single issuer work together from here on. */
enum { OLDEST_MAJOR = 6, OLDEST_MINOR = 1 };

#define TRIAL_LIMIT_NS UINT64_C(900000000)

enum { TOKEN_RECEIVE = 1, TOKEN_SEND = 2, TOKEN_CANCELLED = 3 };

static const char greeting[] = "weir";

struct trial {
    struct io_backend *backend;
    int sockets[2];
    uint64_t deadline_ns;
    const char *step; /* what is being tried */
    int error;        /* errno of the failed step */
};

static uint64_t read_clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool fail(struct trial *trial, int error) {
    trial->error = error;
    return false;
}

/* One `wait` within the limit; it may bring nothing. */
static bool wait_once(struct trial *trial, struct io_completion *completion, int *count) {
    uint64_t now_ns = read_clock_ns();
    if (now_ns >= trial->deadline_ns) return fail(trial, ETIMEDOUT);
    *count = trial->backend->operations->wait(trial->backend, trial->deadline_ns - now_ns, completion, 1);
    if (*count >= 0) return true;
    trial->step = "io_uring_enter";
    return fail(trial, -*count);
}

static bool take_completion(struct trial *trial, struct io_completion *completion) {
    int count = 0;
    while (count == 0) {
        if (!wait_once(trial, completion, &count)) return false;
    }
    return true;
}

static bool try_transfer(struct trial *trial) {
    const struct io_backend_operations *operations = trial->backend->operations;
    const int32_t length = sizeof greeting;
    operations->receive(trial->backend, trial->sockets[0], TOKEN_RECEIVE);
    operations->send(trial->backend, trial->sockets[1], greeting, sizeof greeting, TOKEN_SEND);
    for (int i = 0; i < 2; i++) {
        struct io_completion completion;
        trial->step = "send and receive";
        if (!take_completion(trial, &completion)) return false;
        trial->step = completion.token == TOKEN_SEND ? "send" : "receive into a provided buffer";
        if (completion.result < 0) return fail(trial, -completion.result);
        if (completion.result != length) return fail(trial, EIO);
        if (completion.token == TOKEN_SEND) continue;
        bool equal = completion.data != NULL && memcmp(completion.data, greeting, sizeof greeting) == 0;
        if (completion.data != NULL) operations->release(trial->backend, completion.data);
        if (!equal) return fail(trial, EIO);
    }
    return true;
}

static bool try_cancel(struct trial *trial) {
    struct io_completion completion;
    trial->step = "cancel of a receive";
    trial->backend->operations->receive(trial->backend, trial->sockets[0], TOKEN_CANCELLED);
    trial->backend->operations->cancel(trial->backend, TOKEN_CANCELLED);
    if (!take_completion(trial, &completion)) return false;
    return completion.result == -ECANCELED || fail(trial, completion.result < 0 ? -completion.result : EIO);
}

/* Any return before the limit counts; the first may be left over from the steps before. */
static bool try_wake(struct trial *trial) {
    struct io_completion completion;
    trial->step = "wake";
    for (int i = 0; i < 2; i++) {
        int count;
        trial->backend->operations->wake(trial->backend);
        if (!wait_once(trial, &completion, &count)) return false;
    }
    return read_clock_ns() < trial->deadline_ns || fail(trial, ETIMEDOUT);
}

static bool run_trial(struct trial *trial) {
    const struct io_backend_config config = {.queue_entries = 8, .receive_buffers = 2, .receive_size = 256};
    int result = uring_create_stepwise(&trial->backend, &config, &trial->step);
    if (result < 0) return fail(trial, -result);
    bool passed = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, trial->sockets) < 0) {
        trial->step = "socketpair";
        trial->error = errno;
    } else {
        passed = try_transfer(trial) && try_cancel(trial) && try_wake(trial);
        trial->backend->operations->close(trial->backend, trial->sockets[0]);
        trial->backend->operations->close(trial->backend, trial->sockets[1]);
    }
    trial->backend->operations->destroy(trial->backend);
    return passed;
}

/* True when io_uring can serve. Either way `text` says why. */
static bool try_uring(enum io_choice wanted, char *text, size_t size) {
    struct utsname kernel;
    unsigned major = 0;
    unsigned minor = 0;
    if (uname(&kernel) < 0 || sscanf(kernel.release, "%u.%u", &major, &minor) != 2) major = 0;
    bool old = major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
    if (old && wanted == IO_AUTO) {
        snprintf(text, size, "kernel %u.%u is older than %d.%d", major, minor, OLDEST_MAJOR, OLDEST_MINOR);
        return false;
    }
    struct trial trial = {.deadline_ns = read_clock_ns() + TRIAL_LIMIT_NS};
    if (run_trial(&trial)) {
        snprintf(text, size, "kernel %u.%u", major, minor);
        return true;
    }
    char buffer[80];
    snprintf(text, size, "%s: %s", trial.step, strerror_r(trial.error, buffer, sizeof buffer));
    return false;
}

void io_probe(enum io_choice wanted, struct io_probe *probe) {
    char text[120];
    *probe = (struct io_probe){.backend = IO_EPOLL, .usable = true};
    if (wanted == IO_EPOLL) {
        snprintf(probe->reason, sizeof probe->reason, "epoll: as asked for");
        return;
    }
    bool works = try_uring(wanted, text, sizeof text);
    if (works || wanted == IO_URING) probe->backend = IO_URING;
    probe->usable = works || wanted != IO_URING;
    snprintf(probe->reason, sizeof probe->reason, "%s: %s", probe->backend == IO_URING ? "io_uring" : "epoll", text);
}
