/* The epoll backend: for kernels without a usable io_uring, and for the seccomp profiles of container runtimes, which
 * refuse it. It keeps the shape of a completion interface over readiness.
 *
 * Starting an operation puts it into the ready list. `wait` tries everything there; what the kernel does not finish
 * at once is left with its descriptor until epoll reports that as ready. Descriptors are watched edge-triggered for
 * both directions from the first time that an operation had to wait until they are closed, so in steady state no
 * epoll_ctl is needed. Between edges `readable` and `writable` say whether a try is worth its system call.
 *
 * A receive takes a buffer from the pool only when bytes are there; without a free buffer it is parked, and each
 * `wait` tries as many parked ones again as buffers are free, and does not sleep while both kinds are left.
 *
 * The wake descriptor is watched edge-triggered too and never read: each write to it is an edge. */
#include "backend/backend.h"
#include "backend/operations.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DEFAULT_QUEUE_ENTRIES = 1024,
    DEFAULT_RECEIVE_BUFFERS = 64,
    DEFAULT_RECEIVE_SIZE = 8192,
    EVENTS_PER_WAIT = 256,
    FIRST_WATCHES = 64,
};

struct watch {
    uint32_t reader; /* the accept or receive that waits for an edge, or OPERATION_NONE */
    uint32_t writer; /* the send that does */
    bool registered; /* epoll knows the descriptor */
    bool readable;   /* no EAGAIN since the last edge */
    bool writable;
};

struct epoll_backend {
    struct io_backend base;
    int epoll_descriptor;
    int wake_descriptor;
    struct operation_table operations;
    struct operation_list ready;  /* to be tried, or cancelled */
    struct operation_list parked; /* receives that found no buffer */
    struct watch *watches;        /* by descriptor */
    unsigned watch_count;
    char *buffers;
    char **free_buffers; /* a stack: the one used last is warm */
    unsigned free_count;
    unsigned buffer_count;
    unsigned buffer_size;
    int broken; /* -errno: every `wait` says so */
    bool parked_cancelled;
    bool polled;        /* `pollable` was called */
    bool poll_marked;   /* the wake descriptor was written by mark_pollable */
    bool no_nanosecond; /* epoll_pwait2 is not to be had */
    struct epoll_event events[EVENTS_PER_WAIT];
};

static struct epoll_backend *self(struct io_backend *backend) {
    return (struct epoll_backend *)backend;
}

/* An embedder that polls must learn that there is something for `wait` to do. */
static void mark_pollable(struct epoll_backend *epoll) {
    if (!epoll->polled || epoll->poll_marked) return;
    epoll->poll_marked = true;
    (void)eventfd_write(epoll->wake_descriptor, 1);
}

static void push_ready(struct epoll_backend *epoll, uint32_t index) {
    operations_push(&epoll->operations, &epoll->ready, index, OPERATION_READY);
}

/* ---- Watches ---- */

static void reset_watch(struct watch *watch) {
    *watch = (struct watch){.reader = OPERATION_NONE, .writer = OPERATION_NONE, .readable = true, .writable = true};
}

static struct watch *find_watch(struct epoll_backend *epoll, int descriptor) {
    WEIR_CHECK(descriptor >= 0);
    if ((unsigned)descriptor < epoll->watch_count) return &epoll->watches[descriptor];
    unsigned count = epoll->watch_count == 0 ? FIRST_WATCHES : epoll->watch_count;
    while (count <= (unsigned)descriptor) {
        count *= 2;
    }
    struct watch *watches = realloc(epoll->watches, count * sizeof *watches);
    if (watches == NULL) return NULL;
    for (unsigned i = epoll->watch_count; i < count; i++) {
        reset_watch(&watches[i]);
    }
    epoll->watches = watches;
    epoll->watch_count = count;
    return &watches[descriptor];
}

static uint32_t *waiting_place(struct watch *watch, const struct operation *operation) {
    return operation->kind == OPERATION_SEND ? &watch->writer : &watch->reader;
}

/* Leaves an operation with its descriptor after EAGAIN. Returns 0 or -errno. Adding a descriptor that has become
 * ready meanwhile makes an edge at once, so nothing is missed in between. */
static int await_edge(struct epoll_backend *epoll, uint32_t index) {
    const struct operation *operation = &epoll->operations.slots[index];
    struct watch *watch = &epoll->watches[operation->descriptor];
    if (!watch->registered) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.fd = operation->descriptor};
        if (epoll_ctl(epoll->epoll_descriptor, EPOLL_CTL_ADD, operation->descriptor, &event) < 0) return -errno;
        watch->registered = true;
    }
    if (operation->kind == OPERATION_SEND) {
        watch->writable = false;
    } else {
        watch->readable = false;
    }
    *waiting_place(watch, operation) = index;
    return 0;
}

