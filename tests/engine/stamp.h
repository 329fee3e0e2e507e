/* Events that tell on themselves: who sent them, which of that sender's they are, and whether they are whole. */
#ifndef ENGINE_STAMP_H
#define ENGINE_STAMP_H

#include <stddef.h>
#include <stdint.h>

struct stamp {
    uint64_t checksum; /* of the `length` bytes behind it */
    uint64_t epoch;    /* of the session that it was published to */
    uint32_t producer;
    uint32_t length;
    uint64_t number; /* of this producer's events in this session, from 1 */
};

#define STAMP_LENGTH_MAX 4096u

/* Fills `stamp`'s memory up to `length` bytes (sizeof(struct stamp) at least), by its other fields. */
void stamp_seal(struct stamp *stamp, uint32_t length);

/* Whether `length` bytes are exactly what stamp_seal made. */
int stamp_is_whole(const struct stamp *stamp, uint32_t length);

#endif
