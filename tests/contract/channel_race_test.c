/* Channels: what races with a join, a leave or a broadcast, played step by step. A thread is stopped at a marked step,
 * others do what could get in its way, and it goes on. Nothing here waits for time. */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mark.h"
#include "channels.h"

/* ---- A thread that stops ---------------------------------------------------------------------------------------- */

struct actor {
    pthread_t thread;
    void (*act)(struct actor *actor);
    weir_engine *engine;
    weir_channel *channel;
    weir_session *session;
    weir_producer *producer;
    int status; /* what the act came to */
    weir_broadcast result;
    enum mark at;
    uint32_t passes; /* of the mark before it stops */
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
    if (actor == NULL || mark != actor->at || actor->passes-- > 0) return;
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

/* Has the actor begin, up to that step, which it must come by once more than `passes` times. */
static void start(struct actor *actor, struct fixture *fixture, void (*act)(struct actor *), enum mark at,
                  uint32_t passes) {
    actor->act = act;
    actor->at = at;
    actor->passes = passes;
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

static void open_it(struct actor *actor) {
    actor->status = weir_channel_open(actor->engine, "opened", 6, WEIR_OPEN_OR_CREATE, &actor->channel, NULL);
}

static void join(struct actor *actor) {
    actor->status = weir_channel_join(actor->channel, actor->session, NULL);
}

static void leave(struct actor *actor) {
    actor->status = weir_channel_leave(actor->channel, actor->session);
}

static void terminate(struct actor *actor) {
    actor->status = weir_session_terminate(actor->session);
}

static void publish(struct actor *actor) {
    const weir_message message = {.data = "broadcast", .length = 9};
    actor->status = weir_channel_publish(actor->producer, actor->channel, &message, &actor->result);
}

/* ---- The scene -------------------------------------------------------------------------------------------------- */

struct scene {
    struct fixture fixture;
    weir_channel *channel;
    weir_session *session;
    weir_session *other;
};

static void open_scene(struct scene *scene, weir_exclusive exclusive) {
    open_with(&scene->fixture, exclusive);
    scene->channel = channel_of(&scene->fixture, "c");
    scene->session = fixture_session(&scene->fixture, "s");
    scene->other = fixture_session(&scene->fixture, "other");
}

static void close_scene(struct scene *scene) {
    weir_channel_release(scene->channel);
    weir_session_release(scene->session);
    weir_session_release(scene->other);
    fixture_close(&scene->fixture);
}

/* Both sides say the same. */
static void check_members(struct scene *scene, uint32_t members) {
    assert_int_equal(weir_channel_members(scene->channel), members);
    assert_int_equal(stats_of(scene->fixture.engine).memberships, members);
    assert_int_equal(info_of(scene->session).channels + info_of(scene->other).channels, members);
}

static const enum mark join_steps[] = {MARK_CHANNEL_JOIN_BEGUN, MARK_CHANNEL_JOIN_BUILT, MARK_CHANNEL_JOIN_INSERTED,
                                       MARK_CHANNEL_JOIN_DRAWN, MARK_CHANNEL_JOIN_CHECKED};
#define JOIN_STEPS (sizeof(join_steps) / sizeof(join_steps[0]))

/* WK-13: whoever makes a channel and is stopped before it says so delays nobody, and there is one channel of the name. */
static void a_channel_whose_maker_is_stopped_is_everybodys(void **state) {
    (void)state;
    struct scene scene;
    weir_channel *channel;
    int created = 1;
    open_scene(&scene, WEIR_CHANNELS_SHARED);
    struct actor opener = {.engine = scene.fixture.engine};
    start(&opener, &scene.fixture, open_it, MARK_CHANNEL_OPEN_INSERTED, 0);
    assert_int_equal(weir_channel_open(opener.engine, "opened", 6, WEIR_OPEN_OR_CREATE, &channel, &created), WEIR_OK);
    assert_int_equal(created, 0);
    assert_int_equal(weir_channel_join(channel, scene.session, NULL), WEIR_OK);
    finish(&opener);
    assert_int_equal(opener.status, WEIR_OK);
    assert_ptr_equal(opener.channel, channel);
    assert_int_equal(weir_channel_members(opener.channel), 1);
    weir_channel_release(opener.channel);
    weir_channel_release(channel);
    close_scene(&scene);
}

/* ---- Joining ---------------------------------------------------------------------------------------------------- */

/* SUB-12: wherever the join stands when the session ends, there is no trace of it afterwards. */
static void sub_12_a_session_that_ends_during_a_join_leaves_no_membership(void **state) {
    (void)state;
    for (int exclusive = WEIR_CHANNELS_SHARED; exclusive <= WEIR_CHANNELS_MOVE; exclusive++)
        for (size_t step = 0; step < JOIN_STEPS; step++) {
            struct scene scene;
            if (exclusive && (step == 1 || step == 2)) continue; /* an exclusive channel has no map to get into */
            open_scene(&scene, (weir_exclusive)exclusive);
            struct actor joiner = {.channel = scene.channel, .session = scene.session};
            start(&joiner, &scene.fixture, join, join_steps[step], 0);
            assert_int_equal(weir_session_terminate(scene.session), WEIR_OK);
            finish(&joiner);
            assert_int_equal(joiner.status, WEIR_CLOSED);
            check_members(&scene, 0);
            expect_left(scene.session, "");
            assert_int_equal(publish_to(&scene.fixture, scene.channel, "x").members, 0);
            assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK);
            close_scene(&scene);
        }
}

/* SUB-12, the other way round: the end stands between its own step and what it does to the memberships. */
static void sub_12_a_session_whose_end_is_under_way_cannot_be_joined(void **state) {
    (void)state;
    struct scene scene;
    open_scene(&scene, WEIR_CHANNELS_SHARED);
    weir_channel *another = channel_of(&scene.fixture, "another");
    assert_int_equal(weir_channel_join(another, scene.session, NULL), WEIR_OK);
    struct actor ender = {.session = scene.session};
    start(&ender, &scene.fixture, terminate, MARK_CHANNEL_LEAVE_DECIDED, 0);
    assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_CLOSED);
    assert_int_equal(weir_channel_leave(another, scene.session), WEIR_NOT_FOUND);
    assert_int_equal(publish_to(&scene.fixture, another, "x").members, 0);
    expect_left(scene.session, "another"); /* told while its end still cleans up behind it */
    weir_channel_release(another);
    finish(&ender);
    expect_left(scene.session, "");
    assert_int_equal(stats_of(scene.fixture.engine).channels, 1);
    check_members(&scene, 0);
    close_scene(&scene);
}

