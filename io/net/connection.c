#include "connection.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "report.h"
#include "socket.h"
#include "stream.h"

#define STREAM_DISCARD_MAX  (256u << 10) /* bytes that a peer may send on its stream, where nobody listens */
#define BODY_DISCARD_MAX    (16u << 20)  /* of a refused body: read on for a while, so that the refusal arrives */
#define OVER_LIMIT_ANSWERED 64u /* connections beyond max_connections that get an answer; further ones are cut */
#define BODY_KEPT           (64u << 10)  /* capacity of a body buffer that waits for the next request */
#define OUTPUT_PAUSE        (256u << 10) /* answers waiting to be sent, beyond which no further request is looked at */

static void start_receive(struct connection *connection) {
    if (connection->receiving || connection->peer_finished) return;
    connection->receiving = true;
    struct io_backend *backend = connection->reactor->backend;
    backend->operations->receive(backend, connection->descriptor,
                                 token_make(TOKEN_RECEIVE, connection->index, connection->generation));
}

static void start_send(struct connection *connection) {
    struct reactor *reactor = connection->reactor;
    connection->sending = true;
    connection->stall_looks = 0;
    counter_add(&reactor->counters.sends, 1);
    timer_set(&reactor->timers, &connection->timer, TIMER_STALL, reactor->now_ms);
    reactor->backend->operations->send(reactor->backend, connection->descriptor,
                                       connection->send_data + connection->send_done,
                                       connection->send_length - connection->send_done,
                                       token_make(TOKEN_SEND, connection->index, connection->generation));
}

/* The deadline that fits what the connection is waiting for, when nothing is in flight. */
static void set_waiting_timer(struct connection *connection) {
    enum timer_kind kind = TIMER_IDLE;
    if (connection->state == CONNECTION_STREAM)
        kind = TIMER_HEARTBEAT;
    else if (connection->state != CONNECTION_REQUEST)
        kind = TIMER_LINGER;
    else if (connection->body_wanted)
        kind = TIMER_BODY;
    else if (http_parser_midway(connection->intake->parser))
        kind = TIMER_HEAD;
    if (kind == TIMER_IDLE && connection->reactor->draining) {
        connection_end(connection); /* nothing is being asked, and nothing more may be */
        return;
    }
    /* A slow request keeps the deadline that it began with; a deadline that moved with every byte would be none. */
    if (connection->timer.kind == kind && (kind == TIMER_HEAD || kind == TIMER_BODY)) return;
    timer_set(&connection->reactor->timers, &connection->timer, kind, connection->reactor->now_ms);
}

static struct intake *make_intake(const weir_server_config *config) {
    struct http_limits limits = {config->max_head_bytes, config->max_headers, config->max_body_bytes};
    struct intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL) return NULL;
    intake->parser = http_parser_create(&limits);
    if (intake->parser != NULL) return intake;
    free(intake);
    return NULL;
}

static void free_intake(struct connection *connection) {
    struct intake *intake = connection->intake;
    if (intake == NULL) return;
    connection->intake = NULL;
    http_parser_destroy(intake->parser);
    buffer_free(&intake->body);
    buffer_free(&intake->held);
    free(intake);
}

void connection_free(struct connection *connection) {
    struct reactor *reactor = connection->reactor;
    reactor->backend->operations->close(reactor->backend, connection->descriptor);
    reactor_give_place(reactor, connection->index);
    buffer_free(&connection->output);
    buffer_free(&connection->flight);
    batch_release(connection->batch);
    free_intake(connection);
    free(connection);
}

static void cancel_operations(struct connection *connection) {
    struct io_backend *backend = connection->reactor->backend;
    backend->operations->shutdown(backend, connection->descriptor, SHUT_RDWR);
    if (connection->receiving)
        backend->operations->cancel(backend, token_make(TOKEN_RECEIVE, connection->index, connection->generation));
    if (connection->sending)
        backend->operations->cancel(backend, token_make(TOKEN_SEND, connection->index, connection->generation));
}

static void leave_stream(struct connection *connection) {
    if (connection->stream == NULL) return;
    stream_close(connection->stream);
    connection->stream = NULL;
}

