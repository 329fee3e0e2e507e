#include "serve_options.h"

#include "command.h"

enum { HOUR_MS = 3600 * 1000 };

#define ROW(field) .offset = offsetof(struct serve_options, field)

static const struct option_row serve_rows[] = {
    {OPTION_HEADING, .help = "Addresses"},
    {OPTION_TEXT, "listen", "ADDR:PORT",
     "Where clients connect; [V6]:PORT for IPv6; port 0 takes a free one and prints it.", ROW(listen),
     .fallback_text = "127.0.0.1:8080"},
    {OPTION_TEXT, "admin-listen", "ADDR",
     "Publish, create, delete and metrics only here: ADDR:PORT or unix:PATH. Without it: on --listen too.",
     ROW(admin_listen)},
    {OPTION_TEXT, "token-file", "FILE",
     "Those requests must carry this bearer token: the first line of FILE, 16 to 256 visible bytes.",
     ROW(token_file)},

    {OPTION_HEADING, .help = "Running"},
    {OPTION_NUMBER, "threads", "N", "I/O threads; 0: one per core.", ROW(threads), 0, 0, 64},
    {OPTION_NUMBER, "busy-poll", "US",
     "After traffic a thread looks for more so many microseconds before it sleeps; 0: never.", ROW(busy_poll), 50, 0,
     10000},
    {OPTION_CHOICE, "io", "BACKEND", "auto, uring or epoll; auto takes io_uring where it works.", ROW(io), 0,
     .choices = {"auto", "uring", "epoll"}},
    {OPTION_CHOICE, "sessions", "CHOICE", "auto: a session appears on first use. strict: only PUT makes one.",
     ROW(sessions), 0, .choices = {"auto", "strict"}},
    {OPTION_CHOICE, "slow", "CHOICE",
     "A subscriber that falls further behind than --queue: skip tells it a gap and goes on; detach ends its stream.",
     ROW(slow), 0, .choices = {"skip", "detach"}},
    {OPTION_FLAG, "demo", NULL, "Feed the session 'demo' with this machine's load and memory, 4 times a second.",
     ROW(demo)},

    {OPTION_HEADING, .help = "What is kept"},
    {OPTION_NUMBER, "replay", "EVENTS", "Kept per session for those who come back; 0: none.", ROW(replay), 256, 0,
     WEIR_CAPACITY_MAX},
    {OPTION_NUMBER, "queue", "EVENTS", "A live subscriber may be behind by so many; 0: as many as --replay.",
     ROW(queue), 0, 0, WEIR_CAPACITY_MAX},
    {OPTION_BYTES, "max-event", "BYTES", "Largest event.", ROW(max_event), WEIR_EVENT_BYTES_MAX, 1,
     WEIR_EVENT_BYTES_MAX},
    {OPTION_NUMBER, "max-sessions", "N", "Sessions at a time.", ROW(max_sessions), 65536, 1, 1 << 24},
    {OPTION_BYTES, "max-session-bytes", "BYTES", "One session's memory for events over 1,008 bytes.",
     ROW(max_session_bytes), 16 << 20, 128, (uint64_t)1 << 40},
    {OPTION_BYTES, "max-bytes", "BYTES", "All sessions' memory for events.", ROW(max_bytes), 1 << 30, 1,
     (uint64_t)1 << 40},
    {OPTION_TIME, "idle-ttl", "MS", "A session with neither subscriber nor publish for so long ends; 0: never.",
     ROW(idle_ttl), 300000, 0, 24 * 30 * (uint64_t)HOUR_MS},

    {OPTION_HEADING, .help = "Limits of a client"},
    {OPTION_NUMBER, "max-connections", "N", "In all; lowered to what the limit of open files leaves.",
     ROW(max_connections), 65536, 1, 1 << 24},
    {OPTION_BYTES, "max-body", "BYTES", "One publish request, all its lines.", ROW(max_body), 8 << 20, 1, 1 << 30},
    {OPTION_BYTES, "max-head", "BYTES", "Request line and headers.", ROW(max_head), 16 << 10, 256, 1 << 20},
    {OPTION_NUMBER, "max-headers", "N", "Header lines.", ROW(max_headers), 100, 8, 10000},
    {OPTION_BYTES, "max-batch", "BYTES", "Events that one send may carry.", ROW(max_batch), 256 << 10, 4 << 10,
     64 << 20},

    {OPTION_HEADING, .help = "Times"},
    {OPTION_TIME, "heartbeat", "MS", "Comment on a quiet stream; 0: never.", ROW(heartbeat), 15000, 0, HOUR_MS},
    {OPTION_TIME, "head-timeout", "MS", "To receive a request's head.", ROW(head_timeout), 10000, 1, HOUR_MS},
    {OPTION_TIME, "body-timeout", "MS", "To receive a request's body.", ROW(body_timeout), 30000, 1, HOUR_MS},
    {OPTION_TIME, "idle-timeout", "MS", "A kept connection without a request.", ROW(idle_timeout), 60000, 1, HOUR_MS},
    {OPTION_TIME, "stall-timeout", "MS", "A send without progress.", ROW(stall_timeout), 30000, 1, HOUR_MS},
    {OPTION_TIME, "drain", "MS", "A graceful end spreads the closing of streams over this.", ROW(drain), 5000, 1,
     HOUR_MS},
    {OPTION_TIME, "retry", "MS", "SSE 'retry:', drawn for each stream between this and twice this.", ROW(retry), 1000,
     1, HOUR_MS},
    {OPTION_HEADING, .help = "Other"},
};

