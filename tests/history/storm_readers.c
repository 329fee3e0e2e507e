#include <sched.h>

#include "storm.h"

bool storm_read(struct actor *actor, struct follower *follower, weir_session *session, weir_cursor *cursor,
                uint32_t most) {
    union parcel parcel;
    while (most-- > 0) {
        weir_event event;
        weir_gap gap;
        int status = weir_read(session, cursor, &parcel, sizeof(parcel), &event, &gap);
        if (status == WEIR_OK) {
            follower_event(follower, &event, &parcel);
        } else if (status == WEIR_GAP) {
            follower_gap(follower, &gap);
        } else if (status == WEIR_EMPTY) {
            return true;
        } else {
            REQUIRE((status == WEIR_END || status == WEIR_LAGGED) && cursor->ended != WEIR_ENDED_NOT);
            u64_add_relaxed(&actor->storm->ended, 1);
            return false;
        }
        if (random_below(&actor->random, follower->conflates ? 4 : 30) == 0) sched_yield();
    }
    return true;
}

bool storm_is_refused(int status) {
    REQUIRE(status == WEIR_OK || status == WEIR_GAP || status == WEIR_SUBSCRIBERS_LIMIT || status == WEIR_BUSY ||
            status == WEIR_PRINCIPAL_LIMIT || status == WEIR_ADDRESS_LIMIT);
    return status != WEIR_OK && status != WEIR_GAP;
}

weir_subscription storm_subscription(struct actor *actor, const weir_policy *policies, uint32_t count) {
    struct random *random = &actor->random;
    weir_subscription how = {.policy = policies[random_below(random, count)],
                             .queue_depth = 1 + random_below(random, STORM_RING),
                             .start = (weir_start)random_below(random, 2)};
    if (random_below(random, 4) == 0) how.acknowledged = 1;
    if (random_below(random, 4) == 0) {
        how.principal = "principal";
        how.principal_length = 1 + random_below(random, 9);
    }
    if (random_below(random, 4) == 0) {
        how.address = "address";
        how.address_length = 7;
    }
    if (random_below(random, 4) == 0)
        how.token_expiry_s = u64_load_relaxed(&actor->storm->now_ms) / 1000u + random_below(random, 2);
    return how;
}

/* ---- Subscribers ---------------------------------------------------------------------------------------------- */

static void look_back(struct actor *actor, weir_session *session, uint32_t name) {
    struct follower follower;
    weir_cursor cursor;
    REQUIRE(weir_replay(session, NULL, &cursor, NULL) == WEIR_OK);
    follower_begin(&follower, actor, name, session, cursor.next);
    uint64_t end = cursor.end;
    REQUIRE(storm_read(actor, &follower, session, &cursor, 2 * STORM_RING));
    REQUIRE(follower.next <= end);
}

/* Comes back with the id that it saw last: what it gets goes on there, or a gap says from where. */
static bool come_back(struct follower *follower, weir_session *session, weir_subscription *how, weir_cursor *cursor) {
    char id[WEIR_ID_MAX];
    weir_gap gap;
    how->last_id = id;
    how->last_id_length = weir_id_format(follower->epoch, follower->next - 1, id);
    int status = weir_subscribe(session, how, cursor, &gap);
    if (storm_is_refused(status)) return false;
    REQUIRE(status == WEIR_OK || gap.reason == WEIR_GAP_EVICTED);
    if (status == WEIR_GAP) follower_gap(follower, &gap);
    REQUIRE(cursor->next == follower->next);
    return true;
}

/* Stays away until enough has been published that some of it has a key in common, or nobody publishes here any more. */
static void fall_behind(struct actor *actor, const weir_session *session, const weir_cursor *cursor) {
    weir_session_info info;
    do {
        sched_yield();
        weir_session_info_get(session, &info);
    } while (info.newest < cursor->next + STORM_RING && info.ended == WEIR_ENDED_NOT && !storm_is_over(actor));
}

