/* Addresses as people write them, and the sockets behind them. */
#ifndef WEIR_IO_NET_SOCKET_H
#define WEIR_IO_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "weir_io.h"

#define ADDRESS_TEXT_MAX 144 /* a Unix path has at most 107 bytes */

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
};

/* Reads "127.0.0.1:8080", "[::1]:8080", or "unix:PATH" where `allow_unix` says so. Numeric addresses only. False with
 * a text in `error`. */
bool address_parse(const char *text, bool allow_unix, struct address *address, weir_io_error *error);

/* The address that a socket is bound to, in the same form. */
void address_format(int descriptor, char text[ADDRESS_TEXT_MAX]);

/* A bound, listening, non-blocking socket; with `share_port` several may have the same address (SO_REUSEPORT). A
 * socket file that nobody listens on is replaced. -1 with a text in `error`. */
int socket_listen(const struct address *address, bool share_port, weir_io_error *error);

/* Options of an accepted connection: no delay; and bytes that the peer does not acknowledge for so long end it, also
 * when no send is in flight (a peer that lost its power says nothing). */
void socket_tune(int descriptor, uint32_t unacknowledged_ms);

/* How many bytes the peer has acknowledged so far: if this grows, a slow send is not a stalled one. */
uint64_t socket_progress(int descriptor);

void io_error_set(weir_io_error *error, int os_error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
