/* The plain publish (publish.c): the producers here have been at the session and have cells enough, so that weir_publish
 * takes the short way from the first operation on, and meets there what the long way meets elsewhere. */
#include "base/atomic.h"

#include "engine_fixture.h"
#include "session/engine.h"

#define BOUND  4u /* events of a session that two producers have been at */
#define LENGTH 16u
#define LARGE  120u /* one class above the smallest */

static weir_session *session(void) {
    return F->sessions[0];
}
static uint32_t self(void) {
    return explore_thread;
}

/* ---- Producers that have been there --------------------------------------------------------------------------------- */

/* A large event, of which a small one is the beginning. */
static void fill(uint64_t *payload, uint64_t name) {
    for (uint32_t i = 0; i < LARGE / 8; i++)
        payload[i] = i % 2 == 0 ? name : ~name;
}
static void check_filled(const uint64_t *payload, uint32_t length) {
    EXPECT(length == LENGTH || length == LARGE);
    for (uint32_t i = 0; i < length / 8; i++)
        EXPECT(payload[i] == (i % 2 == 0 ? payload[0] : ~payload[0]));
}
static void publish_as(uint32_t index, size_t length) {
    uint64_t payload[LARGE / 8];
    fill(payload, 100 + index);
    EXPECT(weir_publish(F->producers[index], session(), 0, payload, length, NULL) == WEIR_OK);
}
/* The next small event of this producer's goes the short way. */
static void check_plain(uint32_t index) {
    const weir_producer *producer = F->producers[index];
    EXPECT(producer->bound_epoch == session()->epoch && small_stock_turns(&producer->stock));
}
/* Two publishes bring cells enough. The first thread's producer was here last, and knows where it stands; the second one's
 * guess is two events old. */
static void bind(uint32_t producers) {
    for (uint32_t index = producers; index-- > 0;) {
        publish_as(index, LENGTH);
        publish_as(index, LENGTH);
        check_plain(index);
    }
    EXPECT(F->producers[0]->hint == fixture_newest(session()) + 1);
}

/* Cells that are in stocks and in slots: each is in one place, or the execution fails. */
static uint32_t cells_held(void) {
    static bool seen[CELL_KINDS][512];
    const struct slots *slots = session_slots(session());
    uint32_t held = 0;
    memset(seen, 0, sizeof(seen));
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        const struct cell_stock *stock = &F->producers[i]->stock;
        for (uint32_t kind = 0; kind < CELL_KINDS; kind++) {
            for (uint32_t at = stock->classes[kind].head; at != stock->classes[kind].tail; at++, held++) {
                const struct stocked_cell *cell = &stock->cells[kind][at & (STOCK_ROOM - 1)];
                uint32_t index = cell_index(cell->reference);
                EXPECT(cell_class(cell->reference) == kind && index < 512 && !seen[kind][index]);
                if (kind < CELL_DESCRIPTOR) EXPECT(cell->cell == cell_at(stock->pool, cell->reference));
                seen[kind][index] = true;
            }
        }
    }
    for (uint32_t i = 0; i <= slots->mask; i++) {
        cell_reference reference = (cell_reference)slots->words[i].value;
        if (!cell_is_cell(reference)) continue;
        EXPECT(!seen[cell_class(reference)][cell_index(reference)]);
        seen[cell_class(reference)][cell_index(reference)] = true;
        held++;
    }
    return held;
}

static void begin(const weir_config *config) {
    fixture_begin(config, 1);
    bind(2);
    F->number[3][0] = cells_held();
}
static void bound(void) {
    weir_config config = fixture_config();
    begin(&config);
}
/* Nobody brought or gave back a cell: there are as many as before, each in one place. */
static void check_cells(void) {
    EXPECT(cells_held() == F->number[3][0]);
}
/* A replay that begins now finds the whole window. */
static void check_window(void) {
    weir_cursor cursor;
    int status = weir_subscribe(session(), NULL, &cursor, NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
    cursor.next = fixture_newest(session()) - 1;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t payload[LARGE / 8];
        weir_event event;
        weir_gap gap;
        EXPECT(weir_read(session(), &cursor, payload, sizeof(payload), &event, &gap) == WEIR_OK);
        check_filled(payload, event.length);
    }
    weir_unsubscribe(session(), &cursor);
}

