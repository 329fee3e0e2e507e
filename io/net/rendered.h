/* Broadcasts rendered once per reactor and format: a channel's event has the same text in every session but for its id, so
 * the first outlet that renders it leaves the rest of the frame here for the others.
 *
 * Places found by the broadcast's number; a newer one takes the place of an older. Texts over a bound are not kept:
 * they are copied rarely enough. One thread: the reactor's. */
#ifndef WEIR_IO_NET_RENDERED_H
#define WEIR_IO_NET_RENDERED_H

#include "wire/stream.h"

#define RENDERED_PLACES 256u        /* per format; a power of two: what one batch of a busy channel may hold */
#define RENDERED_MAX    (16u << 10) /* bytes of one text */

struct rendered {
    struct rendered_text {
        uint64_t broadcast; /* 0: empty */
        size_t length;
        size_t capacity;
        char *data;
    } places[2][RENDERED_PLACES];
    uint64_t renderings; /* for tests and for who wonders */
};

/* The text of the event after its id: from its place, or rendered now. False when it is not to be kept here, or there is
 * no memory: then the event is rendered as any other. */
bool rendered_rest(struct rendered *rendered, enum stream_format format, uint64_t broadcast,
                   const struct stream_event *event, struct span *rest);

void rendered_free(struct rendered *rendered);

#endif
