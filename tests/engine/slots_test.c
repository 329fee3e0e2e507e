/* Slots: claim, read, evict and end at every ring size, and at sequences where laps wrap. */
#include "concurrent/slots.h"

#include <stdlib.h>

#include "prelude.h"
#include "support/counting_allocator.h"

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct cell_pool pool;
    struct cell_stock stock;
    struct slots *slots;
    uint64_t first;
};

static void open_bed(struct bed *bed, uint32_t log2, uint64_t first) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    bed->first = first;
    assert_int_equal(cell_pool_create(&bed->pool, &bed->allocator, 1u << 20), WEIR_OK);
    cell_stock_open(&bed->stock, &bed->pool);
    size_t size = (slots_size(log2) + 63) / 64 * 64;
    bed->slots = (struct slots *)aligned_alloc(64, size);
    assert_non_null(bed->slots);
    memset(bed->slots, 0, size);
    slots_init(bed->slots, log2, first);
}

static void close_bed(struct bed *bed) {
    cell_stock_close(&bed->stock);
    cell_pool_destroy(&bed->pool);
    free(bed->slots);
}

/* Publishes `payload` from `*from` on; what it replaced goes back to the stock. */
static int publish(struct bed *bed, uint64_t payload, uint64_t *from, const atomic_u64 *consumed, uint32_t depth) {
    int status = WEIR_OK;
    const struct stocked_cell *mine = cell_stock_next(&bed->stock, 0, &status);
    uint64_t replaced;
    assert_non_null(mine);
    cell_fill(mine->cell, facts_pack(sizeof(payload), 0, 0), &payload, sizeof(payload));
    status = slots_claim(bed->slots, mine->reference, mine->cell, consumed, depth, from, &replaced);
    if (status != WEIR_OK) return status;
    cell_stock_spend(&bed->stock, 0);
    if (cell_is_cell((cell_reference)replaced)) cell_stock_keep(&bed->stock, (cell_reference)replaced);
    return WEIR_OK;
}

static void publish_at(struct bed *bed, uint64_t from, uint64_t expected) {
    assert_int_equal(publish(bed, expected * 3, &from, NULL, 0), WEIR_OK);
    assert_int_equal(from, expected);
}

static enum slot_state read_at(struct bed *bed, uint64_t sequence) {
    uint64_t payload = 0;
    uint64_t facts = 0;
    enum slot_state state = slots_read(bed->slots, &bed->pool, sequence, &payload, sizeof(payload), &facts);
    if (state == SLOT_EVENT) {
        assert_int_equal(payload, sequence * 3);
        assert_int_equal(facts_length(facts), sizeof(payload));
    }
    return state;
}

/* Publishes `count` events, and checks the whole window and both its edges after each. */
static void publish_and_check(struct bed *bed, uint32_t count) {
    uint64_t ring = (uint64_t)bed->slots->mask + 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t next = bed->first + i;
        assert_int_equal(read_at(bed, next), SLOT_AHEAD);
        assert_int_equal(slots_next(bed->slots, next > bed->first + ring ? next - ring : bed->first), next);
        publish_at(bed, next, next);
        for (uint64_t back = 0; back <= i && back < ring; back++)
            assert_int_equal(read_at(bed, next - back), SLOT_EVENT);
        if (i >= ring) assert_int_equal(read_at(bed, next - ring), SLOT_PASSED);
        assert_int_equal(read_at(bed, next + 1), SLOT_AHEAD);
    }
}

static const uint64_t firsts[] = {
    1,
    2,
    1000,
    (1ull << 29) - 3, /* the lap of a ring of one wraps */
    (1ull << 30) - 5, /* of two */
    (1ull << 31) - 9, /* of four */
    (1ull << 32) - 3,
    (1ull << 37) - 300, /* of 256 */
    (1ull << 40) - 7,
    UINT64_MAX / 2 - 1,
};

static void a_ring_of_any_size_keeps_exactly_its_size_wherever_sequences_start(void **state) {
    (void)state;
    const uint32_t logs[] = {0, 1, 2, 8};
    for (size_t f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++)
        for (size_t l = 0; l < sizeof(logs) / sizeof(logs[0]); l++) {
            struct bed bed;
            open_bed(&bed, logs[l], firsts[f]);
            publish_and_check(&bed, logs[l] == 8 ? 600 : 20);
            close_bed(&bed);
        }
}

