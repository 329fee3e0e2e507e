/* weir publish: lines of standard input become events, in order.
 *
 * Lines wait for nothing: whatever has arrived goes out as one request, and what arrives while its answer is on
 * the way makes the next one. So batches are single lines when the input is slow and full when it is fast.
 *
 * Every line ends up in exactly one of four sets: accepted, not accepted, outcome unknown, not sent. A line is
 * unknown only when its request was sent to the last byte and no answer came back; the server may have published
 * it or not, and nobody can tell from here. --unknown says what to do then. */
#include "command.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "answer_text.h"
#include "backoff.h"
#include "client.h"
#include "interrupt.h"
#include "line_ranges.h"
#include "line_reader.h"
#include "options.h"

/* One request's lines are published at once: fewer than the server keeps by default (256), or a subscriber that is up to
 * date would find the first of them gone. */
enum { BATCH_LINES = 128, BATCH_BYTES = 256 * 1024, BASE_WAIT_MS = 250, PROGRESS_MS = 100 };

enum unknown_choice { UNKNOWN_STOP = 0, UNKNOWN_SKIP, UNKNOWN_RESEND };

struct publish_options {
    const char *url, *unix_path, *kind, *token_file;
    uint64_t unknown, max_line, timeout, give_up;
};

/* Consecutive lines, each followed by LF in `body`. */
struct batch {
    char *body;
    size_t starts[BATCH_LINES + 1]; /* where line i begins; [count]: where one more would */
    unsigned count;
    uint64_t first; /* number of its first line */
};

struct publish {
    struct publish_options options;
    struct client client;
    struct answer_text text; /* the body of the newest answer */
    struct line_reader reader;
    struct batch batch;
    struct backoff backoff;
    struct line_ranges refused, unknown, repeated;
    char path[512];
    uint64_t accepted;
    uint64_t not_sent_from;    /* first line that was not sent, 0: none */
    uint64_t failing_since_ms; /* first of the attempts that failed in a row; 0: the last one did not */
    uint64_t shown_ms;         /* when the running count was printed last */
    bool show_progress;
    int stop; /* exit_code to end with before the input does; EXIT_DONE: go on */
};

/* ---- One request ----------------------------------------------------------------------------------------------- */

enum outcome {
    OUTCOME_ACCEPTED,
    OUTCOME_BAD_LINE, /* nothing was published: a line of it, or its size, is not taken */
    OUTCOME_REFUSED,  /* nothing was published, and nothing will be: token, name, session */
    OUTCOME_LATER,    /* nothing was published: no connection, or the server is overloaded */
    OUTCOME_UNKNOWN,
    OUTCOME_INTERRUPTED
};

static enum outcome judge_answer(const struct client_answer *answer, const struct answer_text *text) {
    switch (answer->status) {
    case 200:
    case 201:
        return OUTCOME_ACCEPTED;
    case 400:
    case 422: /* either a line of it is bad, and is named, or all of it is */
        return answer_text_number(text, "line") > 0 ? OUTCOME_BAD_LINE : OUTCOME_REFUSED;
    case 413: /* a line, or all of them together */
        return OUTCOME_BAD_LINE;
    case 408:
    case 425:
    case 429:
    case 503:
    case 507:
        return OUTCOME_LATER;
    default: /* a gateway's 502 or 504, or a 500, does not say how far the request got */
        return answer->status >= 500 ? OUTCOME_UNKNOWN : OUTCOME_REFUSED;
    }
}

/* Sends lines [start, start + count) of the batch as one request. `why` gets the server's or the network's words. */
static enum outcome post_lines(struct publish *publish, unsigned start, unsigned count, char *why, size_t capacity) {
    struct batch *batch = &publish->batch;
    struct client *client = &publish->client;
    size_t begin = batch->starts[start];
    struct client_request request = {
        .method = "POST",
        .path = publish->path,
        .accept = "application/json",
        .content_type = "text/plain; charset=utf-8",
        .body = {batch->body + begin, batch->starts[start + count] - begin},
    };
    publish->text.length = 0;
    enum client_result result = client_exchange(client, &request);
    if (result != CLIENT_OK) {
        snprintf(why, capacity, "%s", client->problem);
        return result == CLIENT_NOT_SENT     ? OUTCOME_LATER
               : result == CLIENT_UNANSWERED ? OUTCOME_UNKNOWN
                                             : OUTCOME_INTERRUPTED;
    }
    enum outcome outcome = judge_answer(&client->answer, &publish->text);
    if (outcome != OUTCOME_ACCEPTED) {
        answer_text_describe(&publish->text, client->answer.status, why, capacity);
    } else if (answer_text_number(&publish->text, "count") != count) {
        snprintf(why, capacity, "the server's answer does not count %u lines", count);
        outcome = OUTCOME_UNKNOWN;
    }
    return outcome;
}

