/* What memberships share: records that serve one pair after the other, limits of both sides, the session's end, and the one
 * owner of an exclusive channel (contract SUB, BRD). */
#include "base/atomic.h"

#include "engine_fixture.h"
#include "session/membership.h"

static uint32_t self(void) {
    return explore_thread;
}

/* ---- What there is ------------------------------------------------------------------------------------------------- */

static weir_channel *open_channel(const char *name) {
    weir_channel *channel;
    EXPECT(weir_channel_open(F->engine, name, 2, WEIR_OPEN_OR_CREATE, &channel, NULL) == WEIR_OK);
    return channel;
}
static void begin(const weir_config *config, uint32_t channels) {
    fixture_begin(config, 2);
    F->channel = open_channel("ch");
    if (channels == 2) F->other = open_channel("ot");
}
static void join(weir_channel *channel, uint32_t session) {
    EXPECT(weir_channel_join(channel, F->sessions[session], NULL) == WEIR_OK);
}
static void one_channel(void) {
    weir_config config = fixture_config();
    begin(&config, 1);
}
static void one_member(void) {
    one_channel();
    join(F->channel, 0);
}
/* Both pairs are in one list of the map: a way to one's record is a way to the other's. The key is for pairs alone by now. */
static void one_member_in_one_list(void) {
    one_channel();
    uint64_t mask = channels_of(F->engine)->pairs.mask;
    const weir_session *const *sessions = (const weir_session *const *)F->sessions;
    while (((membership_hash(F->channel, sessions[0]) ^ membership_hash(F->channel, sessions[1])) & mask) != 0)
        F->engine->hash_key[0]++;
    join(F->channel, 0);
}
/* There is a second place, which has been somebody's. */
static void one_member_two_places(void) {
    one_member();
    join(F->channel, 1);
    EXPECT(weir_channel_leave(F->channel, F->sessions[1]) == WEIR_OK);
}
static void one_member_of_two_channels(void) {
    weir_config config = fixture_config();
    begin(&config, 2);
    join(F->channel, 0);
}
static void room_for_one_member(void) {
    weir_config config = fixture_config();
    config.max_channel_members = 1;
    begin(&config, 2);
    join(F->channel, 0);
}
static void room_for_one_channel(void) {
    weir_config config = fixture_config();
    config.max_session_channels = 1;
    begin(&config, 2);
    join(F->channel, 0);
}
/* One record for all: it is the ended session's until that has gone. */
static void one_record(void) {
    weir_config config = fixture_config();
    config.max_channel_members = 1;
    config.max_channels = 1;
    begin(&config, 1);
    join(F->channel, 0);
}
static void exclusive(weir_exclusive how) {
    weir_config config = fixture_config();
    config.rules.exclusive = how;
    begin(&config, 1);
}
static void moving(void) {
    exclusive(WEIR_CHANNELS_MOVE);
}
static void moving_owned(void) {
    moving();
    join(F->channel, 1);
}
static void refusing(void) {
    exclusive(WEIR_CHANNELS_REFUSE);
}
static void refusing_owned(void) {
    refusing();
    join(F->channel, 1);
}

/* ---- What threads do ----------------------------------------------------------------------------------------------- */

