#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections from one source address: fewer than the kernel has ports for. */
enum { PER_SOURCE = 20000 };

void link_init(struct link *link, struct io_backend *backend, uint32_t index) {
    *link = (struct link){.backend = backend, .token = (uint64_t)index << 1, .descriptor = -1};
}

/* All of 127.0.0.0/8 is this machine, so more connections than one address has ports are a matter of more addresses. */
static int choose_source(const struct link *link, const struct target *target) {
    uint32_t group = link_index(link->token) / PER_SOURCE;
    const struct sockaddr_in *server = (const struct sockaddr_in *)&target->address;
    if (group == 0 || server->sin_family != AF_INET || ntohl(server->sin_addr.s_addr) >> 24 != 127) return 0;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + group)};
    int one = 1;
    setsockopt(link->descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    return bind(link->descriptor, (struct sockaddr *)&source, sizeof source) < 0 ? -errno : 0;
}

int link_connect(struct link *link, const struct target *target, int receive_buffer) {
    int family = target->address.ss_family;
    link->descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->descriptor < 0) return -errno;
    int one = 1;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(link->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(link->descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (receive_buffer > 0) {
        setsockopt(link->descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    int error = choose_source(link, target);
    if (error == 0 &&
        connect(link->descriptor, (const struct sockaddr *)&target->address, target->address_length) < 0) {
        error = errno == EINPROGRESS ? 0 : -errno;
    }
    if (error == 0) return 0;
    close(link->descriptor);
    link->descriptor = -1;
    return error;
}

void link_receive(struct link *link) {
    link->receiving = true;
    link->backend->operations->receive(link->backend, link->descriptor, link->token);
}

void link_send(struct link *link, const char *data, size_t length) {
    link->sending = true;
    link->backend->operations->send(link->backend, link->descriptor, data, length, link->token + 1);
}

static void close_when_idle(struct link *link) {
    if (link->receiving || link->sending) return;
    link->backend->operations->close(link->backend, link->descriptor);
    link->descriptor = -1;
    link->closing = false;
}

void link_note(struct link *link, bool is_send) {
    if (is_send)
        link->sending = false;
    else
        link->receiving = false;
    if (link->closing) close_when_idle(link);
}

void link_close(struct link *link) {
    if (link->closing || link->descriptor < 0) return;
    link->closing = true;
    if (link->receiving) link->backend->operations->cancel(link->backend, link->token);
    if (link->sending) link->backend->operations->cancel(link->backend, link->token + 1);
    close_when_idle(link);
}