/* SUB-11: a join that is stopped anywhere holds up no other one of the same pair, and they make one membership. */
static void sub_11_a_stopped_join_is_finished_by_another_of_the_same_pair(void **state) {
    (void)state;
    for (size_t step = 0; step < JOIN_STEPS; step++)
        for (int leaves = 0; leaves < 2; leaves++) {
            struct scene scene;
            open_scene(&scene, WEIR_CHANNELS_SHARED);
            struct actor joiner = {.channel = scene.channel, .session = scene.session};
            start(&joiner, &scene.fixture, join, join_steps[step], 0);
            assert_int_equal(weir_channel_leave(scene.channel, scene.session), WEIR_NOT_FOUND);
            assert_int_equal(publish_to(&scene.fixture, scene.channel, "nobody yet").members, 0);
            assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
            assert_int_equal(publish_to(&scene.fixture, scene.channel, "x").accepted, 1);
            expect_channels_named(scene.session, "c");
            if (leaves) assert_int_equal(weir_channel_leave(scene.channel, scene.session), WEIR_OK);
            if (leaves) assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK);
            finish(&joiner);
            assert_int_equal(joiner.status, WEIR_OK);
            /* Stopped before it was in the map it has joined after the leave; later on it was the one that left. */
            bool again = leaves && step < 2;
            check_members(&scene, again ? 2 : 1);
            expect_channels(scene.session, !leaves || again ? "c" : "");
            close_scene(&scene);
        }
}

/* ---- Leaving ---------------------------------------------------------------------------------------------------- */

