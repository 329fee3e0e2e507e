/* The verifier of the load generator, fed with lost, repeated and swapped events: each is noticed and counted as what
 * it is, what a gap told is set against what is missing, and a simple model agrees on every short sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "command/bench/verifier.h"

/* Feeds lane 0 with the numbers, up to a 0. */
static void feed(struct verifier *verifier, const uint64_t *numbers) {
    for (; *numbers != 0; numbers++) {
        verifier_take(verifier, 0, *numbers);
    }
}

#define FEED(verifier, ...) feed(verifier, (const uint64_t[]){__VA_ARGS__, 0})

static void all_in_order_is_clean(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 2));
    for (uint64_t number = 1; number <= 100; number++) {
        assert_int_equal(verifier_take(&verifier, 0, number), VERDICT_NEXT);
        assert_int_equal(verifier_take(&verifier, 1, number), VERDICT_NEXT);
    }
    verifier_end_lane(&verifier, 0, 100);
    verifier_end_lane(&verifier, 1, 100);
    assert_int_equal(verifier.received, 200);
    assert_int_equal(verifier.missing + verifier.repeated + verifier.disordered, 0);
    assert_int_equal(verifier_silent_losses(&verifier, 0), 0);
    verifier_free(&verifier);
}

static void a_lost_event_is_noticed(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 1));
    FEED(&verifier, 1, 2);
    assert_int_equal(verifier_take(&verifier, 0, 5), VERDICT_AFTER_HOLE);
    verifier_end_lane(&verifier, 0, 5);
    assert_int_equal(verifier_silent_losses(&verifier, 0), 2);
    assert_int_equal(verifier.received, 3);
    assert_int_equal(verifier.holes[0].first, 3);
    assert_int_equal(verifier.holes[0].last, 4);
    verifier_free(&verifier);
}

static void the_last_ones_lost_are_noticed_at_the_end(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 3));
    FEED(&verifier, 1, 2, 3);
    verifier_end_lane(&verifier, 0, 5);
    verifier_end_lane(&verifier, 1, 7);
    verifier_end_lane(&verifier, 2, 0);
    assert_int_equal(verifier_silent_losses(&verifier, 0), 9);
    verifier_free(&verifier);
}

static void a_repeated_event_is_noticed(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 2));
    FEED(&verifier, 1, 2, 3);
    assert_int_equal(verifier_take(&verifier, 0, 3), VERDICT_REPEATED);
    assert_int_equal(verifier_take(&verifier, 0, 1), VERDICT_REPEATED);
    assert_int_equal(verifier_take(&verifier, 1, 1), VERDICT_NEXT);
    assert_int_equal(verifier.repeated, 2);
    assert_int_equal(verifier.received, 4);
    assert_int_equal(verifier.disordered, 0);
    verifier_free(&verifier);
}

static void a_swapped_event_is_disorder_and_no_loss(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 1));
    FEED(&verifier, 1, 3);
    assert_int_equal(verifier_take(&verifier, 0, 2), VERDICT_LATE);
    assert_int_equal(verifier_take(&verifier, 0, 2), VERDICT_REPEATED);
    verifier_end_lane(&verifier, 0, 3);
    assert_int_equal(verifier.disordered, 1);
    assert_int_equal(verifier.repeated, 1);
    assert_int_equal(verifier.missing, 0);
    assert_int_equal(verifier_silent_losses(&verifier, 0), 0);
    verifier_free(&verifier);
}

static void a_gap_makes_a_loss_a_told_one(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 1));
    FEED(&verifier, 1, 6); /* 2 to 5 are missing, which the server calls 102 to 105 */
    verifier_take_gap(&verifier, &(struct told_gap){102, 104, 3, true});
    assert_int_equal(verifier_silent_losses(&verifier, 0), 1);
    verifier_take_gap(&verifier, &(struct told_gap){102, 104, 3, true}); /* the same again tells nothing new */
    assert_int_equal(verifier_silent_losses(&verifier, 0), 1);
    verifier_take_gap(&verifier, &(struct told_gap){103, 105, 3, true}); /* this tells of one more */
    assert_int_equal(verifier_silent_losses(&verifier, 0), 0);
    assert_int_equal(verifier.told, 4);
    assert_int_equal(verifier.gaps, 3);
    verifier_free(&verifier);
}

static void a_gap_without_a_number_tells_of_everything(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 1));
    FEED(&verifier, 1, 9);
    verifier_take_gap(&verifier, &(struct told_gap){1, 0, 0, true}); /* none lost */
    assert_int_equal(verifier_silent_losses(&verifier, 0), 7);
    verifier_take_gap(&verifier, &(struct told_gap){1, 0, 0, false});
    assert_int_equal(verifier_silent_losses(&verifier, 0), 0);
    verifier_free(&verifier);
}

static void what_was_refused_is_not_lost(void **state) {
    (void)state;
    struct verifier verifier;
    assert_true(verifier_init(&verifier, 1));
    FEED(&verifier, 1, 4, 7);
    assert_int_equal(verifier_silent_losses(&verifier, 4), 0);
    assert_int_equal(verifier_silent_losses(&verifier, 3), 1);
    verifier_free(&verifier);
}

/* ---- Every sequence ---- */

enum { NUMBERS = 6, LENGTH = 6 };

struct model {
    unsigned seen[NUMBERS + 1];
    uint64_t highest, repeated, disordered;
};

static enum verdict model_take(struct model *model, uint64_t number) {
    if (model->seen[number]++ > 0) {
        model->repeated++;
        return VERDICT_REPEATED;
    }
    if (number < model->highest) {
        model->disordered++;
        return VERDICT_LATE;
    }
    bool next = number == model->highest + 1;
    model->highest = number;
    return next ? VERDICT_NEXT : VERDICT_AFTER_HOLE;
}

/* All sequences of six out of the numbers 1 to 6: with any loss, repetition and disorder that fits in. */
static void agrees_with_a_simple_model(void **state) {
    (void)state;
    unsigned sequences = 1;
    for (int i = 0; i < LENGTH; i++) {
        sequences *= NUMBERS;
    }
    for (unsigned sequence = 0; sequence < sequences; sequence++) {
        struct model model = {.highest = 0};
        struct verifier verifier;
        assert_true(verifier_init(&verifier, 2));
        unsigned rest = sequence;
        for (int i = 0; i < LENGTH; i++, rest /= NUMBERS) {
            uint64_t number = rest % NUMBERS + 1;
            assert_int_equal(verifier_take(&verifier, 1, number), model_take(&model, number));
        }
        verifier_end_lane(&verifier, 1, NUMBERS);
        uint64_t missing = 0;
        for (int number = 1; number <= NUMBERS; number++) {
            missing += model.seen[number] == 0;
        }
        assert_int_equal(verifier.repeated, model.repeated);
        assert_int_equal(verifier.disordered, model.disordered);
        assert_int_equal(verifier.missing, missing);
        assert_int_equal(verifier.received, NUMBERS - missing);
        verifier_free(&verifier);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_in_order_is_clean),
        cmocka_unit_test(a_lost_event_is_noticed),
        cmocka_unit_test(the_last_ones_lost_are_noticed_at_the_end),
        cmocka_unit_test(a_repeated_event_is_noticed),
        cmocka_unit_test(a_swapped_event_is_disorder_and_no_loss),
        cmocka_unit_test(a_gap_makes_a_loss_a_told_one),
        cmocka_unit_test(a_gap_without_a_number_tells_of_everything),
        cmocka_unit_test(what_was_refused_is_not_lost),
        cmocka_unit_test(agrees_with_a_simple_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
