/* Cells: size classes, packed facts, copies of every length, and a producer's stock. */
#include "concurrent/cells.h"

#include "concurrent/copy.h"
#include "prelude.h"
#include "session/engine.h"
#include "support/counting_allocator.h"

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct cell_pool pool;
    struct cell_stock stock;
};

static void open_bed(struct bed *bed, uint64_t max_bytes) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(cell_pool_create(&bed->pool, &bed->allocator, max_bytes), WEIR_OK);
    cell_stock_open(&bed->stock, &bed->pool);
}

static void close_bed(struct bed *bed) {
    cell_stock_close(&bed->stock);
    cell_pool_destroy(&bed->pool);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static void the_class_of_a_length_is_the_smallest_with_room(void **state) {
    (void)state;
    for (size_t length = 0; length <= WEIR_EVENT_BYTES_MAX; length += length < 70000 ? 1 : 997) {
        uint32_t class_index = cell_class_for(length);
        assert_true(class_index < CELL_CLASSES);
        assert_true(length <= cell_room(class_index));
        if (class_index > 0) assert_true(length > cell_room(class_index - 1));
    }
    assert_int_equal(cell_class_for(112), 0);
    assert_int_equal(cell_class_for(113), 1);
    assert_int_equal(cell_class_for(1008), CELL_SMALL_CLASSES - 1);
    assert_int_equal(cell_class_for(1009), CELL_SMALL_CLASSES);
    assert_int_equal(cell_class_for(WEIR_EVENT_BYTES_MAX), CELL_CLASSES - 1);
}

static void facts_come_back_as_they_were_packed(void **state) {
    (void)state;
    const size_t lengths[] = {0, 1, 112, 65535, WEIR_EVENT_BYTES_MAX};
    const uint32_t kinds[] = {0, 1, 512, 1023};
    const uint32_t times[] = {0, 1, 0x7FFFFFFF, 0xFFFFFFFF};
    for (int l = 0; l < 5; l++)
        for (int k = 0; k < 4; k++)
            for (int t = 0; t < 4; t++) {
                uint64_t facts = facts_pack(lengths[l], kinds[k], times[t]);
                assert_int_equal(facts_length(facts), lengths[l]);
                assert_int_equal(facts_kind(facts), kinds[k]);
                assert_int_equal(facts_time_ms(facts), times[t]);
                assert_int_equal(facts_plain_length(facts), lengths[l]);
                assert_true(facts_plain_length(facts | FACTS_KEYED) > WEIR_EVENT_BYTES_MAX);
            }
}

/* An hour is what the clock of another thread may be ahead. */
static void the_time_of_an_event_is_completed_from_the_clock(void **state) {
    (void)state;
    const uint64_t clocks[] = {5000000, 0xFFFFFFFF, 0x100000000, 0x100000005, 0x7FFFFFFFFFFFull};
    const int64_t ages[] = {0, 1, 1000, 4000000, 0xFFFFFFFFll - 3600000, -1, -3599999, -3600000};
    for (int c = 0; c < 5; c++)
        for (int a = 0; a < 8; a++) {
            uint64_t stamped = clocks[c] - (uint64_t)ages[a];
            assert_int_equal(event_time_at(clocks[c], facts_pack(100, 3, (uint32_t)stamped)), stamped);
        }
}

static void a_copy_of_any_length_moves_exactly_its_bytes(void **state) {
    (void)state;
    _Alignas(16) unsigned char cell[320];
    unsigned char source[300];
    unsigned char target[300 + 16];
    for (size_t i = 0; i < sizeof(source); i++)
        source[i] = (unsigned char)(i * 7 + 1);
    for (size_t length = 0; length <= 300; length++) {
        memset(cell, 0, sizeof(cell));
        memset(target, 0xEE, sizeof(target));
        copy_into_cell(cell, source, length);
        copy_from_cell(target, cell, length);
        assert_memory_equal(target, source, length);
        for (size_t i = length; i < sizeof(target); i++)
            assert_int_equal(target[i], 0xEE);
        for (size_t i = (length + 15) / 16 * 16; i < sizeof(cell); i++)
            assert_int_equal(cell[i], 0);
        if (length > CELL_SMALL_ROOM) continue;
        memset(cell, 0, sizeof(cell));
        copy_into_small_cell(cell, source, length);
        assert_memory_equal(cell, source, length);
        for (size_t i = (length + 15) / 16 * 16; i < sizeof(cell); i++)
            assert_int_equal(cell[i], 0);
    }
}

static void every_class_has_cells_of_its_size_that_do_not_overlap(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 64u << 20);
    for (uint32_t class_index = 0; class_index < CELL_CLASSES; class_index++) {
        struct cell *cells[6];
        for (int i = 0; i < 6; i++) {
            int status = WEIR_OK;
            const struct stocked_cell *next = cell_stock_next(&bed.stock, class_index, &status);
            assert_non_null(next);
            assert_int_equal(cell_class(next->reference), class_index);
            assert_true(cell_is_cell(next->reference));
            assert_ptr_equal(next->cell, cell_at(&bed.pool, next->reference));
            assert_int_equal((uintptr_t)next->cell % 64, 0);
            cells[i] = next->cell;
            memset(cells[i], i + 1, cell_size(class_index));
            cell_stock_spend(&bed.stock, class_index);
        }
        for (int i = 0; i < 6; i++) {
            assert_int_equal(((unsigned char *)cells[i])[0], i + 1);
            assert_int_equal(((unsigned char *)cells[i])[cell_size(class_index) - 1], i + 1);
        }
    }
    assert_false(cell_is_cell(CELL_EMPTY));
    assert_false(cell_is_cell(CELL_EVICTED));
    close_bed(&bed);
}

