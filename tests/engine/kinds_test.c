/* Event kinds: names that are known once and for good (rule EVT-16). */
#include "fixture.h"

#include <stdio.h>

static void a_name_has_one_number_and_the_number_has_the_name(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t first;
    uint32_t second;
    uint32_t again;
    size_t length;
    fixture_open(&fixture, NULL);
    assert_int_equal(weir_kind(fixture.engine, "message", 7, &first), WEIR_OK);
    assert_int_equal(weir_kind(fixture.engine, "messages", 8, &second), WEIR_OK);
    assert_int_equal(weir_kind(fixture.engine, "message", 7, &again), WEIR_OK);
    assert_int_equal(first, again);
    assert_int_not_equal(first, second);
    assert_int_not_equal(first, 0);
    const char *name = weir_kind_name(fixture.engine, first, &length);
    assert_int_equal(length, 7);
    assert_memory_equal(name, "message", 7);
    assert_int_equal(stats_of(fixture.engine).kinds, 2);
    fixture_close(&fixture);
}

static void kinds_that_were_never_given_have_no_name(void **state) {
    (void)state;
    struct fixture fixture;
    size_t length = 5;
    fixture_open(&fixture, NULL);
    const uint32_t unknown[] = {0, 1, 1023, 1024, 2047, 2048, UINT32_MAX};
    for (int i = 0; i < 7; i++) {
        assert_null(weir_kind_name(fixture.engine, unknown[i], &length));
        assert_int_equal(length, 0);
    }
    fixture_close(&fixture);
}

static void names_are_1_to_64_bytes_without_cr_lf_and_nul(void **state) {
    (void)state;
    struct fixture fixture;
    char name[WEIR_NAME_MAX + 1];
    uint32_t kind;
    fixture_open(&fixture, NULL);
    memset(name, 'k', sizeof(name));
    assert_int_equal(weir_kind(fixture.engine, NULL, 1, &kind), WEIR_INVALID);
    assert_int_equal(weir_kind(fixture.engine, name, 0, &kind), WEIR_INVALID);
    assert_int_equal(weir_kind(fixture.engine, name, WEIR_NAME_MAX, &kind), WEIR_OK);
    assert_int_equal(weir_kind(fixture.engine, name, WEIR_NAME_MAX + 1, &kind), WEIR_INVALID);
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'b'};
        int expected = byte == '\r' || byte == '\n' || byte == '\0' ? WEIR_INVALID : WEIR_OK;
        assert_int_equal(weir_kind(fixture.engine, text, 3, &kind), expected);
    }
    fixture_close(&fixture);
}

static void kinds_are_bounded_exactly_and_known_ones_stay_known(void **state) {
    (void)state;
    const uint32_t limits[] = {1, 2, 63, 64, 1023};
    for (int l = 0; l < 5; l++) {
        struct fixture fixture;
        char name[16];
        uint32_t kind;
        weir_config config = WEIR_CONFIG_INIT;
        config.max_kinds = limits[l];
        fixture_open(&fixture, &config);
        for (uint32_t i = 0; i < limits[l]; i++) {
            int length = snprintf(name, sizeof(name), "kind-%u", i);
            assert_int_equal(weir_kind(fixture.engine, name, (size_t)length, &kind), WEIR_OK);
            assert_true(kind >= 1 && kind <= limits[l]);
        }
        assert_int_equal(weir_kind(fixture.engine, "one more", 8, &kind), WEIR_KINDS_LIMIT);
        assert_int_equal(weir_kind(fixture.engine, "kind-0", 6, &kind), WEIR_OK);
        assert_int_equal(stats_of(fixture.engine).kinds, limits[l]);
        fixture_close(&fixture);
    }
}

static void an_event_carries_its_kind_and_an_unknown_kind_is_refused(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t kind = 0;
    char buffer[8];
    weir_event event;
    weir_gap gap;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    assert_int_equal(weir_publish(fixture.producer, session, 1, "x", 1, NULL), WEIR_INVALID);
    for (uint32_t i = 1; i <= 3; i++) {
        char name = (char)('a' + i);
        assert_int_equal(weir_kind(fixture.engine, &name, 1, &kind), WEIR_OK);
    }
    for (uint32_t i = 0; i <= 3; i++)
        assert_int_equal(weir_publish(fixture.producer, session, i, "x", 1, NULL), WEIR_OK);
    assert_int_equal(weir_publish(fixture.producer, session, 4, "x", 1, NULL), WEIR_INVALID);
    assert_int_equal(weir_publish(fixture.producer, session, UINT32_MAX, "x", 1, NULL), WEIR_INVALID);
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    for (uint32_t i = 0; i <= 3; i++) {
        assert_int_equal(weir_read(session, &cursor, buffer, sizeof(buffer), &event, &gap), WEIR_OK);
        assert_int_equal(event.kind, i);
    }
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_one_number_and_the_number_has_the_name),
        cmocka_unit_test(kinds_that_were_never_given_have_no_name),
        cmocka_unit_test(names_are_1_to_64_bytes_without_cr_lf_and_nul),
        cmocka_unit_test(kinds_are_bounded_exactly_and_known_ones_stay_known),
        cmocka_unit_test(an_event_carries_its_kind_and_an_unknown_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
