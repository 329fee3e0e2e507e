/* What a subscriber reads: events and control frames as SSE or NDJSON, with or without HTTP chunk framing.
 *
 * Pure functions on spans: no allocation, no I/O. Each writes one whole frame and returns its size, as snprintf does:
 * when the size is larger than `capacity` nothing useful was written and the caller tries again with room. One frame
 * is one HTTP chunk, so any run of frames is a valid piece of the body.
 *
 * SSE (WHATWG HTML 9.2): `id:`, `event:` (left out for the default kind), one `data:` line per line of the payload
 * (split at CR, LF and CRLF), a blank line; only LF ends lines. Control frames carry no id: they do not move the
 * client's cursor.
 *
 * NDJSON: one JSON object per line. Event: {"id":"E.5","event":"KIND","data":"TEXT"}, `event` left out for the
 * default kind, data always a JSON string. Control: {"gap":{...}}, {"end":{...}}, {"heartbeat":true}. */
#ifndef WEIR_IO_WIRE_STREAM_H
#define WEIR_IO_WIRE_STREAM_H

#include <stdint.h>

#include "span.h"

enum stream_format { STREAM_SSE = 0, STREAM_NDJSON = 1 };

/* A wire profile: what a shared batch is rendered for. */
struct stream_profile {
    enum stream_format format;
    bool chunked; /* Transfer-Encoding: chunked (HTTP/1.1); false: the body ends with the connection (HTTP/1.0) */
};

struct stream_event {
    struct span id;      /* wire id: [0-9A-Za-z._~-]{1,64} */
    struct span kind;    /* empty: the default kind */
    struct span payload; /* valid UTF-8; any line breaks */
};

struct stream_gap {
    struct span epoch; /* epoch of the session now, as in its ids */
    uint64_t first;    /* nothing of this epoch is lost when first > last: both are written as null */
    uint64_t last;
    uint64_t lost;
    bool lost_known; /* false: `lost` is written as null */
    struct span reason;
};

size_t stream_write_event(char *out, size_t capacity, struct stream_profile profile,
                          const struct stream_event *event);

/* The same in two parts, for an event that goes to many sessions: all but the id, which is the same in each and for both
 * framings, and then the whole frame from an id and that rest. */
size_t stream_write_rest(char *out, size_t capacity, enum stream_format format, const struct stream_event *event);
size_t stream_write_with_rest(char *out, size_t capacity, struct stream_profile profile, struct span id,
                              struct span rest);

/* `event: gap`, data {"first":N,"last":N,"lost":N,"reason":"...","epoch":"..."}. */
size_t stream_write_gap(char *out, size_t capacity, struct stream_profile profile, const struct stream_gap *gap);

/* `event: end`, data {"reason":"..."}: the last frame of a stream that the server ends for good. */
size_t stream_write_end(char *out, size_t capacity, struct stream_profile profile, struct span reason);

/* The comment that keeps the stream alive: ": keep-alive", a blank line. */
size_t stream_write_heartbeat(char *out, size_t capacity, struct stream_profile profile);

/* `retry: MS`, for SSE; nothing (0) for NDJSON. */
size_t stream_write_retry(char *out, size_t capacity, struct stream_profile profile, uint32_t retry_ms);

/* The chunk that ends a chunked body ("0", two line ends); nothing (0) for others. */
size_t stream_write_last_chunk(char *out, size_t capacity, struct stream_profile profile);

#endif
