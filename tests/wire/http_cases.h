/* Byte-exact requests and what the parser must make of them: a transcript (see http_transcript.h), without offsets
 * unless the case names one. Titles begin with the fault that they stand for. */
#ifndef TESTS_WIRE_HTTP_CASES_H
#define TESTS_WIRE_HTTP_CASES_H

#include <stddef.h>

struct http_case {
    const char *title;
    const char *bytes;
    size_t length;
    const char *expected;
};

extern const struct http_case http_cases[];
extern const size_t http_case_count;

/* The limits that the cases are written for. */
#define HTTP_CASE_HEAD_BYTES   512
#define HTTP_CASE_HEADER_COUNT 12
#define HTTP_CASE_BODY_BYTES   64

#endif
