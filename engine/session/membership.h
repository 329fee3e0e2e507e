/* A membership: one session in one channel, as one record that both sides read.
 *
 *   state = version (61) | one of membership_state (3)
 *
 *   BUILDING ─> ACTIVE ─> REMOVED            by leave, by the channel's removal
 *      │           └────> ENDED ─> TOLD      by the session's end; TOLD to whoever asked what it was a member of
 *      └─────> KILLED                        the session's end came first, or the builder gave up; its builder cleans up
 *
 * FREE is a record that has not been used. ACTIVE is membership, for the channel's side and the session's alike: there is nothing else that they could disagree
 * about. Each arrow is one compare-and-swap, and whoever makes it cleans up: takes the record out of the pair map, out of
 * the channel's places and the session's, and gives back the two references that it held. So an active membership keeps
 * its channel and its session from being used again. ENDED keeps the channel only, until it is told, and the record is the
 * session's until its life is over.
 *
 * The version goes up with each life of the record. A value, version and index in one word, stands in the places of both
 * sides; whoever comes from a stale one finds another version and passes on. Fields are read between two looks at the
 * state.
 *
 *   pairing                                                                     without it
 *   E1 release fence: before the fields        E2 acquire fence: before the      fields of the record's next life under
 *                                              second look at the state          the state of this one
 *   E3 seq_cst: the session's place, then      E4 seq_cst: the session's end,    a membership of a session that has ended
 *      the look for the session's end             then the walk over the places
 *   E5 acq_rel: draw of a serial               E5                                a second copy of one broadcast */
#ifndef WEIR_SESSION_MEMBERSHIP_H
#define WEIR_SESSION_MEMBERSHIP_H

#include "channel.h"

enum membership_state {
    MEMBERSHIP_FREE = 0,
    MEMBERSHIP_BUILDING,
    MEMBERSHIP_ACTIVE,
    MEMBERSHIP_REMOVED,
    MEMBERSHIP_KILLED,
    MEMBERSHIP_ENDED,
    MEMBERSHIP_TOLD
};

/* Fields but `node` and `state` may be read while they are another life's: all of them atomic. */
struct membership {
    CACHE_ALIGNED struct index_node node;
    atomic_u64 state;
    atomic_u64 serial; /* drawn by the join, SERIAL_NONE with the version before that */
    atomic_pointer channel;
    atomic_pointer session;
    atomic_u32 channel_place; /* PLACES_NONE in an exclusive channel */
    atomic_u32 session_place;
};

/* The memberships of one session; allocated when it joins for the first time. */
struct joined {
    atomic_u32 count; /* memberships, and those that are being made */
    struct places places;
};

/* A record, and which of its lives is meant. */
struct life {
    struct membership *record;
    uint32_t index;
    uint64_t version;
};

#define STATE_BITS 3u
#define STATE_MASK ((1u << STATE_BITS) - 1)

static inline uint64_t life_state(const struct life *life, enum membership_state state) {
    return life->version << STATE_BITS | state;
}

/* Never 0. The 30 bits of the version come round again after 2^30 lives of one record. */
#define VALUE_VERSION_MASK ((1ull << 30) - 1)
#define VALUE_SET          (1ull << 62)
static inline uint64_t life_value(const struct life *life) {
    return VALUE_SET | (life->version & VALUE_VERSION_MASK) << 32 | life->index;
}

static inline struct membership *membership_at(const struct channels *channels, uint32_t index) {
    return (struct membership *)slab_at(&channels->memberships_slab, index);
}

/* The life that a value names and its state, MEMBERSHIP_FREE when it is over. */
static inline enum membership_state life_of_value(const struct channels *channels, uint64_t value,
                                                  struct life *life) {
    life->index = (uint32_t)value;
    life->record = membership_at(channels, life->index);
    uint64_t state = u64_load_seq_cst(&life->record->state); /* E4 */
    life->version = state >> STATE_BITS;
    if (LIKELY(life_value(life) == value)) return (enum membership_state)(state & STATE_MASK);
    life->version = 0; /* which no life has */
    return MEMBERSHIP_FREE;
}

/* Whether the record's life is still `life` and in `state`, for whoever has read its fields since it was so (E2). */
static inline bool life_is_still(const struct life *life, enum membership_state state) {
    fence_acquire();
    return u64_load_relaxed(&life->record->state) == life_state(life, state); /* relaxed: the fence orders it */
}

static inline weir_session *life_session(const struct life *life) {
    return (weir_session *)pointer_load_relaxed(&life->record->session); /* relaxed, like the others: E2 judges it */
}
static inline weir_channel *life_channel(const struct life *life) {
    return (weir_channel *)pointer_load_relaxed(&life->record->channel);
}

/* Whether an active membership counts: in an exclusive channel only the owner's does. */
static inline bool life_counts(const weir_engine *engine, const struct life *life) {
    return !channels_are_exclusive(engine) || u64_load_seq_cst(&life_channel(life)->owner) == life_value(life);
}

/* The session of a membership that was seen to be active, with a reference; NULL when it is active no more. That the
 * state is the same afterwards says that the reference is to the session's life that joined. */
static inline weir_session *life_hold_session(const struct life *life) {
    weir_session *session = life_session(life);
    if (!session_try_retain(session)) return NULL;
    if (LIKELY(life_is_still(life, MEMBERSHIP_ACTIVE))) return session;
    weir_session_release(session);
    return NULL;
}

/* For the pair map. Both are held. */
uint64_t membership_hash(const weir_channel *channel, const weir_session *session);

/* Reserves a place on both sides and fills a record for the pair: BUILDING, in nobody's sight. Fills *refusal when a limit
 * is reached. The caller holds channel and session. */
int membership_build(weir_channel *channel, weir_session *session, struct life *life, weir_refusal *refusal);

/* The membership becomes active, unless its session has ended. Whoever knows that it is in the pair map may do this; so
 * may the builder in an exclusive channel. WEIR_OK when it has been active, WEIR_CLOSED when the session has ended,
 * WEIR_NOT_FOUND when that life of the record was over before anything could be told. */
int membership_activate(struct channels *channels, const struct life *life, weir_session *session);

/* Cleans up a membership that the caller built and that did not become active. */
void membership_discard(struct channels *channels, const struct life *life);

/* Ends an active membership: true for the one caller that did. Before it is cleaned up `visitor` is told, if there is
 * one. */
bool membership_remove(struct channels *channels, const struct life *life, weir_channel_visitor visitor,
                       void *context);

/* The session, which the caller holds, has ended, and the membership with it. */
void membership_end(struct channels *channels, const struct life *life);

/* Tells an ended membership of a session that the caller holds: true for the one caller that did. From then on it does not
 * hold the channel any more. */
bool membership_tell(const struct life *life, weir_channel_visitor visitor, void *context);

/* Gives the record of an ended membership back. Nobody has the session any more. */
void membership_free(struct channels *channels, const struct life *life);

/* The memberships of a session; NULL before the first join. */
static inline struct joined *session_joined(const weir_session *session) {
    return (struct joined *)pointer_load_seq_cst(&session->memberships); /* E4 */
}

#endif
