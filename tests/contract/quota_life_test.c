/* How a quota begins and ends, and what it does without memory or entropy. */
#include "quota_support.h"

static int fail_to_fill(void *context, void *memory, size_t size) {
    (void)context;
    (void)memory;
    (void)size;
    return -1;
}

static int count_fills(void *context, void *memory, size_t size) {
    memset(memory, 0x5A, size);
    ++*(int *)context;
    return 0;
}

static int try_create(struct quota_bed *bed, weir_quota_config config) {
    if (config.allocator.allocate == NULL) config.allocator = counting_allocator_of(&bed->memory);
    int status = weir_quota_create(&bed->quota, &config);
    assert_true((status == WEIR_OK) == (bed->quota != NULL));
    weir_quota_destroy(bed->quota);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
    return status;
}

static void a_quota_can_be_made_of_nothing_but_defaults(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slot;
    memset(&bed, 0, sizeof(bed));
    assert_int_equal(weir_quota_create(&bed.quota, NULL), WEIR_OK);
    assert_int_equal(quota_take(&bed, "alice", NO_CAP, NO_CAP, &slot), WEIR_OK);
    expect_at_rest(&bed, 1, 1);
    weir_quota_destroy(bed.quota); /* with a slot out */
    weir_quota_destroy(NULL);
    assert_int_equal(weir_quota_create(NULL, NULL), WEIR_INVALID);
}

static void a_configuration_out_of_range_is_refused(void **state) {
    (void)state;
    struct quota_bed bed = {0};
    struct {
        weir_quota_config config;
        uint64_t more;
    } longer = {WEIR_QUOTA_CONFIG_INIT, 0};
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    config.max_slots = WEIR_QUOTA_SLOTS_MAX + 1;
    assert_int_equal(try_create(&bed, config), WEIR_INVALID);
    config.max_slots = 1;
    assert_int_equal(try_create(&bed, config), WEIR_OK);
    config.reserved = 1;
    assert_int_equal(try_create(&bed, config), WEIR_INVALID);
    config.reserved = 0;
    config.size = 0;
    assert_int_equal(try_create(&bed, config), WEIR_INVALID);
    config.size = SIZE_MAX;
    assert_int_equal(try_create(&bed, config), WEIR_INVALID);
    longer.config.size = sizeof(longer);
    assert_int_equal(weir_quota_create(&bed.quota, &longer.config), WEIR_OK);
    weir_quota_destroy(bed.quota);
    longer.more = 1; /* something that this version does not know */
    assert_int_equal(weir_quota_create(&bed.quota, &longer.config), WEIR_INVALID);
    assert_null(bed.quota);
}

static void an_older_shorter_configuration_is_taken(void **state) {
    (void)state;
    struct quota_bed bed = {0};
    weir_quota_slot slot;
    weir_quota_config config;
    memset(&config, 0x77, sizeof(config)); /* behind its size nothing may be looked at */
    config.size = offsetof(weir_quota_config, reserved);
    config.max_slots = 1;
    assert_int_equal(weir_quota_create(&bed.quota, &config), WEIR_OK);
    assert_int_equal(quota_take(&bed, "alice", NO_CAP, NO_CAP, &slot), WEIR_OK);
    expect_refused(&bed, "alice", NO_CAP, NO_CAP, WEIR_CAPACITY_LIMIT, 1, 1);
    weir_quota_destroy(bed.quota);
}

/* Without a secret, whoever chooses principals would choose what they collide with. */
static void no_entropy_no_quota(void **state) {
    (void)state;
    struct quota_bed bed = {0};
    int fills = 0;
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    config.entropy.fill = fail_to_fill;
    assert_int_equal(try_create(&bed, config), WEIR_NO_ENTROPY);
    config.entropy.fill = count_fills;
    config.entropy.context = &fills;
    assert_int_equal(try_create(&bed, config), WEIR_OK);
    assert_int_equal(fills, 1);
}

/* CAP-02: whichever allocation fails, the acquire that needed it counts nothing, and the next one works. */
static void an_allocation_that_fails_is_refused_and_counts_nothing(void **state) {
    (void)state;
    uint64_t in_create = 0;
    uint64_t in_acquire = 0;
    for (uint64_t fail_at = 1; in_acquire < 2; fail_at++) {
        struct quota_bed bed = {0};
        weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
        weir_quota_slot slot;
        weir_refusal refusal;
        assert_true(fail_at < 20);
        config.allocator = counting_allocator_of(&bed.memory);
        u64_store_relaxed(&bed.memory.fail_at, fail_at);
        int status = weir_quota_create(&bed.quota, &config);
        if (status != WEIR_OK) {
            assert_int_equal(status, WEIR_NO_MEMORY);
            in_create++;
        } else {
            assert_int_equal(weir_quota_acquire(bed.quota, "alice", 5, 1, 1, &slot, &refusal), WEIR_NO_MEMORY);
            assert_int_equal(refusal.status, WEIR_NO_MEMORY);
            assert_int_equal(slot.generation, 0);
            expect_at_rest(&bed, 0, 0);
            assert_int_equal(quota_take(&bed, "alice", 1, 1, &slot), WEIR_OK);
            weir_quota_release(bed.quota, &slot);
            in_acquire++;
        }
        quota_close(&bed);
    }
    assert_true(in_create >= 3); /* the quota, and what it stands on */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quota_can_be_made_of_nothing_but_defaults),
        cmocka_unit_test(a_configuration_out_of_range_is_refused),
        cmocka_unit_test(an_older_shorter_configuration_is_taken),
        cmocka_unit_test(no_entropy_no_quota),
        cmocka_unit_test(an_allocation_that_fails_is_refused_and_counts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
