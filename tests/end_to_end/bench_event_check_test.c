/* What the load generator says of an event: events of its own in order are deliveries; lost, repeated, swapped, foreign
 * and changed ones are each counted as what they are; and weir's gaps and ends are told apart from events that only
 * look like them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "command/bench/event_check.h"

enum { SIZE = 120, SESSIONS = 2, PUBLISHERS = 4, SESSION = 1, DUE_NS = 1000, NOW_NS = 5000 };

struct scene {
    struct bench_plan plan;
    struct ledger ledger;
    struct subscriber subscriber;
};

/* A subscriber of session 1, into which publishers 1 and 3 have published twenty events each. */
static int set_up(void **state) {
    struct scene *scene = calloc(1, sizeof *scene);
    const uint32_t waited_for[SESSIONS] = {1, 1};
    const struct ledger_shape shape = {SESSIONS, PUBLISHERS, 32, waited_for};
    if (scene == NULL || !ledger_init(&scene->ledger, &shape)) return -1;
    scene->ledger.window_begin_ns = 0;
    scene->ledger.complaints = 100; /* the words are no business of this test */
    for (uint32_t i = 0; i < PUBLISHERS; i++) {
        for (int j = 0; j < 20; j++) {
            ledger_publish(&scene->ledger, &scene->ledger.lanes[i], DUE_NS, DUE_NS);
        }
    }
    scene->plan.options.size = SIZE;
    scene->subscriber.plan = &scene->plan;
    scene->subscriber.ledger = &scene->ledger;
    scene->subscriber.session = SESSION;
    scene->subscriber.state = SUBSCRIBER_LIVE;
    scene->subscriber.now_ns = NOW_NS;
    *state = scene;
    return verifier_init(&scene->subscriber.verifier, ledger_lanes_of(&scene->ledger, SESSION)) ? 0 : -1;
}

static int tear_down(void **state) {
    struct scene *scene = *state;
    verifier_free(&scene->subscriber.verifier);
    ledger_free(&scene->ledger);
    free(scene);
    return 0;
}

static void give_text(struct scene *scene, struct span kind, struct span data, bool has_id) {
    const struct sse_event event = {.kind = kind, .data = data, .has_id = has_id};
    event_check(&scene->subscriber, &event);
}

static void give_payload(struct scene *scene, const struct payload *payload) {
    char text[SIZE];
    payload_write(text, SIZE, payload);
    give_text(scene, SPAN(""), (struct span){text, SIZE}, true);
}

static void give(struct scene *scene, uint32_t publisher, uint64_t number) {
    const struct payload payload = {scene->ledger.run, SESSION, publisher, number, DUE_NS};
    give_payload(scene, &payload);
}

static void assert_counts(const struct scene *scene, uint64_t deliveries, uint64_t strange, uint64_t corrupt) {
    assert_int_equal(scene->ledger.deliveries, deliveries);
    assert_int_equal(scene->ledger.strange, strange);
    assert_int_equal(scene->ledger.corrupt, corrupt);
}

static void in_order_is_a_delivery(void **state) {
    struct scene *scene = *state;
    for (uint64_t number = 1; number <= 20; number++) {
        give(scene, 1, number);
        give(scene, 3, number);
    }
    assert_counts(scene, 40, 0, 0);
    assert_int_equal(scene->subscriber.verifier.missing, 0);
    assert_int_equal(scene->ledger.latency.count, 40);
    assert_int_equal(scene->ledger.latency.max, NOW_NS - DUE_NS);
    assert_int_equal(scene->ledger.to_all.count, 40); /* each waited for this subscriber only */
    assert_int_equal(scene->ledger.delivered_of[1], 20);
    assert_int_equal(scene->ledger.delivered_of[3], 20);
}

