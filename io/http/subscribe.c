/* GET of a session's events: the stream. */
#include "net/stream.h"
#include "respond.h"
#include "router.h"
#include "wire/text.h"

static void refuse(const struct route_call *call, unsigned status, const char *code, const char *message) {
    respond_error(call->connection, call->request, status, code, message, NULL);
}

static bool find_profile(const struct route_call *call, struct stream_profile *profile) {
    struct span accept = call->request->accept;
    bool ndjson = http_accept_allows(accept, "application/x-ndjson");
    bool sse = http_accept_allows(accept, "text/event-stream");
    profile->chunked = call->request->version_minor > 0; /* HTTP/1.0: the end of the connection ends the stream */
    profile->format = STREAM_SSE;
    if (!sse || (ndjson && http_accept_prefers(accept, "application/x-ndjson", "text/event-stream")))
        profile->format = STREAM_NDJSON;
    if (sse || ndjson) return true;
    refuse(call, 406, "not_acceptable", "Events come as text/event-stream or application/x-ndjson.");
    return false;
}

/* The header wins over the parameter, which is for clients that cannot set headers. Two headers that a proxy may each
 * believe are refused. A value that is no id of ours is not an error: its client is told by a gap. */
static bool find_last_id(const struct route_call *call, char decoded[256], struct span *id) {
    struct span encoded;
    *id = call->request->last_event_id;
    if (call->request->last_event_id_count > 1) {
        refuse(call, 400, "repeated_last_event_id", "There is more than one Last-Event-ID header.");
        return false;
    }
    if (id->length > 0) return true;
    if (!http_query_find(call->request->query, "last_event_id", &encoded) || encoded.length == 0) return true;
    long length = http_decode(encoded, decoded, 256);
    id->data = length >= 0 ? decoded : encoded.data;
    id->length = length >= 0 ? (size_t)length : encoded.length;
    return true;
}

static bool find_start(const struct route_call *call, weir_start *start) {
    struct span from;
    *start = WEIR_START_OLDEST;
    if (!http_query_find(call->request->query, "from", &from) || span_equal(from, SPAN("oldest"))) return true;
    *start = WEIR_START_NOW;
    if (span_equal(from, SPAN("now"))) return true;
    refuse(call, 400, "invalid_from", "The parameter from can be oldest or now.");
    return false;
}

/* HEAD says what GET would, and leaves nothing behind. */
static void answer_head(const struct route_call *call, struct stream_profile profile) {
    respond_stream_head(call->connection, profile);
    call->connection->end_after_output = true;
    call->connection->refused = true;
}

void handle_subscribe(const struct route_call *call) {
    struct connection *connection = call->connection;
    struct stream_request wanted = {.session = NULL};
    char decoded[256];
    if (!find_profile(call, &wanted.profile) || !find_last_id(call, decoded, &wanted.last_id) ||
        !find_start(call, &wanted.start))
        return;
    if (connection->reactor->draining) {
        refuse(call, 503, "draining", "The server is going down; try again elsewhere.");
        return;
    }
    if (call->request->method == HTTP_METHOD_HEAD) {
        answer_head(call, wanted.profile);
        return;
    }
    if (!open_session_for_use(call, &wanted.session)) return;
    size_t before = connection->output.length;
    respond_stream_head(connection, wanted.profile);
    if (connection->state == CONNECTION_CLOSING) { /* no memory for the head */
        weir_session_release(wanted.session);
        return;
    }
    int status = stream_open(connection, &wanted);
    if (status == WEIR_OK) return;
    connection->output.length = before; /* the head that promised a stream is taken back */
    respond_status(connection, call->request, status);
}