void connection_close(struct connection *connection) {
    if (connection->state != CONNECTION_CLOSING) {
        connection->state = CONNECTION_CLOSING;
        leave_stream(connection);
        timer_stop(&connection->timer);
        cancel_operations(connection);
    }
    if (!connection->receiving && !connection->sending) reactor_bury(connection->reactor, connection);
}

/* All is sent and nothing more will be: our side is shut. */
static void begin_linger(struct connection *connection) {
    struct reactor *reactor = connection->reactor;
    leave_stream(connection);
    if (connection->peer_finished) {
        connection_close(connection);
        return;
    }
    connection->state = CONNECTION_LINGER;
    reactor->backend->operations->shutdown(reactor->backend, connection->descriptor, SHUT_WR);
    timer_set(&reactor->timers, &connection->timer, TIMER_LINGER, reactor->now_ms);
    start_receive(connection);
}

void connection_flush(struct connection *connection) {
    if (connection->sending || connection->state == CONNECTION_CLOSING) return;
    if (connection->output.length > 0) {
        connection->flight = connection->output;
        connection->output = (struct buffer){NULL, 0, 0};
        connection->send_data = connection->flight.data;
        connection->send_length = connection->flight.length;
        connection->send_done = 0;
        start_send(connection);
    } else if (connection->end_after_output && connection->state != CONNECTION_LINGER) {
        begin_linger(connection);
    }
}

void connection_send_batch(struct connection *connection, struct batch *batch, size_t offset, size_t length) {
    WEIR_DCHECK(!connection->sending && connection->output.length == 0);
    connection->batch = batch;
    connection->send_data = batch->data + offset;
    connection->send_length = length;
    connection->send_done = 0;
    start_send(connection);
}

void connection_end(struct connection *connection) {
    connection->end_after_output = true;
    connection_flush(connection);
}

void connection_become_stream(struct connection *connection, struct stream *stream) {
    connection->state = CONNECTION_STREAM;
    connection->stream = stream;
}

/* ---- Receiving ---------------------------------------------------------------------------------------------- */

static void refuse(struct connection *connection, unsigned status, const char *code, const char *message) {
    const struct exchange *exchange = connection->reactor->shared->exchange;
    connection->refused = true;
    exchange->refused(connection, status, code, message);
    connection_end(connection);
}

static void take_head(struct connection *connection) {
    const struct http_request *request = http_parser_request(connection->intake->parser);
    counter_add(&connection->reactor->counters.requests, 1);
    if (!request->has_body) return;
    connection->body_wanted = connection->reactor->shared->exchange->head(connection, request);
    if (connection->body_wanted) return;
    connection->refused = true;
    connection->end_after_output = true;
}

static void take_request(struct connection *connection) {
    struct intake *intake = connection->intake;
    const struct http_request *request = http_parser_request(intake->parser);
    bool keep_alive = request->keep_alive;
    connection->body_wanted = false;
    connection->reactor->shared->exchange->request(connection, request, buffer_span(&intake->body));
    if (connection->state == CONNECTION_STREAM) free_intake(connection); /* no request will follow */
    if (connection->state != CONNECTION_REQUEST) return;
    intake->body.length = 0;
    if (intake->body.capacity > BODY_KEPT) buffer_free(&intake->body);
    http_parser_reset(intake->parser);
    if (keep_alive && !connection->reactor->draining) return;
    connection->refused = true;
    connection->end_after_output = true;
}

static void take_step(struct connection *connection, enum http_step step, struct span body) {
    switch (step) {
    case HTTP_MORE:
        break;
    case HTTP_HEAD:
        take_head(connection);
        break;
    case HTTP_BODY:
        if (!buffer_append(&connection->intake->body, body.data, body.length))
            refuse(connection, 503, "no_memory", "The server is out of memory.");
        break;
    case HTTP_DONE:
        take_request(connection);
        break;
    case HTTP_BAD: {
        const struct http_problem *problem = http_parser_problem(connection->intake->parser);
        refuse(connection, problem->status, problem->code, problem->message);
        break;
    }
    }
}

