/* Races, played step by step: a thread is stopped at a marked step of what it does, others do what could get in its way,
 * and it goes on. Nothing here waits for time. */
#include "support.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mark.h"
#include "notices.h"

#define TTL_MS 60000u

/* ---- A thread that stops ---------------------------------------------------------------------------------------- */

struct actor {
    pthread_t thread;
    void (*act)(struct actor *actor);
    struct fixture *fixture;
    struct listener *listener;
    weir_subscription how;
    weir_producer *producer;
    int status; /* what the act came to */
    enum mark at;
    bool stopped;
    bool go;
    bool finished;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
} stage = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};

static _Thread_local struct actor *self;

void weir_test_mark(enum mark mark) {
    struct actor *actor = self;
    if (actor == NULL || mark != actor->at) return;
    pthread_mutex_lock(&stage.lock);
    if (!actor->stopped) {
        actor->stopped = true;
        pthread_cond_broadcast(&stage.changed);
        while (!actor->go)
            pthread_cond_wait(&stage.changed, &stage.lock);
    }
    pthread_mutex_unlock(&stage.lock);
}

static void *run_actor(void *context) {
    struct actor *actor = (struct actor *)context;
    self = actor;
    actor->act(actor);
    pthread_mutex_lock(&stage.lock);
    actor->finished = true;
    pthread_cond_broadcast(&stage.changed);
    pthread_mutex_unlock(&stage.lock);
    return NULL;
}

/* Has the actor begin, up to that step, which it must come by. */
static void start(struct actor *actor, struct fixture *fixture, void (*act)(struct actor *), enum mark at) {
    actor->fixture = fixture;
    actor->act = act;
    actor->at = at;
    actor->stopped = actor->go = actor->finished = false;
    assert_int_equal(weir_producer_create(fixture->engine, &actor->producer), WEIR_OK);
    assert_int_equal(pthread_create(&actor->thread, NULL, run_actor, actor), 0);
    pthread_mutex_lock(&stage.lock);
    while (!actor->stopped && !actor->finished)
        pthread_cond_wait(&stage.changed, &stage.lock);
    bool stopped = actor->stopped;
    pthread_mutex_unlock(&stage.lock);
    assert_true(stopped);
}

/* Lets it go on to its end. */
static void finish(struct actor *actor) {
    pthread_mutex_lock(&stage.lock);
    actor->go = true;
    pthread_cond_broadcast(&stage.changed);
    pthread_mutex_unlock(&stage.lock);
    pthread_join(actor->thread, NULL);
    weir_producer_destroy(actor->producer);
}

/* ---- What actors do --------------------------------------------------------------------------------------------- */

/* To a session that the listener holds: it is stopped inside weir_attach, not inside the lookup. */
static void attach(struct actor *actor) {
    weir_gap gap;
    actor->status = weir_attach(actor->listener->session, &actor->how, &actor->listener->cursor, &gap);
}

static void send_one(struct actor *actor) {
    const uint64_t number = 77;
    const weir_message message = {.data = &number, .length = sizeof(number)};
    actor->status = weir_send(actor->producer, "s", 1, &message, NULL);
}

static void send_waiting(struct actor *actor) {
    const uint64_t number = 77;
    const weir_message message = {.data = &number, .length = sizeof(number)};
    actor->status = weir_offer_wait(actor->producer, actor->listener->session, &message, UINT64_MAX, NULL);
}

static void sweep_tokens(struct actor *actor) {
    const weir_sweep sweep = {.what = WEIR_SWEEP_TOKENS};
    actor->status = (int)weir_engine_sweep_for(actor->fixture->engine, &sweep);
}

static void sweep_idle(struct actor *actor) {
    const weir_sweep sweep = {.what = WEIR_SWEEP_IDLE, .idle_ttl_ms = TTL_MS};
    actor->status = (int)weir_engine_sweep_for(actor->fixture->engine, &sweep);
}

static struct actor attaching(struct fixture *fixture, struct listener *listener, uint32_t depth) {
    listener->session = fixture_session(fixture, "s");
    return (struct actor){.listener = listener, .how = from_now(fixture, depth)};
}

static void open_engine(struct fixture *fixture, struct notices *notices, weir_preset_name preset) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 8;
    config.queue_depth = 8;
    config.observer = notices_observer(notices);
    system_open(fixture, preset, config);
}

