/* weir tail: prints a session's events as they come, comes back by itself after a cut, and never skips in silence.
 *
 * Events go to standard output, everything else to standard error. After a cut it resumes behind the last id it has
 * printed; what the server can no longer give arrives as a gap, which is told in words with its numbers. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer_text.h"
#include "backoff.h"
#include "client.h"
#include "interrupt.h"
#include "options.h"
#include "sse_decoder.h"
#include "wire/text.h"

enum { EVENT_LIMIT = 8 * 1024 * 1024, DEFAULT_RETRY_MS = 1000, LEAST_RETRY_MS = 10, ANSWER_TIMEOUT_MS = 30000 };

struct tail_options {
    const char *url, *unix_path, *token_file, *last_id;
    uint64_t from, json, count, silence, give_up;
};

struct tail {
    struct tail_options options;
    struct client client;
    struct sse_decoder decoder;
    struct answer_text text; /* the body of an answer that is no stream */
    struct backoff backoff;
    char path[256];
    uint64_t events;
    uint64_t failing_since_ms; /* since when there is no stream; 0: there is one */
    bool streaming;            /* this answer is a stream */
    bool was_streaming;        /* some answer was */
    bool broken;               /* the stream does not decode */
    int finished;              /* exit_code to end with, or -1 */
};

/* ---- Output ---------------------------------------------------------------------------------------------------- */

/* A JSON string, with what is not UTF-8 replaced by U+FFFD, as the standard decodes it. */
static void print_json_string(struct span text) {
    putchar('"');
    while (text.length > 0) {
        struct span valid = {text.data, text_utf8_valid_prefix(text)};
        char small[4096];
        while (valid.length > 0) { /* a byte takes at most 6 */
            size_t piece = valid.length < sizeof small / 6 ? valid.length : sizeof small / 6;
            while (piece < valid.length && ((unsigned char)valid.data[piece] & 0xC0) == 0x80) {
                piece--;
            }
            size_t size = text_json_size((struct span){valid.data, piece});
            text_json_write(small, size, (struct span){valid.data, piece});
            fwrite(small, 1, size, stdout);
            valid.data += piece;
            valid.length -= piece;
        }
        text.length -= (size_t)(valid.data - text.data);
        text.data = valid.data;
        if (text.length == 0) break;
        fputs("\xEF\xBF\xBD", stdout);
        text.data++;
        text.length--;
    }
    putchar('"');
}

static void print_event(struct tail *tail, const struct sse_event *event) {
    if (tail->options.json) {
        fputs("{\"id\":", stdout);
        print_json_string(event->last_id);
        if (event->kind.length > 0) {
            fputs(",\"event\":", stdout);
            print_json_string(event->kind);
        }
        fputs(",\"data\":", stdout);
        print_json_string(event->data);
        putchar('}');
    } else {
        fwrite(event->data.data, 1, event->data.length, stdout);
    }
    putchar('\n');
}

/* {"gap":{...}} or {"end":{...}}, as the server's own NDJSON has it. */
static void print_control(const struct tail *tail, const char *name, const json_t *facts) {
    if (!tail->options.json) return;
    char *text = json_dumps(facts, JSON_COMPACT | JSON_PRESERVE_ORDER);
    printf("{\"%s\":%s}\n", name, text != NULL ? text : "{}");
    free(text);
}

/* ---- Gaps and the end ------------------------------------------------------------------------------------------ */

struct reason_words {
    const char *reason;
    const char *words;
};

static const struct reason_words gap_reasons[] = {
    {"evicted", "they had left the replay window"},
    {"slow", "this reader fell too far behind"},
    {"ahead", "the id that was presented is newer than the newest event"},
    {"epoch", "the session was started anew; what followed the last id in its earlier life cannot be told"},
    {"session", "the id that was presented is another session's"},
    {"malformed", "the id that was presented is none of this server's"},
};

static const char *find_words(const char *reason) {
    for (size_t i = 0; i < sizeof gap_reasons / sizeof gap_reasons[0]; i++) {
        if (strcmp(gap_reasons[i].reason, reason) == 0) return gap_reasons[i].words;
    }
    return "no further reason given";
}

