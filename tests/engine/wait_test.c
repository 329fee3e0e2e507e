/* The publish that waits (weir_offer_wait; contract LIV-14, LIV-15, LIV-18, C-14): real threads wait, on a clock that the
 * test sets. That somebody waits is seen in the event count that he waits on. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "session/attachment.h"

#define NEVER (UINT64_MAX / 2) /* a deadline in some hundred years */

struct stage {
    struct fixture fixture;
    atomic_u64 now_ms; /* of the engine's clock, which waiting threads read */
    weir_session *session;
    weir_cursor cursor;
};

static uint64_t shared_now_ns(void *context) {
    return u64_load_acquire((atomic_u64 *)context) * 1000000;
}

static uint64_t shared_wall_ms(void *context) {
    return u64_load_acquire((atomic_u64 *)context) + 1700000000000u;
}

static void pass_ms(struct stage *stage, uint64_t ms) {
    u64_add_relaxed(&stage->now_ms, ms);
    weir_engine_tick(stage->fixture.engine);
}

/* A session with one refusing consumer whose queue of `depth` is full of events 1 to depth. */
static void open_stage_as(struct stage *stage, const weir_config *config, weir_subscription how) {
    weir_config used = WEIR_CONFIG_INIT;
    if (config != NULL) used = *config;
    memset(stage, 0, sizeof(*stage));
    u64_store_release(&stage->now_ms, 1000);
    used.clock = (weir_clock){shared_now_ns, shared_wall_ms, &stage->now_ms};
    used.allocator = counting_allocator_of(&stage->fixture.memory);
    used.max_sessions = 16;
    assert_int_equal(weir_engine_create(&stage->fixture.engine, &used), WEIR_OK);
    assert_int_equal(weir_producer_create(stage->fixture.engine, &stage->fixture.producer), WEIR_OK);
    stage->session = fixture_session(&stage->fixture, "s");
    how.policy = WEIR_POLICY_REFUSE;
    assert_int_equal(weir_attach(stage->session, &how, &stage->cursor, NULL), WEIR_OK);
    publish_numbers(&stage->fixture, stage->session, stage->cursor.queue_depth);
}

static void open_stage(struct stage *stage, uint32_t depth) {
    open_stage_as(stage, NULL, (weir_subscription){.queue_depth = depth});
}

static void close_stage(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
    weir_session_release(stage->session);
    fixture_close(&stage->fixture);
}

static int offer_wait(struct stage *stage, uint64_t number, uint64_t deadline_ns, weir_receipt *receipt) {
    const weir_message message = {.data = &number, .length = sizeof(number)};
    if (receipt != NULL) memset(receipt, 0xAA, sizeof(*receipt));
    return weir_offer_wait(stage->fixture.producer, stage->session, &message, deadline_ns, receipt);
}

/* ---- One who waits ------------------------------------------------------------------------------------------ */

struct waiter {
    pthread_t thread;
    struct stage *stage;
    uint64_t number; /* what it publishes first */
    uint64_t count;
    int status; /* of the last one, like the receipt */
    weir_receipt receipt;
};

static void *run_waiter(void *context) {
    struct waiter *waiter = (struct waiter *)context;
    weir_producer *producer;
    if (weir_producer_create(waiter->stage->fixture.engine, &producer) != WEIR_OK) abort();
    for (uint64_t i = 0; i < waiter->count && waiter->status == WEIR_OK; i++) {
        const uint64_t number = waiter->number + i;
        const weir_message message = {.data = &number, .length = sizeof(number)};
        waiter->status = weir_offer_wait(producer, waiter->stage->session, &message, NEVER, &waiter->receipt);
    }
    weir_producer_destroy(producer);
    return NULL;
}

/* Returns once it waits; with others there it may only be about to. */
static void start_waiter(struct waiter *waiter, struct stage *stage, uint64_t number) {
    *waiter = (struct waiter){.stage = stage, .number = number, .count = 1};
    struct attachment *attachment = attachment_hold(stage->session);
    assert_int_equal(pthread_create(&waiter->thread, NULL, run_waiter, waiter), 0);
    while (!ck_ec32_has_waiters(&attachment->room))
        sched_yield();
    attachment_drop(attachment);
}

static int end_of(struct waiter *waiter) {
    assert_int_equal(pthread_join(waiter->thread, NULL), 0);
    return waiter->status;
}

static weir_attachment_info attachment_of_session(const struct stage *stage) {
    weir_attachment_info info;
    weir_attachment_get(stage->session, &info);
    return info;
}

/* ---- Room --------------------------------------------------------------------------------------------------- */

