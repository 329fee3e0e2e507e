/* Batches: what is in them stays where it is, and the last holder gives them back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/batch.h"

static void add(struct batch *batch, const char *text) {
    size_t length = strlen(text);
    assert_true(batch_fits(batch, length));
    memcpy(batch->data + batch->length, text, length);
    batch_added(batch, length);
}

static void test_each_event_is_found_at_its_offset(void **state) {
    (void)state;
    struct batch_pool pool;
    batch_pool_init(&pool, 64);
    struct batch *batch = batch_take(&pool, UINT64_MAX - 10); /* sequences may be anywhere */
    assert_false(batch_holds(batch, UINT64_MAX - 10));
    add(batch, "one");
    char *first = batch->data;
    add(batch, "twotwo");
    add(batch, "3");
    assert_ptr_equal(batch->data, first);
    assert_int_equal(batch->to, UINT64_MAX - 7);
    assert_int_equal(batch_offset(batch, UINT64_MAX - 10), 0);
    assert_int_equal(batch_offset(batch, UINT64_MAX - 9), 3);
    assert_int_equal(batch_offset(batch, UINT64_MAX - 8), 9);
    assert_true(batch_holds(batch, UINT64_MAX - 8));
    assert_false(batch_holds(batch, UINT64_MAX - 7));
    assert_false(batch_holds(batch, UINT64_MAX - 11));
    assert_false(batch_holds(NULL, 5));
    batch_release(batch);
    batch_pool_close(&pool);
}

static void test_a_batch_is_full_by_bytes_or_by_events(void **state) {
    (void)state;
    struct batch_pool pool;
    batch_pool_init(&pool, 10);
    struct batch *batch = batch_take(&pool, 1);
    add(batch, "0123456");
    assert_true(batch_fits(batch, 3));
    assert_false(batch_fits(batch, 4));
    batch_release(batch);
    batch_pool_close(&pool);

    batch_pool_init(&pool, 4 * BATCH_EVENTS);
    batch = batch_take(&pool, 1);
    for (unsigned i = 0; i < BATCH_EVENTS; i++)
        add(batch, "x");
    assert_false(batch_fits(batch, 1));
    assert_int_equal(batch_offset(batch, BATCH_EVENTS), BATCH_EVENTS - 1);
    batch_release(batch);
    batch_pool_close(&pool);
}

/* Larger than any batch: an empty one grows for it, and is not kept afterwards. */
static void test_one_event_may_be_larger_than_a_batch(void **state) {
    (void)state;
    struct batch_pool pool;
    batch_pool_init(&pool, 8);
    struct batch *batch = batch_take(&pool, 7);
    assert_true(batch_fits(batch, 5000));
    memset(batch->data, 'x', 5000);
    batch_added(batch, 5000);
    assert_false(batch_fits(batch, 1));
    batch_release(batch);
    assert_int_equal(pool.free_count, 0);
    batch_pool_close(&pool);
}

static void test_a_copy_has_just_the_rest(void **state) {
    (void)state;
    struct batch_pool pool;
    batch_pool_init(&pool, 64);
    struct batch *batch = batch_take(&pool, 20);
    add(batch, "aaa");
    add(batch, "bb");
    add(batch, "c");
    struct batch *copy = batch_copy(batch, 21);
    batch_release(batch);
    assert_non_null(copy);
    assert_int_equal(copy->from, 21);
    assert_int_equal(copy->to, 23);
    assert_int_equal(copy->length, 3);
    assert_int_equal(copy->capacity, 3);
    assert_memory_equal(copy->data, "bbc", 3);
    assert_int_equal(batch_offset(copy, 21), 0);
    batch_release(copy);
    batch_pool_close(&pool);
}

static void test_the_last_holder_gives_it_back(void **state) {
    (void)state;
    struct batch_pool pool;
    batch_pool_init(&pool, 64);
    struct batch *batch = batch_take(&pool, 1);
    batch_hold(batch);
    batch_hold(batch);
    batch_release(batch);
    batch_release(batch);
    assert_int_equal(pool.free_count, 0);
    batch_release(batch);
    assert_int_equal(pool.free_count, 1);
    struct batch *again = batch_take(&pool, 99);
    assert_ptr_equal(again, batch);
    assert_true(again->from == 99 && again->to == 99 && again->length == 0 && again->holders == 1);
    batch_release(again);
    batch_release(NULL);
    batch_pool_close(&pool);
}

/* No more than BATCH_POOL are kept, however many there were. */
static void test_the_pool_is_bounded(void **state) {
    (void)state;
    struct batch *batches[3 * BATCH_POOL];
    struct batch_pool pool;
    batch_pool_init(&pool, 64);
    for (unsigned i = 0; i < 3 * BATCH_POOL; i++)
        batches[i] = batch_take(&pool, i);
    for (unsigned i = 0; i < 3 * BATCH_POOL; i++)
        batch_release(batches[i]);
    assert_int_equal(pool.free_count, BATCH_POOL);
    batch_pool_close(&pool);
    assert_int_equal(pool.free_count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_event_is_found_at_its_offset),
        cmocka_unit_test(test_a_batch_is_full_by_bytes_or_by_events),
        cmocka_unit_test(test_one_event_may_be_larger_than_a_batch),
        cmocka_unit_test(test_a_copy_has_just_the_rest),
        cmocka_unit_test(test_the_last_holder_gives_it_back),
        cmocka_unit_test(test_the_pool_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