/* ---- What the threads do -------------------------------------------------------------------------------------------- */

static void publish(void) {
    check_plain(self());
    F->status[self()][1] = fixture_publish(session());
}
static void publish_2(void) {
    publish();
    F->number[self()][1] = F->number[self()][0];
    publish();
}
/* The other thread's producer. */
static void publish_behind(void) {
    EXPECT(self() == 1 && F->producers[1]->hint <= BOUND - 1);
    publish();
}
/* As if the publishes between an eviction and the cell's next use had been: the last cell kept is the next one. */
static void reuse_the_last(void) {
    struct cell_stock *stock = &F->producers[self()]->stock;
    struct stocked_cell *next = &stock->cells[0][stock->classes[0].head & (STOCK_ROOM - 1)];
    struct stocked_cell *last = &stock->cells[0][(stock->classes[0].tail - 1) & (STOCK_ROOM - 1)];
    struct stocked_cell kept = *next;
    *next = *last;
    *last = kept;
}
static void publish_reuse_publish(void) {
    publish();
    reuse_the_last();
    publish();
}
static void terminate(void) {
    F->status[self()][0] = weir_session_terminate(session());
}
static void sweep(void) {
    weir_sweep what = {WEIR_SWEEP_IDLE, 0, 0, NULL, NULL};
    F->status[self()][0] = (int)weir_engine_sweep_for(F->engine, &what);
}
static void begin_replay(weir_cursor *cursor) {
    const weir_subscription oldest = {.start = WEIR_START_OLDEST};
    int status = weir_subscribe(session(), &oldest, cursor, NULL);
    EXPECT(status == WEIR_OK || status == WEIR_GAP);
    F->number[self()][2] = cursor->next;
}
/* fixture_read_all, with room for large ones. */
static int read_all(weir_cursor *cursor) {
    uint64_t payload[LARGE / 8];
    weir_event event;
    weir_gap gap;
    for (;;) {
        uint64_t next = cursor->next;
        int status = weir_read(session(), cursor, payload, sizeof(payload), &event, &gap);
        if (status == WEIR_OK) {
            EXPECT(event.sequence == next);
            check_filled(payload, event.length);
            F->read[self()]++;
        } else if (status == WEIR_GAP) {
            F->lost[self()] += gap.lost;
        } else {
            return status;
        }
    }
}
static void replay(void) {
    weir_cursor *cursor = &F->cursors[self()];
    begin_replay(cursor);
    F->status[self()][3] = read_all(cursor);
    weir_unsubscribe(session(), cursor);
}
/* What a publish returned, its predecessors included, is there for whoever looks then. */
static void publish_and_look(void) {
    weir_cursor *cursor = &F->cursors[self()];
    publish();
    begin_replay(cursor);
    read_all(cursor);
    EXPECT(cursor->next > F->number[self()][0]);
    weir_unsubscribe(session(), cursor);
}
/* By runs, each event whole and in its place. */
static int read_runs(weir_cursor *cursor) {
    uint64_t payloads[32]; /* room for whole cells: the copy of read_many.c that looks at no length */
    weir_event events[2];
    weir_gap gap;
    for (;;) {
        uint32_t count;
        uint64_t next = cursor->next;
        const uint64_t *payload = payloads;
        int status = weir_read_many(session(), cursor, payloads, sizeof(payloads), events, 2, &count, &gap);
        if (status == WEIR_GAP)
            F->lost[self()] += gap.lost;
        else if (status != WEIR_OK)
            return status;
        for (uint32_t i = 0; i < count; i++, payload += events[i - 1].length / 8) {
            EXPECT(events[i].sequence == next + i);
            check_filled(payload, events[i].length);
            F->read[self()]++;
        }
    }
}
static void replay_runs(void) {
    weir_cursor *cursor = &F->cursors[self()];
    begin_replay(cursor);
    F->status[self()][3] = read_runs(cursor);
    weir_unsubscribe(session(), cursor);
}

