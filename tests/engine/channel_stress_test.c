/* Channels at full speed: sessions that join, leave, end and are made again, under broadcasts and readers. */
#include "fixture.h"

#include <pthread.h>

#include "stress.h"

#define CHANNELS     4u
#define SESSIONS     6u
#define BROADCASTERS 2u
#define JOINERS      3u
#define READERS      1u
#define THREADS      (BROADCASTERS + JOINERS + READERS)
#define RING         16u

static uint64_t seed;

/* What is broadcast: who sent it where, and the same again as a check. Long ones go to another class of cells. */
struct parcel {
    uint64_t channel;
    uint64_t producer;
    uint64_t number;
    uint64_t check;
    uint64_t padding[60];
};

struct worker {
    pthread_t thread;
    struct fixture *fixture;
    uint32_t index;
    uint64_t rounds;
    uint64_t members;  /* offered to */
    uint64_t accepted; /* by sessions, or read from them */
    uint64_t ended;
    pthread_barrier_t *begin;
    atomic_u32
        *quit; /* NULL for those that make their rounds; the others stop when it is set, after one more round */
};

static const char *const channel_names[CHANNELS] = {"ca", "cb", "cc", "cd"};
static const char *const session_names[SESSIONS] = {"s0", "s1", "s2", "s3", "s4", "s5"};

/* Every session joins some of the channels only: whatever it gets from the others went astray. */
static bool may_join(uint64_t session, uint64_t channel) {
    return (session + channel) % 2 == 0;
}

static weir_session *open_session(weir_engine *engine, uint32_t index) {
    weir_session *session;
    REQUIRE(weir_session_open(engine, session_names[index], 2, WEIR_OPEN_OR_CREATE, &session, NULL) == WEIR_OK);
    return session;
}

static weir_channel *open_channel(weir_engine *engine, uint32_t index) {
    weir_channel *channel;
    REQUIRE(weir_channel_open(engine, channel_names[index], 2, WEIR_OPEN_OR_CREATE, &channel, NULL) == WEIR_OK);
    return channel;
}

static void broadcast(struct worker *worker, weir_producer *producer, uint64_t channel, uint64_t number) {
    struct parcel parcel = {.channel = channel, .producer = worker->index, .number = number};
    weir_broadcast result;
    parcel.check = parcel.channel ^ parcel.producer << 32 ^ ~number;
    parcel.padding[59] = parcel.check;
    weir_message message = {.data = &parcel, .length = sizeof(parcel), .keyed = number % 3 == 0, .key = parcel.check};
    if (number % 2 == 0) message.length = 4 * sizeof(uint64_t);
    REQUIRE(weir_channel_send(producer, channel_names[channel], 2, &message, &result) == WEIR_OK);
    REQUIRE(result.members == result.accepted + result.ended && result.full == 0);
    worker->members += result.members;
    worker->accepted += result.accepted;
    worker->ended += result.ended;
}

static void *run_broadcaster(void *context) {
    struct worker *worker = (struct worker *)context;
    struct random random = random_start(seed, worker->index);
    weir_producer *producer;
    uint64_t number = 0;
    REQUIRE(weir_producer_create(worker->fixture->engine, &producer) == WEIR_OK);
    pthread_barrier_wait(worker->begin);
    while (u32_load_acquire(worker->quit) == 0)
        broadcast(worker, producer, random_below(&random, CHANNELS), ++number);
    for (uint64_t channel = 0; channel < CHANNELS; channel++)
        broadcast(worker, producer, channel, ++number);
    weir_producer_destroy(producer);
    return NULL;
}

struct listed {
    uint32_t session;
    uint32_t count;
    bool seen[CHANNELS];
};

static void note_listed(void *context, weir_channel *channel) {
    struct listed *listed = (struct listed *)context;
    size_t length;
    const char *name = weir_channel_name(channel, &length);
    uint32_t index = (uint32_t)(name[1] - 'a');
    REQUIRE(length == 2 && index < CHANNELS && may_join(listed->session, index));
    listed->seen[index] = true;
    listed->count++;
}

