/* Clients' side of the wire, written from the standards and not from the encoder: the event stream of WHATWG HTML
 * 9.2, NDJSON through jansson, and HTTP chunks of RFC 9112 7.1. What the encoder writes must come back from here. */
#ifndef TESTS_WIRE_STREAM_DECODER_H
#define TESTS_WIRE_STREAM_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow; terminated by a NUL that does not count. */
struct bytes {
    char *data;
    size_t length, capacity;
};

void bytes_append(struct bytes *bytes, const void *data, size_t length);
bool bytes_equal(struct bytes bytes, const void *data, size_t length);
void bytes_free(struct bytes *bytes);

/* One thing that a client was told. */
enum decoded_type { DECODED_EVENT, DECODED_GAP, DECODED_END, DECODED_HEARTBEAT, DECODED_RETRY };

struct decoded {
    enum decoded_type type;
    struct bytes id;   /* last event id at that moment (SSE), or the id of the object (NDJSON) */
    struct bytes kind; /* empty: the default */
    struct bytes data; /* payload, or the JSON text of a gap or an end */
    uint64_t retry_ms;
};

struct decoded_list {
    struct decoded *items;
    size_t count;
};

/* Decode a whole stream. False when it does not follow the format to the letter (weir's own: LF only, no unknown
 * field); the list must be freed in any case. SSE events "gap" and "end" without an id of their own count as control
 * frames. */
bool decode_sse(const char *data, size_t length, struct decoded_list *list);
bool decode_ndjson(const char *data, size_t length, struct decoded_list *list);
void decoded_list_free(struct decoded_list *list);

/* Takes the chunks of a body apart. *complete tells whether the last chunk came. False for anything but lower-case
 * sizes without zeros in front. */
bool decode_chunks(const char *data, size_t length, struct bytes *body, bool *complete);

#endif
