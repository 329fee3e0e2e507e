/* Sixteen bytes at a time, for scans that run over everything that enters or leaves: while nothing interesting is among
 * them, a scan need not look at each. A block is a vector of the compiler's: SSE2 or NEON where there is one, plain words
 * elsewhere. */
#ifndef WEIR_IO_WIRE_BLOCK_H
#define WEIR_IO_WIRE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t block __attribute__((vector_size(16)));

static inline block load_block(const char *data) {
    block bytes;
    memcpy(&bytes, data, sizeof(bytes));
    return bytes;
}

/* Whether any byte of a comparison's result is set. */
static inline bool any(block matches) {
    uint64_t halves[2];
    memcpy(halves, &matches, sizeof(halves));
    return (halves[0] | halves[1]) != 0;
}

#endif
