/* Reading wire ids back. */
#ifndef WEIR_SESSION_ID_H
#define WEIR_SESSION_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False for whatever weir_id_format would not have written; then nothing is known of the id. */
bool id_parse(const char *text, size_t length, uint64_t *epoch, uint64_t *sequence);

/* A decimal number of 64 bits, and nothing else (RPL-21). */
bool id_parse_bare(const char *text, size_t length, uint64_t *sequence);

#endif
