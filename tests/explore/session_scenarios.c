/* Sessions through the public functions: one session per name, exact ends, and no news that a sleeping consumer misses. */
#include "base/atomic.h"

#include "engine_fixture.h"
#include "session/engine.h"

static weir_session *session(void) {
    return F->sessions[0];
}
static uint32_t self(void) {
    return explore_thread;
}

/* ---- Names --------------------------------------------------------------------------------------------------------- */

static void nothing_open(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 0);
}
static void one_open(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 1);
}
static void open_a(void) {
    int created = 0;
    F->status[self()][0] = weir_session_open(F->engine, "a", 1, WEIR_OPEN_OR_CREATE, &F->opened[self()], &created);
    F->status[self()][1] = created;
}
static void open_a_and_publish(void) {
    open_a();
    if (F->opened[self()] != NULL) F->status[self()][2] = fixture_publish(F->opened[self()]);
}
static void open_close_a(void) {
    open_a();
    weir_session_release(F->opened[self()]);
}
static void find_a(void) {
    F->status[self()][0] = weir_session_open(F->engine, "a", 1, WEIR_OPEN_EXISTING, &F->opened[self()], NULL);
    if (F->status[self()][0] == WEIR_OK) {
        weir_session_info info;
        weir_session_info_get(F->opened[self()], &info);
        EXPECT(info.name_length == 1 && info.name[0] == 'a');
        weir_session_release(F->opened[self()]);
    }
}
static void remove_a(void) {
    F->status[self()][0] = weir_session_remove(F->engine, "a", 1);
}
static void remove_a_open_b(void) {
    weir_session *other;
    remove_a();
    weir_session_release(session()); /* the last: its memory is b's next */
    EXPECT(weir_session_open(F->engine, "b", 1, WEIR_OPEN_OR_CREATE, &other, NULL) == WEIR_OK);
    weir_session_release(other);
}
static void check_opened_once(void) {
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][0] == WEIR_OK);
    EXPECT(F->opened[0] == F->opened[1] && F->status[0][1] + F->status[1][1] == 1);
    EXPECT(fixture_publish(F->opened[0]) == WEIR_OK);
}
static void check_open_or_removed(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][0] == WEIR_OK);
    /* A session that was made beside the removed one is alive; the one that was there is not. */
    EXPECT(stats.sessions == (F->status[0][1] ? 1u : 0u));
    if (F->status[0][1]) EXPECT(F->opened[0] != session() && F->status[0][2] == WEIR_OK);
    EXPECT(weir_session_terminate(session()) == WEIR_CLOSED);
}
static void check_removed_once(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT((F->status[0][0] == WEIR_OK) + (F->status[1][0] == WEIR_OK) == 1);
    EXPECT(stats.sessions == 0 && stats.sessions_ended == 1);
}
static void check_b_there(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.sessions == 1);
}
static void shut_down(void) {
    weir_engine_shut_down(F->engine);
}
static void check_shut_down(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.sessions == 0);
    EXPECT(F->status[0][0] == WEIR_OK || F->status[0][0] == WEIR_SHUT_DOWN);
    if (F->status[0][0] == WEIR_OK) EXPECT(weir_session_terminate(F->opened[0]) == WEIR_CLOSED);
}

/* ---- Publishing, reading, ending ----------------------------------------------------------------------------------- */