/* LIV-15, C-14: it is delivered unchanged, once, behind what was there. LIV-18: as life of its consumer, and no full. */
static void liv_15_what_has_waited_is_delivered_unchanged(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    open_stage(&stage, 3);
    pass_ms(&stage, 90000);
    uint64_t wall_s = shared_wall_ms(&stage.now_ms) / 1000;
    assert_true(attachment_of_session(&stage).active_wall_s < wall_s);
    start_waiter(&waiter, &stage, 4);
    expect_number(stage.session, &stage.cursor, 1);
    assert_int_equal(end_of(&waiter), WEIR_OK);
    assert_int_equal(waiter.receipt.sequence, 4);
    assert_int_equal(waiter.receipt.stored, 1);
    assert_int_equal(waiter.receipt.live, WEIR_LIVE_ACCEPTED);
    assert_int_equal(waiter.receipt.generation, stage.cursor.generation);
    assert_int_equal(attachment_of_session(&stage).active_wall_s, wall_s);
    assert_int_equal(attachment_of_session(&stage).drops_total, 0);
    weir_stats stats = stats_of(stage.fixture.engine);
    assert_int_equal(stats.live_full, 0);
    assert_int_equal(stats.publish_full, 0);
    assert_int_equal(stats.live_accepted, 4);
    expect_numbers(stage.session, &stage.cursor, 2, 4, WEIR_EMPTY);
    close_stage(&stage);
}

static void pass_by_advancing(struct stage *stage) {
    weir_cursor_advance(stage->session, &stage->cursor, 2);
}

static void pass_by_acknowledging(struct stage *stage) {
    expect_number(stage->session, &stage->cursor, 1);
    assert_int_equal(attachment_of_session(stage).backlog, 1); /* read, and still in its place */
    weir_acknowledge(stage->session, &stage->cursor, 1);
}

static void every_way_to_make_room_ends_the_wait(void **state) {
    (void)state;
    void (*const ways[])(struct stage *) = {pass_by_advancing, pass_by_acknowledging};
    for (int way = 0; way < 2; way++) {
        struct stage stage;
        struct waiter waiter;
        open_stage_as(&stage, NULL, (weir_subscription){.queue_depth = 1, .acknowledged = way == 1});
        start_waiter(&waiter, &stage, 2);
        ways[way](&stage);
        assert_int_equal(end_of(&waiter), WEIR_OK);
        expect_numbers(stage.session, &stage.cursor, 2, 2, WEIR_EMPTY);
        close_stage(&stage);
    }
}

static void with_room_it_does_not_wait(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    open_stage(&stage, 2);
    expect_number(stage.session, &stage.cursor, 1);
    assert_int_equal(offer_wait(&stage, 3, 0, &receipt), WEIR_OK); /* nor needs it any time */
    assert_int_equal(receipt.sequence, 3);
    expect_numbers(stage.session, &stage.cursor, 2, 3, WEIR_EMPTY);
    close_stage(&stage);
}

/* One place, and as many who wait for it: each place lets one in. */
static void several_wait_and_each_place_lets_one_in(void **state) {
    (void)state;
    enum { WAITERS = 4 };
    struct stage stage;
    struct waiter waiters[WAITERS];
    bool seen[WAITERS] = {false};
    open_stage(&stage, 1);
    for (uint64_t i = 0; i < WAITERS; i++)
        start_waiter(&waiters[i], &stage, i);
    expect_number(stage.session, &stage.cursor, 1);
    for (uint64_t sequence = 2; sequence < 2 + WAITERS;) {
        uint64_t number;
        weir_event event;
        weir_gap gap;
        int status = weir_read(stage.session, &stage.cursor, &number, sizeof(number), &event, &gap);
        if (status == WEIR_EMPTY) {
            sched_yield(); /* the one whose turn it is has not got there yet */
            continue;
        }
        assert_int_equal(status, WEIR_OK);
        assert_int_equal(event.sequence, sequence++);
        assert_true(number < WAITERS && !seen[number]);
        seen[number] = true;
        assert_true(attachment_of_session(&stage).backlog <= 1);
    }
    for (int i = 0; i < WAITERS; i++)
        assert_int_equal(end_of(&waiters[i]), WEIR_OK);
    close_stage(&stage);
}

/* ---- Time --------------------------------------------------------------------------------------------------- */

