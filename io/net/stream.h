/* A stream: a connection that subscribes to a session. Owned by its reactor's thread.
 *
 * It waits in its outlet's list, or it has a send in flight; never both. Events come from batches that the outlet
 * shares among all streams standing there; gaps and other control frames are the stream's own and go by the
 * connection's output, in front of the next batch. */
#ifndef WEIR_IO_NET_STREAM_H
#define WEIR_IO_NET_STREAM_H

#include "connection.h"
#include "wire/stream.h"

struct outlet;

struct stream {
    struct connection *connection;
    struct outlet *outlet;
    struct stream *next; /* of those that wait for events */
    struct stream *previous;
    bool waiting;
    bool ended;    /* nothing more is read for it */
    bool draining; /* it ends once it has sent up to drain_newest */
    uint64_t drain_newest;
    struct stream_profile profile;
    uint32_t in_flight; /* events in the batch being sent */
    weir_cursor cursor;
};

struct stream_request {
    weir_session *session; /* one reference is taken over, also when this fails */
    struct stream_profile profile;
    struct span last_id; /* data NULL: none */
    weir_start start;
};

/* Makes the connection, whose response head is in its output, a stream; begins with `retry:` and, if there is one, the
 * gap (without memory for that the connection is closed). WEIR_OK or the status of weir_subscribe or weir_outlet_open,
 * nothing having changed then. */
int stream_open(struct connection *connection, const struct stream_request *request);

/* Sends what there is, or waits. Nothing is in flight and no output waits. */
void stream_advance(struct stream *stream);

/* The batch in flight is with the kernel. */
void stream_batch_sent(struct stream *stream);

/* A comment, because nothing else was sent for a while. */
void stream_heartbeat(struct stream *stream);

/* The server is going: what was accepted so far, a jittered `retry:`, and the end. */
void stream_drain(struct stream *stream);

/* Detaches and frees. */
void stream_close(struct stream *stream);

#endif
