/* The session's side of its memberships: told in the order of joining, and ended with the session. */
#include "membership.h"

/* The memberships with the smallest serials above `after`: as many at a time as fit, and again from the last one on. */
#define LISTED 64u

struct listing {
    uint64_t after;
    uint64_t until; /* and who joins later is not waited for */
    uint32_t count;
    struct life lives[LISTED];
    uint64_t serials[LISTED]; /* ascending */
};

static void insert(struct listing *listing, const struct life *life, uint64_t serial) {
    if (listing->count == LISTED && serial > listing->serials[LISTED - 1]) return;
    uint32_t at = listing->count < LISTED ? listing->count++ : LISTED - 1;
    for (; at > 0 && listing->serials[at - 1] > serial; at--) {
        listing->serials[at] = listing->serials[at - 1];
        listing->lives[at] = listing->lives[at - 1];
    }
    listing->serials[at] = serial;
    listing->lives[at] = *life;
}

typedef void (*life_visitor)(void *context, const struct life *life, enum membership_state state);

/* All lives in the session's places, in no order. */
static void walk(const weir_session *session, life_visitor visitor, void *context) {
    const struct channels *channels = channels_of(session->engine);
    const struct joined *joined = session_joined(session);
    if (joined == NULL) return;
    uint32_t count;
    uint32_t end = places_end(&joined->places);
    for (uint32_t index = 0; index < end; index += count) {
        const atomic_u64 *words = places_run(&joined->places, index, end, &count);
        for (uint32_t i = 0; i < count; i++) {
            struct life life;
            uint64_t value = places_value(&words[i]);
            if (value != 0) visitor(context, &life, life_of_value(channels, value, &life));
        }
    }
}

static void list_if_wanted(void *context, const struct life *life, enum membership_state state) {
    struct listing *listing = (struct listing *)context;
    if (state != MEMBERSHIP_ACTIVE && state != MEMBERSHIP_ENDED) return;
    uint64_t serial = u64_load_relaxed(&life->record->serial); /* relaxed: E2 judges it */
    if (serial > listing->after && serial <= listing->until && life_is_still(life, state))
        insert(listing, life, serial);
}

static struct listing list_from_now(const weir_session *session) {
    const struct channels *channels = channels_of(session->engine);
    return (struct listing){.until = channels == NULL ? 0 : u64_load_acquire(&channels->serials)}; /* E5 */
}

/* The next memberships, active or ended; false when there are no more. */
static bool list_next(const weir_session *session, struct listing *listing) {
    if (listing->count > 0) listing->after = listing->serials[listing->count - 1];
    listing->count = 0;
    walk(session, list_if_wanted, listing);
    return listing->count > 0;
}

static bool counts(const weir_engine *engine, const struct life *life) {
    bool owned = life_counts(engine, life);
    return owned && life_is_still(life, MEMBERSHIP_ACTIVE);
}

static void show(const struct life *life, weir_channel_visitor visitor, void *context) {
    weir_channel *channel = life_channel(life);
    if (!channel_try_retain(channel)) return;
    if (counts(channel->engine, life)) visitor(context, channel);
    weir_channel_release(channel);
}

void weir_session_channels(weir_session *session, weir_channel_visitor visitor, void *context) {
    struct listing listing = list_from_now(session);
    while (list_next(session, &listing))
        for (uint32_t i = 0; i < listing.count; i++)
            show(&listing.lives[i], visitor, context);
}

/* Leaves one, or takes note of one that ended with the session: true for the caller that tells it. */
static bool let_go(const weir_engine *engine, const struct life *life, weir_channel_visitor visitor, void *context) {
    struct channels *channels = channels_of(engine);
    bool was_member = counts(engine, life);
    if (membership_remove(channels, life, was_member ? visitor : NULL, context)) return was_member;
    return membership_tell(life, visitor, context);
}

uint32_t weir_session_leave_all(weir_session *session, weir_channel_visitor visitor, void *context) {
    uint32_t told = 0;
    if (session_joined(session) == NULL) return 0;
    /* What its end has begun comes first: memberships that end with it are told in one order. */
    struct listing listing = list_from_now(session);
    if (session_ended(session) != WEIR_ENDED_NOT) channel_session_ended(session);
    while (list_next(session, &listing))
        for (uint32_t i = 0; i < listing.count; i++)
            told += let_go(session->engine, &listing.lives[i], visitor, context);
    return told;
}

static void end_one(void *context, const struct life *life, enum membership_state state) {
    const weir_engine *engine = (const weir_engine *)context;
    struct channels *channels = channels_of(engine);
    uint64_t building = life_state(life, MEMBERSHIP_BUILDING);
    if (state != MEMBERSHIP_BUILDING && state != MEMBERSHIP_ACTIVE) return;
    /* Where this fails it has become active just now. */
    if (u64_cas_seq_cst(&life->record->state, &building, life_state(life, MEMBERSHIP_KILLED))) return;
    if (counts(engine, life))
        membership_end(channels, life);
    else
        membership_remove(channels, life, NULL, NULL);
}

void channel_session_ended(weir_session *session) {
    walk(session, end_one, session->engine);
}

static void free_one(void *context, const struct life *life, enum membership_state state) {
    if (state == MEMBERSHIP_ENDED || state == MEMBERSHIP_TOLD) membership_free((struct channels *)context, life);
}

void channel_session_free(weir_session *session) {
    struct joined *joined = session_joined(session);
    if (joined == NULL) return;
    walk(session, free_one, channels_of(session->engine));
    places_destroy(&joined->places);
    memory_give(&session->engine->config.allocator, joined, sizeof(*joined), CACHE_LINE);
    pointer_store_relaxed(&session->memberships, NULL); /* relaxed: nobody has the session */
}

uint32_t channel_session_count(const weir_session *session) {
    const struct joined *joined = session_joined(session);
    return joined != NULL ? u32_load_relaxed(&joined->count) : 0; /* relaxed: a snapshot */
}
