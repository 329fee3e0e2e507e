/* A client's connection to a server, in the same thread: real sockets (real_link.c), or memory with a time of its own
 * (simulated_link.c). */
#ifndef WEIR_TESTS_CONFORMANCE_LINK_H
#define WEIR_TESTS_CONFORMANCE_LINK_H

#include <weir_io.h>

#include "case_file.h"
#include "case_text.h"

struct link;

struct link_operations {
    /* Connects to the server of this kind, whose engine and producer are the link's from then on. */
    void (*connect)(struct link *link, enum server_kind server);
    /* Sends, and lets the server take what it has been sent before this returns. */
    void (*send)(struct link *link, const char *data, size_t length);
    /* FIN. */
    void (*finish)(struct link *link);
    /* Lets the server work until something comes: bytes, or the end. False when nothing does. */
    bool (*receive)(struct link *link);
    /* Lets every deadline pass that a connection may have. NULL where time is real. */
    void (*wait_out)(struct link *link);
    /* Begins a drain of the server, which is of no use afterwards. NULL where the server is shared. */
    void (*drain)(struct link *link);
    /* Hangs up, and lets the server notice. */
    void (*disconnect)(struct link *link);
};

struct link {
    const struct link_operations *operations;
    weir_engine *engine;
    weir_producer *producer;
    struct case_text received; /* since the connect */
    bool ended;                /* FIN came */
    bool broken;               /* a reset came */
};

/* The token of the server that has one. */
#define CONFORMANCE_TOKEN "correct-horse-battery"

/* Opens a server of each kind on that backend; false when it cannot run here. */
bool real_link_open(struct link **link, weir_io_choice io);
void real_link_close(struct link *link);

struct link *simulated_link_open(enum server_kind server);
void simulated_link_close(struct link *link);

#endif
