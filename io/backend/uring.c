/* The io_uring backend: one ring per reactor, in the setting made for that (one submitter, completions run only when
 * the owner enters the kernel). Starting an operation writes one submission entry; one system call per `wait` starts
 * them all and brings back what has finished. The only file that includes liburing.h.
 *
 * A submission carries the slot of its operation and the slot's generation, so that a completion is found without a
 * search and one that comes late, after its operation ended, is recognised and dropped.
 *
 * Receives take their buffer from a ring of buffers shared with the kernel at the moment bytes arrive; an idle
 * connection costs one slot. The kernel looks for a buffer even before it looks for bytes. So when the pool is empty
 * every receive that starts comes back with ENOBUFS, also on an idle connection: such receives are parked, and each
 * `wait` starts as many of them again as buffers are free, and does not sleep while both kinds are left.
 *
 * The ring starts disabled: it may be created on one thread and belongs to the thread that waits first (or that first
 * starts more operations than the queue holds). Destroy it on any thread once the owner has stopped.
 *
 * The wake descriptor is never read. A multishot poll reports each write to it, which saves a call per wake. */
#include "backend/uring.h"
#include "backend/backend.h"
#include "backend/operations.h"

#include "base/atomic.h"
#include "base/check.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* user_data: generation (24 bits) above index (32 bits), or one of these. */
#define INTERNAL_WAKE   (UINT64_C(1) << 62 | 1)
#define INTERNAL_CANCEL (UINT64_C(1) << 62 | 2)

enum {
    DEFAULT_QUEUE_ENTRIES = 1024,
    DEFAULT_RECEIVE_BUFFERS = 64,
    DEFAULT_RECEIVE_SIZE = 8192,
    MAX_RECEIVE_BUFFERS = 32768, /* the kernel's limit for one buffer ring */
    COMPLETIONS_PER_ENTRY = 4,
    BUFFER_GROUP = 0,
    SUBMIT_TRIES = 64, /* of a refused submission (EAGAIN, EBUSY, EINTR) before the ring counts as broken */
};

struct uring_backend {
    struct io_backend base;
    struct io_uring ring;
    struct operation_table operations;
    struct operation_list parked; /* receives that found no buffer */
    struct operation_list ready;  /* cancelled while parked: they complete without the kernel */
    struct io_uring_buf_ring *buffer_ring;
    char *buffers;
    unsigned buffer_count;
    unsigned buffer_size;
    unsigned free_buffers; /* all but those that the owner holds */
    int wake_descriptor;
    int poll_descriptor; /* -1 until `pollable` is called; from then on the kernel writes it at each completion */
    atomic_u32 shared_poll_descriptor; /* the same plus one, for the threads that wake; 0 before */
    int broken;                        /* -errno: the ring can do no more, every `wait` says so */
    bool enabled;
    bool wake_armed;
    bool poll_marked; /* poll_descriptor is readable through mark_pollable */
    bool parked_cancelled;
};

static struct uring_backend *self(struct io_backend *backend) {
    return (struct uring_backend *)backend;
}

static uint64_t user_data_of(const struct uring_backend *uring, uint32_t index) {
    return (uint64_t)uring->operations.slots[index].generation << 32 | index;
}

/* ---- Submission ---- */

static void mark_pollable(struct uring_backend *uring) {
    if (uring->poll_descriptor < 0 || uring->poll_marked) return;
    uring->poll_marked = true;
    (void)eventfd_write(uring->poll_descriptor, 1);
}

static bool is_transient(int result) {
    return result == -EAGAIN || result == -EBUSY || result == -EINTR || result == -ETIME;
}

static int enable(struct uring_backend *uring) {
    if (uring->enabled) return 0;
    /* io_uring_enable_rings by hand: the shared library of liburing 2.3 forgot to export it. */
    unsigned descriptor = (unsigned)uring->ring.ring_fd;
    int result = io_uring_register(descriptor, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) return result;
    uring->enabled = true;
    (void)io_uring_register_ring_fd(&uring->ring); /* only spares the kernel a look-up: it may fail */
    return 0;
}

/* A free submission entry. NULL only when the ring is broken, which the next `wait` tells. */
static struct io_uring_sqe *take_entry(struct uring_backend *uring) {
    struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);
    int result = entry == NULL ? enable(uring) : 0;
    for (int tries = 0; entry == NULL && tries < SUBMIT_TRIES; tries++) {
        if (result < 0 && !is_transient(result)) break;
        result = io_uring_submit(&uring->ring);
        entry = io_uring_get_sqe(&uring->ring);
    }
    if (entry == NULL && uring->broken == 0) uring->broken = result < 0 ? result : -EBUSY;
    mark_pollable(uring);
    return entry;
}

