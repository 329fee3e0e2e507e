/* One HTTP/1.1 request at a time, from bytes in pieces of any size. llhttp does the parsing; a strict gate in front
 * refuses what llhttp lets through (bare CR or LF, folded lines, control bytes), because a proxy beside us may read
 * those differently: that is how requests are smuggled (RFC 9112 sections 2.2, 5.2, 6.3 and 11.2).
 *
 * One thread per parser. The parser keeps the head (its spans point there) and hands body bytes through. */
#ifndef WEIR_IO_WIRE_HTTP_REQUEST_H
#define WEIR_IO_WIRE_HTTP_REQUEST_H

#include <stdint.h>

#include "span.h"

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER /* known to HTTP, used by no route: PATCH, TRACE, ... */
};

struct http_request {
    enum http_method method;
    struct span target;     /* as sent, or what an absolute one has behind its host: "", "?query" or a path */
    struct span path;       /* the target up to '?', undecoded, never empty; "*" only with OPTIONS */
    struct span query;      /* behind '?', empty if none, undecoded */
    unsigned version_minor; /* HTTP/1.x */
    bool keep_alive;
    bool has_body; /* content_length > 0, or chunked */
    bool chunked;
    bool expect_continue;    /* answer "100 Continue" before the body comes; never without a body */
    uint64_t content_length; /* 0 when chunked or absent */
    /* Header values, without white space around them; `data` is NULL when absent. Of several Accept or Last-Event-ID
     * the first is kept; a second one of the others is refused. */
    struct span host, accept, content_type, authorization, origin;
    struct span last_event_id;
    unsigned last_event_id_count;
};

struct http_limits {
    uint32_t head_bytes;   /* request line and headers together; over it: 431 (414 while still in the request line) */
    uint32_t header_count; /* over it: 431 */
    uint64_t body_bytes;   /* over it: 413, told from Content-Length before a byte of the body is read */
};

/* A refused request: what to answer, before closing the connection. What the parser lets pass has one reading: strict
 * framing, one Host, a target of printable ASCII whose escapes are well formed and hide no NUL, CR or LF.
 * `code` and `message` are static. */
struct http_problem {
    unsigned status;     /* 400, 413, 414, 417, 431, 501, 505; 503: no memory for the head; 408 is the caller's */
    const char *code;    /* machine-readable: "bad_request_line", "conflicting_length", ... */
    const char *message; /* one sentence for a person */
    uint64_t offset;     /* byte of this request where it was noticed */
};

enum http_step {
    HTTP_MORE, /* everything given was consumed: give more */
    HTTP_HEAD, /* the head is complete, `http_parser_request` is filled; call again with the rest, also with none:
                  a request without body is done at once */
    HTTP_BODY, /* *body is the next piece, inside the bytes given */
    HTTP_DONE, /* the request is complete; `http_parser_reset`, then go on with the rest */
    HTTP_BAD   /* `http_parser_problem`; nothing more may be given */
};

struct http_parser;

/* NULL when there is no memory. `limits` is copied. */
struct http_parser *http_parser_create(const struct http_limits *limits);
void http_parser_destroy(struct http_parser *parser);

/* Ready for the next request on the connection. The spans of the last one are void, the memory of its head is given
 * back: an idle parser is one block of about 450 bytes. */
void http_parser_reset(struct http_parser *parser);

/* Takes bytes up to the next step; *consumed of them are done with. */
enum http_step http_parser_feed(struct http_parser *parser, const char *data, size_t length, size_t *consumed,
                                struct span *body);

/* True between the first byte of a request and its end: what tells a slow request from an idle connection. Empty
 * lines before a request do not begin it. */
bool http_parser_midway(const struct http_parser *parser);

const struct http_request *http_parser_request(const struct http_parser *parser);
const struct http_problem *http_parser_problem(const struct http_parser *parser);

/* Percent-decodes one path segment or query value ('+' is not a space) into out; returns its length, or -1 for a bad
 * escape, a decoded NUL, CR or LF, or too little room. */
long http_decode(struct span encoded, char *out, size_t capacity);

/* Finds `name` in a query string: true and its undecoded value (possibly empty). The first of several wins. */
bool http_query_find(struct span query, const char *name, struct span *value);

/* Whether an Accept header prefers `wanted` ("application/x-ndjson") over `other` ("text/event-stream"): RFC 9110
 * 12.5.1 with q values and wildcards; equal weights and an absent header do not prefer. Elements that are not well
 * formed do not count, and a header without a well-formed one counts as absent. */
bool http_accept_prefers(struct span accept, const char *wanted, const char *other);

/* Whether it accepts the type at all (absent header: yes). */
bool http_accept_allows(struct span accept, const char *type);

/* Whether a Content-Type names this media type, whatever its parameters. */
bool http_media_type_is(struct span content_type, const char *type);

#endif