static void follow(struct actor *actor, weir_session *session, uint32_t name) {
    static const weir_policy policies[] = {WEIR_POLICY_SKIP, WEIR_POLICY_DETACH, WEIR_POLICY_CONFLATE,
                                           WEIR_POLICY_EVICT, WEIR_POLICY_REFUSE};
    weir_subscription how = storm_subscription(actor, policies, 5);
    struct follower follower;
    weir_cursor cursor;
    if (how.policy == WEIR_POLICY_CONFLATE) { /* which it does when it is live and has fallen behind */
        how.queue_depth = 1;
        how.start = WEIR_START_NOW;
    }
    if (storm_is_refused(weir_subscribe(session, &how, &cursor, NULL))) return;
    follower_begin(&follower, actor, name, session, cursor.next);
    follower.conflates = how.policy == WEIR_POLICY_CONFLATE;
    for (uint32_t again = random_below(&actor->random, 3);; again--) {
        storm_read(actor, &follower, session, &cursor, random_below(&actor->random, 60));
        if (follower.conflates && random_below(&actor->random, 4) == 0) {
            fall_behind(actor, session, &cursor);
            storm_read(actor, &follower, session, &cursor, 2 * STORM_RING);
        }
        weir_unsubscribe(session, &cursor);
        if (again == 0 || !come_back(&follower, session, &how, &cursor)) return;
    }
}

void *storm_subscribe(void *context) {
    struct actor *actor = (struct actor *)context;
    while (!storm_is_over(actor)) {
        uint32_t name = random_below(&actor->random, STORM_NAMES);
        weir_session *session = storm_open(actor, name, false);
        if (session == NULL) {
            sched_yield();
            continue;
        }
        if (random_below(&actor->random, 4) == 0)
            look_back(actor, session, name);
        else
            follow(actor, session, name);
        weir_session_release(session);
    }
    return NULL;
}

/* ---- Attached consumers --------------------------------------------------------------------------------------- */

static void check_attachment(const weir_session *session, const weir_cursor *cursor) {
    weir_attachment_info info;
    int status = weir_attachment_get(session, &info);
    REQUIRE(status == WEIR_OK || status == WEIR_FULL || status == WEIR_CLOSED);
    REQUIRE(info.generation >= cursor->generation && info.queue_depth >= 1);
    REQUIRE((status == WEIR_CLOSED) == (info.ended != WEIR_ENDED_NOT));
}

static void consume(struct actor *actor, weir_session *session, uint32_t name) {
    static const weir_policy policies[] = {WEIR_POLICY_REFUSE, WEIR_POLICY_DETACH, WEIR_POLICY_EVICT,
                                           WEIR_POLICY_REFUSE};
    weir_subscription how = storm_subscription(actor, policies, 4);
    struct follower follower;
    weir_cursor cursor;
    bool goes_on = true;
    how.full_total_max = 1 + random_below(&actor->random, 50);
    if (storm_is_refused(weir_attach(session, &how, &cursor, NULL))) return;
    follower_begin(&follower, actor, name, session, cursor.next);
    for (uint32_t i = random_below(&actor->random, 6); i > 0 && goes_on; i--) {
        goes_on = storm_read(actor, &follower, session, &cursor, random_below(&actor->random, 40));
        weir_acknowledge(session, &cursor, follower.next - 1);
        check_attachment(session, &cursor);
        sched_yield();
    }
    if (random_below(&actor->random, 3) == 0) {
        int status = weir_detach(session, cursor.generation);
        REQUIRE(status == WEIR_OK || status == WEIR_NOT_FOUND);
        while (storm_read(actor, &follower, session, &cursor, 4 * STORM_RING)) {
        }
    }
    weir_unsubscribe(session, &cursor);
    weir_unsubscribe(session, &cursor); /* late clean-up is harmless */
}

void *storm_attach(void *context) {
    struct actor *actor = (struct actor *)context;
    while (!storm_is_over(actor)) {
        uint32_t name = random_below(&actor->random, STORM_NAMES);
        weir_session *session = storm_open(actor, name, true);
        if (session == NULL) break;
        consume(actor, session, name);
        weir_session_release(session);
    }
    return NULL;
}
