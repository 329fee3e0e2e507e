/* One backend under test, a listener, and peers: sockets over loopback for the real backends, simulated ones else.
 * Every completion that `wait` brings is checked here: its token was started, and it comes once. */
#ifndef WEIR_TESTS_BACKEND_FIXTURE_H
#define WEIR_TESTS_BACKEND_FIXTURE_H

#include "backend/backend.h"
#include "support/simulated_backend.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FIXTURE_TOKENS = 400000 };

struct outcome {
    bool started;
    bool completed;
    int32_t result;
    uint32_t size;
    char *data; /* until taken */
};

struct fixture {
    struct io_backend *backend;
    const struct io_backend_operations *io;
    bool simulated;
    bool uring;
    int listener;
    uint16_t port;
    uint64_t next_token;
    unsigned completed; /* of all outcomes */
    unsigned descriptors_before;
    struct outcome *outcomes; /* by token */
};

struct peer {
    int socket; /* -1 for a simulated one, and after its end */
    struct simulated_peer *simulated;
};

/* "uring", "epoll" or "simulated": set by main. */
extern const char *fixture_backend_name;

/* Of a group or a test. The defaults are 64 queue entries and 16 buffers of 4,096 bytes. */
int fixture_setup(void **state);
int fixture_teardown(void **state); /* fails when a descriptor was lost */
struct fixture *fixture_create(const struct io_backend_config *config);
void fixture_destroy(struct fixture *fixture);

/* Start an operation and return its token. */
uint64_t start_accept(struct fixture *fixture);
uint64_t start_receive(struct fixture *fixture, int descriptor);
uint64_t start_send(struct fixture *fixture, int descriptor, const void *data, size_t length);

/* One `wait`; returns its completions' number after noting them. */
int take_completions(struct fixture *fixture, uint64_t timeout_ns, unsigned capacity);
/* Waits for a token's completion and returns its result. */
int32_t await(struct fixture *fixture, uint64_t token);
/* Waits until `count` operations in all have completed. */
void await_count(struct fixture *fixture, unsigned count);
/* Copies a receive's bytes out and releases the buffer. Returns their number. */
size_t take_bytes(struct fixture *fixture, uint64_t token, char *bytes, size_t capacity);
/* Receives until `length` bytes have come. */
void receive_exactly(struct fixture *fixture, int descriptor, char *bytes, size_t length);
/* Some waits that bring nothing, in which an operation that could complete would. */
void assert_stays_started(struct fixture *fixture, uint64_t token);

struct peer peer_connect(struct fixture *fixture);
struct peer peer_connect_narrow(struct fixture *fixture); /* takes little before it must be read */
int accept_peer(struct fixture *fixture);                 /* the descriptor of the peer that waits */
struct peer peer_pair(struct fixture *fixture, int *descriptor);
void peer_feed(struct peer *peer, const void *data, size_t length);
size_t peer_read(struct peer *peer, char *bytes, size_t capacity); /* what is there now, maybe nothing */
void peer_read_exactly(struct fixture *fixture, struct peer *peer, char *bytes, size_t length);
void peer_finish(struct peer *peer);
void peer_reset(struct peer *peer);
void peer_close(struct peer *peer);

unsigned count_descriptors(void);

#endif