/* ---- What follows from its outcome ----------------------------------------------------------------------------- */

static void clear_progress(struct publish *publish) {
    if (publish->show_progress && publish->shown_ms != 0) fputs("\r\033[K", stderr);
}

static void show_progress(struct publish *publish) {
    uint64_t now = interrupt_now_ms();
    if (!publish->show_progress || now - publish->shown_ms < PROGRESS_MS) return;
    publish->shown_ms = now;
    fprintf(stderr, "\r%llu lines accepted", (unsigned long long)publish->accepted);
}

/* Lines from `from` on will not be sent; keeps the first such stop. */
static void stop_at(struct publish *publish, uint64_t from, int code) {
    publish->stop = code;
    publish->not_sent_from = from;
}

static void name_lines(char *out, size_t capacity, uint64_t first, uint64_t last) {
    if (first == last)
        snprintf(out, capacity, "line %llu", (unsigned long long)first);
    else
        snprintf(out, capacity, "lines %llu-%llu", (unsigned long long)first, (unsigned long long)last);
}

/* Waits before another attempt, or gives up and stops at line `first`. */
static void handle_later(struct publish *publish, uint64_t first, const char *why) {
    uint64_t now = interrupt_now_ms();
    if (publish->failing_since_ms == 0) {
        publish->failing_since_ms = now;
        clear_progress(publish);
        command_say("publish", "line %llu waits: %s; trying again", (unsigned long long)first, why);
    }
    if (publish->options.give_up != 0 && now - publish->failing_since_ms >= publish->options.give_up) {
        clear_progress(publish);
        command_say("publish", "giving up: %s", why);
        stop_at(publish, first, EXIT_FAILED);
        return;
    }
    uint64_t asked_ms = (uint64_t)publish->client.answer.retry_after_s * 1000;
    uint64_t wait = backoff_next_ms(&publish->backoff, BASE_WAIT_MS);
    interrupt_sleep(asked_ms > wait ? asked_ms : wait);
    if (interrupt_count() > 0) stop_at(publish, first, EXIT_INTERRUPTED);
}

/* The request with these lines was sent whole and not answered. True: send them again. */
static bool handle_unknown(struct publish *publish, uint64_t first, uint64_t last, const char *why) {
    enum unknown_choice choice = (enum unknown_choice)publish->options.unknown;
    char lines[64];
    name_lines(lines, sizeof lines, first, last);
    clear_progress(publish);
    command_say("publish", "%s: outcome unknown: sent, not answered (%s); %s", lines, why,
                choice == UNKNOWN_STOP   ? "stopping here"
                : choice == UNKNOWN_SKIP ? "going on"
                                         : "sending again");
    if (choice == UNKNOWN_RESEND) {
        struct line_ranges *repeated = &publish->repeated;
        if (repeated->count == 0 || repeated->ranges[repeated->count - 1].last < first) {
            line_ranges_add(repeated, first, last);
        }
        handle_later(publish, first, why);
        if (publish->stop == EXIT_DONE) return true;
    }
    line_ranges_add(&publish->unknown, first, last);
    if (choice != UNKNOWN_SKIP) stop_at(publish, last + 1, EXIT_UNKNOWN);
    return false;
}

static void handle_accepted(struct publish *publish, unsigned count) {
    publish->accepted += count;
    publish->failing_since_ms = 0;
    backoff_reset(&publish->backoff);
    show_progress(publish);
}

static void refuse_line(struct publish *publish, uint64_t number, const char *why) {
    clear_progress(publish);
    command_say("publish", "line %llu: not accepted: %s", (unsigned long long)number, why);
    line_ranges_add(&publish->refused, number, number);
}

