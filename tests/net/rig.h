/* A whole reactor in one thread: engine, connections, routes, on the simulated backend and its fake time. The test
 * plays the peers and says when time passes; nothing else happens.
 *
 * Every rig checks at its end that all descriptors, operations and buffers came back (the simulated backend aborts
 * otherwise). */
#ifndef WEIR_TESTS_NET_RIG_H
#define WEIR_TESTS_NET_RIG_H

#include "net/connection.h"
#include "net/reactor.h"
#include "net/stream.h"
#include "support/simulated_backend.h"

struct rig {
    struct io_backend *backend;
    weir_engine *engine;
    weir_producer *producer;
    struct reactor_shared shared;
    struct reactor *reactor;
    struct reactor *reactors[1];
    int listener;
    int admin_listener;   /* -1: none */
    uint64_t last_now_ns; /* when the backend went */
};

/* What differs from the defaults; 0 keeps them. */
struct rig_options {
    struct simulated_faults faults;
    weir_config engine; /* size, clock and entropy are the rig's */
    weir_server_config server;
    bool admin; /* a second listener, for the admin routes */
};

/* The defaults: 15 s heartbeat, 10 s head, 30 s body, 60 s idle, 30 s stall, 5 s drain, retry 1 s. `options` may be
 * NULL. Fails the test when anything fails. */
void rig_open(struct rig *rig, const struct rig_options *options);
/* The same, but says whether it worked; what it made is undone when it did not. */
bool rig_try_open(struct rig *rig, const struct rig_options *options);
/* Closes whatever is open, however busy it is. */
void rig_close(struct rig *rig);

/* Lets fake time pass, with everything that happens in it. */
void rig_run(struct rig *rig, uint32_t duration_ms);

struct simulated_peer *rig_connect(struct rig *rig);
void rig_feed(struct simulated_peer *peer, const char *text);
/* A peer that has sent `text`, and time for the answer. */
struct simulated_peer *rig_ask(struct rig *rig, const char *text);

/* The session, created if need be. The reference is given back: the rig's sessions live in the registry. */
weir_session *rig_session(struct rig *rig, const char *name);
/* Publishes to it; returns the sequence. */
uint64_t rig_publish(struct rig *rig, const char *name, const char *text);
/* The numbers from `first` to `last` as events of their own, each made `length` bytes long by leading zeros. */
void rig_publish_numbers(struct rig *rig, const char *name, unsigned first, unsigned last, unsigned length);

/* The reactor's connection of a peer, NULL when it has none. */
struct connection *rig_connection(const struct rig *rig, const struct simulated_peer *peer);

#endif