/* ---- What must hold ------------------------------------------------------------------------------------------------- */

static void check_two(void) {
    EXPECT(F->status[0][1] == WEIR_OK && F->status[1][1] == WEIR_OK);
    EXPECT(F->number[0][0] + F->number[1][0] == 2 * BOUND + 3 && fixture_newest(session()) == BOUND + 2);
    check_window();
    check_cells();
}
static void check_three(void) {
    EXPECT(F->number[0][0] + F->number[0][1] + F->number[1][0] == 3 * BOUND + 6);
    EXPECT(F->number[0][1] < F->number[0][0] && fixture_newest(session()) == BOUND + 3);
    check_window();
    check_cells();
}
static void check_read_by(uint32_t reader) {
    EXPECT(F->read[reader] + F->lost[reader] == F->cursors[reader].next - F->number[reader][2]);
}
static void check_replayed(void) {
    check_read_by(1);
    EXPECT(fixture_newest(session()) == BOUND + 2);
    check_window();
    check_cells();
}
static void check_two_replayed(void) {
    check_read_by(2);
    check_two();
}
/* Published before the end, or refused: one or the other. */
static void check_terminated(void) {
    EXPECT(F->status[1][0] == WEIR_OK);
    EXPECT(F->status[0][1] == WEIR_OK || F->status[0][1] == WEIR_CLOSED);
    EXPECT(fixture_newest(session()) == (F->status[0][1] == WEIR_OK ? BOUND + 1 : BOUND));
    EXPECT(weir_publish(F->producers[0], session(), 0, "x", 1, NULL) == WEIR_CLOSED);
    check_cells();
}
static void check_terminated_replayed(void) {
    check_terminated();
    check_read_by(2);
    if (F->status[2][3] == WEIR_END) EXPECT(F->cursors[2].next == fixture_newest(session()) + 1);
}
static void check_swept_or_published(void) {
    EXPECT((F->status[1][0] == 1) == (F->status[0][1] == WEIR_CLOSED));
    EXPECT(weir_publish(F->producers[0], session(), 0, "x", 1, NULL) ==
           (F->status[1][0] == 1 ? WEIR_CLOSED : WEIR_OK));
    check_cells();
}
static void idle(void) {
    bound();
    F->now_ms += 100;
    weir_engine_tick(F->engine);
}
static void idle_behind(void) {
    idle();
    F->producers[0]->hint -= 2; /* two events of another's ago */
}

/* ---- The shared hint ------------------------------------------------------------------------------------------------ */

/* The next number is the eighth, which tells the others. */
static void bound_before_the_eighth(void) {
    bound();
    for (uint32_t i = 0; i < 3; i++)
        publish_as(0, LENGTH);
    EXPECT(F->producers[0]->hint == 8);
}
static void publish_eighth(void) {
    publish();
    EXPECT(F->number[0][0] == 8 || F->number[0][0] == 9);
}
/* Starts at the shared hint. */
static void publish_as_another(void) {
    uint64_t payload[2] = {7, ~7ull};
    EXPECT(weir_publish(F->producers[2], session(), 0, payload, sizeof(payload), &F->number[1][0]) == WEIR_OK);
}
static void check_eighth(void) {
    EXPECT(F->number[0][0] + F->number[1][0] == 17 && fixture_newest(session()) == 9);
    check_window();
    cells_held();
}

/* ---- Over what is not small ----------------------------------------------------------------------------------------- */

