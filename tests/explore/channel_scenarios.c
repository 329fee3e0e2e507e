/* Channels: a membership that both sides agree on, at most one copy of a broadcast to each session, and bodies that are
 * given back once. */
#include "base/atomic.h"

#include "engine_fixture.h"

static uint32_t self(void) {
    return explore_thread;
}
static void open_channel(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 2);
    EXPECT(weir_channel_open(F->engine, "ch", 2, WEIR_OPEN_OR_CREATE, &F->channel, NULL) == WEIR_OK);
}
static void one_member(void) {
    open_channel();
    EXPECT(weir_channel_join(F->channel, F->sessions[0], NULL) == WEIR_OK);
}
static void two_members(void) {
    one_member();
    EXPECT(weir_channel_join(F->channel, F->sessions[1], NULL) == WEIR_OK);
}
static void only_engine(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 1);
}

static void open_ch(void) {
    int created = 0;
    weir_channel *channel;
    EXPECT(weir_channel_open(F->engine, "ch", 2, WEIR_OPEN_OR_CREATE, &channel, &created) == WEIR_OK);
    size_t length;
    EXPECT(weir_channel_name(channel, &length)[0] == 'c' && length == 2);
    F->number[self()][0] = (uint64_t)(uintptr_t)channel;
    F->status[self()][1] = created;
}
static void open_release_ch(void) {
    open_ch();
    weir_channel_release((weir_channel *)(uintptr_t)F->number[self()][0]);
}
static void join_a(void) {
    F->status[self()][0] = weir_channel_join(F->channel, F->sessions[0], NULL);
}
static void join_b(void) {
    F->status[self()][0] = weir_channel_join(F->channel, F->sessions[1], NULL);
}
static void leave_a(void) {
    F->status[self()][0] = weir_channel_leave(F->channel, F->sessions[0]);
}
static void leave_join_a(void) {
    leave_a();
    EXPECT(weir_channel_join(F->channel, F->sessions[0], NULL) == WEIR_OK);
}
static void leave_all_a(void) {
    F->status[self()][0] = (int)weir_session_leave_all(F->sessions[0], NULL, NULL);
}
static void terminate_a(void) {
    F->status[self()][2] = weir_session_terminate(F->sessions[0]);
}
static void remove_ch(void) {
    F->status[self()][2] = weir_channel_remove(F->engine, "ch", 2);
}
static void broadcast(void) {
    uint64_t name = self() * 16 + ++F->names[self()];
    uint64_t payload[2] = {name, ~name};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_broadcast result;
    EXPECT(weir_channel_publish(F->producers[self()], F->channel, &message, &result) == WEIR_OK);
    F->number[self()][1] = result.accepted;
    F->number[self()][2] = result.members;
}
static void broadcast_2(void) {
    broadcast();
    broadcast();
}
static void publish_a(void) {
    EXPECT(fixture_publish(F->sessions[0]) == WEIR_OK);
}
static void replay_a(void) {
    weir_cursor *cursor = &F->cursors[self()];
    int status = weir_subscribe(F->sessions[0], NULL, cursor, NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
    EXPECT(fixture_read_all(F->sessions[0], cursor) == WEIR_EMPTY);
    weir_unsubscribe(F->sessions[0], cursor);
}

static uint32_t channels_of_session(uint32_t index) {
    weir_session_info info;
    weir_session_info_get(F->sessions[index], &info);
    return info.channels;
}
static void check_members(uint32_t members) {
    EXPECT(weir_channel_members(F->channel) == members);
    EXPECT(channels_of_session(0) + channels_of_session(1) == members);
    /* And the next broadcast goes to just these. */
    uint64_t payload[2] = {1, ~1ull};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_broadcast result;
    EXPECT(weir_channel_publish(F->producers[3], F->channel, &message, &result) == WEIR_OK);
    EXPECT(result.members == members && result.accepted == members);
}
static void release_open_ch(void) {
    weir_channel_release(F->channel); /* the last one: the next one has its memory */
    open_ch();
}
/* However many were made meanwhile, all have the one that is in the map. */
static void check_all_the_same(void) {
    EXPECT(F->number[0][0] == F->number[1][0] && F->number[1][0] == F->number[2][0]);
}
static void check_same_channel(void) {
    EXPECT(F->number[0][0] == F->number[1][0] && F->status[0][1] + F->status[1][1] == 1);
}
static void check_0(void) {
    check_members(0);
}
static void check_1(void) {
    check_members(1);
}
static void check_joined_once(void) {
    EXPECT(F->status[1][0] == WEIR_OK && F->status[2][0] == WEIR_OK);
    if (weir_channel_members(F->channel) != 0) check_members(1);
}
static void check_2(void) {
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][0] == WEIR_OK);
    check_members(2);
}
static void check_left_once(void) {
    EXPECT((F->status[0][0] == WEIR_OK) + (F->status[1][0] == WEIR_OK) == 1);
    check_members(0);
}
/* The copies that were accepted are in the session, no more and no less (BRD-08). */
static void check_copies(void) {
    uint64_t copies = fixture_newest(F->sessions[0]) + fixture_newest(F->sessions[1]);
    uint64_t accepted = 0;
    for (uint32_t i = 0; i < 3; i++)
        accepted += F->number[i][1];
    EXPECT(copies == accepted);
}
static void check_join_broadcast(void) {
    check_copies();
    EXPECT(F->number[1][1] <= 1);
    check_members(1);
}
static void check_leave_broadcast(void) {
    check_copies();
    EXPECT(F->number[1][1] <= 1);
    check_members(0);
}
static void check_leave_join_broadcast(void) {
    check_copies();
    EXPECT(F->number[1][1] <= 1);
    check_members(1);
}
static void check_two_broadcasts(void) {
    EXPECT(F->number[0][1] == 2 && F->number[1][1] == 2);
    check_copies();
    check_members(2);
}
static void check_bodies(void) {
    EXPECT(fixture_newest(F->sessions[1]) == 2);
    check_members(2);
}
/* A join that raced with the end failed, or its membership went with the session (SUB-12). */
static void check_ended(void) {
    EXPECT(F->status[0][0] == WEIR_OK || F->status[0][0] == WEIR_CLOSED);
    check_members(0);
    weir_session_leave_all(F->sessions[0], NULL, NULL);
    check_members(0);
}
static void check_removed(void) {
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][2] == WEIR_OK);
    uint32_t members = weir_channel_members(F->channel);
    EXPECT(members <= 1);
    check_members(members);
}

