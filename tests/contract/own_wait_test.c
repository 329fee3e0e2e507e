/* The publish that waits (weir_offer_wait): for room, up to a moment, for the one consumer that it began with. LIV-14 and
 * LIV-18, beyond what the session server's own tests say. Who waits is a thread; that it waits is seen, not guessed. */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "session/attachment.h"

/* A clock that one thread sets and others read. */
#define START_MS (1ull << 40) /* later than this machine's: a waiter really sleeps, until it is woken */

static uint64_t shared_now_ns(void *context) {
    return u64_load_acquire((atomic_u64 *)context) * 1000000;
}

static uint64_t shared_wall_ms(void *context) {
    return u64_load_acquire((atomic_u64 *)context) + 1700000000000u;
}

struct stage {
    struct fixture fixture;
    atomic_u64 now_ms;
    struct listener listener;
};

/* Attached with a queue of one that is full: 1 is in it. Time begins at `start_ms`. */
static void open_stage(struct stage *stage, uint64_t start_ms, uint64_t token_expiry_s) {
    weir_config config = WEIR_CONFIG_INIT;
    memset(stage, 0, sizeof(*stage));
    u64_store_release(&stage->now_ms, start_ms);
    assert_int_equal(weir_preset(WEIR_PRESET_REALTIME, &config), WEIR_OK);
    config.clock = (weir_clock){shared_now_ns, shared_wall_ms, &stage->now_ms};
    config.allocator = counting_allocator_of(&stage->fixture.memory);
    config.max_sessions = 64;
    assert_int_equal(weir_engine_create(&stage->fixture.engine, &config), WEIR_OK);
    assert_int_equal(weir_producer_create(stage->fixture.engine, &stage->fixture.producer), WEIR_OK);
    weir_subscription how = from_now(&stage->fixture, 1);
    how.token_expiry_s = token_expiry_s;
    assert_int_equal(listener_attach_as(&stage->fixture, &stage->listener, "s", &how), WEIR_OK);
    assert_int_equal(try_send(&stage->fixture, "s", 1, NULL), WEIR_OK);
}

static void close_stage(struct stage *stage) {
    listener_leave(&stage->listener);
    fixture_close(&stage->fixture);
}

static void pass_ms(struct stage *stage, uint64_t ms) {
    u64_add_relaxed(&stage->now_ms, ms);
    weir_engine_tick(stage->fixture.engine);
}

static uint64_t second_of(const struct stage *stage) {
    return wall_s(&stage->fixture);
}

/* ---- The one who waits ------------------------------------------------------------------------------------------ */

struct waiter {
    pthread_t thread;
    weir_engine *engine;
    weir_session *session;
    uint64_t deadline_ns;
    int status;
    weir_receipt receipt;
};

static void *run_waiter(void *context) {
    struct waiter *waiter = (struct waiter *)context;
    const uint64_t number = 2;
    const weir_message message = {.data = &number, .length = sizeof(number)};
    weir_producer *producer;
    if (weir_producer_create(waiter->engine, &producer) != WEIR_OK) abort();
    waiter->status = weir_offer_wait(producer, waiter->session, &message, waiter->deadline_ns, &waiter->receipt);
    weir_producer_destroy(producer);
    return NULL;
}

/* Returns once it waits for the consumer to make room. */
static void start_waiting(struct waiter *waiter, struct stage *stage, uint64_t for_ms) {
    memset(waiter, 0, sizeof(*waiter));
    waiter->engine = stage->fixture.engine;
    waiter->session = stage->listener.session;
    waiter->deadline_ns = (u64_load_acquire(&stage->now_ms) + for_ms) * 1000000;
    struct attachment *attachment = attachment_hold(stage->listener.session);
    assert_int_equal(pthread_create(&waiter->thread, NULL, run_waiter, waiter), 0);
    while (!ck_ec32_has_waiters(&attachment->room))
        sched_yield();
    attachment_drop(attachment);
}

