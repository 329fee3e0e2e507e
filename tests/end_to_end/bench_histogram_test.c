/* The histogram of the load generator: each figure read back is within a thousandth of what sorting all values gives,
 * for small and large values, and the extremes are exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "command/bench/histogram.h"

enum { VALUES = 20000 };

static int set_up(void **state) {
    *state = calloc(1, sizeof(struct histogram));
    return *state == NULL;
}

static int tear_down(void **state) {
    free(*state);
    return 0;
}

static uint64_t next_random(uint64_t *random) {
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *random >> 16;
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* The value of rank ceil(share * count). */
static uint64_t exact_at(const uint64_t *sorted, size_t count, double share) {
    size_t rank = (size_t)(share * (double)count);
    if ((double)rank < share * (double)count) rank++;
    return sorted[rank == 0 ? 0 : rank - 1];
}

static void agrees_with_sorting(void **state) {
    struct histogram *histogram = *state;
    static uint64_t values[VALUES];
    uint64_t random = 1;
    for (size_t i = 0; i < VALUES; i++) {
        values[i] = next_random(&random) >> (next_random(&random) % 40 + 8); /* every order of magnitude */
        histogram_record(histogram, values[i]);
    }
    qsort(values, VALUES, sizeof values[0], compare);
    static const double shares[] = {0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint64_t exact = exact_at(values, VALUES, shares[i]);
        uint64_t read = histogram_at(histogram, shares[i]);
        assert_true(read >= exact);
        assert_true(read - exact <= exact / 1000);
    }
    assert_int_equal(histogram_at(histogram, 1), values[VALUES - 1]);
    assert_int_equal(histogram->max, values[VALUES - 1]);
    assert_int_equal(histogram->count, VALUES);
}

/* Around each power of two, where slots change their width. */
static void keeps_three_digits_everywhere(void **state) {
    (void)state;
    for (unsigned bits = 0; bits < HISTOGRAM_MAX_BITS; bits++) {
        for (int offset = -2; offset <= 2; offset++) {
            uint64_t value = (UINT64_C(1) << bits) + (uint64_t)offset;
            if (value > UINT64_C(1) << HISTOGRAM_MAX_BITS) continue; /* below 0 */
            struct histogram *histogram = calloc(1, sizeof *histogram);
            assert_non_null(histogram);
            histogram_record(histogram, value);
            histogram_record(histogram, value * 2 + 10);
            uint64_t read = histogram_at(histogram, 0.5);
            assert_true(read >= value && read - value <= value / 1000);
            free(histogram);
        }
    }
}

static void empty_and_huge(void **state) {
    struct histogram *histogram = *state;
    assert_int_equal(histogram_at(histogram, 0.5), 0);
    assert_true(histogram_mean(histogram) == 0);
    histogram_record(histogram, 7);
    histogram_record(histogram, UINT64_MAX);
    assert_int_equal(histogram_at(histogram, 0.5), 7);
    assert_true(histogram_at(histogram, 1) == UINT64_MAX);
    assert_true(histogram->max == UINT64_MAX);
}

static void mean_is_exact(void **state) {
    struct histogram *histogram = *state;
    for (uint64_t i = 1; i <= 1000; i++) {
        histogram_record(histogram, i * 1000001);
    }
    assert_true(histogram_mean(histogram) == 500.5 * 1000001);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(agrees_with_sorting, set_up, tear_down),
        cmocka_unit_test(keeps_three_digits_everywhere),
        cmocka_unit_test_setup_teardown(empty_and_huge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mean_is_exact, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
