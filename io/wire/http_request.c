/* Bytes pass the gate first. Those of the head are kept until it is complete and then read as a whole, so the pieces
 * in which they came leave no trace. Body bytes are handed through: the gate tells framing from data, llhttp reads
 * beside it, and where the two do not agree on what is body the request is refused. */
#include "http_request.h"

#include <stdlib.h>

#include "http_gate.h"
#include "http_head.h"

#define FIRST_HEAD_BYTES 1024u

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_CHUNKS, PHASE_TRAILERS, PHASE_END, PHASE_BAD };

struct http_parser {
    struct http_limits limits;
    struct http_gate gate;
    struct http_reader reader;
    struct http_request request;
    struct http_problem problem;
    uint64_t body_left; /* of a body with Content-Length */
    char *head;         /* only from a request's first byte to its end: an idle connection owns none */
    uint32_t head_length, head_capacity;
    uint8_t phase; /* enum phase */
};

struct http_parser *http_parser_create(const struct http_limits *limits) {
    struct http_parser *parser = calloc(1, sizeof(*parser));
    if (!parser) return NULL;
    parser->limits = *limits;
    http_parser_reset(parser);
    return parser;
}

void http_parser_destroy(struct http_parser *parser) {
    if (!parser) return;
    free(parser->head);
    free(parser);
}

void http_parser_reset(struct http_parser *parser) {
    free(parser->head);
    parser->head = NULL;
    parser->head_length = parser->head_capacity = 0;
    parser->request = (struct http_request){0};
    parser->problem = (struct http_problem){0};
    parser->phase = PHASE_HEAD;
    http_gate_start(&parser->gate, &parser->limits, &parser->problem);
}

bool http_parser_midway(const struct http_parser *parser) {
    if (parser->phase == PHASE_HEAD) return parser->gate.state > GATE_START_LF;
    return parser->phase == PHASE_BODY || parser->phase == PHASE_CHUNKS || parser->phase == PHASE_TRAILERS;
}

const struct http_request *http_parser_request(const struct http_parser *parser) {
    return &parser->request;
}

const struct http_problem *http_parser_problem(const struct http_parser *parser) {
    return &parser->problem;
}

/* ---- Steps -------------------------------------------------------------------------------------------------- */

static enum http_step fail(struct http_parser *parser) {
    parser->phase = PHASE_BAD;
    return HTTP_BAD;
}

static bool refuse_body(struct http_parser *parser) {
    return http_refuse(&parser->problem, parser->gate.offset, 400, "unreadable_body", "The body cannot be read");
}

static bool keep_head(struct http_parser *parser, const char *data, size_t length) {
    size_t needed = parser->head_length + length;
    if (needed > parser->head_capacity) {
        size_t capacity = parser->head_capacity ? parser->head_capacity : FIRST_HEAD_BYTES;
        while (capacity < needed)
            capacity *= 2;
        char *head = realloc(parser->head, capacity);
        if (!head) return false;
        parser->head = head;
        parser->head_capacity = (uint32_t)capacity;
    }
    memcpy(parser->head + parser->head_length, data, length);
    parser->head_length += (uint32_t)length;
    return true;
}

static enum http_step finish_head(struct http_parser *parser) {
    struct span head = {parser->head, parser->head_length};
    if (!http_head_read(&parser->reader, &parser->limits, head, parser->gate.fields, &parser->request,
                        &parser->problem)) {
        parser->problem.offset += parser->gate.start;
        return fail(parser);
    }
    parser->body_left = parser->request.content_length;
    parser->phase = parser->request.chunked ? PHASE_CHUNKS : parser->body_left > 0 ? PHASE_BODY : PHASE_END;
    if (parser->request.chunked) http_gate_start_chunks(&parser->gate);
    return HTTP_HEAD;
}

static enum http_step feed_head(struct http_parser *parser, const char *data, size_t length, size_t *consumed) {
    uint64_t before = parser->gate.start;
    size_t taken = http_gate_read_head(&parser->gate, data, length);
    size_t empty = (size_t)(parser->gate.start - before);
    *consumed = taken;
    if (parser->gate.state == GATE_BAD) return fail(parser);
    if (taken > empty && !keep_head(parser, data + empty, taken - empty)) {
        http_refuse(&parser->problem, parser->gate.offset, 503, "out_of_memory", "The server has no memory left");
        return fail(parser);
    }
    return parser->gate.state == GATE_END ? finish_head(parser) : HTTP_MORE;
}