static void submit_operation(struct uring_backend *uring, uint32_t index) {
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) return;
    const struct operation *operation = &uring->operations.slots[index];
    switch (operation->kind) {
    case OPERATION_ACCEPT:
        io_uring_prep_accept(entry, operation->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        break;
    case OPERATION_RECEIVE:
        io_uring_prep_recv(entry, operation->descriptor, NULL, uring->buffer_size, 0);
        entry->flags |= IOSQE_BUFFER_SELECT;
        entry->buf_group = BUFFER_GROUP;
        break;
    default:
        io_uring_prep_send(entry, operation->descriptor, operation->data + operation->done,
                           operation->length - operation->done, MSG_WAITALL | MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data64(entry, user_data_of(uring, index));
}

/* The kernel normally waits for readiness itself; where it says EAGAIN instead, a poll goes first. */
static void submit_poll(struct uring_backend *uring, uint32_t index) {
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) return;
    struct operation *operation = &uring->operations.slots[index];
    operation->polling = true;
    io_uring_prep_poll_add(entry, operation->descriptor, operation->kind == OPERATION_SEND ? POLLOUT : POLLIN);
    io_uring_sqe_set_data64(entry, user_data_of(uring, index));
}

static void submit_cancel(struct uring_backend *uring, uint32_t index) {
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) return;
    io_uring_prep_cancel64(entry, user_data_of(uring, index), 0);
    io_uring_sqe_set_flags(entry, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(entry, INTERNAL_CANCEL);
}

static void arm_wake(struct uring_backend *uring) {
    if (uring->wake_armed) return;
    struct io_uring_sqe *entry = take_entry(uring);
    if (entry == NULL) return;
    io_uring_prep_poll_multishot(entry, uring->wake_descriptor, POLLIN);
    io_uring_sqe_set_data64(entry, INTERNAL_WAKE);
    uring->wake_armed = true;
}

/* ---- Starting and cancelling ---- */

static uint32_t start_operation(struct uring_backend *uring, enum operation_kind kind, int descriptor,
                                uint64_t token) {
    uint32_t index = operations_take(&uring->operations, kind, descriptor, token);
    if (index == OPERATION_NONE) uring->broken = -ENOMEM;
    return index;
}

static void uring_accept(struct io_backend *backend, int descriptor, uint64_t token) {
    struct uring_backend *uring = self(backend);
    uint32_t index = start_operation(uring, OPERATION_ACCEPT, descriptor, token);
    if (index != OPERATION_NONE) submit_operation(uring, index);
}

static void uring_receive(struct io_backend *backend, int descriptor, uint64_t token) {
    struct uring_backend *uring = self(backend);
    uint32_t index = start_operation(uring, OPERATION_RECEIVE, descriptor, token);
    if (index != OPERATION_NONE) submit_operation(uring, index);
}

static void uring_send(struct io_backend *backend, int descriptor, const void *data, size_t length, uint64_t token) {
    struct uring_backend *uring = self(backend);
    uint32_t index = start_operation(uring, OPERATION_SEND, descriptor, token);
    if (index == OPERATION_NONE) return;
    struct operation *operation = &uring->operations.slots[index];
    operation->data = data;
    operation->length = (uint32_t)(length < OPERATION_MAX_SEND ? length : OPERATION_MAX_SEND);
    submit_operation(uring, index);
}

static void uring_cancel(struct io_backend *backend, uint64_t token) {
    struct uring_backend *uring = self(backend);
    uint32_t index = operations_find(&uring->operations, token);
    if (index == OPERATION_NONE || uring->operations.slots[index].cancelled) return;
    uring->operations.slots[index].cancelled = true;
    if (uring->operations.slots[index].state == OPERATION_PARKED) {
        uring->parked_cancelled = true;
        mark_pollable(uring);
    } else {
        submit_cancel(uring, index);
    }
}

static void uring_shutdown(struct io_backend *backend, int descriptor, int how) {
    (void)backend;
    (void)shutdown(descriptor, how);
}

static void uring_close(struct io_backend *backend, int descriptor) {
    (void)backend;
    (void)close(descriptor);
}

/* ---- Receive buffers ---- */

static void give_buffer(struct uring_backend *uring, unsigned buffer) {
    io_uring_buf_ring_add(uring->buffer_ring, uring->buffers + (size_t)buffer * uring->buffer_size,
                          uring->buffer_size, (unsigned short)buffer, io_uring_buf_ring_mask(uring->buffer_count), 0);
    io_uring_buf_ring_advance(uring->buffer_ring, 1);
}

static void uring_release(struct io_backend *backend, char *data) {
    struct uring_backend *uring = self(backend);
    size_t buffer = (size_t)(data - uring->buffers) / uring->buffer_size;
    WEIR_CHECK(buffer < uring->buffer_count && uring->free_buffers < uring->buffer_count);
    give_buffer(uring, (unsigned)buffer);
    uring->free_buffers++;
    if (uring->parked.count > 0) mark_pollable(uring);
}

/* Starts parked receives again, as many as could succeed. */
static void restart_parked(struct uring_backend *uring) {
    if (uring->parked_cancelled) {
        operations_move_cancelled(&uring->operations, &uring->parked, &uring->ready);
        uring->parked_cancelled = false;
    }
    unsigned count = uring->parked.count < uring->free_buffers ? uring->parked.count : uring->free_buffers;
    while (count-- > 0) {
        submit_operation(uring, operations_pop(&uring->operations, &uring->parked));
    }
}

/* ---- Completion ---- */

static void fill_completion(struct uring_backend *uring, uint32_t index, int32_t result,
                            struct io_completion *completion) {
    *completion = (struct io_completion){.token = uring->operations.slots[index].token, .result = result};
    operations_free(&uring->operations, index);
}

/* The rest of a completion entry for a receive: its buffer goes to the owner, or back when it holds nothing. */
static char *claim_buffer(struct uring_backend *uring, const struct io_uring_cqe *entry) {
    if (!(entry->flags & IORING_CQE_F_BUFFER)) return NULL;
    unsigned buffer = entry->flags >> IORING_CQE_BUFFER_SHIFT;
    if (entry->res <= 0) {
        give_buffer(uring, buffer);
        return NULL;
    }
    uring->free_buffers--;
    return uring->buffers + (size_t)buffer * uring->buffer_size;
}

enum next_step { STEP_COMPLETE, STEP_SUBMIT, STEP_POLL, STEP_PARK };

static enum next_step choose_step(struct operation *operation, int32_t *result) {
    bool polled = operation->polling;
    operation->polling = false;
    if ((polled && *result >= 0) || *result == -EINTR) return STEP_SUBMIT;
    if (*result == -EAGAIN) return STEP_POLL;
    if (*result == -ENOBUFS && operation->kind == OPERATION_RECEIVE) return STEP_PARK;
    if (operation->kind == OPERATION_SEND && operation_note_sent(operation, result)) return STEP_SUBMIT;
    return STEP_COMPLETE;
}

/* True: the operation goes on, in the kernel or parked. False: it completes with *result. */
static bool continue_operation(struct uring_backend *uring, uint32_t index, int32_t *result) {
    struct operation *operation = &uring->operations.slots[index];
    enum next_step step = choose_step(operation, result);
    if (step == STEP_COMPLETE) return false;
    if (operation->cancelled) {
        *result = operation->done > 0 ? (int32_t)operation->done : -ECANCELED;
        return false;
    }
    if (step == STEP_SUBMIT) submit_operation(uring, index);
    if (step == STEP_POLL) submit_poll(uring, index);
    if (step == STEP_PARK) operations_push(&uring->operations, &uring->parked, index, OPERATION_PARKED);
    return true;
}

/* True: *completion is filled. False: the entry is no news to the owner. */
static bool take_entry_result(struct uring_backend *uring, const struct io_uring_cqe *entry,
                              struct io_completion *completion) {
    uint64_t user_data = entry->user_data;
    if (user_data == INTERNAL_WAKE && !(entry->flags & IORING_CQE_F_MORE)) uring->wake_armed = false;
    if (user_data == INTERNAL_WAKE || user_data == INTERNAL_CANCEL) return false;

    char *data = claim_buffer(uring, entry);
    uint32_t index = (uint32_t)user_data;
    bool known = index < uring->operations.touched && uring->operations.slots[index].state == OPERATION_WAITING &&
                 user_data_of(uring, index) == user_data;
    if (!known) {
        if (data != NULL) uring_release(&uring->base, data);
        return false;
    }
    int32_t result = entry->res;
    if (continue_operation(uring, index, &result)) return false;
    fill_completion(uring, index, result, completion);
    completion->data = data;
    completion->size = data != NULL ? (uint32_t)result : 0;
    return true;
}

static unsigned take_ready(struct uring_backend *uring, struct io_completion *completions, unsigned capacity) {
    unsigned count = 0;
    while (uring->ready.count > 0 && count < capacity) {
        uint32_t index = operations_pop(&uring->operations, &uring->ready);
        fill_completion(uring, index, -ECANCELED, &completions[count++]);
    }
    return count;
}

static unsigned take_entries(struct uring_backend *uring, struct io_completion *completions, unsigned capacity) {
    unsigned count = 0;
    unsigned seen = 0;
    unsigned head;
    struct io_uring_cqe *entry;
    io_uring_for_each_cqe(&uring->ring, head, entry) {
        if (count == capacity) break;
        count += take_entry_result(uring, entry, &completions[count]);
        seen++;
    }
    io_uring_cq_advance(&uring->ring, seen);
    return count;
}

/* Submits, runs what the kernel has put off, and sleeps where there is nothing to report yet. */
static int enter_kernel(struct uring_backend *uring, uint64_t timeout_ns) {
    if (timeout_ns == 0) return io_uring_submit_and_get_events(&uring->ring);
    struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / 1000000000),
                                        .tv_nsec = (long long)(timeout_ns % 1000000000)};
    struct io_uring_cqe *entry;
    return io_uring_submit_and_wait_timeout(&uring->ring, &entry, 1, timeout_ns == IO_WAIT_FOREVER ? NULL : &timeout,
                                            NULL);
}

