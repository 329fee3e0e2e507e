/* io_uring as the libraries see it: liburing's functions, which fail with -errno. A call that fails has had no effect,
 * as when the kernel refuses it at the door. */
#include <liburing.h>

#include "faults.h"

#define SITE __builtin_return_address(0)

#define WRAP(call, function, parameters, arguments)                                                                  \
    int __real_##function parameters;                                                                                \
    int __wrap_##function parameters;                                                                                \
    int __wrap_##function parameters {                                                                               \
        return fault_now(CALL_##call, SITE) ? -errno : __real_##function arguments;                                  \
    }

WRAP(URING_SETUP, io_uring_queue_init_params,
     (unsigned entries, struct io_uring *ring, struct io_uring_params *parameters), (entries, ring, parameters))
WRAP(URING_ENABLE, io_uring_register, (unsigned descriptor, unsigned code, const void *argument, unsigned count),
     (descriptor, code, argument, count))
WRAP(URING_RING_FD, io_uring_register_ring_fd, (struct io_uring * ring), (ring))
WRAP(URING_BUFFERS, io_uring_register_buf_ring,
     (struct io_uring * ring, struct io_uring_buf_reg *registration, unsigned flags), (ring, registration, flags))
WRAP(URING_EVENTFD, io_uring_register_eventfd, (struct io_uring * ring, int descriptor), (ring, descriptor))
WRAP(URING_ENTER, io_uring_submit, (struct io_uring * ring), (ring))
WRAP(URING_ENTER, io_uring_submit_and_get_events, (struct io_uring * ring), (ring))
WRAP(URING_ENTER, io_uring_submit_and_wait_timeout,
     (struct io_uring * ring, struct io_uring_cqe **entry, unsigned count, struct __kernel_timespec *timeout,
      sigset_t *signals),
     (ring, entry, count, timeout, signals))
