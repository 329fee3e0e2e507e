/* Deadlines, against a model that looks at every timer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/timers.h"

static void set_durations(struct timers *timers) {
    timers_init(timers);
    timers->duration_ms[TIMER_HEAD] = 10;
    timers->duration_ms[TIMER_IDLE] = 60;
    timers->duration_ms[TIMER_HEARTBEAT] = 15;
}

static void test_a_timer_is_due_at_its_deadline_and_not_before(void **state) {
    (void)state;
    struct timers timers;
    struct timer timer = {.kind = TIMER_NONE};
    enum timer_kind kind;
    set_durations(&timers);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    timer_set(&timers, &timer, TIMER_HEAD, 100);
    assert_int_equal(timers_next(&timers), 110);
    assert_null(timers_take_due(&timers, 109, &kind));
    assert_ptr_equal(timers_take_due(&timers, 110, &kind), &timer);
    assert_int_equal(kind, TIMER_HEAD);
    assert_int_equal(timer.kind, TIMER_NONE);
    assert_null(timers_take_due(&timers, 1000, &kind));
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

static void test_a_kind_that_is_off_never_comes(void **state) {
    (void)state;
    struct timers timers;
    struct timer timer = {.kind = TIMER_NONE};
    enum timer_kind kind;
    set_durations(&timers);
    timer_set(&timers, &timer, TIMER_HEAD, 0);
    timer_set(&timers, &timer, TIMER_BODY, 0); /* off: and the deadline before is void */
    assert_int_equal(timer.kind, TIMER_NONE);
    assert_null(timers_take_due(&timers, UINT64_MAX, &kind));
}

static void test_stopping_twice_does_nothing(void **state) {
    (void)state;
    struct timers timers;
    struct timer timer = {.kind = TIMER_NONE};
    set_durations(&timers);
    timer_stop(&timer);
    timer_set(&timers, &timer, TIMER_IDLE, 5);
    timer_stop(&timer);
    timer_stop(&timer);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

/* 10,000 random steps: what is due comes exactly once, whatever was set, changed and stopped before. */
static void test_many_timers_agree_with_a_model(void **state) {
    (void)state;
    enum { COUNT = 50 };
    static const enum timer_kind kinds[] = {TIMER_HEAD, TIMER_IDLE, TIMER_HEARTBEAT};
    struct timers timers;
    struct timer all[COUNT] = {{.kind = TIMER_NONE}};
    uint64_t model[COUNT]; /* deadlines, TIMER_NEVER: not set */
    uint32_t random = 12345;
    uint64_t now_ms = 1000;
    set_durations(&timers);
    for (int i = 0; i < COUNT; i++)
        model[i] = TIMER_NEVER;
    for (int step = 0; step < 10000; step++) {
        random = random * 1664525u + 1013904223u;
        int i = (int)(random >> 8) % COUNT;
        unsigned what = random >> 28;
        if (what < 8) {
            enum timer_kind kind = kinds[(random >> 20) % 3];
            timer_set(&timers, &all[i], kind, now_ms);
            model[i] = now_ms + timers.duration_ms[kind];
        } else if (what < 11) {
            timer_stop(&all[i]);
            model[i] = TIMER_NEVER;
        } else {
            now_ms += random >> 20 & 7;
        }
        uint64_t next = TIMER_NEVER;
        for (int k = 0; k < COUNT; k++)
            if (model[k] < next) next = model[k];
        assert_int_equal(timers_next(&timers), next);
        struct timer *due;
        enum timer_kind kind;
        while ((due = timers_take_due(&timers, now_ms, &kind)) != NULL) {
            assert_true(model[due - all] <= now_ms);
            model[due - all] = TIMER_NEVER;
        }
        for (int k = 0; k < COUNT; k++)
            assert_true(model[k] > now_ms);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_timer_is_due_at_its_deadline_and_not_before),
        cmocka_unit_test(test_a_kind_that_is_off_never_comes),
        cmocka_unit_test(test_stopping_twice_does_nothing),
        cmocka_unit_test(test_many_timers_agree_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
