/* Channels inside: the engine's tables of them, a channel, and what the rest of session/ calls. */
#ifndef WEIR_SESSION_CHANNEL_H
#define WEIR_SESSION_CHANNEL_H

#include "concurrent/places.h"
#include "engine.h"

/* One life of one channel; the memory is a slab's, as a session's is.
 *
 *   references  one per handle and one per membership. At 0 it is being freed, or free.
 *   listed      0 until it is known to be in the map: before that nobody may use it, for it may yet be found that there
 *               is another of its name
 *   members     a place for the value (membership.h) of each membership; not used in an engine of exclusive channels
 *   owner       there: the value of the one membership that counts, or 0. It changes in one step. */
struct weir_channel {
    struct index_node node;
    atomic_u32 references;
    uint32_t index;
    weir_engine *engine;
    atomic_u32 listed;
    atomic_u32 member_count; /* memberships, and those that are being made */
    atomic_u64 owner;
    CACHE_ALIGNED struct places members;
    uint32_t name_length;
    char name[WEIR_NAME_MAX];
};

/* Made when the first channel is: an engine without channels pays a pointer for them. */
struct channels {
    struct slab channels_slab;
    struct index_map names;
    struct slab memberships_slab;
    struct index_map pairs;           /* memberships by channel and session */
    CACHE_ALIGNED atomic_u64 serials; /* drawn by joins and by broadcasts, to tell which came first */
    CACHE_ALIGNED atomic_u64 count;
    atomic_u64 memberships;
};

static inline struct channels *channels_of(const weir_engine *engine) {
    return (struct channels *)pointer_load_acquire(
        &engine->channels); /* acquire: its parts; partner: make_channels */
}

static inline bool channels_are_exclusive(const weir_engine *engine) {
    return engine->config.rules.exclusive != WEIR_CHANNELS_SHARED;
}

/* Draws the next serial. acq_rel: whoever draws a larger one knows what was known to whoever drew a smaller one. So a
 * broadcast that still finds a membership has drawn before any join that knew it to be gone. */
static inline uint64_t channels_draw(struct channels *channels) {
    return u64_add_acq_rel(&channels->serials, 1) + 1;
}

/* A reference unless the channel is being freed. */
bool channel_try_retain(weir_channel *channel);

/* The channel of that name with a reference; NULL when there is none. */
weir_channel *channel_find(weir_engine *engine, const char *name, size_t length);

/* For the engine's life, and its statistics. */
void channels_destroy(weir_engine *engine);
void channels_stats(const weir_engine *engine, weir_stats *stats);

/* The session has ended: its memberships end with it, whoever calls this and however often. The end comes first; partner:
 * membership_activate. */
void channel_session_ended(weir_session *session);
/* The session's life is over, or the engine's: gives back what it has of memberships. */
void channel_session_free(weir_session *session);
/* Memberships of the session. */
uint32_t channel_session_count(const weir_session *session);

#endif