static void say_gap(const json_t *facts) {
    const json_t *first = json_object_get(facts, "first"), *last = json_object_get(facts, "last");
    const char *reason = json_string_value(json_object_get(facts, "reason"));
    const char *epoch = json_string_value(json_object_get(facts, "epoch"));
    if (reason == NULL) reason = "unknown";
    char range[160] = "no event of this epoch", total[64] = "how many is unknown";
    if (json_is_integer(first) && json_is_integer(last)) {
        snprintf(range, sizeof range, "events %lld to %lld", (long long)json_integer_value(first),
                 (long long)json_integer_value(last));
    }
    const json_t *lost = json_object_get(facts, "lost");
    if (json_is_integer(lost)) snprintf(total, sizeof total, "%lld lost", (long long)json_integer_value(lost));
    command_say("tail", "gap: %s; %s; reason %.40s: %s%s%.40s", range, total, reason, find_words(reason),
                epoch != NULL ? "; now epoch " : "", epoch != NULL ? epoch : "");
}

static void take_gap(struct tail *tail, struct span data) {
    json_t *facts = json_loadb(data.data, data.length, JSON_REJECT_DUPLICATES, NULL);
    say_gap(facts);
    if (facts != NULL) print_control(tail, "gap", facts);
    json_decref(facts);
}

static void take_end(struct tail *tail, struct span data) {
    json_t *facts = json_loadb(data.data, data.length, JSON_REJECT_DUPLICATES, NULL);
    const char *reason = json_string_value(json_object_get(facts, "reason"));
    command_say("tail", "the session has ended: %.60s", reason != NULL ? reason : "no reason given");
    if (facts != NULL) print_control(tail, "end", facts);
    json_decref(facts);
    tail->finished = EXIT_DONE;
}

/* The decoder's. Only weir's control events carry no id; one that does was published under that kind. */
static void take_event(void *context, const struct sse_event *event) {
    struct tail *tail = context;
    if (tail->finished >= 0) return;
    if (!event->has_id && span_equal(event->kind, SPAN("gap"))) {
        take_gap(tail, event->data);
    } else if (!event->has_id && span_equal(event->kind, SPAN("end"))) {
        take_end(tail, event->data);
    } else {
        print_event(tail, event);
        tail->events++;
        if (tail->options.count != 0 && tail->events == tail->options.count) tail->finished = EXIT_DONE;
    }
}

/* ---- One stream ------------------------------------------------------------------------------------------------ */

static void say_resumed(struct tail *tail) {
    if (tail->was_streaming) {
        if (tail->decoder.last_id[0] != '\0')
            command_say("tail", "resumed after %s", tail->decoder.last_id);
        else
            command_say("tail", "connected again; what was published meanwhile, if it was, is not shown");
    }
    tail->was_streaming = true;
}

/* Whether the answer is a stream; at its first sign, before any event of it, says that there is one again. */
static bool begin_stream(struct tail *tail) {
    const struct client_answer *answer = &tail->client.answer;
    if (answer->status != 200 || strcmp(answer->content_type, "text/event-stream") != 0) return false;
    if (!tail->streaming) {
        tail->streaming = true;
        tail->client.answer_timeout_ms = tail->options.silence;
        tail->failing_since_ms = 0;
        backoff_reset(&tail->backoff);
        say_resumed(tail);
    }
    return true;
}

/* The client's: a piece of a body. */
static void take_body(void *context, const char *data, size_t length) {
    struct tail *tail = context;
    if (!begin_stream(tail))
        answer_text_take(&tail->text, data, length);
    else if (!tail->broken && !sse_decoder_feed(&tail->decoder, data, length))
        tail->broken = true;
}

