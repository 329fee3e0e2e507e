/* A backend without a kernel, for tests: connections are memory, time is a number, and everything that can happen to
 * a connection happens when the test or the seed says so. One seed, one run: there is no other source of chance.
 *
 * Below the table of backend.h the test plays the peers: it listens, connects, feeds bytes, sends FIN or a reset,
 * sets how much a peer takes before it stalls, and reads what was sent. Handles live as long as the backend.
 *
 * Time moves only in `wait`: a microsecond per call, and up to the timeout when nothing is ready before. `wait` with
 * IO_WAIT_FOREVER and nothing ready or due returns 0 at once, so that the test can play on.
 *
 * Every precondition of backend.h is checked. A violation prints what and the seed, and aborts. Descriptors are no
 * real ones: system calls on them fail with EBADF. */
#ifndef WEIR_TESTS_SUPPORT_SIMULATED_BACKEND_H
#define WEIR_TESTS_SUPPORT_SIMULATED_BACKEND_H

#include "backend/backend.h"

#include <stdbool.h>

enum simulated_kind { SIMULATED_ACCEPT, SIMULATED_RECEIVE, SIMULATED_SEND, SIMULATED_WAIT };

/* The errors that an operation may end with by chance, and with which kinds: A accept, R receive, S send. */
#define SIMULATED_ERROR_LIST(X)                                                                                      \
    X(EAGAIN, A | R | S)                                                                                             \
    X(EINTR, A | R | S)                                                                                              \
    X(ENOBUFS, A | R | S)                                                                                            \
    X(ENOMEM, A | R | S)                                                                                             \
    X(ETIMEDOUT, R | S)                                                                                              \
    X(EHOSTUNREACH, R | S)                                                                                           \
    X(ENOTCONN, R | S)                                                                                               \
    X(EPIPE, S)                                                                                                      \
    X(EMFILE, A)                                                                                                     \
    X(ENFILE, A)                                                                                                     \
    X(ECONNABORTED, A)                                                                                               \
    X(EPERM, A)                                                                                                      \
    X(EPROTO, A)

/* What can happen to an operation, for who counts it. */
enum simulated_fault {
    SIMULATED_PARTIAL,       /* fewer bytes than there were, or than were asked for */
    SIMULATED_LATE,          /* its completion is held back */
    SIMULATED_LOST,          /* for good, until a cancel or the end of this weather */
    SIMULATED_OVERTAKEN,     /* one that became ready later was delivered before */
    SIMULATED_RESET,         /* the connection was reset */
    SIMULATED_FINISHED,      /* a receive met FIN */
    SIMULATED_NO_BUFFER,     /* a receive found no buffer free */
    SIMULATED_NO_ROOM,       /* a send found the peer's window full */
    SIMULATED_CANCELLED,     /* a cancel ended it */
    SIMULATED_CANCEL_BEATEN, /* a cancel came, and its own result was first */
    SIMULATED_CANCEL_SLOW,   /* a cancel came, and takes effect later */
    SIMULATED_ZERO,          /* a send that ends with 0 */
    SIMULATED_EARLY,         /* a wait that returned before its time */
    SIMULATED_BROKEN,        /* a wait that failed: the backend is broken */
#define SIMULATED_ERROR_FAULT(name, kinds) SIMULATED_##name,
    SIMULATED_ERROR_LIST(SIMULATED_ERROR_FAULT)
#undef SIMULATED_ERROR_FAULT
        SIMULATED_FAULTS
};

/* Told of what happens. All may be NULL; `violated`, if there is one, must not return. */
struct simulated_observer {
    void *context;
    void (*fault)(void *context, enum simulated_kind kind, int descriptor, enum simulated_fault fault);
    void (*started)(void *context, enum simulated_kind kind, int descriptor, uint64_t token);
    void (*completed)(void *context, enum simulated_kind kind, int descriptor, int32_t result);
    /* A precondition was broken; `memory`: the bytes of a send changed under it. */
    void (*violated)(void *context, bool memory, const char *text);
};

