/* The configuration: every field's range, its default, and structures of other versions. */
#include "fixture.h"

#include <stdlib.h>

static int create(const weir_config *config) {
    weir_engine *engine = (weir_engine *)1;
    int status = weir_engine_create(&engine, config);
    assert_int_equal(engine == NULL, status != WEIR_OK);
    weir_engine_destroy(engine);
    return status;
}

struct range {
    size_t offset;
    size_t size;
    uint64_t good[4];
    uint64_t bad[3]; /* 0: no more */
};

#define U32(field) offsetof(weir_config, field), sizeof(uint32_t)
#define U64(field) offsetof(weir_config, field), sizeof(uint64_t)

/* Large tables are only asked for where the bound itself is tested. */
static const struct range ranges[] = {
    {U32(max_sessions), {1, 2, 1000, 1u << 20}, {(1u << 24) + 1, UINT32_MAX, 0}},
    {U32(max_kinds), {1, 64, 512, 1023}, {1024, UINT32_MAX, 0}},
    {U32(max_pollers), {1, 2, 16, 64}, {65, UINT32_MAX, 0}},
    {U32(max_subscribers), {1, 2, 1u << 20, UINT32_MAX}, {0}},
    {U32(max_session_subscribers), {1, 2, 65536, UINT32_MAX}, {0}},
    {U32(replay_capacity), {1, 3, 1u << 24, WEIR_NONE}, {(1u << 24) + 1, UINT32_MAX - 1, 0}},
    {U32(queue_depth), {1, 3, 256, 1u << 24}, {(1u << 24) + 1, UINT32_MAX, 0}},
    {U32(max_event_bytes), {1, 100, 1u << 19, 1u << 20}, {(1u << 20) + 1, UINT32_MAX, 0}},
    {U64(max_session_bytes), {128, 4096, 1ull << 30, UINT64_MAX}, {1, 127, 0}},
    {U64(max_bytes), {1, 4096, 1ull << 30, 1ull << 33}, {0}},
    {U32(idle_ttl_ms), {1, 1000, UINT32_MAX - 1, WEIR_NONE}, {0}},
    {U32(rules.reserved[3]), {0, 0, 0, 0}, {1, UINT32_MAX, 0}},
    {U32(rules.activity), {1, 21, 32, 63}, {64, UINT32_MAX, 0}},
    {U32(rules.full_consecutive_max), {0, 1, 10, 1023}, {1024, UINT32_MAX, 0}},
    {U32(rules.full_total_max), {0, 1, 50, 4095}, {4096, UINT32_MAX, 0}},
    {U64(first_sequence), {1, 2, 1ull << 40, UINT64_MAX / 2 - 1}, {UINT64_MAX / 2, UINT64_MAX - 1, 0}},
};

static weir_config with(const struct range *range, uint64_t value) {
    weir_config config = WEIR_CONFIG_INIT;
    uint32_t narrow = (uint32_t)value;
    if (range->size == 4)
        memcpy((char *)&config + range->offset, &narrow, 4);
    else
        memcpy((char *)&config + range->offset, &value, 8);
    return config;
}

static void every_field_takes_its_range_and_refuses_what_is_beyond(void **state) {
    (void)state;
    for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++) {
        for (int i = 0; i < 4; i++) {
            weir_config config = with(&ranges[r], ranges[r].good[i]);
            int status = create(&config);
            if (status != WEIR_OK) fail_msg("field %zu, good value %d: %s", r, i, weir_status_name(status));
        }
        for (int i = 0; i < 3 && ranges[r].bad[i] != 0; i++) {
            weir_config config = with(&ranges[r], ranges[r].bad[i]);
            int status = create(&config);
            if (status != WEIR_INVALID) fail_msg("field %zu, bad value %d: %s", r, i, weir_status_name(status));
        }
    }
}