static void join_a(void) {
    F->status[self()][0] = weir_channel_join(F->channel, F->sessions[0], NULL);
}
static void join_b(void) {
    F->status[self()][0] = weir_channel_join(F->channel, F->sessions[1], NULL);
}
static void join_other_a(void) {
    F->status[self()][0] = weir_channel_join(F->other, F->sessions[0], NULL);
}
static void leave_a(void) {
    F->status[self()][1] = weir_channel_leave(F->channel, F->sessions[0]);
}
static void leave_b(void) {
    F->status[self()][1] = weir_channel_leave(F->channel, F->sessions[1]);
}
static void leave_a_join_b(void) {
    leave_a();
    join_b();
}
static void leave_a_join_other_b(void) {
    leave_a();
    EXPECT(weir_channel_join(F->other, F->sessions[1], NULL) == WEIR_OK);
}
static void leave_a_join_other_a(void) {
    leave_a();
    join_other_a();
}
static void broadcast(void) {
    uint64_t payload[2] = {self() + 1, ~(uint64_t)(self() + 1)};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_broadcast result;
    EXPECT(weir_channel_publish(F->producers[self()], F->channel, &message, &result) == WEIR_OK);
    F->number[self()][1] = result.accepted;
}
static void join_b_broadcast(void) {
    join_b();
    EXPECT(F->status[self()][0] == WEIR_OK);
    broadcast();
}
static void terminate_a(void) {
    F->status[self()][2] = weir_session_terminate(F->sessions[0]);
}
static void terminate_b(void) {
    F->status[self()][2] = weir_session_terminate(F->sessions[1]);
}
static void remove_channel(void) {
    F->status[self()][2] = weir_channel_remove(F->engine, "ch", 2);
}
static void reuse_channel(void) {
    weir_channel_release(F->channel); /* the last one: its memory is the next one's */
    weir_channel_release(open_channel("ch"));
}
static void find_channel(void) {
    weir_channel *channel;
    size_t length;
    if (weir_channel_open(F->engine, "ch", 2, WEIR_OPEN_EXISTING, &channel, NULL) != WEIR_OK) return;
    EXPECT(weir_channel_name(channel, &length)[0] == 'c' && length == 2);
    weir_channel_release(channel);
}
static void show(void *context, weir_channel *channel) {
    size_t length;
    char first = weir_channel_name(channel, &length)[0];
    (void)context;
    EXPECT(length == 2 && (first == 'c' || first == 'o'));
    F->number[self()][first == 'o']++;
}
static void list_channels(void) {
    weir_session_channels(F->sessions[0], show, NULL);
    EXPECT(F->number[self()][0] <= 1 && F->number[self()][1] <= 1);
}

/* ---- What comes of it ---------------------------------------------------------------------------------------------- */

static void expect_members(weir_channel *channel, uint32_t members) {
    uint64_t payload[2] = {1, ~1ull};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_broadcast result;
    EXPECT(weir_channel_members(channel) == members);
    EXPECT(weir_channel_publish(F->producers[3], channel, &message, &result) == WEIR_OK);
    EXPECT(result.members == members && result.accepted == members);
}
static uint32_t channel_count(uint32_t session) {
    weir_session_info info;
    weir_session_info_get(F->sessions[session], &info);
    return info.channels;
}
static void check_b_is_in(void) {
    EXPECT(fixture_newest(F->sessions[1]) == 1);
    EXPECT(channel_count(0) == 0 && channel_count(1) == 1);
    expect_members(F->channel, 1);
}
/* No session gets two copies of one broadcast (BRD-08). */
static void check_one_copy(void) {
    EXPECT(fixture_newest(F->sessions[0]) <= 1 && fixture_newest(F->sessions[0]) == F->number[2][1]);
}
/* Who was never in this channel hears nothing of it. */
static void check_b_heard_nothing(void) {
    EXPECT(fixture_newest(F->sessions[1]) == 0);
    expect_members(F->channel, 0);
    expect_members(F->other, 1);
}
static void check_room_for_one_member(void) {
    bool joined = F->status[1][0] == WEIR_OK;
    EXPECT(joined || F->status[1][0] == WEIR_MEMBERS_LIMIT);
    EXPECT(channel_count(0) == 0 && channel_count(1) == joined);
    expect_members(F->channel, joined);
}
static void check_room_after_end(void) {
    bool joined = F->status[1][0] == WEIR_OK;
    EXPECT(joined || F->status[1][0] == WEIR_MEMBERS_LIMIT || F->status[1][0] == WEIR_NO_MEMORY);
    EXPECT(channel_count(1) == joined);
    expect_members(F->channel, joined);
}
static void check_room_for_one_channel(void) {
    bool joined = F->status[1][0] == WEIR_OK;
    EXPECT(joined || F->status[1][0] == WEIR_JOINS_LIMIT);
    EXPECT(channel_count(0) == joined);
    expect_members(F->channel, 0);
    expect_members(F->other, joined);
}
/* A membership does not outlive its session (SUB-12), whoever came first. */
static void check_gone_with_a(void) {
    EXPECT(F->status[1][2] == WEIR_OK && (F->status[0][0] == WEIR_OK || F->status[0][0] == WEIR_CLOSED));
    EXPECT(channel_count(0) == 0);
    expect_members(F->channel, 0);
}
static void check_one_owner(void) {
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][0] == WEIR_OK);
    expect_members(F->channel, 1);
}
static void check_refused_second(void) {
    EXPECT((F->status[0][0] == WEIR_OK) + (F->status[1][0] == WEIR_OK) == 1);
    EXPECT((F->status[0][0] == WEIR_FOREIGN) + (F->status[1][0] == WEIR_FOREIGN) == 1);
    expect_members(F->channel, 1);
}
/* There is an owner all the time: one of the two hears it. */
static void check_heard_by_one(void) {
    EXPECT(F->number[1][1] == 1);
    EXPECT(fixture_newest(F->sessions[0]) + fixture_newest(F->sessions[1]) == 1);
    check_one_owner();
}
static void check_left_exclusive(void) {
    EXPECT(F->status[0][1] == WEIR_OK && F->number[1][1] <= 1);
    EXPECT(fixture_newest(F->sessions[1]) == F->number[1][1]);
    expect_members(F->channel, 0);
}
static void check_taken_or_refused(void) {
    bool taken = F->status[0][0] == WEIR_OK;
    EXPECT(taken || F->status[0][0] == WEIR_FOREIGN);
    EXPECT(weir_channel_members(F->channel) == taken && channel_count(1) == 0);
    expect_members(F->channel, taken);
}
static void check_a_moved_or_left(void) {
    EXPECT(F->status[0][0] == WEIR_OK);
    expect_members(F->channel, 1);
    EXPECT(channel_count(0) == 1 && channel_count(1) == 0);
}
static void check_removed(void) {
    uint32_t members = weir_channel_members(F->channel);
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][2] == WEIR_OK && members <= 1);
    expect_members(F->channel, members);
}

