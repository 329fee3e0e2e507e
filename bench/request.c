/* What reading one HTTP request costs, from its first byte to its parts: the strict gate, llhttp, and what weir makes of
 * the head. The whole request lies in one warm piece of memory, as a receive hands it over.
 *
 * request_post_ns  a publish as curl sends it: 6 lines of head and 100 bytes of body
 * request_get_ns   a browser's EventSource that comes back: 16 headers, among them its last id
 * request_split_ns the same GET in pieces of 100 bytes, as a slow line brings it
 *
 * The parser is reset after each, as on a connection that is kept: memory for the head is taken and given back each
 * time. Not measured: receiving, routing, answering. Checked: method, path, and what of the headers and of the body a
 * route would look at, each time. */
#include "cores.h"
#include "wire/http_request.h"

static const char post[] =
    "POST /sessions/chat-1/events HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\n"
    "User-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n"
    "Content-Length: 100\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n"
    "\r\n"
    "The weir keeps the river at its level: what comes is passed on, and what is gone is said to be "
    "gone.";

static const char get[] = "GET /sessions/chat-1/events?from=now HTTP/1.1\r\n"
                          "Host: events.example.com\r\n"
                          "Connection: keep-alive\r\n"
                          "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
                          "sec-ch-ua-mobile: ?0\r\n"
                          "sec-ch-ua-platform: \"Linux\"\r\n"
                          "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                          "Chrome/130.0.0.0 Safari/537.36\r\n"
                          "Accept: text/event-stream\r\n"
                          "Cache-Control: no-cache\r\n"
                          "Last-Event-ID: CqWU20RsFGU.123456\r\n"
                          "Origin: https://www.example.com\r\n"
                          "Sec-Fetch-Site: same-site\r\n"
                          "Sec-Fetch-Mode: cors\r\n"
                          "Sec-Fetch-Dest: empty\r\n"
                          "Referer: https://www.example.com/rooms/chat-1\r\n"
                          "Accept-Encoding: gzip, deflate, br, zstd\r\n"
                          "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
                          "\r\n";

#define BODY_BYTES 100u

struct reading {
    struct span bytes;
    size_t piece; /* bytes given at once */
    enum http_method method;
    size_t path_length;
    struct span last_event_id;
    size_t body_length;
};

static bool head_is_right(const struct http_request *request, const struct reading *reading) {
    return request->method == reading->method && request->path.length == reading->path_length &&
           request->content_length == reading->body_length && request->host.length > 0 &&
           request->accept.length > 0 && span_equal(request->last_event_id, reading->last_event_id);
}

/* Feeds one request, piece by piece; true when all of it was there. */
static bool read_request(struct http_parser *parser, const struct reading *reading) {
    size_t done = 0;
    size_t body_length = 0;
    bool head = false;
    for (;;) {
        struct span body;
        size_t consumed;
        size_t left = reading->bytes.length - done;
        size_t length = left < reading->piece ? left : reading->piece;
        enum http_step step = http_parser_feed(parser, reading->bytes.data + done, length, &consumed, &body);
        done += consumed;
        if (step == HTTP_HEAD) head = head_is_right(http_parser_request(parser), reading);
        if (step == HTTP_BODY) body_length += body.length;
        if (step == HTTP_BAD || (step == HTTP_MORE && left == consumed)) return false;
        if (step == HTTP_DONE) break;
    }
    http_parser_reset(parser);
    return head && done == reading->bytes.length && body_length == reading->body_length;
}

static void measure(uint64_t events, const struct reading *reading, struct bench_result *result) {
    const struct http_limits limits = {.head_bytes = 16384, .header_count = 100, .body_bytes = 1u << 20};
    struct http_parser *parser = http_parser_create(&limits);
    if (!parser) {
        bench_fail(result, "out of memory");
        return;
    }
    uint64_t right = 0;
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < events; i++) {
        right += read_request(parser, reading);
    }
    result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
    if (right != events) bench_fail(result, "only %llu requests were read", (unsigned long long)right);
    http_parser_destroy(parser);
}

static void measure_post(uint64_t events, struct bench_result *result) {
    const struct reading reading = {.bytes = SPAN(post),
                                    .piece = SIZE_MAX,
                                    .method = HTTP_METHOD_POST,
                                    .path_length = strlen("/sessions/chat-1/events"),
                                    .body_length = BODY_BYTES};
    measure(events, &reading, result);
}

static void measure_get_in(uint64_t events, size_t piece, struct bench_result *result) {
    const struct reading reading = {.bytes = SPAN(get),
                                    .piece = piece,
                                    .method = HTTP_METHOD_GET,
                                    .path_length = strlen("/sessions/chat-1/events"),
                                    .last_event_id = SPAN("CqWU20RsFGU.123456")};
    measure(events, &reading, result);
}

static void measure_get(uint64_t events, struct bench_result *result) {
    measure_get_in(events, SIZE_MAX, result);
}
static void measure_split(uint64_t events, struct bench_result *result) {
    measure_get_in(events, 100, result);
}

const struct bench_case bench_request_cases[] = {
    {"request_post_ns", 300000, measure_post},
    {"request_get_ns", 100000, measure_get},
    {"request_split_ns", 100000, measure_split},
    {NULL, 0, NULL},
};
