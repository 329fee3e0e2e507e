/* Bytes as the tables write them: visible text, and escapes for the rest.
 *
 *   \r \n \t \0 \\      one byte
 *   \xHH                any byte
 *   \{COUNT*TEXT}       the text so many times; it may have escapes of one byte in it */
#ifndef WEIR_TESTS_CONFORMANCE_CASE_TEXT_H
#define WEIR_TESTS_CONFORMANCE_CASE_TEXT_H

#include <stdio.h>

#include "wire/span.h"

struct case_text {
    char *data;
    size_t length;
    size_t capacity;
};

void case_text_append(struct case_text *text, const char *data, size_t length);
/* NULL, or what is wrong with the escapes. */
const char *case_text_append_escaped(struct case_text *text, struct span escaped);
/* The bytes, now the caller's to free; never NULL. */
char *case_text_take(struct case_text *text);
/* Prints bytes so that each can be seen; of many, the first and the last. */
void case_text_print(FILE *file, const char *data, size_t length);

#endif
