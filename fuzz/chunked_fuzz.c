/* Request bodies, chunked and counted. The first byte of the input says how the rest is used:
 *
 *   framing   it is what a client sends as chunks, right or wrong. A plain reader of the whole text says what must
 *             come of it: the same body, the same refusal, or a wait for more.
 *   sizes     each byte is a chunk of that size, judged by the same reader.
 *   body      it is a body. It is sent in chunks of sizes that follow from it, with and without extensions, trailers,
 *             capital digits and leading zeros, and must arrive.
 *   length    it is a body with a Content-Length, and another request behind it.
 *
 * What follows the head is fed as a whole, byte by byte, and cut in two at every place (in a long one, at some):
 * nothing may depend on that. Faults: H07-H11, and of H31 that a cut request waits. */
#include "require.h"
#include "wire/http_request.h"

#define HEAD_BYTES      200u
#define HEADERS         4u
#define BODY_BYTES      64u /* so small that sums of chunks get there */
#define EXTENSION_BYTES 1024u
#define WIRE_BYTES      8192u
#define CUTS            24u

static const struct http_limits limits = {HEAD_BYTES, HEADERS, BODY_BYTES};

/* What came of a request. */
struct outcome {
    enum { WAITS, ARRIVES, REFUSED } what;
    unsigned status; /* REFUSED */
    size_t taken;    /* ARRIVES: bytes up to the end of the request */
    char body[BODY_BYTES];
    size_t body_length;
};

struct wire {
    char bytes[WIRE_BYTES];
    size_t length;
    size_t head; /* bytes of the request's head */
    bool chunked;
};

static void append(struct wire *wire, const void *data, size_t length) {
    REQUIRE(length <= sizeof(wire->bytes) - wire->length);
    if (length > 0) memcpy(wire->bytes + wire->length, data, length);
    wire->length += length;
}

static void append_text(struct wire *wire, const char *text) {
    append(wire, text, strlen(text));
}

static void append_head(struct wire *wire, const char *head) {
    append_text(wire, head);
    wire->head = wire->length;
    wire->chunked = strstr(head, "chunked") != NULL;
}

/* ---- The plain reader ----------------------------------------------------------------------------------------- */

struct reading {
    const unsigned char *at, *end;
    struct outcome *outcome;
    size_t extensions;
};

static bool refuse(struct reading *reading, unsigned status) {
    reading->outcome->what = REFUSED;
    reading->outcome->status = status;
    return false;
}

static bool is_visible(unsigned char byte, bool in_trailer) {
    return byte == '\t' || (byte >= ' ' && byte < 0x7F) || (in_trailer && byte >= 0x80);
}

/* Takes one byte that must be this one. False at the end of the text as well, which is no refusal. */
static bool take(struct reading *reading, char byte) {
    if (reading->at == reading->end) return false;
    if (*reading->at != (unsigned char)byte) return refuse(reading, 400);
    reading->at++;
    return true;
}

static bool read_size(struct reading *reading, uint64_t *size) {
    int digits = 0;
    *size = 0;
    for (; reading->at < reading->end && digits < 16; digits++, reading->at++) {
        const char *alphabet = "00112233445566778899aAbBcCdDeEfF";
        const char *digit = *reading->at == 0 ? NULL : strchr(alphabet, *reading->at);
        if (digit == NULL) break;
        *size = *size * 16 + (uint64_t)(digit - alphabet) / 2;
    }
    if (reading->at == reading->end) return false;
    return digits > 0 || refuse(reading, 400);
}

static bool read_extension(struct reading *reading) {
    if (*reading->at != ';') return true;
    for (reading->at++; reading->at < reading->end && *reading->at != '\r'; reading->at++)
        if (!is_visible(*reading->at, false) || reading->extensions++ == EXTENSION_BYTES) return refuse(reading, 400);
    return reading->at < reading->end;
}

/* A line of a size; false when there is nothing more to read. */
static bool read_chunk(struct reading *reading, uint64_t *size) {
    struct outcome *outcome = reading->outcome;
    if (!read_size(reading, size) || !read_extension(reading)) return false;
    if (*reading->at != '\r') return refuse(reading, 400);
    if (*size > BODY_BYTES - outcome->body_length) return refuse(reading, 413);
    if (!take(reading, '\r') || !take(reading, '\n')) return false;
    if (*size == 0) return true;
    size_t there = (size_t)(reading->end - reading->at);
    size_t run = *size < there ? (size_t)*size : there;
    if (run > 0) memcpy(outcome->body + outcome->body_length, reading->at, run);
    outcome->body_length += run;
    reading->at += run;
    return run == *size && take(reading, '\r') && take(reading, '\n');
}

