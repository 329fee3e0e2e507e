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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_one_list_are_told_apart_by_hash_and_by_match),
        cmocka_unit_test(a_second_object_of_one_name_is_told_of_the_first),
        cmocka_unit_test(an_object_that_never_got_in_is_removed_exactly_once_like_any_other),
        cmocka_unit_test(an_object_that_was_removed_before_it_got_in_stays_out),
        cmocka_unit_test(an_objects_link_never_comes_back_over_all_its_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
