/* Every frame is measured first and written second. The size is then known before the first byte, so the chunk
 * header can stand in front with exactly the digits it needs, nothing is moved, and a buffer that is too small is
 * left alone.
 *
 * Events are on the delivery path and measured by hand. Control frames are rare: one function renders each into a
 * sink, which first only counts and then writes. */
#include "stream.h"

#include "text.h"

#define PUT_LITERAL(at, literal) put((at), (literal), sizeof(literal) - 1)

static inline char *put(char *at, const char *data, size_t length) {
    if (length > 0) memcpy(at, data, length);
    return at + length;
}

/* ---- Chunk framing ------------------------------------------------------------------------------------------ */

static inline size_t hex_digits(size_t value) {
    size_t digits = 1;
    while (value >>= 4)
        digits++;
    return digits;
}

static inline size_t frame_size(struct stream_profile profile, size_t body) {
    return profile.chunked ? hex_digits(body) + 2 + body + 2 : body;
}

static inline char *open_frame(char *at, struct stream_profile profile, size_t body) {
    if (!profile.chunked) return at;
    for (size_t digit = hex_digits(body); digit-- > 0;)
        *at++ = "0123456789abcdef"[body >> (4 * digit) & 15];
    return PUT_LITERAL(at, "\r\n");
}

static inline char *close_frame(char *at, struct stream_profile profile) {
    return profile.chunked ? PUT_LITERAL(at, "\r\n") : at;
}

/* ---- Events as SSE ------------------------------------------------------------------------------------------ */

/* Takes a payload apart at CR, LF and CRLF. The next break of each sort is remembered, so that a payload with many of
 * one sort is not searched again and again for the other. */
struct line_reader {
    const char *at, *end;
    const char *next_cr, *next_lf; /* `end` when there is none */
};

static inline const char *find_byte(const char *at, const char *end, char byte) {
    const char *found = at < end ? memchr(at, byte, (size_t)(end - at)) : NULL;
    return found ? found : end;
}

static inline struct line_reader read_lines(struct span payload) {
    const char *start = payload.data ? payload.data : "";
    const char *end = start + payload.length;
    struct line_reader reader = {start, end, find_byte(start, end, '\r'), find_byte(start, end, '\n')};
    return reader;
}

/* The next line, without its break. False when it was the last: a payload that ends with a break ends with an empty
 * line, so that the client, which joins lines with LF, gets that break back. */
static inline bool next_line(struct line_reader *reader, struct span *line) {
    const char *at = reader->at;
    const char *stop = reader->next_cr < reader->next_lf ? reader->next_cr : reader->next_lf;
    *line = (struct span){at, (size_t)(stop - at)};
    if (stop == reader->end) return false;

    at = stop + 1;
    if (*stop == '\r' && at < reader->end && *at == '\n') at++;
    if (reader->next_cr < at) reader->next_cr = find_byte(at, reader->end, '\r');
    if (reader->next_lf < at) reader->next_lf = find_byte(at, reader->end, '\n');
    reader->at = at;
    return true;
}

#define DATA_FIELD  "data: "
#define DATA_EXTRA  (sizeof(DATA_FIELD "\n") - 1)
#define ID_EXTRA    (sizeof("id: \n") - 1)
#define EVENT_EXTRA (sizeof("event: \n") - 1)

/* Ids and kinds have no line breaks and no NUL, which the engine sees to. This is the one place where they become
 * lines, so here too none gets out: what follows such a byte is cut off. */
static inline struct span one_line(struct span field) {
    return (struct span){field.data, text_field_prefix(field)};
}

static size_t measure_lines(struct line_reader reader) {
    struct span line;
    size_t size = 0;
    bool more;
    do {
        more = next_line(&reader, &line);
        size += DATA_EXTRA + line.length;
    } while (more);
    return size;
}

static char *put_lines(char *at, struct line_reader reader) {
    struct span line;
    bool more;
    do {
        more = next_line(&reader, &line);
        at = PUT_LITERAL(at, DATA_FIELD);
        at = put(at, line.data, line.length);
        *at++ = '\n';
    } while (more);
    return at;
}

/* An event is its id and then the rest, which is the same in every session that gets it. */
static inline size_t measure_sse_rest(struct span kind, struct line_reader lines) {
    return measure_lines(lines) + 1 + (kind.length > 0 ? EVENT_EXTRA + kind.length : 0);
}

static char *put_sse_id(char *at, struct span id) {
    if (id.length == 0) return at;
    at = PUT_LITERAL(at, "id: ");
    at = put(at, id.data, id.length);
    *at++ = '\n';
    return at;
}

