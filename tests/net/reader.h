/* What a peer was sent, read as a client reads it: answers one behind the other, and streams through the independent
 * decoder. Nothing here shares code with what wrote it. */
#ifndef WEIR_TESTS_NET_READER_H
#define WEIR_TESTS_NET_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/simulated_backend.h"
#include "wire/stream_decoder.h"

struct answer {
    unsigned status;
    const char *head; /* up to the empty line */
    size_t head_length;
    const char *body;
    size_t body_length; /* of a stream: what there is so far */
    bool chunked;
    bool endless; /* neither a length nor chunks: to the end of the connection */
    size_t size;  /* of head and body */
};

/* Reads the answer at the front of the bytes. False when it is not there as a whole (a stream: not its head).
 * `headless_body` for the answer to HEAD. Fails the test when it is no HTTP/1.1. */
bool answer_read(const char *data, size_t length, bool headless_body, struct answer *answer);
/* The peer's `index`-th answer (1xx counts). Fails the test when there is none. */
struct answer answer_of(const struct simulated_peer *peer, unsigned index);
/* How many whole answers the peer was sent; fails the test when something stands behind the last one. */
unsigned answer_count(const struct simulated_peer *peer);
/* Whether the head has this line, as in "Connection: close". */
bool answer_has(const struct answer *answer, const char *line);

/* A stream so far: its frames. What a cut has left of the last frame is not looked at. */
struct stream_text {
    struct answer answer;
    struct decoded_list frames;
    bool ndjson;
    bool ended; /* by the last chunk */
};

/* Reads the stream that is the peer's `index`-th answer. False when there is none (yet). Fails the test on any break of
 * the formats. */
bool stream_text_read(const struct simulated_peer *peer, unsigned index, struct stream_text *text);
void stream_text_free(struct stream_text *text);

/* Facts of frames. */
uint64_t frame_sequence(const struct decoded *frame); /* of an event's id, behind the dot */
struct frame_gap {
    bool range; /* first and last are numbers */
    uint64_t first, last, lost;
    bool lost_known;
    char reason[16];
    char epoch[16];
};
struct frame_gap frame_gap(const struct decoded *frame);
unsigned count_frames(const struct stream_text *text, enum decoded_type type);

/* The stream is: one retry frame if it is SSE, then exactly the events whose data are the numbers from `first` to
 * `last`, and nothing else. */
void expect_numbers(const struct simulated_peer *peer, unsigned first, unsigned last);

#endif
