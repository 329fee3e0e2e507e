/* A principal's memory that becomes another's between two instructions of a lookup: after the text was read, before the
 * life is looked at again. The source is compiled in here with a fence that calls back. */
#include "base/atomic.h"

static void (*meanwhile)(void);

static void fence_and_call_back(void) {
    void (*call)(void) = meanwhile;
    meanwhile = NULL;
    if (call != NULL) call();
    fence_acquire();
}

#define fence_acquire fence_and_call_back
#include "stream/principals.c"
#undef fence_acquire

#include "engine/prelude.h"
#include "support/counting_allocator.h"

static struct {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct principals principals;
    struct principal_key alice;
    struct principal_key bob;
    uint32_t index;
} bed;

static uint32_t take(const struct principal_key *key) {
    uint32_t index;
    uint64_t current;
    assert_int_equal(principals_take(&bed.principals, key, 2, &index, &current), WEIR_OK);
    return index;
}

/* Alice is there, once. */
static void open_bed(void) {
    memset(&bed, 0, sizeof(bed));
    bed.allocator = counting_allocator_of(&bed.memory);
    assert_int_equal(principals_create(&bed.principals, &bed.allocator, 8), WEIR_OK);
    assert_true(principal_key_make(&bed.alice, &bed.principals, "alice", 5));
    assert_true(principal_key_make(&bed.bob, &bed.principals, "bob", 3));
    bed.index = take(&bed.alice);
}

static void close_bed(void) {
    assert_null(meanwhile); /* it was called */
    principals_destroy(&bed.principals, &bed.allocator);
    assert_int_equal(u64_load_relaxed(&bed.memory.outstanding), 0);
}

static void replace_alice_by_bob(void) {
    principals_give(&bed.principals, bed.index);
    assert_int_equal(take(&bed.bob), bed.index);
}

static void replace_alice_by_herself(void) {
    principals_give(&bed.principals, bed.index);
    assert_int_equal(take(&bed.alice), bed.index);
    assert_int_equal(take(&bed.alice), bed.index);
}

static void count_alice_once_more(void) {
    assert_int_equal(take(&bed.alice), bed.index);
}

static void cap_12_a_count_is_not_the_next_lifes(void **state) {
    (void)state;
    open_bed();
    meanwhile = replace_alice_by_bob;
    assert_int_equal(principals_count(&bed.principals, &bed.alice), 0);
    assert_int_equal(principals_count(&bed.principals, &bed.bob), 1);
    close_bed();
}

static void cap_12_nobody_is_counted_in_anothers_name(void **state) {
    (void)state;
    open_bed();
    meanwhile = replace_alice_by_bob;
    assert_true(take(&bed.alice) != bed.index);
    assert_int_equal(principals_count(&bed.principals, &bed.alice), 1);
    assert_int_equal(principals_count(&bed.principals, &bed.bob), 1);
    close_bed();
}

/* CAP-12: a life that ended is not taken up again, and its successor's count is met by the cap. */
static void cap_12_a_successor_in_the_same_memory_is_found_on_its_own(void **state) {
    (void)state;
    uint32_t index;
    uint64_t current;
    open_bed();
    meanwhile = replace_alice_by_herself;
    assert_int_equal(principals_take(&bed.principals, &bed.alice, 2, &index, &current), WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(current, 2);
    assert_int_equal(principals_count(&bed.principals, &bed.alice), 2);
    close_bed();
}

/* CAP-10: what a snapshot has read is one life's, or is not shown; a count that changed does not make it another. */
static void cap_10_a_text_that_was_read_while_its_life_ended_is_not_shown(void **state) {
    (void)state;
    struct principal_key seen;
    uint64_t count;
    open_bed();
    meanwhile = replace_alice_by_bob;
    assert_false(principals_read(&bed.principals, bed.index, &seen, &count));
    assert_true(principals_read(&bed.principals, bed.index, &seen, &count));
    assert_true(seen.length == 3 && count == 1);
    close_bed();
    open_bed();
    meanwhile = count_alice_once_more;
    assert_true(principals_read(&bed.principals, bed.index, &seen, &count));
    assert_true(seen.length == 5 && count == 1);
    close_bed();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_12_a_count_is_not_the_next_lifes),
        cmocka_unit_test(cap_12_nobody_is_counted_in_anothers_name),
        cmocka_unit_test(cap_12_a_successor_in_the_same_memory_is_found_on_its_own),
        cmocka_unit_test(cap_10_a_text_that_was_read_while_its_life_ended_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
