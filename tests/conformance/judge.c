#include "judge.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/text.h"

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static bool span_holds(struct span text, struct span part) {
    return part.length == 0 || memmem(text.data, text.length, part.data, part.length) != NULL;
}

/* The value of a field, in the one form in which weir writes heads. */
static bool find_field(struct span head, const char *name, struct span *value) {
    char wanted[80];
    int length = snprintf(wanted, sizeof(wanted), "\r\n%s: ", name);
    const char *at = memmem(head.data, head.length, wanted, (size_t)length);
    if (at == NULL) return false;
    at += length;
    value->data = at;
    value->length = (size_t)((const char *)memmem(at, (size_t)(head.data + head.length - at), "\r\n", 2) - at);
    return true;
}

static bool has_field(struct span head, const char *name, const char *wanted) {
    struct span value;
    return find_field(head, name, &value) && span_equal(value, span_of(wanted));
}

enum answer_state read_answer(struct span bytes, bool bodiless, struct answer_text *answer) {
    static const struct span version = {"HTTP/1.1 ", 9};
    memset(answer, 0, sizeof(*answer));
    size_t seen = bytes.length < version.length ? bytes.length : version.length;
    if (!span_equal((struct span){bytes.data, seen}, (struct span){version.data, seen})) return ANSWER_MALFORMED;
    const char *end = seen > 0 ? memmem(bytes.data, bytes.length, "\r\n\r\n", 4) : NULL;
    if (end == NULL) return ANSWER_PARTIAL;

    answer->status = (unsigned)strtoul(bytes.data + version.length, NULL, 10);
    answer->head = (struct span){bytes.data, (size_t)(end - bytes.data) + 4};
    answer->body = (struct span){end + 4, bytes.length - answer->head.length};
    answer->chunked = has_field(answer->head, "Transfer-Encoding", "chunked");
    struct span field;
    uint64_t length = 0;
    bool counted = find_field(answer->head, "Content-Length", &field);
    if (counted && (answer->chunked || !text_parse_u64(field, &length))) return ANSWER_MALFORMED;
    if (bodiless || answer->status < 200 || answer->status == 204)
        answer->body.length = 0;
    else if (!counted)
        answer->endless = !answer->chunked;
    else if (length > answer->body.length)
        return ANSWER_PARTIAL;
    else
        answer->body.length = length;
    return ANSWER_WHOLE;
}

unsigned expected_count(const struct conformance_case *one) {
    unsigned count = 0;
    for (unsigned i = 0; i < one->answer_count; i++)
        count += one->answers[i].times;
    return count;
}

/* The expectation of the `index`-th answer. */
static const struct expected_answer *expected_at(const struct conformance_case *one, unsigned index) {
    unsigned at = 0;
    while (index >= one->answers[at].times)
        index -= one->answers[at++].times;
    return &one->answers[at];
}

unsigned count_answers(const struct conformance_case *one, struct span bytes, size_t *size) {
    unsigned expected = expected_count(one);
    *size = 0;
    for (unsigned i = 0; i < expected; i++) {
        struct span rest = {bytes.data + *size, bytes.length - *size};
        struct answer_text answer;
        if (read_answer(rest, expected_at(one, i)->bodiless, &answer) != ANSWER_WHOLE) return i;
        *size += answer.head.length + answer.body.length;
    }
    return expected;
}

/* ---- The form of each answer -------------------------------------------------------------------------------- */

static bool fail(char problem[PROBLEM_MAX], unsigned index, const char *what, struct span text) {
    int shown = text.length < 120 ? (int)text.length : 120;
    snprintf(problem, PROBLEM_MAX, "answer %u: %s%s%.*s", index + 1, what, shown > 0 ? ": " : "", shown, text.data);
    return false;
}

/* Lines end with CR LF and hold no control byte: whatever the request put into them would show here. */
static bool head_is_clean(struct span head) {
    for (size_t i = 0; i < head.length; i++) {
        unsigned char byte = (unsigned char)head.data[i];
        if (byte == '\r' && i + 1 < head.length && head.data[i + 1] == '\n')
            i++;
        else if (byte < ' ' || byte >= 0x7F)
            return false;
    }
    return true;
}