static void wake_waiting(struct epoll_backend *epoll, uint32_t *place) {
    if (*place != OPERATION_NONE) push_ready(epoll, *place);
    *place = OPERATION_NONE;
}

static void note_event(struct epoll_backend *epoll, const struct epoll_event *event) {
    if (event->data.fd == epoll->wake_descriptor) return;
    struct watch *watch = &epoll->watches[event->data.fd];
    if (event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        watch->readable = true;
        wake_waiting(epoll, &watch->reader);
    }
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        watch->writable = true;
        wake_waiting(epoll, &watch->writer);
    }
}

/* ---- Starting and cancelling ---- */

static void start_operation(struct epoll_backend *epoll, enum operation_kind kind, int descriptor, uint64_t token,
                            const void *data, size_t length) {
    uint32_t index = operations_take(&epoll->operations, kind, descriptor, token);
    if (index == OPERATION_NONE) {
        epoll->broken = -ENOMEM;
        return;
    }
    struct operation *operation = &epoll->operations.slots[index];
    operation->data = data;
    operation->length = (uint32_t)(length < OPERATION_MAX_SEND ? length : OPERATION_MAX_SEND);
    struct watch *watch = find_watch(epoll, descriptor);
    if (watch == NULL || (kind == OPERATION_SEND ? watch->writable : watch->readable)) {
        push_ready(epoll, index);
        mark_pollable(epoll);
    } else {
        *waiting_place(watch, operation) = index;
    }
}

static void epoll_accept(struct io_backend *backend, int descriptor, uint64_t token) {
    struct epoll_backend *epoll = self(backend);
    const struct watch *watch = find_watch(epoll, descriptor);
    if (watch != NULL && !watch->registered) {
        /* A connection can vanish between its edge and the accept, which would then block the reactor. */
        int flags = fcntl(descriptor, F_GETFL);
        if (flags >= 0 && !(flags & O_NONBLOCK)) (void)fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
    }
    start_operation(epoll, OPERATION_ACCEPT, descriptor, token, NULL, 0);
}

static void epoll_receive(struct io_backend *backend, int descriptor, uint64_t token) {
    start_operation(self(backend), OPERATION_RECEIVE, descriptor, token, NULL, 0);
}

static void epoll_send(struct io_backend *backend, int descriptor, const void *data, size_t length, uint64_t token) {
    start_operation(self(backend), OPERATION_SEND, descriptor, token, data, length);
}

static void epoll_cancel(struct io_backend *backend, uint64_t token) {
    struct epoll_backend *epoll = self(backend);
    uint32_t index = operations_find(&epoll->operations, token);
    if (index == OPERATION_NONE) return;
    struct operation *operation = &epoll->operations.slots[index];
    operation->cancelled = true;
    if (operation->state == OPERATION_WAITING) {
        wake_waiting(epoll, waiting_place(&epoll->watches[operation->descriptor], operation));
    } else if (operation->state == OPERATION_PARKED) {
        epoll->parked_cancelled = true;
    }
    mark_pollable(epoll);
}

static void epoll_shutdown(struct io_backend *backend, int descriptor, int how) {
    (void)backend;
    (void)shutdown(descriptor, how);
}

static void epoll_close(struct io_backend *backend, int descriptor) {
    struct epoll_backend *epoll = self(backend);
    if ((unsigned)descriptor < epoll->watch_count) {
        struct watch *watch = &epoll->watches[descriptor];
        WEIR_DCHECK(watch->reader == OPERATION_NONE && watch->writer == OPERATION_NONE);
        /* close(2) alone leaves the watch alive while a forked child still holds the descriptor. */
        if (watch->registered) (void)epoll_ctl(epoll->epoll_descriptor, EPOLL_CTL_DEL, descriptor, NULL);
        reset_watch(watch);
    }
    (void)close(descriptor);
}

static void epoll_release(struct io_backend *backend, char *data) {
    struct epoll_backend *epoll = self(backend);
    size_t offset = (size_t)(data - epoll->buffers);
    WEIR_CHECK(offset < (size_t)epoll->buffer_count * epoll->buffer_size && epoll->free_count < epoll->buffer_count);
    epoll->free_buffers[epoll->free_count++] = epoll->buffers + offset - offset % epoll->buffer_size;
    if (epoll->parked.count > 0) mark_pollable(epoll);
}

/* ---- Trying ---- */

/* Each returns a result for the completion; -EAGAIN means not yet. */

