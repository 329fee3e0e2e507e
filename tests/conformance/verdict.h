/* What a parser makes of a case: the requests that it finds, and what becomes of the rest. It is also the form in which
 * peers tell it, one line for each case: see peers/README.md. */
#ifndef WEIR_TESTS_CONFORMANCE_VERDICT_H
#define WEIR_TESTS_CONFORMANCE_VERDICT_H

#include "case_file.h"
#include "case_text.h"

/* Weir's own, by the parser and with the limits of a server. Appends "END METHOD:TARGET:BODY ..." in hexadecimal. */
void verdict_of_weir(struct span request, struct case_text *line);

/* "END:COUNT", as in done:2. */
#define VERDICT_MAX 64
void verdict_shorten(const char *line, char out[VERDICT_MAX]);

/* Whether two verdicts name the same requests and the same end. */
bool verdict_equal(const char *ours, const char *theirs);

#endif
