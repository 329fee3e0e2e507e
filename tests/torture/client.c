#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "faults.h"
#include "net/socket.h"

void client_init(struct client *client) {
    memset(client, 0, sizeof(*client));
    client->descriptor = -1;
}

static bool connect_to(struct client *client, const char *text) {
    struct address address;
    if (!address_parse(text, true, &address, NULL)) return false;
    client->descriptor = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->descriptor < 0) abort();
    return connect(client->descriptor, (struct sockaddr *)&address.storage, address.length) == 0;
}

bool client_ask(struct client *client, const char *address, const char *request) {
    client_close(client);
    faults_leave();
    size_t length = strlen(request);
    bool asked = connect_to(client, address);
    /* A server that cuts the connection at once may be quicker: what becomes of the request shows at the receiving. */
    if (asked) (void)send(client->descriptor, request, length, MSG_NOSIGNAL);
    faults_return();
    return asked;
}

void client_take(struct client *client) {
    if (client->descriptor < 0) return;
    faults_leave();
    while (!client->finished && client->length < sizeof(client->received) - 1) {
        ssize_t got = recv(client->descriptor, client->received + client->length,
                           sizeof(client->received) - 1 - client->length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
        if (got <= 0) client->finished = true;
        if (got > 0) client->length += (size_t)got;
    }
    client->received[client->length] = '\0';
    faults_return();
}

void client_wait(struct client *client, int timeout_ms) {
    struct pollfd wait = {.fd = client->descriptor, .events = POLLIN};
    if (!client->finished) (void)poll(&wait, 1, timeout_ms);
    client_take(client);
}

int client_status(const struct client *client) {
    const char *text = client->received;
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (strncmp(text, interim, sizeof(interim) - 1) == 0) text += sizeof(interim) - 1;
    const char *end = strstr(text, "\r\n\r\n");
    int status = 0;
    if (end == NULL || sscanf(text, "HTTP/1.1 %d ", &status) != 1) return 0;
    const char *field = strstr(text, "Content-Length: ");
    size_t wanted = field != NULL && field < end ? strtoul(field + 16, NULL, 10) : 0;
    size_t there = client->length - (size_t)(end + 4 - client->received);
    return there >= wanted ? status : 0;
}

bool client_has(const struct client *client, const char *text) {
    return strstr(client->received, text) != NULL;
}

void client_close(struct client *client) {
    if (client->descriptor >= 0) close(client->descriptor);
    client->descriptor = -1;
    client->finished = false;
    client->length = 0;
    client->received[0] = '\0';
}
