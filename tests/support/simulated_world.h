/* The world that the simulated backend acts on and the test plays in: endpoints behind descriptors, the peers on
 * their other side, and chance. Private to the simulated backend; tests include simulated_backend.h. */
#ifndef WEIR_TESTS_SUPPORT_SIMULATED_WORLD_H
#define WEIR_TESTS_SUPPORT_SIMULATED_WORLD_H

#include "support/simulated_backend.h"

#include "base/atomic.h"

#include <pthread.h>

#define SIMULATED_MAX_ERRORS 64

struct bytes {
    char *data;
    size_t length;
    size_t capacity;
    size_t taken; /* from the front */
};

struct simulated_operation {
    uint64_t token;
    enum simulated_kind kind;
    int descriptor;
    const char *data;
    size_t length;
    size_t done;
    uint64_t checksum;
    uint64_t cancel_ns; /* when a cancel takes effect */
    bool finished;      /* result and buffer stand; to be delivered from due_ns on */
    bool failing;       /* an error of the list awaits it */
    bool told;          /* of its window or of buffers that it lacks */
    uint64_t due_ns;
    int32_t result;
    char *buffer;
};

struct simulated_peer {
    struct simulated_peer *next; /* of all peers */
    struct simulated_peer *next_pending;
    struct simulated *world;
    int descriptor;
    struct bytes inbound;  /* fed and not received */
    struct bytes outbound; /* sent by the owner; taken: read by the test */
    size_t window;
    bool finished, reset; /* by the peer, or by a fault */
    bool receive_shut, send_shut, closed, closed_with_reset;
    bool pending;   /* waits to be accepted */
    bool dismissed; /* by the test */
};

struct endpoint {
    bool open;
    bool listening;
    struct simulated_peer *peer;    /* of a connection */
    struct simulated_peer *pending; /* of a listener, oldest first */
    int errors[SIMULATED_MAX_ERRORS];
    unsigned error_count;
};

struct simulated {
    struct io_backend base;
    struct simulated_faults faults;
    uint64_t random;
    uint64_t now_ns;
    atomic_u64 woken;
    struct endpoint *endpoints;
    unsigned endpoint_count;
    struct simulated_operation *operations;
    unsigned operation_count, operation_capacity;
    struct simulated_peer *peers;
    char **lent;
    unsigned lent_count;
    unsigned idle_waits;
    int broken; /* what every wait fails with */
    struct simulated_observer observer;
    bool has_owner;
    pthread_t owner;
};

/* Tells the observer, or prints the text and the seed and aborts. */
__attribute__((noreturn, format(printf, 3, 4))) void simulated_violation(const struct simulated *world, bool memory,
                                                                         const char *format, ...);

/* Tells the observer. */
void simulated_tell(struct simulated *world, enum simulated_kind kind, int descriptor, enum simulated_fault fault);

#define SIMULATED_REQUIRE(world, condition, ...)                                                                     \
    do {                                                                                                             \
        if (!(condition)) simulated_violation(world, false, __VA_ARGS__);                                            \
    } while (0)

uint64_t simulated_random(struct simulated *world);
uint64_t simulated_pick(struct simulated *world, uint64_t most); /* between 1 and `most` */
bool simulated_happens(struct simulated *world, unsigned per_cent);

void *simulated_resize(void *memory, size_t size); /* realloc that aborts */
void simulated_append(struct bytes *bytes, const void *data, size_t length);
size_t simulated_remaining(const struct bytes *bytes);

struct endpoint *simulated_find(struct simulated *world, int descriptor, const char *caller);
/* Gives a peer its descriptor. */
void simulated_establish(struct simulated *world, struct simulated_peer *peer);
/* Frees a peer that neither side will use again; else does nothing. */
void simulated_bury(struct simulated_peer *peer);
void simulated_free_world(struct simulated *world);

#endif