static const struct scenario scenarios[] = {
    {"membership_record_of_another_pair", one_member_in_one_list, {leave_a_join_b, join_b_broadcast}, check_b_is_in},
    {"membership_record_of_another_channel",
     one_member_of_two_channels,
     {leave_a_join_other_b, broadcast},
     check_b_heard_nothing},
    {"membership_one_copy", one_member_two_places, {leave_a, join_a, broadcast}, check_one_copy},
    {"membership_list_against_rejoin", one_member_of_two_channels, {leave_a_join_other_a, list_channels}, NULL},
    {"membership_one_member_at_most", room_for_one_member, {leave_a, join_b}, check_room_for_one_member},
    {"membership_one_channel_at_most", room_for_one_channel, {leave_a, join_other_a}, check_room_for_one_channel},
    {"membership_room_after_end", room_for_one_member, {terminate_a, join_b}, check_room_after_end},
    {"membership_last_record", one_record, {terminate_a, join_b}, check_room_after_end},
    {"membership_join_against_end", one_channel, {join_a, terminate_a}, check_gone_with_a},
    {"membership_channel_memory_is_reused", one_channel, {find_channel, reuse_channel}, NULL},
    {"exclusive_move_against_move", moving, {join_a, join_b}, check_one_owner},
    {"exclusive_move_against_broadcast", moving_owned, {join_a, broadcast}, check_heard_by_one},
    {"exclusive_leave_against_broadcast", moving_owned, {leave_b, broadcast}, check_left_exclusive},
    {"exclusive_move_against_leave", moving_owned, {join_a, leave_b}, check_a_moved_or_left},
    {"exclusive_move_against_end", moving, {join_a, terminate_a}, check_gone_with_a},
    {"exclusive_move_against_end_of_owner", moving_owned, {join_a, terminate_b}, check_a_moved_or_left},
    {"exclusive_move_against_remove", moving, {join_a, remove_channel}, check_removed},
    {"exclusive_refused_second", refusing, {join_a, join_b}, check_refused_second},
    {"exclusive_refused_until_end", refusing_owned, {join_a, terminate_b}, check_taken_or_refused},
    {"exclusive_refused_until_left", refusing_owned, {join_a, leave_b}, check_taken_or_refused},
};
SCENARIOS(scenarios)
