/* Answers: a status line, the headers that every answer has, and a body that is known as a whole. Written to the
 * connection's output; nothing that a client sent is ever copied into a head. */
#ifndef WEIR_IO_HTTP_RESPOND_H
#define WEIR_IO_HTTP_RESPOND_H

#include "net/connection.h"
#include "wire/stream.h"

struct response {
    unsigned status;
    const char *content_type; /* NULL: no body */
    const char *headers;      /* further header lines, each ended by CRLF; NULL: none */
    struct span body;
    bool head_only; /* HEAD: the same, without the body */
    bool close;     /* the connection ends with it */
};

void respond(struct connection *connection, const struct response *response);

/* {"error":{"code":...,"message":...}}; both are ours and need no escaping. `extra` goes into the error object, such
 * as "\"line\":3"; NULL: nothing. */
void respond_error(struct connection *connection, const struct http_request *request, unsigned status,
                   const char *code, const char *message, const char *extra);

/* A JSON body, formatted. */
void respond_json(struct connection *connection, const struct http_request *request, unsigned status,
                  struct span body);

/* An engine or transport status as an error answer. */
void respond_status(struct connection *connection, const struct http_request *request, int status);

/* The head of an event stream; its body follows as frames. */
void respond_stream_head(struct connection *connection, struct stream_profile profile);

#endif
