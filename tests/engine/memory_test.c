/* What sessions cost in resident memory, and that it goes back: of the process, by the kernel's count, on the default
 * allocator. Skipped under sanitizers, whose own memory is many times that. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "session/engine.h"

#define MANY       1000000u
#define PUBLISHED  100000u
#define EVENTS     16u
#define TABLE_SLOT 8u /* of a session: a head of the registry's table, or what the slab keeps of it */

#if defined(WEIR_JEMALLOC)
#define MEASURABLE true
#else
#define MEASURABLE false
#endif

/* The sum over the process's pages. /proc/self/statm is quicker, but kernels from 6.2 on keep that count by processor
 * and may be off by hundreds of pages. */
static int64_t resident_bytes(void) {
    char line[256];
    long long kilobytes = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    assert_non_null(file);
    while (kilobytes < 0 && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "Rss: %lld kB", &kilobytes);
    fclose(file);
    assert_true(kilobytes > 0);
    return kilobytes * 1024;
}

static size_t name_of(char *name, uint32_t number) {
    return (size_t)snprintf(name, WEIR_NAME_MAX, "session-%u", number);
}

static weir_engine *open_engine(weir_config *config, struct fake_clock *clock) {
    weir_engine *engine;
    clock->now_ms = 1000;
    config->clock = fake_clock_of(clock);
    assert_int_equal(weir_engine_create(&engine, config), WEIR_OK);
    return engine;
}

static void open_all(weir_engine *engine, uint32_t count, weir_open mode) {
    char name[WEIR_NAME_MAX];
    weir_session *session;
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(weir_session_open(engine, name, name_of(name, i), mode, &session, NULL), WEIR_OK);
        weir_session_release(session);
    }
}

static void expire_all(weir_engine *engine, struct fake_clock *clock, uint32_t count) {
    fake_clock_advance(clock, engine, weir_engine_config(engine)->idle_ttl_ms + 1);
    uint32_t expired = 0;
    for (uint32_t places = 0; places < 2 * count; places += 1000)
        expired += weir_engine_sweep(engine, 1000);
    assert_int_equal(expired, count);
    assert_int_equal(stats_of(engine).sessions, 0);
}

/* A session that never published takes 256 bytes beside its name and its slot in the table; when a million of them have
 * come and gone, twice, the process is within 5 % of where it began. */
static void a_million_sessions_that_never_published_come_and_go(void **state) {
    (void)state;
    struct fake_clock clock;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = MANY;
    weir_engine *engine = open_engine(&config, &clock);
    int64_t start = resident_bytes();
    for (int round = 0; round < 2; round++) {
        open_all(engine, MANY, WEIR_OPEN_OR_CREATE);
        open_all(engine, MANY, WEIR_OPEN_EXISTING);
        int64_t full = resident_bytes();
        expire_all(engine, &clock, MANY);
        index_map_discard(&engine->map, UINT32_MAX);
        int64_t end = resident_bytes();
        print_message("  %.2f bytes a session with its name; start %.2f MB, full %.2f MB, end %.2f MB: %+.2f %%\n",
                      (double)(full - start) / MANY, (double)start / 1e6, (double)full / 1e6, (double)end / 1e6,
                      100.0 * (double)(end - start) / (double)start);
        assert_true(full - start <= (int64_t)MANY * (256 + WEIR_NAME_MAX + TABLE_SLOT));
        assert_true(end - start <= start / 20);
    }
    weir_engine_destroy(engine);
}

/* Resident bytes of a session in which EVENTS events of 100 bytes were published. */
static int64_t cost_of_published(uint32_t replay_capacity) {
    static const char data[100] = "resident";
    struct fake_clock clock;
    weir_config config = WEIR_CONFIG_INIT;
    weir_producer *producer;
    weir_session *session;
    char name[WEIR_NAME_MAX];
    config.max_sessions = PUBLISHED;
    config.replay_capacity = replay_capacity;
    weir_engine *engine = open_engine(&config, &clock);
    assert_int_equal(weir_producer_create(engine, &producer), WEIR_OK);
    int64_t start = resident_bytes();
    for (uint32_t i = 0; i < PUBLISHED; i++) {
        int status = weir_session_open(engine, name, name_of(name, i), WEIR_OPEN_OR_CREATE, &session, NULL);
        assert_int_equal(status, WEIR_OK);
        for (uint32_t k = 0; k < EVENTS; k++)
            assert_int_equal(weir_publish(producer, session, 0, data, sizeof(data), NULL), WEIR_OK);
        weir_session_release(session);
    }
    int64_t each = (resident_bytes() - start) / PUBLISHED;
    print_message("  %lld bytes a session with a ring of %u\n", (long long)each,
                  weir_engine_config(engine)->replay_capacity);
    weir_producer_destroy(producer);
    weir_engine_destroy(engine);
    return each;
}

static void sixteen_events_of_100_bytes_take_3_kib_a_session(void **state) {
    (void)state;
    assert_true(cost_of_published(64) <= 3 * 1024);
}

/* The default ring alone is 2 KiB of slots. */
static void sixteen_events_of_100_bytes_take_5_kib_a_session_with_the_default_ring(void **state) {
    (void)state;
    assert_true(cost_of_published(0) <= 5 * 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_sessions_that_never_published_come_and_go),
        cmocka_unit_test(sixteen_events_of_100_bytes_take_3_kib_a_session),
        cmocka_unit_test(sixteen_events_of_100_bytes_take_5_kib_a_session_with_the_default_ring),
    };
    if (!MEASURABLE) {
        printf("skipped: resident memory says nothing under a sanitizer\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
