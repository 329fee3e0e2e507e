/* The options of `weir serve`, as typed; 0 still means "none" where the library says WEIR_NONE. */
#ifndef WEIR_IO_COMMAND_SERVE_OPTIONS_H
#define WEIR_IO_COMMAND_SERVE_OPTIONS_H

#include <weir.h>
#include <weir_io.h>

#include "options.h"

struct serve_options {
    const char *listen, *admin_listen, *token_file;
    uint64_t threads, io, sessions, slow, demo;
    uint64_t replay, queue, max_event, max_sessions, max_session_bytes, max_bytes, idle_ttl;
    uint64_t max_connections, max_body, max_head, max_headers, max_batch;
    uint64_t heartbeat, head_timeout, body_timeout, idle_timeout, stall_timeout, drain, retry;
    uint64_t busy_poll;
};

extern const struct option_syntax serve_syntax;

/* The two configurations that the options mean. `server->token` is left alone. */
void serve_options_apply(const struct serve_options *options, weir_config *engine, weir_server_config *server);

#endif