/* ---- Attaching -------------------------------------------------------------------------------------------------- */

/* WK-01, C-25: the attach that took its generation first comes last, and finds itself displaced: it is told so, and the
 * other one stays. */
static void ses_19_of_two_that_attach_at_once_the_larger_generation_stays(void **state) {
    (void)state;
    struct fixture fixture;
    struct notices notices;
    struct listener early;
    struct listener late;
    open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
    struct actor actor = attaching(&fixture, &early, 8);
    start(&actor, &fixture, attach, MARK_ATTACH_DECIDED);
    uint64_t generation = listener_attach(&fixture, &late, "s", 8);
    finish(&actor);
    assert_int_equal(actor.status, WEIR_OK);
    assert_true(early.cursor.generation < generation);
    assert_int_equal(info_of(late.session).generation, generation);
    expect_over(&early, WEIR_END, WEIR_ENDED_DISPLACED);
    send_number(&fixture, "s", 0);
    expect_live(&late, 0, 0);
    assert_int_equal(info_of(late.session).subscribers, 1);
    assert_int_equal(notices_count(&notices, WEIR_NOTICE_CLOSED, "s", WEIR_ENDED_DISPLACED), 1);
    listener_leave(&early);
    expect_nothing(&late);
    listener_leave(&late);
    fixture_close(&fixture);
}

/* Stopped when it is linked already and has not told the one before: that one is told, by whoever comes first, and each of
 * the three that attached has the one end that is its own. */
static void ses_19_a_third_attach_finds_two_that_are_not_done(void **state) {
    (void)state;
    struct fixture fixture;
    struct notices notices;
    struct listener first;
    struct listener second;
    struct listener third;
    open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
    listener_attach(&fixture, &first, "s", 8);
    struct actor actor = attaching(&fixture, &second, 8);
    start(&actor, &fixture, attach, MARK_ATTACH_LINKED);
    assert_int_equal(send_number(&fixture, "s", 0), WEIR_LIVE_ACCEPTED);
    uint64_t generation = listener_attach(&fixture, &third, "s", 8);
    assert_int_equal(send_number(&fixture, "s", 1), WEIR_LIVE_ACCEPTED);
    finish(&actor);
    assert_int_equal(info_of(third.session).generation, generation);
    expect_live(&third, 1, 1);
    struct listener *displaced[] = {&first, &second};
    for (int i = 0; i < 2; i++) {
        uint64_t number;
        uint64_t next = 0;
        weir_event event;
        weir_gap gap;
        int status;
        while ((status = weir_read(displaced[i]->session, &displaced[i]->cursor, &number, 8, &event, &gap)) ==
               WEIR_OK)
            assert_true(number == event.sequence && number >= next && (next = number + 1) <= 2);
        assert_int_equal(status, WEIR_END);
        expect_over(displaced[i], WEIR_END, WEIR_ENDED_DISPLACED);
        listener_leave(displaced[i]);
    }
    assert_int_equal(info_of(third.session).subscribers, 1);
    assert_int_equal(stats_of(fixture.engine).displaced, 2);
    listener_leave(&third);
    fixture_close(&fixture);
}

/* An attach that meets the end of its session ends with it; it is never left waiting where no lookup comes. */
static void ses_20_an_attach_that_meets_an_end_ends_with_it(void **state) {
    (void)state;
    const enum mark steps[] = {MARK_ATTACH_DECIDED, MARK_ATTACH_LINKED};
    for (int s = 0; s < 2; s++) {
        struct fixture fixture;
        struct notices notices;
        struct listener before;
        struct listener listener;
        struct listener next;
        open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
        listener_attach(&fixture, &before, "s", 8);
        struct actor actor = attaching(&fixture, &listener, 8);
        start(&actor, &fixture, attach, steps[s]);
        assert_int_equal(weir_session_remove(fixture.engine, "s", 1), WEIR_OK);
        listener_attach(&fixture, &next, "s", 8); /* a session of its own */
        finish(&actor);
        assert_int_equal(actor.status, WEIR_OK);
        assert_ptr_not_equal(next.session, listener.session);
        expect_over(&listener, WEIR_END, WEIR_ENDED_TERMINATED);
        listener_leave(&listener);
        listener_leave(&before);
        send_number(&fixture, "s", 0);
        expect_live(&next, 0, 0);
        listener_leave(&next);
        assert_int_equal(stats_of(fixture.engine).subscribers, 0);
        fixture_close(&fixture);
    }
}