/* Whether the next bytes are for the parser: not after a refusal, not on a stream, not before the answers are out. */
static bool can_parse(const struct connection *connection) {
    return connection->state == CONNECTION_REQUEST && !connection->refused &&
           connection->output.length + connection->flight.length < OUTPUT_PAUSE;
}

/* Takes as many requests as there are; returns how many bytes are done with. */
static size_t parse(struct connection *connection, const char *data, size_t length) {
    size_t done = 0;
    enum http_step step = HTTP_MORE;
    while (can_parse(connection) && (done < length || step != HTTP_MORE)) {
        size_t consumed = 0;
        struct span body = {NULL, 0};
        step = http_parser_feed(connection->intake->parser, data + done, length - done, &consumed, &body);
        done += consumed;
        take_step(connection, step, body);
    }
    return done;
}

/* Bytes behind a stream's request, behind a refusal, or in LINGER: nobody's. False when there were too many. */
static bool discard(struct connection *connection, size_t length) {
    connection->discarded += length;
    return connection->discarded <= (connection->state == CONNECTION_STREAM ? STREAM_DISCARD_MAX : BODY_DISCARD_MAX);
}

static bool holds_input(const struct connection *connection) {
    return connection->intake != NULL && connection->intake->held.length > 0;
}

/* After input was taken: go on receiving, or wait until the answers are out. */
static void settle(struct connection *connection) {
    if (connection->state == CONNECTION_CLOSING) return;
    connection_flush(connection);
    if (connection->state == CONNECTION_CLOSING) return;
    if (!holds_input(connection)) start_receive(connection);
    if (!connection->sending && connection->state == CONNECTION_REQUEST) set_waiting_timer(connection);
}

/* Bytes that came while the output was too long wait in `held`; while there are any, nothing is received. */
static void take_input(struct connection *connection, const char *data, size_t length) {
    size_t done = parse(connection, data, length);
    if (connection->state == CONNECTION_REQUEST && !connection->refused) {
        if (!buffer_append(&connection->intake->held, data + done, length - done)) {
            connection_close(connection);
            return;
        }
    } else if (!discard(connection, length - done)) {
        connection_close(connection);
        return;
    }
    settle(connection);
}

static void take_held(struct connection *connection) {
    struct buffer held = connection->intake->held;
    connection->intake->held = (struct buffer){NULL, 0, 0};
    take_input(connection, held.data, held.length);
    buffer_free(&held);
}

/* FIN. What was asked is still answered; a stream ends, for its reader is gone or will not be heard of again. */
static void take_end_of_input(struct connection *connection) {
    connection->peer_finished = true;
    bool answering = connection->sending || connection->output.length > 0;
    if (connection->state != CONNECTION_REQUEST || !answering)
        connection_close(connection);
    else
        connection_end(connection);
}

void connection_received(struct connection *connection, struct io_completion *completion) {
    struct io_backend *backend = connection->reactor->backend;
    connection->receiving = false;
    if (connection->state == CONNECTION_CLOSING || completion->result < 0) {
        if (completion->data != NULL) backend->operations->release(backend, completion->data);
        connection_close(connection);
        return;
    }
    if (completion->result == 0) {
        take_end_of_input(connection);
        return;
    }
    if (connection->state == CONNECTION_REQUEST) {
        take_input(connection, completion->data, completion->size);
    } else if (discard(connection, completion->size)) {
        start_receive(connection);
    } else {
        connection_close(connection);
    }
    backend->operations->release(backend, completion->data);
}

/* ---- Sending ------------------------------------------------------------------------------------------------ */

static void finish_send(struct connection *connection) {
    if (connection->batch != NULL) {
        batch_release(connection->batch);
        connection->batch = NULL;
    } else {
        buffer_free(&connection->flight);
    }
    connection->send_data = NULL;
}

