#include "bench_options.h"

#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "payload.h"

#define ROW(field) .offset = offsetof(struct bench_options, field)

static const struct option_row rows[] = {
    {OPTION_HEADING, .help = "Where"},
    {OPTION_TEXT, "url", "URL", "The server.", ROW(url), .fallback_text = "http://127.0.0.1:8080"},
    {OPTION_TEXT, "weir", "URL", "Short for --preset weir --url URL.", ROW(weir)},
    {OPTION_CHOICE, "preset", "CHOICE",
     "Whose paths to use, for sessions named bench-0, bench-1, ...: weir or nchan.", ROW(preset), 0,
     .choices = {"weir", "nchan"}},
    {OPTION_TEXT, "subscribe", "URL", "What subscribers GET, a URL or a path; # stands for the session's number.",
     ROW(subscribe)},
    {OPTION_TEXT, "publish", "URL", "What publishers POST to.", ROW(publish)},
    {OPTION_TEXT, "body", "TEXT", "What they POST: @ stands for the payload, # for the session's number.", ROW(body),
     .fallback_text = "@"},
    {OPTION_TEXT, "token-file", "FILE", "Bearer token to present: the first line of FILE.", ROW(token_file)},
    {OPTION_HEADING, .help = "Subscribers"},
    {OPTION_NUMBER, "subscribers", "N", "Streams in all.", ROW(subscribers), 100, 1, 1000000},
    {OPTION_NUMBER, "sessions", "M", "Sessions that they are spread over.", ROW(sessions), 1, 1, 1000000},
    {OPTION_NUMBER, "opening", "N", "Connections that wait for their answer at once.", ROW(opening), 256, 1, 1000000},
    {OPTION_TIME, "storm", "MS", "So often all drop at once and return with their last id; 0: never.", ROW(storm), 0,
     0, 3600 * 1000},
    {OPTION_FLAG, "storm-once", NULL, "Only once, --storm into the measured time.", ROW(storm_once)},
    {OPTION_NUMBER, "storm-away", "N", "They stay away until so many events have been accepted without them.",
     ROW(storm_away), 0, 0, 1000000},
    {OPTION_NUMBER, "slow", "K", "So many of them read slowly: not waited for, and not in the latencies.", ROW(slow),
     0, 0, 1000000},
    {OPTION_BYTES, "slow-rate", "BYTES", "What each of those reads in a second.", ROW(slow_rate), 4096, 1, 1u << 30},
    {OPTION_HEADING, .help = "Publishers"},
    {OPTION_NUMBER, "publishers", "P", "Connections that publish; 0: none, for the memory of idle streams.",
     ROW(publishers), 1, 0, PAYLOAD_PUBLISHERS},
    {OPTION_NUMBER, "depth", "D", "Closed loop: publishes that each keeps in flight.", ROW(depth), 16, 1, 1024},
    {OPTION_CHOICE, "until", "CHOICE", "One is in flight until it is delivered to every subscriber, or answered.",
     ROW(until), UNTIL_DELIVERED, .choices = {"delivered", "answered"}},
    {OPTION_NUMBER, "rate", "R",
     "Open loop: events a second in all, on a schedule fixed in advance; latency counts from when one was due.",
     ROW(rate), 0, 0, 10000000},
    {OPTION_BYTES, "size", "BYTES", "Payload.", ROW(size), 100, PAYLOAD_MIN, PAYLOAD_MAX},
    {OPTION_HEADING, .help = "Measuring"},
    {OPTION_TIME, "warmup", "MS", "Load before the measured time.", ROW(warmup), 1000, 0, 3600 * 1000},
    {OPTION_NUMBER, "seconds", "S", "Measured time.", ROW(seconds), 10, 1, 86400},
    {OPTION_TEXT, "server-pid", "PIDS", "Processes (123,456) whose time and memory count, with their children.",
     ROW(server_pid)},
    {OPTION_TIME, "patience", "MS", "Without any progress for so long the run ends.", ROW(patience), 5000, 100,
     3600 * 1000},
    {OPTION_FLAG, "json", NULL, "One JSON object on standard output instead of a table.", ROW(json)},
    {OPTION_CHOICE, "io", "CHOICE", "I/O backend of the load: auto, uring or epoll.", ROW(io), 0,
     .choices = {"auto", "uring", "epoll"}},
};

