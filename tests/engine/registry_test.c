/* Names and lives: create, confirm, find, end, and the next life of a name or of a place. */
#include "fixture.h"

#include <stdio.h>

static int open_named(struct fixture *fixture, const char *name, size_t length, weir_open mode,
                      weir_session **session, int *created) {
    return weir_session_open(fixture->engine, name, length, mode, session, created);
}

static void a_session_is_created_once_and_then_confirmed(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *first;
    weir_session *second;
    int created = 9;
    fixture_open(&fixture, NULL);
    assert_int_equal(open_named(&fixture, "s", 1, WEIR_OPEN_EXISTING, &first, &created), WEIR_NOT_FOUND);
    assert_null(first);
    assert_int_equal(created, 0);
    assert_int_equal(open_named(&fixture, "s", 1, WEIR_OPEN_OR_CREATE, &first, &created), WEIR_OK);
    assert_int_equal(created, 1);
    assert_int_equal(open_named(&fixture, "s", 1, WEIR_OPEN_OR_CREATE, &second, &created), WEIR_OK);
    assert_int_equal(created, 0);
    assert_ptr_equal(first, second);
    weir_session_release(second);
    assert_int_equal(open_named(&fixture, "s", 1, WEIR_OPEN_EXISTING, &second, NULL), WEIR_OK);
    assert_ptr_equal(first, second);
    weir_session_release(second);
    weir_session_release(first);
    assert_int_equal(stats_of(fixture.engine).sessions, 1); /* the registry holds it */
    weir_session_release(NULL);
    fixture_close(&fixture);
}

static void a_new_session_has_the_engines_bounds_and_nothing_else(void **state) {
    (void)state;
    struct fixture fixture;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 3;
    config.queue_depth = 5;
    config.first_sequence = 100;
    fixture_open(&fixture, &config);
    weir_session *session = fixture_session(&fixture, "a.name");
    weir_session_info info = info_of(session);
    assert_int_equal(info.name_length, 6);
    assert_memory_equal(info.name, "a.name", 6);
    assert_int_equal(info.replay_capacity, 3);
    assert_int_equal(info.queue_depth, 5);
    assert_int_equal(info.newest, 99);
    assert_int_equal(info.oldest, 100);
    assert_int_equal(info.subscribers, 0);
    assert_int_equal(info.ended, WEIR_ENDED_NOT);
    weir_session_release(session);
    fixture_close(&fixture);
}

