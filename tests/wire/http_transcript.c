/* Body pieces are joined before they are written down, since their number is the one thing that cutting may change.
 * The contract between parser and caller is checked on the way with abort(), so that fuzzers see it too. */
#include "http_transcript.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                                                           \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                                 \
        }                                                                                                            \
    } while (0)

static void append(struct transcript *transcript, const char *data, size_t length) {
    if (transcript->length + length + 1 > transcript->capacity) {
        transcript->capacity = 2 * (transcript->length + length + 1);
        transcript->text = realloc(transcript->text, transcript->capacity);
        REQUIRE(transcript->text);
    }
    if (length > 0) memcpy(transcript->text + transcript->length, data, length);
    transcript->length += length;
    transcript->text[transcript->length] = 0;
}

__attribute__((format(printf, 2, 3))) static void append_text(struct transcript *transcript, const char *format,
                                                              ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    REQUIRE(length >= 0 && (size_t)length < sizeof(text));
    append(transcript, text, (size_t)length);
}

static void append_bytes(struct transcript *transcript, struct span bytes) {
    for (size_t i = 0; i < bytes.length; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        if (byte >= ' ' && byte < 0x7F)
            append(transcript, bytes.data + i, 1);
        else
            append_text(transcript, "\\x%02x", byte);
    }
}

static void append_field(struct transcript *transcript, const char *name, struct span value) {
    if (!value.data) return;
    append_text(transcript, " %s=", name);
    append_bytes(transcript, value);
}

static void append_head(struct transcript *transcript, const struct http_request *request) {
    static const char *methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "OTHER"};
    append_text(transcript, "%s ", methods[request->method]);
    append_bytes(transcript, request->path);
    if (request->query.data) append_field(transcript, "query", request->query);
    if (request->version_minor == 0) append_text(transcript, " HTTP/1.0");
    append_field(transcript, "host", request->host);
    append_field(transcript, "accept", request->accept);
    append_field(transcript, "type", request->content_type);
    append_field(transcript, "authorization", request->authorization);
    append_field(transcript, "origin", request->origin);
    append_field(transcript, "id", request->last_event_id);
    if (request->last_event_id_count > 1) append_text(transcript, " ids=%u", request->last_event_id_count);
    if (!request->keep_alive) append_text(transcript, " close");
    if (request->expect_continue) append_text(transcript, " expect");
    if (request->chunked) append_text(transcript, " chunked");
    if (request->content_length > 0)
        append_text(transcript, " length=%llu", (unsigned long long)request->content_length);
    REQUIRE(request->has_body == (request->chunked || request->content_length > 0));
}

static void append_problem(struct transcript *transcript, const struct http_problem *problem) {
    REQUIRE(problem->status >= 400 && problem->status <= 599 && problem->code[0] && problem->message[0]);
    append_text(transcript, "%u %s@%llu", problem->status, problem->code, (unsigned long long)problem->offset);
}

/* One conversation: what has been said, and the body of the request in hand. */
struct conversation {
    struct http_parser *parser;
    struct transcript said, body;
    bool bad, in_request;
};

static void end_body(struct conversation *conversation) {
    if (conversation->body.length == 0) return;
    append_field(&conversation->said, "body", (struct span){conversation->body.text, conversation->body.length});
    conversation->body.length = 0;
}

static void take_step(struct conversation *conversation, enum http_step step, struct span body) {
    struct transcript *said = &conversation->said;
    REQUIRE((step == HTTP_BODY) == (body.length > 0));
    switch (step) {
    case HTTP_MORE:
        break;
    case HTTP_HEAD:
        REQUIRE(!conversation->in_request);
        if (said->length > 0) append(said, " ", 1);
        append_head(said, http_parser_request(conversation->parser));
        conversation->in_request = true;
        break;
    case HTTP_BODY:
        REQUIRE(conversation->in_request);
        append(&conversation->body, body.data, body.length);
        break;
    case HTTP_DONE:
        REQUIRE(conversation->in_request && !http_parser_midway(conversation->parser));
        end_body(conversation);
        append(said, ";", 1);
        conversation->in_request = false;
        http_parser_reset(conversation->parser);
        break;
    case HTTP_BAD:
        REQUIRE(!http_parser_midway(conversation->parser));
        end_body(conversation);
        if (said->length > 0) append(said, " ", 1);
        append_problem(said, http_parser_problem(conversation->parser));
        conversation->bad = true;
        break;
    }
}

/* Each piece is copied into memory of exactly its size, so that reading past it is seen. */
static void feed_piece(struct conversation *conversation, struct span piece) {
    char *copy = malloc(piece.length ? piece.length : 1);
    REQUIRE(copy);
    if (piece.length > 0) memcpy(copy, piece.data, piece.length);
    size_t at = 0;
    enum http_step step;
    do {
        size_t consumed;
        struct span body;
        step = http_parser_feed(conversation->parser, copy + at, piece.length - at, &consumed, &body);
        REQUIRE(consumed <= piece.length - at);
        if (body.length > 0) REQUIRE(body.data >= copy + at && body.data + body.length == copy + at + consumed);
        at += consumed;
        take_step(conversation, step, body);
    } while (step != HTTP_MORE && step != HTTP_BAD);
    REQUIRE(step == HTTP_BAD || at == piece.length);
    free(copy);
}

struct transcript transcript_make(const struct http_limits *limits, struct span bytes, struct cuts cuts) {
    struct conversation conversation = {.parser = http_parser_create(limits)};
    REQUIRE(conversation.parser);
    append(&conversation.said, "", 0);
    size_t at = 0;
    for (size_t i = 0; at < bytes.length && !conversation.bad; i++) {
        size_t end = bytes.length;
        if (cuts.every > 0 && bytes.length - at > cuts.every) end = at + cuts.every;
        if (i < cuts.count) end = cuts.at[i];
        REQUIRE(end >= at && end <= bytes.length);
        feed_piece(&conversation, (struct span){bytes.data + at, end - at});
        at = end;
    }
    end_body(&conversation);
    if (!conversation.bad && http_parser_midway(conversation.parser)) append(&conversation.said, "...", 3);
    http_parser_destroy(conversation.parser);
    free(conversation.body.text);
    return conversation.said;
}

void transcript_drop_offsets(struct transcript *transcript) {
    char *at = strrchr(transcript->text, '@');
    if (!at || strspn(at + 1, "0123456789") != strlen(at + 1)) return;
    *at = 0;
    transcript->length = (size_t)(at - transcript->text);
}