/* The oldest event is a large one that counts: half of what a session may hold of such. */
static void bound_over_counted(void) {
    weir_config config = fixture_config();
    config.max_event_bytes = LARGE;
    config.max_session_bytes = 1024 - 64;
    config.replay_capacity = 4;
    fixture_begin(&config, 1);
    EXPECT(F->engine->uncounted_below == 0); /* four places: 512 bytes are more than half */
}
/* The same where small events do not count. */
static void bound_over_large(void) {
    weir_config config = fixture_config();
    config.max_event_bytes = LARGE;
    config.max_session_bytes = 600;
    fixture_begin(&config, 1);
    EXPECT(cell_class(F->engine->uncounted_below) == 1 && F->engine->counted_limit == 344);
    bind(2);
    publish_as(0, LARGE);
    publish_as(0, LENGTH);
    F->number[3][0] = cells_held();
    EXPECT(session()->counted_bytes.value == 256);
}
/* The second large event took the first one's bytes, and left its place without an event. */
static void bound_over_evicted(void) {
    weir_config config = fixture_config();
    config.max_event_bytes = LARGE;
    config.max_session_bytes = 600;
    begin(&config);
    publish_as(0, LARGE);
    publish_as(0, LARGE);
    F->number[3][0] = cells_held();
    EXPECT((cell_reference)session_slots(session())->words[(BOUND + 1) & 1].value == CELL_EVICTED);
}
static void publish_large(void) {
    uint64_t payload[LARGE / 8];
    fill(payload, 9);
    F->status[self()][1] = weir_publish(F->producers[self()], session(), 0, payload, LARGE, &F->number[self()][0]);
}
/* Every event's bytes were put on and taken off once. */
static void check_counted(void) {
    uint64_t bytes = 0;
    const struct slots *slots = session_slots(session());
    for (uint32_t i = 0; i <= slots->mask; i++) {
        cell_reference reference = (cell_reference)slots->words[i].value;
        if (cell_is_cell(reference) && reference >= session()->uncounted_below)
            bytes += event_bytes(session(), reference);
    }
    EXPECT(session()->counted_bytes.value == bytes && bytes <= F->engine->counted_limit);
    cells_held();
}
static void check_over_large(void) {
    check_read_by(1);
    EXPECT(fixture_newest(session()) == BOUND + 3);
    check_counted();
    EXPECT(cells_held() == F->number[3][0]);
    check_window();
}
static void check_over_large_by_two(void) {
    EXPECT(F->status[0][1] == WEIR_OK && F->status[1][1] == WEIR_OK && fixture_newest(session()) == BOUND + 4);
    check_counted();
}
/* Empty events are plain even where small events count. */
static void bound_empty(void) {
    bound_over_counted();
    for (uint32_t i = 0; i < 6; i++)
        publish_as(1, 0);
    for (uint32_t i = 0; i < 6; i++)
        publish_as(0, 0);
    check_plain(0);
    check_plain(1);
}
static void publish_empty(void) {
    check_plain(self());
    F->status[self()][1] = weir_publish(F->producers[self()], session(), 0, "", 0, &F->number[self()][0]);
}
static void check_empty(void) {
    EXPECT(F->number[0][0] + F->number[1][0] == 12 * 2 + 3);
    check_counted();
}

/* Both places hold descriptors of broadcasts. */
static void bound_over_broadcasts(void) {
    uint64_t payload[2] = {100, ~100ull};
    weir_message message = {payload, sizeof(payload), 0, 0, 0};
    weir_broadcast result;
    bound();
    publish_as(0, LENGTH);
    EXPECT(weir_channel_open(F->engine, "ch", 2, WEIR_OPEN_OR_CREATE, &F->channel, NULL) == WEIR_OK);
    EXPECT(weir_channel_join(F->channel, session(), NULL) == WEIR_OK);
    for (uint32_t i = 0; i < 2; i++)
        EXPECT(weir_channel_publish(F->producers[0], F->channel, &message, &result) == WEIR_OK);
    check_plain(0);
    EXPECT(F->producers[0]->hint == BOUND + 4);
}
static void check_over_broadcasts(void) {
    check_read_by(1);
    EXPECT(fixture_newest(session()) == BOUND + 5);
    check_window();
    cells_held();
}

/* ---- Wake-up -------------------------------------------------------------------------------------------------------- */

