/* Server-sent events out of bytes that arrive in pieces of any size, as WHATWG HTML 9.2.6 has it: lines end with
 * CR, LF or CRLF (also when the pair is split between pieces), one byte order mark at the start is dropped, the
 * last id is committed by the blank line that ends a block, and a block without data dispatches nothing.
 *
 * One difference that only adds: an event tells whether its own block carried an `id:` line. weir's control events
 * (`gap`, `end`) carry none, published ones always do, so a published event of kind "gap" cannot pass for a gap. */
#ifndef WEIR_IO_COMMAND_SSE_DECODER_H
#define WEIR_IO_COMMAND_SSE_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum { SSE_ID_MAX = 256, SSE_KIND_MAX = 256 };

/* Valid during the call that delivers it. */
struct sse_event {
    struct span kind;    /* empty: no `event:` line */
    struct span data;    /* its lines joined by LF */
    struct span last_id; /* in force after this event */
    bool has_id;         /* this block carried an `id:` line */
};

typedef void (*sse_event_function)(void *context, const struct sse_event *event);

struct sse_text {
    char *bytes;
    size_t length;
    size_t capacity;
};

/* The fields but `last_id`, `retry_ms` and `has_retry` are the decoder's own. */
struct sse_decoder {
    struct sse_text line; /* what came so far of a line cut between pieces */
    struct sse_text data; /* data lines of the block, each followed by LF */
    char kind[SSE_KIND_MAX];
    size_t kind_length;
    char id[SSE_ID_MAX]; /* id buffer: becomes last_id at the end of the block */
    size_t id_length;
    char last_id[SSE_ID_MAX + 1]; /* committed; terminated by NUL, empty: none */
    size_t last_id_length;
    size_t limit;      /* bytes of one line, and of one event's data */
    uint32_t retry_ms; /* of the newest `retry:` line */
    bool has_retry;
    bool has_id;
    bool after_cr;   /* an LF right now would belong to the CR before it */
    bool first_line; /* a byte order mark may begin this line */
    sse_event_function deliver;
    void *context;
};

/* `limit` bounds one line and one event's data, in bytes. */
void sse_decoder_init(struct sse_decoder *decoder, size_t limit, sse_event_function deliver, void *context);
void sse_decoder_free(struct sse_decoder *decoder);

/* A new stream begins: forgets the block that the last one was cut in, keeps last_id and retry_ms. */
void sse_decoder_restart(struct sse_decoder *decoder);

/* Sets the id to resume after. False when it is longer than SSE_ID_MAX. */
bool sse_decoder_set_last_id(struct sse_decoder *decoder, const char *id);

/* Takes bytes and delivers every event that they complete. False, and of no further use before a restart, when a
 * limit was reached or memory ran out. */
bool sse_decoder_feed(struct sse_decoder *decoder, const char *data, size_t length);

#endif