/* A session's memberships come and go, with it and without it. */
static void *run_joiner(void *context) {
    struct worker *worker = (struct worker *)context;
    weir_engine *engine = worker->fixture->engine;
    struct random random = random_start(seed, worker->index);
    pthread_barrier_wait(worker->begin);
    for (uint64_t i = 0; i < worker->rounds; i++) {
        uint32_t s = random_below(&random, SESSIONS);
        uint32_t c = random_below(&random, CHANNELS);
        uint32_t what = random_below(&random, 64);
        weir_session *session = open_session(engine, s);
        if (what < 60) {
            weir_channel *channel = open_channel(engine, c);
            if (what < 34 && may_join(s, c)) {
                int status = weir_channel_join(channel, session, NULL);
                REQUIRE(status == WEIR_OK || status == WEIR_CLOSED);
            } else {
                int status = weir_channel_leave(channel, session);
                REQUIRE(status == WEIR_OK ? may_join(s, c) : status == WEIR_NOT_FOUND);
            }
            weir_channel_release(channel);
        } else if (what < 62) {
            struct listed listed = {.session = s};
            if (what == 60)
                weir_session_channels(session, note_listed, &listed);
            else
                REQUIRE(weir_session_leave_all(session, note_listed, &listed) == listed.count);
        } else if (what == 62) {
            weir_channel_remove(engine, channel_names[c], 2);
        } else {
            struct listed listed = {.session = s};
            weir_session_terminate(session);
            weir_session_leave_all(session, note_listed, &listed);
            REQUIRE(weir_session_leave_all(session, note_listed, &listed) == 0);
        }
        weir_session_release(session);
    }
    return NULL;
}

/* Looks through a session's ring: whole parcels, meant for it, each broadcast once, those of each producer in order. */
static void look_through(struct worker *worker, weir_session *session, uint32_t index) {
    uint64_t numbers[2 * RING];
    uint64_t last[BROADCASTERS] = {0};
    uint32_t count = 0;
    weir_cursor cursor;
    weir_gap gap;
    int status = weir_subscribe(session, NULL, &cursor, &gap);
    REQUIRE(status == WEIR_OK);
    while (count < 2 * RING) {
        struct parcel parcel;
        weir_event event;
        status = weir_read(session, &cursor, &parcel, sizeof(parcel), &event, &gap);
        if (status == WEIR_EMPTY || status == WEIR_END) break;
        if (status == WEIR_GAP) continue;
        REQUIRE(status == WEIR_OK && event.broadcast != 0);
        REQUIRE(event.length == sizeof(parcel) || event.length == 4 * sizeof(uint64_t));
        REQUIRE(parcel.check == (parcel.channel ^ parcel.producer << 32 ^ ~parcel.number));
        REQUIRE(event.length < sizeof(parcel) || parcel.padding[59] == parcel.check);
        REQUIRE(event.keyed == (parcel.number % 3 == 0) && (!event.keyed || event.key == parcel.check));
        REQUIRE(may_join(index, parcel.channel));
        REQUIRE(parcel.producer < BROADCASTERS && parcel.number > last[parcel.producer]);
        last[parcel.producer] = parcel.number;
        for (uint32_t i = 0; i < count; i++)
            REQUIRE(numbers[i] != event.broadcast);
        numbers[count++] = event.broadcast;
        worker->accepted++;
    }
    weir_unsubscribe(session, &cursor);
}

static void *run_reader(void *context) {
    struct worker *worker = (struct worker *)context;
    bool last = false;
    pthread_barrier_wait(worker->begin);
    while (!last) {
        last = u32_load_acquire(worker->quit) != 0;
        for (uint32_t s = 0; s < SESSIONS; s++) {
            weir_session *session = open_session(worker->fixture->engine, s);
            look_through(worker, session, s);
            weir_session_release(session);
        }
    }
    return NULL;
}

/* So that there is something to broadcast to, whatever the others have left. */
static void join_all(weir_engine *engine) {
    for (uint32_t s = 0; s < SESSIONS; s++)
        for (uint32_t c = 0; c < CHANNELS; c++) {
            weir_session *session = open_session(engine, s);
            weir_channel *channel = open_channel(engine, c);
            if (may_join(s, c)) assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
            weir_channel_release(channel);
            weir_session_release(session);
        }
}

/* At rest both sides say the same, and when all is ended nothing is left. */
static void check_at_rest(struct fixture *fixture, bool exclusive) {
    weir_engine *engine = fixture->engine;
    uint64_t members = 0;
    uint64_t joined = 0;
    for (uint32_t c = 0; c < CHANNELS; c++) {
        weir_channel *channel = open_channel(engine, c);
        uint32_t count = weir_channel_members(channel);
        assert_true(!exclusive || count <= 1);
        members += count;
        weir_channel_release(channel);
    }
    for (uint32_t s = 0; s < SESSIONS; s++) {
        struct listed listed = {.session = s};
        weir_session *session = open_session(engine, s);
        weir_session_channels(session, note_listed, &listed);
        assert_int_equal(listed.count, info_of(session).channels);
        joined += listed.count;
        weir_session_release(session);
    }
    assert_int_equal(members, joined);
    assert_int_equal(stats_of(engine).memberships, joined);
    printf("  %llu memberships at rest, %llu lives of sessions\n", (unsigned long long)joined,
           (unsigned long long)stats_of(engine).sessions_created);
    for (uint32_t s = 0; s < SESSIONS; s++) {
        weir_session *session = open_session(engine, s);
        weir_session_terminate(session);
        weir_session_release(session);
    }
    assert_int_equal(stats_of(engine).memberships, 0);
    assert_int_equal(stats_of(engine).channels, 0);
    assert_int_equal(stats_of(engine).sessions, 0);
}

