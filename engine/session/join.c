/* Joining and leaving a channel. In a shared channel the pair map makes a pair's membership one: whoever finds that of
 * another join under way finishes it, and so waits for nobody. In an exclusive channel the owner word does. */
#include "base/mark.h"
#include "membership.h"

/* ---- Shared ------------------------------------------------------------------------------------------------- */

struct pair {
    const weir_channel *channel;
    const weir_session *session;
    struct channels *channels;
    struct life life; /* what was found */
    enum membership_state state;
};

/* The record may be any life's while this runs: its fields count when the state is that of before. */
static bool match_pair(void *context, void *object) {
    struct pair *pair = (struct pair *)context;
    struct membership *record = (struct membership *)object;
    uint64_t state = u64_load_acquire(&record->state);
    pair->state = (enum membership_state)(state & STATE_MASK);
    if (pair->state != MEMBERSHIP_BUILDING && pair->state != MEMBERSHIP_ACTIVE) return false;
    pair->life.record = record;
    pair->life.version = state >> STATE_BITS;
    if (life_channel(&pair->life) != pair->channel || life_session(&pair->life) != pair->session) return false;
    /* It may have become active in between; then the caller, who took it for one being built, finds out. */
    fence_acquire(); /* E2 */
    uint64_t now = u64_load_relaxed(&record->state);
    return now == state || now == life_state(&pair->life, MEMBERSHIP_ACTIVE);
}

/* The pair's membership: ACTIVE, or BUILDING, or FREE for none. */
static enum membership_state find_pair(struct pair *pair) {
    uint32_t index =
        index_map_find(&pair->channels->pairs, membership_hash(pair->channel, pair->session), match_pair, pair);
    pair->life.index = index;
    return index == SLAB_NONE ? MEMBERSHIP_FREE : pair->state;
}

/* A lookup can come upon a record that is being built and not in the map yet, by a way that was right in the record's last
 * life. A second one, begun when this life had begun, comes only upon what is in the map. */
static bool is_in_map(const struct pair *found) {
    struct pair again = *found;
    return find_pair(&again) != MEMBERSHIP_FREE && again.life.index == found->life.index &&
           again.life.version == found->life.version;
}

/* The pair has a membership under way or active: WEIR_OK when it is active, WEIR_CLOSED, WEIR_NOT_FOUND to look again. */
static int join_found(struct pair *pair, weir_session *session) {
    if (pair->state == MEMBERSHIP_ACTIVE) return WEIR_OK;
    return is_in_map(pair) ? membership_activate(pair->channels, &pair->life, session) : WEIR_NOT_FOUND;
}

/* Puts the built membership into the map and makes it active. WEIR_NOT_FOUND when there is another for the pair. */
static int join_built(struct pair *pair, const struct life *mine, weir_session *session) {
    if (index_map_insert(&pair->channels->pairs, mine->index, match_pair, pair) != mine->index) return WEIR_NOT_FOUND;
    WEIR_MARK(CHANNEL_JOIN_INSERTED);
    int status = membership_activate(pair->channels, mine, session);
    if (status == WEIR_CLOSED) membership_discard(pair->channels, mine);
    /* A life that is over before its builder looked again has been active: a killed one waits for its builder. */
    return status == WEIR_CLOSED ? status : WEIR_OK;
}

static int join_shared(struct pair *pair, weir_channel *channel, weir_session *session, weir_refusal *refusal) {
    struct life mine;
    bool built = false;
    int status = WEIR_NOT_FOUND;
    while (status == WEIR_NOT_FOUND) {
        if (find_pair(pair) != MEMBERSHIP_FREE) {
            status = join_found(pair, session);
        } else if (built) {
            status = join_built(pair, &mine, session);
            if (status != WEIR_NOT_FOUND) return status;
        } else {
            status = membership_build(channel, session, &mine, refusal);
            built = status == WEIR_OK;
            if (built) status = WEIR_NOT_FOUND;
            /* The place that was missing may be the one that this very pair has got meanwhile. */
            if (!built && find_pair(pair) == MEMBERSHIP_ACTIVE) status = WEIR_OK;
            WEIR_MARK(CHANNEL_JOIN_BUILT);
        }
    }
    if (built) membership_discard(pair->channels, &mine);
    return status;
}

/* ---- Exclusive ---------------------------------------------------------------------------------------------- */

/* Who has the channel: the session with a reference, and its membership; NULL when nobody has. One that has ended is
 * helped out of it. *owner is the word as it was. */
