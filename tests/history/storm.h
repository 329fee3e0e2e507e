/* Everything that the engine lets happen at once, at once: who takes part, what all of them check, and what is counted. */
#ifndef HISTORY_STORM_H
#define HISTORY_STORM_H

#include <pthread.h>
#include <weir.h>

#include "engine/stamp.h"
#include "engine/stress.h"
#include "support/counting_allocator.h"
#include "support/sleeper.h"

#define STORM_NAMES    5u /* sessions, which end and begin again */
#define STORM_CHANNELS 4u
#define STORM_WRITERS  3u
#define STORM_RING     16u
#define STORM_LENGTH   2048u /* of an event at most */

struct storm {
    weir_engine *engine;
    weir_quota *quota;
    struct counting_allocator memory;
    struct sleeper sleeper; /* of the poller */
    uint64_t seed;
    uint64_t rounds;
    atomic_u64 now_ms; /* the clock: it goes on as fast as the keeper has its turns */
    atomic_u32 quit;
    atomic_u64 accepted; /* publishes, and copies of broadcasts */
    atomic_u64 refused;
    atomic_u64 read; /* events that were checked */
    atomic_u64 lost; /* events named in gaps */
    atomic_u64 conflated;
    atomic_u64 batches;
    atomic_u64 ended;  /* streams that were told of their end */
    atomic_u64 places; /* of the quota */
    atomic_u64 swept;
};

struct actor {
    pthread_t thread;
    struct storm *storm;
    uint32_t index;
    struct random random;
};

union parcel {
    struct stamp stamp;
    char room[STORM_LENGTH];
};

/* ---- Names and events ----------------------------------------------------------------------------------------- */

const char *storm_session_name(uint32_t index);
const char *storm_channel_name(uint32_t index);

/* Every session joins some of the channels only: whatever it gets from the others went astray. */
static inline bool storm_may_join(uint32_t session, uint32_t channel) {
    return (session + channel) % 2 == 0;
}

/* What a stamp's epoch says where the sender cannot know the session's: to which name, or to which channel, it was sent. */
#define STORM_TO_NAME    (1ull << 40)
#define STORM_TO_CHANNEL (2ull << 40)
#define STORM_TO_EPOCH   (3ull << 40)
#define STORM_TO_MASK    ((1ull << 40) - 1)

/* The sessions of the storm, found or made; NULL when the engine is shutting down, or there is none to be found. */
weir_session *storm_open(struct actor *actor, uint32_t name, bool create);

uint64_t storm_epoch(const weir_session *session);

static inline bool storm_is_over(const struct actor *actor) {
    return u32_load_acquire(&actor->storm->quit) != 0;
}

/* ---- Following a session -------------------------------------------------------------------------------------- */

/* What one stream has seen of one life of a session. */
struct follower {
    struct storm *storm;
    uint32_t name;
    uint64_t epoch;
    uint64_t next;
    bool conflates;
    uint64_t numbers[STORM_WRITERS]; /* each writer's last one */
};

void follower_begin(struct follower *follower, struct actor *actor, uint32_t name, const weir_session *session,
                    uint64_t next);

/* The next event: whole, meant for this life of this session, in its place, and its sender's next. */
void follower_event(struct follower *follower, const weir_event *event, const void *data);

/* A gap that begins where the stream stands. */
void follower_gap(struct follower *follower, const weir_gap *gap);

/* Reads up to `most` events. False when the stream is over. */
bool storm_read(struct actor *actor, struct follower *follower, weir_session *session, weir_cursor *cursor,
                uint32_t most);

/* Dice for how to come: what is queued, who it is for, how long the token lasts. */
weir_subscription storm_subscription(struct actor *actor, const weir_policy *policies, uint32_t count);

/* Whether a subscriber was turned away, by a limit or because another has the place. */
bool storm_is_refused(int status);

/* ---- Who takes part ------------------------------------------------------------------------------------------- */

void *storm_write(void *context);     /* publish, offer, wait, send, broadcast, heartbeat */
void *storm_tangle(void *context);    /* join, leave, leave all, list, remove channels */
void *storm_subscribe(void *context); /* subscribe, resume, look back, conflate, tokens and limits */
void *storm_attach(void *context);    /* attach, displace, acknowledge, detach */
void *storm_poll(void *context);      /* outlets of one poller, which sleeps */
void *storm_batch(void *context);     /* a consumer and its feeds */
void *storm_keep(void *context);      /* time, sweeps, ends, owners, statistics */
void *storm_quota(void *context);     /* places by principal */

#endif
