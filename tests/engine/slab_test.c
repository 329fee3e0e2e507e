/* Slabs: every object has one holder, memory is charged and bounded, what came back is handed out again, and the memory
 * of a discardable one goes back to the system. */
#include "concurrent/slab.h"

#include <stdlib.h>

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

/* Discardable objects of 64 bytes: a run of them is a page. */
static void open_discardable(struct bed *bed, uint32_t maximum) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(slab_create_discardable(&bed->slab, &bed->allocator, 64, maximum, 12), WEIR_OK);
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

/* ---- Discardable slabs ---------------------------------------------------------------------------------------- */

static uint32_t take_one(struct bed *bed) {
    uint32_t index;
    uint32_t taken;
    assert_int_equal(slab_take(&bed->slab, &index, 1, &taken), WEIR_OK);
    assert_int_equal(taken, 1);
    return index;
}

static void take_all(struct bed *bed, uint32_t *indices, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        indices[i] = take_one(bed);
}

static void expect_full(struct bed *bed) {
    uint32_t index;
    uint32_t taken;
    assert_int_equal(slab_take(&bed->slab, &index, 1, &taken), WEIR_FULL);
    assert_int_equal(taken, 0);
}

static uint32_t retire_some(struct bed *bed) {
    uint32_t budget = 1000;
    uint32_t first;
    assert_true(slab_retire(&bed->slab, &budget, &first));
    return first;
}

static void retire(struct bed *bed, uint32_t first) {
    assert_int_equal(retire_some(bed), first);
}

static void expect_nothing_to_retire(struct bed *bed) {
    uint32_t budget = 1000;
    uint32_t retired;
    assert_false(slab_retire(&bed->slab, &budget, &retired));
    assert_int_equal(budget, 0);
}

static void a_discardable_slab_hands_out_each_object_once_until_exactly_its_maximum(void **state) {
    (void)state;
    const uint32_t maxima[] = {1, 63, 64, 65, 200, 5000};
    for (int i = 0; i < 6; i++) {
        struct bed bed;
        uint32_t indices[8];
        uint32_t taken;
        uint32_t total = 0;
        unsigned char seen[5128] = {0};
        open_discardable(&bed, maxima[i]);
        while (total < maxima[i]) {
            assert_int_equal(slab_take(&bed.slab, indices, 8, &taken), WEIR_OK);
            assert_int_equal(taken, maxima[i] - total < 8 ? maxima[i] - total : 8);
            for (uint32_t k = 0; k < taken; k++) {
                assert_int_equal(indices[k], total + k); /* the lowest */
                assert_int_equal(seen[indices[k]]++, 0);
                memset(slab_at(&bed.slab, indices[k]), 0xAA, 64);
            }
            total += taken;
        }
        expect_full(&bed);
        assert_int_equal(slab_fresh(&bed.slab), maxima[i]);
        slab_give(&bed.slab, &(uint32_t){maxima[i] / 2}, 1);
        assert_int_equal(take_one(&bed), maxima[i] / 2);
        expect_full(&bed);
        close_bed(&bed);
    }
}

static void the_lowest_free_object_is_taken_first_wherever_it_is(void **state) {
    (void)state;
    static uint32_t indices[10000];
    struct bed bed;
    open_discardable(&bed, 10000); /* runs enough for three words of the second level */
    take_all(&bed, indices, 10000);
    const uint32_t given[] = {9999, 64 * 64 * 2, 64 * 64 - 1, 4000, 63, 1};
    for (int i = 0; i < 6; i++) {
        slab_give(&bed.slab, &given[i], 1);
        assert_int_equal(take_one(&bed), given[i]);
        expect_full(&bed);
    }
    slab_give(&bed.slab, given, 6);
    for (int i = 5; i >= 0; i--)
        assert_int_equal(take_one(&bed), given[i]);
    close_bed(&bed);
}

static void a_run_is_retired_when_it_was_used_and_is_empty(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[300];
    open_discardable(&bed, 300);
    expect_nothing_to_retire(&bed); /* nothing was ever used */
    take_all(&bed, indices, 300);
    expect_nothing_to_retire(&bed); /* all is in use */
    slab_give(&bed.slab, &indices[64], 63);
    expect_nothing_to_retire(&bed); /* one is */
    slab_give(&bed.slab, &indices[127], 1);
    slab_give(&bed.slab, &indices[192], 64);
    uint32_t one = retire_some(&bed);
    assert_true(slab_restore(&bed.slab, one));
    uint32_t other = retire_some(&bed);
    assert_true(slab_restore(&bed.slab, other));
    assert_true((one == 64 && other == 192) || (one == 192 && other == 64));
    expect_nothing_to_retire(&bed); /* they were not used again */
    assert_int_equal(u64_load_relaxed(&bed.memory.discarded_bytes), 2 * 4096);
    assert_int_equal(take_one(&bed), 64);
    slab_give(&bed.slab, &indices[64], 1);
    retire(&bed, 64);
    assert_true(slab_restore(&bed.slab, 64));
    close_bed(&bed);
}