/* SUB-13: the leave has happened and has not cleaned up yet; what is joined meanwhile is not its to clean up. */
static void sub_13_a_late_clean_up_takes_nothing_from_the_next_membership(void **state) {
    (void)state;
    for (int exclusive = WEIR_CHANNELS_SHARED; exclusive <= WEIR_CHANNELS_MOVE; exclusive++)
        for (int ending = 0; ending < 2; ending++)
            for (int again = 0; again < 2; again++) {
                struct scene scene;
                if (ending && again) continue; /* an ended session joins nothing */
                open_scene(&scene, (weir_exclusive)exclusive);
                weir_session *next = again ? scene.session : scene.other;
                assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
                struct actor leaver = {.channel = scene.channel, .session = scene.session};
                start(&leaver, &scene.fixture, ending ? terminate : leave, MARK_CHANNEL_LEAVE_DECIDED, 0);
                assert_int_equal(publish_to(&scene.fixture, scene.channel, "nobody").members, 0);
                assert_int_equal(weir_channel_join(scene.channel, next, NULL), WEIR_OK);
                finish(&leaver);
                assert_int_equal(leaver.status, WEIR_OK);
                check_members(&scene, 1);
                expect_channels(next, "c");
                weir_broadcast result = publish_to(&scene.fixture, scene.channel, "x");
                check_result(&result, 1, 1, 0, 0);
                expect_only(next, "x", result.number);
                assert_int_equal(weir_channel_leave(scene.channel, next), WEIR_OK);
                check_members(&scene, 0);
                close_scene(&scene);
            }
}

/* SUB-13: the channel has moved to B, and A, which was removed at that moment, ends before that is cleaned up. */
static void sub_13_the_end_of_a_session_that_lost_its_channel_leaves_it_to_the_other(void **state) {
    (void)state;
    struct scene scene;
    open_scene(&scene, WEIR_CHANNELS_MOVE);
    assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
    struct actor mover = {.channel = scene.channel, .session = scene.other};
    start(&mover, &scene.fixture, join, MARK_CHANNEL_MOVED, 0);
    expect_channels_named(scene.session, "");
    expect_channels_named(scene.other, "c");
    assert_int_equal(weir_channel_leave(scene.channel, scene.session), WEIR_NOT_FOUND);
    assert_int_equal(weir_session_terminate(scene.session), WEIR_OK);
    expect_left(scene.session, ""); /* it had lost it before it ended */
    weir_broadcast result = publish_to(&scene.fixture, scene.channel, "to the other");
    check_result(&result, 1, 1, 0, 0);
    finish(&mover);
    assert_int_equal(mover.status, WEIR_OK);
    check_members(&scene, 1);
    expect_only(scene.other, "to the other", result.number);
    close_scene(&scene);
}

/* ---- Broadcasting ----------------------------------------------------------------------------------------------- */

static uint64_t copies_in(weir_session *session) {
    return info_of(session).published;
}

/* BRD-08: the member leaves and joins again while the broadcast stands before, in, or behind its turn; its new place is
 * one that the broadcast comes to later. One copy where the broadcast had the session in hand, else none. */
static void brd_08_a_member_that_leaves_and_joins_again_meanwhile_gets_one_copy_at_most(void **state) {
    (void)state;
    static const struct {
        enum mark at;
        uint64_t copies;
    } steps[] = {
        {MARK_CHANNEL_BROADCAST_DRAWN, 0}, {MARK_CHANNEL_MEMBER_SEEN, 0},    {MARK_CHANNEL_MEMBER_HELD, 1},
        {MARK_CHANNEL_BODY_STORED, 1},     {MARK_CHANNEL_MEMBER_OFFERED, 1},
    };
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        struct scene scene;
        open_scene(&scene, WEIR_CHANNELS_SHARED);
        weir_session *third = fixture_session(&scene.fixture, "third");
        weir_session *filler = fixture_session(&scene.fixture, "filler");
        assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(scene.channel, third, NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(scene.channel, filler, NULL), WEIR_OK);
        assert_int_equal(weir_channel_leave(scene.channel, filler), WEIR_OK); /* the third place is free */
        struct actor publisher = {.channel = scene.channel};
        start(&publisher, &scene.fixture, publish, steps[step].at, 0);
        assert_int_equal(weir_channel_leave(scene.channel, scene.session), WEIR_OK);
        assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK); /* takes the first place */
        assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
        finish(&publisher);
        assert_int_equal(publisher.status, WEIR_OK);
        assert_int_equal(copies_in(scene.session), steps[step].copies);
        assert_int_equal(copies_in(scene.other), 0);
        assert_int_equal(copies_in(third), 1);
        check_result(&publisher.result, (uint32_t)steps[step].copies + 1, (uint32_t)steps[step].copies + 1, 0, 0);
        weir_broadcast result = publish_to(&scene.fixture, scene.channel, "after");
        check_result(&result, 3, 3, 0, 0);
        weir_session_release(third);
        weir_session_release(filler);
        close_scene(&scene);
    }
}