/* LIV-18 */
static void at_its_deadline_it_gives_up_and_has_changed_nothing(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    open_stage(&stage, 2);
    const uint64_t now_ns = shared_now_ns(&stage.now_ms);
    const uint64_t deadlines[] = {0, 1, now_ns - 1, now_ns};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(offer_wait(&stage, 3, deadlines[i], &receipt), WEIR_TIMEOUT);
        assert_int_equal(receipt.stored, 0);
        assert_int_equal(receipt.live, WEIR_LIVE_FULL);
        assert_int_equal(receipt.generation, stage.cursor.generation);
        assert_int_equal(offer_wait(&stage, 3, deadlines[i], NULL), WEIR_TIMEOUT);
    }
    assert_int_equal(attachment_of_session(&stage).drops_total, 0);
    assert_int_equal(stats_of(stage.fixture.engine).publish_full, 0);
    assert_int_equal(info_of(stage.session).newest, 2);
    expect_numbers(stage.session, &stage.cursor, 1, 2, WEIR_EMPTY);
    close_stage(&stage);
}

/* On the system's clock the wait is the kernel's. However long this takes, it is never before the deadline. */
static void on_the_systems_clock_it_waits_until_its_deadline(void **state) {
    (void)state;
    weir_engine *engine;
    weir_session *session;
    weir_producer *producer;
    weir_cursor cursor;
    const weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = 1};
    const weir_message message = {.data = "x", .length = 1};
    assert_int_equal(weir_engine_create(&engine, NULL), WEIR_OK);
    assert_int_equal(weir_producer_create(engine, &producer), WEIR_OK);
    assert_int_equal(weir_session_open(engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_OK);
    assert_int_equal(weir_attach(session, &how, &cursor, NULL), WEIR_OK);
    assert_int_equal(weir_offer(producer, session, &message, NULL), WEIR_OK);
    uint64_t deadline_ns = weir_engine_tick(engine) + 3000000;
    assert_int_equal(weir_offer_wait(producer, session, &message, deadline_ns, NULL), WEIR_TIMEOUT);
    assert_true(weir_engine_tick(engine) >= deadline_ns);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    weir_producer_destroy(producer);
    weir_engine_destroy(engine);
}

/* ---- Its consumer ------------------------------------------------------------------------------------------- */

static void displace(struct stage *stage) {
    weir_cursor second;
    const weir_subscription how = {.start = WEIR_START_NOW, .policy = WEIR_POLICY_REFUSE};
    assert_int_equal(weir_attach(stage->session, &how, &second, NULL), WEIR_OK);
    expect_status(stage->session, &second, WEIR_EMPTY); /* what waits is not for this one (WK-15) */
    weir_unsubscribe(stage->session, &second);
}
static void leave(struct stage *stage) {
    weir_unsubscribe(stage->session, &stage->cursor);
}
static void detach(struct stage *stage) {
    assert_int_equal(weir_detach(stage->session, stage->cursor.generation), WEIR_OK);
}
static void fall_silent(struct stage *stage) {
    const weir_sweep sweep = {.what = WEIR_SWEEP_CONSUMERS};
    pass_ms(stage, 60000);
    weir_engine_sweep_for(stage->fixture.engine, &sweep);
}
static void terminate(struct stage *stage) {
    assert_int_equal(weir_session_terminate(stage->session), WEIR_OK);
}
static void shut_down(struct stage *stage) {
    weir_engine_shut_down(stage->fixture.engine);
}
static void overflow(struct stage *stage) {
    assert_int_equal(weir_offer(stage->fixture.producer, stage->session, &(weir_message){.keyed = 0}, NULL),
                     WEIR_EVICTED);
}
static void let_the_token_expire(struct stage *stage) {
    const weir_sweep sweep = {.what = WEIR_SWEEP_TOKENS};
    pass_ms(stage, 60000);
    weir_engine_sweep_for(stage->fixture.engine, &sweep);
}
static void read_past_the_token(struct stage *stage) {
    pass_ms(stage, 60000);
    expect_number(stage->session, &stage->cursor, 1);
    expect_status(stage->session, &stage->cursor, WEIR_END);
}