static void end_of(const struct worker *worker) {
    pthread_join(worker->thread, NULL);
    printf("  thread %u: %llu offered, %llu accepted or read, %llu ended\n", worker->index,
           (unsigned long long)worker->members, (unsigned long long)worker->accepted,
           (unsigned long long)worker->ended);
}

static void start(struct worker *worker, void *(*run)(void *), struct fixture *fixture, pthread_barrier_t *begin,
                  atomic_u32 *quit) {
    worker->fixture = fixture;
    worker->begin = begin;
    worker->quit = quit;
    worker->rounds = scaled(3000);
    assert_int_equal(pthread_create(&worker->thread, NULL, run, worker), 0);
}

static void run_all(weir_exclusive exclusive) {
    struct fixture fixture;
    struct worker workers[THREADS];
    pthread_barrier_t begin;
    atomic_u32 joined;
    atomic_u32 sent;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 64;
    config.replay_capacity = RING;
    config.rules.exclusive = exclusive;
    fixture_open(&fixture, &config);
    u32_store_relaxed(&joined, 0);
    u32_store_relaxed(&sent, 0);
    pthread_barrier_init(&begin, NULL, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.index = i};
        if (i < BROADCASTERS)
            start(&workers[i], run_broadcaster, &fixture, &begin, &joined);
        else if (i < BROADCASTERS + JOINERS)
            start(&workers[i], run_joiner, &fixture, &begin, NULL);
        else
            start(&workers[i], run_reader, &fixture, &begin, &sent);
    }
    for (uint32_t i = BROADCASTERS; i < BROADCASTERS + JOINERS; i++)
        end_of(&workers[i]);
    join_all(fixture.engine);
    u32_store_release(&joined, 1);
    for (uint32_t i = 0; i < BROADCASTERS; i++)
        end_of(&workers[i]);
    u32_store_release(&sent, 1);
    end_of(&workers[THREADS - 1]);
    pthread_barrier_destroy(&begin);
    assert_true(workers[0].accepted > 0 && workers[THREADS - 1].accepted > 0);
    check_at_rest(&fixture, exclusive != WEIR_CHANNELS_SHARED);
    fixture_close(&fixture);
}

/* SUB-11, SUB-12, SUB-13, BRD-08 */
static void shared_channels_at_full_speed_deliver_once_and_never_astray(void **state) {
    (void)state;
    run_all(WEIR_CHANNELS_SHARED);
}

/* SUB-08, SUB-12, SUB-13, BRD-08 */
static void exclusive_channels_at_full_speed_have_one_owner(void **state) {
    (void)state;
    run_all(WEIR_CHANNELS_MOVE);
}

/* ---- One pair --------------------------------------------------------------------------------------------------- */

struct pair_worker {
    pthread_t thread;
    weir_channel *channel;
    weir_session *session;
    uint64_t rounds;
    uint64_t left;
};

static void *run_pair(void *context) {
    struct pair_worker *worker = (struct pair_worker *)context;
    for (uint64_t i = 0; i < worker->rounds; i++) {
        REQUIRE(weir_channel_join(worker->channel, worker->session, NULL) == WEIR_OK);
        REQUIRE(weir_channel_members(worker->channel) <= 4);
        if (i % 2 == 0) worker->left += weir_channel_leave(worker->channel, worker->session) == WEIR_OK;
    }
    return NULL;
}

/* SUB-11: all join and leave the same pair; a limit of one channel is enough for all of them together. */
static void one_pair_joined_by_many_at_once_is_one_membership(void **state) {
    (void)state;
    struct fixture fixture;
    struct pair_worker workers[4];
    struct listed listed = {.session = 0};
    weir_config config = WEIR_CONFIG_INIT;
    config.max_session_channels = 8; /* memberships that are being made take places, too */
    fixture_open(&fixture, &config);
    weir_channel *channel = open_channel(fixture.engine, 0);
    weir_session *session = open_session(fixture.engine, 0);
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct pair_worker){.channel = channel, .session = session, .rounds = scaled(2000)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_pair, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(workers[i].thread, NULL);
        printf("  left %llu times\n", (unsigned long long)workers[i].left);
    }
    assert_int_equal(weir_channel_join(channel, session, NULL), WEIR_OK);
    assert_int_equal(weir_channel_members(channel), 1);
    weir_session_channels(session, note_listed, &listed);
    assert_int_equal(listed.count, 1);
    assert_int_equal(stats_of(fixture.engine).memberships, 1);
    weir_channel_release(channel);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_channels_at_full_speed_deliver_once_and_never_astray),
        cmocka_unit_test(exclusive_channels_at_full_speed_have_one_owner),
        cmocka_unit_test(one_pair_joined_by_many_at_once_is_one_membership),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