/* A request with a bad line is not taken at all. So send the lines before that line, and then that one alone, which
 * tells for sure that it is the one. Without its number, halves find it. */
static unsigned lines_before_bad(const struct publish *publish, unsigned count) {
    uint64_t line = answer_text_number(&publish->text, "line");
    if (line > 1 && line <= count) return (unsigned)line - 1;
    return line == 1 ? 1 : count / 2;
}

/* A server that ran out of something in the middle says how many lines it took before that: those are published. */
static unsigned lines_taken(const struct publish *publish, unsigned count) {
    if (publish->client.answer.status == 0) return 0;
    uint64_t accepted = answer_text_number(&publish->text, "accepted");
    return accepted < count ? (unsigned)accepted : 0;
}

/* Sends the batch to its end, or until publish->stop is set. */
static void send_batch(struct publish *publish) {
    struct batch *batch = &publish->batch;
    unsigned start = 0, count = batch->count;
    while (start < batch->count && publish->stop == EXIT_DONE) {
        char why[512] = "";
        uint64_t first = batch->first + start;
        if (interrupt_count() > 0) {
            stop_at(publish, first, EXIT_INTERRUPTED);
            break;
        }
        enum outcome outcome = post_lines(publish, start, count, why, sizeof why);
        if (outcome == OUTCOME_ACCEPTED) {
            handle_accepted(publish, count);
        } else if (outcome == OUTCOME_BAD_LINE && count > 1) {
            count = lines_before_bad(publish, count);
            continue;
        } else if (outcome == OUTCOME_BAD_LINE) {
            refuse_line(publish, first, why);
        } else if (outcome == OUTCOME_UNKNOWN) {
            if (handle_unknown(publish, first, first + count - 1, why)) continue;
        } else if (outcome == OUTCOME_LATER) {
            unsigned taken = lines_taken(publish, count);
            if (taken > 0) handle_accepted(publish, taken);
            handle_later(publish, first + taken, why);
            start += taken;
            count -= taken;
            continue;
        } else if (outcome == OUTCOME_REFUSED) {
            clear_progress(publish);
            command_say("publish", "%s", why);
            stop_at(publish, first, EXIT_REFUSED);
        } else {
            stop_at(publish, first, EXIT_INTERRUPTED);
        }
        start += count;
        count = batch->count - start;
    }
    batch->count = 0;
}

/* ---- Input ----------------------------------------------------------------------------------------------------- */

/* False when the batch must go out first: it is full, or the line does not follow. */
static bool batch_takes(const struct batch *batch, struct span line, uint64_t number) {
    if (batch->count == 0) return true;
    if (batch->count == BATCH_LINES || batch->starts[batch->count] + line.length > BATCH_BYTES) return false;
    return number == batch->first + batch->count;
}

static void batch_add(struct batch *batch, struct span line, uint64_t number) {
    if (batch->count == 0) {
        batch->first = number;
        batch->starts[0] = 0;
    }
    size_t at = batch->starts[batch->count];
    if (line.length > 0) memcpy(batch->body + at, line.data, line.length);
    batch->body[at + line.length] = '\n';
    batch->starts[++batch->count] = at + line.length + 1;
}

/* Moves lines from the reader into batches, sending each that is full. What is left over waits for more input. */
static enum line_result drain_reader(struct publish *publish) {
    for (;;) {
        struct span line;
        uint64_t number;
        enum line_result result = line_reader_next(&publish->reader, &line, &number);
        if (result == LINE_MORE || result == LINE_END) return result;
        if (result == LINE_READY && batch_takes(&publish->batch, line, number)) {
            batch_add(&publish->batch, line, number);
            continue;
        }
        if (publish->batch.count > 0) send_batch(publish);
        if (publish->stop != EXIT_DONE) return LINE_MORE;
        if (result == LINE_READY) {
            batch_add(&publish->batch, line, number);
        } else {
            char why[96];
            snprintf(why, sizeof why, "it is longer than --max-line (%llu bytes)",
                     (unsigned long long)publish->options.max_line);
            refuse_line(publish, number, why);
        }
    }
}