/* SEQ-10 */
static void a_claim_from_any_stale_hint_takes_the_first_free_sequence(void **state) {
    (void)state;
    for (uint32_t log2 = 0; log2 <= 3; log2++)
        for (size_t f = 0; f < sizeof(firsts) / sizeof(firsts[0]); f++) {
            struct bed bed;
            open_bed(&bed, log2, firsts[f]);
            for (uint64_t i = 0; i < 40; i++) {
                /* Hints from the very first sequence to the exact one, a different one each time. */
                publish_at(&bed, bed.first + (i * 7) % (i + 1), bed.first + i);
                for (uint64_t hint = 0; hint <= i; hint++) {
                    uint64_t better = slots_catch_up(bed.slots, &bed.pool, bed.first + hint);
                    assert_true(better >= bed.first + hint && better <= bed.first + i + 1);
                    assert_int_equal(slots_next(bed.slots, better), bed.first + i + 1);
                }
            }
            close_bed(&bed);
        }
}

/* As if 2^29 and more laps had gone by: the ring begins where the hint was, and goes on far beyond. */
static void a_hint_that_is_stale_by_more_laps_than_a_word_can_say_is_made_good(void **state) {
    (void)state;
    const uint64_t distances[] = {1ull << 28,       (1ull << 28) + 1, (1ull << 29) + 1,
                                  (1ull << 31) + 2, (1ull << 32) + 3, 1ull << 40 | 5};
    for (size_t d = 0; d < sizeof(distances) / sizeof(distances[0]); d++)
        for (uint32_t log2 = 0; log2 <= 2; log2++) {
            struct bed bed;
            uint64_t far = 7 + (distances[d] << log2);
            open_bed(&bed, log2, far);
            for (uint64_t i = 0; i < 8; i++)
                publish_at(&bed, far + i, far + i);
            uint64_t better = slots_catch_up(bed.slots, &bed.pool, 7);
            assert_int_equal(slots_next(bed.slots, better), far + 8);
            publish_at(&bed, better, far + 8);
            assert_int_equal(read_at(&bed, 7), SLOT_PASSED); /* and never "not published yet" */
            close_bed(&bed);
        }
}

static void the_expected_claim_succeeds_only_at_the_first_free_sequence(void **state) {
    (void)state;
    struct bed bed;
    int status = WEIR_OK;
    uint64_t replaced;
    open_bed(&bed, 2, 10);
    const struct stocked_cell *mine = cell_stock_next(&bed.stock, 0, &status);
    uint64_t payload = 30;
    cell_fill(mine->cell, facts_pack(8, 0, 0), &payload, 8);
    assert_true(slots_claim_expected(bed.slots, mine->reference, mine->cell, 10, &replaced));
    assert_int_equal((cell_reference)replaced, CELL_EMPTY);
    cell_stock_spend(&bed.stock, 0);
    assert_int_equal(read_at(&bed, 10), SLOT_EVENT);
    mine = cell_stock_next(&bed.stock, 0, &status);
    assert_false(slots_claim_expected(bed.slots, mine->reference, mine->cell, 10, &replaced));
    assert_false(slots_claim_expected(bed.slots, mine->reference, mine->cell, 6, &replaced));
    close_bed(&bed);
}

static void with_a_consumer_the_depth_is_exact(void **state) {
    (void)state;
    struct bed bed;
    atomic_u64 consumed;
    open_bed(&bed, 2, 100);
    for (uint32_t depth = 1; depth <= 4; depth++) {
        uint64_t next = slots_next(bed.slots, bed.first);
        u64_store_relaxed(&consumed, next);
        for (uint32_t i = 0; i < depth; i++) {
            uint64_t at = next;
            assert_int_equal(publish(&bed, 0, &at, &consumed, depth), WEIR_OK);
            assert_int_equal(at, next + i);
        }
        uint64_t at = next;
        assert_int_equal(publish(&bed, 0, &at, &consumed, depth), WEIR_FULL);
        assert_int_equal(slots_next(bed.slots, next), next + depth);
        u64_store_relaxed(&consumed, next + 1);
        assert_int_equal(publish(&bed, 0, &at, &consumed, depth), WEIR_OK);
        assert_int_equal(publish(&bed, 0, &at, &consumed, depth), WEIR_FULL);
        u64_store_relaxed(&consumed, UINT64_MAX); /* nobody consumes */
        assert_int_equal(publish(&bed, 0, &at, &consumed, depth), WEIR_OK);
    }
    close_bed(&bed);
}

/* Between a producer's look at a free slot and its look at the consumer, another can take the slot and the consumer
 * read it: the position is then past the sequence, and the queue is anything but full. */