static void one_published(void) {
    one_open();
    EXPECT(fixture_publish(session()) == WEIR_OK);
}
static void publish(void) {
    F->status[self()][1] = fixture_publish(session());
}
static void publish_2(void) {
    publish();
    F->number[self()][1] = F->number[self()][0];
    publish();
}
static void terminate(void) {
    F->status[self()][0] = weir_session_terminate(session());
}
static void replay(void) {
    weir_cursor *cursor = &F->cursors[self()];
    int status = weir_subscribe(session(), NULL, cursor, NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
    F->number[self()][2] = cursor->next;
    F->status[self()][3] = fixture_read_all(session(), cursor);
    weir_unsubscribe(session(), cursor);
}
static void check_two_published(void) {
    EXPECT(F->number[0][0] + F->number[1][0] == 3 && fixture_newest(session()) == 2);
}
/* What the reader got and what it was told to have lost is all up to where it stands. */
static void check_replayed(void) {
    EXPECT(F->read[1] + F->lost[1] == F->cursors[1].next - F->number[1][2]);
    EXPECT(fixture_newest(session()) == 3);
}
static void check_terminated(void) {
    uint64_t newest = fixture_newest(session());
    EXPECT(F->status[0][0] == WEIR_OK);
    EXPECT(newest == (F->status[1][1] == WEIR_OK ? 2u : 1u));
    EXPECT(fixture_publish(session()) == WEIR_CLOSED);
}
static void check_terminated_unpublished(void) {
    EXPECT(F->status[0][0] == WEIR_OK);
    EXPECT(fixture_newest(session()) == (F->status[1][1] == WEIR_OK ? 1u : 0u));
    EXPECT(fixture_publish(session()) == WEIR_CLOSED);
}
static void check_read_to_end(void) {
    EXPECT(F->read[2] + F->lost[2] == F->cursors[2].next - F->number[2][2]);
    if (F->status[2][3] == WEIR_END) EXPECT(F->cursors[2].next == fixture_newest(session()) + 1);
}
static void terminate_release(void) {
    terminate();
    weir_session_release(session());
}
static void recycle_producer(void) {
    weir_producer_destroy(F->producers[self()]);
    EXPECT(weir_producer_create(F->engine, &F->producers[self()]) == WEIR_OK);
    publish();
}
static void check_producers(void) {
    EXPECT(F->producers[0] != F->producers[1]);
    check_two_published();
}
static void make_kind(void) {
    uint32_t kind = 0;
    EXPECT(weir_kind(F->engine, "kind", 4, &kind) == WEIR_OK);
    size_t length;
    EXPECT(weir_kind_name(F->engine, kind, &length) != NULL && length == 4);
    F->number[self()][0] = kind;
}
static void check_kind(void) {
    EXPECT(F->number[0][0] == F->number[1][0] && F->number[0][0] != 0);
}

static void add_kind(void) {
    uint32_t kind = 0;
    EXPECT(weir_kind(F->engine, "kind", 4, &kind) == WEIR_OK && kind == 1);
}
/* Numbers come from anywhere: a name is whole, or not there. */
static void name_of_kind(void) {
    size_t length;
    const char *name = weir_kind_name(F->engine, 1, &length);
    if (name != NULL) EXPECT(length == 4 && name[0] == 'k' && name[3] == 'd');
}

/* ---- Wake-up ------------------------------------------------------------------------------------------------------- */

static void polled(void) {
    one_open();
    fixture_poll(1);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
}
static void polled_published(void) {
    one_published();
    fixture_poll(1);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
}
static void tell_polled(void) {
    uint64_t woken = UINT64_MAX;
    notify_set(&F->poller->notify, F->outlets[0]->place.value, &woken);
}
/* News was told already, and nobody has looked yet: publishing then has nothing to change there. */
static void polled_told(void) {
    polled();
    tell_polled();
}
static void polled_published_told(void) {
    polled_published();
    tell_polled();
}
/* Past its time, which subscribers do not keep it from. */
static void begin_expiring(void) {
    weir_config config = fixture_config();
    config.rules.idle_scope = WEIR_IDLE_ALL;
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_SEND;
    fixture_begin(&config, 1);
}
static void listen_and_expire(void) {
    fixture_poll(1);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
    tell_polled();
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
static void expiring_told(void) {
    begin_expiring();
    EXPECT(fixture_publish(session()) == WEIR_OK);
    listen_and_expire();
}
static void expiring_unpublished_told(void) {
    begin_expiring();
    listen_and_expire();
}
static void two_polled(void) {
    weir_config config = fixture_config();
    fixture_begin(&config, 2);
    fixture_poll(2);
    for (uint32_t i = 0; i < 2; i++)
        EXPECT(weir_subscribe(F->sessions[i], NULL, &F->cursors[i], NULL) == WEIR_OK);
}
static void not_yet_polled(void) {
    one_published();
    fixture_poll(0);
}
static void look(void) {
    void *users[4];
    uint32_t count = weir_poller_take(F->poller, users, 4);
    for (uint32_t i = 0; i < count; i++) {
        weir_session **which = (weir_session **)users[i];
        F->ended |= fixture_read_all(*which, &F->cursors[which - F->sessions]) == WEIR_END;
    }
}
static void consume(void) {
    look();
    F->asleep = (uint32_t)weir_poller_sleep(F->poller);
    if (!F->asleep) look();
}
static void open_outlet_and_consume(void) {
    EXPECT(weir_outlet_open(F->poller, session(), &F->sessions[0], &F->outlets[0]) == WEIR_OK);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
    consume();
}
/* As consume, a run of events at a time. */
static void consume_runs(void) {
    uint64_t payloads[4];
    weir_event events[2];
    weir_gap gap;
    void *users[4];
    for (uint32_t round = 0; round < 2 && !F->asleep; round++) {
        uint32_t count = 1;
        if (weir_poller_take(F->poller, users, 4) > 0)
            while (count > 0)
                weir_read_many(session(), &F->cursors[0], payloads, sizeof(payloads), events, 2, &count, &gap);
        F->asleep = (uint32_t)weir_poller_sleep(F->poller);
    }
}
static void no_wake(void *context) {
    (void)context;
}
/* A poller's memory serves one user after the other. */
static void use_poller(void) {
    weir_poller_config config = {64, no_wake, NULL};
    weir_poller *poller;
    weir_outlet *outlet;
    F->status[self()][0] = weir_poller_create(F->engine, &config, &poller);
    if (F->status[self()][0] != WEIR_OK) return;
    EXPECT(weir_outlet_open(poller, session(), &F->sessions[0], &outlet) == WEIR_OK);
    EXPECT(weir_outlet_user(poller, session()) == &F->sessions[0]);
    weir_outlet_close(outlet);
    weir_poller_destroy(poller);
}
static void one_poller(void) {
    weir_config config = fixture_config();
    config.max_pollers = 1;
    fixture_begin(&config, 1);
}
static void used_poller(void) {
    weir_poller_config config = {64, no_wake, NULL};
    weir_poller *poller;
    one_poller();
    EXPECT(weir_poller_create(F->engine, &config, &poller) == WEIR_OK);
    weir_poller_destroy(poller);
}
static void check_pollers(void) {
    EXPECT(F->status[0][0] == WEIR_OK || F->status[1][0] == WEIR_OK);
    EXPECT(F->status[0][0] == WEIR_OK || F->status[0][0] == WEIR_POLLERS_LIMIT);
    EXPECT(F->status[1][0] == WEIR_OK || F->status[1][0] == WEIR_POLLERS_LIMIT);
    weir_poller_config config = {64, no_wake, NULL};
    weir_poller *poller;
    EXPECT(weir_poller_create(F->engine, &config, &poller) == WEIR_OK);
}
/* What is too much for this allocator. */
static void *allocate_some(void *context, size_t size, size_t alignment) {
    return size > 1 << 18 ? NULL : explore_allocator.allocate(context, size, alignment);
}
static void one_poller_little_memory(void) {
    weir_config config = fixture_config();
    config.max_pollers = 1;
    config.allocator.allocate = allocate_some;
    fixture_begin(&config, 1);
}
static void fail_poller(void) {
    weir_poller_config config = {1 << 20, no_wake, NULL};
    weir_poller *poller;
    F->status[self()][0] = weir_poller_create(F->engine, &config, &poller);
    EXPECT(F->status[self()][0] == WEIR_NO_MEMORY || F->status[self()][0] == WEIR_POLLERS_LIMIT);
}
static void ask_statistics(void) {
    weir_stats stats;
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.wakeups == 0);
}
/* The attached consumer sleeps, and another thread cuts it off. */
static void polled_attached(void) {
    one_published();
    fixture_poll(1);
    EXPECT(weir_attach(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
}
static void detach(void) {
    EXPECT(weir_detach(session(), F->cursors[0].generation) == WEIR_OK);
}
static void check_two_pollers(void) {
    EXPECT(F->status[0][0] == WEIR_OK && F->status[1][0] == WEIR_OK);
}
static void publish_b(void) {
    F->status[self()][1] = fixture_publish(F->sessions[1]);
}
static void sweep(void) {
    weir_sweep what = {WEIR_SWEEP_IDLE, 0, 0, NULL, NULL};
    F->status[self()][0] = (int)weir_engine_sweep_for(F->engine, &what);
}
/* Whoever sleeps has read all, or has been woken and then finds the rest. */
static void check_awake(void) {
    bool behind = false;
    for (uint32_t i = 0; i < 2; i++)
        if (F->sessions[i] != NULL && F->cursors[i].next != fixture_newest(F->sessions[i]) + 1) behind = true;
    if (behind && F->asleep) EXPECT(F->wakes.value > 0);
    weir_poller_awake(F->poller);
    look();
    for (uint32_t i = 0; i < 2; i++)
        if (F->sessions[i] != NULL) EXPECT(F->cursors[i].next == fixture_newest(F->sessions[i]) + 1);
}
static void check_end_is_heard(void) {
    if (F->asleep && !F->ended) EXPECT(F->wakes.value > 0);
    weir_poller_awake(F->poller);
    look();
    EXPECT(F->ended);
}

/* ---- The sweep ----------------------------------------------------------------------------------------------------- */

static void idle(void) {
    one_published();
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
static void idle_unpublished(void) {
    one_open();
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
static void subscribe_now(void) {
    F->status[self()][1] = weir_subscribe(session(), NULL, &F->cursors[self()], NULL);
    weir_session_info info;
    weir_session_info_get(session(), &info);
    F->status[self()][2] = (int)info.ended;
}
/* Either the publish came first and the session lives, or the end did and nothing was accepted (TTL-18). */
static void check_swept_or_published(void) {
    EXPECT((F->status[0][0] == 1) == (F->status[1][1] == WEIR_CLOSED));
    EXPECT(fixture_publish(session()) == (F->status[0][0] == 1 ? WEIR_CLOSED : WEIR_OK));
}
/* A consumer that has found its session alive keeps it. */
static void check_swept_or_attached(void) {
    if (F->status[1][2] == WEIR_ENDED_NOT) EXPECT(F->status[0][0] == 0);
    EXPECT(fixture_publish(session()) == (F->status[0][0] == 1 ? WEIR_CLOSED : WEIR_OK));
}
static void one_seat(void) {
    weir_config config = fixture_config();
    config.max_session_subscribers = 1;
    fixture_begin(&config, 1);
}
static void take_seat(void) {
    F->status[self()][0] = weir_subscribe(session(), NULL, &F->cursors[self()], NULL);
}
/* A sign of life that is not a consumer: SES-15. */
static void touch(void) {
    EXPECT(weir_detach(session(), 0) == WEIR_OK);
    weir_session_info info;
    weir_session_info_get(session(), &info);
    F->status[self()][2] = (int)info.ended;
}
/* Attaching is no sign of life here, but whoever is attached keeps the session. */
static void idle_attaching_counts_not(void) {
    weir_config config = fixture_config();
    config.rules.activity = WEIR_ACTIVE_CREATE | WEIR_ACTIVE_SEND | WEIR_ACTIVE_STREAM;
    fixture_begin(&config, 1);
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
static void make_producer(void) {
    weir_stats stats;
    EXPECT(weir_producer_create(F->engine, &F->producers[self()]) == WEIR_OK);
    publish();
    weir_engine_stats(F->engine, &stats);
    EXPECT(stats.published >= 1);
}
static void check_one_seat(void) {
    EXPECT((F->status[0][0] == WEIR_OK) + (F->status[1][0] == WEIR_OK) == 1);
}

static const struct scenario scenarios[] = {
    {"session_open_open", nothing_open, {open_a, open_a}, check_opened_once},
    {"session_open_against_remove", one_open, {open_a_and_publish, remove_a}, check_open_or_removed},
    {"session_remove_against_remove", one_open, {remove_a, remove_a}, check_removed_once},
    {"session_find_against_reuse", one_open, {find_a, remove_a_open_b}, check_b_there},
    {"session_open_close_against_remove", one_open, {open_close_a, remove_a}, NULL},
    {"session_shut_down_against_open", nothing_open, {open_a, shut_down}, check_shut_down},
    {"session_first_publish_of_two", one_open, {publish, publish}, check_two_published},
    {"session_first_publish_and_read", one_open, {publish, replay}, NULL},
    {"session_replay_against_publish", one_published, {publish_2, replay}, check_replayed},
    {"session_terminate_against_publish", one_published, {terminate, publish}, check_terminated},
    {"session_terminate_unpublished", one_open, {terminate, publish}, check_terminated_unpublished},
    {"session_terminate_publish_read", one_published, {terminate, publish, replay}, check_read_to_end},
    {"session_find_against_last_release", one_published, {terminate_release, find_a}, NULL},
    {"session_producer_is_used_again", one_open, {recycle_producer, recycle_producer}, check_producers},
    {"session_kind_made_by_two", nothing_open, {make_kind, make_kind}, check_kind},
    {"session_wake_first_publish", polled, {publish, consume}, check_awake},
    {"session_wake_publish", polled_published, {publish, consume}, check_awake},
    {"session_wake_two_producers", polled_published, {publish, publish, consume}, check_awake},
    {"session_wake_two_sessions", two_polled, {publish, publish_b, consume}, check_awake},
    {"session_wake_outlet_opens", not_yet_polled, {publish, open_outlet_and_consume}, check_awake},
    {"session_wake_end", polled_published, {terminate, consume}, check_end_is_heard},
    {"session_wake_end_unpublished", polled, {terminate, consume}, check_end_is_heard},
    {"session_sweep_against_publish", idle, {sweep, publish}, check_swept_or_published},
    {"session_sweep_against_first_publish", idle_unpublished, {sweep, publish}, check_swept_or_published},
    {"session_sweep_against_subscribe", idle, {sweep, subscribe_now}, check_swept_or_attached},
    {"session_sweep_subscribe_unpublished", idle_unpublished, {sweep, subscribe_now}, check_swept_or_attached},
    {"session_sweep_against_touch", idle, {sweep, touch}, check_swept_or_attached},
    {"session_sweep_touch_unpublished", idle_unpublished, {sweep, touch}, check_swept_or_attached},
    {"session_sweep_against_seat", idle_attaching_counts_not, {sweep, subscribe_now}, check_swept_or_attached},
    {"session_producers_made", one_open, {make_producer, make_producer}, check_two_published},
    {"session_wake_first_publish_told", polled_told, {publish, consume}, check_awake},
    {"session_wake_end_unpublished_told", polled_told, {terminate, consume}, check_end_is_heard},
    {"session_wake_reading_runs", polled_told, {publish, consume_runs}, check_awake},
    {"session_wake_end_told", polled_published_told, {terminate, consume}, check_end_is_heard},
    {"session_wake_expired_told", expiring_told, {sweep, consume}, check_end_is_heard},
    {"session_wake_expired_unpublished_told", expiring_unpublished_told, {sweep, consume}, check_end_is_heard},
    {"session_wake_detached", polled_attached, {detach, consume}, check_end_is_heard},
    {"session_poller_without_memory", one_poller_little_memory, {fail_poller, use_poller}, NULL},
    {"session_poller_is_counted", one_open, {use_poller, ask_statistics}, NULL},
    {"session_kind_is_named", one_open, {add_kind, name_of_kind}, NULL},
    {"session_pollers_of_two", one_poller, {use_poller, use_poller}, check_pollers},
    {"session_poller_is_used_again", used_poller, {use_poller, use_poller}, check_pollers},
    {"session_two_pollers_listen", one_open, {use_poller, use_poller}, check_two_pollers},
    {"session_one_seat_for_two", one_seat, {take_seat, take_seat}, check_one_seat},
};
SCENARIOS(scenarios)
