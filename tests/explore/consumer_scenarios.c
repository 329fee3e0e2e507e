/* What is judged of one consumer by several at once: whether its queue has room, whether it has gone, what it is forgiven,
 * who takes its place, and that its memory serves the next one only when nobody looks any more (contract BKP, LIV, TOK). */
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
/* Plain: whoever has the place in the queue uses it. */
static uint64_t *place(void) {
    return &F->number[3][3];
}

/* ---- What there is ------------------------------------------------------------------------------------------------- */

static void notice(void *context, const weir_notice *told) {
    (void)context;
    u64_add_relaxed(&F->notices[told->kind], 1);
}
static weir_subscription subscription(weir_policy policy, uint32_t depth) {
    weir_subscription how;
    weir_subscription_init(F->engine, &how);
    how.policy = policy;
    how.queue_depth = depth;
    return how;
}
static void attach_as(const weir_subscription *how, uint32_t thread) {
    int status = weir_attach(session(), how, cursor_of(thread), NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
}
static void begin_with(weir_config *config, uint32_t sessions) {
    config->observer.notice = notice;
    fixture_begin(config, sessions);
    EXPECT(fixture_publish(session()) == WEIR_OK);
}
static void begin(weir_config *config) {
    begin_with(config, 1);
}
static void nobody_attached(void) {
    weir_config config = fixture_config();
    begin(&config);
}
static void attached(void) {
    nobody_attached();
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach_as(&how, 3);
}
static void attached_beside_another(void) {
    weir_config config = fixture_config();
    begin_with(&config, 2);
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach_as(&how, 3);
}
/* Its queue of one holds the event that it has read and not acknowledged. */
static void unacknowledged(void) {
    nobody_attached();
    weir_subscription how = subscription(WEIR_POLICY_REFUSE, 1);
    how.acknowledged = 1;
    attach_as(&how, 3);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
}
/* The one before has gone; its attachment is still the newest. */
static void has_been_attached(void) {
    attached();
    weir_unsubscribe(session(), cursor_of(3));
}
static void subscribed(void) {
    nobody_attached();
    EXPECT(weir_subscribe(session(), NULL, cursor_of(3), NULL) == WEIR_OK);
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
/* Past its time, under a policy that only tells that. */
static void token_continues(void) {
    weir_config config = fixture_config();
    config.rules.token_policy = WEIR_TOKEN_CONTINUE;
    begin(&config);
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    how.token_expiry_s = 1001;
    attach_as(&how, 3);
    F->now_ms += 5000;
    weir_engine_tick(F->engine);
}
/* It was full once, so long ago that this is forgiven: to one. */
static void full_long_ago(void) {
    weir_config config = fixture_config();
    config.rules.full_decay_ms = 10;
    begin(&config);
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 1);
    how.full_total_max = 100;
    attach_as(&how, 3);
    EXPECT(fixture_read_all(session(), cursor_of(3)) == WEIR_EMPTY);
    EXPECT(fixture_publish(session()) == WEIR_OK && fixture_publish(session()) == WEIR_OK);
    F->now_ms += 15;
    weir_engine_tick(F->engine);
}
static void queue_of_4(void) {
    weir_config config = fixture_config();
    config.replay_capacity = 8;
    begin(&config);
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 4);
    attach_as(&how, 3);
    for (uint32_t i = 0; i < 2; i++)
        EXPECT(fixture_publish(session()) == WEIR_OK);
}

/* ---- What threads do ----------------------------------------------------------------------------------------------- */