static weir_session *hold_owner(struct channels *channels, weir_channel *channel, uint64_t *owner,
                                struct life *life) {
    *owner = u64_load_seq_cst(&channel->owner);
    if (*owner == 0 || life_of_value(channels, *owner, life) != MEMBERSHIP_ACTIVE) return NULL;
    weir_session *session = life_hold_session(life);
    if (session == NULL || session_ended(session) == WEIR_ENDED_NOT) return session;
    channel_session_ended(session);
    weir_session_release(session);
    return NULL;
}

/* One attempt to make the built membership the owner, in the place of `owner`, which is `old` when anybody has it. */
static bool take_over(struct channels *channels, weir_channel *channel, const struct life *mine, uint64_t owner,
                      const struct life *old) {
    if (!u64_cas_seq_cst(&channel->owner, &owner, life_value(mine))) return false;
    WEIR_MARK(CHANNEL_MOVED);
    if (old != NULL) membership_remove(channels, old, NULL, NULL);
    /* Its session may have ended meanwhile, when it was no owner yet: then it has had the channel for this moment. */
    uint64_t value = life_value(mine);
    if (!life_is_still(mine, MEMBERSHIP_ACTIVE)) u64_cas_seq_cst(&channel->owner, &value, 0);
    return true;
}

/* Builds the membership that is to be the owner, and makes it active, which by itself says nothing here. */
static int build_exclusive(struct channels *channels, weir_channel *channel, weir_session *session, struct life *mine,
                           weir_refusal *refusal) {
    int status = membership_build(channel, session, mine, refusal);
    if (status != WEIR_OK) return status;
    if (membership_activate(channels, mine, session) != WEIR_CLOSED) return WEIR_OK;
    membership_discard(channels, mine);
    return WEIR_CLOSED;
}

static int join_exclusive(struct channels *channels, weir_channel *channel, weir_session *session,
                          weir_refusal *refusal) {
    bool moving = channel->engine->config.rules.exclusive == WEIR_CHANNELS_MOVE;
    struct life mine;
    bool built = false;
    int status = WEIR_NOT_FOUND;
    while (status == WEIR_NOT_FOUND) {
        uint64_t owner;
        struct life old;
        weir_session *holder = hold_owner(channels, channel, &owner, &old);
        if (holder == session) {
            status = WEIR_OK;
        } else if (holder != NULL && !moving) {
            status = refuse(refusal, WEIR_FOREIGN, 1, 1);
        } else if (!built) {
            status = build_exclusive(channels, channel, session, &mine, refusal);
            built = status == WEIR_OK;
            if (built) status = WEIR_NOT_FOUND;
        } else if (take_over(channels, channel, &mine, owner, holder != NULL ? &old : NULL)) {
            built = false;
            status = WEIR_OK;
        }
        weir_session_release(holder);
    }
    if (built) membership_remove(channels, &mine, NULL, NULL);
    return status;
}

/* ---- Either ------------------------------------------------------------------------------------------------- */

int weir_channel_join(weir_channel *channel, weir_session *session, weir_refusal *refusal) {
    struct channels *channels = channels_of(channel->engine);
    if (channel->engine != session->engine) return WEIR_INVALID;
    if (session_ended(session) != WEIR_ENDED_NOT) return WEIR_CLOSED;
    WEIR_MARK(CHANNEL_JOIN_BEGUN);
    if (channels_are_exclusive(channel->engine)) return join_exclusive(channels, channel, session, refusal);
    struct pair pair = {.channel = channel, .session = session, .channels = channels};
    return join_shared(&pair, channel, session, refusal);
}

static bool find_exclusive(struct channels *channels, weir_channel *channel, const weir_session *session,
                           struct life *life) {
    uint64_t owner;
    weir_session *holder = hold_owner(channels, channel, &owner, life);
    bool found = holder == session;
    weir_session_release(holder);
    return found;
}

int weir_channel_leave(weir_channel *channel, weir_session *session) {
    struct channels *channels = channels_of(channel->engine);
    struct pair pair = {.channel = channel, .session = session, .channels = channels};
    if (channel->engine != session->engine) return WEIR_NOT_FOUND;
    bool found = channels_are_exclusive(channel->engine) ? find_exclusive(channels, channel, session, &pair.life)
                                                         : find_pair(&pair) == MEMBERSHIP_ACTIVE;
    return found && membership_remove(channels, &pair.life, NULL, NULL) ? WEIR_OK : WEIR_NOT_FOUND;
}