static bool has_more(struct uring_backend *uring) {
    return io_uring_cq_ready(&uring->ring) > 0 || io_uring_cq_has_overflow(&uring->ring) || uring->ready.count > 0 ||
           (uring->parked.count > 0 && uring->free_buffers > 0);
}

static int uring_wait(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                      unsigned capacity) {
    struct uring_backend *uring = self(backend);
    if (uring->poll_descriptor >= 0) {
        eventfd_t value;
        (void)eventfd_read(uring->poll_descriptor, &value);
        uring->poll_marked = false;
    }
    if (uring->broken == 0) uring->broken = enable(uring);
    arm_wake(uring);
    restart_parked(uring);
    if (uring->broken < 0) return uring->broken;

    int result = enter_kernel(uring, has_more(uring) ? 0 : timeout_ns);
    if (result < 0 && !is_transient(result)) uring->broken = result;
    unsigned count = take_ready(uring, completions, capacity);
    count += take_entries(uring, completions + count, capacity - count);
    /* What has completed may be a new descriptor: it is told before the end is. */
    if (uring->broken < 0 && count == 0) return uring->broken;
    /* A refused call ran nothing of what the kernel has put off, and its notice has been read above. */
    bool refused = result < 0 && result != -ETIME;
    if (refused || io_uring_sq_ready(&uring->ring) > 0 || has_more(uring)) mark_pollable(uring);
    return (int)count;
}

