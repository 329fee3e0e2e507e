/* The attached consumer: one at a time, the newest stays, every decision about it is made once and meets the one that it was
 * made for (contract SES, LIV, BKP). */
#include "base/atomic.h"

#include "engine_fixture.h"

static weir_session *session(void) {
    return F->sessions[0];
}
static uint32_t self(void) {
    return explore_thread;
}
static weir_cursor *cursor_of(uint32_t thread) {
    return &F->cursors[thread];
}

static void open_session(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 1);
    EXPECT(fixture_publish(session()) == WEIR_OK);
}
/* The consumer is there already, at cursor 3. */
static void attached(void) {
    open_session();
    EXPECT(weir_attach(session(), NULL, cursor_of(3), NULL) == WEIR_OK);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
}
static void attach_with(weir_policy policy, uint32_t depth, uint32_t thread) {
    weir_subscription how;
    weir_subscription_init(F->engine, &how);
    how.policy = policy;
    how.queue_depth = depth;
    int status = weir_attach(session(), &how, cursor_of(thread), NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
}
/* Its queue of one is full: one more is once too often. */
static void full_queue(weir_policy policy) {
    open_session();
    attach_with(policy, 1, 3);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
    EXPECT(fixture_publish(session()) == WEIR_OK);
}
static void full_evict(void) {
    full_queue(WEIR_POLICY_EVICT);
}
static void full_detach(void) {
    full_queue(WEIR_POLICY_DETACH);
}
static void refusing(void) {
    open_session();
    attach_with(WEIR_POLICY_REFUSE, 1, 3);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
}
static void with_token(void) {
    weir_subscription how;
    open_session();
    weir_subscription_init(F->engine, &how);
    how.token_expiry_s = 1001;
    EXPECT(weir_attach(session(), &how, cursor_of(3), NULL) == WEIR_OK);
    F->now_ms += 5000;
    weir_engine_tick(F->engine);
}
static void removing_when_gone(void) {
    weir_config config = fixture_config();
    config.rules.closed_action = WEIR_CLOSED_REMOVE;
    fixture_begin(&config, 1);
    attach_with(WEIR_POLICY_DETACH, 2, 3);
}

static void attach(void) {
    int status = weir_attach(session(), NULL, cursor_of(self()), NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
    F->status[self()][0] = status;
}
static void attach_read(void) {
    attach();
    F->status[self()][3] = fixture_read_all(session(), cursor_of(self()));
}
static void attach_leave(void) {
    attach();
    weir_unsubscribe(session(), cursor_of(self()));
}
static void publish(void) {
    F->status[self()][1] = fixture_publish(session());
}
static void offer(void) {
    uint64_t payload[2] = {self() + 1, ~(uint64_t)(self() + 1)};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_receipt receipt;
    F->status[self()][1] = weir_offer(F->producers[self()], session(), &message, &receipt);
    F->status[self()][2] = (int)receipt.live;
    F->number[self()][1] = receipt.generation;
    F->number[self()][0] = receipt.sequence;
}
static void leave(void) {
    weir_unsubscribe(session(), cursor_of(3));
}
static void detach(void) {
    F->status[self()][0] = weir_detach(session(), F->cursors[3].generation);
}
static void terminate(void) {
    F->status[self()][0] = weir_session_terminate(session());
}
static void read_old(void) {
    F->status[self()][3] = fixture_read_all(session(), cursor_of(3));
}
static void ask(void) {
    weir_attachment_info info;
    F->status[self()][0] = weir_attachment_get(session(), &info);
    if (F->status[self()][0] != WEIR_NOT_FOUND) EXPECT(info.generation != 0 && info.queue_depth == 2);
}
static void sweep_tokens(void) {
    weir_sweep what = {WEIR_SWEEP_TOKENS, 0, 0, NULL, NULL};
    F->status[self()][0] = (int)weir_engine_sweep_for(F->engine, &what);
}

/* The newest attachment, alone. */
static int current(weir_attachment_info *info) {
    return weir_attachment_get(session(), info);
}
/* Attachments that nobody has any more were given back: the session's own is all that may be out. */
static void check_references(uint32_t cursors) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.subscribers <= cursors);
}
static void check_newest_stays(void) {
    weir_attachment_info info;
    EXPECT(current(&info) == WEIR_OK);
    uint64_t newest =
        F->cursors[0].generation > F->cursors[1].generation ? F->cursors[0].generation : F->cursors[1].generation;
    EXPECT(info.generation == newest && info.ended == WEIR_ENDED_NOT);
    for (uint32_t i = 0; i < 2; i++) {
        bool stays = F->cursors[i].generation == newest;
        EXPECT(fixture_read_all(session(), cursor_of(i)) == (stays ? WEIR_EMPTY : WEIR_END));
    }
    check_references(1);
}
static void check_displaced(void) {
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_END && F->cursors[3].ended == WEIR_ENDED_DISPLACED);
    check_references(1);
}
/* The new consumer gets what was published before and after. */
static void check_attach_publish(void) {
    EXPECT(fixture_read_all(session(), cursor_of(0)) == WEIR_EMPTY);
    EXPECT(F->cursors[0].next == 3);
    EXPECT(F->read[0] + F->read[THREADS_MAX] + F->lost[0] + F->lost[THREADS_MAX] == 2);
    EXPECT(F->status[1][1] == WEIR_OK);
}
/* An event that was accepted for a generation is delivered to it; one that was not is not (LIV). */
static void check_receipt(void) {
    EXPECT(F->status[1][1] == WEIR_OK);
    int status = fixture_read_all(session(), cursor_of(3));
    uint64_t reached = F->cursors[3].next;
    if (F->number[1][1] == F->cursors[3].generation && F->status[1][2] == WEIR_LIVE_ACCEPTED)
        EXPECT(reached > F->number[1][0]);
    if (F->number[1][1] == F->cursors[3].generation && F->status[1][2] == WEIR_LIVE_CLOSED)
        EXPECT(status == WEIR_END);
}
static void check_left(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.subscribers == 0);
}
static void check_detached(void) {
    weir_attachment_info info;
    int status = current(&info);
    if (F->status[1][0] == WEIR_OK) EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_END);
    EXPECT(status == WEIR_OK && info.generation == F->cursors[0].generation);
}
/* An eviction ends the session exactly if nobody else had attached (BKP-06). */
static void check_evicted(void) {
    weir_attachment_info info;
    bool ended = weir_session_terminate(session()) == WEIR_CLOSED;
    EXPECT(current(&info) != WEIR_NOT_FOUND);
    if (!ended) EXPECT(info.generation == F->cursors[1].generation);
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.evicted_overflow == ended);
    EXPECT(fixture_read_all(session(), cursor_of(3)) != WEIR_EMPTY);
    if (ended) EXPECT(fixture_read_all(session(), cursor_of(1)) != WEIR_EMPTY);
}
static void check_evicted_once(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.evicted_overflow == 1 && stats.sessions == 0 && stats.sessions_ended == 1);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_LAGGED);
}
static void check_lagging(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.sessions == 1);
    int status = fixture_read_all(session(), cursor_of(3));
    EXPECT(status == WEIR_LAGGED || status == WEIR_END);
}
static void check_terminated(void) {
    EXPECT(F->status[0][0] == WEIR_OK);
    EXPECT(fixture_read_all(session(), cursor_of(1)) == WEIR_END);
    EXPECT(F->cursors[1].ended == WEIR_ENDED_TERMINATED);
}
static void check_refused(void) {
    uint32_t accepted = (F->status[0][1] == WEIR_OK) + (F->status[1][1] == WEIR_OK);
    EXPECT(accepted >= 1);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
    EXPECT(F->lost[THREADS_MAX] + F->lost[2] == 0);
    EXPECT(F->read[THREADS_MAX] + F->read[2] == 1 + accepted);
}
static void check_token(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.evicted_token == 1 && stats.sessions == 0);
    EXPECT((F->status[0][0] == 1) + (F->status[1][1] == WEIR_TOKEN_EXPIRED) == 1);
    /* Accepted between the attachment's end and the session's, for the ring alone. */
    if (F->status[1][1] == WEIR_OK) EXPECT(F->status[1][2] == WEIR_LIVE_CLOSED);
}
static void check_removed_or_kept(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.evicted_peer == (F->status[1][1] == WEIR_CLOSED ? 1u : 0u));
}

