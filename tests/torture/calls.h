/* The calls that a test can make fail, and how each of them fails. One line per call: its name, the call, and the errors
 * that it may give, the first of them lasting: an error that says "ask again" (EINTR, EAGAIN) cannot be the answer for
 * ever. 0 stands for what fails without an errno, such as an allocator that returns NULL.
 *
 * EAGAIN of accept, recv and send is not among them: the kernel gives it together with the promise to tell when there is
 * something, which a wrapper cannot keep. */
#ifndef TORTURE_CALLS_H
#define TORTURE_CALLS_H

#include <errno.h>
#include <stdbool.h>

#define TORTURE_CALLS(X)                                                                                             \
    X(ENGINE_MEMORY, "weir_allocator.allocate", 0)                                                                   \
    X(ENTROPY, "weir_entropy.fill", 0)                                                                               \
    X(MALLOC, "malloc", ENOMEM)                                                                                      \
    X(CALLOC, "calloc", ENOMEM)                                                                                      \
    X(REALLOC, "realloc", ENOMEM)                                                                                    \
    X(STRDUP, "strdup", ENOMEM)                                                                                      \
    X(ALIGNED, "aligned_alloc", ENOMEM)                                                                              \
    X(MALLOCX, "mallocx", ENOMEM)                                                                                    \
    X(MALLCTL, "mallctl", ENOMEM)                                                                                    \
    X(MMAP, "mmap", ENOMEM)                                                                                          \
    X(MADVISE, "madvise", ENOMEM, EAGAIN)                                                                            \
    X(JSON, "malloc of jansson", ENOMEM)                                                                             \
    X(GETRANDOM, "getrandom", ENOSYS, EINTR)                                                                         \
    X(THREAD, "pthread_create", EAGAIN_LASTING)                                                                      \
    X(SOCKET, "socket", EMFILE, ENFILE, ENOMEM)                                                                      \
    X(SOCKETPAIR, "socketpair", EMFILE, ENFILE, ENOMEM)                                                              \
    X(BIND, "bind", EADDRINUSE, EACCES, ENOMEM)                                                                      \
    X(LISTEN, "listen", EADDRINUSE, EOPNOTSUPP)                                                                      \
    X(ACCEPT, "accept4", EMFILE, ENFILE, ECONNABORTED, EINTR)                                                        \
    X(RECV, "recv", ECONNRESET, ETIMEDOUT, ENOMEM, EHOSTUNREACH, EINTR)                                              \
    X(SEND, "send", ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EINTR)                                                       \
    X(SHUTDOWN, "shutdown", ENOTCONN)                                                                                \
    X(SETSOCKOPT, "setsockopt", ENOMEM, EPERM)                                                                       \
    X(FCNTL, "fcntl", EPERM)                                                                                         \
    X(EPOLL_CREATE, "epoll_create1", EMFILE, ENFILE, ENOMEM)                                                         \
    X(EPOLL_CTL, "epoll_ctl", ENOMEM, ENOSPC)                                                                        \
    X(EPOLL_WAIT, "epoll_wait", EBADF, EINTR)                                                                        \
    X(EPOLL_PWAIT2, "epoll_pwait2", ENOSYS, EPERM, EINTR)                                                            \
    X(EVENTFD, "eventfd", EMFILE, ENFILE, ENOMEM)                                                                    \
    X(OPEN, "open", EMFILE, ENFILE, EACCES, EINTR)                                                                   \
    X(SETRLIMIT, "setrlimit", EPERM)                                                                                 \
    X(GETRLIMIT, "getrlimit", EPERM)                                                                                 \
    X(UNAME, "uname", EFAULT)                                                                                        \
    X(URING_SETUP, "io_uring_setup", ENOSYS, EPERM, ENOMEM, EMFILE, ENFILE)                                          \
    X(URING_ENABLE, "io_uring_register (enable)", EBADFD, EACCES)                                                    \
    X(URING_RING_FD, "io_uring_register (ring descriptor)", ENOMEM, EINVAL)                                          \
    X(URING_BUFFERS, "io_uring_register (buffers)", ENOMEM, EINVAL, EPERM)                                           \
    X(URING_EVENTFD, "io_uring_register (eventfd)", EBADF, EBUSY, ENOMEM)                                            \
    X(URING_ENTER, "io_uring_enter", EBADR, ENOMEM, EINTR, EAGAIN, EBUSY)

/* pthread_create's EAGAIN means "no more threads", not "ask again". */
#define EAGAIN_LASTING EAGAIN

enum call {
#define TORTURE_CALL_ENUM(name, text, ...) CALL_##name,
    TORTURE_CALLS(TORTURE_CALL_ENUM)
#undef TORTURE_CALL_ENUM
        CALLS
};

const char *call_name(enum call call);

/* How many ways to fail the call has. */
unsigned call_variants(enum call call);

/* The error of that variant. */
int call_error(enum call call, unsigned variant);

#endif
