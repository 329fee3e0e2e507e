/* Pollers and outlets: who is told of what, and the bounds of both. */
#include "fixture.h"

#include <stdio.h>

struct stage {
    struct fixture fixture;
    weir_poller *poller;
    uint64_t wakes;
};

static void count_wake(void *context) {
    ((struct stage *)context)->wakes++;
}

static int create_poller(struct stage *stage, uint32_t max_outlets, weir_poller **poller) {
    weir_poller_config config = {max_outlets, count_wake, stage};
    return weir_poller_create(stage->fixture.engine, &config, poller);
}

static void open_stage(struct stage *stage, uint32_t max_outlets) {
    weir_config config = WEIR_CONFIG_INIT;
    config.max_pollers = 3;
    config.max_sessions = max_outlets > 256 ? max_outlets : 256;
    stage->wakes = 0;
    fixture_open(&stage->fixture, &config);
    assert_int_equal(create_poller(stage, max_outlets, &stage->poller), WEIR_OK);
}

static void close_stage(struct stage *stage) {
    weir_poller_destroy(stage->poller);
    fixture_close(&stage->fixture);
}

static weir_outlet *open_outlet(weir_poller *poller, weir_session *session, void *user) {
    weir_outlet *outlet;
    assert_int_equal(weir_outlet_open(poller, session, user, &outlet), WEIR_OK);
    return outlet;
}

/* More than one word of the summary has bits for. */
static void news_of_the_last_of_many_outlets_is_told(void **state) {
    (void)state;
    enum { MANY = 4097 };
    static weir_session *sessions[MANY];
    static weir_outlet *outlets[MANY];
    struct stage stage;
    void *users[4];
    open_stage(&stage, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%u", i);
        sessions[i] = fixture_session(&stage.fixture, name);
        outlets[i] = open_outlet(stage.poller, sessions[i], &sessions[i]);
    }
    publish_numbers(&stage.fixture, sessions[MANY - 1], 1);
    assert_false(weir_poller_sleep(stage.poller));
    assert_int_equal(weir_poller_take(stage.poller, users, 4), 1);
    assert_ptr_equal(users[0], &sessions[MANY - 1]);
    assert_true(weir_poller_sleep(stage.poller));
    weir_poller_awake(stage.poller);
    for (unsigned i = 0; i < MANY; i++) {
        weir_outlet_close(outlets[i]);
        weir_session_release(sessions[i]);
    }
    close_stage(&stage);
}

static void an_outlet_is_told_of_each_publish_once(void **state) {
    (void)state;
    struct stage stage;
    void *users[64];
    int news;
    open_stage(&stage, 0);
    weir_session *session = fixture_session(&stage.fixture, "s");
    assert_null(weir_outlet_user(stage.poller, session));
    weir_outlet *outlet = open_outlet(stage.poller, session, &news);
    assert_ptr_equal(weir_outlet_user(stage.poller, session), &news);
    assert_int_equal(weir_poller_take(stage.poller, users, 64), 0);
    for (int i = 0; i < 3; i++) {
        publish_numbers(&stage.fixture, session, 1 + (uint64_t)i * 100);
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 1);
        assert_ptr_equal(users[0], &news);
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 0);
    }
    weir_session_terminate(session); /* an end is news */
    assert_int_equal(weir_poller_take(stage.poller, users, 64), 1);
    weir_outlet_close(outlet);
    weir_session_release(session);
    close_stage(&stage);
}

static void the_end_of_a_session_that_never_published_is_news(void **state) {
    (void)state;
    struct stage stage;
    void *users[1];
    open_stage(&stage, 0);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_outlet *outlet = open_outlet(stage.poller, session, &stage);
    assert_int_equal(weir_poller_sleep(stage.poller), 1);
    weir_session_terminate(session);
    assert_int_equal(stage.wakes, 1);
    weir_poller_awake(stage.poller);
    assert_int_equal(weir_poller_take(stage.poller, users, 1), 1);
    weir_outlet_close(outlet);
    weir_session_release(session);
    close_stage(&stage);
}

static void a_sleeper_is_woken_once_per_sleep_and_producer(void **state) {
    (void)state;
    struct stage stage;
    void *users[64];
    open_stage(&stage, 0);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_outlet *outlet = open_outlet(stage.poller, session, &stage);
    for (uint64_t sleep = 1; sleep <= 5; sleep++) {
        assert_int_equal(weir_poller_sleep(stage.poller), 1);
        publish_numbers(&stage.fixture, session, 10);
        assert_int_equal(stage.wakes, sleep);
        weir_poller_awake(stage.poller);
        assert_int_equal(weir_poller_sleep(stage.poller), 0); /* there is news: awake again at once */
        publish_numbers(&stage.fixture, session, 1);
        assert_int_equal(stage.wakes, sleep);
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 1);
    }
    assert_int_equal(stats_of(stage.fixture.engine).wakeups, 5);
    weir_outlet_close(outlet);
    weir_session_release(session);
    close_stage(&stage);
}