static void zero_is_the_default_of_every_field(void **state) {
    (void)state;
    weir_engine *engine;
    weir_session *session;
    weir_config config = WEIR_CONFIG_INIT;
    assert_int_equal(create(NULL), WEIR_OK);
    assert_int_equal(create(&config), WEIR_OK);
    assert_int_equal(weir_engine_create(NULL, NULL), WEIR_INVALID);
    assert_int_equal(weir_engine_create(&engine, NULL), WEIR_OK);
    assert_int_equal(weir_session_open(engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_OK);
    assert_int_equal(info_of(session).replay_capacity, 256);
    assert_int_equal(info_of(session).queue_depth, 256);
    assert_int_equal(info_of(session).newest, 0);
    weir_session_release(session);
    weir_engine_destroy(engine);
}

static void the_queue_is_as_deep_as_the_replay_unless_told(void **state) {
    (void)state;
    const struct {
        uint32_t capacity;
        uint32_t depth;
        uint32_t capacity_then;
        uint32_t depth_then;
    } cases[] = {{0, 0, 256, 256}, {7, 0, 7, 7}, {WEIR_NONE, 0, 0, 256}, {WEIR_NONE, 3, 0, 3}, {7, 9, 7, 9}};
    for (int c = 0; c < 5; c++) {
        struct fixture fixture;
        weir_config config = WEIR_CONFIG_INIT;
        config.replay_capacity = cases[c].capacity;
        config.queue_depth = cases[c].depth;
        fixture_open(&fixture, &config);
        weir_session *session = fixture_session(&fixture, "s");
        assert_int_equal(info_of(session).replay_capacity, cases[c].capacity_then);
        assert_int_equal(info_of(session).queue_depth, cases[c].depth_then);
        weir_session_release(session);
        fixture_close(&fixture);
    }
}

/* A caller built against a later header has a longer structure: taken when it asks for nothing that we do not know. */
static void a_longer_structure_is_taken_when_its_tail_is_zero(void **state) {
    (void)state;
    union {
        weir_config config;
        unsigned char bytes[5000];
    } *longer = calloc(1, sizeof(*longer));
    assert_non_null(longer);
    longer->config.size = sizeof(weir_config) + 64;
    assert_int_equal(create(&longer->config), WEIR_OK);
    for (size_t at = sizeof(weir_config); at < sizeof(weir_config) + 64; at++) {
        longer->bytes[at] = 1;
        assert_int_equal(create(&longer->config), WEIR_INVALID);
        longer->bytes[at] = 0;
    }
    longer->bytes[sizeof(weir_config) + 64] = 1; /* beyond its size: not ours to look at */
    assert_int_equal(create(&longer->config), WEIR_OK);
    longer->config.size = 4096;
    longer->bytes[sizeof(weir_config) + 64] = 0;
    assert_int_equal(create(&longer->config), WEIR_OK);
    longer->config.size = 4097;
    assert_int_equal(create(&longer->config), WEIR_INVALID);
    free(longer);
}

/* And one built against an earlier header has a shorter one: what it does not have is the default. */
static void a_shorter_structure_is_filled_up_with_defaults(void **state) {
    (void)state;
    weir_config config = WEIR_CONFIG_INIT;
    config.size = offsetof(weir_config, max_sessions);
    config.max_sessions = UINT32_MAX; /* beyond its size */
    assert_int_equal(create(&config), WEIR_OK);
    config.size = offsetof(weir_config, max_kinds);
    assert_int_equal(create(&config), WEIR_INVALID);
    config.size = 0;
    assert_int_equal(create(&config), WEIR_INVALID);
    config.size = offsetof(weir_config, max_sessions) - 1;
    assert_int_equal(create(&config), WEIR_INVALID);
}

static int fail_to_fill(void *context, void *memory, size_t size) {
    (void)memory;
    *(size_t *)context = size;
    return -1;
}

static void an_entropy_source_that_fails_is_told(void **state) {
    (void)state;
    struct counting_allocator memory = {0};
    size_t asked = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.entropy.fill = fail_to_fill;
    config.entropy.context = &asked;
    config.allocator = counting_allocator_of(&memory);
    assert_int_equal(create(&config), WEIR_NO_ENTROPY);
    assert_true(asked >= 16);
    assert_int_equal(u64_load_relaxed(&memory.outstanding), 0);
}

static int fill_with(void *context, void *memory, size_t size) {
    memset(memory, *(int *)context, size);
    return 0;
}

/* Epochs come from the entropy: another engine's lives are others. */
static void epochs_are_drawn_from_the_entropy(void **state) {
    (void)state;
    uint64_t epochs[2];
    for (int i = 0; i < 2; i++) {
        weir_engine *engine;
        weir_session *session;
        weir_config config = WEIR_CONFIG_INIT;
        int byte = i + 1;
        config.entropy.fill = fill_with;
        config.entropy.context = &byte;
        assert_int_equal(weir_engine_create(&engine, &config), WEIR_OK);
        assert_int_equal(weir_session_open(engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_OK);
        epochs[i] = info_of(session).epoch;
        weir_session_release(session);
        weir_engine_destroy(engine);
    }
    assert_true(epochs[0] != epochs[1]);
}

static void the_injected_clock_is_the_one_that_is_read(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    fixture.clock.now_ms = 123456;
    assert_true(weir_engine_tick(fixture.engine) == 123456000000u);
    fixture_close(&fixture);
}

static void every_status_has_a_name_and_a_text(void **state) {
    (void)state;
#define CHECK_STATUS(name, code, text)                                                                               \
    assert_int_equal(WEIR_##name, code);                                                                             \
    assert_string_equal(weir_status_name(code), "WEIR_" #name);                                                      \
    assert_string_equal(weir_strerror(code), text);
    WEIR_STATUS_LIST(CHECK_STATUS)
#undef CHECK_STATUS
    assert_string_equal(weir_status_name(-1000), "WEIR_UNKNOWN");
    assert_string_equal(weir_strerror(1), "unknown status");
    assert_string_equal(weir_version(), WEIR_VERSION);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_takes_its_range_and_refuses_what_is_beyond),
        cmocka_unit_test(zero_is_the_default_of_every_field),
        cmocka_unit_test(the_queue_is_as_deep_as_the_replay_unless_told),
        cmocka_unit_test(a_longer_structure_is_taken_when_its_tail_is_zero),
        cmocka_unit_test(a_shorter_structure_is_filled_up_with_defaults),
        cmocka_unit_test(an_entropy_source_that_fails_is_told),
        cmocka_unit_test(epochs_are_drawn_from_the_entropy),
        cmocka_unit_test(the_injected_clock_is_the_one_that_is_read),
        cmocka_unit_test(every_status_has_a_name_and_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