static int32_t try_accept(const struct operation *operation) {
    int result = accept4(operation->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return result < 0 ? -errno : result;
}

static int32_t try_receive(struct epoll_backend *epoll, const struct operation *operation, char **data) {
    char *buffer = epoll->free_buffers[epoll->free_count - 1];
    ssize_t result = recv(operation->descriptor, buffer, epoll->buffer_size, MSG_DONTWAIT);
    if (result < 0) return -errno;
    if (result > 0) {
        *data = buffer;
        epoll->free_count--;
    }
    return (int32_t)result;
}

static int32_t try_send(struct operation *operation) {
    int32_t result;
    do {
        ssize_t sent = send(operation->descriptor, operation->data + operation->done,
                            operation->length - operation->done, MSG_DONTWAIT | MSG_NOSIGNAL);
        result = sent < 0 ? -errno : (int32_t)sent;
        if (result == -EAGAIN || result == -EINTR) return result;
    } while (operation_note_sent(operation, &result));
    return result;
}

static int32_t try_operation(struct epoll_backend *epoll, struct operation *operation, char **data) {
    int32_t result;
    do {
        switch (operation->kind) {
        case OPERATION_ACCEPT:
            result = try_accept(operation);
            break;
        case OPERATION_RECEIVE:
            result = try_receive(epoll, operation, data);
            break;
        default:
            result = try_send(operation);
        }
    } while (result == -EINTR);
    return result;
}

/* True: *completion is filled. False: the operation waits for an edge or for a buffer. */
static bool run_operation(struct epoll_backend *epoll, uint32_t index, struct io_completion *completion) {
    struct operation *operation = &epoll->operations.slots[index];
    char *data = NULL;
    int32_t result = -ECANCELED;
    if (!operation->cancelled) {
        if (operation->kind == OPERATION_RECEIVE && epoll->free_count == 0) {
            operations_push(&epoll->operations, &epoll->parked, index, OPERATION_PARKED);
            return false;
        }
        /* Without memory for its watch an operation could not wait; so it fails before it does anything. */
        bool watched = find_watch(epoll, operation->descriptor) != NULL;
        result = watched ? try_operation(epoll, operation, &data) : -ENOMEM;
        if (result == -EAGAIN) {
            result = await_edge(epoll, index);
            if (result == 0) return false;
        }
    }
    if (result < 0 && operation->done > 0) result = (int32_t)operation->done;
    *completion = (struct io_completion){
        .token = operation->token, .result = result, .size = data != NULL ? (uint32_t)result : 0, .data = data};
    operations_free(&epoll->operations, index);
    return true;
}

static unsigned run_ready(struct epoll_backend *epoll, struct io_completion *completions, unsigned capacity) {
    unsigned count = 0;
    while (epoll->ready.count > 0 && count < capacity) {
        uint32_t index = operations_pop(&epoll->operations, &epoll->ready);
        count += run_operation(epoll, index, &completions[count]);
    }
    return count;
}

static void restart_parked(struct epoll_backend *epoll) {
    if (epoll->parked_cancelled) {
        operations_move_cancelled(&epoll->operations, &epoll->parked, &epoll->ready);
        epoll->parked_cancelled = false;
    }
    unsigned count = epoll->parked.count < epoll->free_count ? epoll->parked.count : epoll->free_count;
    while (count-- > 0) {
        push_ready(epoll, operations_pop(&epoll->operations, &epoll->parked));
    }
}

/* ---- Waiting ---- */

/* epoll_pwait2 by number: C libraries got it late. Kernels before 5.11 and old seccomp profiles have no such call;
 * there a timeout is rounded up to a millisecond, so that waiting for the rest of one does not become spinning. */
static int wait_for_events(struct epoll_backend *epoll, uint64_t timeout_ns) {
#ifdef SYS_epoll_pwait2
    if (timeout_ns != 0 && timeout_ns != IO_WAIT_FOREVER && !epoll->no_nanosecond) {
        struct {
            int64_t seconds;
            int64_t nanoseconds;
        } timeout = {(int64_t)(timeout_ns / 1000000000), (int64_t)(timeout_ns % 1000000000)};
        long count = syscall(SYS_epoll_pwait2, epoll->epoll_descriptor, epoll->events, EVENTS_PER_WAIT, &timeout,
                             NULL, (size_t)0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count >= 0 ? (int)count : -errno;
        epoll->no_nanosecond = true;
    }
#endif
    uint64_t milliseconds = timeout_ns / 1000000 + (timeout_ns % 1000000 != 0);
    int limited = milliseconds < INT32_MAX ? (int)milliseconds : INT32_MAX;
    int count = epoll_wait(epoll->epoll_descriptor, epoll->events, EVENTS_PER_WAIT,
                           timeout_ns == IO_WAIT_FOREVER ? -1 : limited);
    return count >= 0 ? count : -errno;
}

/* Events are collected in every call, even when the completions are full before: what is read from the sockets must
 * not starve behind what is written to them. */
static int epoll_wait_completions(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                                  unsigned capacity) {
    struct epoll_backend *epoll = self(backend);
    epoll->poll_marked = false;
    if (epoll->broken < 0) return epoll->broken;
    restart_parked(epoll);
    unsigned count = run_ready(epoll, completions, capacity);
    bool busy = count > 0 || epoll->ready.count > 0 || (epoll->parked.count > 0 && epoll->free_count > 0);

    int events = wait_for_events(epoll, busy ? 0 : timeout_ns);
    if (events < 0 && events != -EINTR) {
        epoll->broken = events;
        return count > 0 ? (int)count : events; /* what has completed may be a new descriptor: it is told first */
    }
    for (int i = 0; i < events; i++) {
        note_event(epoll, &epoll->events[i]);
    }
    count += run_ready(epoll, completions + count, capacity - count);
    if (epoll->ready.count > 0 || (epoll->parked.count > 0 && epoll->free_count > 0)) mark_pollable(epoll);
    return (int)count;
}

static void epoll_wake(struct io_backend *backend) {
    (void)eventfd_write(self(backend)->wake_descriptor, 1);
}

static int epoll_pollable(struct io_backend *backend) {
    struct epoll_backend *epoll = self(backend);
    epoll->polled = true;
    if (epoll->ready.count > 0) mark_pollable(epoll);
    return epoll->epoll_descriptor;
}

/* ---- Life ---- */

static void epoll_destroy(struct io_backend *backend) {
    struct epoll_backend *epoll = self(backend);
    WEIR_DCHECK(epoll->operations.started == 0 || epoll->broken < 0);
    if (epoll->epoll_descriptor >= 0) close(epoll->epoll_descriptor);
    if (epoll->wake_descriptor >= 0) close(epoll->wake_descriptor);
    operations_destroy(&epoll->operations);
    free(epoll->watches);
    free(epoll->free_buffers);
    free(epoll->buffers);
    free(epoll);
}

static const struct io_backend_operations epoll_operations = {
    .name = "epoll",
    .accept = epoll_accept,
    .receive = epoll_receive,
    .send = epoll_send,
    .cancel = epoll_cancel,
    .shutdown = epoll_shutdown,
    .close = epoll_close,
    .release = epoll_release,
    .wait = epoll_wait_completions,
    .wake = epoll_wake,
    .pollable = epoll_pollable,
    .destroy = epoll_destroy,
};

static int create_descriptors(struct epoll_backend *epoll) {
    epoll->epoll_descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (epoll->epoll_descriptor < 0) return -errno;
    epoll->wake_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (epoll->wake_descriptor < 0) return -errno;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.fd = epoll->wake_descriptor};
    return epoll_ctl(epoll->epoll_descriptor, EPOLL_CTL_ADD, epoll->wake_descriptor, &event) < 0 ? -errno : 0;
}

static int create_buffers(struct epoll_backend *epoll) {
    epoll->buffers = malloc((size_t)epoll->buffer_count * epoll->buffer_size);
    epoll->free_buffers = malloc(epoll->buffer_count * sizeof *epoll->free_buffers);
    if (epoll->buffers == NULL || epoll->free_buffers == NULL) return -ENOMEM;
    for (unsigned i = 0; i < epoll->buffer_count; i++) {
        epoll->free_buffers[i] = epoll->buffers + (size_t)i * epoll->buffer_size;
    }
    epoll->free_count = epoll->buffer_count;
    return 0;
}

int io_epoll_backend_create(struct io_backend **backend, const struct io_backend_config *config) {
    struct epoll_backend *epoll = calloc(1, sizeof *epoll);
    if (epoll == NULL) return -ENOMEM;
    epoll->base.operations = &epoll_operations;
    epoll->epoll_descriptor = -1;
    epoll->wake_descriptor = -1;
    epoll->buffer_count = config->receive_buffers != 0 ? config->receive_buffers : DEFAULT_RECEIVE_BUFFERS;
    epoll->buffer_size = config->receive_size != 0 ? config->receive_size : DEFAULT_RECEIVE_SIZE;
    operations_list_init(&epoll->ready);
    operations_list_init(&epoll->parked);
    int result = (epoll->buffer_count & (epoll->buffer_count - 1)) == 0 ? 0 : -EINVAL;
    unsigned capacity = config->queue_entries != 0 ? config->queue_entries : DEFAULT_QUEUE_ENTRIES;
    if (result == 0) result = operations_create(&epoll->operations, capacity);
    if (result == 0) result = create_descriptors(epoll);
    if (result == 0) result = create_buffers(epoll);
    if (result < 0) {
        epoll_destroy(&epoll->base);
        return result;
    }
    *backend = &epoll->base;
    return 0;
}