static void attach(void) {
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach_as(&how, self());
}
static void leave_old(void) {
    weir_unsubscribe(session(), cursor_of(3));
}
/* The memory of the old one is the last one's. */
static void displace_and_attach_again(void) {
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach();
    leave_old();
    attach_as(&how, 2);
}
/* Twice, in the cursors that are nobody's: the memory that the first one freed is the second one's. */
static void attach_twice(void) {
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach_as(&how, 2);
    attach_as(&how, 4);
}
static void displace_leave_and_attach_again(void) {
    weir_subscription how = subscription(WEIR_POLICY_DETACH, 2);
    attach_as(&how, 2);
    leave_old();
    attach_as(&how, 4);
}
/* The old one's memory serves another session. */
static void displace_and_attach_elsewhere(void) {
    attach();
    leave_old();
    EXPECT(weir_attach(F->sessions[1], NULL, cursor_of(2), NULL) == WEIR_OK);
}
static void displace_and_leave(void) {
    attach();
    leave_old();
}
static void ask(void) {
    weir_attachment_info info;
    F->status[self()][0] = weir_attachment_get(session(), &info);
    EXPECT(F->status[self()][0] != WEIR_NOT_FOUND && info.generation != 0 && info.queue_depth == 2);
}
static void ask_who(void) {
    weir_attachment_info info;
    EXPECT(weir_attachment_get(session(), &info) != WEIR_NOT_FOUND);
    F->number[self()][0] = info.generation;
}
static void ask_and_attach(void) {
    ask();
    attach();
}
static void offer(void) {
    uint64_t payload[2] = {self() + 1, ~(uint64_t)(self() + 1)};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_receipt receipt;
    F->status[self()][1] = weir_offer(F->producers[self()], session(), &message, &receipt);
}
/* Its time is over already: it looks once. */
static void offer_wait(void) {
    uint64_t payload[2] = {self() + 1, ~(uint64_t)(self() + 1)};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    F->status[self()][1] = weir_offer_wait(F->producers[self()], session(), &message, 0, NULL);
}
static void offer_into_place(void) {
    offer();
    if (F->status[self()][1] == WEIR_OK) *place() = 2;
}
static void wait_into_place(void) {
    offer_wait();
    if (F->status[self()][1] == WEIR_OK) *place() = 2;
}
static void be_done_with_place(void) {
    EXPECT(*place() == 0);
    weir_acknowledge(session(), cursor_of(3), 1);
}
static void subscribe_refusing(void) {
    weir_subscription how = subscription(WEIR_POLICY_REFUSE, 1);
    F->status[self()][0] = weir_subscribe(session(), &how, cursor_of(self()), NULL);
}
static void sweep_idle(void) {
    weir_sweep what = {WEIR_SWEEP_IDLE, 0, 0, NULL, NULL};
    F->status[self()][0] = (int)weir_engine_sweep_for(F->engine, &what);
}
static void sweep_tokens(void) {
    weir_sweep what = {WEIR_SWEEP_TOKENS, 0, 0, NULL, NULL};
    EXPECT(weir_engine_sweep_for(F->engine, &what) == 0);
}
static void read_old(void) {
    F->status[self()][3] = fixture_read_all(session(), cursor_of(3));
}
static void terminate(void) {
    EXPECT(weir_session_terminate(session()) == WEIR_OK);
}

/* ---- What comes of it ---------------------------------------------------------------------------------------------- */