static const struct scenario scenarios[] = {
    {"channel_open_open", only_engine, {open_ch, open_ch}, check_same_channel},
    {"channel_open_in_old_memory", open_channel, {release_open_ch, open_ch, open_ch}, check_all_the_same},
    {"channel_join_in_old_record", one_member, {leave_join_a, join_a, join_a}, check_joined_once},
    {"channel_open_against_last_release", only_engine, {open_release_ch, open_release_ch}, NULL},
    {"channel_join_join_two_sessions", open_channel, {join_a, join_b}, check_2},
    {"channel_join_join_same_session", open_channel, {join_a, join_a}, check_1},
    {"channel_leave_leave", one_member, {leave_a, leave_a}, check_left_once},
    {"channel_leave_against_leave_all", one_member, {leave_a, leave_all_a}, check_0},
    {"channel_join_against_broadcast", open_channel, {join_a, broadcast}, check_join_broadcast},
    {"channel_leave_against_broadcast", one_member, {leave_a, broadcast}, check_leave_broadcast},
    {"channel_leave_join_against_broadcast", one_member, {leave_join_a, broadcast}, check_leave_join_broadcast},
    {"channel_join_against_end", open_channel, {join_a, terminate_a}, check_ended},
    {"channel_end_against_broadcast", one_member, {broadcast, terminate_a}, check_ended},
    {"channel_join_against_remove", open_channel, {join_a, remove_ch}, check_removed},
    {"channel_two_broadcasts", two_members, {broadcast, broadcast}, check_two_broadcasts},
    {"channel_broadcasts_against_replay", one_member, {broadcast_2, replay_a}, NULL},
    {"channel_bodies_handed_over", two_members, {broadcast_2, publish_a}, check_bodies},
};
SCENARIOS(scenarios)
