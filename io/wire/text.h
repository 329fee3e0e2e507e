/* Small checks and encodings of text that come from outside. Pure functions. */
#ifndef WEIR_IO_WIRE_TEXT_H
#define WEIR_IO_WIRE_TEXT_H

#include <stdint.h>

#include "span.h"

/* Length of the longest prefix that is well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms); equals the
 * length when all of it is. Fast on ASCII. */
size_t text_utf8_valid_prefix(struct span text);

/* Length of the longest prefix without CR, LF and NUL: what of it may stand in one field of an SSE line. */
size_t text_field_prefix(struct span text);

/* Without spaces and tabs at either end. */
struct span text_trim(struct span text);

/* 1 to 64 bytes of [0-9A-Za-z._~-]. */
bool text_name_valid(struct span name);

/* Equal but for the case of ASCII letters, whatever the locale. */
bool text_equal_nocase(struct span a, struct span b);

/* The inside of a JSON string (quotes not included) for UTF-8 text: how long it is, and writing it where there is room for
 * just that. Escapes ", \ and the control bytes; and U+2028 and U+2029, so that a line of it is one line everywhere. */
size_t text_json_size(struct span text);
void text_json_write(char *out, size_t size, struct span text);

/* Unsigned decimal, digits only, no overflow; *value is set only when it is one. */
bool text_parse_u64(struct span text, uint64_t *value);

/* Value of a hexadecimal digit in either case, -1 for any other byte. */
int text_hex_value(char byte);

/* Writes a decimal number, returns its length (at most 20). */
size_t text_write_u64(char *out, uint64_t value);

#endif