static int end_of_wait(struct waiter *waiter) {
    pthread_join(waiter->thread, NULL);
    return waiter->status;
}

/* ---- Room ------------------------------------------------------------------------------------------------------- */

/* C-14: it waits for as long as the queue is full, and delivers when there is room. Having been accepted is life of its
 * consumer, and having waited is no full queue. */
static void liv_18_a_waiting_send_goes_in_when_there_is_room(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    weir_attachment_info info;
    open_stage(&stage, START_MS, 0);
    pass_ms(&stage, 5000);
    start_waiting(&waiter, &stage, 10000);
    assert_int_equal(attachment_info_of(&stage.fixture, "s", &info), WEIR_FULL);
    assert_int_equal(info.backlog, 1);
    expect_number(stage.listener.session, &stage.listener.cursor, 1);
    assert_int_equal(end_of_wait(&waiter), WEIR_OK);
    assert_int_equal(waiter.receipt.sequence, 2);
    assert_int_equal(waiter.receipt.live, WEIR_LIVE_ACCEPTED);
    assert_int_equal(waiter.receipt.generation, stage.listener.cursor.generation);
    attachment_info_of(&stage.fixture, "s", &info);
    assert_int_equal(info.drops_consecutive, 0);
    assert_int_equal(info.drops_total, 0);
    assert_int_equal(info.active_wall_s, second_of(&stage));
    expect_live(&stage.listener, 2, 2);
    close_stage(&stage);
}

/* Its place may also be freed by what the consumer acknowledges, or passes over. */
static void liv_18_a_consumer_that_passes_over_events_makes_room_too(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    open_stage(&stage, START_MS, 0);
    start_waiting(&waiter, &stage, 10000);
    weir_cursor_advance(stage.listener.session, &stage.listener.cursor, 2);
    assert_int_equal(end_of_wait(&waiter), WEIR_OK);
    expect_live(&stage.listener, 2, 2);
    close_stage(&stage);
}

/* ---- Time ------------------------------------------------------------------------------------------------------- */

/* A moment that has passed is no wait at all; and nothing was published, nor counted as a full queue. */
static void liv_18_a_waiting_send_gives_up_at_its_deadline(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    weir_attachment_info info;
    const uint64_t number = 2;
    const weir_message message = {.data = &number, .length = sizeof(number)};
    open_stage(&stage, 2000, 0); /* which this machine's own clock has long passed: nobody sleeps for it */
    const uint64_t deadlines[] = {0, 1999000000u, 2000000000u};
    for (int i = 0; i < 3; i++)
        for (int again = 0; again < 20; again++)
            assert_int_equal(
                weir_offer_wait(stage.fixture.producer, stage.listener.session, &message, deadlines[i], NULL),
                WEIR_TIMEOUT);
    start_waiting(&waiter, &stage, 5);
    pass_ms(&stage, 5);
    assert_int_equal(end_of_wait(&waiter), WEIR_TIMEOUT);
    assert_int_equal(attachment_info_of(&stage.fixture, "s", &info), WEIR_FULL);
    assert_int_equal(info.drops_total, 0);
    assert_int_equal(stats_of(stage.fixture.engine).evicted_overflow, 0);
    expect_live(&stage.listener, 1, 1);
    assert_int_equal(weir_offer_wait(stage.fixture.producer, stage.listener.session, &message, 0, NULL), WEIR_OK);
    expect_live(&stage.listener, 2, 2); /* with room it needs no time */
    close_stage(&stage);
}

/* ---- The consumer ----------------------------------------------------------------------------------------------- */

