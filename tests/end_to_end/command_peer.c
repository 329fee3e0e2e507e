#include "command_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000 };

extern char **environ;

static void listen_tcp(struct peer *peer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    peer->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(peer->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(peer->where, sizeof peer->where, "http://127.0.0.1:%u", ntohs(address.sin_port));
}

static void listen_unix(struct peer *peer) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/weir-peer-XXXXXX";
    assert_non_null(mkdtemp(folder));
    snprintf(peer->where, sizeof peer->where, "%s/socket", folder);
    memcpy(address.sun_path, peer->where, strlen(peer->where));
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&address, sizeof address), 0);
}

void peer_open(struct peer *peer, bool is_unix) {
    memset(peer, 0, sizeof *peer);
    peer->connection = -1;
    peer->is_unix = is_unix;
    if (is_unix)
        listen_unix(peer);
    else
        listen_tcp(peer);
    assert_int_equal(listen(peer->listener, 16), 0);
}

void peer_close(struct peer *peer) {
    peer_hang_up(peer);
    close(peer->listener);
    if (!peer->is_unix) return;
    unlink(peer->where);
    *strrchr(peer->where, '/') = '\0';
    rmdir(peer->where);
}

/* A file in memory, read from its start: the command finds all of its input there at once. */
static int make_input(const char *input, size_t length) {
    int descriptor = memfd_create("input", MFD_CLOEXEC);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, input, length), length);
    assert_int_equal(lseek(descriptor, 0, SEEK_SET), 0);
    return descriptor;
}

void peer_run(struct peer *peer, const char *subcommand, const char *input, size_t length, const char *const *extra) {
    const char *arguments[16] = {"weir", subcommand, "s", peer->is_unix ? "--unix" : "--url", peer->where};
    size_t count = 5;
    for (; extra != NULL && *extra != NULL; extra++) {
        assert_true(count < 15);
        arguments[count++] = *extra;
    }
    int in = make_input(input, length), out[2], err[2];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    posix_spawn_file_actions_addclose(&actions, err[0]);
    assert_int_equal(posix_spawn(&peer->command, WEIR_COMMAND, &actions, NULL, (char *const *)arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(in);
    close(out[1]);
    close(err[1]);
    peer->output = out[0];
    peer->errors = err[0];
}

static void await(int descriptor) {
    struct pollfd entry = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&entry, 1, PATIENCE_MS), 1);
}

/* Reads a piece of a request. False at the end of the connection. */
static bool read_piece(struct peer *peer, char *out, size_t capacity, size_t *length) {
    await(peer->connection);
    ssize_t got = recv(peer->connection, out + *length, capacity - *length, 0);
    if (got <= 0) return false;
    *length += (size_t)got;
    return true;
}

/* Reads a head, a byte at a time so that nothing of the body is taken. False: the connection ended before it. */
static bool read_head(struct peer *peer) {
    struct peer_request *request = &peer->request;
    size_t length = 0;
    while (length < 4 || memcmp(request->head + length - 4, "\r\n\r\n", 4) != 0) {
        assert_true(length < sizeof request->head - 1);
        if (!read_piece(peer, request->head, length + 1, &length)) {
            assert_int_equal(length, 0); /* the command closes between requests, not inside one */
            return false;
        }
    }
    request->head[length] = '\0';
    return true;
}

static void read_body(struct peer *peer) {
    struct peer_request *request = &peer->request;
    const char *found = strstr(request->head, "Content-Length: ");
    size_t length = found != NULL ? strtoul(found + 16, NULL, 10) : 0;
    request->body_length = 0;
    assert_true(length < sizeof request->body);
    while (request->body_length < length) {
        assert_true(read_piece(peer, request->body, length, &request->body_length));
    }
    request->body[length] = '\0';
}

void peer_take(struct peer *peer, bool with_body) {
    for (;;) {
        if (peer->connection < 0) {
            await(peer->listener);
            peer->connection = accept(peer->listener, NULL, NULL);
            assert_true(peer->connection >= 0);
        }
        if (read_head(peer)) break;
        peer_hang_up(peer);
    }
    if (with_body) read_body(peer);
}

bool peer_has(const struct peer *peer, const char *line) {
    char whole[512];
    snprintf(whole, sizeof whole, "\r\n%s\r\n", line);
    return strstr(peer->request.head, whole) != NULL ||
           strncmp(peer->request.head, whole + 2, strlen(whole) - 2) == 0;
}

void peer_send(struct peer *peer, const char *bytes, size_t length) {
    assert_int_equal(send(peer->connection, bytes, length, MSG_NOSIGNAL), length);
}

void peer_answer(struct peer *peer, const char *status, const char *json) {
    char answer[1024];
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
                        strlen(json), json);
    peer_send(peer, answer, (size_t)size);
}

void peer_hang_up(struct peer *peer) {
    if (peer->connection >= 0) close(peer->connection);
    peer->connection = -1;
}

/* Takes what one of the command's two pipes has. False at its end. */
static bool drain(int descriptor, char *out, size_t capacity) {
    size_t used = strlen(out);
    assert_true(used < capacity - 1);
    ssize_t got = read(descriptor, out + used, capacity - 1 - used);
    assert_true(got >= 0);
    out[used + (size_t)got] = '\0';
    return got > 0;
}

void peer_finish(struct peer *peer, struct peer_result *result) {
    result->output[0] = result->errors[0] = '\0';
    struct pollfd entries[2] = {{.fd = peer->output, .events = POLLIN}, {.fd = peer->errors, .events = POLLIN}};
    while (entries[0].fd >= 0 || entries[1].fd >= 0) {
        assert_true(poll(entries, 2, PATIENCE_MS) > 0);
        if (entries[0].revents && !drain(peer->output, result->output, sizeof result->output)) entries[0].fd = -1;
        if (entries[1].revents && !drain(peer->errors, result->errors, sizeof result->errors)) entries[1].fd = -1;
    }
    close(peer->output);
    close(peer->errors);
    int status;
    assert_int_equal(waitpid(peer->command, &status, 0), peer->command);
    assert_true(WIFEXITED(status));
    result->code = WEXITSTATUS(status);
}
