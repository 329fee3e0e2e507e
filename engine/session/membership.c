#include "membership.h"

#include "base/mark.h"

#define SERIAL_NONE (1ull << 63)

/* Two joins may bring the same: one wins, the other's memory goes back. */
static struct joined *make_joined(weir_session *session) {
    const weir_config *config = &session->engine->config;
    void *there = session_joined(session);
    if (there != NULL) return (struct joined *)there;
    struct joined *joined = (struct joined *)memory_take(&config->allocator, sizeof(*joined), CACHE_LINE);
    if (joined == NULL) return NULL;
    uint32_t most = config->max_session_channels < PLACES_MAX ? config->max_session_channels : PLACES_MAX;
    places_init(&joined->places, &config->allocator, most);
    if (pointer_cas_seq_cst(&session->memberships, &there, joined)) return joined; /* E3 */
    memory_give(&config->allocator, joined, sizeof(*joined), CACHE_LINE);
    return (struct joined *)there;
}

/* A place is reserved by number before it is looked for: the limit holds at every instant (WK-14). */
static bool reserve(atomic_u32 *count, uint32_t limit, uint32_t *current) {
    *current = u32_load_relaxed(count); /* relaxed: the compare-and-swap decides */
    do {
        if (*current >= limit) return false;
    } while (!u32_cas_acq_rel(count, current, *current + 1));
    return true;
}

static int reserve_both(weir_channel *channel, weir_session *session, weir_refusal *refusal) {
    const weir_config *config = &session->engine->config;
    uint32_t members_limit = channels_are_exclusive(session->engine) ? UINT32_MAX : config->max_channel_members;
    uint32_t current = 0;
    struct joined *joined = NULL;
    if (config->max_session_channels > 0) {
        joined = make_joined(session);
        if (joined == NULL) return WEIR_NO_MEMORY;
    }
    if (joined == NULL || !reserve(&joined->count, config->max_session_channels, &current))
        return refuse(refusal, WEIR_JOINS_LIMIT, config->max_session_channels, current);
    if (reserve(&channel->member_count, members_limit, &current)) return WEIR_OK;
    u32_subtract_acq_rel(&joined->count, 1);
    return refuse(refusal, WEIR_MEMBERS_LIMIT, members_limit, current);
}

static uint64_t serial_none(const struct life *life) {
    return SERIAL_NONE | life->version;
}

uint64_t membership_hash(const weir_channel *channel, const weir_session *session) {
    uint64_t hash = ((uint64_t)channel->index << 32 | session->index) ^ channel->engine->hash_key[0];
    hash = (hash ^ hash >> 30) * 0xBF58476D1CE4E5B9ull;
    hash = (hash ^ hash >> 27) * 0x94D049BB133111EBull;
    return hash ^ hash >> 31;
}

/* Begins a life of the record, which holds a reference to each side from now on. */
static void begin_life(struct channels *channels, struct life *life, weir_channel *channel, weir_session *session) {
    struct membership *record = membership_at(channels, life->index);
    life->record = record;
    life->version = (u64_load_relaxed(&record->state) >> STATE_BITS) + 1; /* relaxed: the record is ours */
    u64_store_relaxed(&record->state, life_state(life, MEMBERSHIP_BUILDING));
    fence_release(); /* E1 */
    u64_store_relaxed(&record->serial, serial_none(life));
    pointer_store_relaxed(&record->channel, channel);
    pointer_store_relaxed(&record->session, session);
    u32_store_relaxed(&record->channel_place, PLACES_NONE);
    u32_store_relaxed(&record->session_place, PLACES_NONE);
    if (!channels_are_exclusive(channel->engine))
        index_map_prepare(&channels->pairs, life->index, membership_hash(channel, session));
    weir_channel_retain(channel);
    weir_session_retain(session);
}

static int claim_places(const struct life *life, weir_channel *channel, weir_session *session) {
    uint32_t place;
    int status = WEIR_OK;
    if (!channels_are_exclusive(channel->engine)) {
        status = places_claim(&channel->members, life_value(life), &place);
        if (status != WEIR_OK) return status;
        u32_store_relaxed(&life->record->channel_place, place); /* relaxed: published with ACTIVE, like the other */
    }
    status = places_claim(&session_joined(session)->places, life_value(life), &place); /* E3 */
    if (status == WEIR_OK) u32_store_relaxed(&life->record->session_place, place);
    return status;
}

int membership_build(weir_channel *channel, weir_session *session, struct life *life, weir_refusal *refusal) {
    struct channels *channels = channels_of(channel->engine);
    uint32_t taken;
    int status = reserve_both(channel, session, refusal);
    if (status != WEIR_OK) return status;
    status = slab_take(&channels->memberships_slab, &life->index, 1, &taken);
    if (status != WEIR_OK) {
        u32_subtract_acq_rel(&channel->member_count, 1);
        u32_subtract_acq_rel(&session_joined(session)->count, 1);
        return WEIR_NO_MEMORY;
    }
    begin_life(channels, life, channel, session);
    status = claim_places(life, channel, session);
    if (status == WEIR_OK) return WEIR_OK;
    membership_discard(channels, life);
    return WEIR_NO_MEMORY;
}

