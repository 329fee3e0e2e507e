/* A second reader of token expiry, as plain as the rule is written, to compare the engine's with; and the way to make
 * tokens. */
#ifndef CONTRACT_TOKEN_REFERENCE_H
#define CONTRACT_TOKEN_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TOK-10, TOK-11. Seconds above 2^53 are only as near as a double comes to them. */
bool token_reference(const char *token, size_t length, uint64_t *expiry_ms);

/* Whether what the engine read is what the reference read. */
bool token_agrees(const char *token, size_t length);

/* Room for a token around `size` bytes of claims. */
#define TOKEN_ROOM(size) (((size) + 2) / 3 * 4 + 16)

/* Writes "e30.CLAIMS.c2ln", the claims as base64url without padding; returns its length. */
size_t token_make(char *out, const void *claims, size_t size);

#endif
