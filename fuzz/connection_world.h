/* The server of connection_fuzz: a whole reactor with its handlers and streams on the simulated backend, a handful of
 * peers, and a way of cutting what they send. One run is one pass of an input's operations over a fresh server.
 *
 * Time is laid out so that cutting cannot move it: every operation begins a slot of 256 ms and is done with within the
 * first 3 of them, and no deadline of the server falls there. */
#ifndef FUZZ_CONNECTION_WORLD_H
#define FUZZ_CONNECTION_WORLD_H

#include "net/reader.h"
#include "net/rig.h"
#include "require.h"

#define PEERS        6u
#define CONNECTIONS  24u   /* of all peers, one after the other */
#define FED_MAX      4096u /* bytes that one connection is sent */
#define SLOT_MS      256u
#define ACTIVE_MS    3u
#define TRUTHS       256u
#define SESSION_LIST "ab"

enum cutting {
    CUT_NOWHERE,    /* what an operation sends arrives in one piece */
    CUT_EVERYWHERE, /* byte by byte, with a turn of the server between */
    CUT_BY_FAULTS   /* receives and sends that the backend shortens, delays and reorders */
};

struct input {
    const uint8_t *at, *end;
};

static inline uint32_t draw(struct input *input, uint32_t below) {
    return input->at == input->end ? 0 : *input->at++ % below;
}

/* One connection, from its beginning; kept when its peer has gone, so that it can be looked at. */
struct talk {
    struct simulated_peer *peer;
    char fed[FED_MAX];
    size_t fed_length;
    size_t waiting; /* of those, the last so many are not sent yet */
    bool left;      /* FIN or reset by the peer */
    bool reset;
    bool held_back; /* the peer has ever limited what it takes */
};

/* What a publish over HTTP said that it published: every stream that shows the id must show these bytes. */
struct truth {
    char id[WEIR_ID_MAX];
    uint64_t hash;
};

struct world {
    struct rig rig;
    enum cutting cutting;
    struct talk talks[CONNECTIONS];
    uint32_t talk_count;
    int present[PEERS]; /* each peer's talk, -1: none */
    uint64_t slot_ns;   /* when the present slot began */
    uint64_t published; /* by the driver */
    struct truth truths[TRUTHS];
    uint32_t truth_count;
};

void world_open(struct world *world, struct input *input, enum cutting cutting);
/* Performs the operations, to the end of the input. */
void world_run(struct world *world, struct input *input);
/* Everybody goes, one way or another: nothing may be left. The rig is to be closed then. */
enum ending { END_BY_FINISH, END_BY_DRAIN, END_BY_STOP, END_BY_RESET };
void world_end(struct world *world, enum ending ending);

/* connection_oracle.c. Everything that one connection was sent is well-formed HTTP, and answers what it asked: each
 * request once, in order; its streams show what the truths say. Adds to those what its answers own up to, and returns
 * how many events that is. */
uint64_t talk_check(struct world *world, const struct talk *talk);
bool talk_depends_on_pace(const struct talk *talk);
/* What two runs sent on the same connection is the same. */
void talk_compare(const struct talk *one, const struct talk *other);

#endif
