/* POST of events: the body as one event, or one event per line.
 *
 * Everything is checked before anything is published: a bad line, named by its number, leaves the session as it was.
 * What can still fail afterwards is the session itself (ended, out of memory): then the answer says how many events
 * were accepted. */
#include <stdio.h>

#include <jansson.h>

#include "respond.h"
#include "router.h"
#include "wire/text.h"

enum body_form {
    BODY_ONE_EVENT,
    BODY_JSON_LINES, /* application/x-ndjson: each line is a JSON value */
    BODY_TEXT_LINES  /* ?split=lines: each line is text, empty ones included */
};

struct publication {
    const struct route_call *call;
    weir_session *session;
    weir_producer *producer;
    uint32_t kind;
    enum body_form form;
    uint64_t first;
    uint64_t last;
    uint64_t count;
};

/* ---- Lines ---------------------------------------------------------------------------------------------------- */

/* The next line without its end (LF or CRLF); false at the end of the body. A last line needs no end. */
static bool next_line(struct span *rest, struct span *line) {
    if (rest->length == 0) return false;
    const char *end = memchr(rest->data, '\n', rest->length);
    size_t length = end != NULL ? (size_t)(end - rest->data) : rest->length;
    line->data = rest->data;
    line->length = length > 0 && rest->data[length - 1] == '\r' ? length - 1 : length;
    size_t taken = end != NULL ? length + 1 : length;
    rest->data += taken;
    rest->length -= taken;
    return true;
}