/* Waits for input; a connection that dies meanwhile is dropped now rather than found dead by the next request. */
static bool input_ready(struct publish *publish, int64_t timeout_ms) {
    struct pollfd entries[2] = {{.fd = publish->reader.descriptor, .events = POLLIN},
                                {.fd = publish->client.descriptor, .events = POLLIN}};
    int count = interrupt_poll(entries, 2, timeout_ms);
    if (count > 0 && entries[1].revents != 0) client_drop_if_dead(&publish->client);
    return count > 0 && entries[0].revents != 0;
}

static void publish_input(struct publish *publish) {
    while (publish->stop == EXIT_DONE) {
        enum line_result result = drain_reader(publish);
        if (publish->stop != EXIT_DONE) return;
        bool more = result == LINE_MORE && input_ready(publish, 0);
        if (!more && publish->batch.count > 0) {
            send_batch(publish);
            continue;
        }
        if (result == LINE_END) return;
        if (interrupt_count() > 0) {
            stop_at(publish, publish->batch.count > 0 ? publish->batch.first : publish->reader.number,
                    EXIT_INTERRUPTED);
            return;
        }
        if (!more && !input_ready(publish, -1)) continue;
        int error = line_reader_fill(&publish->reader);
        if (error < 0) {
            command_say("publish", "standard input: %s", strerror(-error));
            stop_at(publish, publish->reader.number, EXIT_FAILED);
        }
    }
}

/* ---- The end --------------------------------------------------------------------------------------------------- */

static void report_set(const char *what, const struct line_ranges *set) {
    if (set->count == 0) return;
    fprintf(stderr, "weir publish: %s (%llu): ", what, (unsigned long long)set->lines);
    line_ranges_print(set, stderr);
    fputc('\n', stderr);
}

