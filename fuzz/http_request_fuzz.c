/* A conversation of any bytes. However it is cut, the parser says the same; what it lets through is free of
 * everything that could mean something else to another reader. Faults: H12, H13, H15, H19. */
#include "require.h"
#include "wire/http_request.h"
#include "wire/http_transcript.h"

static const struct http_limits limits = {512, 12, 64};

static uint64_t mix(uint64_t seed) {
    seed ^= seed >> 31;
    return seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

/* Where to cut follows from the bytes, so that an input is nothing but a conversation and stays readable. */
static uint64_t seed_of(struct span bytes) {
    uint64_t seed = bytes.length;
    for (size_t i = 0; i < bytes.length; i++)
        seed = mix(seed ^ (unsigned char)bytes.data[i]);
    return seed;
}

static void require_same(struct span bytes, const char *whole, struct cuts cuts) {
    struct transcript cut = transcript_make(&limits, bytes, cuts);
    if (strcmp(cut.text, whole) != 0) fprintf(stderr, "whole %s\ncut   %s\n", whole, cut.text);
    REQUIRE(strcmp(cut.text, whole) == 0);
    free(cut.text);
}

static void require_cuts_change_nothing(struct span bytes) {
    struct transcript whole = transcript_make(&limits, bytes, (struct cuts){0});
    require_same(bytes, whole.text, (struct cuts){.every = 1});
    uint64_t seed = seed_of(bytes);
    size_t at[8] = {0};
    for (int round = 0; round < 3; round++) {
        size_t count = 0, last = 0;
        for (; count < 8; count++) {
            seed = mix(seed);
            last += seed % (bytes.length - last + 1) / (count < 4 ? 4 : 1);
            at[count] = last;
        }
        require_same(bytes, whole.text, (struct cuts){.at = at, .count = count});
    }
    free(whole.text);
}

/* ---- What a request may hold -------------------------------------------------------------------------------- */

static void require_within(struct span value, unsigned lowest, unsigned highest) {
    for (size_t i = 0; i < value.length; i++) {
        unsigned byte = (unsigned char)value.data[i];
        REQUIRE((byte >= lowest && byte <= highest && byte != 0x7F) || byte == '\t');
    }
}

static void require_target(const struct http_request *request) {
    struct span path = request->path, query = request->query;
    char decoded[1024];
    require_within(request->target, 0x21, 0x7E);
    REQUIRE(path.length > 0 && (path.data[0] == '/' || span_equal(path, SPAN("*"))));
    REQUIRE(!memchr(path.data, '?', path.length) && !memchr(path.data, '#', path.length));
    long length = http_decode(path, decoded, sizeof(decoded));
    REQUIRE(length > 0 && (size_t)length <= path.length);
    REQUIRE(!memchr(decoded, 0, (size_t)length) && !memchr(decoded, '\n', (size_t)length));
    REQUIRE(http_decode(query, decoded, sizeof(decoded)) >= 0);
    struct span value = {NULL, 0};
    if (http_query_find(query, "a", &value))
        REQUIRE(value.data >= query.data && value.data + value.length <= query.data + query.length);
}

static void require_accept(struct span accept) {
    const char *sse = "text/event-stream", *ndjson = "application/x-ndjson";
    bool one = http_accept_prefers(accept, ndjson, sse), other = http_accept_prefers(accept, sse, ndjson);
    REQUIRE(!(one && other));
    if (one) REQUIRE(http_accept_allows(accept, ndjson));
    if (other) REQUIRE(http_accept_allows(accept, sse));
    if (accept.length == 0) REQUIRE(!one && !other && http_accept_allows(accept, sse));
}

static void require_request(const struct http_request *request) {
    require_target(request);
    require_accept(request->accept);
    require_within(request->host, 0x2D, 0x7E);
    const struct span values[] = {request->accept, request->content_type, request->authorization, request->origin,
                                  request->last_event_id};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        require_within(values[i], ' ', 0xFF);
        if (values[i].length > 0) REQUIRE(values[i].data[0] != ' ' && values[i].data[values[i].length - 1] != ' ');
    }
    REQUIRE(request->version_minor <= 1 && request->content_length <= limits.body_bytes);
    REQUIRE(!request->chunked || (request->content_length == 0 && request->version_minor == 1));
    REQUIRE(request->version_minor == 0 || request->host.data);
    REQUIRE(!request->expect_continue || request->has_body);
    REQUIRE((request->last_event_id_count > 0) == (request->last_event_id.data != NULL));
    http_media_type_is(request->content_type, "application/x-ndjson");
}

static void require_requests_are_clean(struct span bytes) {
    struct http_parser *parser = http_parser_create(&limits);
    REQUIRE(parser);
    uint64_t body_bytes = 0;
    enum http_step step;
    size_t at = 0;
    do {
        size_t consumed;
        struct span body;
        step = http_parser_feed(parser, bytes.data + at, bytes.length - at, &consumed, &body);
        at += consumed;
        body_bytes += body.length;
        if (step == HTTP_HEAD) {
            require_request(http_parser_request(parser));
            body_bytes = 0;
        } else if (step == HTTP_DONE) {
            const struct http_request *request = http_parser_request(parser);
            REQUIRE(request->chunked ? body_bytes <= limits.body_bytes : body_bytes == request->content_length);
            http_parser_reset(parser);
        } else if (step == HTTP_BAD) {
            const struct http_problem *problem = http_parser_problem(parser);
            REQUIRE(problem->offset <= bytes.length);
            /* The gate and llhttp read each body alike: this refusal is for the day when they do not. */
            REQUIRE(strcmp(problem->code, "unreadable_body") != 0);
        }
    } while (step != HTTP_MORE && step != HTTP_BAD);
    http_parser_destroy(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span bytes = {size > 0 ? (const char *)data : "", size};
    if (size > 4096) return 0; /* longer than limits and cuts can make use of */
    require_cuts_change_nothing(bytes);
    require_requests_are_clean(bytes);
    return 0;
}
