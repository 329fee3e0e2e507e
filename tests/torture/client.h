/* A client of a server under torture: real sockets, which do not fail and do not count. What it receives of one answer is
 * kept, so that it can be looked into. */
#ifndef TORTURE_CLIENT_H
#define TORTURE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client {
    int descriptor; /* -1: not connected */
    bool finished;  /* the server has closed, or reset, the connection */
    size_t length;
    char received[1 << 18];
};

void client_init(struct client *client);

/* Connects to "ADDR:PORT" or "unix:PATH" and sends the request. False when nobody listens there. */
bool client_ask(struct client *client, const char *address, const char *request);

/* Takes what has arrived, without waiting. */
void client_take(struct client *client);

/* Waits until something arrives, for a while. */
void client_wait(struct client *client, int timeout_ms);

/* The status of the answer, once the whole of it is there; 0 before. Interim answers (100) are passed over. */
int client_status(const struct client *client);

/* Whether the text has been received. */
bool client_has(const struct client *client, const char *text);

void client_close(struct client *client);

#endif
