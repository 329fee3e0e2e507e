/* What a request means: the complete head, which the gate let pass, goes through llhttp once, and its parts become a
 * struct http_request. Whatever two readers of the same bytes could take differently is refused here: lengths, hosts,
 * targets, repeated headers. */
#ifndef WEIR_IO_WIRE_HTTP_HEAD_H
#define WEIR_IO_WIRE_HTTP_HEAD_H

#include "http_request.h"

/* llhttp names the method HEAD as we name the step at which a head is complete. */
#define HTTP_HEAD LLHTTP_METHOD_HEAD
#include <llhttp.h>
#undef HTTP_HEAD

/* llhttp's side of one request. It must not move between the head and the end of the body. */
struct http_reader {
    llhttp_t machine; /* first: callbacks get this and find the rest */
    struct span body; /* the piece of body in the bytes read last */
    bool complete;    /* the request has ended */
};

/* Reads a complete head. False: *problem tells why, its offset counted from the head's first byte. The spans of
 * *request point into `head`. */
bool http_head_read(struct http_reader *reader, const struct http_limits *limits, struct span head,
                    unsigned header_count, struct http_request *request, struct http_problem *problem);

/* Has llhttp read bytes behind the head. False when it refuses them. */
bool http_reader_feed(struct http_reader *reader, const char *data, size_t length);

#endif