/* The same against the sweep that finds the session idle, whichever of the two comes first at each step. */
static void ses_20_an_attach_that_meets_the_sweep_is_live_or_told(void **state) {
    (void)state;
    const enum mark steps[] = {MARK_ATTACH_DECIDED, MARK_ATTACH_LINKED};
    for (int s = 0; s < 2; s++) {
        struct fixture fixture;
        struct notices notices;
        struct listener before;
        struct listener listener;
        open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
        listener_attach(&fixture, &before, "s", 8);
        assert_int_equal(weir_detach(before.session, before.cursor.generation), WEIR_OK);
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
        struct actor actor = attaching(&fixture, &listener, 8);
        start(&actor, &fixture, attach, steps[s]);
        uint32_t swept = sweep_for(&fixture, WEIR_SWEEP_IDLE, TTL_MS).count;
        finish(&actor);
        assert_int_equal(actor.status, WEIR_OK);
        assert_int_equal(is_known(&fixture, "s"), swept == 0);
        if (swept == 0) {
            send_number(&fixture, "s", 0);
            expect_live(&listener, 0, 0);
        } else {
            expect_over(&listener, WEIR_END, WEIR_ENDED_EXPIRED);
        }
        listener_leave(&listener);
        listener_leave(&before);
        fixture_close(&fixture);
    }
}

/* ---- Eviction --------------------------------------------------------------------------------------------------- */

/* Attached with a queue of 1 that is full, and one full short of an eviction. */
static void bring_to_the_brink(struct fixture *fixture, struct listener *listener) {
    weir_subscription how = from_now(fixture, 1);
    how.full_consecutive_max = 3;
    how.full_total_max = 0;
    assert_int_equal(listener_attach_as(fixture, listener, "s", &how), WEIR_OK);
    assert_int_equal(try_send(fixture, "s", 1, NULL), WEIR_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_send(fixture, "s", 2, NULL), WEIR_FULL);
}

/* Two producers meet the full queue that is one too many: one evicts and says so, and the session ends once. */
static void bkp_12_one_of_many_producers_evicts(void **state) {
    (void)state;
    const enum mark steps[] = {MARK_EVICTION_DECIDED, MARK_EVICTION_MARKED, MARK_ATTACHMENT_CLOSED};
    for (int s = 0; s < 3; s++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        open_engine(&fixture, &notices, WEIR_PRESET_REALTIME);
        bring_to_the_brink(&fixture, &listener);
        struct actor actor = {.status = 0};
        start(&actor, &fixture, send_one, steps[s]);
        int evicted = 0;
        for (int i = 0; i < 3; i++) {
            int status = try_send(&fixture, "s", 2, NULL);
            assert_true(status == WEIR_EVICTED || status == WEIR_FULL || status == WEIR_NOT_FOUND ||
                        status == WEIR_CLOSED);
            evicted += status == WEIR_EVICTED;
        }
        finish(&actor);
        assert_true(actor.status == WEIR_EVICTED || actor.status == WEIR_FULL);
        evicted += actor.status == WEIR_EVICTED;
        assert_int_equal(evicted, 1);
        assert_int_equal(stats_of(fixture.engine).evicted_overflow, 1);
        assert_int_equal(stats_of(fixture.engine).sessions_ended, 1);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_ENDED, "s"), 1);
        assert_int_equal(notices_of(&notices, WEIR_NOTICE_CLOSED, "s"), 1);
        assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_NOT_FOUND);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* WK-11, C-25: between the full that is one too many and the eviction the client comes back: its new consumer, and the
 * session, are none of that eviction's business. */