/* WK-15, C-25: it is bound to the consumer that it began with; what it would have sent is not for the next one. */
static void liv_18_a_waiting_send_ends_when_its_consumer_is_displaced(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    struct listener next;
    open_stage(&stage, START_MS, 0);
    start_waiting(&waiter, &stage, 10000);
    listener_attach(&stage.fixture, &next, "s", 1);
    assert_int_equal(end_of_wait(&waiter), WEIR_CLOSED);
    expect_nothing(&next);
    assert_int_equal(info_of(next.session).newest, 1);
    expect_number(stage.listener.session, &stage.listener.cursor, 1);
    expect_over(&stage.listener, WEIR_END, WEIR_ENDED_DISPLACED);
    listener_leave(&next);
    close_stage(&stage);
}

/* LIV-14: a consumer that leaves meanwhile fails the send, and takes no session along. */
static void liv_18_a_waiting_send_ends_when_its_consumer_leaves(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    open_stage(&stage, START_MS, 0);
    start_waiting(&waiter, &stage, 10000);
    weir_unsubscribe(stage.listener.session, &stage.listener.cursor);
    assert_int_equal(end_of_wait(&waiter), WEIR_PEER_GONE);
    assert_true(is_known(&stage.fixture, "s"));
    assert_int_equal(info_of(stage.listener.session).ended, WEIR_ENDED_NOT);
    assert_int_equal(info_of(stage.listener.session).newest, 1);
    close_stage(&stage);
}

static void liv_18_a_waiting_send_ends_with_its_session(void **state) {
    (void)state;
    struct stage stage;
    struct waiter waiter;
    open_stage(&stage, START_MS, 0);
    start_waiting(&waiter, &stage, 10000);
    assert_int_equal(weir_session_remove(stage.fixture.engine, "s", 1), WEIR_OK);
    assert_int_equal(end_of_wait(&waiter), WEIR_CLOSED);
    expect_number(stage.listener.session, &stage.listener.cursor, 1);
    expect_over(&stage.listener, WEIR_END, WEIR_ENDED_TERMINATED);
    close_stage(&stage);
}

/* WK-15: the token is looked at first, and one that expires during the wait ends it. */
static void liv_18_a_waiting_send_looks_at_the_token(void **state) {
    (void)state;
    for (int during = 0; during <= 1; during++) {
        struct stage stage;
        struct waiter waiter;
        const uint64_t number = 2;
        const weir_message message = {.data = &number, .length = sizeof(number)};
        open_stage(&stage, START_MS, START_MS / 1000 + 1700000000u + 1);
        if (during) {
            start_waiting(&waiter, &stage, 100000);
            pass_ms(&stage, 2000);
            assert_int_equal(sweep_for(&stage.fixture, WEIR_SWEEP_TOKENS, 0).count, 1);
            assert_int_equal(end_of_wait(&waiter), WEIR_TOKEN_EXPIRED);
        } else {
            expect_live(&stage.listener, 1, 1); /* there is room, and that is not the question */
            pass_ms(&stage, 2000);
            assert_int_equal(weir_offer_wait(stage.fixture.producer, stage.listener.session, &message, 0, NULL),
                             WEIR_TOKEN_EXPIRED);
        }
        assert_false(is_known(&stage.fixture, "s"));
        assert_int_equal(stats_of(stage.fixture.engine).evicted_token, 1);
        if (during) expect_number(stage.listener.session, &stage.listener.cursor, 1);
        expect_over(&stage.listener, WEIR_END, WEIR_ENDED_TOKEN);
        close_stage(&stage);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(liv_18_a_waiting_send_goes_in_when_there_is_room),
        cmocka_unit_test(liv_18_a_consumer_that_passes_over_events_makes_room_too),
        cmocka_unit_test(liv_18_a_waiting_send_gives_up_at_its_deadline),
        cmocka_unit_test(liv_18_a_waiting_send_ends_when_its_consumer_is_displaced),
        cmocka_unit_test(liv_18_a_waiting_send_ends_when_its_consumer_leaves),
        cmocka_unit_test(liv_18_a_waiting_send_ends_with_its_session),
        cmocka_unit_test(liv_18_a_waiting_send_looks_at_the_token),
    };
    return RUN_TESTS(argc, argv, tests);
}
