/* The table of cases: files of text in cases/, read into memory. README.md describes the format. */
#ifndef WEIR_TESTS_CONFORMANCE_CASE_FILE_H
#define WEIR_TESTS_CONFORMANCE_CASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/span.h"

#define ANSWERS_MAX 8
#define CHECKS_MAX  6
#define GIVENS_MAX  3

enum check_kind {
    CHECK_HEADER,    /* the head has this line */
    CHECK_NO_HEADER, /* the head has no field of this name */
    CHECK_BODY,      /* the body is this */
    CHECK_HOLDS,     /* the body has this in it */
    CHECK_OMITS      /* the whole answer has this nowhere */
};

struct check {
    enum check_kind kind;
    struct span text;
};

struct expected_answer {
    unsigned status;
    unsigned times;   /* that it comes, one behind the other */
    struct span code; /* of the error in its JSON body; empty: none asked for */
    bool bodiless;    /* the answer to a HEAD */
    struct check checks[CHECKS_MAX];
    unsigned check_count;
};

/* What becomes of the connection behind the answers. */
enum ending {
    ENDING_KEPT,    /* it takes another request */
    ENDING_CLOSED,  /* the server ends it: FIN, and not a byte more */
    ENDING_STREAMS, /* the last answer is a stream, which ends when its session does */
    ENDING_WAITS,   /* the last request is not complete: 408 when its time is up */
    ENDING_IDLE     /* no request has begun: silence, then FIN */
};

enum server_kind { SERVER_PLAIN, SERVER_TOKEN, SERVER_STRICT, SERVER_KINDS };

/* A session that exists before the request comes, with events. */
struct given {
    char name;          /* sessions have one letter */
    struct span events; /* separated by blanks */
};

struct conformance_case {
    struct span name;
    struct span faults; /* ids, separated by blanks */
    struct span title;
    const char *file;
    unsigned line;
    struct span request;
    struct expected_answer answers[ANSWERS_MAX];
    unsigned answer_count;
    struct given givens[GIVENS_MAX];
    unsigned given_count;
    enum server_kind server;
    enum ending ending;
    bool ending_given;
    unsigned published; /* events that the request puts into sessions */
};

struct case_list {
    struct conformance_case *cases;
    size_t count;
    size_t capacity;
    char **blocks; /* memory that the spans point into */
    size_t block_count;
};

/* Reads every *.txt of the folder, in the order of their names. Ends the program with a message that names file and
 * line when one of them is not well formed: a table that is read in part would be a test that fails to fail. */
void case_list_read(struct case_list *list, const char *folder);
void case_list_free(struct case_list *list);

#endif
