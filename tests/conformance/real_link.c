/* Real sockets over loopback. The test's thread also drives the reactor, so that it knows when the server has taken
 * what was sent: a byte at a time is then a byte at a time. */
#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/backends.h"

#define PATIENCE_MS 20000 /* for what must come: only a failure takes so long */
#define TAKE_MS     50    /* for what the server may not want to take, because it has hung up */

struct host {
    weir_engine *engine;
    weir_producer *producer;
    weir_server *server;
    weir_reactor *reactor;
};

struct real_link {
    struct link base; /* first: the operations get this and find the rest */
    struct host hosts[SERVER_KINDS];
    struct host *host; /* connected to */
    int client;
};

static struct real_link *real(struct link *link) {
    return (struct real_link *)link;
}

__attribute__((noreturn)) static void die(const char *what) {
    perror(what);
    exit(1);
}

/* ---- Hosts -------------------------------------------------------------------------------------------------- */

static bool open_host(struct host *host, enum server_kind kind, weir_io_choice io) {
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    weir_io_error error = {0, ""};
    config.listen = "127.0.0.1:0";
    config.threads = 1;
    config.io = io;
    if (kind == SERVER_TOKEN) config.token = CONFORMANCE_TOKEN;
    if (kind == SERVER_STRICT) config.strict_sessions = 1;
    if (weir_engine_create(&host->engine, NULL) != WEIR_OK ||
        weir_producer_create(host->engine, &host->producer) != WEIR_OK)
        die("engine");
    if (weir_server_create(&host->server, host->engine, &config, &error) != WEIR_OK) {
        if (!backend_is_missing(io)) die(error.text);
        return false;
    }
    host->reactor = weir_server_reactor(host->server, 0);
    return true;
}

static void close_host(struct host *host) {
    weir_server_destroy(host->server);
    weir_producer_destroy(host->producer);
    weir_engine_destroy(host->engine);
}

/* ---- Operations --------------------------------------------------------------------------------------------- */

static int connect_to(const char *address) {
    const char *colon = strrchr(address, ':');
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client < 0 || connect(client, (struct sockaddr *)&name, sizeof(name)) != 0) die("connect");
    if (setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0) die("TCP_NODELAY");
    return client;
}

/* All that the reactor can do without waiting. */
static void work(struct real_link *link, uint32_t wait_ms) {
    int done = weir_reactor_run_once(link->host->reactor, wait_ms);
    while (done > 0)
        done = weir_reactor_run_once(link->host->reactor, 0);
    if (done < 0) die("the reactor has ended");
}

static void real_connect(struct link *link, enum server_kind server) {
    struct real_link *self = real(link);
    self->host = &self->hosts[server];
    link->engine = self->host->engine;
    link->producer = self->host->producer;
    self->client = connect_to(weir_server_address(self->host->server, 0));
    work(self, PATIENCE_MS); /* the accept */
}

static void take(struct real_link *link, ssize_t got, const char *data) {
    if (got > 0)
        case_text_append(&link->base.received, data, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        link->base.ended = true;
    if (got < 0 && errno != EAGAIN && errno != EINTR) link->base.broken = true;
}

static void real_send(struct link *link, const char *data, size_t length) {
    struct real_link *self = real(link);
    for (size_t done = 0; done < length && !link->broken;) {
        ssize_t sent = send(self->client, data + done, length - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) done += (size_t)sent;
        if (sent < 0 && errno != EAGAIN) link->broken = link->ended = true;
        work(self, TAKE_MS);
    }
}

static void real_finish(struct link *link) {
    shutdown(real(link)->client, SHUT_WR);
}

static bool real_receive(struct link *link) {
    struct real_link *self = real(link);
    char data[16384];
    size_t before = link->received.length;
    while (!link->ended && link->received.length == before) {
        take(self, recv(self->client, data, sizeof(data), MSG_DONTWAIT), data);
        if (link->ended || link->received.length > before) return true;
        struct pollfd waits[2] = {{weir_reactor_descriptor(self->host->reactor), POLLIN, 0},
                                  {self->client, POLLIN, 0}};
        int ready = poll(waits, 2, PATIENCE_MS);
        if (ready < 0 && errno != EINTR) die("poll");
        if (ready == 0) return false;
        if (waits[0].revents != 0) work(self, 0);
    }
    return true;
}

static void real_disconnect(struct link *link) {
    struct real_link *self = real(link);
    weir_stats stats;
    close(self->client);
    self->client = -1;
    work(self, TAKE_MS);
    weir_engine_stats(link->engine, &stats);
    for (int turns = 0; stats.subscribers > 0 && turns < PATIENCE_MS / TAKE_MS; turns++) {
        work(self, TAKE_MS);
        weir_engine_stats(link->engine, &stats);
    }
}

static const struct link_operations operations = {
    .connect = real_connect,
    .send = real_send,
    .finish = real_finish,
    .receive = real_receive,
    .disconnect = real_disconnect,
};

bool real_link_open(struct link **link, weir_io_choice io) {
    struct real_link *self = calloc(1, sizeof(*self));
    if (self == NULL) die("memory");
    self->base.operations = &operations;
    self->client = -1;
    bool good = true;
    for (int kind = 0; kind < SERVER_KINDS && good; kind++)
        good = open_host(&self->hosts[kind], (enum server_kind)kind, io);
    *link = &self->base;
    if (!good) real_link_close(&self->base);
    return good;
}

void real_link_close(struct link *link) {
    for (int kind = 0; kind < SERVER_KINDS; kind++)
        close_host(&real(link)->hosts[kind]);
    free(link->received.data);
    free(real(link));
}