bool judge_form(const struct answer_text *answer, bool last, bool bodiless, char problem[PROBLEM_MAX]) {
    struct span none = {"", 0};
    struct span field;
    const char *wrong = NULL;
    bool closes = has_field(answer->head, "Connection", "close");
    if (!head_is_clean(answer->head))
        wrong = "its head holds a control byte";
    else if (answer->status < 200)
        wrong = answer->status == 100 ? NULL : "there is only one interim answer";
    else if (closes != last)
        wrong = last ? "the connection ends and is not said to" : "the connection is said to end and does not";
    else if (answer->status == 405 && !find_field(answer->head, "Allow", &field))
        wrong = "405 without Allow";
    else if (answer->status == 401 && !find_field(answer->head, "WWW-Authenticate", &field))
        wrong = "401 without WWW-Authenticate";
    else if (answer->status == 204 && (answer->chunked || find_field(answer->head, "Content-Length", &field)))
        wrong = "204 with a length";
    else if (answer->endless && !bodiless && !closes)
        wrong = "a body without a length on a connection that stays";
    return wrong == NULL || fail(problem, 0, wrong, none);
}

bool answer_has_code(const struct answer_text *answer, struct span code) {
    char wanted[80];
    int length = snprintf(wanted, sizeof(wanted), "{\"error\":{\"code\":\"%.*s\",", (int)code.length, code.data);
    return span_holds(answer->body, (struct span){wanted, (size_t)length});
}

/* ---- What the case says ------------------------------------------------------------------------------------- */

static bool check_holds(const struct check *check, const struct answer_text *answer) {
    struct span all = {answer->head.data, answer->head.length + answer->body.length};
    struct span value;
    char name[80];
    char line[400];
    switch (check->kind) {
    case CHECK_HEADER:
        snprintf(line, sizeof(line), "\r\n%.*s\r\n", (int)check->text.length, check->text.data);
        return span_holds(answer->head, span_of(line));
    case CHECK_NO_HEADER:
        snprintf(name, sizeof(name), "%.*s", (int)check->text.length, check->text.data);
        return !find_field(answer->head, name, &value);
    case CHECK_BODY:
        return span_equal(answer->body, check->text);
    case CHECK_HOLDS:
        return span_holds(answer->body, check->text);
    default:
        return !span_holds(all, check->text);
    }
}

static bool judge_answer(const struct expected_answer *expected, const struct answer_text *answer, unsigned index,
                         char problem[PROBLEM_MAX]) {
    char status[16];
    snprintf(status, sizeof(status), "%u", answer->status);
    if (answer->status != expected->status) return fail(problem, index, "another status", span_of(status));
    if (expected->code.length > 0 && !expected->bodiless && !answer_has_code(answer, expected->code))
        return fail(problem, index, "the body has not the code", expected->code);
    for (unsigned i = 0; i < expected->check_count; i++)
        if (!check_holds(&expected->checks[i], answer))
            return fail(problem, index, "a check does not hold", expected->checks[i].text);
    return true;
}

/* What a connection gets whose request did not come in time. */
static bool judge_timeout(struct span rest, unsigned index, char problem[PROBLEM_MAX]) {
    struct answer_text answer;
    if (read_answer(rest, false, &answer) != ANSWER_WHOLE || answer.status != 408 ||
        answer.head.length + answer.body.length != rest.length || !answer_has_code(&answer, SPAN("request_timeout")))
        return fail(problem, index, "no answer 408 at the end", rest);
    return judge_form(&answer, true, false, problem);
}

bool judge(const struct conformance_case *one, struct span bytes, bool timed_out, char problem[PROBLEM_MAX]) {
    unsigned count = expected_count(one);
    bool ends = one->ending == ENDING_CLOSED || one->ending == ENDING_STREAMS;
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct expected_answer *expected = expected_at(one, i);
        struct span rest = {bytes.data + at, bytes.length - at};
        struct answer_text answer;
        if (read_answer(rest, expected->bodiless, &answer) != ANSWER_WHOLE)
            return fail(problem, i, "missing or malformed", rest);
        if (!judge_answer(expected, &answer, i, problem)) return false;
        if (!judge_form(&answer, ends && i + 1 == count, expected->bodiless, problem)) return false;
        at += answer.head.length + answer.body.length;
        bool stream = answer.chunked && one->ending == ENDING_STREAMS;
        if (stream &&
            (answer.body.length < 5 || memcmp(answer.body.data + answer.body.length - 5, "0\r\n\r\n", 5) != 0))
            return fail(problem, i, "a chunked stream ends without its last chunk", (struct span){"", 0});
    }
    struct span rest = {bytes.data + at, bytes.length - at};
    if (timed_out && one->ending == ENDING_WAITS) return judge_timeout(rest, count, problem);
    return rest.length == 0 || fail(problem, count, "bytes that nobody asked for", rest);
}
