#include <sched.h>
#include <string.h>

#include "storm.h"

/* ---- Time, ends, owners, statistics --------------------------------------------------------------------------- */

/* Counters only rise, whoever is counting meanwhile. */
static void check_stats(const weir_engine *engine, weir_stats *last) {
    weir_stats now;
    weir_engine_stats(engine, &now);
    REQUIRE(now.sessions_created >= last->sessions_created && now.sessions_ended >= last->sessions_ended);
    REQUIRE(now.published >= last->published && now.published_bytes >= last->published_bytes);
    REQUIRE(now.gaps >= last->gaps && now.lost >= last->lost && now.wakeups >= last->wakeups);
    REQUIRE(now.live_accepted >= last->live_accepted && now.displaced >= last->displaced);
    REQUIRE(now.broadcasts >= last->broadcasts && now.bytes_read >= last->bytes_read);
    *last = now;
}

static void count_ended(void *context, weir_session *session, weir_end_reason reason) {
    struct storm *storm = (struct storm *)context;
    REQUIRE(reason == WEIR_ENDED_EXPIRED || reason == WEIR_ENDED_TOKEN);
    weir_session_leave_all(session, NULL, NULL);
    u64_add_relaxed(&storm->swept, 1);
}

static void sweep(struct actor *actor, uint32_t die) {
    weir_sweep what = {
        .what = die % 16, .budget = 16, .idle_ttl_ms = 1 + die % 8, .ended = count_ended, .context = actor->storm};
    u64_add_relaxed(&actor->storm->now_ms, 1 + die % 8);
    weir_engine_tick(actor->storm->engine);
    if (die % 4 == 0)
        weir_engine_sweep_for(actor->storm->engine, &what);
    else if (die % 4 == 1)
        weir_engine_maintain(actor->storm->engine, 8, NULL);
}

/* A session of somebody's: found by whom it belongs to and by nobody else. */
static void own(struct actor *actor) {
    const weir_owner owner = {.tenant = "tenant", .tenant_length = 6, .principal = "owner", .principal_length = 5};
    const weir_owner other = {.tenant = "tenant", .tenant_length = 6, .principal = "other", .principal_length = 5};
    weir_engine *engine = actor->storm->engine;
    weir_session *session;
    weir_session *found;
    int status = weir_session_create(engine, NULL, 0, &owner, &session, NULL);
    REQUIRE(status == WEIR_OK || status == WEIR_PRINCIPAL_LIMIT || status == WEIR_SHUT_DOWN);
    if (status != WEIR_OK) return;
    weir_session_info info;
    weir_session_info_get(session, &info);
    REQUIRE(weir_session_find(engine, info.name, info.name_length, &other, &found) == WEIR_NOT_FOUND);
    status = weir_session_find(engine, info.name, info.name_length, &owner, &found);
    REQUIRE(status == WEIR_NOT_FOUND || found == session);
    if (status == WEIR_OK) weir_session_release(found);
    weir_session_terminate(session);
    REQUIRE(weir_session_find(engine, info.name, info.name_length, &owner, &found) == WEIR_NOT_FOUND);
    weir_session_release(session);
}

static void end_some(struct actor *actor, uint32_t die) {
    weir_engine *engine = actor->storm->engine;
    uint32_t name = random_below(&actor->random, STORM_NAMES);
    if (die % 2 == 0) {
        int status = weir_session_remove(engine, storm_session_name(name), 2);
        REQUIRE(status == WEIR_OK || status == WEIR_NOT_FOUND);
        return;
    }
    weir_session *session = storm_open(actor, name, false);
    if (session == NULL) return;
    int status = weir_session_terminate(session);
    REQUIRE(status == WEIR_OK || status == WEIR_CLOSED);
    REQUIRE(weir_session_terminate(session) == WEIR_CLOSED);
    weir_session_release(session);
}

void *storm_keep(void *context) {
    struct actor *actor = (struct actor *)context;
    weir_stats last;
    weir_engine_stats(actor->storm->engine, &last);
    while (!storm_is_over(actor)) {
        uint32_t die = random_below(&actor->random, 64);
        if (die < 40)
            sweep(actor, die);
        else if (die < 44)
            end_some(actor, die);
        else if (die < 52)
            own(actor);
        else
            check_stats(actor->storm->engine, &last);
        sched_yield();
    }
    return NULL;
}

/* ---- Quota ---------------------------------------------------------------------------------------------------- */

#define HELD       12u
#define PRINCIPALS 3u
#define GLOBAL_CAP 16u
#define OWN_CAP    7u

struct shown {
    uint64_t count;
};

static void show(void *context, const char *principal, size_t length, uint64_t count) {
    struct shown *shown = (struct shown *)context;
    REQUIRE(length == 1 && principal[0] >= 'a' && principal[0] < (char)('a' + PRINCIPALS));
    REQUIRE(count >= 1 && count <= OWN_CAP);
    shown->count += count;
}

static void check_counts(struct actor *actor) {
    struct shown shown = {0};
    const char principal = (char)('a' + (char)random_below(&actor->random, PRINCIPALS));
    int exact;
    REQUIRE(weir_quota_count_of(actor->storm->quota, &principal, 1) <= OWN_CAP);
    REQUIRE(weir_quota_count(actor->storm->quota) <= GLOBAL_CAP);
    uint64_t sum = weir_quota_snapshot(actor->storm->quota, show, &shown, &exact);
    REQUIRE(sum == shown.count && (!exact || sum <= GLOBAL_CAP));
}

void *storm_quota(void *context) {
    struct actor *actor = (struct actor *)context;
    weir_quota_slot held[HELD] = {{0}};
    while (!storm_is_over(actor)) {
        weir_quota_slot *slot = &held[random_below(&actor->random, HELD)];
        const char principal = (char)('a' + (char)random_below(&actor->random, PRINCIPALS));
        if (slot->generation != 0) {
            weir_quota_slot copy = *slot;
            weir_quota_release(actor->storm->quota, slot);
            weir_quota_release(actor->storm->quota, &copy); /* the second release is nobody's */
        } else {
            int status = weir_quota_acquire(actor->storm->quota, &principal, 1, GLOBAL_CAP, OWN_CAP, slot, NULL);
            REQUIRE(status == WEIR_OK || status == WEIR_CAPACITY_LIMIT || status == WEIR_PRINCIPAL_LIMIT);
            if (status == WEIR_OK) u64_add_relaxed(&actor->storm->places, 1);
        }
        if (random_below(&actor->random, 16) == 0) check_counts(actor);
        if (random_below(&actor->random, 16) == 0) sched_yield();
    }
    for (uint32_t i = 0; i < HELD; i++)
        weir_quota_release(actor->storm->quota, &held[i]);
    return NULL;
}
