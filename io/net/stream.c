#include "stream.h"

#include <stdlib.h>

#include "outlet.h"
#include "wire/text.h"

/* Control frames have a bound of their own, far below this. */
#define CONTROL_FRAME_MAX 512

static bool append_frame(struct connection *connection, const char *frame, size_t size) {
    return size <= CONTROL_FRAME_MAX && buffer_append(&connection->output, frame, size);
}

/* Without memory for the gap nothing may follow it: the connection is cut, its client comes back with its last id and
 * is told then. False in that case, and the stream is no more. */
static bool append_gap(struct stream *stream, const weir_gap *gap) {
    char frame[CONTROL_FRAME_MAX];
    struct stream_gap rendered = {
        .epoch = {stream->outlet->epoch, stream->outlet->epoch_length},
        .first = gap->first,
        .last = gap->last,
        .lost = gap->lost,
        .lost_known = gap->lost_known != 0,
        .reason = span_of(weir_gap_reason_name(gap->reason)),
    };
    size_t size = stream_write_gap(frame, sizeof(frame), stream->profile, &rendered);
    counter_add(&stream->connection->reactor->counters.gaps, 1);
    if (append_frame(stream->connection, frame, size)) return true;
    connection_close(stream->connection);
    return false;
}

/* Between once and twice the configured time, so that those who were cut together do not come back together. */
static void append_retry(struct stream *stream) {
    char frame[CONTROL_FRAME_MAX];
    struct reactor *reactor = stream->connection->reactor;
    uint32_t base = reactor->shared->config.retry_ms;
    uint32_t retry_ms = base + reactor_random(reactor, base + 1);
    append_frame(stream->connection, frame, stream_write_retry(frame, sizeof(frame), stream->profile, retry_ms));
}

static void append_last_chunk(struct stream *stream) {
    char frame[CONTROL_FRAME_MAX];
    append_frame(stream->connection, frame, stream_write_last_chunk(frame, sizeof(frame), stream->profile));
}

static int subscribe(struct stream *stream, const struct stream_request *request, weir_gap *gap) {
    weir_subscription how = {
        .last_id = request->last_id.data,
        .last_id_length = request->last_id.length,
        .start = request->start,
        .policy = stream->connection->reactor->shared->config.slow_policy,
    };
    return weir_subscribe(stream->outlet->session, &how, &stream->cursor, gap);
}

int stream_open(struct connection *connection, const struct stream_request *request) {
    struct reactor *reactor = connection->reactor;
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        weir_session_release(request->session);
        return WEIR_NO_MEMORY;
    }
    stream->connection = connection;
    stream->profile = request->profile;
    int status = outlet_join(reactor, request->session, &stream->outlet);
    if (status != WEIR_OK) {
        free(stream);
        return status;
    }
    weir_gap gap;
    status = subscribe(stream, request, &gap);
    if (status != WEIR_OK && status != WEIR_GAP) {
        outlet_leave(stream->outlet);
        free(stream);
        return status;
    }
    reactor->stream_count++;
    counter_add(&reactor->counters.streams, 1);
    connection_become_stream(connection, stream);
    append_retry(stream);
    if (status == WEIR_GAP) append_gap(stream, &gap);
    return WEIR_OK;
}

/* The session is over and everything before its end was sent. */
static void end_with_frame(struct stream *stream) {
    char frame[CONTROL_FRAME_MAX];
    weir_session_info info;
    weir_session_info_get(stream->outlet->session, &info);
    const char *reason = info.ended == WEIR_ENDED_EXPIRED ? "expired" : "terminated";
    size_t size = stream_write_end(frame, sizeof(frame), stream->profile, span_of(reason));
    append_frame(stream->connection, frame, size);
}

static void finish(struct stream *stream) {
    stream->ended = true;
    append_last_chunk(stream);
    connection_end(stream->connection);
}

static void send_run(struct stream *stream, const struct outlet_run *run) {
    stream->in_flight = run->events;
    outlet_send_begins(stream->outlet);
    connection_send_batch(stream->connection, run->batch, run->offset, run->length);
}

void stream_advance(struct stream *stream) {
    struct connection *connection = stream->connection;
    if (stream->ended || connection->sending) return;
    if (connection->output.length > 0) {
        connection_flush(connection);
        return;
    }
    if (stream->draining && stream->cursor.next > stream->drain_newest) {
        append_retry(stream);
        finish(stream);
        return;
    }
    struct outlet_run run;
    weir_gap gap;
    int status = outlet_next_run(stream->outlet, stream, &run, &gap);
    switch (status) {
    case WEIR_OK:
        send_run(stream, &run);
        if (run.gap_follows) append_gap(stream, &gap);
        return;
    case WEIR_EMPTY:
        outlet_wait(stream->outlet, stream);
        return;
    case WEIR_GAP:
        if (append_gap(stream, &gap)) connection_flush(connection);
        return;
    case WEIR_END:
        end_with_frame(stream);
        break;
    case WEIR_LAGGED:
        counter_add(&connection->reactor->counters.lagged, 1);
        append_retry(stream);
        break;
    default: /* no memory to render: the client comes back with its last id and has lost nothing */
        append_retry(stream);
        break;
    }
    finish(stream);
}

void stream_batch_sent(struct stream *stream) {
    counter_add(&stream->connection->reactor->counters.deliveries, stream->in_flight);
    stream->in_flight = 0;
    outlet_send_ends(stream->outlet);
}

void stream_heartbeat(struct stream *stream) {
    char frame[CONTROL_FRAME_MAX];
    size_t size = stream_write_heartbeat(frame, sizeof(frame), stream->profile);
    if (!append_frame(stream->connection, frame, size)) return; /* no memory: it goes on waiting */
    counter_add(&stream->connection->reactor->counters.heartbeats, 1);
    outlet_unwait(stream->outlet, stream);
    connection_flush(stream->connection);
}

/* The ring goes with the server: what its clients were promised and do not have by then, nobody can replay. */
void stream_drain(struct stream *stream) {
    weir_session_info info;
    if (stream->ended || stream->draining) return;
    weir_session_info_get(stream->outlet->session, &info);
    stream->draining = true;
    stream->drain_newest = info.newest;
    outlet_unwait(stream->outlet, stream);
    stream_advance(stream);
}

void stream_close(struct stream *stream) {
    struct reactor *reactor = stream->connection->reactor;
    outlet_unwait(stream->outlet, stream);
    if (stream->in_flight > 0) outlet_send_ends(stream->outlet);
    weir_unsubscribe(stream->outlet->session, &stream->cursor);
    outlet_leave(stream->outlet);
    reactor->stream_count--;
    counter_subtract(&reactor->counters.streams, 1);
    free(stream);
}
