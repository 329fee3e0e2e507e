#include "verdict.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/http_request.h"

/* ---- Weir's -------------------------------------------------------------------------------------------------- */

static const char *method_name(enum http_method method) {
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", ""};
    return names[method];
}

static void append_hex(struct case_text *text, const char *data, size_t length) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)data[i];
        char pair[2] = {digits[byte >> 4], digits[byte & 15]};
        case_text_append(text, pair, 2);
    }
}

static void append_request(struct case_text *found, const struct http_request *request,
                           const struct case_text *body) {
    const char *method = method_name(request->method);
    case_text_append(found, " ", 1);
    append_hex(found, method, strlen(method));
    case_text_append(found, ":", 1);
    append_hex(found, request->target.data, request->target.length);
    case_text_append(found, ":", 1);
    append_hex(found, body->data, body->length);
}

/* Reads one request off the front; false when the connection goes no further, for the reason in *end. */
static bool read_one(struct http_parser *parser, struct span *rest, struct case_text *found, const char **end) {
    struct case_text text = {0};
    enum http_step step = HTTP_MORE;
    do {
        size_t consumed;
        struct span body;
        step = http_parser_feed(parser, rest->data, rest->length, &consumed, &body);
        rest->data += consumed;
        rest->length -= consumed;
        if (step == HTTP_BODY) case_text_append(&text, body.data, body.length);
    } while (step == HTTP_HEAD || step == HTTP_BODY || (step == HTTP_MORE && rest->length > 0));
    bool goes_on = false;
    if (step == HTTP_DONE) {
        const struct http_request *request = http_parser_request(parser);
        append_request(found, request, &text);
        goes_on = request->keep_alive;
        *end = goes_on ? "done" : "closes";
        http_parser_reset(parser);
    } else if (step == HTTP_BAD) {
        *end = "refuses";
    } else {
        *end = http_parser_midway(parser) ? "waits" : "done";
    }
    free(text.data);
    return goes_on;
}

void verdict_of_weir(struct span request, struct case_text *line) {
    const struct http_limits limits = {16384, 100, 8u << 20}; /* the server's defaults */
    struct http_parser *parser = http_parser_create(&limits);
    struct case_text found = {0};
    const char *end = "done";
    if (parser == NULL) abort();
    while (request.length > 0 && read_one(parser, &request, &found, &end))
        ;
    http_parser_destroy(parser);
    case_text_append(line, end, strlen(end));
    case_text_append(line, found.data != NULL ? found.data : "", found.length);
    case_text_append(line, "", 1);
    free(found.data);
}

/* ---- Comparing ------------------------------------------------------------------------------------------------ */

void verdict_shorten(const char *line, char out[VERDICT_MAX]) {
    unsigned count = 0;
    for (const char *at = line; (at = strchr(at, ' ')) != NULL; at++)
        count++;
    snprintf(out, VERDICT_MAX, "%.*s:%u", (int)strcspn(line, " "), line, count);
}

static struct span take_part(const char **at) {
    struct span part = {*at, strcspn(*at, ": ")};
    *at += part.length;
    if (**at == ':') (*at)++;
    return part;
}

/* Methods that weir has no name for are not compared. Of an absolute target weir keeps what lies behind the host. */
static bool requests_equal(const char *ours, const char *theirs) {
    struct span our_method = take_part(&ours), their_method = take_part(&theirs);
    struct span our_target = take_part(&ours), their_target = take_part(&theirs);
    if (our_method.length > 0 && !span_equal(our_method, their_method)) return false;
    if (our_target.length > their_target.length) return false;
    their_target.data += their_target.length - our_target.length;
    their_target.length = our_target.length;
    return span_equal(our_target, their_target) && span_equal(take_part(&ours), take_part(&theirs));
}

bool verdict_equal(const char *ours, const char *theirs) {
    char our_form[VERDICT_MAX], their_form[VERDICT_MAX];
    verdict_shorten(ours, our_form);
    verdict_shorten(theirs, their_form);
    if (strcmp(our_form, their_form) != 0) return false;
    while ((ours = strchr(ours, ' ')) != NULL && (theirs = strchr(theirs, ' ')) != NULL)
        if (!requests_equal(++ours, ++theirs)) return false;
    return true;
}