/* LIV-18, LIV-14: whatever becomes of its consumer ends the wait, with nothing published. */
static void liv_18_whatever_becomes_of_its_consumer_ends_the_wait(void **state) {
    (void)state;
    static const struct {
        void (*act)(struct stage *stage);
        int status;
        bool session_ends;
    } ways[] = {
        {displace, WEIR_CLOSED, false},
        {leave, WEIR_PEER_GONE, false},
        {detach, WEIR_PEER_GONE, false},
        {fall_silent, WEIR_PEER_GONE, false},
        {terminate, WEIR_CLOSED, true},
        {shut_down, WEIR_CLOSED, true},
        {overflow, WEIR_CLOSED, true},
        {let_the_token_expire, WEIR_TOKEN_EXPIRED, true},
        {read_past_the_token, WEIR_TOKEN_EXPIRED, true},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct stage stage;
        struct waiter waiter;
        weir_config config = WEIR_CONFIG_INIT;
        weir_subscription how = {.queue_depth = 1, .token_expiry_s = 1700000030};
        config.consumer_ttl_ms = 20000;
        config.rules.closed_action = i % 2 == 0 ? WEIR_CLOSED_DETACH : WEIR_CLOSED_REMOVE;
        if (ways[i].act == overflow) how.full_consecutive_max = 1;
        open_stage_as(&stage, &config, how);
        if (ways[i].act == overflow)
            assert_int_equal(weir_publish(stage.fixture.producer, stage.session, 0, "x", 1, NULL), WEIR_FULL);
        start_waiter(&waiter, &stage, 2);
        ways[i].act(&stage);
        assert_string_equal(weir_status_name(end_of(&waiter)), weir_status_name(ways[i].status));
        assert_int_equal(waiter.receipt.live, WEIR_LIVE_CLOSED);
        assert_int_equal(waiter.receipt.stored, 0);
        assert_int_equal(info_of(stage.session).newest, 1);
        assert_int_equal(info_of(stage.session).ended != WEIR_ENDED_NOT, ways[i].session_ends);
        close_stage(&stage);
    }
}

/* LIV-18: the token comes before the room. */
static void a_token_past_its_time_is_seen_before_the_room(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    open_stage_as(&stage, NULL, (weir_subscription){.queue_depth = 2, .token_expiry_s = 1700000030});
    expect_numbers(stage.session, &stage.cursor, 1, 2, WEIR_EMPTY);
    pass_ms(&stage, 30000);
    assert_int_equal(offer_wait(&stage, 3, 0, &receipt), WEIR_TOKEN_EXPIRED);
    assert_int_equal(receipt.live, WEIR_LIVE_CLOSED);
    assert_int_equal(offer_wait(&stage, 3, 0, &receipt), WEIR_TOKEN_EXPIRED); /* and again */
    assert_int_equal(receipt.live, WEIR_LIVE_CLOSED);
    assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_TOKEN);
    close_stage(&stage);
}

/* LIV-05: who had gone before is not waited for, and the event is kept for whoever comes. */
static void liv_05_with_nobody_there_the_event_is_kept(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    weir_gap gap;
    open_stage(&stage, 2);
    leave(&stage);
    assert_int_equal(offer_wait(&stage, 3, 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.sequence, 3);
    assert_int_equal(receipt.stored, 1);
    assert_int_equal(receipt.live, WEIR_LIVE_CLOSED);
    assert_int_equal(weir_subscribe(stage.session, NULL, &stage.cursor, &gap), WEIR_OK);
    expect_numbers(stage.session, &stage.cursor, 1, 3, WEIR_EMPTY);
    close_stage(&stage);
}

/* LIV-14: a waiting publish that finds its consumer gone takes no session along, as weir_offer would by that rule. */
static void liv_14_a_consumer_that_had_gone_fails_the_send_and_keeps_its_session(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    weir_config config = WEIR_CONFIG_INIT;
    config.rules.closed_action = WEIR_CLOSED_REMOVE;
    open_stage_as(&stage, &config, (weir_subscription){.queue_depth = 2});
    leave(&stage);
    uint64_t generation = attachment_of_session(&stage).generation;
    assert_int_equal(offer_wait(&stage, 3, NEVER, &receipt), WEIR_PEER_GONE);
    assert_int_equal(receipt.live, WEIR_LIVE_CLOSED);
    assert_int_equal(receipt.stored, 0);
    assert_int_equal(receipt.generation, generation);
    assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_NOT);
    assert_int_equal(info_of(stage.session).newest, 2);
    close_stage(&stage);
}