static void a_consumer_that_is_already_further_is_not_a_full_queue(void **state) {
    (void)state;
    struct bed bed;
    atomic_u64 consumed;
    uint64_t at = 5;
    open_bed(&bed, 3, 5);
    u64_store_relaxed(&consumed, 6);
    assert_int_equal(publish(&bed, 15, &at, &consumed, 2), WEIR_OK);
    assert_int_equal(at, 5);
    close_bed(&bed);
}

static void an_evicted_event_is_gone_and_its_place_is_taken_a_lap_later(void **state) {
    (void)state;
    struct bed bed;
    cell_reference evicted;
    open_bed(&bed, 2, 1);
    for (uint64_t i = 1; i <= 4; i++)
        publish_at(&bed, i, i);
    assert_true(slots_evict(bed.slots, 2, &evicted));
    assert_true(cell_is_cell(evicted));
    cell_stock_keep(&bed.stock, evicted);
    assert_false(slots_evict(bed.slots, 2, &evicted));
    assert_int_equal(read_at(&bed, 2), SLOT_PASSED);
    assert_int_equal(slots_next(bed.slots, 1), 5);
    for (uint64_t i = 5; i <= 12; i++) {
        publish_at(&bed, i - 4, i);
        assert_int_equal(read_at(&bed, i), SLOT_EVENT);
    }
    assert_false(slots_evict(bed.slots, 13, &evicted)); /* not published */
    assert_false(slots_evict(bed.slots, 5, &evicted));  /* passed */
    close_bed(&bed);
}

/* The end has a sequence of its own, and takes no event's place. */
static void the_end_is_one_and_keeps_the_whole_ring(void **state) {
    (void)state;
    for (uint32_t log2 = 0; log2 <= 3; log2++)
        for (uint64_t published = 0; published <= 20; published++) {
            struct bed bed;
            cell_reference evicted;
            uint64_t ring = 1ull << log2;
            open_bed(&bed, log2, 50);
            for (uint64_t i = 0; i < published; i++)
                publish_at(&bed, 50 + i, 50 + i);
            uint64_t end = 50 + published;
            assert_true(slots_end(bed.slots, WEIR_ENDED_TERMINATED, 50));
            assert_false(slots_end(bed.slots, WEIR_ENDED_EXPIRED, 50));
            assert_int_equal(read_at(&bed, end), SLOT_THE_END);
            assert_int_equal(slot_mark(slots_load(bed.slots, end)), WEIR_ENDED_TERMINATED);
            for (uint64_t back = 1; back <= published; back++)
                assert_int_equal(read_at(&bed, end - back), back <= ring ? SLOT_EVENT : SLOT_PASSED);
            if (published >= ring) assert_false(slots_evict(bed.slots, end - ring, &evicted));
            close_bed(&bed);
        }
}

/* The hint may stand in the end's own slot, one or more laps before it. */
static void no_claim_gets_past_the_end_from_any_hint(void **state) {
    (void)state;
    for (uint32_t log2 = 0; log2 <= 3; log2++)
        for (uint64_t published = 0; published <= 30; published++) {
            struct bed bed;
            open_bed(&bed, log2, 50);
            for (uint64_t i = 0; i < published; i++)
                publish_at(&bed, 50 + i, 50 + i);
            assert_true(slots_end(bed.slots, WEIR_ENDED_TERMINATED, 50 + published));
            for (uint64_t hint = 50; hint <= 50 + published; hint++) {
                uint64_t at = hint;
                assert_int_equal(slots_next(bed.slots, hint), 50 + published);
                assert_int_equal(publish(&bed, 0, &at, NULL, 0), WEIR_CLOSED);
                assert_int_equal(slots_next(bed.slots, slots_catch_up(bed.slots, &bed.pool, hint)), 50 + published);
            }
            close_bed(&bed);
        }
}

static void an_idle_mark_gives_way_to_a_publish_and_to_whoever_takes_it_back(void **state) {
    (void)state;
    for (uint64_t published = 0; published <= 9; published++) {
        struct bed bed;
        open_bed(&bed, 2, 50);
        for (uint64_t i = 0; i < published; i++)
            publish_at(&bed, 50 + i, 50 + i);
        uint64_t next = 50 + published;
        assert_true(slots_mark_idle(bed.slots, next));
        assert_int_equal(read_at(&bed, next), SLOT_AHEAD);
        for (uint64_t back = 1; back <= published && back <= 4; back++)
            assert_int_equal(read_at(&bed, next - back), SLOT_EVENT);
        slots_unmark(bed.slots, next);
        assert_false(slots_end_idle(bed.slots, WEIR_ENDED_EXPIRED, next));
        assert_true(slots_mark_idle(bed.slots, next));
        publish_at(&bed, next, next);
        assert_false(slots_end_idle(bed.slots, WEIR_ENDED_EXPIRED, next));
        assert_false(slots_mark_idle(bed.slots, next));
        assert_true(slots_mark_idle(bed.slots, next + 1));
        assert_true(slots_end_idle(bed.slots, WEIR_ENDED_EXPIRED, next + 1));
        assert_int_equal(read_at(&bed, next + 1), SLOT_THE_END);
        assert_int_equal(read_at(&bed, next), SLOT_EVENT);
        slots_unmark(bed.slots, next + 1); /* an end stays */
        assert_int_equal(read_at(&bed, next + 1), SLOT_THE_END);
        close_bed(&bed);
    }
}