static const struct scenario scenarios[] = {
    {"attach_attach", open_session, {attach, attach}, check_newest_stays},
    {"attach_displaces_reader", attached, {attach, read_old}, check_displaced},
    {"attach_against_publish", open_session, {attach_read, publish}, check_attach_publish},
    {"attach_displace_against_offer", attached, {attach, offer}, check_receipt},
    {"attach_leave_against_offer", attached, {leave, offer}, NULL},
    {"attach_leave_against_ask", open_session, {attach_leave, ask}, check_left},
    {"attach_leave_against_attach_leave", open_session, {attach_leave, attach_leave}, check_left},
    {"attach_displace_against_ask", attached, {attach, ask}, check_displaced},
    {"attach_against_detach", attached, {attach, detach}, check_detached},
    {"attach_against_terminate", open_session, {terminate, attach}, check_terminated},
    {"attach_evict_against_attach", full_evict, {publish, attach}, check_evicted},
    {"attach_evict_by_two", full_evict, {publish, publish}, check_evicted_once},
    {"attach_evict_against_read", full_evict, {publish, read_old}, NULL},
    {"attach_lagging_against_offer", full_detach, {publish, offer}, check_lagging},
    {"attach_lagging_against_attach", full_detach, {publish, attach}, NULL},
    {"attach_refuse_never_loses", refusing, {publish, publish, read_old}, check_refused},
    {"attach_token_found_by_two", with_token, {sweep_tokens, offer}, check_token},
    {"attach_gone_against_publish", removing_when_gone, {leave, publish}, check_removed_or_kept},
};
SCENARIOS(scenarios)
