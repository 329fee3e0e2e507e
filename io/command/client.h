/* A small HTTP/1.1 client for the command: one connection, one request at a time, over TCP or a Unix socket.
 *
 * What sets it apart is that it knows what a failure means. A request that was not sent to its last byte cannot
 * have been acted on by a server that reads whole bodies first (CLIENT_NOT_SENT); one that was sent and whose
 * answer did not come may or may not have been (CLIENT_UNANSWERED). `weir publish` rests on that difference. */
#ifndef WEIR_IO_COMMAND_CLIENT_H
#define WEIR_IO_COMMAND_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "wire/span.h"

/* Where a server is. */
struct client_target {
    char host[256]; /* name or address, no brackets */
    char port[8];
    char prefix[512];    /* path in front of weir's routes, no slash at its end */
    char unix_path[108]; /* when not empty, connect here */
    char name[280];      /* "127.0.0.1:8080" or "unix:PATH": the Host header and what a person is told */
};

/* Takes "http://HOST[:PORT][/PREFIX]" and, when unix_path is not NULL, a socket to connect to instead. Returns
 * NULL, or what is wrong, as the end of a sentence. */
const char *client_target_parse(struct client_target *target, const char *url, const char *unix_path);

enum client_result {
    CLIENT_OK = 0,
    CLIENT_NOT_SENT,   /* no connection, or it was lost before the whole request was sent */
    CLIENT_UNANSWERED, /* sent, but no whole answer came */
    CLIENT_INTERRUPTED
};

struct client_request {
    const char *method;
    const char *path;          /* behind the prefix, encoded, with its query */
    const char *accept;        /* NULL: none */
    const char *content_type;  /* NULL: no body */
    const char *last_event_id; /* NULL or empty: none */
    struct span body;
};

struct client_answer {
    unsigned status;        /* 0 before the head is complete */
    char content_type[96];  /* without parameters, in lower case; empty: none */
    uint32_t retry_after_s; /* 0: none */
    bool complete;          /* the whole answer has arrived */
};

typedef void (*client_body_function)(void *context, const char *data, size_t length);

/* The fields down to `answer` are the caller's to set or read, the others the client's own. */
struct client {
    struct client_target target;
    const char *token;         /* bearer token or NULL */
    client_body_function body; /* gets each piece of an answer's body */
    void *body_context;
    uint64_t connect_timeout_ms;
    uint64_t answer_timeout_ms; /* without a byte of the answer; 0: none */
    unsigned patience;          /* signals (interrupt.h) after which a wait is given up */
    char problem[360];          /* why the last call did not return CLIENT_OK */
    struct client_answer answer;

    int descriptor;   /* -1: no connection */
    uint64_t used_ms; /* when the connection was used last */
    bool keep_alive;
    char header_name[32];
    size_t header_name_length;
    char header_value[96];
    size_t header_value_length;
    llhttp_t parser;
    llhttp_settings_t settings;
};

/* `client` must not move afterwards. Set the fields that differ from the defaults (timeouts 10 s and 30 s,
 * patience 1). */
void client_init(struct client *client, const struct client_target *target);
void client_close(struct client *client);

/* Connects, unless it is; a connection that has been quiet for more than a moment is replaced first, because the
 * server may be closing it this very instant and a request lost that way would look like an unanswered one. */
enum client_result client_connect(struct client *client);

/* Sends a request and returns once it is sent, or earlier when the server answers before that. */
enum client_result client_send(struct client *client, const struct client_request *request);

/* Receives once: a piece of the answer. Look at `answer` afterwards. */
enum client_result client_receive(struct client *client);

/* Send, and receive until the answer is complete. */
enum client_result client_exchange(struct client *client, const struct client_request *request);

/* The server closed or broke the idle connection: call when its descriptor polls readable between requests. */
void client_drop_if_dead(struct client *client);

#endif