/* A reader's second look may find an idle mark, its going, or the end where its word was: the event has not moved, and a
 * gap would name what is still there. A publish has moved it. */
static void an_end_or_an_idle_mark_under_a_reader_takes_nothing_from_it(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 1, 1);
    publish_at(&bed, 1, 1);
    publish_at(&bed, 2, 2);
    uint64_t plain = slots_load(bed.slots, 1);
    const struct cell *cell = cell_at(&bed.pool, (cell_reference)plain);
    assert_true(slots_mark_idle(bed.slots, 3));
    uint64_t marked = slots_load(bed.slots, 1);
    assert_true(marked != plain);
    assert_int_equal(slots_judge(bed.slots, cell, 1, plain), SLOT_EVENT);
    slots_unmark(bed.slots, 3);
    assert_int_equal(slots_judge(bed.slots, cell, 1, marked), SLOT_EVENT);
    publish_at(&bed, 3, 3);
    assert_int_equal(slots_judge(bed.slots, cell, 1, plain), SLOT_PASSED);
    uint64_t second = slots_load(bed.slots, 2);
    assert_true(slots_end(bed.slots, WEIR_ENDED_TERMINATED, 4));
    assert_int_equal(slots_judge(bed.slots, cell_at(&bed.pool, (cell_reference)second), 2, second), SLOT_EVENT);
    assert_int_equal(slots_judge(bed.slots, cell, 1, plain), SLOT_PASSED);
    close_bed(&bed);
}

static void a_cell_whose_header_has_another_number_is_not_taken_for_the_event(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 2, 1);
    publish_at(&bed, 1, 1);
    struct cell *cell = cell_at(&bed.pool, (cell_reference)slots_load(bed.slots, 1));
    u64_store_relaxed(&cell->sequence, 1 + (4ull << 29)); /* the same lap again, 2^29 laps later */
    assert_int_equal(read_at(&bed, 1), SLOT_PASSED);
    close_bed(&bed);
}

static void a_buffer_that_is_too_small_gets_nothing_but_the_length(void **state) {
    (void)state;
    struct bed bed;
    unsigned char buffer[8] = {9, 9, 9, 9, 9, 9, 9, 9};
    uint64_t facts = 0;
    open_bed(&bed, 0, 1);
    publish_at(&bed, 1, 1);
    assert_int_equal(slots_read(bed.slots, &bed.pool, 1, buffer, 7, &facts), SLOT_EVENT);
    assert_int_equal(facts_length(facts), 8);
    for (int i = 0; i < 8; i++)
        assert_int_equal(buffer[i], 9);
    close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_of_any_size_keeps_exactly_its_size_wherever_sequences_start),
        cmocka_unit_test(a_claim_from_any_stale_hint_takes_the_first_free_sequence),
        cmocka_unit_test(a_hint_that_is_stale_by_more_laps_than_a_word_can_say_is_made_good),
        cmocka_unit_test(the_expected_claim_succeeds_only_at_the_first_free_sequence),
        cmocka_unit_test(with_a_consumer_the_depth_is_exact),
        cmocka_unit_test(a_consumer_that_is_already_further_is_not_a_full_queue),
        cmocka_unit_test(an_evicted_event_is_gone_and_its_place_is_taken_a_lap_later),
        cmocka_unit_test(the_end_is_one_and_keeps_the_whole_ring),
        cmocka_unit_test(no_claim_gets_past_the_end_from_any_hint),
        cmocka_unit_test(an_idle_mark_gives_way_to_a_publish_and_to_whoever_takes_it_back),
        cmocka_unit_test(an_end_or_an_idle_mark_under_a_reader_takes_nothing_from_it),
        cmocka_unit_test(a_cell_whose_header_has_another_number_is_not_taken_for_the_event),
        cmocka_unit_test(a_buffer_that_is_too_small_gets_nothing_but_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
