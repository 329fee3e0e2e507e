/* The map from hash to object: find, insert and remove, many in one list, and objects that are used again. */
#include "concurrent/index_map.h"

#include "prelude.h"
#include "support/counting_allocator.h"

struct object {
    struct index_node node;
    uint64_t name;
};

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct slab slab;
    struct index_map map;
};

static void open_bed(struct bed *bed) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(slab_create(&bed->slab, &bed->allocator, NULL, sizeof(struct object), 1000, 12), WEIR_OK);
    assert_int_equal(index_map_create(&bed->map, &bed->allocator, &bed->slab, 8), WEIR_OK);
}

struct wide_object {
    struct object object;
    char rest[64 - sizeof(struct object)]; /* a run of them is a page */
};

static void open_discardable(struct bed *bed) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(slab_create_discardable(&bed->slab, &bed->allocator, sizeof(struct wide_object), 1000, 12),
                     WEIR_OK);
    assert_int_equal(index_map_create(&bed->map, &bed->allocator, &bed->slab, 8), WEIR_OK);
}

static void close_bed(struct bed *bed) {
    index_map_destroy(&bed->map, &bed->allocator);
    slab_destroy(&bed->slab);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static bool match_name(void *context, void *object) {
    return ((const struct object *)object)->name == *(const uint64_t *)context;
}

static uint32_t prepare(struct bed *bed, uint64_t hash, uint64_t name) {
    uint32_t index;
    uint32_t taken;
    assert_int_equal(slab_take(&bed->slab, &index, 1, &taken), WEIR_OK);
    ((struct object *)slab_at(&bed->slab, index))->name = name;
    index_map_prepare(&bed->map, index, hash);
    return index;
}

static uint32_t add(struct bed *bed, uint64_t hash, uint64_t name) {
    uint32_t index = prepare(bed, hash, name);
    assert_int_equal(index_map_insert(&bed->map, index, match_name, &name), index);
    return index;
}

static uint32_t find(struct bed *bed, uint64_t hash, uint64_t name) {
    return index_map_find(&bed->map, hash, match_name, &name);
}

static void objects_of_one_list_are_told_apart_by_hash_and_by_match(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[300];
    open_bed(&bed);
    /* 64 lists at least: hashes of equal low bits share one, every third hash is the same altogether. */
    for (uint64_t i = 0; i < 300; i++)
        indices[i] = add(&bed, i % 3 == 0 ? 77 : i * 1024 + 13, i);
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(find(&bed, i % 3 == 0 ? 77 : i * 1024 + 13, i), indices[i]);
    assert_int_equal(find(&bed, 77, 1000), SLAB_NONE);
    assert_int_equal(find(&bed, 78, 0), SLAB_NONE);
    for (uint64_t i = 0; i < 300; i += 2) {
        assert_true(index_map_remove(&bed.map, indices[i]));
        assert_false(index_map_remove(&bed.map, indices[i]));
    }
    for (uint64_t i = 0; i < 300; i++)
        assert_int_equal(find(&bed, i % 3 == 0 ? 77 : i * 1024 + 13, i), i % 2 == 0 ? SLAB_NONE : indices[i]);
    close_bed(&bed);
}

static void a_second_object_of_one_name_is_told_of_the_first(void **state) {
    (void)state;
    struct bed bed;
    uint64_t name = 5;
    open_bed(&bed);
    uint32_t first = add(&bed, 9, name);
    uint32_t second = prepare(&bed, 9, name);
    assert_int_equal(index_map_insert(&bed.map, second, match_name, &name), first);
    assert_int_equal(find(&bed, 9, name), first);
    assert_true(index_map_remove(&bed.map, first));
    assert_int_equal(find(&bed, 9, name), SLAB_NONE);
    close_bed(&bed);
}

/* The loser was never in a list, but whoever stood on its memory's last use may have found it: exactly one of them
 * removes it, and gives back the one reference that goes with that. */
static void an_object_that_never_got_in_is_removed_exactly_once_like_any_other(void **state) {
    (void)state;
    struct bed bed;
    uint64_t name = 5;
    open_bed(&bed);
    add(&bed, 9, name);
    uint32_t used = add(&bed, 10, 6);
    assert_true(index_map_remove(&bed.map, used));
    slab_give(&bed.slab, &used, 1);
    uint32_t second = prepare(&bed, 9, name);
    assert_int_equal(second, used);
    assert_int_not_equal(index_map_insert(&bed.map, second, match_name, &name), second);
    assert_true(index_map_remove(&bed.map, second));
    assert_false(index_map_remove(&bed.map, second));
    close_bed(&bed);
}

static void an_object_that_was_removed_before_it_got_in_stays_out(void **state) {
    (void)state;
    struct bed bed;
    uint64_t name = 5;
    open_bed(&bed);
    uint32_t index = prepare(&bed, 9, name);
    assert_true(index_map_remove(&bed.map, index));
    assert_int_equal(index_map_insert(&bed.map, index, match_name, &name), index);
    assert_int_equal(find(&bed, 9, name), SLAB_NONE);
    assert_false(index_map_remove(&bed.map, index));
    close_bed(&bed);
}

static void an_objects_link_never_comes_back_over_all_its_uses(void **state) {
    (void)state;
    struct bed bed;
    uint64_t links[200];
    uint32_t count = 0;
    open_bed(&bed);
    add(&bed, 64, 1000); /* somebody to be linked to */
    for (uint64_t use = 0; use < 50; use++) {
        uint32_t index = add(&bed, 64, use);
        struct index_node *node = (struct index_node *)slab_at(&bed.slab, index);
        links[count++] = u64_load_relaxed(&node->link);
        assert_true(index_map_remove(&bed.map, index));
        links[count++] = u64_load_relaxed(&node->link);
        slab_give(&bed.slab, &index, 1);
    }
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_true(links[i] != links[j]);
    close_bed(&bed);
}

/* ---- Discarding ------------------------------------------------------------------------------------------------ */

static struct index_node *node_of(struct bed *bed, uint32_t index) {
    return (struct index_node *)slab_at(&bed->slab, index);
}

static void drop(struct bed *bed, uint32_t index) {
    assert_true(index_map_remove(&bed->map, index));
    slab_give(&bed->slab, &index, 1);
}

static void only_runs_without_an_object_in_use_are_discarded(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[200];
    open_discardable(&bed);
    for (uint64_t i = 0; i < 200; i++)
        indices[i] = add(&bed, i, i);
    assert_int_equal(index_map_discard(&bed.map, 1000), 0);
    for (uint32_t i = 0; i < 200; i++)
        if (i != 100) drop(&bed, indices[i]);
    assert_int_equal(index_map_discard(&bed.map, 1000), 3);
    assert_int_equal(u64_load_relaxed(&bed.memory.discarded_bytes), 3 * 4096);
    assert_int_equal(index_map_discard(&bed.map, 1000), 0); /* nothing of it was used since */
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(find(&bed, i, i), i == 100 ? indices[i] : SLAB_NONE);
    drop(&bed, indices[100]);
    assert_int_equal(index_map_discard(&bed.map, 1000), 1);
    close_bed(&bed);
}

static void discarding_stays_inside_its_budget(void **state) {
    (void)state;
    struct bed bed;
    uint32_t indices[320];
    open_discardable(&bed);
    for (uint64_t i = 0; i < 320; i++)
        indices[i] = add(&bed, i, i);
    for (uint32_t i = 0; i < 320; i++)
        drop(&bed, indices[i]);
    assert_int_equal(index_map_discard(&bed.map, 0), 0);
    assert_int_equal(index_map_discard(&bed.map, 2), 2);
    assert_int_equal(index_map_discard(&bed.map, 1), 1);
    assert_int_equal(index_map_discard(&bed.map, UINT32_MAX), 2);
    close_bed(&bed);
}

/* Whether the system takes the memory or not, some of the time or always. */
static void an_objects_link_never_comes_back_over_discards_either(void **state) {
    (void)state;
    struct bed bed;
    static uint64_t links[2 * 64 * 6];
    open_discardable(&bed);
    for (uint32_t round = 0; round < 6; round++) {
        uint32_t first = 0;
        for (uint32_t use = 0; use < 64; use++) {
            /* The lowest free object again and again, and the others of the run behind: versions far apart. */
            uint32_t index = add(&bed, 64, use);
            first = use == 0 ? index : first;
            assert_int_equal(index, first);
            links[(round * 64 + use) * 2] = u64_load_relaxed(&node_of(&bed, index)->link);
            assert_true(index_map_remove(&bed.map, index));
            links[(round * 64 + use) * 2 + 1] = u64_load_relaxed(&node_of(&bed, index)->link);
            slab_give(&bed.slab, &index, 1);
        }
        u64_store_relaxed(&bed.memory.keep, round % 3 == 1);
        assert_int_equal(index_map_discard(&bed.map, 1000), round % 3 == 1 ? 0 : 1);
        assert_int_equal(u64_load_relaxed(&node_of(&bed, first)->link) == 0, round % 3 != 1);
    }
    for (uint32_t i = 0; i < 2 * 64 * 6; i++)
        for (uint32_t j = 0; j < i; j++)
            assert_true(links[i] != links[j]);
    close_bed(&bed);
}

/* One object of the run is far ahead of the others: after a discard all go on from there, and a second discard does not
 * take one that the first had left behind for the latest. */
static void a_run_goes_on_from_the_latest_of_its_versions(void **state) {
    (void)state;
    for (int keep = 0; keep < 2; keep++) {
        struct bed bed;
        open_discardable(&bed);
        uint32_t low = add(&bed, 1, 1);
        uint32_t high = add(&bed, 2, 2);
        u64_store_relaxed(&node_of(&bed, high)->link, 1000ull << 33 | SLAB_NONE);
        drop(&bed, low);
        drop(&bed, high);
        u64_store_relaxed(&bed.memory.keep, (uint64_t)keep);
        index_map_discard(&bed.map, 1000);
        assert_int_equal(add(&bed, 1, 1), low);
        assert_true(u64_load_relaxed(&node_of(&bed, low)->link) >> 33 > 1001);
        drop(&bed, low);
        u64_store_relaxed(&bed.memory.keep, 0);
        assert_int_equal(index_map_discard(&bed.map, 1000), 1);
        assert_int_equal(add(&bed, 1, 1), low);
        assert_true(u64_load_relaxed(&node_of(&bed, low)->link) >> 33 > 1003);
        drop(&bed, low);
        close_bed(&bed);
    }
}

/* The version has 31 bits: after the last comes 1, since a link that reads 0 is one that was discarded. */
static void versions_go_round_without_zero_and_the_latest_is_still_told(void **state) {
    (void)state;
    struct bed bed;
    const uint64_t last = (1ull << 31) - 1;
    open_discardable(&bed);
    uint32_t index = add(&bed, 1, 1);
    u64_store_relaxed(&node_of(&bed, index)->link, (last - 1) << 33 | SLAB_NONE);
    assert_true(index_map_remove(&bed.map, index));
    assert_true(u64_load_relaxed(&node_of(&bed, index)->link) >> 33 == last);
    slab_give(&bed.slab, &index, 1);
    assert_int_equal(index_map_discard(&bed.map, 1000), 1);
    uint32_t other = prepare(&bed, 1, 1);
    assert_int_equal(other, index);
    assert_true(u64_load_relaxed(&node_of(&bed, index)->link) >> 33 == 1);
    uint32_t second = add(&bed, 2, 2); /* goes on from the floor as well, and stays behind */
    assert_true(u64_load_relaxed(&node_of(&bed, second)->link) >> 33 == 1);
    drop(&bed, index);
    drop(&bed, second);
    index = add(&bed, 1, 1);
    uint64_t latest = u64_load_relaxed(&node_of(&bed, index)->link) >> 33;
    drop(&bed, index);
    assert_int_equal(index_map_discard(&bed.map, 1000), 1);
    index = add(&bed, 1, 1);
    assert_true(u64_load_relaxed(&node_of(&bed, index)->link) >> 33 > latest);
    drop(&bed, index);
    close_bed(&bed);
}

/* ---- Walkers on what is discarded ------------------------------------------------------------------------------ */

/* A find stands on an object while that ends, and its run is discarded, and used again or not. */
struct interruption {
    struct bed *bed;
    uint64_t name;        /* looked for */
    uint32_t on;          /* where it happens */
    const uint32_t *drop; /* what ends then */
    uint32_t drop_count;
    bool again; /* used again at once, for another list */
    bool done;
    uint32_t discarded;
};

static bool match_interrupted(void *context, void *object) {
    struct interruption *what = (struct interruption *)context;
    struct bed *bed = what->bed;
    if (!what->done && object == slab_at(&bed->slab, what->on)) {
        what->done = true;
        for (uint32_t i = 0; i < what->drop_count; i++)
            drop(bed, what->drop[i]);
        what->discarded = index_map_discard(&bed->map, 1000);
        for (uint64_t i = 0; what->again && i < what->drop_count; i++)
            add(bed, 1, 1000 + i);
    }
    return ((const struct object *)object)->name == what->name;
}

/* One list over two runs: run 0 ends under the walker, wherever in it the walker stands. What is in run 1 is found,
 * and what is gone is not. */
static void a_walker_whose_object_is_discarded_starts_again(void **state) {
    (void)state;
    for (uint32_t on = 0; on < 128; on += 9) {
        for (uint32_t wanted = 0; wanted < 128; wanted += 21) {
            for (int again = 0; again < 2; again++) {
                struct bed bed;
                uint32_t indices[128];
                open_discardable(&bed);
                for (uint64_t i = 0; i < 128; i++)
                    indices[i] = add(&bed, 64, i + 1); /* an object of zeros has no name */
                struct interruption what = {&bed, wanted + 1, indices[on], indices, 64, again != 0, false, 0};
                uint32_t found = index_map_find(&bed.map, 64, match_interrupted, &what);
                if (what.done) assert_int_equal(what.discarded, 1);
                if (wanted >= 64) assert_int_equal(found, indices[wanted]);
                if (wanted < 64 && what.done) assert_int_equal(found, SLAB_NONE);
                for (uint64_t i = 64; i < 128; i++)
                    assert_int_equal(find(&bed, 64, i + 1), indices[i]);
                for (uint64_t i = 0; what.again && what.done && i < 64; i++)
                    assert_int_not_equal(find(&bed, 1, 1000 + i), SLAB_NONE);
                close_bed(&bed);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_one_list_are_told_apart_by_hash_and_by_match),
        cmocka_unit_test(a_second_object_of_one_name_is_told_of_the_first),
        cmocka_unit_test(an_object_that_never_got_in_is_removed_exactly_once_like_any_other),
        cmocka_unit_test(an_object_that_was_removed_before_it_got_in_stays_out),
        cmocka_unit_test(an_objects_link_never_comes_back_over_all_its_uses),
        cmocka_unit_test(only_runs_without_an_object_in_use_are_discarded),
        cmocka_unit_test(discarding_stays_inside_its_budget),
        cmocka_unit_test(an_objects_link_never_comes_back_over_discards_either),
        cmocka_unit_test(a_run_goes_on_from_the_latest_of_its_versions),
        cmocka_unit_test(versions_go_round_without_zero_and_the_latest_is_still_told),
        cmocka_unit_test(a_walker_whose_object_is_discarded_starts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
