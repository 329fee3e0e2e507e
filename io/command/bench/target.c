#include "target.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "command/client.h"

enum { RESOLVE_TIMEOUT_MS = 10000 };

static const char *parse_server(struct target *target, const char *url, size_t length, char *prefix) {
    char text[800];
    struct client_target parsed;
    if (length >= sizeof text) return "is too long";
    memcpy(text, url, length);
    text[length] = '\0';
    const char *problem = client_target_parse(&parsed, text, NULL);
    if (problem != NULL) return problem;
    memcpy(target->host, parsed.host, sizeof target->host);
    memcpy(target->port, parsed.port, sizeof target->port);
    memcpy(target->name, parsed.name, sizeof target->name);
    memcpy(prefix, parsed.prefix, sizeof parsed.prefix);
    return NULL;
}

const char *target_parse(struct target *target, const char *base, const char *text) {
    char prefix[512];
    memset(target, 0, sizeof *target);
    const char *path = text;
    const char *problem;
    if (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0) {
        path = strchr(strchr(text, '/') + 2, '/');
        if (path == NULL) return "has no path";
        problem = parse_server(target, text, (size_t)(path - text), prefix);
    } else {
        if (text[0] != '/') return "is neither a URL nor a path that begins with '/'";
        problem = parse_server(target, base, strlen(base), prefix);
    }
    if (problem != NULL) return problem;
    for (const char *byte = path; *byte != '\0'; byte++) {
        if (*byte <= ' ' || *byte > '~') return "has a byte that must be percent-encoded";
    }
    int length = snprintf(target->path, sizeof target->path, "%s%s", prefix, path);
    return length < 0 || (size_t)length >= sizeof target->path ? "has a path that is too long" : NULL;
}

/* 0, or an errno. */
static int try_address(const struct addrinfo *address) {
    int descriptor = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return errno;
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(descriptor, address->ai_addr, address->ai_addrlen) < 0) {
        error = errno;
        struct pollfd entry = {.fd = descriptor, .events = POLLOUT};
        if (error == EINPROGRESS) {
            error = ETIMEDOUT;
            if (poll(&entry, 1, RESOLVE_TIMEOUT_MS) > 0) getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
        }
    }
    close(descriptor);
    return error;
}

int target_resolve(struct target *target, char *problem, size_t capacity) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int failed = getaddrinfo(target->host, target->port, &hints, &list);
    if (failed != 0) {
        snprintf(problem, capacity, "%.200s: %s", target->name, gai_strerror(failed));
        return -1;
    }
    int error = ENOENT;
    for (const struct addrinfo *entry = list; entry != NULL && error != 0; entry = entry->ai_next) {
        error = try_address(entry);
        if (error != 0) continue;
        memcpy(&target->address, entry->ai_addr, entry->ai_addrlen);
        target->address_length = entry->ai_addrlen;
    }
    freeaddrinfo(list);
    if (error == 0) return 0;
    snprintf(problem, capacity, "%.200s: %s", target->name, strerror(error));
    return -1;
}

size_t target_path(const struct target *target, uint32_t session, char *out, size_t capacity) {
    size_t length = 0;
    for (const char *byte = target->path; *byte != '\0' && length + 12 < capacity; byte++) {
        if (*byte == '#')
            length += (size_t)snprintf(out + length, capacity - length, "%u", session);
        else
            out[length++] = *byte;
    }
    out[length] = '\0';
    return length;
}
