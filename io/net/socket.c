#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096

/* linux/tcp.h and netinet/tcp.h cannot be included together; glibc's tcp_info stops before this field (Linux 4.1). */
struct tcp_info_acked {
    struct tcp_info info;
    uint64_t pacing_rate;
    uint64_t max_pacing_rate;
    uint64_t bytes_acked;
};

void io_error_set(weir_io_error *error, int os_error, const char *format, ...) {
    if (error == NULL) return;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    error->os_error = os_error;
    if (os_error != 0 && length >= 0 && (size_t)length < sizeof(error->text))
        snprintf(error->text + length, sizeof(error->text) - (size_t)length, ": %s", strerror(os_error));
}

static bool parse_unix(const char *path, struct address *address, weir_io_error *error) {
    struct sockaddr_un *un = (struct sockaddr_un *)&address->storage;
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(un->sun_path)) {
        io_error_set(error, 0, "the socket path must have 1 to %zu bytes", sizeof(un->sun_path) - 1);
        return false;
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length + 1);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return true;
}

static bool parse_port(const char *text, uint16_t *port) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value > 65535) return false;
    *port = htons((uint16_t)value);
    return true;
}

static bool parse_host(const char *host, uint16_t port, bool bracketed, struct address *address) {
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address->storage;
    struct sockaddr_in *in = (struct sockaddr_in *)&address->storage;
    if (bracketed) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = port;
        address->length = sizeof(*in6);
        return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
    }
    in->sin_family = AF_INET;
    in->sin_port = port;
    address->length = sizeof(*in);
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) == 1;
}

bool address_parse(const char *text, bool allow_unix, struct address *address, weir_io_error *error) {
    memset(address, 0, sizeof(*address));
    if (allow_unix && strncmp(text, "unix:", 5) == 0) return parse_unix(text + 5, address, error);
    char host[64];
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon != NULL && colon > text && colon[-1] == ']';
    const char *start = bracketed ? text + 1 : text;
    size_t length = colon == NULL ? 0 : (size_t)(colon - start) - (bracketed ? 1 : 0);
    uint16_t port = 0;
    if (length > 0 && length < sizeof(host) && parse_port(colon + 1, &port)) {
        memcpy(host, start, length);
        host[length] = '\0';
        if (parse_host(host, port, bracketed, address)) return true;
    }
    io_error_set(error, 0, "'%.80s' is not an address; write 127.0.0.1:8080, [::1]:8080%s", text,
                 allow_unix ? " or unix:PATH" : "");
    return false;
}

void address_format(int descriptor, char text[ADDRESS_TEXT_MAX]) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof(storage);
    char host[INET6_ADDRSTRLEN] = "?";
    memset(&storage, 0, sizeof(storage));
    getsockname(descriptor, (struct sockaddr *)&storage, &length);
    if (storage.ss_family == AF_UNIX) {
        snprintf(text, ADDRESS_TEXT_MAX, "unix:%s", ((struct sockaddr_un *)&storage)->sun_path);
    } else if (storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&storage;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&storage;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(in->sin_port));
    }
}

/* A file left by a server that was killed would make every later bind fail; one that somebody listens on stays. */
static void remove_stale_socket(const struct address *address) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    struct stat status;
    if (stat(un->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0) return;
    if (connect(probe, (const struct sockaddr *)&address->storage, address->length) != 0 && errno == ECONNREFUSED)
        unlink(un->sun_path);
    close(probe);
}

int socket_listen(const struct address *address, bool share_port, weir_io_error *error) {
    int family = address->storage.ss_family;
    int on = 1;
    int descriptor = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        io_error_set(error, errno, "cannot make a socket");
        return -1;
    }
    if (family == AF_UNIX) {
        remove_stale_socket(address);
    } else {
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (share_port) setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    }
    bool bound = bind(descriptor, (const struct sockaddr *)&address->storage, address->length) == 0;
    if (bound && listen(descriptor, LISTEN_BACKLOG) == 0) return descriptor;
    io_error_set(error, errno, "cannot listen there");
    if (bound && family == AF_UNIX) unlink(((const struct sockaddr_un *)&address->storage)->sun_path);
    close(descriptor);
    return -1;
}

void socket_tune(int descriptor, uint32_t unacknowledged_ms) {
    int on = 1;
    /* Both fail on a Unix socket, where they are moot. */
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
}

uint64_t socket_progress(int descriptor) {
    struct tcp_info_acked acked;
    socklen_t length = sizeof(acked);
    memset(&acked, 0, sizeof(acked));
    if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &acked, &length) == 0) return acked.bytes_acked;
    /* A Unix socket tells how much waits to be read instead: less than before is progress. */
    int waiting = 0;
    if (ioctl(descriptor, TIOCOUTQ, &waiting) != 0) return 0;
    return UINT64_MAX - (uint64_t)waiting;
}
