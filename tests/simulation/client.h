/* A subscriber as a program would write one: it asks for a stream, reads it as fast as it is able to, and when the
 * connection ends it comes back after the server's `retry` with the last id that it has seen. It knows at every moment
 * what it must be told next; the truth tells it whether it was told the truth. */
#ifndef WEIR_TESTS_SIMULATION_CLIENT_H
#define WEIR_TESTS_SIMULATION_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "decoder.h"
#include "net/connection.h"
#include "support/random.h"
#include "support/simulated_backend.h"

struct simulation;

#define CLIENT_ID_MOST 64u

struct client {
    struct simulation *simulation;
    unsigned index;
    struct random random;
    unsigned name; /* the session that it wants */
    bool ndjson, http10, slow;

    struct simulated_peer *peer; /* NULL: away */
    uint64_t next_ns;            /* when it comes back */
    uint64_t heard_ns;           /* when it last heard anything */
    uint64_t stalled_until_ns;   /* reads nothing before */
    unsigned retry_ms;
    char request[512];
    size_t length, fed;
    bool finished; /* has sent FIN, and reads on */
    bool deaf;     /* sabotage: reads no more */
    struct decoder decoder;

    /* What it has seen, over all its connections. */
    char last_id[CLIENT_ID_MOST];
    bool presented, from_now;

    /* What it is to be told on this connection. */
    bool subscribed; /* the server has made it a stream: */
    bool gap_due;    /* a gap has to come first, */
    bool first;      /* and nothing has come yet */
    uint64_t oldest; /* when it was subscribed */
    char epoch[16];
    uint64_t next; /* sequence that must come next, */
    uint64_t start;
    uint64_t events, lost;         /* heard, and named in gaps, since `start` */
    uint64_t missing, missing_end; /* jumped over; the next frame shows whether they are lost or out of order */
    bool ended;                    /* by an end frame */
    bool retry_last;               /* a second retry has come: only the end may follow */
};

void client_start(struct simulation *simulation, unsigned index);
/* Its turn: comes, asks, reads, or misbehaves. */
void client_poll(struct client *client);
/* Ends its connection from its side, and reads what there is; it comes back after `delay_ns`. */
void client_leave(struct client *client, uint64_t delay_ns);
/* The weather is over: it asks for what it wants, reads everything, and comes back soon. */
void client_calm_down(struct client *client);
/* Whether it has been told everything that there is. */
bool client_is_at_head(struct client *client);

/* listening.c: a frame was heard. */
void client_take_frame(void *context, const struct frame *frame);
/* The server has made this connection a stream. */
void client_subscribed(struct simulation *simulation, const struct connection *connection);

#endif