/* BRD-08: the session is gone, and its memory another's, which is a member of the same channel or of none, before the
 * broadcast takes hold of it. */
static void brd_08_a_session_in_the_memory_of_a_former_member_gets_nothing(void **state) {
    (void)state;
    for (int joins = 0; joins < 2; joins++)
        for (int exclusive = WEIR_CHANNELS_SHARED; exclusive <= WEIR_CHANNELS_MOVE; exclusive++) {
            struct fixture fixture;
            weir_config config = WEIR_CONFIG_INIT;
            weir_session *next;
            config.max_sessions = 1;
            config.rules.exclusive = (weir_exclusive)exclusive;
            fixture_open(&fixture, &config);
            weir_channel *channel = channel_of(&fixture, "c");
            weir_session *session = fixture_session(&fixture, "s");
            assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
            struct actor publisher = {.channel = channel};
            start(&publisher, &fixture, publish, MARK_CHANNEL_MEMBER_SEEN, 0);
            assert_int_equal(weir_session_terminate(session), WEIR_OK);
            weir_session_release(session);
            assert_int_equal(weir_session_open(fixture.engine, "next", 4, WEIR_OPEN_OR_CREATE, &next, NULL), WEIR_OK);
            assert_ptr_equal(next, session);
            if (joins) assert_int_equal(weir_channel_join(channel, next, NULL), WEIR_OK);
            finish(&publisher);
            /* Whoever has an exclusive channel when the broadcast comes to it is its receiver. */
            uint32_t copies = joins && exclusive ? 1 : 0;
            check_result(&publisher.result, copies, copies, 0, 0);
            assert_int_equal(copies_in(next), copies);
            weir_session_release(next);
            weir_channel_release(channel);
            fixture_close(&fixture);
        }
}

/* BRD-08, BRD-03: held by the broadcast, the session ends, and nobody else holds it. */
static void brd_08_a_member_that_ends_in_the_hands_of_a_broadcast_is_counted_as_ended(void **state) {
    (void)state;
    struct scene scene;
    open_scene(&scene, WEIR_CHANNELS_SHARED);
    assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK);
    struct actor publisher = {.channel = scene.channel};
    start(&publisher, &scene.fixture, publish, MARK_CHANNEL_MEMBER_HELD, 0);
    assert_int_equal(weir_session_terminate(scene.session), WEIR_OK);
    weir_session_release(scene.session);
    finish(&publisher);
    check_result(&publisher.result, 2, 1, 0, 1);
    scene.session = fixture_session(&scene.fixture, "s");
    check_members(&scene, 1);
    close_scene(&scene);
}

/* SUB-08: at every moment of a move the channel is one session's, and a broadcast goes to whoever that is. */
static void sub_08_a_broadcast_during_a_move_goes_to_exactly_one(void **state) {
    (void)state;
    static const enum mark steps[] = {MARK_CHANNEL_BROADCAST_DRAWN, MARK_CHANNEL_MEMBER_SEEN,
                                      MARK_CHANNEL_MEMBER_HELD, MARK_CHANNEL_BODY_STORED,
                                      MARK_CHANNEL_MEMBER_OFFERED};
    for (size_t step = 0; step < sizeof(steps) / sizeof(steps[0]); step++) {
        struct scene scene;
        open_scene(&scene, WEIR_CHANNELS_MOVE);
        assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
        struct actor publisher = {.channel = scene.channel};
        start(&publisher, &scene.fixture, publish, steps[step], 0);
        assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK);
        finish(&publisher);
        check_result(&publisher.result, 1, 1, 0, 0);
        bool moved_first = step < 2;
        assert_int_equal(copies_in(scene.session), !moved_first);
        assert_int_equal(copies_in(scene.other), moved_first);
        check_members(&scene, 1);
        close_scene(&scene);
    }
}