/* ---- Wake, poll, life ---- */

/* The kernel reports the wake descriptor to the ring, but not reliably from there to another eventfd: such chains are
 * cut against recursion. So the poll descriptor is written here. Pairs with the store in uring_pollable, which makes
 * its descriptor readable itself, so that a wake just before it is not missed. */
static void uring_wake(struct io_backend *backend) {
    struct uring_backend *uring = self(backend);
    (void)eventfd_write(uring->wake_descriptor, 1);
    uint32_t shared = u32_load_acquire(&uring->shared_poll_descriptor);
    if (shared != 0) (void)eventfd_write((int)shared - 1, 1);
}

/* The ring's own descriptor does not tell of work that waits for the owner to enter the kernel, a registered eventfd
 * does. It is registered on first use because it costs a write per completion. */
static int uring_pollable(struct io_backend *backend) {
    struct uring_backend *uring = self(backend);
    if (uring->poll_descriptor >= 0) return uring->poll_descriptor;
    int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0) return -errno;
    int result = io_uring_register_eventfd(&uring->ring, descriptor);
    if (result < 0) {
        close(descriptor);
        return result;
    }
    uring->poll_descriptor = descriptor;
    u32_store_release(&uring->shared_poll_descriptor, (uint32_t)descriptor + 1);
    mark_pollable(uring); /* whatever happened before is for the first look to find */
    return descriptor;
}