static int report(struct publish *publish) {
    clear_progress(publish);
    command_say("publish", "%llu lines accepted", (unsigned long long)publish->accepted);
    report_set("not accepted", &publish->refused);
    report_set("outcome unknown", &publish->unknown);
    report_set("sent more than once, may be there twice", &publish->repeated);
    bool input_over = publish->reader.ended && publish->not_sent_from >= publish->reader.number &&
                      publish->reader.start == publish->reader.end;
    if (publish->not_sent_from != 0 && !input_over) {
        command_say("publish", "not sent: line %llu and all after it", (unsigned long long)publish->not_sent_from);
    }
    if (publish->stop != EXIT_DONE) return publish->stop;
    if (publish->unknown.count > 0) return EXIT_UNKNOWN;
    return publish->refused.count > 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* ---- Start ----------------------------------------------------------------------------------------------------- */

#define ROW(field) .offset = offsetof(struct publish_options, field)

static const struct option_row publish_rows[] = {
    {OPTION_HEADING, .help = "Where"},
    {OPTION_TEXT, "url", "URL", "The server.", ROW(url), .fallback_text = "http://127.0.0.1:8080"},
    {OPTION_TEXT, "unix", "PATH", "Connect to this Unix socket instead of the URL's host.", ROW(unix_path)},
    {OPTION_TEXT, "token-file", "FILE", "Bearer token to present: the first line of FILE.", ROW(token_file)},
    {OPTION_HEADING, .help = "What"},
    {OPTION_TEXT, "event", "KIND", "Kind of the events: their SSE event name. None: the default kind.", ROW(kind)},
    {OPTION_BYTES, "max-line", "BYTES", "A longer line is reported and not sent.", ROW(max_line), 1 << 20, 1,
     1 << 20},
    {OPTION_HEADING, .help = "When something goes wrong"},
    {OPTION_CHOICE, "unknown", "CHOICE",
     "What to do when lines were sent and no answer came, so that nobody knows whether they were published: stop; "
     "skip (go on with the next lines); resend (they may then be there twice).",
     ROW(unknown), UNKNOWN_STOP, .choices = {"stop", "skip", "resend"}},
    {OPTION_TIME, "timeout", "MS", "To wait for a sign of an answer.", ROW(timeout), 30000, 1, 3600 * 1000},
    {OPTION_TIME, "give-up", "MS",
     "To go on trying, with growing waits, to reach a server that was lost or is overloaded; 0: for ever.",
     ROW(give_up), 60000, 0, 86400 * 1000},
    {OPTION_HEADING, .help = "Other"},
};

static const struct option_syntax publish_syntax = {
    .name = "publish",
    .usage = "SESSION [options]",
    .intro = "Publishes each line of standard input as one event of SESSION, in order, and says on standard error\n"
             "how many were accepted and exactly which lines were not. Lines go out as they come; what has piled up\n"
             "goes out together.\n",
    .operand = "SESSION",
    .rows = publish_rows,
    .row_count = sizeof publish_rows / sizeof publish_rows[0],
    .epilogue = "Examples\n"
                "  tail -F app.log | weir publish logs\n"
                "  echo '{\"state\":\"ready\"}' | weir publish builds --event state\n\n"
                "Exit codes\n" EXIT_CODES_HELP,
};

/* Writes the route, with the kind percent-encoded. */
static void write_path(char *out, size_t capacity, const char *session, const char *kind) {
    int used = snprintf(out, capacity, "/sessions/%s/events?split=lines%s", session, kind != NULL ? "&event=" : "");
    for (const char *byte = kind; byte != NULL && *byte != '\0'; byte++) {
        used += snprintf(out + used, capacity - (size_t)used, "%%%02X", (unsigned)(unsigned char)*byte);
    }
}

static bool check_kind(const char *kind) {
    if (kind == NULL) return true;
    if (strlen(kind) <= 64 && strpbrk(kind, "\r\n") == NULL) return true;
    command_say("publish", "--event: a kind takes 1 to 64 bytes and no line ends");
    return false;
}

/* Connects once before any line is read: a server that was never there is no reason to wait. */
static int check_server(struct publish *publish) {
    enum client_result result = client_connect(&publish->client);
    if (result == CLIENT_OK) return EXIT_DONE;
    if (result == CLIENT_INTERRUPTED) return EXIT_INTERRUPTED;
    command_say("publish", "cannot reach %s (is 'weir serve' running there?)", publish->client.problem);
    return EXIT_FAILED;
}

static int run_publish(struct publish *publish) {
    publish->batch.body = malloc(BATCH_BYTES + publish->options.max_line + 2);
    if (publish->batch.body == NULL || !line_reader_init(&publish->reader, STDIN_FILENO, publish->options.max_line)) {
        command_say("publish", "out of memory");
        free(publish->batch.body);
        return EXIT_FAILED;
    }
    int code = check_server(publish);
    if (code == EXIT_DONE) {
        publish_input(publish);
        code = report(publish);
    }
    client_close(&publish->client);
    line_reader_free(&publish->reader);
    line_ranges_free(&publish->refused);
    line_ranges_free(&publish->unknown);
    line_ranges_free(&publish->repeated);
    free(publish->batch.body);
    return code;
}

int command_publish(int argc, char **argv) {
    struct publish publish = {.stop = EXIT_DONE};
    const char *session;
    enum options_result parsed = options_parse(&publish_syntax, argc, argv, &publish.options, &session);
    if (parsed != OPTIONS_RUN) return parsed == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    if (!command_check_session("publish", session) || !check_kind(publish.options.kind)) return EXIT_USAGE;

    struct client_target target;
    const char *problem = client_target_parse(&target, publish.options.url, publish.options.unix_path);
    if (problem != NULL) {
        command_say("publish", "the server's address %s (--url %s)", problem, publish.options.url);
        return EXIT_USAGE;
    }
    char token[TOKEN_CAPACITY];
    client_init(&publish.client, &target);
    if (publish.options.token_file != NULL) {
        if (command_read_token("publish", publish.options.token_file, token) < 0) return EXIT_USAGE;
        publish.client.token = token;
    }
    publish.client.answer_timeout_ms = publish.options.timeout;
    publish.client.patience = 2; /* the first signal lets the answer that is due come in; a second one does not */
    publish.client.body = answer_text_take;
    publish.client.body_context = &publish.text;
    publish.show_progress = isatty(STDERR_FILENO) != 0;
    write_path(publish.path, sizeof publish.path, session, publish.options.kind);
    backoff_init(&publish.backoff);
    interrupt_catch();
    return run_publish(&publish);
}