static bool is_name_byte(unsigned char byte) {
    return byte > ' ' && byte < 0x7F && strchr("\"(),/:;<=>?@[\\]{}", byte) == NULL;
}

/* Lines "name: value" until an empty one. The bytes of all lines together are bounded: the one that is too many is
 * refused before it is looked at. */
static bool read_trailers(struct reading *reading) {
    const unsigned char *bound = reading->at + HEAD_BYTES;
    enum { START, NAME, VALUE, LINE_END, LAST_END } state = START;
    for (unsigned fields = 0; reading->at < reading->end; reading->at++) {
        unsigned char byte = *reading->at;
        if (reading->at == bound) return refuse(reading, 431);
        if (state == START && is_name_byte(byte) && fields++ == HEADERS) return refuse(reading, 431);
        if (state == LAST_END && byte == '\n') {
            reading->at++;
            return true;
        }
        if (state == START && byte == '\r')
            state = LAST_END;
        else if ((state == START || state == NAME) && is_name_byte(byte))
            state = NAME;
        else if (state == NAME && byte == ':')
            state = VALUE;
        else if (state == VALUE && byte == '\r')
            state = LINE_END;
        else if (state == LINE_END && byte == '\n')
            state = START;
        else if (state != VALUE || !is_visible(byte, true))
            return refuse(reading, 400);
    }
    return false;
}

static void read_plainly(const struct wire *wire, struct outcome *outcome) {
    const unsigned char *bytes = (const unsigned char *)wire->bytes;
    struct reading reading = {bytes + wire->head, bytes + wire->length, outcome, 0};
    uint64_t size = 1;
    memset(outcome, 0, sizeof(*outcome));
    while (size > 0)
        if (!read_chunk(&reading, &size)) return;
    if (!read_trailers(&reading)) return;
    outcome->what = ARRIVES;
    outcome->taken = (size_t)(reading.at - bytes);
}

/* ---- The parser ----------------------------------------------------------------------------------------------- */

/* Feeds one piece, in memory of exactly its size. False when the request is over. */
static bool feed(struct http_parser *parser, const char *data, size_t length, struct outcome *outcome) {
    char *piece = malloc(length > 0 ? length : 1);
    REQUIRE(piece);
    memcpy(piece, data, length);
    enum http_step step;
    size_t at = 0;
    do {
        size_t consumed;
        struct span body;
        step = http_parser_feed(parser, piece + at, length - at, &consumed, &body);
        at += consumed;
        REQUIRE(at <= length && body.length <= BODY_BYTES - outcome->body_length);
        if (body.length > 0) memcpy(outcome->body + outcome->body_length, body.data, body.length);
        outcome->body_length += body.length;
    } while (step == HTTP_HEAD || step == HTTP_BODY);
    outcome->taken += at;
    if (step == HTTP_DONE) outcome->what = ARRIVES;
    if (step == HTTP_BAD) {
        outcome->what = REFUSED;
        outcome->status = http_parser_problem(parser)->status;
        REQUIRE(strcmp(http_parser_problem(parser)->code, "unreadable_body") != 0);
    }
    free(piece);
    return step == HTTP_MORE;
}

static void require_unchanged_by_trailers(const struct http_request *request, const struct wire *wire) {
    REQUIRE(request->chunked == wire->chunked && request->host.length == 1 && request->host.data[0] == 'h');
    REQUIRE(!request->chunked || request->content_length == 0);
}

static void require_outcome(const struct wire *wire, size_t first, size_t each, const struct outcome *expected) {
    struct http_parser *parser = http_parser_create(&limits);
    struct outcome outcome = {.what = WAITS};
    REQUIRE(parser);
    bool more = feed(parser, wire->bytes, wire->head, &outcome);
    size_t at = wire->head;
    for (size_t length = first; more && at < wire->length; length = each) {
        if (length == 0 || length > wire->length - at) length = wire->length - at;
        more = feed(parser, wire->bytes + at, length, &outcome);
        at += length;
    }
    REQUIRE(outcome.what == expected->what && outcome.status == expected->status);
    REQUIRE(outcome.what != ARRIVES || outcome.taken == expected->taken);
    if (outcome.what == ARRIVES) require_unchanged_by_trailers(http_parser_request(parser), wire);
    if (outcome.what != REFUSED) {
        REQUIRE(outcome.body_length == expected->body_length);
        REQUIRE(memcmp(outcome.body, expected->body, outcome.body_length) == 0);
    }
    http_parser_destroy(parser);
}