/* What happens to an operation whose end is asked for. */
enum simulated_cancel {
    SIMULATED_CANCEL_WINS,     /* it ends at once: -ECANCELED, or the bytes sent so far */
    SIMULATED_OPERATION_WINS,  /* where it can complete with its own result it does; else as above */
    SIMULATED_CANCEL_LATE,     /* it goes on for a while; what comes first, counts */
    SIMULATED_CANCEL_ANY_ORDER /* one of these by chance, each time anew */
};

/* All zero: no faults. Chances are per cent of the occasions. */
struct simulated_faults {
    uint64_t seed;
    unsigned short_send;      /* a send completes before all is taken: any count from 1 to all but one */
    unsigned split_receive;   /* a receive brings fewer bytes than are there */
    unsigned late_completion; /* a completion is held back for up to max_delay_ns */
    uint64_t max_delay_ns;    /* 0: 1 ms. Of late completions and late cancels */
    unsigned reset;           /* a connection is reset when it next sends, after some of the bytes */
    unsigned accept_error;    /* an accept fails: -EMFILE, or -ECONNABORTED and the peer is gone */
    unsigned early_wait;      /* a wait returns at once, for nothing */
    unsigned error;           /* per mille: an operation ends with an error of the list, having done nothing */
    unsigned lost;            /* per mille: a completion comes only after a cancel, or when `lost` is 0 again */
    bool reorder;             /* what is ready is delivered in any order */
    enum simulated_cancel cancel;
    unsigned receive_buffers; /* lent at once. 0: 64 */
    unsigned receive_size;    /* 0: 8,192 */
};

struct simulated_peer;

/* `faults` NULL: none. Aborts when there is no memory, like all functions here. */
struct io_backend *simulated_create(const struct simulated_faults *faults);
/* From now on; the seed and the buffers stay. */
void simulated_set_faults(struct io_backend *backend, const struct simulated_faults *faults);

/* The observer is copied. */
void simulated_observe(struct io_backend *backend, const struct simulated_observer *observer);
/* Every wait from now on fails with `error` (positive errno), and what is started never completes. */
void simulated_break(struct io_backend *backend, int error);

uint64_t simulated_now_ns(const struct io_backend *backend);
void simulated_advance(struct io_backend *backend, uint64_t duration_ns);

/* A listening descriptor. */
int simulated_listen(struct io_backend *backend);
/* The next accept on it fails with `error` (positive errno); several calls queue up. */
void simulated_fail_accept(struct io_backend *backend, int listener, int error);

/* A peer that waits to be accepted; it may already feed. */
struct simulated_peer *simulated_connect(struct io_backend *backend, int listener);
/* A pair without a listener: the peer, and its descriptor at once. */
struct simulated_peer *simulated_pair(struct io_backend *backend, int *descriptor);

void simulated_feed(struct simulated_peer *peer, const void *data, size_t length);
void simulated_finish(struct simulated_peer *peer); /* FIN behind what was fed */
void simulated_reset(struct simulated_peer *peer);  /* what was fed and not received is lost */

/* How many bytes may lie unread at the peer before it takes no more. At first SIZE_MAX. */
void simulated_set_window(struct simulated_peer *peer, size_t bytes);
/* Reads (and so makes room for) up to `capacity` bytes; data may be NULL. Returns their number. */
size_t simulated_read(struct simulated_peer *peer, void *data, size_t capacity);
/* All bytes ever sent to the peer, read or not. Good until the next `wait`. */
const char *simulated_sent(const struct simulated_peer *peer, size_t *length);

/* The test will not use the handle again: it goes when the owner has closed the connection. */
void simulated_dismiss(struct simulated_peer *peer);

int simulated_descriptor(const struct simulated_peer *peer);  /* -1 until accepted, and after the close */
bool simulated_saw_finish(const struct simulated_peer *peer); /* the owner shut down or closed its sending side */
bool simulated_saw_reset(const struct simulated_peer *peer);  /* reset by a fault, or closed with bytes unreceived */
bool simulated_was_closed(const struct simulated_peer *peer); /* the owner closed the descriptor */
unsigned simulated_open_descriptors(const struct io_backend *backend);
unsigned simulated_started_operations(const struct io_backend *backend);
unsigned simulated_lent_buffers(const struct io_backend *backend);

#endif
