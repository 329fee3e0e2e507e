/* A server on io_uring whose entries may be replaced, with a client that follows a session and one that suffers. */
#ifndef TORTURE_RING_STAGE_H
#define TORTURE_RING_STAGE_H

#include <weir_io.h>

#include "engine/prelude.h"

#include "census.h"
#include "client.h"
#include "ring_inject.h"
#include "support/counting_allocator.h"

#define RING_REQUEST   "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
#define RING_FOLLOWING "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n"

struct ring_stage {
    struct counting_allocator memory;
    weir_engine *engine;
    weir_producer *producer;
    weir_session *session;
    weir_server *server;
    weir_reactor *reactor;
    struct census before;
    uint64_t published;
    struct client victim;
    struct client follower;
};

extern struct ring_stage ring_stage;

/* For cmocka. Closing checks that nothing is left: blocks, descriptors, threads. */
int ring_open(void **state);
int ring_close(void **state);

const char *ring_address(void);

/* One turn of the server, which must go on working. */
void ring_turn(void);

/* The whole answer, or the end of the connection: its status, 0 when it was cut. */
int ring_await_answer(struct client *client);

uint64_t ring_metric(const char *name);

/* The next event of the session: its number as text. */
void ring_publish(void);

/* Whether the newest event has come to the follower. All before it must have come then, each once and without a gap. */
bool ring_has_all(void);

/* Turns until it has; the follower comes back when it is cut off. Returns how often it came. */
unsigned ring_catch_up(void);

#endif
