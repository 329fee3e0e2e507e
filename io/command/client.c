#include "client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "interrupt.h"
#include "wire/text.h"

/* Well under any sensible keep-alive timeout of a server. */
enum { TRUST_IDLE_MS = 1000, RECEIVE_SIZE = 64 * 1024 };

/* ---- Answers --------------------------------------------------------------------------------------------------- */

static int take_header_name(llhttp_t *parser, const char *at, size_t length) {
    struct client *client = parser->data;
    for (size_t i = 0; i < length && client->header_name_length < sizeof client->header_name - 1; i++) {
        client->header_name[client->header_name_length++] = (char)tolower((unsigned char)at[i]);
    }
    return 0;
}

static int take_header_value(llhttp_t *parser, const char *at, size_t length) {
    struct client *client = parser->data;
    for (size_t i = 0; i < length && client->header_value_length < sizeof client->header_value - 1; i++) {
        client->header_value[client->header_value_length++] = (char)tolower((unsigned char)at[i]);
    }
    return 0;
}

static int end_header(llhttp_t *parser) {
    struct client *client = parser->data;
    struct span name = {client->header_name, client->header_name_length};
    client->header_value[client->header_value_length] = '\0';
    if (span_equal(name, SPAN("content-type"))) {
        client->header_value[strcspn(client->header_value, "; ")] = '\0';
        memcpy(client->answer.content_type, client->header_value, sizeof client->answer.content_type);
    } else if (span_equal(name, SPAN("retry-after"))) {
        uint64_t seconds; /* the form with a date is not worth a calendar here */
        if (text_parse_u64(span_of(client->header_value), &seconds)) {
            client->answer.retry_after_s = seconds < 3600 ? (uint32_t)seconds : 3600;
        }
    }
    client->header_name_length = 0;
    client->header_value_length = 0;
    return 0;
}

static int end_head(llhttp_t *parser) {
    struct client *client = parser->data;
    client->answer.status = (unsigned)llhttp_get_status_code(parser);
    return 0;
}

static int take_body(llhttp_t *parser, const char *at, size_t length) {
    struct client *client = parser->data;
    if (client->body != NULL) client->body(client->body_context, at, length);
    return 0;
}

static int end_message(llhttp_t *parser) {
    struct client *client = parser->data;
    if (client->answer.status < 200) { /* 100 Continue and its like: the answer is still to come */
        memset(&client->answer, 0, sizeof client->answer);
        return 0;
    }
    client->answer.complete = true;
    client->keep_alive = llhttp_should_keep_alive(parser) != 0;
    return HPE_PAUSED;
}

void client_init(struct client *client, const struct client_target *target) {
    memset(client, 0, sizeof *client);
    client->target = *target;
    client->connect_timeout_ms = 10000;
    client->answer_timeout_ms = 30000;
    client->patience = 1;
    client->descriptor = -1;
    llhttp_settings_init(&client->settings);
    client->settings.on_header_field = take_header_name;
    client->settings.on_header_value = take_header_value;
    client->settings.on_header_value_complete = end_header;
    client->settings.on_headers_complete = end_head;
    client->settings.on_body = take_body;
    client->settings.on_message_complete = end_message;
}

void client_close(struct client *client) {
    if (client->descriptor >= 0) close(client->descriptor);
    client->descriptor = -1;
}

/* ---- Waiting and connecting ------------------------------------------------------------------------------------ */

static void explain(struct client *client, const char *what, int error) {
    snprintf(client->problem, sizeof client->problem, "%.280s: %.60s", what, strerror(error));
}

/* Waits for events on the connection: 1 ready, 0 timeout, -1 interrupted. timeout_ms 0: no timeout. */
static int wait_ready(struct client *client, short events, uint64_t timeout_ms, short *ready) {
    uint64_t deadline = interrupt_now_ms() + timeout_ms;
    for (;;) {
        if (interrupt_count() >= client->patience) {
            snprintf(client->problem, sizeof client->problem, "interrupted");
            return -1;
        }
        uint64_t now = interrupt_now_ms();
        if (timeout_ms > 0 && now >= deadline) return 0;
        struct pollfd entry = {.fd = client->descriptor, .events = events};
        int count = interrupt_poll(&entry, 1, timeout_ms > 0 ? (int64_t)(deadline - now) : -1);
        if (count > 0) {
            *ready = entry.revents;
            return 1;
        }
    }
}