/* A run of data that the gate expects: llhttp must take all of it for data as well. */
static bool read_data(struct http_parser *parser, const char *data, size_t length) {
    struct http_reader *reader = &parser->reader;
    if (http_reader_feed(reader, data, length) && reader->body.data == data && reader->body.length == length)
        return true;
    return refuse_body(parser);
}

static enum http_step feed_body(struct http_parser *parser, const char *data, size_t length, size_t *consumed,
                                struct span *body) {
    size_t run = length < parser->body_left ? length : (size_t)parser->body_left;
    if (run == 0) return HTTP_MORE;
    parser->body_left -= run;
    parser->gate.offset += run;
    if (!read_data(parser, data, run)) return fail(parser);
    if (parser->body_left == 0) parser->phase = PHASE_END;
    *consumed = run;
    *body = (struct span){data, run};
    return HTTP_BODY;
}

/* Framing up to the next chunk data. Extensions are checked and dropped: llhttp is not shown them. */
static bool read_framing(struct http_parser *parser, const char *data, size_t length, size_t *taken) {
    struct http_gate *gate = &parser->gate;
    size_t at = 0;
    for (; at < length && gate->state != GATE_DATA && gate->state != GATE_LAST; at++) {
        if (!http_gate_take_framing(gate, data[at])) break;
        if (gate->state == GATE_EXTENSION) continue;
        if (!http_reader_feed(&parser->reader, data + at, 1) || parser->reader.body.length > 0) {
            refuse_body(parser);
            break;
        }
    }
    *taken = at;
    return parser->problem.status == 0;
}

static enum http_step feed_chunks(struct http_parser *parser, const char *data, size_t length, size_t *consumed,
                                  struct span *body) {
    struct http_gate *gate = &parser->gate;
    if (!read_framing(parser, data, length, consumed)) return fail(parser);
    if (gate->state == GATE_LAST) {
        http_gate_start_trailers(gate);
        parser->phase = PHASE_TRAILERS;
    }
    data += *consumed;
    length -= *consumed;
    size_t run = length < gate->left ? length : (size_t)gate->left;
    if (gate->state != GATE_DATA || run == 0) return HTTP_MORE;
    http_gate_pass_data(gate, run);
    if (!read_data(parser, data, run)) return fail(parser);
    *consumed += run;
    *body = (struct span){data, run};
    return HTTP_BODY;
}

/* Trailers are checked and dropped: llhttp is shown a body that has none. */
static enum http_step feed_trailers(struct http_parser *parser, const char *data, size_t length, size_t *consumed) {
    *consumed = http_gate_read_head(&parser->gate, data, length);
    if (parser->gate.state == GATE_BAD) return fail(parser);
    if (parser->gate.state != GATE_END) return HTTP_MORE;
    if (!http_reader_feed(&parser->reader, "\r\n", 2) || !parser->reader.complete) {
        refuse_body(parser);
        return fail(parser);
    }
    parser->phase = PHASE_END;
    return HTTP_DONE;
}

enum http_step http_parser_feed(struct http_parser *parser, const char *data, size_t length, size_t *consumed,
                                struct span *body) {
    *consumed = 0;
    *body = (struct span){NULL, 0};
    if (!data) data = ""; /* nothing, at an address that can be added to */
    switch (parser->phase) {
    case PHASE_HEAD:
        return feed_head(parser, data, length, consumed);
    case PHASE_BODY:
        return feed_body(parser, data, length, consumed, body);
    case PHASE_CHUNKS: {
        enum http_step step = feed_chunks(parser, data, length, consumed, body);
        if (step != HTTP_MORE || parser->phase != PHASE_TRAILERS) return step;
        size_t behind;
        step = feed_trailers(parser, data + *consumed, length - *consumed, &behind);
        *consumed += behind;
        return step;
    }
    case PHASE_TRAILERS:
        return feed_trailers(parser, data, length, consumed);
    case PHASE_END:
        return HTTP_DONE;
    default:
        return HTTP_BAD;
    }
}
