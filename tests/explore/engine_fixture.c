#include "base/atomic.h"

#include "engine_fixture.h"

struct fixture *F;

static uint32_t self(void) {
    return explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
}

static uint64_t now_ns(void *context) {
    (void)context;
    return F->now_ms * 1000000;
}
static uint64_t wall_ms(void *context) {
    (void)context;
    return 1000000 + F->now_ms;
}
static int fill(void *context, void *bytes, size_t size) {
    (void)context;
    memset(bytes, 0x5A, size);
    return 0;
}

weir_config fixture_config(void) {
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 64;
    config.max_kinds = 4;
    config.max_pollers = 2;
    config.replay_capacity = 2;
    config.queue_depth = 2;
    config.max_bytes = 1 << 20;
    config.max_event_bytes = 1024;
    config.max_channels = 4;
    config.max_channel_members = 8;
    config.max_session_channels = 8;
    config.idle_ttl_ms = 10;
    config.clock.now_ns = now_ns;
    config.clock.wall_ms = wall_ms;
    config.entropy.fill = fill;
    config.allocator = explore_allocator;
    return config;
}

void fixture_begin(const weir_config *config, uint32_t sessions) {
    static const char *const names[] = {"a", "b", "c"};
    F = explore_new(sizeof(*F));
    F->now_ms = 1000;
    EXPECT(weir_engine_create(&F->engine, config) == WEIR_OK);
    for (uint32_t i = 0; i < sessions; i++)
        EXPECT(weir_session_open(F->engine, names[i], 1, WEIR_OPEN_OR_CREATE, &F->sessions[i], NULL) == WEIR_OK);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        EXPECT(weir_producer_create(F->engine, &F->producers[i]) == WEIR_OK);
}

static void wake(void *context) {
    (void)context;
    u64_add_relaxed(&F->wakes, 1);
}

void fixture_poll(uint32_t outlets) {
    weir_poller_config config = {64, wake, NULL};
    EXPECT(weir_poller_create(F->engine, &config, &F->poller) == WEIR_OK);
    for (uint32_t i = 0; i < outlets; i++)
        EXPECT(weir_outlet_open(F->poller, F->sessions[i], &F->sessions[i], &F->outlets[i]) == WEIR_OK);
}

int fixture_publish(weir_session *session) {
    uint64_t name = self() * 16 + ++F->names[self()];
    uint64_t payload[2] = {name, ~name};
    uint32_t index = explore_thread == NO_THREAD ? 3 : explore_thread;
    uint64_t sequence = 0;
    int status = weir_publish(F->producers[index], session, 0, payload, sizeof(payload), &sequence);
    if (explore_thread != NO_THREAD) F->number[self()][0] = sequence;
    return status;
}

int fixture_read(weir_session *session, weir_cursor *cursor) {
    uint64_t payload[2] = {0, 0};
    weir_event event;
    weir_gap gap;
    uint64_t before = cursor->next;
    int status = weir_read(session, cursor, payload, sizeof(payload), &event, &gap);
    if (status == WEIR_OK) {
        EXPECT(event.length == sizeof(payload) && payload[1] == ~payload[0] && event.sequence == before);
        F->read[self()]++;
    } else if (status == WEIR_GAP) {
        EXPECT(gap.lost > 0 && cursor->next > before);
        F->lost[self()] += gap.lost;
    }
    return status;
}

int fixture_read_all(weir_session *session, weir_cursor *cursor) {
    int status;
    do {
        status = fixture_read(session, cursor);
    } while (status == WEIR_OK || status == WEIR_GAP);
    return status;
}

uint64_t fixture_newest(const weir_session *session) {
    weir_session_info info;
    weir_session_info_get(session, &info);
    return info.newest;
}