static enum client_result finish_connect(struct client *client) {
    short ready;
    int waited = wait_ready(client, POLLOUT, client->connect_timeout_ms, &ready);
    if (waited < 0) return CLIENT_INTERRUPTED;
    int error = waited == 0 ? ETIMEDOUT : 0;
    socklen_t size = sizeof error;
    if (waited > 0) getsockopt(client->descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0) return CLIENT_OK;
    explain(client, client->target.name, error);
    return CLIENT_NOT_SENT;
}

static enum client_result connect_address(struct client *client, int family, const struct sockaddr *address,
                                          socklen_t size) {
    client->descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (client->descriptor < 0) {
        explain(client, "socket", errno);
        return CLIENT_NOT_SENT;
    }
    enum client_result result = CLIENT_OK;
    if (connect(client->descriptor, address, size) < 0) {
        if (errno == EINPROGRESS) {
            result = finish_connect(client);
        } else {
            explain(client, client->target.name, errno);
            result = CLIENT_NOT_SENT;
        }
    }
    if (result != CLIENT_OK) client_close(client);
    return result;
}

/* A peer that vanished without a word is noticed within about a minute, also while nothing is sent. */
static void tune_tcp(int descriptor) {
    int on = 1, idle_s = 30, interval_s = 10, probes = 3;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

static enum client_result connect_tcp(struct client *client) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int problem = getaddrinfo(client->target.host, client->target.port, &hints, &list);
    if (problem != 0) {
        snprintf(client->problem, sizeof client->problem, "%.150s: %s", client->target.host, gai_strerror(problem));
        return CLIENT_NOT_SENT;
    }
    enum client_result result = CLIENT_NOT_SENT;
    for (struct addrinfo *entry = list; entry != NULL && result == CLIENT_NOT_SENT; entry = entry->ai_next) {
        result = connect_address(client, entry->ai_family, entry->ai_addr, entry->ai_addrlen);
    }
    freeaddrinfo(list);
    if (result == CLIENT_OK) tune_tcp(client->descriptor);
    return result;
}

static enum client_result connect_unix(struct client *client) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, client->target.unix_path, sizeof address.sun_path);
    return connect_address(client, AF_UNIX, (const struct sockaddr *)&address, sizeof address);
}