static void listen(void) {
    fixture_poll(1);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
}
static void polled(void) {
    bound();
    listen();
}
static void polled_told(void) {
    uint64_t woken = UINT64_MAX;
    polled();
    notify_set(&F->poller->notify, F->outlets[0]->place.value, &woken);
}
static void polled_over_large(void) {
    bound_over_large();
    publish_as(0, LARGE);
    publish_as(0, LENGTH);
    listen();
}
static void look(void) {
    void *users[4];
    if (weir_poller_take(F->poller, users, 4) > 0)
        F->ended |= fixture_read_all(session(), &F->cursors[0]) == WEIR_END;
}
static void consume(void) {
    look();
    F->asleep = (uint32_t)weir_poller_sleep(F->poller);
    if (!F->asleep) look();
}
static void not_yet_polled(void) {
    bound();
    fixture_poll(0);
}
static void open_outlet_and_consume(void) {
    EXPECT(weir_outlet_open(F->poller, session(), &F->sessions[0], &F->outlets[0]) == WEIR_OK);
    EXPECT(weir_subscribe(session(), NULL, &F->cursors[0], NULL) == WEIR_OK);
    fixture_read_all(session(), &F->cursors[0]);
    consume();
}
static void consume_runs(void) {
    void *users[4];
    for (uint32_t round = 0; round < 2 && !F->asleep; round++) {
        if (weir_poller_take(F->poller, users, 4) > 0) read_runs(&F->cursors[0]);
        F->asleep = (uint32_t)weir_poller_sleep(F->poller);
    }
}
/* Whoever sleeps has read all, or has been woken and then finds the rest. */
static void check_awake(void) {
    bool behind = F->cursors[0].next != fixture_newest(session()) + 1;
    if (behind && F->asleep) EXPECT(F->wakes.value > 0);
    weir_poller_awake(F->poller);
    look();
    EXPECT(F->cursors[0].next == fixture_newest(session()) + 1);
}

/* ---- A session's memory has another one ----------------------------------------------------------------------------- */

static void bound_twice_open(void) {
    weir_session *again;
    bound();
    EXPECT(weir_session_open(F->engine, "a", 1, WEIR_OPEN_EXISTING, &again, NULL) == WEIR_OK);
    EXPECT(again == session());
}
static void publish_in_b(void) {
    weir_session *other;
    weir_session_release(session());
    EXPECT(weir_session_open(F->engine, "b", 1, WEIR_OPEN_OR_CREATE, &other, NULL) == WEIR_OK);
    F->opened[self()] = other;
    EXPECT(fixture_publish(other) == WEIR_OK);
}
static void publish_in_a_and_b(void) {
    publish();
    publish_in_b();
}
static void end_a_publish_in_b(void) {
    terminate();
    publish_in_b();
}
static void check_b(void) {
    weir_cursor *cursor = &F->cursors[2];
    EXPECT(F->opened[0] == F->opened[1] && fixture_newest(F->opened[0]) == 2);
    EXPECT(F->number[0][0] + F->number[1][0] == 3);
    const weir_subscription oldest = {.start = WEIR_START_OLDEST};
    EXPECT(weir_subscribe(F->opened[0], &oldest, cursor, NULL) == WEIR_OK);
    EXPECT(fixture_read_all(F->opened[0], cursor) == WEIR_EMPTY && cursor->next == 3);
}

/* ---- Attaching ------------------------------------------------------------------------------------------------------ */

static void attach_read(void) {
    weir_cursor *cursor = &F->cursors[self()];
    weir_subscription how;
    weir_subscription_init(F->engine, &how);
    how.start = WEIR_START_NOW;
    EXPECT(weir_attach(session(), &how, cursor, NULL) == WEIR_OK);
    F->number[self()][2] = cursor->next;
    F->status[self()][3] = fixture_read_all(session(), cursor);
}
/* Whatever was published beside the attach is the consumer's, too; and the next publish is one for it. */
static void check_attached(void) {
    weir_cursor *cursor = &F->cursors[1];
    EXPECT(F->status[0][1] == WEIR_OK && fixture_read_all(session(), cursor) == WEIR_EMPTY);
    EXPECT(F->read[1] + F->lost[1] + F->read[THREADS_MAX] + F->lost[THREADS_MAX] == cursor->next - F->number[1][2]);
    EXPECT(cursor->next == BOUND + 2);
    check_window();
    check_cells();
}
/* A consumer that has room for one event, and has it. */
static void refusing(void) {
    weir_subscription how;
    bound();
    weir_subscription_init(F->engine, &how);
    how.policy = WEIR_POLICY_REFUSE;
    how.queue_depth = 1;
    EXPECT(weir_attach(session(), &how, &F->cursors[3], NULL) == WEIR_OK);
    EXPECT(fixture_read_all(session(), &F->cursors[3]) == WEIR_EMPTY);
    publish_as(0, LENGTH);
    check_plain(0);
    check_plain(1);
}
static void read_attached(void) {
    F->status[self()][3] = fixture_read_all(session(), &F->cursors[3]);
}
static void check_refused(void) {
    uint32_t accepted = (F->status[0][1] == WEIR_OK) + (F->status[1][1] == WEIR_OK);
    EXPECT(accepted <= 1 || F->read[2] > 0);
    EXPECT(fixture_read_all(session(), &F->cursors[3]) == WEIR_EMPTY && F->lost[THREADS_MAX] + F->lost[2] == 0);
    EXPECT(F->cursors[3].next == BOUND + 2 + accepted);
    check_cells();
}

