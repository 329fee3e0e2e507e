/* Feeds bytes to an HTTP parser in chosen pieces and writes down what it said, as one line of text: that is compared
 * between ways of cutting, and with what a case expects.
 *
 * "GET /a?b host=h length=3 body=xyz; 400 bad_chunk@17"; a request that is not complete yet ends in "...". */
#ifndef TESTS_WIRE_HTTP_TRANSCRIPT_H
#define TESTS_WIRE_HTTP_TRANSCRIPT_H

#include "wire/http_request.h"

struct transcript {
    char *text; /* terminated; the caller frees it */
    size_t length, capacity;
};

/* Where to cut: ends of the pieces, ascending; the rest after the last is one more piece. */
struct cuts {
    const size_t *at;
    size_t count;
    size_t every; /* or: pieces of this size (0: not) */
};

#define UNCUT ((struct cuts){0})

struct transcript transcript_make(const struct http_limits *limits, struct span bytes, struct cuts cuts);

/* The same without the offsets ("@17"), in place. */
void transcript_drop_offsets(struct transcript *transcript);

#endif
