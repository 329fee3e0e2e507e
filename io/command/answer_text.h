/* The JSON bodies that weir answers with, gathered and read. */
#ifndef WEIR_IO_COMMAND_ANSWER_TEXT_H
#define WEIR_IO_COMMAND_ANSWER_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct answer_text {
    size_t length;
    char bytes[8192]; /* what is longer is cut: no answer of weir's is */
};

/* A client_body_function: `context` is the answer_text. */
void answer_text_take(void *context, const char *data, size_t length);

/* One line for a person: "404 session_not_found: there is no such session". */
void answer_text_describe(const struct answer_text *text, unsigned status, char *out, size_t capacity);

/* A number at the top of the object, or inside its "error" object; 0 when there is none. */
uint64_t answer_text_number(const struct answer_text *text, const char *name);

#endif