int membership_activate(struct channels *channels, const struct life *life, weir_session *session) {
    uint64_t none = serial_none(life);
    if (u64_load_relaxed(&life->record->serial) == none) /* relaxed: the compare-and-swap decides */
        u64_cas_acq_rel(&life->record->serial, &none, channels_draw(channels)); /* E5 */
    WEIR_MARK(CHANNEL_JOIN_DRAWN);
    bool ended = session_ended(session) != WEIR_ENDED_NOT; /* E3 */
    WEIR_MARK(CHANNEL_JOIN_CHECKED);
    uint64_t state = life_state(life, MEMBERSHIP_BUILDING);
    uint64_t next = life_state(life, ended ? MEMBERSHIP_KILLED : MEMBERSHIP_ACTIVE);
    if (u64_cas_seq_cst(&life->record->state, &state, next)) {
        if (!ended) u64_add_relaxed(&channels->memberships, 1);
        return ended ? WEIR_CLOSED : WEIR_OK;
    }
    if (state >> STATE_BITS != life->version) return WEIR_NOT_FOUND;
    enum membership_state what = (enum membership_state)(state & STATE_MASK); /* stays until the record's next life */
    return what == MEMBERSHIP_KILLED ? WEIR_CLOSED : WEIR_OK;
}

static void leave_channel(struct channels *channels, const struct life *life, weir_channel *channel) {
    uint64_t value = life_value(life);
    uint32_t place = u32_load_relaxed(&life->record->channel_place); /* relaxed: the record is ours to clean up */
    if (channels_are_exclusive(channel->engine)) {
        u64_cas_seq_cst(&channel->owner, &value, 0);
    } else {
        index_map_remove(&channels->pairs, life->index);
        if (place != PLACES_NONE) places_clear(&channel->members, place, value);
    }
    u32_subtract_acq_rel(&channel->member_count, 1); /* after the place is free: a number stands for one */
}

static void leave_session(const struct life *life, weir_session *session) {
    struct joined *joined = session_joined(session);
    uint32_t place = u32_load_relaxed(&life->record->session_place); /* relaxed, as above */
    if (place != PLACES_NONE) places_clear(&joined->places, place, life_value(life));
    u32_subtract_acq_rel(&joined->count, 1);
}

/* After the state has said that it is over: the caller's to do, once. */
static void clean_up(struct channels *channels, const struct life *life) {
    weir_channel *channel = life_channel(life);
    weir_session *session = life_session(life);
    leave_channel(channels, life, channel);
    leave_session(life, session);
    slab_give(&channels->memberships_slab, &life->index, 1);
    weir_session_release(session);
    weir_channel_release(channel);
}

void membership_discard(struct channels *channels, const struct life *life) {
    uint64_t building = life_state(life, MEMBERSHIP_BUILDING);
    /* From here on nobody who comes upon it makes it active; where this fails the session's end has done it already. */
    u64_cas_seq_cst(&life->record->state, &building, life_state(life, MEMBERSHIP_KILLED));
    clean_up(channels, life);
}

static bool deactivate(struct channels *channels, const struct life *life, enum membership_state next) {
    uint64_t active = life_state(life, MEMBERSHIP_ACTIVE);
    if (!u64_cas_seq_cst(&life->record->state, &active, life_state(life, next))) return false;
    u64_subtract_relaxed(&channels->memberships, 1);
    WEIR_MARK(CHANNEL_LEAVE_DECIDED);
    return true;
}

bool membership_remove(struct channels *channels, const struct life *life, weir_channel_visitor visitor,
                       void *context) {
    if (!deactivate(channels, life, MEMBERSHIP_REMOVED)) return false;
    if (visitor != NULL) visitor(context, life_channel(life));
    clean_up(channels, life);
    return true;
}

void membership_end(struct channels *channels, const struct life *life) {
    weir_channel *channel = life_channel(life);
    /* As soon as it has ended it may be told, and then it holds the channel no longer. */
    if (!channel_try_retain(channel)) return;
    if (deactivate(channels, life, MEMBERSHIP_ENDED)) {
        weir_session *session = life_session(life);
        leave_channel(channels, life, channel);
        u32_subtract_acq_rel(&session_joined(session)->count, 1);
        weir_session_release(session);
    }
    weir_channel_release(channel);
}

bool membership_tell(const struct life *life, weir_channel_visitor visitor, void *context) {
    uint64_t ended = life_state(life, MEMBERSHIP_ENDED);
    weir_channel *channel = life_channel(life);
    if (!u64_cas_seq_cst(&life->record->state, &ended, life_state(life, MEMBERSHIP_TOLD))) return false;
    if (visitor != NULL) visitor(context, channel);
    weir_channel_release(channel);
    return true;
}

void membership_free(struct channels *channels, const struct life *life) {
    membership_tell(life, NULL, NULL);
    slab_give(&channels->memberships_slab, &life->index, 1);
}
