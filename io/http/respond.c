#include "respond.h"

#include <stdio.h>

#include "wire/text.h"

static const char *reason_phrase(unsigned status) {
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 410:
        return "Gone";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return "Error";
    }
}

static bool append_status_line(struct buffer *output, unsigned status) {
    char digits[3] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10)};
    return buffer_append_text(output, "HTTP/1.1 ") && buffer_append(output, digits, sizeof(digits)) &&
           buffer_append_text(output, " ") && buffer_append_text(output, reason_phrase(status)) &&
           buffer_append_text(output, "\r\n");
}

static bool append_content_type(struct buffer *output, const char *type) {
    return buffer_append_text(output, "Content-Type: ") && buffer_append_text(output, type) &&
           buffer_append_text(output, "\r\n");
}

static bool append_content_length(struct buffer *output, size_t length) {
    char digits[20];
    return buffer_append_text(output, "Content-Length: ") &&
           buffer_append(output, digits, text_write_u64(digits, length)) && buffer_append_text(output, "\r\n");
}

/* Every publish is answered by this: pieces are copied, and nothing is formatted. */
void respond(struct connection *connection, const struct response *response) {
    struct buffer *output = &connection->output;
    bool written = append_status_line(output, response->status);
    if (response->content_type != NULL) written = written && append_content_type(output, response->content_type);
    if (response->status != 204) written = written && append_content_length(output, response->body.length);
    written = written && buffer_append_text(output, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    if (response->headers != NULL) written = written && buffer_append_text(output, response->headers);
    /* HTTP/1.1 wants to be told of the end, also of the one that a drain brings. */
    if (response->close || connection->reactor->draining)
        written = written && buffer_append_text(output, "Connection: close\r\n");
    written = written && buffer_append_text(output, "\r\n");
    if (!response->head_only) written = written && buffer_append(output, response->body.data, response->body.length);
    if (response->status >= 400) counter_add(&connection->reactor->counters.refused, 1);
    if (!written) connection_close(connection); /* half an answer would be taken for a whole one */
}

/* Whether the request, or its refusal, ends the connection. */
static bool ends_after(const struct http_request *request) {
    return request == NULL || !request->keep_alive;
}

void respond_json(struct connection *connection, const struct http_request *request, unsigned status,
                  struct span body) {
    struct response response = {
        .status = status,
        .content_type = "application/json",
        .body = body,
        .head_only = request != NULL && request->method == HTTP_METHOD_HEAD,
        .close = ends_after(request),
    };
    respond(connection, &response);
}

static const char *error_headers(unsigned status) {
    if (status == 401) return "WWW-Authenticate: Bearer\r\n";
    if (status == 503) return "Retry-After: 1\r\n";
    return NULL;
}

void respond_error(struct connection *connection, const struct http_request *request, unsigned status,
                   const char *code, const char *message, const char *extra) {
    char body[512];
    int length = snprintf(body, sizeof(body), "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"%s%s}}\n", code, message,
                          extra == NULL ? "" : ",", extra == NULL ? "" : extra);
    struct response response = {
        .status = status,
        .content_type = "application/json",
        .headers = error_headers(status),
        .body = {body, (size_t)length < sizeof(body) ? (size_t)length : sizeof(body) - 1},
        .head_only = request != NULL && request->method == HTTP_METHOD_HEAD,
        .close = ends_after(request),
    };
    respond(connection, &response);
}

struct status_answer {
    int status;
    unsigned http;
    const char *code;
    const char *message;
};

static const struct status_answer status_answers[] = {
    {WEIR_NOT_FOUND, 404, "session_not_found", "There is no session of this name."},
    {WEIR_CLOSED, 410, "session_ended", "The session was terminated while the request was served."},
    {WEIR_END, 410, "session_ended", "The session was terminated while the request was served."},
    {WEIR_FULL, 503, "queue_full", "The session's live queue is full."},
    {WEIR_TOO_LARGE, 413, "event_too_large", "The event is larger than the server takes."},
    {WEIR_BYTES_LIMIT, 507, "bytes_limit", "The server holds as many bytes of events as it may."},
    {WEIR_NO_MEMORY, 503, "no_memory", "The server is out of memory."},
    {WEIR_SESSIONS_LIMIT, 503, "sessions_limit", "The server has reached max_sessions."},
    {WEIR_SUBSCRIBERS_LIMIT, 503, "subscribers_limit", "The server or session has reached its limit of subscribers."},
    {WEIR_KINDS_LIMIT, 507, "kinds_limit", "The server knows as many event kinds as it may."},
    {WEIR_OUTLETS_LIMIT, 503, "outlets_limit", "The server serves as many sessions at once as it may."},
};

void respond_status(struct connection *connection, const struct http_request *request, int status) {
    for (size_t i = 0; i < sizeof(status_answers) / sizeof(status_answers[0]); i++) {
        const struct status_answer *answer = &status_answers[i];
        if (answer->status != status) continue;
        respond_error(connection, request, answer->http, answer->code, answer->message, NULL);
        return;
    }
    respond_error(connection, request, 400, "invalid_argument", "The request is not valid.", NULL);
}

void respond_stream_head(struct connection *connection, struct stream_profile profile) {
    const char *type = profile.format == STREAM_SSE ? "text/event-stream" : "application/x-ndjson";
    struct buffer *output = &connection->output;
    /* no-transform and X-Accel-Buffering keep proxies from collecting or compressing the stream. */
    bool written =
        buffer_append_format(output,
                             "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
                             "Cache-Control: no-store, no-transform\r\nX-Accel-Buffering: no\r\n"
                             "X-Content-Type-Options: nosniff\r\nVary: Accept\r\nConnection: close\r\n%s\r\n",
                             type, profile.chunked ? "Transfer-Encoding: chunked\r\n" : "");
    if (!written) connection_close(connection);
}
