/* The strict reading of a request's framing, byte by byte, in front of llhttp: only what RFC 9112 lets a client send,
 * without the leniency that it allows a server. What passes has one reading, for us and for any proxy beside us.
 *
 * The gate stores nothing but its state and its counts, so it gives the same answer however the bytes are split. */
#ifndef WEIR_IO_WIRE_HTTP_GATE_H
#define WEIR_IO_WIRE_HTTP_GATE_H

#include "http_request.h"

/* Bytes of chunk extensions that one request may carry: nobody uses them, so a client that sends many is after
 * something else. */
#define HTTP_EXTENSION_BYTES 1024u

enum http_gate_state {
    GATE_START, /* before the request line; up to two empty lines are passed over (RFC 9112 2.2) */
    GATE_START_LF,
    GATE_METHOD,
    GATE_TARGET_FIRST,
    GATE_TARGET,
    GATE_VERSION,
    GATE_REQUEST_LF,
    GATE_LINE, /* at the start of a header or trailer line, or of the empty line that ends them */
    GATE_NAME,
    GATE_VALUE,
    GATE_VALUE_LF,
    GATE_END_LF,
    GATE_END,  /* behind that empty line */
    GATE_SIZE, /* in a chunk size */
    GATE_EXTENSION,
    GATE_SIZE_LF,
    GATE_DATA, /* `left` bytes of chunk data come next */
    GATE_DATA_CR,
    GATE_DATA_LF,
    GATE_LAST, /* behind the line of the last chunk: trailers come next */
    GATE_BAD
};

struct http_gate {
    const struct http_limits *limits;
    struct http_problem *problem; /* set in state GATE_BAD */
    uint64_t offset;              /* bytes of this request so far */
    uint64_t start;               /* of those, before the head (empty lines), or before the trailers */
    uint64_t left;                /* of the chunk size line: its value; then bytes of data still to come */
    uint64_t body;                /* chunk data announced so far */
    uint32_t fields;              /* header or trailer lines begun */
    uint32_t extensions;          /* bytes of chunk extensions */
    uint8_t token;                /* bytes of the method, the version or the chunk size so far */
    uint8_t minor;                /* HTTP/1.minor */
    uint8_t state;                /* enum http_gate_state */
};

/* At the start of a request. Both pointers are kept. */
void http_gate_start(struct http_gate *gate, const struct http_limits *limits, struct http_problem *problem);

/* Behind a head that announced a chunked body, and behind its last chunk. */
void http_gate_start_chunks(struct http_gate *gate);
void http_gate_start_trailers(struct http_gate *gate);

/* Reads bytes of a head or of trailers; returns how many were taken. It stops behind the last byte (GATE_END) and at
 * the byte that it refuses (GATE_BAD). */
size_t http_gate_read_head(struct http_gate *gate, const char *data, size_t length);

/* Takes one byte of chunk framing; false when it is refused (GATE_BAD). Not in the states GATE_DATA, where chunk data
 * comes next, and GATE_LAST, behind the line of the last chunk. */
bool http_gate_take_framing(struct http_gate *gate, char byte);

/* Takes `length` bytes of chunk data, at most `left`. */
void http_gate_pass_data(struct http_gate *gate, size_t length);

/* Notes a problem at the byte `offset` of the request and returns false, so that a check can end with it. */
static inline bool http_refuse(struct http_problem *problem, uint64_t offset, unsigned status, const char *code,
                               const char *message) {
    *problem = (struct http_problem){status, code, message, offset};
    return false;
}

#endif
