/* What comes back: the response head, the chunks where there are any, the lines, and in them the numbered payloads,
 * checked one by one against what was published. Bytes may be cut anywhere. */
#ifndef WEIR_BENCH_LOAD_STREAM_H
#define WEIR_BENCH_LOAD_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUBLISHERS_MAX 8u
#define DEPTH_MAX      1024u /* publishes in flight of one publisher, a power of two */
#define PAYLOAD_MIN    32u
#define PAYLOAD_MAX    4096u

/* What one publisher connection has under way. Its events are numbered from 0 and rendered into a ring that every
 * subscriber's bytes are compared with. */
struct publisher {
    unsigned index;
    uint64_t sent;
    uint64_t answered;
    uint64_t delivered;            /* every subscriber has all below */
    uint32_t remaining[DEPTH_MAX]; /* subscribers that still lack that number */
    char (*payloads)[PAYLOAD_MAX]; /* DEPTH_MAX of them */
};

/* Totals over all streams. */
struct tally {
    uint64_t events; /* right ones */
    uint64_t lost;
    uint64_t repeated;
    uint64_t foreign; /* data lines that are no payload of ours */
    uint64_t gaps;    /* `event: gap` lines */
    uint64_t reads;
    uint64_t bytes;
};

struct plan {
    struct publisher publishers[PUBLISHERS_MAX];
    unsigned publisher_count;
    size_t payload_bytes;
    struct tally tally;
};

enum stream_state { STREAM_HEAD, STREAM_PLAIN, STREAM_CHUNK_SIZE, STREAM_CHUNK_DATA, STREAM_CHUNK_END, STREAM_OVER };

struct stream {
    enum stream_state state;
    int status;          /* of the response; 0 until its head is there */
    uint32_t held;       /* bytes in `hold`: of the head, or of a line that is not over */
    uint64_t chunk_left; /* bytes of the chunk, or its size as read so far */
    bool chunk_digits_over;
    uint64_t next[PUBLISHERS_MAX]; /* number expected next */
    char *hold;                    /* PAYLOAD_MAX + 64 bytes */
};

#define STREAM_HOLD_BYTES (PAYLOAD_MAX + 64u)

/* Renders number `number` of a publisher where the subscribers' bytes will be compared. */
void plan_render(struct plan *plan, struct publisher *publisher, uint64_t number);

/* Takes the next bytes of a stream. False when they are no response that this program understands. */
bool stream_feed(struct plan *plan, struct stream *stream, const char *bytes, size_t length);

#endif
