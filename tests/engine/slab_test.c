/* Slabs: every object has one holder, memory is charged and bounded, and what came back is handed out again. */
#include "concurrent/slab.h"

#include "prelude.h"
#include "support/counting_allocator.h"

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct slab_budget budget;
    struct slab slab;
};

static void open_bed(struct bed *bed, uint32_t object_size, uint32_t maximum, uint64_t limit) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    bed->budget.limit = limit;
    int status = slab_create(&bed->slab, &bed->allocator, limit > 0 ? &bed->budget : NULL, object_size, maximum, 12);
    assert_int_equal(status, WEIR_OK);
}

static void close_bed(struct bed *bed) {
    slab_destroy(&bed->slab);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static void every_object_is_handed_out_once_until_the_maximum(void **state) {
    (void)state;
    struct bed bed;
    unsigned char seen[100] = {0};
    uint32_t indices[8];
    uint32_t taken;
    uint32_t total = 0;
    open_bed(&bed, 64, 100, 0);
    while (total < 100) {
        assert_int_equal(slab_take(&bed.slab, indices, 8, &taken), WEIR_OK);
        assert_int_equal(taken, 100 - total < 8 ? 100 - total : 8);
        for (uint32_t i = 0; i < taken; i++) {
            assert_true(indices[i] < 100);
            assert_int_equal(seen[indices[i]]++, 0);
            memset(slab_at(&bed.slab, indices[i]), 0xAA, 64);
        }
        total += taken;
    }
    assert_int_equal(slab_take(&bed.slab, indices, 1, &taken), WEIR_FULL);
    assert_int_equal(slab_fresh(&bed.slab), 100);
    close_bed(&bed);
}

static void an_object_is_zero_when_it_is_new_and_has_a_place_of_its_own(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[70];
    open_bed(&bed, 72, 70, 0); /* not a power of two: chunks are filled up to one */
    for (uint32_t i = 0; i < 70; i++) {
        uint32_t taken;
        assert_int_equal(slab_take(&bed.slab, &indices[i], 1, &taken), WEIR_OK);
        unsigned char *object = (unsigned char *)slab_at(&bed.slab, indices[i]);
        for (int byte = 0; byte < 72; byte++)
            assert_int_equal(object[byte], 0);
        memset(object, (int)i + 1, 72);
    }
    for (uint32_t i = 0; i < 70; i++) {
        const unsigned char *object = (const unsigned char *)slab_at(&bed.slab, indices[i]);
        for (int byte = 0; byte < 72; byte++)
            assert_int_equal(object[byte], i + 1);
    }
    close_bed(&bed);
}

static void what_is_given_back_is_taken_again_before_anything_new(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[5];
    uint32_t again[5];
    uint32_t taken;
    open_bed(&bed, 64, 100, 0);
    assert_int_equal(slab_take(&bed.slab, indices, 5, &taken), WEIR_OK);
    slab_give(&bed.slab, indices, 0); /* nothing */
    slab_give(&bed.slab, &indices[1], 3);
    assert_int_equal(slab_take(&bed.slab, again, 5, &taken), WEIR_OK);
    assert_int_equal(taken, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(again[i], indices[1 + i]);
    assert_int_equal(slab_fresh(&bed.slab), 5);
    close_bed(&bed);
}

static void a_maximum_that_is_no_multiple_of_a_chunk_is_exact(void **state) {
    (void)state;
    for (uint32_t maximum = 1; maximum <= 130; maximum += 43) {
        struct bed bed;
        uint32_t index;
        uint32_t taken;
        open_bed(&bed, 64, maximum, 0);
        for (uint32_t i = 0; i < maximum; i++)
            assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_OK);
        assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_FULL);
        slab_give(&bed.slab, &index, 1);
        assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_OK);
        close_bed(&bed);
    }
}

static void a_budget_is_charged_by_the_chunk_and_never_exceeded(void **state) {
    (void)state;
    struct bed bed;
    uint32_t index;
    uint32_t taken;
    uint64_t chunk = 64 * (64 + sizeof(uint32_t)); /* 4 KiB of objects, and their links */
    open_bed(&bed, 64, 1000, 2 * chunk);
    for (uint32_t i = 0; i < 128; i++)
        assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_OK);
    assert_int_equal(u64_load_relaxed(&bed.budget.used), 2 * chunk);
    assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_BYTES_LIMIT);
    assert_int_equal(u64_load_relaxed(&bed.budget.used), 2 * chunk);
    slab_give(&bed.slab, &index, 1);
    assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_OK);
    close_bed(&bed);
}

static void a_request_across_the_budget_gets_what_there_is(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[8];
    uint32_t taken;
    open_bed(&bed, 64, 1000, 64 * (64 + sizeof(uint32_t)));
    for (uint32_t i = 0; i < 60; i++)
        assert_int_equal(slab_take(&bed.slab, indices, 1, &taken), WEIR_OK);
    uint32_t got = 0;
    while (slab_take(&bed.slab, indices, 8, &taken) == WEIR_OK)
        got += taken;
    assert_int_equal(got, 4);
    close_bed(&bed);
}

static void without_memory_nothing_is_handed_out_and_the_next_try_works(void **state) {
    (void)state;
    struct bed bed;
    uint32_t index;
    uint32_t taken;
    open_bed(&bed, 64, 100, 100000);
    u64_store_relaxed(&bed.memory.fail_at, u64_load_relaxed(&bed.memory.calls) + 1);
    assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_NO_MEMORY);
    assert_int_equal(u64_load_relaxed(&bed.budget.used), 0);
    assert_int_equal(slab_fresh(&bed.slab), 0);
    assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_OK);
    close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_is_handed_out_once_until_the_maximum),
        cmocka_unit_test(an_object_is_zero_when_it_is_new_and_has_a_place_of_its_own),
        cmocka_unit_test(what_is_given_back_is_taken_again_before_anything_new),
        cmocka_unit_test(a_maximum_that_is_no_multiple_of_a_chunk_is_exact),
        cmocka_unit_test(a_budget_is_charged_by_the_chunk_and_never_exceeded),
        cmocka_unit_test(a_request_across_the_budget_gets_what_there_is),
        cmocka_unit_test(without_memory_nothing_is_handed_out_and_the_next_try_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
