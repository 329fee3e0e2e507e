/* llhttp finds the parts, callbacks take the headers one by one, and what depends on several of them (host, target,
 * body) is judged when all are known. The first problem found stands. */
#include "http_head.h"

#include "http_gate.h"
#include "text.h"

/* A head while it is read. */
struct head {
    struct http_reader *reader;
    const struct http_limits *limits;
    struct http_request *request;
    struct http_problem *problem;
    struct span bytes;
    struct span target, name, value;
    unsigned header_count;
    bool length_seen, coding_seen, expectation_unknown;
    bool finished; /* llhttp has seen the end of the head */
};

static bool refuse_at(struct head *head, const char *where, unsigned status, const char *code, const char *message) {
    return http_refuse(head->problem, (uint64_t)(where - head->bytes.data), status, code, message);
}

/* Noticed only when the whole head is known. */
static bool refuse_head(struct head *head, unsigned status, const char *code, const char *message) {
    return refuse_at(head, head->bytes.data + head->bytes.length - 1, status, code, message);
}

/* ---- Headers that say how long the request is --------------------------------------------------------------- */

static bool take_length(struct head *head) {
    if (head->length_seen || head->coding_seen)
        return refuse_at(head, head->name.data, 400, "conflicting_length", "The length of the body is given twice");
    head->length_seen = true;
    if (!text_parse_u64(head->value, &head->request->content_length))
        return refuse_at(head, head->value.data, 400, "bad_content_length",
                         "Content-Length is not one decimal number");
    return true;
}

static bool take_coding(struct head *head) {
    if (head->length_seen || head->coding_seen)
        return refuse_at(head, head->name.data, 400, "conflicting_length", "The length of the body is given twice");
    head->coding_seen = true;
    if (head->request->version_minor == 0)
        return refuse_at(head, head->name.data, 400, "bad_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding");
    if (!text_equal_nocase(head->value, SPAN("chunked")))
        return refuse_at(head, head->value.data, 501, "transfer_encoding_not_supported",
                         "The only Transfer-Encoding is chunked");
    head->request->chunked = true;
    return true;
}

static bool take_expectation(struct head *head) {
    if (text_equal_nocase(head->value, SPAN("100-continue")))
        head->request->expect_continue = true;
    else
        head->expectation_unknown = true;
    return true;
}

/* Some servers take '_' for '-'. To them this would be a length that we have not seen. */
static bool resembles(struct span name, struct span known) {
    if (name.length != known.length) return false;
    for (size_t i = 0; i < name.length; i++) {
        char byte = name.data[i] == '_' ? '-' : name.data[i];
        if (!text_equal_nocase((struct span){&byte, 1}, (struct span){known.data + i, 1})) return false;
    }
    return true;
}

/* ---- Other headers ------------------------------------------------------------------------------------------ */

enum repeated { REPEATED_REFUSED, REPEATED_FIRST_COUNTS };

struct known_header {
    struct span name;
    size_t member; /* of struct http_request */
    enum repeated repeated;
};

#define KNOWN(text, member, repeated)                                                                                \
    { {(text), sizeof(text) - 1}, offsetof(struct http_request, member), (repeated) }

static const struct known_header known_headers[] = {
    KNOWN("host", host, REPEATED_REFUSED),
    KNOWN("accept", accept, REPEATED_FIRST_COUNTS),
    KNOWN("content-type", content_type, REPEATED_REFUSED),
    KNOWN("authorization", authorization, REPEATED_REFUSED),
    KNOWN("origin", origin, REPEATED_REFUSED),
    KNOWN("last-event-id", last_event_id, REPEATED_FIRST_COUNTS),
};

static bool keep_value(struct head *head, const struct known_header *known) {
    struct span *kept = (struct span *)((char *)head->request + known->member);
    if (kept == &head->request->last_event_id) head->request->last_event_id_count++;
    if (!kept->data)
        *kept = head->value;
    else if (known->repeated == REPEATED_REFUSED)
        return refuse_at(head, head->name.data, 400, "repeated_header", "A header that stands alone was sent twice");
    return true;
}

static bool take_header(struct head *head) {
    head->value = text_trim(head->value);
    head->header_count++;
    struct span name = head->name;
    if (text_equal_nocase(name, SPAN("content-length"))) return take_length(head);
    if (text_equal_nocase(name, SPAN("transfer-encoding"))) return take_coding(head);
    if (text_equal_nocase(name, SPAN("expect"))) return take_expectation(head);
    if (resembles(name, SPAN("content-length")) || resembles(name, SPAN("transfer-encoding")))
        return refuse_at(head, name.data, 400, "bad_header_name",
                         "A header name imitates the one of a body's length");
    for (size_t i = 0; i < sizeof(known_headers) / sizeof(known_headers[0]); i++)
        if (text_equal_nocase(name, known_headers[i].name)) return keep_value(head, &known_headers[i]);
    return true;
}