static const struct scenario scenarios[] = {
    {"session_plain_two_producers", bound, {publish, publish_behind}, check_two},
    {"session_plain_two_and_a_reader", bound, {publish, publish_behind, replay}, check_two_replayed},
    {"session_plain_three_by_two", bound, {publish_2, publish_behind}, check_three},
    {"session_plain_predecessors", bound, {publish_and_look, publish_and_look}, check_two},
    {"session_plain_against_terminate", bound, {publish, terminate}, check_terminated},
    {"session_plain_terminate_read", bound, {publish, terminate, replay}, check_terminated_replayed},
    {"session_plain_against_sweep", idle, {publish, sweep}, check_swept_or_published},
    {"session_plain_behind_against_sweep", idle_behind, {publish, sweep}, check_swept_or_published},
    {"session_plain_against_replay", bound, {publish_2, replay}, check_replayed},
    {"session_plain_against_runs", bound, {publish_2, replay_runs}, check_replayed},
    {"session_plain_reuse_against_replay", bound, {publish_reuse_publish, replay}, check_replayed},
    {"session_plain_reuse_against_runs", bound, {publish_reuse_publish, replay_runs}, check_replayed},
    {"session_plain_tells_the_hint", bound_before_the_eighth, {publish_eighth, publish_as_another}, check_eighth},
    {"session_plain_over_large", bound_over_large, {publish, replay}, check_over_large},
    {"session_plain_over_evicted", bound_over_evicted, {publish, replay}, check_over_large},
    {"session_plain_over_large_by_two", bound_over_large, {publish, publish_large}, check_over_large_by_two},
    {"session_plain_empty_where_all_counts", bound_empty, {publish_empty, publish_empty}, check_empty},
    {"session_plain_wake", polled, {publish, consume}, check_awake},
    {"session_plain_wake_outlet_opens", not_yet_polled, {publish, open_outlet_and_consume}, check_awake},
    {"session_plain_wake_outlet_opens_behind",
     not_yet_polled,
     {open_outlet_and_consume, publish_behind},
     check_awake},
    {"session_plain_wake_told", polled_told, {publish, consume}, check_awake},
    {"session_plain_wake_behind", polled, {consume, publish_behind}, check_awake},
    {"session_plain_wake_behind_told", polled_told, {consume, publish_behind}, check_awake},
    {"session_plain_wake_two_producers", polled, {publish, publish_behind, consume}, check_awake},
    {"session_plain_wake_over_large", polled_over_large, {publish, consume}, check_awake},
    {"session_plain_wake_reading_runs", polled_told, {publish, consume_runs}, check_awake},
    {"session_plain_in_old_memory", bound_twice_open, {publish_in_a_and_b, end_a_publish_in_b}, check_b},
    {"attach_plain_against_publish", bound, {publish, attach_read}, check_attached},
    {"attach_plain_refuse_never_loses", refusing, {publish, publish, read_attached}, check_refused},
    {"channel_plain_over_broadcasts", bound_over_broadcasts, {publish_reuse_publish, replay}, check_over_broadcasts},
};
SCENARIOS(scenarios)