static void a_kept_cell_is_used_again_after_the_stock_before_it(void **state) {
    (void)state;
    struct bed bed;
    int status = WEIR_OK;
    open_bed(&bed, 1u << 20);
    const struct stocked_cell *next = cell_stock_next(&bed.stock, 0, &status);
    cell_reference spent = next->reference;
    cell_stock_spend(&bed.stock, 0);
    cell_stock_keep(&bed.stock, spent);
    uint32_t before = 0;
    while ((next = cell_stock_next(&bed.stock, 0, &status))->reference != spent) {
        cell_stock_spend(&bed.stock, 0);
        before++;
        assert_true(before <= STOCK_ROOM);
    }
    assert_true(before >= STOCK_DEPTH - 1);
    close_bed(&bed);
}

static void a_stock_gives_what_is_too_much_back_to_the_pool(void **state) {
    (void)state;
    struct bed bed;
    cell_reference held[200];
    int status = WEIR_OK;
    open_bed(&bed, 1u << 20);
    for (int i = 0; i < 200; i++) {
        held[i] = cell_stock_next(&bed.stock, 0, &status)->reference;
        cell_stock_spend(&bed.stock, 0);
    }
    for (int i = 0; i < 200; i++)
        cell_stock_keep(&bed.stock, held[i]);
    assert_true(bed.stock.classes[0].tail - bed.stock.classes[0].head <= STOCK_ROOM);
    uint32_t fresh = slab_fresh(&bed.pool.classes[0]);
    for (int i = 0; i < 200; i++) { /* all of it serves again: nothing new is taken */
        cell_stock_next(&bed.stock, 0, &status);
        cell_stock_spend(&bed.stock, 0);
    }
    assert_true(slab_fresh(&bed.pool.classes[0]) <= fresh + STOCK_REFILL);
    close_bed(&bed);
}

static void a_stock_holds_few_large_cells(void **state) {
    (void)state;
    struct bed bed;
    cell_reference held[12];
    int status = WEIR_OK;
    open_bed(&bed, 64u << 20);
    uint32_t class_index = cell_class_for(100000);
    for (int i = 0; i < 12; i++) {
        held[i] = cell_stock_next(&bed.stock, class_index, &status)->reference;
        cell_stock_spend(&bed.stock, class_index);
    }
    for (int i = 0; i < 12; i++)
        cell_stock_keep(&bed.stock, held[i]);
    assert_true(bed.stock.classes[class_index].tail - bed.stock.classes[class_index].head <= STOCK_LARGE);
    close_bed(&bed);
}

static void bytes_that_are_all_out_are_a_limit_of_their_own(void **state) {
    (void)state;
    struct bed bed;
    int status = WEIR_OK;
    open_bed(&bed, 200000); /* one chunk of the smallest class, and not two */
    uint32_t taken = 0;
    while (cell_stock_next(&bed.stock, 0, &status) != NULL && taken < 10000) {
        cell_stock_spend(&bed.stock, 0);
        taken++;
    }
    assert_int_equal(status, WEIR_BYTES_LIMIT);
    assert_true(taken >= 512 && taken < 1600);
    assert_true(u64_load_relaxed(&bed.pool.budget.used) <= 200000);
    close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_class_of_a_length_is_the_smallest_with_room),
        cmocka_unit_test(facts_come_back_as_they_were_packed),
        cmocka_unit_test(the_time_of_an_event_is_completed_from_the_clock),
        cmocka_unit_test(a_copy_of_any_length_moves_exactly_its_bytes),
        cmocka_unit_test(every_class_has_cells_of_its_size_that_do_not_overlap),
        cmocka_unit_test(a_kept_cell_is_used_again_after_the_stock_before_it),
        cmocka_unit_test(a_stock_gives_what_is_too_much_back_to_the_pool),
        cmocka_unit_test(a_stock_holds_few_large_cells),
        cmocka_unit_test(bytes_that_are_all_out_are_a_limit_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
