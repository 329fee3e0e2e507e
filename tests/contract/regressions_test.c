/* Weaknesses of the systems that weir stands in for, one test each, where no other test shows that it is not there in a way
 * that does not depend on luck. A thread is stopped at a marked step, the others do what could suffer from it, and it goes
 * on. Nothing here waits for time; where a weakness would have one thread wait for another, the test hangs. scripts/mutants
 * puts each weakness back and sees that its test says so. */
#include <pthread.h>
#include <stdbool.h>

#include "base/mark.h"
#include "channels.h"

#define TTL_MS 60000u
#define DEPTH  8u

/* ---- A thread that stops ---------------------------------------------------------------------------------------- */

struct actor {
    pthread_t thread;
    void (*act)(struct actor *actor);
    weir_engine *engine;
    weir_producer *producer;
    weir_session *session;
    weir_channel *channel;
    weir_subscription how;
    weir_cursor cursor;
    uint64_t number; /* what it publishes, and as which sequence that was */
    uint64_t sequence;
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
    actor->stopped = true;
    pthread_cond_broadcast(&stage.changed);
    while (!actor->go)
        pthread_cond_wait(&stage.changed, &stage.lock);
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
    actor->engine = fixture->engine;
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

static void attach(struct actor *actor) {
    weir_gap gap;
    actor->status = weir_attach(actor->session, &actor->how, &actor->cursor, &gap);
}

static void publish(struct actor *actor) {
    actor->status =
        weir_publish(actor->producer, actor->session, 0, &actor->number, sizeof(actor->number), &actor->sequence);
}

static void send_one(struct actor *actor) {
    const weir_message message = {.data = &actor->number, .length = sizeof(actor->number)};
    actor->status = weir_send(actor->producer, "s", 1, &message, NULL);
}

static void sweep_idle(struct actor *actor) {
    const weir_sweep sweep = {.what = WEIR_SWEEP_IDLE, .idle_ttl_ms = TTL_MS};
    actor->status = (int)weir_engine_sweep_for(actor->engine, &sweep);
}

static void join(struct actor *actor) {
    actor->status = weir_channel_join(actor->channel, actor->session, NULL);
}

/* ---- Publishing, and what others do meanwhile ------------------------------------------------------------------- */

/* The steps of a publish to a session that has been published to. */
static const enum mark publish_steps[] = {MARK_PUBLISH_BEGIN,      MARK_PUBLISH_CELL_TAKEN, MARK_PUBLISH_CELL_FILLED,
                                          MARK_PUBLISH_SLOT_FOUND, MARK_PUBLISH_CLAIMED,    MARK_PUBLISH_HINT_STORED,
                                          MARK_PUBLISH_CELL_KEPT,  MARK_PUBLISH_END};
#define PUBLISH_STEPS (sizeof(publish_steps) / sizeof(publish_steps[0]))

static bool is_published(enum mark at) {
    return at >= MARK_PUBLISH_CLAIMED;
}

struct scene {
    struct fixture fixture;
    weir_session *session;
    weir_session *other;
};

static void open_scene(struct scene *scene) {
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = DEPTH;
    config.idle_ttl_ms = TTL_MS;
    fixture_open(&scene->fixture, &config);
    scene->session = fixture_session(&scene->fixture, "s");
    scene->other = fixture_session(&scene->fixture, "other");
    publish_numbers(&scene->fixture, scene->session, 1);
    publish_numbers(&scene->fixture, scene->other, 1);
}

static void close_scene(struct scene *scene) {
    weir_session_release(scene->session);
    weir_session_release(scene->other);
    fixture_close(&scene->fixture);
}

/* Stops a publisher of `number` to scene->session. */
static void start_publisher(struct scene *scene, struct actor *actor, uint64_t number, enum mark at) {
    *actor = (struct actor){.session = scene->session, .number = number};
    start(actor, &scene->fixture, publish, at);
}

static void finish_publisher(struct actor *actor) {
    finish(actor);
    assert_int_equal(actor->status, WEIR_OK);
}

static uint64_t publish_number(struct scene *scene, uint64_t number) {
    uint64_t sequence = 0;
    assert_int_equal(weir_publish(scene->fixture.producer, scene->session, 0, &number, sizeof(number), &sequence),
                     WEIR_OK);
    return sequence;
}

/* Reads the next event, which must be that one. */
static void expect_event(weir_session *session, weir_cursor *cursor, uint64_t sequence, uint64_t number) {
    uint64_t payload = 0;
    weir_event event;
    weir_gap gap;
    assert_int_equal(weir_read(session, cursor, &payload, sizeof(payload), &event, &gap), WEIR_OK);
    assert_int_equal(event.sequence, sequence);
    assert_int_equal(payload, number);
}

/* Everything that one does with sessions, except publishing to the one where somebody stands. */
static void use_others(struct scene *scene) {
    struct fixture *fixture = &scene->fixture;
    struct listener listener;
    listener_attach(fixture, &listener, "other", DEPTH);
    send_numbers(fixture, "other", 2, 5);
    expect_live(&listener, 2, 5);
    expect_replay_since(fixture, "other", 3, 4, 5);
    listener_leave(&listener);
    weir_session *new = fixture_session(fixture, "new");
    publish_numbers(fixture, new, 1);
    assert_int_equal(weir_session_terminate(new), WEIR_OK);
    weir_session_release(new);
}

static void wk_03_a_publisher_that_stands_still_holds_up_no_other_session(void **state) {
    (void)state;
    for (size_t step = 0; step < PUBLISH_STEPS; step++) {
        struct scene scene;
        struct actor actor;
        open_scene(&scene);
        start_publisher(&scene, &actor, 2, publish_steps[step]);
        use_others(&scene);
        finish_publisher(&actor);
        assert_int_equal(actor.sequence, 2);
        close_scene(&scene);
    }
}

/* The replay has begun and is not done; the publisher laps it. */
static void wk_05_a_replay_under_way_holds_up_no_publisher(void **state) {
    (void)state;
    struct scene scene;
    weir_cursor replay;
    weir_gap gap;
    const weir_subscription oldest = {.start = WEIR_START_OLDEST};
    open_scene(&scene);
    publish_numbers(&scene.fixture, scene.session, DEPTH - 1);
    assert_int_equal(weir_replay(scene.session, &oldest, &replay, &gap), WEIR_OK);
    expect_number(scene.session, &replay, 1);
    assert_int_equal(publish_numbers(&scene.fixture, scene.session, 3), DEPTH + 3);
    expect_gap(scene.session, &replay, 2, 3);
    expect_numbers(scene.session, &replay, 4, DEPTH, WEIR_EMPTY);
    close_scene(&scene);
}

/* SEQ-09: no number is taken before its event is there, so whoever stands before that step has left no hole. */
static void wk_06_a_publisher_that_stands_still_has_taken_no_number(void **state) {
    (void)state;
    for (size_t step = 0; step < PUBLISH_STEPS; step++) {
        struct scene scene;
        struct actor actor;
        bool published = is_published(publish_steps[step]);
        open_scene(&scene);
        weir_cursor cursor = subscribe(scene.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        start_publisher(&scene, &actor, 100, publish_steps[step]);
        if (published) expect_event(scene.session, &cursor, 2, 100);
        for (uint64_t number = 2; number <= 4; number++) {
            uint64_t sequence = publish_number(&scene, number);
            assert_int_equal(sequence, number + published);
            expect_event(scene.session, &cursor, sequence, number);
        }
        finish_publisher(&actor);
        assert_int_equal(actor.sequence, published ? 2 : 5);
        if (!published) expect_event(scene.session, &cursor, 5, 100);
        expect_status(scene.session, &cursor, WEIR_EMPTY);
        weir_unsubscribe(scene.session, &cursor);
        close_scene(&scene);
    }
}

/* The sweep comes past a session in which a publisher stands, and ends the one behind it. */
static void wk_10_a_sweep_waits_for_no_publisher(void **state) {
    (void)state;
    for (size_t step = 0; step < PUBLISH_STEPS; step++) {
        struct scene scene;
        struct actor actor;
        open_scene(&scene);
        fake_clock_advance(&scene.fixture.clock, scene.fixture.engine, TTL_MS - 1);
        publish_number(&scene, 2);
        start_publisher(&scene, &actor, 3, publish_steps[step]);
        fake_clock_advance(&scene.fixture.clock, scene.fixture.engine, 1);
        struct swept swept = sweep_for(&scene.fixture, WEIR_SWEEP_IDLE, 0);
        assert_int_equal(swept.count, 1);
        assert_true(was_swept(&swept, "other", WEIR_ENDED_EXPIRED));
        finish_publisher(&actor);
        close_scene(&scene);
    }
}

/* A publisher that never comes back, as one that died in the middle: what is published after it is live and kept alike. */
static void wk_18_a_publisher_that_is_lost_leaves_live_and_replay_the_same(void **state) {
    (void)state;
    for (size_t step = 0; step < PUBLISH_STEPS; step++) {
        struct scene scene;
        struct actor actor;
        open_scene(&scene);
        weir_cursor live = subscribe(scene.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        start_publisher(&scene, &actor, 100, publish_steps[step]);
        if (is_published(publish_steps[step])) expect_event(scene.session, &live, 2, 100);
        uint64_t first = live.next;
        for (uint64_t number = first; number < first + DEPTH; number++)
            assert_int_equal(publish_number(&scene, number), number);
        expect_numbers(scene.session, &live, first, first + DEPTH - 1, WEIR_EMPTY);
        expect_replay_all(&scene.fixture, "s", first, first + DEPTH - 1);
        finish_publisher(&actor);
        weir_unsubscribe(scene.session, &live);
        close_scene(&scene);
    }
}

/* LIV-16: of two that publish at once each is told the number that its event has for every reader, live or later; so who
 * takes only what is newer than the last one misses nothing. */
static void wk_19_events_of_two_publishers_are_read_in_the_order_of_their_numbers(void **state) {
    (void)state;
    for (size_t step = 0; step < PUBLISH_STEPS; step++) {
        struct scene scene;
        struct actor actor;
        uint64_t told[8] = {0};
        open_scene(&scene);
        weir_cursor live = subscribe(scene.session, WEIR_START_NOW, WEIR_POLICY_SKIP, 0, WEIR_OK);
        start_publisher(&scene, &actor, 0, publish_steps[step]);
        for (uint64_t number = 1; number <= 2; number++)
            told[number] = publish_number(&scene, number);
        finish_publisher(&actor);
        told[0] = actor.sequence;
        told[3] = publish_number(&scene, 3);
        weir_cursor replay = subscribe(scene.session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
        expect_event(scene.session, &replay, 1, 1);
        for (uint64_t sequence = 2; sequence <= 5; sequence++) {
            uint64_t whose = 0;
            while (whose < 3 && told[whose] != sequence)
                whose++;
            expect_event(scene.session, &live, sequence, whose);
            expect_event(scene.session, &replay, sequence, whose);
        }
        weir_unsubscribe(scene.session, &live);
        weir_unsubscribe(scene.session, &replay);
        close_scene(&scene);
    }
}

/* ---- Attaching -------------------------------------------------------------------------------------------------- */

/* RPL-25: what is sent while the attach stands between its look at the ring and the moment that it is the consumer comes
 * once, whether the ring had anything for it before or not. */
static void wk_02_what_is_sent_during_an_attach_is_delivered_once(void **state) {
    (void)state;
    const enum mark steps[] = {MARK_ATTACH_DECIDED, MARK_ATTACH_LINKED};
    for (int step = 0; step < 2; step++)
        for (uint64_t missed = 0; missed <= 2; missed++) {
            struct fixture fixture;
            struct listener before;
            weir_config config = WEIR_CONFIG_INIT;
            config.replay_capacity = 16;
            fixture_open(&fixture, &config);
            listener_attach(&fixture, &before, "s", DEPTH);
            send_numbers(&fixture, "s", 1, 3);
            struct actor actor = {.session = before.session, .how = from_now(&fixture, DEPTH)};
            actor.how.start = WEIR_START_AFTER;
            actor.how.after = 3 - missed;
            start(&actor, &fixture, attach, steps[step]);
            send_numbers(&fixture, "s", 4, 5);
            finish(&actor);
            assert_int_equal(actor.status, WEIR_OK);
            send_numbers(&fixture, "s", 6, 7);
            expect_numbers(before.session, &actor.cursor, 4 - missed, 7, WEIR_EMPTY);
            weir_unsubscribe(before.session, &actor.cursor);
            listener_leave(&before);
            fixture_close(&fixture);
        }
}

/* LIV-13, BKP-13: the sender has found the consumer gone, and the session is to go with it; the client comes back first. */
static void wk_11_a_client_that_is_back_keeps_the_session_that_its_going_would_have_ended(void **state) {
    (void)state;
    struct fixture fixture;
    struct listener gone;
    struct listener back;
    weir_config config = WEIR_CONFIG_INIT;
    system_open(&fixture, WEIR_PRESET_REALTIME, config);
    listener_attach(&fixture, &gone, "s", 4);
    listener_leave(&gone);
    struct actor actor = {.number = 1};
    start(&actor, &fixture, send_one, MARK_EVICTION_DECIDED);
    listener_attach(&fixture, &back, "s", 4);
    finish(&actor);
    assert_int_equal(actor.status, WEIR_CLOSED);
    assert_true(is_known(&fixture, "s"));
    assert_int_equal(stats_of(fixture.engine).evicted_peer, 0);
    uint64_t next = back.cursor.next;
    send_number(&fixture, "s", next);
    expect_live(&back, next, next);
    listener_leave(&back);
    fixture_close(&fixture);
}

/* ---- Channels --------------------------------------------------------------------------------------------------- */

/* SUB-03: the place that a join has found free is its own from that moment on, in the channel as in the session. */
static void wk_14_a_join_that_stands_still_has_its_place_already(void **state) {
    (void)state;
    for (int of_session = 0; of_session <= 1; of_session++) {
        struct fixture fixture;
        weir_refusal refusal;
        weir_config config = WEIR_CONFIG_INIT;
        if (of_session)
            config.max_session_channels = 1;
        else
            config.max_channel_members = 1;
        fixture_open(&fixture, &config);
        weir_channel *channel = channel_of(&fixture, "c");
        weir_channel *second = of_session ? channel_of(&fixture, "d") : channel;
        weir_session *session = fixture_session(&fixture, "s");
        weir_session *other = of_session ? session : fixture_session(&fixture, "other");
        struct actor actor = {.channel = channel, .session = session};
        start(&actor, &fixture, join, MARK_CHANNEL_JOIN_BUILT);
        assert_int_equal(weir_channel_join(second, other, &refusal),
                         of_session ? WEIR_JOINS_LIMIT : WEIR_MEMBERS_LIMIT);
        assert_int_equal(refusal.limit, 1);
        assert_int_equal(refusal.current, 1);
        finish(&actor);
        assert_int_equal(actor.status, WEIR_OK);
        assert_int_equal(stats_of(fixture.engine).memberships, 1);
        assert_int_equal(weir_channel_members(channel), 1);
        if (!of_session) weir_session_release(other);
        if (of_session) weir_channel_release(second);
        weir_session_release(session);
        weir_channel_release(channel);
        fixture_close(&fixture);
    }
}

/* ---- The sweep -------------------------------------------------------------------------------------------------- */

/* TTL-12, TTL-18: a lookup is a sign of life where that is the rule, also for the sweep that has already seen none. */
static void wk_22_a_lookup_in_the_middle_of_a_sweep_keeps_the_session(void **state) {
    (void)state;
    for (int looked_up = 0; looked_up <= 1; looked_up++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.idle_ttl_ms = 2 * TTL_MS; /* by which a lookup judges; the sweep is asked for half of it */
        config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_LOOKUP;
        config.rules.idle_scope = WEIR_IDLE_ALL;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        fake_clock_advance(&fixture.clock, fixture.engine, TTL_MS);
        struct actor actor = {.status = 0};
        start(&actor, &fixture, sweep_idle, MARK_SWEEP_MARKED);
        if (looked_up) weir_session_release(find(&fixture, "s"));
        finish(&actor);
        assert_int_equal(actor.status, !looked_up);
        assert_int_equal(is_known(&fixture, "s"), looked_up);
        assert_int_equal(info_of(session).ended, looked_up ? WEIR_ENDED_NOT : WEIR_ENDED_EXPIRED);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wk_02_what_is_sent_during_an_attach_is_delivered_once),
        cmocka_unit_test(wk_03_a_publisher_that_stands_still_holds_up_no_other_session),
        cmocka_unit_test(wk_05_a_replay_under_way_holds_up_no_publisher),
        cmocka_unit_test(wk_06_a_publisher_that_stands_still_has_taken_no_number),
        cmocka_unit_test(wk_10_a_sweep_waits_for_no_publisher),
        cmocka_unit_test(wk_11_a_client_that_is_back_keeps_the_session_that_its_going_would_have_ended),
        cmocka_unit_test(wk_14_a_join_that_stands_still_has_its_place_already),
        cmocka_unit_test(wk_18_a_publisher_that_is_lost_leaves_live_and_replay_the_same),
        cmocka_unit_test(wk_19_events_of_two_publishers_are_read_in_the_order_of_their_numbers),
        cmocka_unit_test(wk_22_a_lookup_in_the_middle_of_a_sweep_keeps_the_session),
    };
    return RUN_TESTS(argc, argv, tests);
}