static bool is_blank(struct span line) {
    for (size_t i = 0; i < line.length; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t') return false;
    return true;
}

/* NDJSON readers may ignore blank lines, and a trailing one is common; as text every line counts. */
static bool is_skipped(enum body_form form, struct span line) {
    return form == BODY_JSON_LINES && is_blank(line);
}

static bool is_json(struct span text) {
    json_error_t error;
    json_t *value = json_loadb(text.data, text.length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    json_decref(value);
    return value != NULL;
}

/* ---- Checks --------------------------------------------------------------------------------------------------- */

struct bad_event {
    unsigned status;
    const char *code;
    const char *message;
    char extra[96]; /* further fields of the error object */
};

static bool check_event(const struct publication *publication, struct span event, struct bad_event *bad) {
    uint32_t limit = weir_engine_config(publication->call->connection->reactor->shared->engine)->max_event_bytes;
    bad->extra[0] = '\0';
    if (event.length > limit) {
        bad->status = 413;
        bad->code = "event_too_large";
        bad->message = "The event is larger than the server takes.";
        snprintf(bad->extra, sizeof(bad->extra), "\"limit\":%u,\"length\":%zu", limit, event.length);
        return false;
    }
    size_t valid = text_utf8_valid_prefix(event);
    bad->status = 400;
    if (valid < event.length) {
        bad->code = "invalid_utf8";
        bad->message = "Events are UTF-8 text; this one is not.";
        snprintf(bad->extra, sizeof(bad->extra), "\"offset\":%zu", valid);
        return false;
    }
    if (publication->form == BODY_JSON_LINES && !is_json(event)) {
        bad->code = "invalid_json";
        bad->message = "The line is not one JSON value.";
        return false;
    }
    return true;
}

static void respond_bad_event(const struct publication *publication, const struct bad_event *bad, uint64_t line) {
    char extra[160] = "";
    if (line > 0)
        snprintf(extra, sizeof(extra), "\"line\":%llu%s%s", (unsigned long long)line, bad->extra[0] ? "," : "",
                 bad->extra);
    else
        snprintf(extra, sizeof(extra), "%s", bad->extra);
    respond_error(publication->call->connection, publication->call->request, bad->status, bad->code, bad->message,
                  extra[0] ? extra : NULL);
}

static bool check_lines(const struct publication *publication) {
    struct span rest = publication->call->body;
    struct span line;
    for (uint64_t number = 1; next_line(&rest, &line); number++) {
        struct bad_event bad;
        if (is_skipped(publication->form, line) || check_event(publication, line, &bad)) continue;
        respond_bad_event(publication, &bad, number);
        return false;
    }
    return true;
}

static bool check_body(const struct publication *publication) {
    struct bad_event bad;
    if (publication->form != BODY_ONE_EVENT) return check_lines(publication);
    if (check_event(publication, publication->call->body, &bad)) return true;
    respond_bad_event(publication, &bad, 0);
    return false;
}

/* ---- Publishing ------------------------------------------------------------------------------------------------ */

static int publish_one(struct publication *publication, struct span event) {
    uint64_t sequence;
    int status = weir_publish(publication->producer, publication->session, publication->kind, event.data,
                              event.length, &sequence);
    if (status != WEIR_OK) return status;
    if (publication->count++ == 0) publication->first = sequence;
    publication->last = sequence;
    return WEIR_OK;
}

static int publish_body(struct publication *publication) {
    struct span rest = publication->call->body;
    struct span line;
    if (publication->form == BODY_ONE_EVENT) return publish_one(publication, rest);
    while (next_line(&rest, &line)) {
        if (is_skipped(publication->form, line)) continue;
        int status = publish_one(publication, line);
        if (status != WEIR_OK) return status;
    }
    return WEIR_OK;
}

/* What nearly every publish is answered with: put together, not formatted. */
static void respond_id(const struct publication *publication) {
    static const char before[] = "{\"id\":\"";
    static const char after[] = "\"}\n";
    char body[sizeof(before) + WEIR_ID_MAX + sizeof(after)];
    size_t length = sizeof(before) - 1;
    memcpy(body, before, length);
    length += weir_session_id_format(publication->session, publication->first, body + length);
    memcpy(body + length, after, sizeof(after) - 1);
    length += sizeof(after) - 1;
    respond_json(publication->call->connection, publication->call->request, 201, (struct span){body, length});
}

static void respond_count(const struct publication *publication) {
    char first[WEIR_ID_MAX];
    char last[WEIR_ID_MAX];
    char body[256];
    int first_length = (int)weir_session_id_format(publication->session, publication->first, first);
    int last_length = (int)weir_session_id_format(publication->session, publication->last, last);
    int length = snprintf(body, sizeof(body), "{\"first\":\"%.*s\",\"last\":\"%.*s\",\"count\":%llu}\n", first_length,
                          first, last_length, last, (unsigned long long)publication->count);
    respond_json(publication->call->connection, publication->call->request, 201, (struct span){body, (size_t)length});
}

static void respond_published(const struct publication *publication) {
    if (publication->form == BODY_ONE_EVENT)
        respond_id(publication);
    else if (publication->count > 0)
        respond_count(publication);
    else
        respond_json(publication->call->connection, publication->call->request, 201,
                     SPAN("{\"first\":null,\"last\":null,\"count\":0}\n"));
}

/* Some events of a body were accepted before the session refused one: say how many, for they stay published. */
static void respond_stopped(const struct publication *publication, int status) {
    if (publication->count == 0) {
        respond_status(publication->call->connection, publication->call->request, status);
        return;
    }
    char extra[64];
    snprintf(extra, sizeof(extra), "\"accepted\":%llu", (unsigned long long)publication->count);
    respond_error(publication->call->connection, publication->call->request, 503, "partly_accepted",
                  "The session refused an event; those before it are published.", extra);
}

/* ---- The request ----------------------------------------------------------------------------------------------- */

static bool find_form(const struct route_call *call, enum body_form *form) {
    struct span split;
    *form =
        http_media_type_is(call->request->content_type, "application/x-ndjson") ? BODY_JSON_LINES : BODY_ONE_EVENT;
    if (!http_query_find(call->request->query, "split", &split)) return true;
    *form = BODY_TEXT_LINES;
    if (span_equal(split, SPAN("lines"))) return true;
    respond_error(call->connection, call->request, 400, "invalid_split", "The parameter split can only be lines.",
                  NULL);
    return false;
}

/* The kind named by the parameter, still without a number: an empty name is the default kind. */
static bool find_kind_name(const struct route_call *call, char room[WEIR_NAME_MAX], struct span *name) {
    struct span encoded;
    *name = (struct span){room, 0};
    if (!http_query_find(call->request->query, "event", &encoded)) return true;
    long length = http_decode(encoded, room, WEIR_NAME_MAX);
    name->length = length > 0 ? (size_t)length : 0;
    if (length <= 0 || text_utf8_valid_prefix(*name) < name->length) {
        respond_error(call->connection, call->request, 400, "invalid_event",
                      "An event kind has 1 to 64 bytes of UTF-8 without line breaks and NUL.", NULL);
        return false;
    }
    /* A client could not tell these from the server's own. */
    if (span_equal(*name, SPAN("gap")) || span_equal(*name, SPAN("end"))) {
        respond_error(call->connection, call->request, 400, "reserved_event",
                      "The event kinds gap and end are the server's own.", NULL);
        return false;
    }
    /* `message` is what clients call an event without a name. */
    if (span_equal(*name, SPAN("message"))) name->length = 0;
    return true;
}

/* Numbers the kind, which is never forgotten: only once there is a session for it. */
static int number_kind(const struct route_call *call, struct span name, uint32_t *kind) {
    *kind = 0;
    if (name.length == 0) return WEIR_OK;
    return weir_kind(call->connection->reactor->shared->engine, name.data, name.length, kind);
}

void handle_publish(const struct route_call *call) {
    struct publication publication = {.call = call, .producer = call->connection->reactor->producer};
    char room[WEIR_NAME_MAX];
    struct span kind;
    if (!find_form(call, &publication.form) || !find_kind_name(call, room, &kind) || !check_body(&publication) ||
        !open_session_for_use(call, &publication.session))
        return;
    int status = number_kind(call, kind, &publication.kind);
    if (status == WEIR_OK) status = publish_body(&publication);
    if (status == WEIR_OK)
        respond_published(&publication);
    else
        respond_stopped(&publication, status);
    weir_session_release(publication.session);
}