void connection_sent(struct connection *connection, int32_t result) {
    connection->sending = false;
    if (connection->state == CONNECTION_CLOSING || result <= 0) {
        connection_close(connection);
        return;
    }
    connection->send_done += (size_t)result;
    if (connection->send_done < connection->send_length) {
        start_send(connection);
        return;
    }
    bool batch = connection->batch != NULL;
    finish_send(connection);
    if (connection->stream != NULL && batch) stream_batch_sent(connection->stream);
    if (connection->output.length == 0 && connection->stream != NULL) stream_advance(connection->stream);
    connection_flush(connection);
    if (connection->state == CONNECTION_CLOSING || connection->sending) return;
    if (holds_input(connection) && can_parse(connection)) {
        take_held(connection);
        return;
    }
    if (connection->state != CONNECTION_LINGER) set_waiting_timer(connection);
}

/* ---- Deadlines ---------------------------------------------------------------------------------------------- */

/* A send is stalled when the peer has taken nothing at all for stall_timeout_ms; a slow one only goes on. */
static void check_stall(struct connection *connection) {
    struct reactor *reactor = connection->reactor;
    uint64_t progress = socket_progress(connection->descriptor);
    bool moved = progress != connection->progress;
    connection->progress = progress;
    connection->stall_looks = moved ? 0 : connection->stall_looks + 1;
    if (connection->stall_looks < STALL_LOOKS) {
        timer_set(&reactor->timers, &connection->timer, TIMER_STALL, reactor->now_ms);
        return;
    }
    counter_add(&reactor->counters.stalled, 1);
    report(reactor, WEIR_LOG_INFO, "closed a connection whose peer took nothing for %u ms",
           reactor->shared->config.stall_timeout_ms);
    connection_close(connection);
}

void connection_expired(struct connection *connection, enum timer_kind kind) {
    switch (kind) {
    case TIMER_HEAD:
        refuse(connection, 408, "request_timeout", "The request head did not arrive in time.");
        break;
    case TIMER_BODY:
        refuse(connection, 408, "request_timeout", "The request body did not arrive in time.");
        break;
    case TIMER_HEARTBEAT:
        stream_heartbeat(connection->stream);
        if (connection->state == CONNECTION_STREAM && !connection->sending) set_waiting_timer(connection);
        break;
    case TIMER_STALL:
        check_stall(connection);
        break;
    default:
        connection_close(connection);
        break;
    }
}

/* ---- Beginning ---------------------------------------------------------------------------------------------- */

static void close_descriptor(struct reactor *reactor, int descriptor) {
    reactor->backend->operations->close(reactor->backend, descriptor);
}

/* How many more than max_connections there are. The first ones get an answer instead of silence; those who are there
 * are not disturbed. */
static uint32_t count_over_limit(const struct reactor *reactor) {
    uint32_t connections = u32_load_relaxed(&reactor->shared->connections);
    uint32_t limit = reactor->shared->config.max_connections;
    return connections > limit ? connections - limit : 0;
}

static void turn_away(struct connection *connection, uint32_t over_limit) {
    struct reactor *reactor = connection->reactor;
    counter_add(&reactor->counters.over_limit, 1);
    report(reactor, WEIR_LOG_WARNING, "max_connections (%u) is reached", reactor->shared->config.max_connections);
    if (over_limit <= OVER_LIMIT_ANSWERED)
        refuse(connection, 503, "too_many_connections", "The server has reached max_connections.");
    else
        connection_close(connection);
}

void connection_open(struct reactor *reactor, int descriptor, enum listener_role role) {
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection != NULL) connection->intake = make_intake(&reactor->shared->config);
    uint32_t index =
        connection != NULL && connection->intake != NULL ? reactor_take_place(reactor, connection) : UINT32_MAX;
    if (index == UINT32_MAX) {
        if (connection != NULL) free_intake(connection);
        free(connection);
        close_descriptor(reactor, descriptor);
        return;
    }
    connection->reactor = reactor;
    connection->index = index;
    connection->generation = reactor->places[index].generation;
    connection->descriptor = descriptor;
    connection->role = (uint8_t)role;
    /* Twice: a send in flight that stalls is for check_stall, which counts it. */
    socket_tune(descriptor, 2 * reactor->shared->config.stall_timeout_ms);
    uint32_t over_limit = count_over_limit(reactor);
    if (over_limit > 0) {
        turn_away(connection, over_limit);
        return;
    }
    set_waiting_timer(connection);
    start_receive(connection);
}
