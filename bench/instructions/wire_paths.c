/* The texts: what is rendered per event, and what is parsed per request. */
#include "hot_path.h"

#include <string.h>

#include "wire/http_request.h"
#include "wire/stream.h"

static void *open_nothing(void) {
    return NULL;
}
static void close_nothing(void *state) {
    (void)state;
}

static void render(enum stream_format format, struct span data, uint32_t operations) {
    static _Alignas(64) char out[4096];
    const struct stream_event event = {.id = SPAN("CqWU20RsFGU.1234567"), .payload = data};
    size_t written = 0;
    count_begin();
    for (uint32_t i = 0; i < operations; i++)
        written += stream_write_event(out, sizeof(out), (struct stream_profile){format, true}, &event);
    count_end();
    EXPECT(written > operations * data.length && written < operations * (data.length + 100));
}

static void run_sse(void *state, uint32_t operations) {
    (void)state;
    render(STREAM_SSE, (struct span){payload, EVENT_BYTES}, operations);
}
static void run_ndjson(void *state, uint32_t operations) {
    (void)state;
    render(STREAM_NDJSON, (struct span){payload, EVENT_BYTES}, operations);
}

/* JSON inside: quotes to escape in NDJSON, nothing to do in SSE. */
static const char object[] =
    "{\"symbol\":\"WEIR\",\"price\":123.45,\"volume\":1000,\"venue\":\"XETR\",\"side\":\"buy\","
    "\"at\":1700000000000}";
static void run_ndjson_object(void *state, uint32_t operations) {
    (void)state;
    render(STREAM_NDJSON, (struct span){object, sizeof(object) - 1}, operations);
}

/* ---- Requests ------------------------------------------------------------------------------------------------- */

static const char post[] =
    "POST /sessions/chat/events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n"
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";
static const char get[] =
    "GET /sessions/chat/events HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n"
    "Accept: text/event-stream\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) "
    "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nReferer: http://127.0.0.1:8080/\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Last-Event-ID: CqWU20RsFGU.1234567\r\n\r\n";

static void *open_parser(void) {
    static const struct http_limits limits = {.head_bytes = 16384, .header_count = 100, .body_bytes = 8u << 20};
    struct http_parser *parser = http_parser_create(&limits);
    EXPECT(parser != NULL);
    return parser;
}

static void close_parser(void *parser) {
    http_parser_destroy(parser);
}

/* To its end; whether that was reached, with all bytes taken. */
static bool parse(struct http_parser *parser, const char *data, size_t length) {
    enum http_step step = HTTP_MORE;
    do {
        size_t consumed = 0;
        struct span body;
        step = http_parser_feed(parser, data, length, &consumed, &body);
        data += consumed;
        length -= consumed;
    } while (step == HTTP_HEAD || step == HTTP_BODY);
    http_parser_reset(parser);
    return step == HTTP_DONE && length == 0;
}

static void parse_all(struct http_parser *parser, struct span request, uint32_t operations) {
    uint32_t parsed = 0;
    count_begin();
    for (uint32_t i = 0; i < operations; i++)
        parsed += parse(parser, request.data, request.length);
    count_end();
    EXPECT(parsed == operations);
}

static void run_post(void *parser, uint32_t operations) {
    parse_all(parser, SPAN(post), operations);
}
static void run_get(void *parser, uint32_t operations) {
    parse_all(parser, SPAN(get), operations);
}

const struct hot_path wire_paths[] = {
    {"render_sse", 2048, open_nothing, run_sse, close_nothing},
    {"render_ndjson", 2048, open_nothing, run_ndjson, close_nothing},
    {"render_ndjson_object", 2048, open_nothing, run_ndjson_object, close_nothing},
    {"parse_post", 1024, open_parser, run_post, close_parser},
    {"parse_get", 1024, open_parser, run_get, close_parser},
    {0},
};