/* Any capacity does: what does not fit comes with the next call, and no busy session hides another. */
static void outlets_are_taken_in_portions_of_any_size(void **state) {
    (void)state;
    const uint32_t capacities[] = {1, 3, 63, 64, 100, 300};
    for (int c = 0; c < 6; c++) {
        struct stage stage;
        weir_session *sessions[150];
        weir_outlet *outlets[150];
        int told[150] = {0};
        void *users[300];
        char name[8];
        open_stage(&stage, 0);
        for (int i = 0; i < 150; i++) {
            snprintf(name, sizeof(name), "n%d", i);
            sessions[i] = fixture_session(&stage.fixture, name);
            outlets[i] = open_outlet(stage.poller, sessions[i], &told[i]);
            publish_numbers(&stage.fixture, sessions[i], 2);
        }
        uint32_t total = 0;
        uint32_t count;
        while ((count = weir_poller_take(stage.poller, users, capacities[c])) > 0) {
            assert_true(count <= capacities[c]);
            for (uint32_t i = 0; i < count; i++)
                ++*(int *)users[i];
            total += count;
        }
        assert_int_equal(total, 150);
        for (int i = 0; i < 150; i++)
            assert_int_equal(told[i], 1);
        assert_int_equal(weir_poller_take(stage.poller, users, 0), 0);
        for (int i = 0; i < 150; i++) {
            weir_outlet_close(outlets[i]);
            weir_session_release(sessions[i]);
        }
        close_stage(&stage);
    }
}

static void a_session_has_one_outlet_per_poller(void **state) {
    (void)state;
    struct stage stage;
    weir_poller *second;
    weir_outlet *none;
    void *users[2];
    int one;
    int two;
    open_stage(&stage, 0);
    assert_int_equal(create_poller(&stage, 0, &second), WEIR_OK);
    weir_session *session = fixture_session(&stage.fixture, "s");
    weir_outlet *first = open_outlet(stage.poller, session, &one);
    assert_int_equal(weir_outlet_open(stage.poller, session, &two, &none), WEIR_BUSY);
    assert_null(none);
    weir_outlet *other = open_outlet(second, session, &two);
    publish_numbers(&stage.fixture, session, 1);
    assert_int_equal(weir_poller_take(stage.poller, users, 2), 1);
    assert_ptr_equal(users[0], &one);
    assert_int_equal(weir_poller_take(second, users, 2), 1);
    assert_ptr_equal(users[0], &two);
    weir_outlet_close(first);
    weir_outlet_close(other);
    weir_poller_destroy(second);
    weir_session_release(session);
    close_stage(&stage);
}

static void a_closed_outlet_hears_nothing_and_can_be_opened_again(void **state) {
    (void)state;
    struct stage stage;
    void *users[64];
    int first_user;
    int second_user;
    open_stage(&stage, 1);
    weir_session *session = fixture_session(&stage.fixture, "s");
    for (int i = 0; i < 200; i++) {
        weir_outlet *outlet = open_outlet(stage.poller, session, &first_user);
        publish_numbers(&stage.fixture, session, 1);
        weir_outlet_close(outlet); /* its bit is set by now: nobody is told */
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 0);
        publish_numbers(&stage.fixture, session, 1);
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 0);
        outlet = open_outlet(stage.poller, session, &second_user);
        publish_numbers(&stage.fixture, session, 1);
        assert_int_equal(weir_poller_take(stage.poller, users, 64), 1);
        assert_ptr_equal(users[0], &second_user);
        weir_outlet_close(outlet);
        weir_outlet_close(outlet);
        assert_null(weir_outlet_user(stage.poller, session));
    }
    weir_outlet_close(NULL);
    weir_session_release(session);
    close_stage(&stage);
}

/* The bit of a publish that was told just before the close belongs to whoever has the place next: it looks in vain. */
static void a_stale_bit_only_makes_the_next_one_look(void **state) {
    (void)state;
    struct stage stage;
    void *users[64];
    int old_user;
    int new_user;
    open_stage(&stage, 1);
    weir_session *old = fixture_session(&stage.fixture, "old");
    weir_session *young = fixture_session(&stage.fixture, "young");
    weir_outlet *outlet = open_outlet(stage.poller, old, &old_user);
    publish_numbers(&stage.fixture, old, 1);
    weir_outlet_close(outlet);
    outlet = open_outlet(stage.poller, young, &new_user);
    assert_int_equal(weir_poller_take(stage.poller, users, 64), 1);
    assert_ptr_equal(users[0], &new_user);
    weir_cursor cursor = subscribe(young, WEIR_START_OLDEST, WEIR_POLICY_SKIP, 0, WEIR_OK);
    expect_status(young, &cursor, WEIR_EMPTY);
    weir_unsubscribe(young, &cursor);
    weir_outlet_close(outlet);
    weir_session_release(old);
    weir_session_release(young);
    close_stage(&stage);
}