void client_drop_if_dead(struct client *client) {
    char byte;
    if (client->descriptor < 0) return;
    ssize_t got = recv(client->descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    client_close(client); /* closed, broken, or talking out of turn */
}

enum client_result client_connect(struct client *client) {
    if (client->descriptor >= 0) {
        if (interrupt_now_ms() - client->used_ms > TRUST_IDLE_MS || !client->keep_alive)
            client_close(client);
        else
            client_drop_if_dead(client);
    }
    if (client->descriptor >= 0) return CLIENT_OK;
    client->keep_alive = true;
    client->used_ms = interrupt_now_ms();
    return client->target.unix_path[0] != '\0' ? connect_unix(client) : connect_tcp(client);
}

/* ---- Requests -------------------------------------------------------------------------------------------------- */

/* Reads once, without waiting. CLIENT_OK when bytes were taken or none were there. */
static enum client_result read_some(struct client *client) {
    char buffer[RECEIVE_SIZE];
    ssize_t got = recv(client->descriptor, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return CLIENT_OK;
    if (got < 0) {
        explain(client, "connection lost", errno);
        return CLIENT_UNANSWERED;
    }
    llhttp_errno_t error =
        got == 0 ? llhttp_finish(&client->parser) : llhttp_execute(&client->parser, buffer, (size_t)got);
    if (client->answer.complete) {
        if (got == 0) client->keep_alive = false;
        return CLIENT_OK;
    }
    if (got == 0) {
        snprintf(client->problem, sizeof client->problem, "the server closed the connection");
        return CLIENT_UNANSWERED;
    }
    if (error != HPE_OK) {
        snprintf(client->problem, sizeof client->problem, "the answer is not HTTP (%s)", llhttp_errno_name(error));
        return CLIENT_UNANSWERED;
    }
    return CLIENT_OK;
}

enum client_result client_receive(struct client *client) {
    short ready;
    int waited = wait_ready(client, POLLIN, client->answer_timeout_ms, &ready);
    if (waited < 0) return CLIENT_INTERRUPTED;
    if (waited == 0) {
        snprintf(client->problem, sizeof client->problem, "nothing came for %llu ms",
                 (unsigned long long)client->answer_timeout_ms);
        return CLIENT_UNANSWERED;
    }
    client->used_ms = interrupt_now_ms();
    return read_some(client);
}

/* Sends what fits now. Returns how much, or -1 with `problem` set. */
static ssize_t send_some(struct client *client, struct span bytes) {
    ssize_t sent = send(client->descriptor, bytes.data, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == EINTR) return 0;
    explain(client, "connection lost", errno);
    return -1;
}

/* The connection broke while sending: what the server said before that may still be there to read. */
static bool take_early_answer(struct client *client) {
    for (int reads = 0; reads < 16 && !client->answer.complete; reads++) {
        if (read_some(client) != CLIENT_OK) break;
    }
    return client->answer.complete;
}

/* Sends a run of bytes whole. A server may answer before the end (too large, not allowed) and stop reading: then the
 * answer counts and the connection is spent. */
static enum client_result send_all(struct client *client, struct span bytes) {
    while (bytes.length > 0) {
        short ready;
        int waited = wait_ready(client, POLLOUT | POLLIN, client->answer_timeout_ms, &ready);
        if (waited < 0) return CLIENT_INTERRUPTED;
        if (waited == 0) {
            snprintf(client->problem, sizeof client->problem, "the server stopped reading the request");
            return CLIENT_NOT_SENT;
        }
        if (ready & POLLIN) {
            if (read_some(client) != CLIENT_OK) return CLIENT_NOT_SENT;
            if (client->answer.complete) return CLIENT_OK;
        }
        ssize_t sent = send_some(client, bytes);
        if (sent < 0) return take_early_answer(client) ? CLIENT_OK : CLIENT_NOT_SENT;
        bytes.data += sent;
        bytes.length -= (size_t)sent;
    }
    return CLIENT_OK;
}

static size_t write_head(const struct client *client, const struct client_request *request, char *out,
                         size_t capacity) {
    char length[64] = "";
    if (request->content_type != NULL) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", request->body.length);
    }
    bool resumes = request->last_event_id != NULL && request->last_event_id[0] != '\0';
    int size = snprintf(
        out, capacity, "%s %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir\r\n%s%s%s%s%s%s%s%s%s%s%s%s%s\r\n",
        request->method, client->target.prefix, request->path,
        client->target.unix_path[0] != '\0' ? "localhost" : client->target.name,
        request->accept != NULL ? "Accept: " : "", request->accept != NULL ? request->accept : "",
        request->accept != NULL ? "\r\n" : "", request->content_type != NULL ? "Content-Type: " : "",
        request->content_type != NULL ? request->content_type : "", request->content_type != NULL ? "\r\n" : "",
        length, resumes ? "Last-Event-ID: " : "", resumes ? request->last_event_id : "", resumes ? "\r\n" : "",
        client->token != NULL ? "Authorization: Bearer " : "", client->token != NULL ? client->token : "",
        client->token != NULL ? "\r\n" : "");
    return size > 0 ? (size_t)size : 0;
}

enum client_result client_send(struct client *client, const struct client_request *request) {
    char head[4096];
    size_t size = write_head(client, request, head, sizeof head);
    if (size >= sizeof head) {
        snprintf(client->problem, sizeof client->problem, "the request head is longer than %zu bytes", sizeof head);
        return CLIENT_NOT_SENT;
    }
    memset(&client->answer, 0, sizeof client->answer);
    enum client_result result = client_connect(client);
    if (result != CLIENT_OK) return result;
    client->header_name_length = 0;
    client->header_value_length = 0;
    llhttp_init(&client->parser, HTTP_RESPONSE, &client->settings);
    client->parser.data = client;
    result = send_all(client, (struct span){head, size});
    if (result == CLIENT_OK && !client->answer.complete) result = send_all(client, request->body);
    if (client->answer.complete) client->keep_alive = false; /* it came early: the request may not be out whole */
    client->used_ms = interrupt_now_ms();
    if (result != CLIENT_OK) client_close(client);
    return result;
}

enum client_result client_exchange(struct client *client, const struct client_request *request) {
    enum client_result result = client_send(client, request);
    bool sent = result == CLIENT_OK;
    while (result == CLIENT_OK && !client->answer.complete) {
        result = client_receive(client);
    }
    if (sent && result == CLIENT_INTERRUPTED) result = CLIENT_UNANSWERED;
    if (result != CLIENT_OK || !client->keep_alive) client_close(client);
    return result;
}

/* ---- Addresses ------------------------------------------------------------------------------------------------- */

/* HOST, HOST:PORT or [V6]:PORT. */
static const char *parse_authority(struct client_target *target, struct span authority) {
    struct span host = authority;
    struct span port = SPAN("80");
    if (authority.length > 0 && authority.data[0] == '[') {
        const char *bracket = memchr(authority.data, ']', authority.length);
        if (bracket == NULL) return "has a '[' without its ']'";
        host = (struct span){authority.data + 1, (size_t)(bracket - authority.data) - 1};
        struct span rest = {bracket + 1, authority.length - host.length - 2};
        if (rest.length > 0 && rest.data[0] != ':') return "has something between ']' and the port";
        if (rest.length > 0) port = (struct span){rest.data + 1, rest.length - 1};
    } else {
        const char *colon = memchr(authority.data, ':', authority.length);
        if (colon != NULL) {
            host.length = (size_t)(colon - authority.data);
            port = (struct span){colon + 1, authority.length - host.length - 1};
        }
    }
    uint64_t number;
    if (host.length == 0 || host.length >= sizeof target->host) return "has no host name, or one that is too long";
    if (memchr(host.data, '@', host.length) != NULL) return "holds user information; use --token-file instead";
    if (port.length > 5 || !text_parse_u64(port, &number) || number < 1 || number > 65535) {
        return "has no port from 1 to 65535";
    }
    snprintf(target->host, sizeof target->host, "%.*s", (int)host.length, host.data);
    snprintf(target->port, sizeof target->port, "%.*s", (int)port.length, port.data);
    return NULL;
}

static const char *parse_url(struct client_target *target, const char *url) {
    if (strncasecmp(url, "https://", 8) == 0) return "asks for TLS, which this client does not speak";
    const char *rest = strncasecmp(url, "http://", 7) == 0 ? url + 7 : url;
    if (strstr(rest, "://") != NULL) return "does not begin with http://";
    for (const char *byte = rest; *byte != '\0'; byte++) {
        if (*byte <= ' ' || *byte > '~') return "has a byte that must be percent-encoded";
    }
    if (strpbrk(rest, "?#") != NULL) return "has a query or a fragment";
    size_t authority = strcspn(rest, "/");
    const char *problem = parse_authority(target, (struct span){rest, authority});
    if (problem != NULL) return problem;
    size_t prefix = strlen(rest + authority);
    while (prefix > 0 && rest[authority + prefix - 1] == '/') {
        prefix--;
    }
    if (prefix >= sizeof target->prefix) return "has a path that is too long";
    memcpy(target->prefix, rest + authority, prefix);
    const char *form = strchr(target->host, ':') != NULL ? "[%s]:%s" : "%s:%s";
    snprintf(target->name, sizeof target->name, form, target->host, target->port);
    return NULL;
}

const char *client_target_parse(struct client_target *target, const char *url, const char *unix_path) {
    memset(target, 0, sizeof *target);
    const char *problem = parse_url(target, url);
    if (problem != NULL || unix_path == NULL) return problem;
    if (strlen(unix_path) >= sizeof target->unix_path) return "needs a socket path of at most 107 bytes";
    memcpy(target->unix_path, unix_path, strlen(unix_path));
    snprintf(target->name, sizeof target->name, "unix:%s", unix_path);
    return NULL;
}
