/* One TCP connection of the load on an I/O backend. There is no operation for connecting: the connect is started,
 * not waited for, and the first send waits for its end and learns of its failure. */
#ifndef WEIR_IO_COMMAND_BENCH_LINK_H
#define WEIR_IO_COMMAND_BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"
#include "target.h"

struct link {
    struct io_backend *backend;
    uint64_t token; /* of its receives; that of its sends is one more */
    int descriptor; /* -1: none */
    bool receiving; /* true exactly while the backend has the operation */
    bool sending;
    bool closing;
};

/* `index` is the caller's name for it, given back by link_index. */
void link_init(struct link *link, struct io_backend *backend, uint32_t index);

static inline uint32_t link_index(uint64_t token) {
    return (uint32_t)(token >> 1);
}

static inline bool link_is_send(uint64_t token) {
    return (token & 1) != 0;
}

/* Starts to connect. With a receive_buffer other than 0 the kernel buffers about so much on this side. 0 or -errno. */
int link_connect(struct link *link, const struct target *target, int receive_buffer);

void link_receive(struct link *link);
void link_send(struct link *link, const char *data, size_t length);

/* Notes that an operation came back. Call first for every completion. */
void link_note(struct link *link, bool is_send);

/* Begins to end the connection by a reset: a load that comes and goes must not run out of ports that wait. Once it
 * is over (link_is_closed), after the operations have come back, it may connect again. */
void link_close(struct link *link);

static inline bool link_is_closed(const struct link *link) {
    return link->descriptor < 0;
}

#endif
