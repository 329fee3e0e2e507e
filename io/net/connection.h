/* A connection: its socket, the request being received, what is being sent. Owned by its reactor's thread.
 *
 *   REQUEST   receives requests and answers them, one after the other, pipelined ones included
 *   STREAM    its last answer is an event stream; what the peer sends now is thrown away
 *   LINGER    the last bytes are out and our side is shut: waits for the peer's FIN, so that a close does not turn
 *             unread input into a reset that destroys what the peer has not read yet
 *   CLOSING   shut and cancelled: waits until the kernel holds neither operation, then is closed and freed
 *
 * At most one receive and one send are started; `receiving` and `sending` are true exactly while the kernel holds
 * them. What a send reads stays put until it completes: bytes of `flight`, or a batch that is held. */
#ifndef WEIR_IO_NET_CONNECTION_H
#define WEIR_IO_NET_CONNECTION_H

#include "buffer.h"
#include "reactor.h"

struct stream;

#define STALL_LOOKS 4u /* at a send in one stall_timeout_ms; when all of them find no progress it is stalled */

enum connection_state { CONNECTION_REQUEST, CONNECTION_STREAM, CONNECTION_LINGER, CONNECTION_CLOSING };

/* What it takes to receive requests. A stream, of which there are many that only wait, has none. */
struct intake {
    struct http_parser *parser;
    struct buffer body;
    struct buffer held; /* received, but not parsed before the output has shrunk */
};

struct connection {
    struct reactor *reactor;
    struct stream *stream; /* in state STREAM */
    uint32_t index;        /* of its place in the reactor's table */
    uint32_t generation;
    int descriptor;
    uint8_t state;
    uint8_t role; /* listener_role it came in by */
    bool receiving;
    bool sending;
    bool end_after_output; /* when all is sent: linger */
    bool peer_finished;    /* FIN was received */
    bool refused;          /* the rest of the input is not a request any more */
    bool body_wanted;      /* exchange.head has accepted the request */
    bool buried;           /* on the reactor's list of those to free */
    struct connection *next_buried;
    struct timer timer;

    struct buffer output; /* answers and control frames that wait for the send in flight */
    struct buffer flight; /* owned bytes in flight */
    struct batch *batch;  /* or the held batch in flight */
    const char *send_data;
    size_t send_length;
    size_t send_done;
    uint64_t progress;   /* socket_progress at the last look */
    uint8_t stall_looks; /* looks in a row that found none */

    struct intake *intake; /* NULL from when it is a stream */
    uint64_t discarded;    /* bytes thrown away in STREAM and LINGER */
};

/* Takes over an accepted descriptor. */
void connection_open(struct reactor *reactor, int descriptor, enum listener_role role);

/* Completions. */
void connection_received(struct connection *connection, struct io_completion *completion);
void connection_sent(struct connection *connection, int32_t result);
/* Its timer is due. */
void connection_expired(struct connection *connection, enum timer_kind kind);

/* Sends what waits, if nothing is in flight. Call it after writing to `output`. */
void connection_flush(struct connection *connection);

/* Starts a send of a batch's bytes; nothing is in flight. Takes over one hold of it. */
void connection_send_batch(struct connection *connection, struct batch *batch, size_t offset, size_t length);

/* When all output is sent, ends it in good order. */
void connection_end(struct connection *connection);

/* Ends it now. Safe in every state, any number of times. Its memory lasts until the end of the reactor's turn. */
void connection_close(struct connection *connection);

/* For the reactor, at the end of its turn: closes the descriptor and frees. Nothing is in flight. */
void connection_free(struct connection *connection);

/* Makes it a stream: requests are over. */
void connection_become_stream(struct connection *connection, struct stream *stream);

static inline const weir_server_config *connection_config(const struct connection *connection) {
    return &connection->reactor->shared->config;
}

#endif
