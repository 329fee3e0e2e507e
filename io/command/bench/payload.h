/* The text of one event of the load: who published it, where, as which number, when it was due, and a hash over all
 * of it. One line of ASCII, so that SSE carries it unchanged, with every field at a fixed place:
 *
 *     weirbench1 RUN SESSION PUBLISHER NUMBER DUE HASH filler...
 *
 * All fields are lower-case hexadecimal. RUN sets this run's events apart from what another run has left behind. */
#ifndef WEIR_IO_COMMAND_BENCH_PAYLOAD_H
#define WEIR_IO_COMMAND_BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum { PAYLOAD_MIN = 80, PAYLOAD_MAX = 1 << 20, PAYLOAD_PUBLISHERS = 1 << 16 };

struct payload {
    uint32_t run;
    uint32_t session;
    uint32_t publisher; /* below PAYLOAD_PUBLISHERS */
    uint64_t number;    /* of this publisher in this session, from 1 */
    uint64_t due_ns;    /* of CLOCK_MONOTONIC */
};

enum payload_result {
    PAYLOAD_FINE,
    PAYLOAD_STRANGE, /* none of a load's events */
    PAYLOAD_CORRUPT  /* one of them, changed or cut */
};

/* Writes exactly `size` bytes, PAYLOAD_MIN to PAYLOAD_MAX. */
void payload_write(char *out, size_t size, const struct payload *payload);

/* Reads it back; `size` is what payload_write was given. */
enum payload_result payload_read(struct span text, size_t size, struct payload *payload);

#endif