const struct option_syntax bench_syntax = {
    .name = "bench",
    .usage = "[options]",
    .intro = "Loads any server of Server-Sent Events and checks each event at each subscriber: order, loss, "
             "repetition, bytes.\n",
    .rows = rows,
    .row_count = sizeof rows / sizeof rows[0],
    .epilogue =
        "Examples\n"
        "  weir bench --weir http://127.0.0.1:8080 --subscribers 1000 --server-pid $(pidof weir)\n"
        "  weir bench --preset nchan --url http://127.0.0.1:8081 --sessions 50 --rate 2000 --storm 2s --json\n\n"
        "Exit codes\n"
        "  0    every event came once and in order, or the server told that it is lost\n"
        "  1    something was lost in silence, repeated, out of order or changed; or the run failed\n"
        "  2    the command line is wrong\n"
        "  4    the server refused a stream or some of the publishes\n"
        "  130  interrupted; the figures so far are printed\n",
};

static const char *const preset_subscribe[] = {"/sessions/bench-#/events?from=now", "/subscribe/bench-#"};
static const char *const preset_publish[] = {"/sessions/bench-#/events", "/publish/bench-#"};

static int refuse(const char *text) {
    command_say("bench", "%s", text);
    fprintf(stderr, "try 'weir bench --help'\n");
    return EXIT_USAGE;
}

static int check(const struct bench_options *options) {
    if (options->sessions > options->subscribers) return refuse("--sessions: each needs a subscriber of its own");
    if (options->slow >= options->subscribers) return refuse("--slow: one of the --subscribers must be a normal one");
    if (options->storm_once && options->storm == 0) return refuse("--storm-once needs --storm MS");
    if (options->storm_away > 0 && (options->storm == 0 || (options->rate == 0 && options->until == UNTIL_DELIVERED)))
        return refuse("--storm-away needs --storm MS, and --rate or --until answered to publish to nobody");
    if (options->publishers == 0 && (options->rate != 0 || options->storm != 0))
        return refuse("--rate and --storm need publishers");
    if (options->sessions > 1 && options->subscribe != NULL && strchr(options->subscribe, '#') == NULL)
        return refuse("--subscribe: without a # all sessions would be one");
    if (options->sessions > 1 && options->publish != NULL && strchr(options->publish, '#') == NULL &&
        strchr(options->body, '#') == NULL)
        return refuse("--publish: without a # there or in --body all sessions would be one");
    const char *payload = strchr(options->body, '@');
    if (payload == NULL || strchr(payload + 1, '@') != NULL || strlen(options->body) > BODY_TEXT_MAX)
        return refuse("--body takes up to 1,024 bytes with one @, where the payload goes");
    return 0;
}

static int parse_target(struct target *target, const char *option, const char *base, const char *text) {
    const char *problem = target_parse(target, base, text);
    if (problem == NULL) return 0;
    command_say("bench", "the server's address %s (--url %.200s, --%s %.200s)", problem, base, option, text);
    return EXIT_USAGE;
}

int bench_plan_make(struct bench_plan *plan) {
    struct bench_options *options = &plan->options;
    if (options->weir != NULL) {
        options->url = options->weir;
        options->preset = 0;
    }
    int code = check(options);
    if (options->subscribe == NULL) options->subscribe = preset_subscribe[options->preset];
    if (options->publish == NULL) options->publish = preset_publish[options->preset];
    if (code == 0) code = parse_target(&plan->subscribe, "subscribe", options->url, options->subscribe);
    if (code == 0) code = parse_target(&plan->publish, "publish", options->url, options->publish);
    if (code == 0 && options->server_pid != NULL && !process_list_parse(&plan->servers, options->server_pid))
        code = refuse("--server-pid takes numbers of processes, with commas between them");
    if (code == 0 && options->token_file != NULL) {
        char token[TOKEN_CAPACITY];
        if (command_read_token("bench", options->token_file, token) < 0) return EXIT_USAGE;
        snprintf(plan->authorization, sizeof plan->authorization, "Authorization: Bearer %s\r\n", token);
    }
    return code;
}
