/* Reads what a server sent and holds it against what a case expects. */
#ifndef WEIR_TESTS_CONFORMANCE_JUDGE_H
#define WEIR_TESTS_CONFORMANCE_JUDGE_H

#include "case_file.h"

#define PROBLEM_MAX 400

struct answer_text {
    unsigned status;
    struct span head; /* with the empty line */
    struct span body; /* of a stream: so far */
    bool chunked;
    bool endless; /* the connection's end is its end */
};

enum answer_state { ANSWER_WHOLE, ANSWER_PARTIAL, ANSWER_MALFORMED };

/* The answer at the front of the bytes. A stream is whole with its head. */
enum answer_state read_answer(struct span bytes, bool bodiless, struct answer_text *answer);

/* How many of the case's answers are there as a whole, and how many bytes they have. A malformed one ends the count. */
unsigned count_answers(const struct conformance_case *one, struct span bytes, size_t *size);
unsigned expected_count(const struct conformance_case *one);

/* Checks the answers, and that nothing stands behind them: but an answer 408 where `timed_out`. False: *problem. */
bool judge(const struct conformance_case *one, struct span bytes, bool timed_out, char problem[PROBLEM_MAX]);

/* Checks that one answer is well formed and says rightly whether the connection ends. */
bool judge_form(const struct answer_text *answer, bool last, bool bodiless, char problem[PROBLEM_MAX]);

bool answer_has_code(const struct answer_text *answer, struct span code);

#endif