const struct option_syntax serve_syntax = {
    .name = "serve",
    .usage = "[options]",
    .intro = "Runs the server. It prints the addresses it listens on and the I/O backend, one per line, once it is\n"
             "ready. A number of bytes may end in k, m or g; a time is in ms, or ends in s, m or h.\n",
    .rows = serve_rows,
    .row_count = sizeof serve_rows / sizeof serve_rows[0],
    .epilogue = "Signals\n"
                "  SIGTERM, SIGINT  drain: /ready answers 503, streams end spread over --drain, then exit with 0;\n"
                "                   the second one stops at once\n"
                "  SIGHUP           ignored: there is no configuration to read again\n\n"
                "Examples\n"
                "  weir serve --demo\n"
                "  weir serve --listen 0.0.0.0:8080 --admin-listen unix:/run/weir.sock --replay 10000\n"
                "  curl -N http://127.0.0.1:8080/sessions/demo/events\n\n"
                "Exit codes\n" EXIT_CODES_HELP,
};

static uint32_t or_none(uint64_t value) {
    return value == 0 ? WEIR_NONE : (uint32_t)value;
}

void serve_options_apply(const struct serve_options *options, weir_config *engine, weir_server_config *server) {
    *engine = (weir_config)WEIR_CONFIG_INIT;
    engine->max_sessions = (uint32_t)options->max_sessions;
    engine->replay_capacity = or_none(options->replay);
    engine->queue_depth = (uint32_t)options->queue;
    engine->max_event_bytes = (uint32_t)options->max_event;
    engine->max_session_bytes = options->max_session_bytes;
    engine->max_bytes = options->max_bytes;
    engine->idle_ttl_ms = or_none(options->idle_ttl);

    *server = (weir_server_config)WEIR_SERVER_CONFIG_INIT;
    server->listen = options->listen;
    server->admin_listen = options->admin_listen;
    server->threads = (uint32_t)options->threads;
    server->io = (weir_io_choice)options->io;
    server->strict_sessions = (uint32_t)options->sessions;
    server->slow_policy = options->slow == 0 ? WEIR_POLICY_SKIP : WEIR_POLICY_DETACH;
    server->heartbeat_ms = or_none(options->heartbeat);
    server->head_timeout_ms = (uint32_t)options->head_timeout;
    server->body_timeout_ms = (uint32_t)options->body_timeout;
    server->idle_timeout_ms = (uint32_t)options->idle_timeout;
    server->stall_timeout_ms = (uint32_t)options->stall_timeout;
    server->drain_ms = (uint32_t)options->drain;
    server->retry_ms = (uint32_t)options->retry;
    server->max_connections = (uint32_t)options->max_connections;
    server->max_head_bytes = (uint32_t)options->max_head;
    server->max_headers = (uint32_t)options->max_headers;
    server->max_body_bytes = (uint32_t)options->max_body;
    server->max_batch_bytes = (uint32_t)options->max_batch;
    server->busy_poll_us = or_none(options->busy_poll);
}