/* ---- Host and target ---------------------------------------------------------------------------------------- */

static bool is_host_byte(char byte, bool literal) {
    if (literal) return memchr("0123456789abcdefABCDEF:.", byte, 24) != NULL;
    return text_name_valid((struct span){&byte, 1});
}

/* uri-host [ ":" port ] of RFC 9110 7.2, less the escapes and punctuation that no host name has. May be empty. */
static bool host_valid(struct span host) {
    bool literal = host.length > 0 && host.data[0] == '[';
    size_t at = literal ? 1 : 0;
    while (at < host.length && is_host_byte(host.data[at], literal))
        at++;
    if (literal && (at == 1 || at == host.length || host.data[at++] != ']')) return false;
    if (at == host.length) return true;

    uint64_t port = 0;
    struct span digits = {host.data + at + 1, host.length - at - 1};
    return host.data[at] == ':' && at > 0 && (digits.length == 0 || text_parse_u64(digits, &port)) && port <= 65535;
}

static bool read_host(struct head *head) {
    struct span host = head->request->host;
    if (!host.data && head->request->version_minor > 0)
        return refuse_head(head, 400, "bad_host", "The request has no Host");
    if (!host_valid(host)) return refuse_at(head, host.data, 400, "bad_host", "Host is not a host with a port");
    return true;
}

/* The authority of an absolute target must be the Host (an HTTP/1.0 request may lack that). What lies behind it is
 * read as if it had come alone. */
static bool read_absolute(struct head *head, struct span rest) {
    size_t length = 0;
    while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?')
        length++;
    struct span authority = {rest.data, length};
    struct http_request *request = head->request;
    if (length == 0 || !host_valid(authority) || (request->host.data && !text_equal_nocase(authority, request->host)))
        return refuse_at(head, rest.data, 400, "bad_target", "The host of the target is not the one in Host");
    request->host = authority;
    request->target = (struct span){rest.data + length, rest.length - length};
    return true;
}

static bool starts_with_nocase(struct span text, struct span prefix) {
    return text.length >= prefix.length && text_equal_nocase((struct span){text.data, prefix.length}, prefix);
}

static struct span behind(struct span text, size_t length) {
    return (struct span){text.data + length, text.length - length};
}

/* Escapes are well formed, and none hides a NUL or a line end that some later reader could set free. */
static bool escapes_valid(struct span text) {
    char byte;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] != '%') continue;
        if (text.length - i < 3 || http_decode((struct span){text.data + i, 3}, &byte, 1) != 1) return false;
    }
    return true;
}

static bool split_target(struct head *head) {
    struct http_request *request = head->request;
    struct span target = request->target;
    if (!escapes_valid(target))
        return refuse_at(head, head->target.data, 400, "bad_target", "The target holds a bad percent escape");
    const char *mark = target.length > 0 ? memchr(target.data, '?', target.length) : NULL;
    size_t path_length = mark ? (size_t)(mark - target.data) : target.length;
    request->path = (struct span){target.data, path_length};
    if (mark) request->query = behind(target, path_length + 1);
    if (path_length == 0) request->path = SPAN("/");
    return true;
}

static bool read_target(struct head *head) {
    struct span target = head->target;
    struct http_request *request = head->request;
    request->target = target;
    if (request->method == HTTP_METHOD_OPTIONS && span_equal(target, SPAN("*"))) {
        request->path = target;
        return true;
    }
    if (starts_with_nocase(target, SPAN("http://"))) {
        if (!read_absolute(head, behind(target, 7))) return false;
    } else if (starts_with_nocase(target, SPAN("https://"))) {
        if (!read_absolute(head, behind(target, 8))) return false;
    } else if (target.length == 0 || target.data[0] != '/') {
        return refuse_at(head, target.data, 400, "bad_target", "The target is neither a path nor an absolute URL");
    }
    return split_target(head);
}

/* ---- The head as a whole ------------------------------------------------------------------------------------ */

static enum http_method method_of(const llhttp_t *machine) {
    switch (machine->method) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case LLHTTP_METHOD_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HTTP_METHOD_OPTIONS;
    default:
        return HTTP_METHOD_OTHER;
    }
}