static void lost_repeated_and_swapped_are_noticed(void **state) {
    struct scene *scene = *state;
    static const uint64_t numbers[] = {1, 2, 2, 5, 4, 6}; /* 3 is lost, 2 repeated, 4 and 5 swapped */
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        give(scene, 3, numbers[i]);
    }
    const struct verifier *verifier = &scene->subscriber.verifier;
    assert_counts(scene, 5, 0, 0);
    assert_int_equal(verifier->missing, 1);
    assert_int_equal(verifier->repeated, 1);
    assert_int_equal(verifier->disordered, 1);
    assert_int_equal(scene->ledger.delivered_of[3], 6); /* a lost one is not waited for */
    assert_int_equal(scene->ledger.to_all.count, 4);    /* nor one that was thought lost */
}

static void foreign_events_are_noticed(void **state) {
    struct scene *scene = *state;
    const uint32_t run = scene->ledger.run;
    const struct payload foreign[] = {
        {run + 1, SESSION, 1, 1, DUE_NS}, /* another run */
        {run, 0, 0, 1, DUE_NS},           /* another session */
        {run, SESSION, 2, 1, DUE_NS},     /* a publisher that is not of this session */
        {run, SESSION, 9, 1, DUE_NS},     /* no publisher at all */
        {run, SESSION, 1, 0, DUE_NS},     /* numbers that were not published */
        {run, SESSION, 1, 21, DUE_NS},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        give_payload(scene, &foreign[i]);
        assert_counts(scene, 0, i + 1, 0);
    }
    give_text(scene, SPAN(""), SPAN("hello"), true);
    assert_counts(scene, 0, 7, 0);
}

static void changed_events_are_noticed(void **state) {
    struct scene *scene = *state;
    const struct payload payload = {scene->ledger.run, SESSION, 1, 1, DUE_NS};
    char text[SIZE];
    payload_write(text, SIZE, &payload);
    text[SIZE - 1] = '.';
    give_text(scene, SPAN(""), (struct span){text, SIZE}, true);
    give_text(scene, SPAN(""), (struct span){text, SIZE - 1}, true);
    assert_counts(scene, 0, 0, 2);
}

static void gaps_tell_and_look_alikes_do_not(void **state) {
    struct scene *scene = *state;
    const struct verifier *verifier = &scene->subscriber.verifier;
    give(scene, 1, 1);
    give(scene, 1, 9);
    give_text(scene, SPAN("gap"), SPAN("{\"first\":2,\"last\":6,\"lost\":5,\"reason\":\"slow\"}"), false);
    assert_int_equal(verifier->told, 5);
    assert_int_equal(verifier_silent_losses(verifier, 0), 2);
    give_text(scene, SPAN("gap"), SPAN("{\"first\":7,\"last\":8,\"lost\":2}"),
              true); /* an id: somebody published it */
    give_text(scene, SPAN("gap"), SPAN("not of weir's"), false);
    assert_counts(scene, 2, 2, 0);
    assert_int_equal(verifier_silent_losses(verifier, 0), 2);
    give_text(scene, SPAN("gap"), SPAN("{\"first\":null,\"last\":null,\"lost\":null,\"reason\":\"epoch\"}"), false);
    assert_int_equal(verifier_silent_losses(verifier, 0), 0);
    assert_int_equal(verifier->gaps, 2);
    give_text(scene, SPAN("end"), SPAN("{\"reason\":\"deleted\"}"), false);
    assert_int_equal(scene->ledger.ends, 1);
}

static void a_storm_is_over_once_all_of_it_is_there(void **state) {
    struct scene *scene = *state;
    give(scene, 1, 1);
    for (uint32_t i = 0; i < PUBLISHERS; i++) {
        scene->ledger.lanes[i].storm_target = 2;
    }
    scene->subscriber.behind = true;
    scene->ledger.behind = 1;
    give(scene, 1, 2);
    give(scene, 3, 1);
    assert_int_equal(scene->ledger.behind, 1);
    give(scene, 3, 2);
    assert_int_equal(scene->ledger.behind, 0);
    assert_false(scene->subscriber.behind);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order_is_a_delivery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lost_repeated_and_swapped_are_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_events_are_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_events_are_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gaps_tell_and_look_alikes_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_storm_is_over_once_all_of_it_is_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