static void retiring_looks_no_further_than_its_budget_and_goes_on_there(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[640];
    uint32_t first;
    open_discardable(&bed, 640);
    take_all(&bed, indices, 640);
    slab_give(&bed.slab, &indices[5 * 64], 64);
    uint32_t budget = 5;
    assert_false(slab_retire(&bed.slab, &budget, &first));
    assert_int_equal(budget, 0);
    budget = 1;
    assert_true(slab_retire(&bed.slab, &budget, &first));
    assert_int_equal(first, 5 * 64);
    assert_int_equal(budget, 0);
    slab_restore(&bed.slab, first);
    close_bed(&bed);
}

static void a_taker_that_meets_a_retired_run_takes_from_another_and_the_maximum_stays_exact(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[128];
    open_discardable(&bed, 128);
    take_all(&bed, indices, 128);
    slab_give(&bed.slab, indices, 64);
    retire(&bed, 0);
    for (uint32_t i = 0; i < 64; i++)
        assert_int_equal(take_one(&bed), 128 + i); /* what there is to spare */
    expect_full(&bed);
    slab_give(&bed.slab, &indices[100], 1);
    assert_int_equal(take_one(&bed), 100);
    slab_restore(&bed.slab, 0);
    expect_full(&bed);
    slab_give(&bed.slab, &indices[100], 1);
    assert_int_equal(take_one(&bed), 0); /* the run is back */
    close_bed(&bed);
}

static void what_was_discarded_reads_zero_at_the_same_address(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[64];
    void *places[64];
    open_discardable(&bed, 128);
    take_all(&bed, indices, 64);
    for (int i = 0; i < 64; i++)
        memset(places[i] = slab_at(&bed.slab, indices[i]), 0xAA, 64);
    slab_give(&bed.slab, indices, 64);
    retire(&bed, 0);
    assert_true(slab_restore(&bed.slab, 0));
    for (uint32_t i = 0; i < 64; i++) {
        assert_int_equal(take_one(&bed), i);
        unsigned char *object = (unsigned char *)slab_at(&bed.slab, i);
        assert_ptr_equal(object, places[i]);
        for (int byte = 0; byte < 64; byte++)
            assert_int_equal(object[byte], 0);
    }
    close_bed(&bed);
}

static void an_allocator_that_keeps_the_memory_changes_nothing_else(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[64];
    open_discardable(&bed, 64);
    u64_store_relaxed(&bed.memory.keep, 1);
    take_all(&bed, indices, 64);
    memset(slab_at(&bed.slab, 7), 0xAA, 64);
    slab_give(&bed.slab, indices, 64);
    retire(&bed, 0);
    assert_false(slab_restore(&bed.slab, 0));
    take_all(&bed, indices, 64);
    assert_int_equal(*(unsigned char *)slab_at(&bed.slab, 7), 0xAA);
    expect_full(&bed);
    close_bed(&bed);
}

static void without_a_way_to_discard_nothing_is_retired(void **state) {
    (void)state;
    struct bed bed;
    uint32_t index;
    memset(&bed, 0, sizeof(bed));
    bed.allocator = counting_allocator_of(&bed.memory);
    bed.allocator.discard = NULL;
    assert_int_equal(slab_create_discardable(&bed.slab, &bed.allocator, 64, 1000, 12), WEIR_OK);
    index = take_one(&bed);
    slab_give(&bed.slab, &index, 1);
    uint32_t budget = 100;
    assert_false(slab_retire(&bed.slab, &budget, &index));
    assert_int_equal(take_one(&bed), 0);
    close_bed(&bed);
}

static void a_discardable_slab_without_memory_hands_nothing_out_and_the_next_try_works(void **state) {
    (void)state;
    struct bed bed;
    uint32_t index;
    uint32_t taken;
    open_discardable(&bed, 1);
    u64_store_relaxed(&bed.memory.fail_at, u64_load_relaxed(&bed.memory.calls) + 1);
    assert_int_equal(slab_take(&bed.slab, &index, 1, &taken), WEIR_NO_MEMORY);
    assert_int_equal(slab_fresh(&bed.slab), 0);
    assert_int_equal(take_one(&bed), 0); /* its permit is there again, too */
    expect_full(&bed);
    close_bed(&bed);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memset(&bed, 0, sizeof(bed));
        bed.allocator = counting_allocator_of(&bed.memory);
        u64_store_relaxed(&bed.memory.fail_at, nth);
        assert_int_equal(slab_create_discardable(&bed.slab, &bed.allocator, 64, 100, 12), WEIR_NO_MEMORY);
        assert_int_equal(u64_load_relaxed(&bed.memory.outstanding), 0);
    }
}

