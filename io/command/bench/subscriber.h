/* One subscriber of the load: asks for a subscriber, takes it apart, checks each event, and can leave and come back. */
#ifndef WEIR_IO_COMMAND_BENCH_SUBSCRIBER_H
#define WEIR_IO_COMMAND_BENCH_SUBSCRIBER_H

#include <stdbool.h>
#include <stdint.h>

#include <llhttp.h>

#include "bench_options.h"
#include "command/sse_decoder.h"
#include "ledger.h"
#include "link.h"
#include "verifier.h"

enum subscriber_state {
    SUBSCRIBER_AWAY,    /* no connection */
    SUBSCRIBER_OPENING, /* asked, not answered */
    SUBSCRIBER_LIVE,
    SUBSCRIBER_LEAVING /* the connection is ending */
};

struct subscriber {
    struct ledger *ledger;
    const struct bench_plan *plan;
    struct link link;
    enum subscriber_state state;
    uint32_t session;
    bool slow;
    bool paused; /* a slow one that has read enough for now */
    bool behind; /* has not caught up since the last storm */
    bool failed; /* the last connection ended without having been told to; `problem` says why */
    unsigned status;
    uint64_t readable_ns; /* when a slow one may read again */
    uint64_t retry_ns;    /* not to be opened before */
    uint64_t now_ns;      /* of the bytes that are being taken */
    char *request;        /* while it is being sent */
    size_t request_length;
    size_t request_sent;
    const char *problem;
    llhttp_t parser;
    struct sse_decoder decoder;
    struct verifier verifier;
};

/* `index` names it in the tokens of `backend`. The stream must not move afterwards. False when there is no memory. */
bool subscriber_init(struct subscriber *subscriber, struct ledger *ledger, const struct bench_plan *plan,
                     struct io_backend *backend, uint32_t index);
void subscriber_free(struct subscriber *subscriber);

/* Connects and asks, behind the last id that came. From AWAY to OPENING; false, with `problem`, when it cannot. */
bool subscriber_open(struct subscriber *subscriber);

/* Takes a completion of its link. */
void subscriber_take(struct subscriber *subscriber, bool is_send, const struct io_completion *completion);

/* Leaves, without a word to the server. */
void subscriber_leave(struct subscriber *subscriber);

/* A slow one that may read again does; `hurry`: whatever its rate. */
void subscriber_resume(struct subscriber *subscriber, uint64_t now_ns, bool hurry);

/* It has everything that the server took. */
bool subscriber_is_complete(const struct subscriber *subscriber);

#endif
