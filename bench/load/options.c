#include "options.h"

#include "stream.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: sse_load --port PORT --subscribe PATH [--publish PATH] [OPTION...]\n"
    "\n"
    "Opens SSE subscribers, publishes numbered events, waits until every subscriber has every event, checks each "
    "byte\n"
    "and order, and prints how much was delivered and what it cost the server. Exits 1 when anything was lost,\n"
    "repeated or foreign.\n"
    "\n"
    "  --address IP        the server, default 127.0.0.1\n"
    "  --port PORT\n"
    "  --subscribe PATH    what subscribers GET; %d in it becomes the subscriber's number\n"
    "  --publish PATH      what publishers POST to\n"
    "  --subscribers N     default 1000\n"
    "  --publishers N      connections that publish, 1 to 8, default 1\n"
    "  --depth N           publishes kept in flight, default 16\n"
    "  --until WHAT        a publish is in flight until it is `delivered` to every subscriber (default) or "
    "`answered`\n"
    "  --seconds S         publish for so long, default 5\n"
    "  --publishes N       publish so many instead\n"
    "  --warm-up N         publishes before the counted ones, default 256\n"
    "  --bytes N           payload bytes, 32 to 4096, default 100\n"
    "  --server-pid PID    measure this process and its children\n"
    "  --idle              publish nothing: how much memory the server holds for the connections\n"
    "  --label TEXT        repeated in the output\n"
    "  --json              one line of JSON\n";

enum {
    ADDRESS = 256,
    PORT,
    SUBSCRIBE,
    PUBLISH,
    SUBSCRIBERS,
    PUBLISHERS,
    DEPTH,
    UNTIL,
    SECONDS,
    PUBLISHES,
    WARM_UP,
    BYTES,
    SERVER_PID,
    IDLE,
    LABEL,
    JSON,
    HELP
};

static const struct option long_options[] = {
    {"address", required_argument, NULL, ADDRESS},
    {"port", required_argument, NULL, PORT},
    {"subscribe", required_argument, NULL, SUBSCRIBE},
    {"publish", required_argument, NULL, PUBLISH},
    {"subscribers", required_argument, NULL, SUBSCRIBERS},
    {"publishers", required_argument, NULL, PUBLISHERS},
    {"depth", required_argument, NULL, DEPTH},
    {"until", required_argument, NULL, UNTIL},
    {"seconds", required_argument, NULL, SECONDS},
    {"publishes", required_argument, NULL, PUBLISHES},
    {"warm-up", required_argument, NULL, WARM_UP},
    {"bytes", required_argument, NULL, BYTES},
    {"server-pid", required_argument, NULL, SERVER_PID},
    {"idle", no_argument, NULL, IDLE},
    {"label", required_argument, NULL, LABEL},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static void take_number(struct options *options, int option, const char *text) {
    switch (option) {
    case PORT:
        options->port = (uint16_t)atoi(text);
        break;
    case SUBSCRIBERS:
        options->subscribers = (unsigned)atoi(text);
        break;
    case PUBLISHERS:
        options->publishers = (unsigned)atoi(text);
        break;
    case DEPTH:
        options->depth = (unsigned)atoi(text);
        break;
    case SECONDS:
        options->seconds = atof(text);
        break;
    case PUBLISHES:
        options->publishes = strtoull(text, NULL, 10);
        break;
    case WARM_UP:
        options->warm_up = strtoull(text, NULL, 10);
        break;
    case BYTES:
        options->payload_bytes = strtoul(text, NULL, 10);
        break;
    case SERVER_PID:
        options->server_pid = atoi(text);
        break;
    default:
        break;
    }
}

static void take(struct options *options, int option, const char *text) {
    switch (option) {
    case ADDRESS:
        options->address = text;
        break;
    case SUBSCRIBE:
        options->subscribe_path = text;
        break;
    case PUBLISH:
        options->publish_path = text;
        break;
    case UNTIL:
        options->until_answered = text[0] == 'a';
        break;
    case LABEL:
        options->label = text;
        break;
    case IDLE:
        options->idle = true;
        break;
    case JSON:
        options->json = true;
        break;
    default:
        take_number(options, option, text);
        break;
    }
}

/* What is wrong with the options; NULL when nothing is. */
static const char *mistake(const struct options *options) {
    if (options->port == 0) return "--port is missing";
    if (!options->subscribe_path) return "--subscribe is missing";
    if (!options->idle && !options->publish_path) return "--publish is missing";
    if (options->subscribers == 0) return "--subscribers must be at least 1";
    if (options->publishers == 0 || options->publishers > PUBLISHERS_MAX) return "--publishers must be 1 to 8";
    if (options->depth < options->publishers) return "--depth must be at least --publishers";
    if (options->depth / options->publishers >= DEPTH_MAX) return "--depth is too large";
    if (options->payload_bytes < PAYLOAD_MIN || options->payload_bytes > PAYLOAD_MAX)
        return "--bytes is out of range";
    return NULL;
}

bool options_parse(struct options *options, int argc, char **argv, int *exit_code) {
    *options = (struct options){.address = "127.0.0.1",
                                .label = "",
                                .subscribers = 1000,
                                .publishers = 1,
                                .depth = 16,
                                .warm_up = 256,
                                .seconds = 5,
                                .payload_bytes = 100};
    int option;
    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(usage, stdout);
            *exit_code = 0;
            return false;
        }
        if (option == '?') {
            *exit_code = 2;
            return false;
        }
        take(options, option, optarg);
    }
    const char *wrong = optind < argc ? "there are words left over" : mistake(options);
    if (wrong) {
        fprintf(stderr, "sse_load: %s (--help tells more)\n", wrong);
        *exit_code = 2;
        return false;
    }
    return true;
}
