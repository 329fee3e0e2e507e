/* A client's ear: what a connection was sent, taken apart as it comes, in pieces of any size. HTTP/1.1 answers one behind
 * the other, chunks (RFC 9112 7.1), the event stream of WHATWG HTML 9.2, NDJSON. Written from the standards; nothing
 * here shares code with what wrote it. Stricter than a client needs to be: weir ends lines with LF only, one chunk is one
 * frame, sizes have no zeros in front, and no field is unknown. */
#ifndef WEIR_TESTS_SIMULATION_DECODER_H
#define WEIR_TESTS_SIMULATION_DECODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum frame_type { FRAME_EVENT, FRAME_GAP, FRAME_END, FRAME_HEARTBEAT, FRAME_RETRY };

struct frame {
    enum frame_type type;
    const char *id; /* of an event */
    size_t id_length;
    const char *kind; /* empty: the default */
    size_t kind_length;
    const char *data; /* payload, or the JSON text of a gap or an end */
    size_t length;
    uint64_t retry_ms;
};

struct gap_frame {
    bool range; /* first and last are numbers */
    uint64_t first, last, lost;
    bool lost_known;
    char reason[16];
    char epoch[16];
};

struct answer_heard {
    unsigned status;
    const char *body; /* its first ANSWER_KEPT bytes */
    size_t length;
};

#define HEAD_KEPT   1024u
#define ANSWER_KEPT 512u
#define TEXT_MOST   65536u /* of one line, and of one event's data */

enum decoder_phase {
    PHASE_HEAD,
    PHASE_BODY,       /* of a known length */
    PHASE_CHUNK_SIZE, /* of a stream */
    PHASE_CHUNK_DATA,
    PHASE_CHUNK_END,
    PHASE_ENDLESS, /* a stream that the end of the connection ends */
    PHASE_LAST, /* behind an answer to HEAD that ends the connection: a refusal that was written before the request was
                      understood has a body, which is nobody's */
    PHASE_OVER  /* the last chunk is behind us: nothing may follow */
};

struct decoder {
    void *context;
    void (*answer)(void *context, const struct answer_heard *answer); /* without a stream */
    void (*frame)(void *context, const struct frame *frame);

    enum decoder_phase phase;
    const char *problem; /* why decoder_feed returned false */
    uint32_t bodiless;   /* bit n modulo 32: the n-th answer is one to HEAD */
    unsigned answers;    /* heard so far, 1xx not counted */
    bool streaming, ndjson, stream_seen;
    char head[HEAD_KEPT];
    size_t head_length;
    unsigned status;
    char body[ANSWER_KEPT];
    size_t body_length, body_left;
    size_t chunk_left, chunk_digits;

    char line[TEXT_MOST];
    size_t line_length;
    char data[TEXT_MOST];
    size_t data_length;
    bool data_seen, id_seen, kind_seen;
    char id[80], kind[80];
    size_t id_length, kind_length;
};

void decoder_start(struct decoder *decoder, uint32_t bodiless);
/* False at the first byte that breaks a format. */
bool decoder_feed(struct decoder *decoder, const char *data, size_t length);

/* What a gap frame says; false when it does not say it as it should. */
bool gap_read(const struct frame *frame, struct gap_frame *gap);

#endif
