/* Just as much of a JSON reader as the decoder needs, written from RFC 8259 and sharing no line with what wrote the
 * text: the members of one object. */
#ifndef WEIR_TESTS_SIMULATION_JSON_TEXT_H
#define WEIR_TESTS_SIMULATION_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum json_type { JSON_STRING_VALUE, JSON_NUMBER_VALUE, JSON_OBJECT_VALUE, JSON_NULL_VALUE, JSON_TRUE_VALUE };

struct json_member {
    const char *key; /* undecoded: keys are plain */
    size_t key_length;
    enum json_type type;
    const char *text; /* a string: decoded, in `room`; else as it stands */
    size_t length;
};

/* Reads `text`, which is one object and nothing else, into up to `most` members; strings are decoded into `room`, which
 * must be as large as the text. Returns their number, or -1 when it is not such an object, or a key comes twice. */
int json_members(const char *text, size_t length, struct json_member *members, int most, char *room);

const struct json_member *json_find(const struct json_member *members, int count, const char *key);
/* A number without sign, point and exponent. */
bool json_number(const struct json_member *member, uint64_t *number);

#endif
