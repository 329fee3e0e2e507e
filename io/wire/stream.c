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

static size_t write_sse_event(char *out, size_t capacity, struct stream_profile profile,
                              const struct stream_event *event) {
    struct span id = one_line(event->id), kind = one_line(event->kind);
    struct line_reader lines = read_lines(event->payload);
    size_t body = measure_lines(lines) + 1;
    if (id.length > 0) body += ID_EXTRA + id.length;
    if (kind.length > 0) body += EVENT_EXTRA + kind.length;
    size_t size = frame_size(profile, body);
    if (size > capacity) return size;

    char *at = open_frame(out, profile, body);
    if (id.length > 0) {
        at = PUT_LITERAL(at, "id: ");
        at = put(at, id.data, id.length);
        *at++ = '\n';
    }
    if (kind.length > 0) {
        at = PUT_LITERAL(at, "event: ");
        at = put(at, kind.data, kind.length);
        *at++ = '\n';
    }
    at = put_lines(at, lines);
    *at++ = '\n';
    close_frame(at, profile);
    return size;
}

/* ---- Events as NDJSON --------------------------------------------------------------------------------------- */

/* Writes text whose escaped size is known already: the same size means that there is nothing to escape. */
static inline char *put_escaped(char *at, struct span text, size_t size) {
    if (size == text.length) return put(at, text.data, text.length);
    return at + text_json_escape(at, size, text);
}

static size_t write_ndjson_event(char *out, size_t capacity, struct stream_profile profile,
                                 const struct stream_event *event) {
    size_t id_size = text_json_escape(NULL, 0, event->id);
    size_t kind_size = text_json_escape(NULL, 0, event->kind);
    size_t payload_size = text_json_escape(NULL, 0, event->payload);
    size_t body = sizeof("{\"id\":\"\",\"data\":\"\"}\n") - 1 + id_size + payload_size;
    if (kind_size > 0) body += sizeof(",\"event\":\"\"") - 1 + kind_size;
    size_t size = frame_size(profile, body);
    if (size > capacity) return size;

    char *at = open_frame(out, profile, body);
    at = PUT_LITERAL(at, "{\"id\":\"");
    at = put_escaped(at, event->id, id_size);
    if (kind_size > 0) {
        at = PUT_LITERAL(at, "\",\"event\":\"");
        at = put_escaped(at, event->kind, kind_size);
    }
    at = PUT_LITERAL(at, "\",\"data\":\"");
    at = put_escaped(at, event->payload, payload_size);
    at = PUT_LITERAL(at, "\"}\n");
    close_frame(at, profile);
    return size;
}

size_t stream_write_event(char *out, size_t capacity, struct stream_profile profile,
                          const struct stream_event *event) {
    return profile.format == STREAM_SSE ? write_sse_event(out, capacity, profile, event)
                                        : write_ndjson_event(out, capacity, profile, event);
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
    size_t size = text_json_escape(NULL, 0, text);
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