static void a_walk_over_the_objects_in_use_skips_what_is_free(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[300];
    open_discardable(&bed, 300);
    take_all(&bed, indices, 300);
    slab_give(&bed.slab, &indices[1], 63);
    slab_give(&bed.slab, &indices[64], 128);
    assert_int_equal(slab_next_in_use(&bed.slab, 0), 0);
    assert_int_equal(slab_next_in_use(&bed.slab, 1), 64);    /* no more in this run */
    assert_int_equal(slab_next_in_use(&bed.slab, 70), 128);  /* none in this one */
    assert_int_equal(slab_next_in_use(&bed.slab, 128), 192); /* nor here */
    assert_int_equal(slab_next_in_use(&bed.slab, 192), 192);
    close_bed(&bed);
}

/* ---- The hints of the search ---------------------------------------------------------------------------------- */

#define TABLE 300000u /* places: two words at the top level */

static struct occupancy *open_occupancy(uint32_t maximum) {
    size_t size = (occupancy_size(maximum) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    struct occupancy *occupancy = (struct occupancy *)aligned_alloc(CACHE_LINE, size);
    assert_non_null(occupancy);
    memset(occupancy, 0, size);
    occupancy_init(occupancy, maximum);
    return occupancy;
}

static uint32_t take_place(struct occupancy *occupancy) {
    uint32_t place = SLAB_NONE;
    assert_true(occupancy_enter(occupancy));
    assert_true(occupancy_take(occupancy, occupancy_find(occupancy), &place));
    return place;
}

static void the_search_finds_the_lowest_place_through_all_levels(void **state) {
    (void)state;
    struct occupancy *occupancy = open_occupancy(TABLE);
    for (uint32_t i = 0; i < TABLE; i++)
        assert_int_equal(take_place(occupancy), i);
    assert_false(occupancy_enter(occupancy));
    for (uint32_t given = TABLE - 1; given > 100; given = given / 3 * 2) {
        occupancy_give(occupancy, given);
        occupancy_leave(occupancy);
        assert_int_equal(take_place(occupancy), given);
    }
    assert_false(occupancy_enter(occupancy));
    free(occupancy);
}

/* A thread that stopped on its way has left a hint that says full where there is a place, at any level. */
static void a_hint_that_hides_a_free_place_does_not_hide_it_for_good(void **state) {
    (void)state;
    for (uint32_t level = 1; level <= OCCUPANCY_TOP; level++) {
        struct occupancy *occupancy = open_occupancy(TABLE);
        for (uint32_t word = 0; word < occupancy->words[level]; word++)
            u64_store_relaxed(&occupancy->levels[level][word], OCCUPANCY_RUN_FULL);
        for (uint32_t i = 0; i < 200; i++)
            assert_int_equal(take_place(occupancy), i);
        for (uint32_t i = 0; i < 64; i++)
            occupancy_give(occupancy, i); /* run 0 is told of again: by the one who opened it */
        if (level == 1) assert_int_equal(u64_load_relaxed(&occupancy->levels[1][0]) & 1, 0);
        assert_int_equal(take_place(occupancy), 0);
        free(occupancy);
    }
}

/* And one that says nothing of a full run only costs a look. */
static void a_hint_that_promises_a_place_in_a_full_run_is_put_right(void **state) {
    (void)state;
    struct occupancy *occupancy = open_occupancy(TABLE);
    for (uint32_t i = 0; i < 64 * 64; i++)
        take_place(occupancy);
    u64_store_relaxed(&occupancy->levels[1][0], 0);
    u64_store_relaxed(&occupancy->levels[2][0], 0);
    assert_int_equal(take_place(occupancy), 64 * 64);
    assert_true(u64_load_relaxed(&occupancy->levels[1][0]) == OCCUPANCY_RUN_FULL);
    assert_int_equal(u64_load_relaxed(&occupancy->levels[2][0]), 1);
    free(occupancy);
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
        cmocka_unit_test(a_discardable_slab_hands_out_each_object_once_until_exactly_its_maximum),
        cmocka_unit_test(the_lowest_free_object_is_taken_first_wherever_it_is),
        cmocka_unit_test(a_run_is_retired_when_it_was_used_and_is_empty),
        cmocka_unit_test(retiring_looks_no_further_than_its_budget_and_goes_on_there),
        cmocka_unit_test(a_taker_that_meets_a_retired_run_takes_from_another_and_the_maximum_stays_exact),
        cmocka_unit_test(what_was_discarded_reads_zero_at_the_same_address),
        cmocka_unit_test(an_allocator_that_keeps_the_memory_changes_nothing_else),
        cmocka_unit_test(without_a_way_to_discard_nothing_is_retired),
        cmocka_unit_test(a_discardable_slab_without_memory_hands_nothing_out_and_the_next_try_works),
        cmocka_unit_test(a_walk_over_the_objects_in_use_skips_what_is_free),
        cmocka_unit_test(the_search_finds_the_lowest_place_through_all_levels),
        cmocka_unit_test(a_hint_that_hides_a_free_place_does_not_hide_it_for_good),
        cmocka_unit_test(a_hint_that_promises_a_place_in_a_full_run_is_put_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