static void uring_destroy(struct io_backend *backend) {
    struct uring_backend *uring = self(backend);
    WEIR_DCHECK(uring->operations.started == 0 || uring->broken < 0);
    if (uring->ring.ring_fd >= 0) io_uring_queue_exit(&uring->ring);
    if (uring->poll_descriptor >= 0) close(uring->poll_descriptor);
    if (uring->wake_descriptor >= 0) close(uring->wake_descriptor);
    if (uring->buffers != NULL) munmap(uring->buffers, (size_t)uring->buffer_count * uring->buffer_size);
    if (uring->buffer_ring != NULL) munmap(uring->buffer_ring, uring->buffer_count * sizeof(struct io_uring_buf));
    operations_destroy(&uring->operations);
    free(uring);
}

static const struct io_backend_operations uring_operations = {
    .name = "uring",
    .accept = uring_accept,
    .receive = uring_receive,
    .send = uring_send,
    .cancel = uring_cancel,
    .shutdown = uring_shutdown,
    .close = uring_close,
    .release = uring_release,
    .wait = uring_wait,
    .wake = uring_wake,
    .pollable = uring_pollable,
    .destroy = uring_destroy,
};

static int create_ring(struct uring_backend *uring, unsigned queue_entries, const char **step) {
    *step = "io_uring_setup";
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED,
        .cq_entries = queue_entries * COMPLETIONS_PER_ENTRY,
    };
    int result = io_uring_queue_init_params(queue_entries, &uring->ring, &parameters);
    if (result < 0) {
        uring->ring.ring_fd = -1;
        return result;
    }
    unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_FAST_POLL | IORING_FEAT_CQE_SKIP;
    return (parameters.features & needed) == needed ? 0 : -EOPNOTSUPP;
}

static void *map_pages(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static int create_buffers(struct uring_backend *uring, const char **step) {
    *step = "receive buffers";
    bool power_of_two = (uring->buffer_count & (uring->buffer_count - 1)) == 0;
    if (!power_of_two || uring->buffer_count > MAX_RECEIVE_BUFFERS) return -EINVAL;
    uring->buffer_ring = map_pages(uring->buffer_count * sizeof(struct io_uring_buf));
    uring->buffers = map_pages((size_t)uring->buffer_count * uring->buffer_size);
    if (uring->buffer_ring == NULL || uring->buffers == NULL) return -ENOMEM;
    *step = "io_uring_register of a buffer ring";
    struct io_uring_buf_reg registration = {.ring_addr = (uint64_t)(uintptr_t)uring->buffer_ring,
                                            .ring_entries = uring->buffer_count,
                                            .bgid = BUFFER_GROUP};
    int result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result < 0) return result;
    io_uring_buf_ring_init(uring->buffer_ring);
    for (unsigned i = 0; i < uring->buffer_count; i++) {
        give_buffer(uring, i);
    }
    uring->free_buffers = uring->buffer_count;
    return 0;
}

static int create_wake(struct uring_backend *uring, const char **step) {
    *step = "eventfd";
    uring->wake_descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return uring->wake_descriptor < 0 ? -errno : 0;
}

int uring_create_stepwise(struct io_backend **backend, const struct io_backend_config *config, const char **step) {
    unsigned queue_entries = config->queue_entries != 0 ? config->queue_entries : DEFAULT_QUEUE_ENTRIES;
    struct uring_backend *uring = calloc(1, sizeof *uring);
    *step = "memory";
    if (uring == NULL) return -ENOMEM;
    uring->base.operations = &uring_operations;
    uring->ring.ring_fd = -1;
    uring->poll_descriptor = -1;
    uring->wake_descriptor = -1;
    uring->buffer_count = config->receive_buffers != 0 ? config->receive_buffers : DEFAULT_RECEIVE_BUFFERS;
    uring->buffer_size = config->receive_size != 0 ? config->receive_size : DEFAULT_RECEIVE_SIZE;
    operations_list_init(&uring->parked);
    operations_list_init(&uring->ready);
    int result = operations_create(&uring->operations, queue_entries);
    if (result == 0) result = create_ring(uring, queue_entries, step);
    if (result == 0) result = create_buffers(uring, step);
    if (result == 0) result = create_wake(uring, step);
    if (result < 0) {
        uring_destroy(&uring->base);
        return result;
    }
    *backend = &uring->base;
    return 0;
}

int io_uring_backend_create(struct io_backend **backend, const struct io_backend_config *config) {
    const char *step;
    return uring_create_stepwise(backend, config, &step);
}
