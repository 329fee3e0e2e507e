/* A server under torture that the test drives itself, turn by turn, so that its calls come in the same order in every
 * run; and clients that ask until they are answered. */
#ifndef TORTURE_STAGE_H
#define TORTURE_STAGE_H

#include <weir_io.h>

#include "client.h"
#include "torture.h"

struct stage {
    struct torture *torture;
    weir_io_choice io;
    weir_engine *engine;
    weir_producer *producer;
    weir_session *session;
    weir_server *server;
    weir_reactor *reactor;
    unsigned descriptors; /* of the process, when the server had none but its own */
    bool ended;           /* the server has stopped by itself: its backend broke */
    uint64_t published;
    struct client client;
    struct client reader;
    uint64_t reader_met; /* failures that were there when the reader came */
};

/* Engine, producer, session "s", and the server on a port of its own. Returns early when the run gives up. */
void stage_open(struct stage *stage, struct torture *torture, weir_io_choice io);

/* One turn of the server. A server that has ended without having been asked to must have been hurt. */
void stage_turn(struct stage *stage);

/* Asks until the answer's status is one of the two (`other` 0: none). Everything else must come of a failure, and be a
 * 503, a 507, or a connection that is cut. A server that has stopped is made anew. */
void stage_ask(struct stage *stage, const char *request, int status, int other);

/* Begins to follow the session with that request, and waits until all that was published has come, in order. */
void stage_follow(struct stage *stage, const char *request);

/* Publishes one event, and waits until it has come to the reader, which may have to come back for it. */
void stage_publish(struct stage *stage, const char *request);

/* Everybody leaves: the server gives all they had back, while it runs. */
void stage_settle(struct stage *stage);

/* Drains the server to its end. */
void stage_drain(struct stage *stage);

void stage_close(struct stage *stage);

#endif