static void require_every_cut(const struct wire *wire, const struct outcome *expected) {
    require_outcome(wire, 0, 0, expected);
    require_outcome(wire, 1, 1, expected);
    size_t rest = wire->length - wire->head;
    size_t step = rest < CUTS ? 1 : rest / 4;
    for (size_t cut = 1 + rest % 7; cut < rest; cut += step)
        require_outcome(wire, cut, 0, expected);
}

/* ---- Three uses of an input ----------------------------------------------------------------------------------- */

static const char chunked_head[] = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

static void try_framing(const uint8_t *data, size_t size) {
    struct wire wire;
    wire.length = 0;
    struct outcome expected;
    append_head(&wire, chunked_head);
    append(&wire, data, size);
    read_plainly(&wire, &expected);
    require_every_cut(&wire, &expected);
}

static void append_size(struct wire *wire, size_t size, uint8_t style) {
    static const char *const forms[] = {"%zx", "%zX", "%05zx", "%016zX"};
    static const char *const extensions[] = {"", ";a", ";a=b", "; \t\"x\";y"};
    char line[32];
    snprintf(line, sizeof(line), forms[style % 4], size);
    append_text(wire, line);
    append_text(wire, extensions[style / 4 % 4]);
    append_text(wire, "\r\n");
}

/* Each byte is a chunk of that size: together they may be more than is taken. */
static void try_sizes(const uint8_t *data, size_t size, uint8_t style) {
    struct wire wire;
    struct outcome expected;
    wire.length = 0;
    append_head(&wire, chunked_head);
    for (size_t i = 0; i < size && wire.length < WIRE_BYTES / 2; i++) {
        static const char filler[UINT8_MAX];
        append_size(&wire, data[i], (uint8_t)(style + i));
        append(&wire, filler, data[i]);
        append_text(&wire, "\r\n");
    }
    read_plainly(&wire, &expected);
    require_every_cut(&wire, &expected);
}

static void expect_body(struct outcome *expected, const uint8_t *data, size_t size) {
    memset(expected, 0, sizeof(*expected));
    expected->what = ARRIVES;
    expected->body_length = size;
    if (size > 0) memcpy(expected->body, data, size);
}

static void try_body(const uint8_t *data, size_t size, uint8_t style) {
    static const char *const trailers[] = {"", "a:\r\n", "Content-Length: 5\r\nHost: x\r\n",
                                           "Transfer-Encoding: x\r\nb: \xC3\xA9\r\n"};
    struct wire wire;
    wire.length = 0;
    struct outcome expected;
    append_head(&wire, chunked_head);
    for (size_t at = 0; at < size;) {
        size_t run = 1 + (data[at] + style) % 40u;
        if (run > size - at) run = size - at;
        append_size(&wire, run, (uint8_t)(style + at));
        append(&wire, data + at, run);
        append_text(&wire, "\r\n");
        at += run;
    }
    append_size(&wire, 0, (uint8_t)(style >> 2));
    append_text(&wire, trailers[style % 4]);
    append_text(&wire, "\r\n");
    expect_body(&expected, data, size);
    expected.taken = wire.length;
    require_every_cut(&wire, &expected);
}

static void try_length(const uint8_t *data, size_t size, uint8_t style) {
    struct wire wire;
    wire.length = 0;
    struct outcome expected;
    char head[80];
    snprintf(head, sizeof(head), "PUT /%s HTTP/1.%u\r\nHost: h\r\nContent-Length: %zu\r\n\r\n",
             style & 1 ? "a?b" : "", style >> 1 & 1u, size);
    append_head(&wire, head);
    append(&wire, data, size);
    expect_body(&expected, data, size);
    expected.taken = wire.length;
    append_text(&wire, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); /* which is no body, and is left alone */
    require_every_cut(&wire, &expected);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    uint8_t how = data[0];
    size_t length = size - 1;
    if (how % 8 == 6) {
        try_sizes(data + 1, length, how >> 3);
        return 0;
    }
    if (how % 2 == 0) {
        try_framing(data + 1, length < 4000 ? length : 4000);
        return 0;
    }
    if (length > BODY_BYTES) length = BODY_BYTES;
    if (how % 4 == 1)
        try_body(data + 1, length, how >> 2);
    else
        try_length(data + 1, length, how >> 2);
    return 0;
}
