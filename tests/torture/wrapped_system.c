/* System calls as the libraries see them: the linker sends their calls here (see CMakeLists.txt). */
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "faults.h"

#define SITE __builtin_return_address(0)

/* WRAP(call, result, function, parameters, arguments): fails with -1 and errno, like most system calls. */
#define WRAP(call, result, function, parameters, arguments)                                                          \
    result __real_##function parameters;                                                                             \
    result __wrap_##function parameters;                                                                             \
    result __wrap_##function parameters {                                                                            \
        return fault_now(CALL_##call, SITE) ? (result)-1 : __real_##function arguments;                              \
    }

WRAP(GETRANDOM, ssize_t, getrandom, (void *memory, size_t size, unsigned flags), (memory, size, flags))
WRAP(SOCKET, int, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(SOCKETPAIR, int, socketpair, (int domain, int type, int protocol, int pair[2]), (domain, type, protocol, pair))
WRAP(BIND, int, bind, (int descriptor, const struct sockaddr *address, socklen_t length),
     (descriptor, address, length))
WRAP(LISTEN, int, listen, (int descriptor, int backlog), (descriptor, backlog))
WRAP(ACCEPT, int, accept4, (int descriptor, struct sockaddr *address, socklen_t *length, int flags),
     (descriptor, address, length, flags))
WRAP(RECV, ssize_t, recv, (int descriptor, void *data, size_t size, int flags), (descriptor, data, size, flags))
WRAP(SEND, ssize_t, send, (int descriptor, const void *data, size_t size, int flags), (descriptor, data, size, flags))
WRAP(SETSOCKOPT, int, setsockopt, (int descriptor, int level, int name, const void *value, socklen_t length),
     (descriptor, level, name, value, length))
WRAP(EPOLL_CREATE, int, epoll_create1, (int flags), (flags))
WRAP(EPOLL_WAIT, int, epoll_wait, (int descriptor, struct epoll_event *events, int count, int timeout_ms),
     (descriptor, events, count, timeout_ms))
WRAP(EVENTFD, int, eventfd, (unsigned value, int flags), (value, flags))
WRAP(GETRLIMIT, int, getrlimit, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit))
WRAP(SETRLIMIT, int, setrlimit, (__rlimit_resource_t resource, const struct rlimit *limit), (resource, limit))
WRAP(UNAME, int, uname, (struct utsname * name), (name))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_shutdown(int descriptor, int how);
int __wrap_shutdown(int descriptor, int how);
int __real_epoll_ctl(int descriptor, int operation, int target, struct epoll_event *event);
int __wrap_epoll_ctl(int descriptor, int operation, int target, struct epoll_event *event);
int __real_fcntl(int descriptor, int command, ...);
int __wrap_fcntl(int descriptor, int command, ...);
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

/* The libraries and the command open files only to read them: there is no mode. */
int __wrap_open(const char *path, int flags, ...) {
    return fault_now(CALL_OPEN, SITE) ? -1 : __real_open(path, flags);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    return fault_now(CALL_OPEN, SITE) ? NULL : __real_fopen(path, mode);
}

/* It fails only for a peer that is gone: what it was to bring about has come about. */
int __wrap_shutdown(int descriptor, int how) {
    int result = __real_shutdown(descriptor, how);
    return fault_now(CALL_SHUTDOWN, SITE) ? -1 : result;
}

/* Taking a descriptor out of a set does not fail; it is when one is put in that memory is needed. */
int __wrap_epoll_ctl(int descriptor, int operation, int target, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD && fault_now(CALL_EPOLL_CTL, SITE)) return -1;
    return __real_epoll_ctl(descriptor, operation, target, event);
}

int __wrap_fcntl(int descriptor, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    return fault_now(CALL_FCNTL, SITE) ? -1 : __real_fcntl(descriptor, command, argument);
}

/* The libraries make one call by number: epoll_pwait2, with six arguments. */
long __wrap_syscall(long number, ...) {
    long arguments[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    if (fault_now(CALL_EPOLL_PWAIT2, SITE)) return -1;
    return __real_syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    return fault_now(CALL_THREAD, SITE) ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}