static bool judge(struct head *head) {
    struct http_request *request = head->request;
    if (!read_host(head) || !read_target(head)) return false;
    if (head->expectation_unknown)
        return refuse_head(head, 417, "expectation_failed", "The only expectation is 100-continue");
    if (request->content_length > head->limits->body_bytes)
        return refuse_head(head, 413, "body_too_large", "The body is larger than this server takes");
    request->has_body = request->chunked || request->content_length > 0;
    /* HTTP/1.0 clients do not know 100 (RFC 9110 10.1.1), and without a body there is nothing to wait for. */
    if (request->version_minor == 0 || !request->has_body) request->expect_continue = false;
    return true;
}

static struct head *head_of(llhttp_t *machine) {
    return machine->data;
}

static int on_url(llhttp_t *machine, const char *at, size_t length) {
    head_of(machine)->target = (struct span){at, length};
    return 0;
}

static int on_header_name(llhttp_t *machine, const char *at, size_t length) {
    struct head *head = head_of(machine);
    head->name = (struct span){at, length};
    head->value = (struct span){at + length, 0};
    return 0;
}

static int on_header_value(llhttp_t *machine, const char *at, size_t length) {
    head_of(machine)->value = (struct span){at, length};
    return 0;
}

static int on_header_end(llhttp_t *machine) {
    struct head *head = head_of(machine);
    head->request->version_minor = machine->http_minor;
    return take_header(head) ? 0 : -1;
}

static int on_head_end(llhttp_t *machine) {
    struct head *head = head_of(machine);
    struct http_request *request = head->request;
    request->method = method_of(machine);
    request->version_minor = machine->http_minor;
    request->keep_alive = llhttp_should_keep_alive(machine) && !(machine->flags & F_CONNECTION_CLOSE);
    machine->upgrade = 0; /* no upgrade is offered, so what follows stays HTTP/1.1 (RFC 9110 7.8) */
    if (!judge(head)) return -1;
    head->finished = true;
    bool chunked = (machine->flags & F_CHUNKED) != 0;
    if (chunked == request->chunked && (chunked || machine->content_length == request->content_length)) return 0;
    refuse_head(head, 400, "conflicting_length", "The length of the body has two readings");
    return -1;
}

static int on_body(llhttp_t *machine, const char *at, size_t length) {
    struct http_reader *reader = (struct http_reader *)machine;
    reader->body = (struct span){at, length};
    return 0;
}

static int on_end(llhttp_t *machine) {
    ((struct http_reader *)machine)->complete = true;
    return 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_name,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_end,
    .on_headers_complete = on_head_end,
    .on_body = on_body,
    .on_message_complete = on_end,
};

/* llhttp refused what the gate let pass: names that it does not know, and combinations of lengths. */
static bool refuse_as_llhttp(struct head *head, enum llhttp_errno error) {
    const char *where = head->reader->machine.error_pos;
    if (!where) where = head->bytes.data;
    switch (error) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT: /* a method of RTSP's */
        return refuse_at(head, where, 501, "method_not_known", "The method is not known");
    case HPE_INVALID_URL:
        return refuse_at(head, where, 400, "bad_target", "The target is not a path or URL");
    case HPE_INVALID_CONTENT_LENGTH:
        return refuse_at(head, where, 400, "bad_content_length", "Content-Length is not one decimal number");
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse_at(head, where, 400, "bad_transfer_encoding", "Transfer-Encoding is not one chunked");
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse_at(head, where, 400, "conflicting_length", "The length of the body is given twice");
    default:
        return refuse_at(head, where, 400, "unreadable_head", "The request cannot be read");
    }
}

bool http_head_read(struct http_reader *reader, const struct http_limits *limits, struct span head,
                    unsigned header_count, struct http_request *request, struct http_problem *problem) {
    struct head reading = {.reader = reader, .limits = limits, .request = request, .problem = problem, .bytes = head};
    reader->body = (struct span){NULL, 0};
    reader->complete = false;
    llhttp_init(&reader->machine, HTTP_REQUEST, &settings);
    reader->machine.data = &reading;
    enum llhttp_errno error = llhttp_execute(&reader->machine, head.data, head.length);
    reader->machine.data = NULL;
    if (problem->status != 0) return false;
    if (error != HPE_OK) return refuse_as_llhttp(&reading, error);
    /* Not finished: llhttp takes a method of HTTP/2 for the start of a preface, and waits for more of it. */
    if (!reading.finished || reading.header_count != header_count)
        return refuse_head(&reading, 400, "unreadable_head", "The request cannot be read");
    return true;
}

bool http_reader_feed(struct http_reader *reader, const char *data, size_t length) {
    reader->body = (struct span){NULL, 0};
    return llhttp_execute(&reader->machine, data, length) == HPE_OK;
}