/* SUB-08: the channel has moved, and who lost it is still to be removed, when the broadcast takes hold of that one. */
static void sub_08_a_broadcast_passes_on_from_who_has_just_lost_the_channel(void **state) {
    (void)state;
    struct scene scene;
    open_scene(&scene, WEIR_CHANNELS_MOVE);
    assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
    struct actor publisher = {.channel = scene.channel};
    struct actor mover = {.channel = scene.channel, .session = scene.other};
    start(&publisher, &scene.fixture, publish, MARK_CHANNEL_MEMBER_SEEN, 0);
    start(&mover, &scene.fixture, join, MARK_CHANNEL_MOVED, 0);
    finish(&publisher);
    check_result(&publisher.result, 1, 1, 0, 0);
    assert_int_equal(copies_in(scene.session), 0);
    assert_int_equal(copies_in(scene.other), 1);
    finish(&mover);
    check_members(&scene, 1);
    close_scene(&scene);
}

/* BRD-07: a broadcast that is stopped anywhere stops no other one, and no leave. */
static void brd_07_a_stopped_broadcast_delays_nobody(void **state) {
    (void)state;
    for (int at = MARK_PUBLISH_SLOT_FOUND; at < MARK_COUNT; at++) {
        bool on_the_way = at == MARK_PUBLISH_SLOT_FOUND || at == MARK_PUBLISH_CLAIMED ||
                          at == MARK_PUBLISH_HINT_STORED || at == MARK_PUBLISH_CELL_KEPT ||
                          (at >= MARK_CHANNEL_BROADCAST_DRAWN && at <= MARK_CHANNEL_MEMBER_OFFERED);
        if (!on_the_way) continue;
        struct scene scene;
        open_scene(&scene, WEIR_CHANNELS_SHARED);
        assert_int_equal(weir_channel_join(scene.channel, scene.session, NULL), WEIR_OK);
        assert_int_equal(weir_channel_join(scene.channel, scene.other, NULL), WEIR_OK);
        struct actor publisher = {.channel = scene.channel};
        start(&publisher, &scene.fixture, publish, (enum mark)at, 0);
        for (int i = 0; i < 40; i++) { /* more than a ring: what it has published is evicted under it */
            weir_broadcast result = publish_to(&scene.fixture, scene.channel, "x");
            check_result(&result, 2, 2, 0, 0);
        }
        assert_int_equal(weir_channel_leave(scene.channel, scene.other), WEIR_OK);
        finish(&publisher);
        assert_int_equal(copies_in(scene.session), 41);
        assert_in_range(copies_in(scene.other), 40, 41);
        close_scene(&scene);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_channel_whose_maker_is_stopped_is_everybodys),
        cmocka_unit_test(sub_12_a_session_that_ends_during_a_join_leaves_no_membership),
        cmocka_unit_test(sub_12_a_session_whose_end_is_under_way_cannot_be_joined),
        cmocka_unit_test(sub_11_a_stopped_join_is_finished_by_another_of_the_same_pair),
        cmocka_unit_test(sub_13_a_late_clean_up_takes_nothing_from_the_next_membership),
        cmocka_unit_test(sub_13_the_end_of_a_session_that_lost_its_channel_leaves_it_to_the_other),
        cmocka_unit_test(brd_08_a_member_that_leaves_and_joins_again_meanwhile_gets_one_copy_at_most),
        cmocka_unit_test(brd_08_a_session_in_the_memory_of_a_former_member_gets_nothing),
        cmocka_unit_test(brd_08_a_member_that_ends_in_the_hands_of_a_broadcast_is_counted_as_ended),
        cmocka_unit_test(sub_08_a_broadcast_during_a_move_goes_to_exactly_one),
        cmocka_unit_test(sub_08_a_broadcast_passes_on_from_who_has_just_lost_the_channel),
        cmocka_unit_test(brd_07_a_stopped_broadcast_delays_nobody),
    };
    return RUN_TESTS(argc, argv, tests);
}