static bool is_temporary(unsigned status) {
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* An answer that is no stream: ends the program, unless it only says "later" and there was a stream before. */
static void take_refusal(struct tail *tail, char *why, size_t capacity) {
    const struct client_answer *answer = &tail->client.answer;
    if (answer->status == 200) {
        snprintf(why, capacity, "%s answers with '%s', which is no event stream", tail->client.target.name,
                 answer->content_type);
    } else {
        answer_text_describe(&tail->text, answer->status, why, capacity);
    }
    bool temporary = is_temporary(answer->status);
    if (temporary && tail->was_streaming) return;
    command_say("tail", "%s", why);
    tail->finished = temporary ? EXIT_FAILED : EXIT_REFUSED;
}

/* Opens a stream and prints it until it is cut or the program is finished. `why` tells what cut it. */
static void run_stream(struct tail *tail, char *why, size_t capacity) {
    struct client *client = &tail->client;
    struct client_request request = {
        .method = "GET", .path = tail->path, .accept = "text/event-stream", .last_event_id = tail->decoder.last_id};
    client->answer_timeout_ms = ANSWER_TIMEOUT_MS;
    tail->streaming = false;
    tail->broken = false;
    tail->text.length = 0;
    sse_decoder_restart(&tail->decoder);
    enum client_result result = client_send(client, &request);
    while (result == CLIENT_OK && tail->finished < 0 && !tail->broken) {
        if (client->answer.status >= 200 && !begin_stream(tail) && client->answer.complete) {
            take_refusal(tail, why, capacity);
            client_close(client);
            return;
        }
        if (client->answer.complete) break;
        result = client_receive(client);
        if (fflush(stdout) != 0) {
            command_say("tail", "standard output: %s", strerror(errno));
            tail->finished = EXIT_FAILED;
        }
    }
    client_close(client);
    if (result == CLIENT_INTERRUPTED)
        tail->finished = EXIT_INTERRUPTED;
    else if (result != CLIENT_OK)
        snprintf(why, capacity, "%s", client->problem);
    else if (tail->broken)
        snprintf(why, capacity, "the stream has a line or event over %d bytes", EVENT_LIMIT);
    else
        snprintf(why, capacity, "the server ended the stream");
}

/* ---- Where "now" is -------------------------------------------------------------------------------------------- */

/* Only bytes that a header value may have; weir's ids are a part of these. */
static bool is_id(const char *id) {
    size_t length = strlen(id);
    for (size_t i = 0; i < length; i++) {
        if (id[i] <= ' ' || id[i] > '~') return false;
    }
    return length > 0 && length <= SSE_ID_MAX;
}

/* --from=now is turned into an id to resume after, so that a cut before the first event loses nothing either. A
 * session that is not there yet, or has no event, starts now with its oldest. */
static void find_now(struct tail *tail, const char *session) {
    char path[128];
    struct client *client = &tail->client;
    snprintf(path, sizeof path, "/sessions/%s", session);
    struct client_request request = {.method = "GET", .path = path, .accept = "application/json"};
    enum client_result result = client_exchange(client, &request);
    if (result == CLIENT_INTERRUPTED) tail->finished = EXIT_INTERRUPTED;
    if (result != CLIENT_OK || client->answer.status != 200) return; /* the stream's own request will tell */
    json_t *facts = json_loadb(tail->text.bytes, tail->text.length, JSON_REJECT_DUPLICATES, NULL);
    const char *newest = json_string_value(json_object_get(facts, "newest"));
    if (newest != NULL && is_id(newest)) sse_decoder_set_last_id(&tail->decoder, newest);
    json_decref(facts);
}

/* ---- From stream to stream ------------------------------------------------------------------------------------- */

/* Waits before the next attempt, or decides that there is none. */
static void wait_to_resume(struct tail *tail, const char *why) {
    uint64_t now = interrupt_now_ms();
    if (!tail->was_streaming) {
        command_say("tail", "cannot read: %s", why);
        tail->finished = EXIT_FAILED;
        return;
    }
    bool first = tail->failing_since_ms == 0;
    if (first) tail->failing_since_ms = now;
    if (!first && tail->options.give_up != 0 && now - tail->failing_since_ms >= tail->options.give_up) {
        command_say("tail", "giving up: %s", why);
        tail->finished = EXIT_FAILED;
        return;
    }
    uint64_t base = tail->decoder.has_retry ? tail->decoder.retry_ms : DEFAULT_RETRY_MS;
    uint64_t wait = backoff_next_ms(&tail->backoff, base > LEAST_RETRY_MS ? base : LEAST_RETRY_MS);
    uint64_t asked_ms = (uint64_t)tail->client.answer.retry_after_s * 1000;
    if (asked_ms > wait) wait = asked_ms;
    if (first) command_say("tail", "cut: %s; trying again in %llu ms", why, (unsigned long long)wait);
    interrupt_sleep(wait);
    if (interrupt_count() > 0) tail->finished = EXIT_INTERRUPTED;
}

static int run_tail(struct tail *tail) {
    while (tail->finished < 0) {
        char why[512] = "";
        run_stream(tail, why, sizeof why);
        if (tail->finished < 0) wait_to_resume(tail, why);
    }
    if (tail->finished == EXIT_INTERRUPTED && tail->decoder.last_id[0] != '\0') {
        command_say("tail", "stopped; --last-id %s goes on from here", tail->decoder.last_id);
    }
    client_close(&tail->client);
    sse_decoder_free(&tail->decoder);
    return tail->finished;
}

/* ---- Start ----------------------------------------------------------------------------------------------------- */

#define ROW(field) .offset = offsetof(struct tail_options, field)

static const struct option_row tail_rows[] = {
    {OPTION_HEADING, .help = "Where"},
    {OPTION_TEXT, "url", "URL", "The server.", ROW(url), .fallback_text = "http://127.0.0.1:8080"},
    {OPTION_TEXT, "unix", "PATH", "Connect to this Unix socket instead of the URL's host.", ROW(unix_path)},
    {OPTION_TEXT, "token-file", "FILE", "Bearer token to present: the first line of FILE.", ROW(token_file)},
    {OPTION_HEADING, .help = "What"},
    {OPTION_CHOICE, "from", "CHOICE", "Where to start: oldest (all that is kept) or now.", ROW(from), 0,
     .choices = {"oldest", "now"}},
    {OPTION_TEXT, "last-id", "ID", "Start behind this event.", ROW(last_id)},
    {OPTION_NUMBER, "count", "N", "End after N events; 0: do not.", ROW(count), 0, 0, UINT64_MAX},
    {OPTION_FLAG, "json", NULL,
     "Print one JSON object per line: {\"id\",\"event\",\"data\"}, {\"gap\":{...}}, {\"end\":{...}}. Without it: the "
     "data of each event and a line end.",
     ROW(json)},
    {OPTION_HEADING, .help = "When something goes wrong"},
    {OPTION_TIME, "silence", "MS",
     "A stream without a byte for so long counts as cut (weir sends a comment every "
     "15 s); 0: never.",
     ROW(silence), 60000, 0, 86400 * 1000},
    {OPTION_TIME, "give-up", "MS", "After a cut, to go on trying to come back; 0: for ever.", ROW(give_up), 0, 0,
     86400 * 1000},
    {OPTION_HEADING, .help = "Other"},
};

static const struct option_syntax tail_syntax = {
    .name = "tail",
    .usage = "SESSION [options]",
    .intro =
        "Prints the events of SESSION as they come. After a cut it resumes by itself behind the last event; what\n"
        "is lost is told on standard error, with numbers. Ends with 0 when the session ends.\n",
    .operand = "SESSION",
    .rows = tail_rows,
    .row_count = sizeof tail_rows / sizeof tail_rows[0],
    .epilogue = "Examples\n"
                "  weir tail logs\n"
                "  weir tail builds --from now --json | jq .data\n\n"
                "Exit codes\n" EXIT_CODES_HELP,
};

int command_tail(int argc, char **argv) {
    struct tail tail = {.finished = -1};
    const char *session;
    enum options_result parsed = options_parse(&tail_syntax, argc, argv, &tail.options, &session);
    if (parsed != OPTIONS_RUN) return parsed == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    if (!command_check_session("tail", session)) return EXIT_USAGE;
    if (tail.options.last_id != NULL && !is_id(tail.options.last_id)) {
        command_say("tail", "--last-id takes 1 to %d visible ASCII characters", SSE_ID_MAX);
        return EXIT_USAGE;
    }

    struct client_target target;
    const char *problem = client_target_parse(&target, tail.options.url, tail.options.unix_path);
    if (problem != NULL) {
        command_say("tail", "the server's address %s (--url %s)", problem, tail.options.url);
        return EXIT_USAGE;
    }
    char token[TOKEN_CAPACITY];
    client_init(&tail.client, &target);
    if (tail.options.token_file != NULL) {
        if (command_read_token("tail", tail.options.token_file, token) < 0) return EXIT_USAGE;
        tail.client.token = token;
    }
    tail.client.body = take_body;
    tail.client.body_context = &tail;
    snprintf(tail.path, sizeof tail.path, "/sessions/%s/events", session);
    sse_decoder_init(&tail.decoder, EVENT_LIMIT, take_event, &tail);
    if (tail.options.last_id != NULL) sse_decoder_set_last_id(&tail.decoder, tail.options.last_id);
    backoff_init(&tail.backoff);
    interrupt_catch();
    if (tail.options.from != 0 && tail.options.last_id == NULL) find_now(&tail, session);
    return run_tail(&tail);
}