static void only_64_bytes_of_the_safe_alphabet_are_a_name(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *session;
    char name[WEIR_NAME_MAX + 1];
    fixture_open(&fixture, NULL);
    memset(name, 'n', sizeof(name));
    assert_int_equal(open_named(&fixture, NULL, 1, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_INVALID);
    assert_int_equal(open_named(&fixture, name, 0, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_INVALID);
    assert_int_equal(open_named(&fixture, name, WEIR_NAME_MAX + 1, WEIR_OPEN_OR_CREATE, &session, NULL),
                     WEIR_INVALID);
    assert_int_equal(open_named(&fixture, name, WEIR_NAME_MAX, WEIR_OPEN_OR_CREATE, &session, NULL), WEIR_OK);
    weir_session_release(session);
    for (int byte = 0; byte < 256; byte++) {
        char text[3] = {'a', (char)byte, 'z'};
        bool good = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                    byte == '.' || byte == '_' || byte == '~' || byte == '-';
        int status = open_named(&fixture, text, 3, WEIR_OPEN_OR_CREATE, &session, NULL);
        assert_int_equal(status, good ? WEIR_OK : WEIR_INVALID);
        weir_session_release(session);
    }
    fixture_close(&fixture);
}

/* C-23, as far as the engine goes: a session is found by its whole name and by nothing else. */
static void names_that_share_a_front_or_a_length_are_told_apart(void **state) {
    (void)state;
    struct fixture fixture;
    weir_session *sessions[200];
    char name[16];
    fixture_open(&fixture, NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        sessions[i] = fixture_session(&fixture, name);
        for (int j = 0; j < i; j++)
            assert_ptr_not_equal(sessions[i], sessions[j]);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        weir_session *again = fixture_session(&fixture, name);
        assert_ptr_equal(again, sessions[i]);
        weir_session_release(again);
        weir_session_release(sessions[i]);
    }
    fixture_close(&fixture);
}

/* WK-07, WK-23 */
static void sessions_are_bounded_exactly_and_an_ended_one_makes_room_when_released(void **state) {
    (void)state;
    const uint32_t limits[] = {1, 2, 65};
    for (int l = 0; l < 3; l++) {
        struct fixture fixture;
        weir_session *sessions[65];
        weir_session *one_more;
        char name[16];
        weir_config config = WEIR_CONFIG_INIT;
        config.max_sessions = limits[l];
        fixture_open(&fixture, &config);
        for (uint32_t i = 0; i < limits[l]; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            sessions[i] = fixture_session(&fixture, name);
        }
        assert_int_equal(open_named(&fixture, "more", 4, WEIR_OPEN_OR_CREATE, &one_more, NULL), WEIR_SESSIONS_LIMIT);
        assert_int_equal(open_named(&fixture, "n0", 2, WEIR_OPEN_OR_CREATE, &one_more, NULL), WEIR_OK);
        weir_session_release(one_more);
        weir_session_terminate(sessions[0]);
        assert_int_equal(open_named(&fixture, "more", 4, WEIR_OPEN_OR_CREATE, &one_more, NULL), WEIR_SESSIONS_LIMIT);
        weir_session_release(sessions[0]);
        assert_int_equal(open_named(&fixture, "more", 4, WEIR_OPEN_OR_CREATE, &one_more, NULL), WEIR_OK);
        weir_session_release(one_more);
        for (uint32_t i = 1; i < limits[l]; i++)
            weir_session_release(sessions[i]);
        fixture_close(&fixture);
    }
}

/* SES-10, SES-11: a terminated name is free at once, and its next life is another. */
static void a_terminated_name_begins_a_new_life_with_a_new_epoch(void **state) {
    (void)state;
    struct fixture fixture;
    uint64_t epochs[50];
    fixture_open(&fixture, NULL);
    for (int life = 0; life < 50; life++) {
        weir_session *session = fixture_session(&fixture, "again");
        epochs[life] = info_of(session).epoch;
        for (int other = 0; other < life; other++)
            assert_true(epochs[life] != epochs[other]);
        assert_int_equal(publish_numbers(&fixture, session, 3), 3);
        weir_session_terminate(session);
        assert_int_equal(info_of(session).ended, WEIR_ENDED_TERMINATED);
        weir_session_release(session);
    }
    weir_stats stats = stats_of(fixture.engine);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.sessions_created, 50);
    assert_int_equal(stats.sessions_ended, 50);
    fixture_close(&fixture);
}

static void two_lives_of_one_name_live_side_by_side_while_the_old_one_is_held(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *old = fixture_session(&fixture, "s");
    publish_numbers(&fixture, old, 2);
    weir_session_terminate(old);
    weir_session *young = fixture_session(&fixture, "s");
    assert_ptr_not_equal(old, young);
    publish_numbers(&fixture, young, 4);
    weir_cursor cursor = subscribe(old, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_numbers(old, &cursor, 1, 2, WEIR_END);
    weir_unsubscribe(old, &cursor);
    weir_session_terminate(old); /* again: nothing, and not the young one either */
    assert_int_equal(info_of(young).ended, WEIR_ENDED_NOT);
    assert_int_equal(stats_of(fixture.engine).sessions_ended, 1);
    weir_session_release(old);
    weir_session_release(young);
    fixture_close(&fixture);
}

static void a_retained_session_outlives_the_one_who_opened_it(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    weir_session *session = fixture_session(&fixture, "s");
    publish_numbers(&fixture, session, 1);
    weir_session_retain(session);
    weir_session_terminate(session);
    weir_session_release(session);
    uint64_t bytes = stats_of(fixture.engine).cell_bytes;
    weir_cursor cursor = subscribe(session, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_numbers(session, &cursor, 1, 1, WEIR_END);
    weir_unsubscribe(session, &cursor);
    weir_session_release(session);
    assert_int_equal(stats_of(fixture.engine).cell_bytes, bytes);
    fixture_close(&fixture);
}

/* What a life held goes to the next: a thousand lives take no more memory than a few. */
static void the_memory_of_ended_lives_is_used_again(void **state) {
    (void)state;
    struct fixture fixture;
    uint64_t after_ten = 0;
    weir_config config = WEIR_CONFIG_INIT;
    config.replay_capacity = 16;
    fixture_open(&fixture, &config);
    for (int life = 0; life < 1000; life++) {
        weir_session *session = fixture_session(&fixture, "life");
        publish_numbers(&fixture, session, 40);
        weir_session_terminate(session);
        weir_session_release(session);
        if (life == 10) after_ten = u64_load_relaxed(&fixture.memory.outstanding_bytes);
    }
    assert_int_equal(u64_load_relaxed(&fixture.memory.outstanding_bytes), after_ten);
    fixture_close(&fixture);
}

static void two_engines_in_one_process_share_nothing(void **state) {
    (void)state;
    struct fixture one;
    struct fixture two;
    weir_session *none;
    fixture_open(&one, NULL);
    fixture_open(&two, NULL);
    weir_session *first = fixture_session(&one, "s");
    assert_int_equal(open_named(&two, "s", 1, WEIR_OPEN_EXISTING, &none, NULL), WEIR_NOT_FOUND);
    weir_session *second = fixture_session(&two, "s");
    assert_true(info_of(first).epoch != info_of(second).epoch);
    publish_numbers(&one, first, 5);
    assert_int_equal(info_of(second).newest, 0);
    assert_int_equal(weir_publish(two.producer, first, 0, "x", 1, NULL), WEIR_INVALID);
    uint32_t kind;
    assert_int_equal(weir_kind(one.engine, "k", 1, &kind), WEIR_OK);
    assert_int_equal(stats_of(two.engine).kinds, 0);
    assert_int_equal(stats_of(two.engine).published, 0);
    weir_session_release(first);
    fixture_close(&one);
    publish_numbers(&two, second, 5); /* the other one's end is not this one's */
    weir_session_release(second);
    fixture_close(&two);
}

static void an_engine_may_be_destroyed_with_sessions_still_held(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_open(&fixture, NULL);
    publish_numbers(&fixture, fixture_session(&fixture, "held"), 300);
    weir_session *ended = fixture_session(&fixture, "ended");
    publish_numbers(&fixture, ended, 2);
    weir_session_terminate(ended);
    fixture_session(&fixture, "empty");
    fixture_close(&fixture);
    weir_engine_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_created_once_and_then_confirmed),
        cmocka_unit_test(a_new_session_has_the_engines_bounds_and_nothing_else),
        cmocka_unit_test(only_64_bytes_of_the_safe_alphabet_are_a_name),
        cmocka_unit_test(names_that_share_a_front_or_a_length_are_told_apart),
        cmocka_unit_test(sessions_are_bounded_exactly_and_an_ended_one_makes_room_when_released),
        cmocka_unit_test(a_terminated_name_begins_a_new_life_with_a_new_epoch),
        cmocka_unit_test(two_lives_of_one_name_live_side_by_side_while_the_old_one_is_held),
        cmocka_unit_test(a_retained_session_outlives_the_one_who_opened_it),
        cmocka_unit_test(the_memory_of_ended_lives_is_used_again),
        cmocka_unit_test(two_engines_in_one_process_share_nothing),
        cmocka_unit_test(an_engine_may_be_destroyed_with_sessions_still_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
