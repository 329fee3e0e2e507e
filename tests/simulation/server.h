/* The server under test: engine, simulated backend and reactor with the real HTTP handlers. The handlers are called
 * through a watcher, which records what they accept. */
#ifndef WEIR_TESTS_SIMULATION_SERVER_H
#define WEIR_TESTS_SIMULATION_SERVER_H

#include "matrix.h"
#include "net/connection.h"
#include "net/reactor.h"
#include "net/stream.h"
#include "support/simulated_backend.h"

struct simulation;

#define SERVER_DESCRIPTORS 4096u /* numbers that the simulated backend may give */

/* What was seen of one reactor's life, for comparison with its own counters. */
struct server_seen {
    uint64_t requests, sends, accepted, accept_errors;
    uint64_t events, gaps, heartbeats, refused; /* heard by clients */
    uint64_t accept_again_ns;                   /* when it may try to accept again, after trouble */
    bool cut;                                   /* a connection ended before all was heard */
};

struct server {
    weir_engine *engine;
    weir_producer *producer;
    struct io_backend *backend;
    struct reactor_shared shared;
    struct reactor *reactor;
    struct reactor *reactors[1];
    int listener;
    struct server_seen seen;
    uint64_t now_ns;          /* while there is no backend */
    uint64_t wall_ms;         /* the wall clock's distance from the monotonic one */
    unsigned engines;         /* made in this run */
    bool going;               /* a drain or a stop has been asked for */
    bool draining;            /* it was a drain: */
    int drain_life[8];        /* by session: its life then, or -1, */
    uint64_t drain_newest[8]; /* and that life's newest event */
    uint64_t going_ns;        /* since when */
    unsigned turns;
    unsigned char sites[2][SERVER_DESCRIPTORS]; /* of the receive and the send that are started */
};

/* Makes the engine, if there is none, and the reactor. */
void server_open(struct simulation *simulation);
/* Frees the reactor, however busy it is, and with it the backend; and the engine. */
void server_close(struct simulation *simulation);
void server_close_engine(struct simulation *simulation);

/* One turn with the weather's memory. False when the reactor has ended. */
bool server_turn(struct simulation *simulation, uint64_t timeout_ns);
/* Turns until so much time has passed, or the reactor has ended. */
void server_run(struct simulation *simulation, uint64_t duration_ns);

/* Publishes `count` new events directly. */
void server_publish(struct simulation *simulation, unsigned name, unsigned count);
/* Publishes one event to all sessions at once. */
void server_broadcast(struct simulation *simulation);
/* The session's facts as they are; false when there is none. */
bool server_session(struct simulation *simulation, unsigned name, weir_session_info *info);
void server_terminate(struct simulation *simulation, unsigned name);

#endif