/* Where nothing would be refused nothing is waited for: nobody attached, or a consumer of another policy. */
static void where_no_queue_refuses_it_is_a_plain_offer(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    open_stage(&stage, 2);
    weir_unsubscribe(stage.session, &stage.cursor);
    const weir_subscription how = {.policy = WEIR_POLICY_SKIP, .queue_depth = 1, .start = WEIR_START_NOW};
    assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
    assert_int_equal(offer_wait(&stage, 3, 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.live, WEIR_LIVE_ACCEPTED);
    assert_int_equal(offer_wait(&stage, 4, 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.live, WEIR_LIVE_FULL);
    weir_session *fresh = fixture_session(&stage.fixture, "fresh");
    const weir_message message = {.data = "x", .length = 1};
    assert_int_equal(weir_offer_wait(stage.fixture.producer, fresh, &message, 0, &receipt), WEIR_OK);
    assert_int_equal(receipt.live, WEIR_LIVE_NONE);
    assert_int_equal(receipt.generation, 0);
    weir_session_release(fresh);
    close_stage(&stage);
}

/* So it takes a session along, too, where weir_offer does (LIV-13). */
static void liv_13_where_no_queue_refuses_a_consumer_that_has_gone_takes_its_session_along(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    weir_config config = WEIR_CONFIG_INIT;
    config.rules.closed_action = WEIR_CLOSED_REMOVE;
    open_stage_as(&stage, &config, (weir_subscription){.queue_depth = 2});
    const weir_subscription how = {.policy = WEIR_POLICY_SKIP, .queue_depth = 1, .start = WEIR_START_NOW};
    leave(&stage);
    assert_int_equal(weir_attach(stage.session, &how, &stage.cursor, NULL), WEIR_OK);
    leave(&stage);
    assert_int_equal(offer_wait(&stage, 3, NEVER, &receipt), WEIR_CLOSED);
    assert_int_equal(info_of(stage.session).ended, WEIR_ENDED_PEER);
    close_stage(&stage);
}

static void what_can_never_be_published_is_not_waited_for(void **state) {
    (void)state;
    struct stage stage;
    weir_receipt receipt;
    static const char data[100];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_event_bytes = 50;
    open_stage_as(&stage, &config, (weir_subscription){.queue_depth = 1});
    const weir_message large = {.data = data, .length = sizeof(data)};
    const weir_message wrong = {.data = NULL, .length = 1};
    int status = weir_offer_wait(stage.fixture.producer, stage.session, &large, NEVER, &receipt);
    assert_int_equal(status, WEIR_TOO_LARGE);
    status = weir_offer_wait(stage.fixture.producer, stage.session, &wrong, NEVER, &receipt);
    assert_int_equal(status, WEIR_INVALID);
    close_stage(&stage);
}

/* ---- Stress ------------------------------------------------------------------------------------------------- */

enum { PRODUCERS = 3, EACH = 3000 };

/* Were a wake-up lost, its producer would sleep for ever: the others alone cannot fill the queue again. */
static void producers_that_wait_lose_nothing_and_none_is_forgotten(void **state) {
    (void)state;
    struct stage stage;
    struct waiter producers[PRODUCERS];
    uint64_t next[PRODUCERS] = {0};
    open_stage(&stage, 2);
    for (uint64_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct waiter){.stage = &stage, .number = i << 32, .count = EACH};
        assert_int_equal(pthread_create(&producers[i].thread, NULL, run_waiter, &producers[i]), 0);
    }
    expect_number(stage.session, &stage.cursor, 1);
    expect_number(stage.session, &stage.cursor, 2);
    for (uint64_t sequence = 3; sequence < 3 + PRODUCERS * EACH;) {
        uint64_t number;
        weir_event event;
        weir_gap gap;
        int status = weir_read(stage.session, &stage.cursor, &number, sizeof(number), &event, &gap);
        if (status == WEIR_EMPTY) {
            sched_yield();
            continue;
        }
        assert_int_equal(status, WEIR_OK);
        assert_int_equal(event.sequence, sequence++);
        assert_int_equal(number & UINT32_MAX, next[number >> 32]++);
    }
    for (int i = 0; i < PRODUCERS; i++)
        assert_int_equal(end_of(&producers[i]), WEIR_OK);
    assert_int_equal(attachment_of_session(&stage).drops_total, 0);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(liv_15_what_has_waited_is_delivered_unchanged),
        cmocka_unit_test(every_way_to_make_room_ends_the_wait),
        cmocka_unit_test(with_room_it_does_not_wait),
        cmocka_unit_test(several_wait_and_each_place_lets_one_in),
        cmocka_unit_test(at_its_deadline_it_gives_up_and_has_changed_nothing),
        cmocka_unit_test(on_the_systems_clock_it_waits_until_its_deadline),
        cmocka_unit_test(liv_18_whatever_becomes_of_its_consumer_ends_the_wait),
        cmocka_unit_test(a_token_past_its_time_is_seen_before_the_room),
        cmocka_unit_test(liv_05_with_nobody_there_the_event_is_kept),
        cmocka_unit_test(liv_14_a_consumer_that_had_gone_fails_the_send_and_keeps_its_session),
        cmocka_unit_test(where_no_queue_refuses_it_is_a_plain_offer),
        cmocka_unit_test(liv_13_where_no_queue_refuses_a_consumer_that_has_gone_takes_its_session_along),
        cmocka_unit_test(what_can_never_be_published_is_not_waited_for),
        cmocka_unit_test(producers_that_wait_lose_nothing_and_none_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
