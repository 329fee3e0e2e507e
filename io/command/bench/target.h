/* Where a request of the load goes: a server's address and a path with the session's number in it. */
#ifndef WEIR_IO_COMMAND_BENCH_TARGET_H
#define WEIR_IO_COMMAND_BENCH_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { TARGET_PATH_MAX = 1024 };

struct target {
    char host[256];
    char port[8];
    char name[280];             /* the Host header and what a person is told: "127.0.0.1:8080" */
    char path[TARGET_PATH_MAX]; /* begins with '/'; each '#' stands for the session's number */
    struct sockaddr_storage address;
    socklen_t address_length;
};

/* `text` is a whole URL ("http://HOST[:PORT]/PATH") or a path to put behind the URL `base`. Returns NULL, or what is
 * wrong, as the end of a sentence. */
const char *target_parse(struct target *target, const char *base, const char *text);

/* Finds the server's address: the first one of its name that takes a connection within ten seconds. Returns 0, or
 * writes why not into `problem`. */
int target_resolve(struct target *target, char *problem, size_t capacity);

/* Writes the path for a session, terminated; returns its length. `capacity` of TARGET_PATH_MAX * 4 is enough. */
size_t target_path(const struct target *target, uint32_t session, char *out, size_t capacity);

#endif