static void bkp_13_an_eviction_never_hits_who_has_attached_since(void **state) {
    (void)state;
    struct fixture fixture;
    struct notices notices;
    struct listener slow;
    struct listener back;
    weir_attachment_info info;
    open_engine(&fixture, &notices, WEIR_PRESET_REALTIME);
    bring_to_the_brink(&fixture, &slow);
    struct actor actor = {.status = 0};
    start(&actor, &fixture, send_one, MARK_EVICTION_DECIDED);
    uint64_t generation = listener_attach(&fixture, &back, "s", 1);
    finish(&actor);
    assert_int_equal(actor.status, WEIR_FULL);
    assert_true(is_known(&fixture, "s"));
    assert_int_equal(attachment_info_of(&fixture, "s", &info), WEIR_OK);
    assert_int_equal(info.generation, generation);
    assert_int_equal(info.drops_total, 0);
    assert_int_equal(stats_of(fixture.engine).evicted_overflow, 0);
    assert_int_equal(notices_of(&notices, WEIR_NOTICE_ENDED, "s"), 0);
    assert_int_equal(try_send(&fixture, "s", 2, NULL), WEIR_OK);
    expect_number(back.session, &back.cursor, 2);
    expect_number(slow.session, &slow.cursor, 1);
    expect_over(&slow, WEIR_END, WEIR_ENDED_DISPLACED);
    listener_leave(&slow);
    listener_leave(&back);
    fixture_close(&fixture);
}

/* WK-11: the token that was found expired is replaced by a fresh one before anything came of it, found by a sweep or by a
 * publish. */
static void tok_14_a_fresh_token_saves_the_session(void **state) {
    (void)state;
    void (*const acts[])(struct actor *) = {sweep_tokens, send_one};
    for (int a = 0; a < 2; a++) {
        struct fixture fixture;
        struct notices notices;
        struct listener expired;
        struct listener fresh;
        open_engine(&fixture, &notices, WEIR_PRESET_REALTIME);
        weir_subscription how = from_now(&fixture, 4);
        how.token_expiry_s = wall_s(&fixture);
        assert_int_equal(listener_attach_as(&fixture, &expired, "s", &how), WEIR_OK);
        advance_s(&fixture, 1);
        struct actor actor = {.status = 0};
        start(&actor, &fixture, acts[a], MARK_EVICTION_DECIDED);
        how.token_expiry_s = wall_s(&fixture) + 60;
        assert_int_equal(listener_attach_as(&fixture, &fresh, "s", &how), WEIR_OK);
        finish(&actor);
        assert_int_equal(actor.status, a == 0 ? 0 : WEIR_CLOSED);
        assert_true(is_known(&fixture, "s"));
        assert_int_equal(stats_of(fixture.engine).evicted_token, 0);
        uint64_t next = info_of(fresh.session).newest + 1;
        send_number(&fixture, "s", next);
        expect_live(&fresh, next, next);
        expect_over(&expired, WEIR_END, WEIR_ENDED_DISPLACED);
        assert_int_equal(sweep_for(&fixture, WEIR_SWEEP_TOKENS, 0).count, 0);
        listener_leave(&expired);
        listener_leave(&fresh);
        fixture_close(&fixture);
    }
}

/* ---- The send that waits ---------------------------------------------------------------------------------------- */

/* WK-15, LIV-18: it has looked, there is room, and before it publishes its consumer is displaced or leaves: nobody gets
 * what was meant for that one. */
