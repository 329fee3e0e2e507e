#include "storm.h"

#include <string.h>

const char *storm_session_name(uint32_t index) {
    static const char *const names[STORM_NAMES] = {"s0", "s1", "s2", "s3", "s4"};
    return names[index];
}

const char *storm_channel_name(uint32_t index) {
    static const char *const names[STORM_CHANNELS] = {"c0", "c1", "c2", "c3"};
    return names[index];
}

weir_session *storm_open(struct actor *actor, uint32_t name, bool create) {
    weir_session *session;
    weir_open mode = create ? WEIR_OPEN_OR_CREATE : WEIR_OPEN_EXISTING;
    int status = weir_session_open(actor->storm->engine, storm_session_name(name), 2, mode, &session, NULL);
    if (status == WEIR_OK) return session;
    REQUIRE(status == WEIR_SHUT_DOWN || (status == WEIR_NOT_FOUND && !create));
    return NULL;
}

uint64_t storm_epoch(const weir_session *session) {
    weir_session_info info;
    weir_session_info_get(session, &info);
    REQUIRE(info.newest + 1 >= info.oldest && info.published == info.newest);
    return info.epoch;
}

void follower_begin(struct follower *follower, struct actor *actor, uint32_t name, const weir_session *session,
                    uint64_t next) {
    *follower = (struct follower){.storm = actor->storm, .name = name, .epoch = storm_epoch(session), .next = next};
}

static void check_address(const struct follower *follower, const weir_event *event, uint64_t address) {
    uint64_t to = address & STORM_TO_MASK;
    if ((address & ~STORM_TO_MASK) == STORM_TO_CHANNEL)
        REQUIRE(event->broadcast != 0 && to < STORM_CHANNELS && storm_may_join(follower->name, (uint32_t)to));
    else if ((address & ~STORM_TO_MASK) == STORM_TO_NAME)
        REQUIRE(event->broadcast == 0 && to == follower->name);
    else
        REQUIRE(event->broadcast == 0 && address == (STORM_TO_EPOCH | (follower->epoch & STORM_TO_MASK)));
}

void follower_event(struct follower *follower, const weir_event *event, const void *data) {
    const struct stamp *stamp = (const struct stamp *)data;
    REQUIRE(stamp_is_whole(stamp, event->length));
    REQUIRE(follower->conflates ? event->sequence >= follower->next : event->sequence == follower->next);
    check_address(follower, event, stamp->epoch);
    REQUIRE(stamp->producer < STORM_WRITERS);
    REQUIRE(stamp->number > follower->numbers[stamp->producer]);
    if (event->kind == 0)
        REQUIRE(event->keyed == (stamp->number % 3 == 0) && (!event->keyed || event->key == stamp->number % 5));
    REQUIRE(follower->conflates || event->superseded == 0);
    follower->numbers[stamp->producer] = stamp->number;
    follower->next = event->sequence + 1;
    u64_add_relaxed(&follower->storm->read, 1);
    u64_add_relaxed(&follower->storm->conflated, event->superseded);
}

void follower_gap(struct follower *follower, const weir_gap *gap) {
    REQUIRE(follower->conflates ? gap->first >= follower->next : gap->first == follower->next);
    REQUIRE(gap->lost_known == 1 && gap->last >= gap->first && gap->lost == gap->last - gap->first + 1);
    follower->next = gap->last + 1;
    u64_add_relaxed(&follower->storm->lost, gap->lost);
}