static char *put_sse_rest(char *at, struct span kind, struct line_reader lines) {
    if (kind.length > 0) {
        at = PUT_LITERAL(at, "event: ");
        at = put(at, kind.data, kind.length);
        *at++ = '\n';
    }
    at = put_lines(at, lines);
    *at++ = '\n';
    return at;
}

static size_t write_sse_event(char *out, size_t capacity, struct stream_profile profile,
                              const struct stream_event *event) {
    struct span id = one_line(event->id), kind = one_line(event->kind);
    struct line_reader lines = read_lines(event->payload);
    size_t body = measure_sse_rest(kind, lines);
    if (id.length > 0) body += ID_EXTRA + id.length;
    size_t size = frame_size(profile, body);
    if (size > capacity) return size;
    char *at = open_frame(out, profile, body);
    at = put_sse_id(at, id);
    at = put_sse_rest(at, kind, lines);
    close_frame(at, profile);
    return size;
}

/* ---- Events as NDJSON --------------------------------------------------------------------------------------- */

/* Writes text whose escaped size is known already: the same size means that there is nothing to escape. */
static inline char *put_escaped(char *at, struct span text, size_t size) {
    if (size == text.length) return put(at, text.data, text.length);
    text_json_write(at, size, text);
    return at + size;
}

struct ndjson_sizes {
    size_t id, kind, payload;
};

static struct ndjson_sizes measure_ndjson(const struct stream_event *event) {
    return (struct ndjson_sizes){text_json_size(event->id), text_json_size(event->kind),
                                 text_json_size(event->payload)};
}

#define NDJSON_ID_EXTRA (sizeof("{\"id\":\"") - 1)

static size_t measure_ndjson_rest(const struct ndjson_sizes *sizes) {
    size_t rest = sizeof("\",\"data\":\"\"}\n") - 1 + sizes->payload;
    return sizes->kind > 0 ? rest + sizeof("\",\"event\":\"") - 1 + sizes->kind : rest;
}

static char *put_ndjson_id(char *at, struct span id, size_t size) {
    at = PUT_LITERAL(at, "{\"id\":\"");
    return put_escaped(at, id, size);
}

static char *put_ndjson_rest(char *at, const struct stream_event *event, const struct ndjson_sizes *sizes) {
    if (sizes->kind > 0) {
        at = PUT_LITERAL(at, "\",\"event\":\"");
        at = put_escaped(at, event->kind, sizes->kind);
    }
    at = PUT_LITERAL(at, "\",\"data\":\"");
    at = put_escaped(at, event->payload, sizes->payload);
    return PUT_LITERAL(at, "\"}\n");
}

static size_t write_ndjson_event(char *out, size_t capacity, struct stream_profile profile,
                                 const struct stream_event *event) {
    struct ndjson_sizes sizes = measure_ndjson(event);
    size_t body = NDJSON_ID_EXTRA + sizes.id + measure_ndjson_rest(&sizes);
    size_t size = frame_size(profile, body);
    if (size > capacity) return size;
    char *at = open_frame(out, profile, body);
    at = put_ndjson_id(at, event->id, sizes.id);
    at = put_ndjson_rest(at, event, &sizes);
    close_frame(at, profile);
    return size;
}

size_t stream_write_event(char *out, size_t capacity, struct stream_profile profile,
                          const struct stream_event *event) {
    return profile.format == STREAM_SSE ? write_sse_event(out, capacity, profile, event)
                                        : write_ndjson_event(out, capacity, profile, event);
}

/* ---- Events that go to many sessions ------------------------------------------------------------------------ */

size_t stream_write_rest(char *out, size_t capacity, enum stream_format format, const struct stream_event *event) {
    if (format == STREAM_SSE) {
        struct span kind = one_line(event->kind);
        struct line_reader lines = read_lines(event->payload);
        size_t size = measure_sse_rest(kind, lines);
        if (size <= capacity) put_sse_rest(out, kind, lines);
        return size;
    }
    struct ndjson_sizes sizes = measure_ndjson(event);
    size_t size = measure_ndjson_rest(&sizes);
    if (size <= capacity) put_ndjson_rest(out, event, &sizes);
    return size;
}

size_t stream_write_with_rest(char *out, size_t capacity, struct stream_profile profile, struct span id,
                              struct span rest) {
    bool sse = profile.format == STREAM_SSE;
    struct span line = sse ? one_line(id) : id;
    size_t id_size = sse ? line.length : text_json_size(line);
    size_t body = rest.length;
    if (!sse) body += NDJSON_ID_EXTRA + id_size;
    if (sse && line.length > 0) body += ID_EXTRA + id_size;
    size_t size = frame_size(profile, body);
    if (size > capacity) return size;
    char *at = open_frame(out, profile, body);
    at = sse ? put_sse_id(at, line) : put_ndjson_id(at, line, id_size);
    at = put(at, rest.data, rest.length);
    close_frame(at, profile);
    return size;
}