static uint64_t subscribers(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    return stats.subscribers;
}
static void check_one_is_there(void) {
    weir_attachment_info info;
    EXPECT(weir_attachment_get(session(), &info) != WEIR_NOT_FOUND && info.ended == WEIR_ENDED_NOT);
    EXPECT(subscribers() == 1);
}
static void check_not_elsewhere(void) {
    EXPECT(F->number[1][0] != F->cursors[2].generation);
}
static void check_elsewhere_stays(void) {
    weir_attachment_info info;
    EXPECT(weir_attachment_get(F->sessions[1], &info) == WEIR_OK && info.generation == F->cursors[2].generation);
}
/* The one that attached last of all stays, however long another one took to attach (SES-19). */
static void check_newest_is_there(void) {
    weir_attachment_info info;
    uint64_t newest = 0;
    for (uint32_t i = 0; i <= THREADS_MAX; i++)
        if (F->cursors[i].generation > newest) newest = F->cursors[i].generation;
    EXPECT(weir_attachment_get(session(), &info) != WEIR_NOT_FOUND && info.generation == newest);
    check_one_is_there();
}
static void check_room_or_full(void) {
    EXPECT(F->status[0][1] == WEIR_OK || F->status[0][1] == WEIR_FULL || F->status[0][1] == WEIR_TIMEOUT);
    EXPECT(fixture_newest(session()) == (F->status[0][1] == WEIR_OK ? 2u : 1u));
}
static void check_room_or_gone(void) {
    EXPECT(F->status[0][1] == WEIR_TIMEOUT || F->status[0][1] == WEIR_PEER_GONE || F->status[0][1] == WEIR_OK);
    EXPECT(subscribers() == 0);
}
static void check_one_took_it(void) {
    EXPECT((F->status[0][0] == WEIR_OK) + (F->status[1][0] == WEIR_OK) == 1);
    EXPECT((F->status[0][0] == WEIR_BUSY) + (F->status[1][0] == WEIR_BUSY) == 1);
    check_one_is_there();
}
/* Leaving was a sign of life just now (TTL-18, LIV-12). */
static void check_lives(void) {
    EXPECT(F->status[0][0] == 0 && fixture_publish(session()) == WEIR_OK);
}
static void check_told_once(void) {
    EXPECT(F->notices[WEIR_NOTICE_TOKEN_EXPIRED].value == 1);
    check_one_is_there();
}
static void check_forgiven_once(void) {
    weir_attachment_info info;
    EXPECT(weir_attachment_get(session(), &info) == WEIR_FULL && info.drops_total == 2);
}
/* SLOW is told before each RECOVERED, and both once. */
static void check_slow_told(void) {
    uint64_t slow = F->notices[WEIR_NOTICE_SLOW].value;
    uint64_t recovered = F->notices[WEIR_NOTICE_RECOVERED].value;
    EXPECT(slow == recovered || slow == recovered + 1);
    EXPECT(F->status[0][1] == WEIR_OK);
}
/* Whoever attached to a session that ended meanwhile does not stay attached. */
static void check_nobody_stays(void) {
    weir_attachment_info info;
    EXPECT(weir_attachment_get(session(), &info) == WEIR_CLOSED && subscribers() == 0);
}

static void check_nobody_stays_or_came(void) {
    EXPECT(F->status[1][0] == WEIR_OK);
    check_nobody_stays();
}

static const struct scenario scenarios[] = {
    {"consumer_memory_against_ask", attached, {displace_and_attach_again, ask}, check_one_is_there},
    {"consumer_memory_of_last_holder", attached, {displace_and_leave, ask_and_attach}, NULL},
    {"consumer_memory_elsewhere_is_asked",
     attached_beside_another,
     {displace_and_attach_elsewhere, ask_who},
     check_not_elsewhere},
    {"consumer_memory_elsewhere_against_end",
     attached_beside_another,
     {terminate, displace_and_attach_elsewhere},
     check_elsewhere_stays},
    {"consumer_place_against_offer", unacknowledged, {offer_into_place, be_done_with_place}, check_room_or_full},
    {"consumer_place_against_wait", unacknowledged, {wait_into_place, be_done_with_place}, check_room_or_full},
    {"consumer_leaves_against_wait", unacknowledged, {offer_wait, leave_old}, check_room_or_gone},
    {"consumer_queue_for_two", nobody_attached, {subscribe_refusing, subscribe_refusing}, check_one_took_it},
    {"consumer_left_queue_for_two", has_been_attached, {subscribe_refusing, subscribe_refusing}, check_one_took_it},
    {"consumer_left_queue_is_taken_again", has_been_attached, {subscribe_refusing, attach_twice}, check_one_is_there},
    {"consumer_newest_stays", attached, {attach, displace_leave_and_attach_again}, check_newest_is_there},
    {"consumer_queue_against_end", nobody_attached, {terminate, subscribe_refusing}, check_nobody_stays_or_came},
    {"consumer_leaves_against_sweep", subscribed, {sweep_idle, leave_old}, check_lives},
    {"consumer_token_told_once", token_continues, {sweep_tokens, offer}, check_told_once},
    {"consumer_forgiven_once", full_long_ago, {offer, offer}, check_forgiven_once},
    {"consumer_slow_and_recovered", queue_of_4, {offer, read_old}, check_slow_told},
    {"consumer_attach_against_end", nobody_attached, {terminate, attach}, check_nobody_stays},
};
SCENARIOS(scenarios)