static void liv_18_a_waiting_send_is_for_its_own_consumer_to_the_last_moment(void **state) {
    (void)state;
    for (int leaves = 0; leaves <= 1; leaves++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        struct listener next = {.session = NULL};
        open_engine(&fixture, &notices, WEIR_PRESET_REALTIME);
        listener_attach(&fixture, &listener, "s", 4);
        assert_int_equal(try_send(&fixture, "s", 1, NULL), WEIR_OK);
        struct actor actor = {.listener = &listener};
        start(&actor, &fixture, send_waiting, MARK_PUBLISH_CELL_FILLED);
        if (leaves)
            weir_unsubscribe(listener.session, &listener.cursor);
        else
            listener_attach(&fixture, &next, "s", 4);
        finish(&actor);
        assert_int_equal(actor.status, leaves ? WEIR_PEER_GONE : WEIR_CLOSED);
        assert_int_equal(info_of(listener.session).newest, 1);
        assert_true(is_known(&fixture, "s"));
        if (!leaves) expect_nothing(&next);
        if (!leaves) listener_leave(&next);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

/* ---- The sweep -------------------------------------------------------------------------------------------------- */

enum rescue { RESCUE_NONE, RESCUE_SEND, RESCUE_ATTACH, RESCUE_SUBSCRIBE, RESCUE_COUNT };

/* WK-11, WK-22, TTL-04: the sweep has seen the session idle and is about to end it; who gets in between keeps it. */
static void ttl_18_what_happens_in_the_middle_of_a_sweep_keeps_the_session(void **state) {
    (void)state;
    for (int rescue = RESCUE_NONE; rescue < RESCUE_COUNT; rescue++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        weir_cursor cursor = {.generation = 0};
        open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
        assert_int_equal(pre_register(&fixture, "s"), 1);
        weir_session *session = find(&fixture, "s");
        send_number(&fixture, "s", 0);
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
        struct actor actor = {.status = 0};
        start(&actor, &fixture, sweep_idle, MARK_SWEEP_MARKED);
        if (rescue == RESCUE_SEND) send_number(&fixture, "s", 1);
        if (rescue == RESCUE_ATTACH) listener_attach(&fixture, &listener, "s", 8);
        if (rescue == RESCUE_SUBSCRIBE) cursor = subscribe(session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        finish(&actor);
        assert_int_equal(actor.status, rescue == RESCUE_NONE);
        assert_int_equal(is_known(&fixture, "s"), rescue != RESCUE_NONE);
        expect_replay_all(&fixture, "s", 0, rescue == RESCUE_NONE ? UINT64_MAX : rescue == RESCUE_SEND ? 1 : 0);
        if (rescue == RESCUE_ATTACH) listener_leave(&listener);
        weir_unsubscribe(session, &cursor);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* ---- Statistics ------------------------------------------------------------------------------------------------- */

/* WK-17: figures are there while a publisher stands still at any step of its work, and it goes on as if nobody had asked. */
static void sta_07_figures_wait_for_no_publisher(void **state) {
    (void)state;
    const enum mark steps[] = {MARK_PUBLISH_BEGIN,      MARK_PUBLISH_CELL_TAKEN,    MARK_PUBLISH_CELL_FILLED,
                               MARK_PUBLISH_SLOT_FOUND, MARK_PUBLISH_CLAIMED,       MARK_PUBLISH_HINT_STORED,
                               MARK_PUBLISH_CELL_KEPT,  MARK_OFFER_ATTACHMENT_HELD, MARK_PUBLISH_END};
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        struct fixture fixture;
        struct notices notices;
        struct listener listener;
        open_engine(&fixture, &notices, WEIR_PRESET_SSE_REGISTRY);
        listener_attach(&fixture, &listener, "s", 8);
        send_number(&fixture, "s", 0);
        struct actor actor = {.status = 0};
        start(&actor, &fixture, send_one, steps[s]);
        weir_stats stats = stats_of(fixture.engine);
        assert_int_equal(stats.sessions, 1);
        assert_true(stats.published == 1 || (stats.published == 2 && steps[s] == MARK_PUBLISH_END));
        for (uint64_t i = 0; i < 4; i++)
            assert_int_equal(try_send(&fixture, "s", i, NULL), WEIR_OK);
        finish(&actor);
        assert_int_equal(actor.status, WEIR_OK);
        assert_int_equal(stats_of(fixture.engine).published, 6);
        assert_int_equal(stats_of(fixture.engine).live_accepted, 6);
        listener_leave(&listener);
        fixture_close(&fixture);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ses_19_of_two_that_attach_at_once_the_larger_generation_stays),
        cmocka_unit_test(ses_19_a_third_attach_finds_two_that_are_not_done),
        cmocka_unit_test(ses_20_an_attach_that_meets_an_end_ends_with_it),
        cmocka_unit_test(ses_20_an_attach_that_meets_the_sweep_is_live_or_told),
        cmocka_unit_test(bkp_12_one_of_many_producers_evicts),
        cmocka_unit_test(bkp_13_an_eviction_never_hits_who_has_attached_since),
        cmocka_unit_test(tok_14_a_fresh_token_saves_the_session),
        cmocka_unit_test(liv_18_a_waiting_send_is_for_its_own_consumer_to_the_last_moment),
        cmocka_unit_test(ttl_18_what_happens_in_the_middle_of_a_sweep_keeps_the_session),
        cmocka_unit_test(sta_07_figures_wait_for_no_publisher),
    };
    return RUN_TESTS(argc, argv, tests);
}
