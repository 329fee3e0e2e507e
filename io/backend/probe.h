/* Which backend can run here, found out once at start by trying it. */
#ifndef WEIR_IO_BACKEND_PROBE_H
#define WEIR_IO_BACKEND_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum io_choice { IO_AUTO = 0, IO_URING, IO_EPOLL };

struct io_probe {
    enum io_choice backend; /* IO_URING or IO_EPOLL */
    bool usable;            /* false: IO_URING was demanded and cannot run */
    char reason[160]; /* one line for a person: "io_uring: kernel 6.18" or "epoll: io_uring_setup: Operation ..." */
};

/* Creates an io_uring backend and passes real bytes through a socket pair: receive into a provided buffer, a send, a
 * cancelled receive, a wake. Whatever fails is named in `reason`, and IO_AUTO falls back to epoll. Blocks for no more
 * than a second. */
void io_probe(enum io_choice wanted, struct io_probe *probe);

#endif
