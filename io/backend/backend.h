/* The I/O operations that a reactor uses, as one small table with three implementations: io_uring, epoll, and the
 * simulated one of the tests.
 *
 * The shape is io_uring's: an operation is started, and later one completion tells its result. One thread, the
 * owner, calls everything but `wake`.
 *
 * Preconditions, for every backend
 *   - A token names one started operation and comes back exactly once, in exactly one completion. The reactor packs
 *     object, generation and operation kind into it; a backend never looks inside. IO_TOKEN_NONE is reserved.
 *   - Per descriptor at most one receive and one send are started at a time, and at most one accept per listener.
 *   - Memory given to `send` stays unchanged until its completion has been taken from `wait`.
 *   - Before `close` every operation on that descriptor has completed. To get there: `shutdown`, then `cancel`.
 *   - Starting an operation never fails for want of room in a queue: a full queue is submitted and tried again.
 *     Whatever else goes wrong when it starts arrives as a completion with a negative result. */
#ifndef WEIR_IO_BACKEND_BACKEND_H
#define WEIR_IO_BACKEND_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#define IO_TOKEN_NONE   UINT64_MAX
#define IO_WAIT_FOREVER UINT64_MAX

struct io_completion {
    uint64_t token;
    int32_t result; /* bytes moved, a new descriptor, or -errno */
    uint32_t size;  /* bytes at `data`: equals result for a receive that got some, else 0 */
    char *data;     /* a receive's bytes, in a buffer of the backend's: hand it to `release` soon. Else NULL */
};

struct io_backend;

struct io_backend_operations {
    const char *name; /* "uring", "epoll", "simulated" */

    /* Takes one connection from a listening socket: the result is its descriptor, non-blocking and close-on-exec. */
    void (*accept)(struct io_backend *backend, int descriptor, uint64_t token);

    /* Receives some bytes into a buffer of the backend's: an idle connection owns none. Result 0: the peer sent FIN.
     * An empty buffer pool is the backend's to wait out; -ENOBUFS never leaves it. */
    void (*receive)(struct io_backend *backend, int descriptor, uint64_t token);

    /* Sends bytes. The backend goes on until all are taken, but may complete short (an error or a cancel after some
     * were taken): advance by the result, always. No SIGPIPE. */
    void (*send)(struct io_backend *backend, int descriptor, const void *data, size_t length, uint64_t token);

    /* Asks for the end of a started operation; it still completes, with its own result or -ECANCELED. The cancel
     * itself has no completion. A token that is not started is ignored. */
    void (*cancel)(struct io_backend *backend, uint64_t token);

    /* shutdown(2) with SHUT_RD, SHUT_WR or SHUT_RDWR; errors are ignored, the peer may be gone. */
    void (*shutdown)(struct io_backend *backend, int descriptor, int how);
    void (*close)(struct io_backend *backend, int descriptor);

    /* Gives a receive buffer back. */
    void (*release)(struct io_backend *backend, char *data);

    /* Starts what is queued and takes completions: up to `capacity`, at once when some are ready, else after at most
     * timeout_ns (0: only look). Returns their number; 0 after a wake, a signal or the timeout, and now and then
     * earlier, for a reason of the backend's own; -errno when the backend itself is broken. */
    int (*wait)(struct io_backend *backend, uint64_t timeout_ns, struct io_completion *completions,
                unsigned capacity);

    /* Makes the current or the next `wait` return soon. Any thread, any number of times. */
    void (*wake)(struct io_backend *backend);

    /* A descriptor that polls readable when `wait(0)` has something to do: for embedders with a loop of their own.
     * -errno when there is none. */
    int (*pollable)(struct io_backend *backend);

    /* Frees the backend. All descriptors are closed and no operation is started. */
    void (*destroy)(struct io_backend *backend);
};

/* The first member of every backend's own structure. */
struct io_backend {
    const struct io_backend_operations *operations;
};

struct io_backend_config {
    unsigned queue_entries;   /* submission queue; completions get four times as many. Default 1,024 */
    unsigned receive_buffers; /* number of receive buffers, a power of two. Default 64 */
    unsigned receive_size;    /* bytes in each. Default 8,192 */
};

/* Both return 0 or -errno. `config` is not kept. */
int io_uring_backend_create(struct io_backend **backend, const struct io_backend_config *config);
int io_epoll_backend_create(struct io_backend **backend, const struct io_backend_config *config);

#endif