/* ---- Control frames ----------------------------------------------------------------------------------------- */

/* Counts what is rendered and, once there is a place for it, writes it. */
struct sink {
    char *out; /* NULL: only count */
    size_t size;
};

static void render_text(struct sink *sink, struct span text) {
    if (sink->out) put(sink->out + sink->size, text.data, text.length);
    sink->size += text.length;
}

static void render_number(struct sink *sink, bool known, uint64_t number) {
    char digits[20];
    render_text(sink, known ? (struct span){digits, text_write_u64(digits, number)} : SPAN("null"));
}

static void render_string(struct sink *sink, struct span text) {
    size_t size = text_json_size(text);
    render_text(sink, SPAN("\""));
    if (sink->out) put_escaped(sink->out + sink->size, text, size);
    sink->size += size;
    render_text(sink, SPAN("\""));
}

typedef void render_function(struct sink *sink, enum stream_format format, const void *what);

static size_t write_control(char *out, size_t capacity, struct stream_profile profile, render_function *render,
                            const void *what) {
    struct sink count = {NULL, 0};
    render(&count, profile.format, what);
    size_t size = frame_size(profile, count.size);
    if (size > capacity) return size;

    struct sink sink = {open_frame(out, profile, count.size), 0};
    render(&sink, profile.format, what);
    close_frame(sink.out + sink.size, profile);
    return size;
}

static void render_gap(struct sink *sink, enum stream_format format, const void *what) {
    const struct stream_gap *gap = what;
    bool range_known = gap->first <= gap->last;
    render_text(sink, format == STREAM_SSE ? SPAN("event: gap\ndata: {\"first\":") : SPAN("{\"gap\":{\"first\":"));
    render_number(sink, range_known, gap->first);
    render_text(sink, SPAN(",\"last\":"));
    render_number(sink, range_known, gap->last);
    render_text(sink, SPAN(",\"lost\":"));
    render_number(sink, gap->lost_known, gap->lost);
    render_text(sink, SPAN(",\"reason\":"));
    render_string(sink, gap->reason);
    render_text(sink, SPAN(",\"epoch\":"));
    render_string(sink, gap->epoch);
    render_text(sink, format == STREAM_SSE ? SPAN("}\n\n") : SPAN("}}\n"));
}

static void render_end(struct sink *sink, enum stream_format format, const void *what) {
    render_text(sink, format == STREAM_SSE ? SPAN("event: end\ndata: {\"reason\":") : SPAN("{\"end\":{\"reason\":"));
    render_string(sink, *(const struct span *)what);
    render_text(sink, format == STREAM_SSE ? SPAN("}\n\n") : SPAN("}}\n"));
}

static void render_heartbeat(struct sink *sink, enum stream_format format, const void *what) {
    (void)what;
    render_text(sink, format == STREAM_SSE ? SPAN(": keep-alive\n\n") : SPAN("{\"heartbeat\":true}\n"));
}

static void render_retry(struct sink *sink, enum stream_format format, const void *what) {
    (void)format;
    render_text(sink, SPAN("retry: "));
    render_number(sink, true, *(const uint32_t *)what);
    render_text(sink, SPAN("\n\n"));
}

size_t stream_write_gap(char *out, size_t capacity, struct stream_profile profile, const struct stream_gap *gap) {
    return write_control(out, capacity, profile, render_gap, gap);
}

size_t stream_write_end(char *out, size_t capacity, struct stream_profile profile, struct span reason) {
    return write_control(out, capacity, profile, render_end, &reason);
}

size_t stream_write_heartbeat(char *out, size_t capacity, struct stream_profile profile) {
    return write_control(out, capacity, profile, render_heartbeat, NULL);
}

size_t stream_write_retry(char *out, size_t capacity, struct stream_profile profile, uint32_t retry_ms) {
    if (profile.format != STREAM_SSE) return 0;
    return write_control(out, capacity, profile, render_retry, &retry_ms);
}

size_t stream_write_last_chunk(char *out, size_t capacity, struct stream_profile profile) {
    struct span last = SPAN("0\r\n\r\n");
    if (!profile.chunked) return 0;
    if (last.length <= capacity) put(out, last.data, last.length);
    return last.length;
}