static void outlets_are_bounded_exactly(void **state) {
    (void)state;
    const uint32_t limits[] = {1, 2, 63, 64, 65};
    for (int l = 0; l < 5; l++) {
        struct stage stage;
        weir_session *sessions[66];
        weir_outlet *outlets[66];
        char name[8];
        open_stage(&stage, limits[l]);
        for (uint32_t i = 0; i <= limits[l]; i++) {
            snprintf(name, sizeof(name), "n%u", i);
            sessions[i] = fixture_session(&stage.fixture, name);
            int expected = i < limits[l] ? WEIR_OK : WEIR_OUTLETS_LIMIT;
            assert_int_equal(weir_outlet_open(stage.poller, sessions[i], &stage, &outlets[i]), expected);
        }
        weir_outlet_close(outlets[0]);
        outlets[0] = open_outlet(stage.poller, sessions[limits[l]], &stage);
        for (uint32_t i = 0; i <= limits[l]; i++) {
            if (i < limits[l]) weir_outlet_close(outlets[i]);
            weir_session_release(sessions[i]);
        }
        close_stage(&stage);
    }
}

static void pollers_are_bounded_exactly_and_their_places_are_used_again(void **state) {
    (void)state;
    struct stage stage;
    weir_poller *pollers[3];
    weir_poller *none;
    open_stage(&stage, 0); /* has one of three */
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 2; i++)
            assert_int_equal(create_poller(&stage, 1u << (6 + round % 3), &pollers[i]), WEIR_OK);
        assert_int_equal(create_poller(&stage, 1, &none), WEIR_POLLERS_LIMIT);
        assert_null(none);
        for (int i = 0; i < 2; i++)
            weir_poller_destroy(pollers[i]);
    }
    weir_poller_destroy(NULL);
    close_stage(&stage);
}

/* The sleeps of a poller in reused memory are not taken for those that a producer has already ended. */
static void a_poller_in_reused_memory_is_woken_like_a_new_one(void **state) {
    (void)state;
    struct stage stage;
    open_stage(&stage, 0);
    weir_session *session = fixture_session(&stage.fixture, "s");
    for (uint64_t life = 1; life <= 6; life++) {
        weir_poller *poller;
        assert_int_equal(create_poller(&stage, 4, &poller), WEIR_OK);
        weir_outlet *outlet = open_outlet(poller, session, &stage);
        assert_int_equal(weir_poller_sleep(poller), 1);
        publish_numbers(&stage.fixture, session, 3);
        assert_int_equal(stage.wakes, life);
        if (life % 2 == 0) weir_poller_awake(poller); /* and some go while they count as asleep */
        weir_outlet_close(outlet);
        weir_poller_destroy(poller);
        assert_int_equal(stats_of(stage.fixture.engine).wakeups, life);
    }
    weir_session_release(session);
    close_stage(&stage);
}

static void arguments_out_of_range_are_refused(void **state) {
    (void)state;
    struct stage stage;
    weir_poller *none;
    weir_outlet *outlet;
    struct fixture other;
    open_stage(&stage, 0);
    weir_poller_config without_wake = {1, NULL, NULL};
    assert_int_equal(weir_poller_create(stage.fixture.engine, NULL, &none), WEIR_INVALID);
    assert_int_equal(weir_poller_create(stage.fixture.engine, &without_wake, &none), WEIR_INVALID);
    assert_int_equal(create_poller(&stage, (1u << 24) + 1, &none), WEIR_INVALID);
    fixture_open(&other, NULL);
    weir_session *foreign = fixture_session(&other, "s");
    assert_int_equal(weir_outlet_open(stage.poller, foreign, NULL, &outlet), WEIR_INVALID);
    weir_session_release(foreign);
    fixture_close(&other);
    close_stage(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outlet_is_told_of_each_publish_once),
        cmocka_unit_test(news_of_the_last_of_many_outlets_is_told),
        cmocka_unit_test(the_end_of_a_session_that_never_published_is_news),
        cmocka_unit_test(a_sleeper_is_woken_once_per_sleep_and_producer),
        cmocka_unit_test(outlets_are_taken_in_portions_of_any_size),
        cmocka_unit_test(a_session_has_one_outlet_per_poller),
        cmocka_unit_test(a_closed_outlet_hears_nothing_and_can_be_opened_again),
        cmocka_unit_test(a_stale_bit_only_makes_the_next_one_look),
        cmocka_unit_test(outlets_are_bounded_exactly),
        cmocka_unit_test(pollers_are_bounded_exactly_and_their_places_are_used_again),
        cmocka_unit_test(a_poller_in_reused_memory_is_woken_like_a_new_one),
        cmocka_unit_test(arguments_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
