/* The other side of `weir publish` and `weir tail` in tests: runs the real command as a process, and plays a
 * server that does exactly what the test says, also what no sane server does. One connection at a time; every wait
 * is bounded. */
#ifndef WEIR_TESTS_END_TO_END_COMMAND_PEER_H
#define WEIR_TESTS_END_TO_END_COMMAND_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct peer_request {
    char head[4096];    /* request line and headers, ended by NUL */
    char body[1 << 20]; /* ended by NUL */
    size_t body_length;
};

struct peer {
    int listener;
    int connection; /* -1: none */
    bool is_unix;
    char where[160]; /* "http://127.0.0.1:PORT", or the path of a Unix socket */
    pid_t command;
    int output; /* of the command */
    int errors;
    struct peer_request request; /* the newest */
};

struct peer_result {
    int code;
    char output[65536];
    char errors[65536];
};

/* Listens on 127.0.0.1, or on a Unix socket. */
void peer_open(struct peer *peer, bool is_unix);
void peer_close(struct peer *peer);

/* Starts "weir SUBCOMMAND s --url/--unix ... EXTRA..." with `input` as its whole standard input. `extra` ends with
 * NULL. */
void peer_run(struct peer *peer, const char *subcommand, const char *input, size_t length, const char *const *extra);

/* Waits for the next request and reads its head, and its body unless told not to. */
void peer_take(struct peer *peer, bool with_body);

/* Whether the newest request's head has this line. */
bool peer_has(const struct peer *peer, const char *line);

/* Sends bytes on the present connection. */
void peer_send(struct peer *peer, const char *bytes, size_t length);

/* Answers with a JSON body and keeps the connection. */
void peer_answer(struct peer *peer, const char *status, const char *json);

/* Closes the present connection; what it had not read makes that a reset. */
void peer_hang_up(struct peer *peer);

/* Waits until the command has ended. */
void peer_finish(struct peer *peer, struct peer_result *result);

#endif
