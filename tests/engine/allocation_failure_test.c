/* The allocator fails at its n-th call, for every n that a life of an engine comes to: whatever was asked for is
 * refused with an error, nothing is lost or leaked, and the next try works. */
#include "fixture.h"

#include <stdio.h>

struct life {
    struct counting_allocator memory;
    weir_engine *engine;
    weir_session *sessions[2];
    weir_producer *producer;
    weir_poller *poller;
    weir_outlet *outlets[2];
    uint32_t kind;
    uint64_t failures;
};

static void wake_nobody(void *context) {
    (void)context;
}

/* The one failure that is planned must show as WEIR_NO_MEMORY; the second try meets an allocator that works again. */
#define TRY_TWICE(life, call)                                                                                        \
    do {                                                                                                             \
        int status_ = (call);                                                                                        \
        if (status_ == WEIR_NO_MEMORY) {                                                                             \
            (life)->failures++;                                                                                      \
            status_ = (call);                                                                                        \
        }                                                                                                            \
        assert_string_equal(weir_status_name(status_), "WEIR_OK");                                                   \
    } while (0)

static void publish_all_sizes(struct life *life, weir_session *session) {
    static const size_t lengths[] = {10, 200, 500, 1000, 2000, 70000};
    static char data[70000];
    for (uint64_t i = 0; i < 6; i++) {
        uint64_t sequence = 0;
        TRY_TWICE(life, weir_publish(life->producer, session, life->kind, data, lengths[i], &sequence));
        assert_int_equal(sequence, i + 1); /* the refused try took no number */
    }
    for (uint64_t i = 0; i < 600; i++)
        TRY_TWICE(life, weir_publish(life->producer, session, 0, data, 10, NULL));
}

static void read_everything(struct life *life, weir_session *session) {
    static char buffer[70000];
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    weir_session_info info = info_of(session);
    TRY_TWICE(life, weir_subscribe(session, NULL, &cursor, &gap));
    for (uint64_t sequence = info.oldest; sequence <= info.newest; sequence++) {
        assert_int_equal(weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
        assert_int_equal(event.sequence, sequence);
    }
    assert_int_equal(weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_EMPTY);
    weir_unsubscribe(session, &cursor);
}

static void live(struct life *life, uint64_t fail_at) {
    static const char *const names[] = {"one", "two"};
    memset(life, 0, sizeof(*life));
    weir_config config = WEIR_CONFIG_INIT;
    weir_poller_config poller_config = {100, wake_nobody, NULL};
    config.allocator = counting_allocator_of(&life->memory);
    config.max_sessions = 64;
    u64_store_relaxed(&life->memory.fail_at, fail_at);

    TRY_TWICE(life, weir_engine_create(&life->engine, &config));
    TRY_TWICE(life, weir_producer_create(life->engine, &life->producer));
    TRY_TWICE(life, weir_kind(life->engine, "kind", 4, &life->kind));
    TRY_TWICE(life, weir_poller_create(life->engine, &poller_config, &life->poller));
    for (int i = 0; i < 2; i++) {
        TRY_TWICE(life, weir_session_open(life->engine, names[i], 3, WEIR_OPEN_OR_CREATE, &life->sessions[i], NULL));
        TRY_TWICE(life, weir_outlet_open(life->poller, life->sessions[i], life, &life->outlets[i]));
        publish_all_sizes(life, life->sessions[i]);
        read_everything(life, life->sessions[i]);
    }
    weir_session_terminate(life->sessions[0]);
    assert_int_equal(stats_of(life->engine).sessions, 1);
    for (int i = 0; i < 2; i++)
        weir_outlet_close(life->outlets[i]);
    for (int i = 0; i < 2; i++)
        weir_session_release(life->sessions[i]);
    weir_poller_destroy(life->poller);
    weir_producer_destroy(life->producer);
    weir_engine_destroy(life->engine);
    assert_int_equal(u64_load_relaxed(&life->memory.outstanding), 0);
    assert_int_equal(u64_load_relaxed(&life->memory.outstanding_bytes), 0);
}

static void any_single_failure_is_refused_without_a_leak_and_the_next_try_works(void **state) {
    (void)state;
    struct life life;
    live(&life, 0);
    assert_int_equal(life.failures, 0);
    uint64_t calls = u64_load_relaxed(&life.memory.calls);
    assert_true(calls > 20);
    uint64_t shown = 0;
    for (uint64_t n = 1; n <= calls; n++) {
        live(&life, n);
        assert_true(life.failures <= 1);
        shown += life.failures;
    }
    printf("  %llu allocator calls, %llu failures seen by the caller\n", (unsigned long long)calls,
           (unsigned long long)shown);
    /* A stock that still holds cells serves from them and asks again later: those failures stay inside. */
    assert_true(shown >= calls - 10);
}

static void an_engine_without_any_memory_is_not_made(void **state) {
    (void)state;
    weir_config config = WEIR_CONFIG_INIT;
    struct counting_allocator memory = {0};
    config.allocator = counting_allocator_of(&memory);
    for (uint64_t n = 1;; n++) {
        weir_engine *engine = (weir_engine *)1;
        u64_store_relaxed(&memory.calls, 0);
        u64_store_relaxed(&memory.fail_at, n);
        int status = weir_engine_create(&engine, &config);
        if (status == WEIR_OK) {
            assert_true(n > 15);
            weir_engine_destroy(engine);
            break;
        }
        assert_int_equal(status, WEIR_NO_MEMORY);
        assert_null(engine);
        assert_int_equal(u64_load_relaxed(&memory.outstanding), 0);
    }
    assert_int_equal(u64_load_relaxed(&memory.outstanding), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_single_failure_is_refused_without_a_leak_and_the_next_try_works),
        cmocka_unit_test(an_engine_without_any_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
