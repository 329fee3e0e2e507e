/* Notify, on one thread: what is set is taken once, sleep is refused while there is news, and nobody starves. */
#include "concurrent/notify.h"

#include <stdlib.h>

#include "prelude.h"
#include "support/counting_allocator.h"
#include "support/random.h"

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct notify notify;
    uint64_t wakes;
};

static void count_wake(void *context) {
    ((struct bed *)context)->wakes++;
}

static void open_unused_bed(struct bed *bed, uint32_t places) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(notify_create(&bed->notify, &bed->allocator, places, 0, count_wake, bed), WEIR_OK);
}

static void open_bed(struct bed *bed, uint32_t places) {
    open_unused_bed(bed, places);
    notify_use(&bed->notify, places - 1);
}

static void close_bed(struct bed *bed) {
    notify_destroy(&bed->notify, &bed->allocator);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static void set(struct bed *bed, uint32_t place) {
    uint64_t woken = 0;
    notify_set(&bed->notify, place, &woken);
}

static void what_is_set_is_taken_once_at_every_place(void **state) {
    (void)state;
    struct bed bed;
    uint32_t places[64];
    open_bed(&bed, 10000);
    for (uint32_t place = 0; place < 10000; place += 37) {
        set(&bed, place);
        set(&bed, place);
        assert_true(notify_is_told(&bed.notify, place));
        assert_int_equal(notify_take(&bed.notify, places, 64), 1);
        assert_int_equal(places[0], place);
        assert_false(notify_is_told(&bed.notify, place));
        assert_int_equal(notify_take(&bed.notify, places, 64), 0);
    }
    assert_int_equal(bed.wakes, 0); /* nobody slept */
    close_bed(&bed);
}

/* Whatever was used before, and also where the bit was set by somebody who knew the place from an earlier use. */
static void a_place_is_looked_at_from_its_first_use_on(void **state) {
    (void)state;
    const uint32_t used[] = {0, 4095, 4096, 3, 20000, 12287, 12288, 20001};
    struct bed bed;
    uint32_t places[64];
    open_unused_bed(&bed, 20480);
    for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
        set(&bed, used[i]);
        notify_use(&bed.notify, used[i]);
        assert_false(notify_sleep(&bed.notify));
        assert_int_equal(notify_take(&bed.notify, places, 64), 1);
        assert_int_equal(places[0], used[i]);
        assert_true(notify_sleep(&bed.notify));
        notify_awake(&bed.notify);
    }
    close_bed(&bed);
}

/* A round that was broken off goes on behind its last place and comes to all words that are in use by then. */
static void a_round_goes_on_through_words_that_came_into_use(void **state) {
    (void)state;
    struct bed bed;
    uint32_t places[4];
    open_unused_bed(&bed, 5 * 4096);
    notify_use(&bed.notify, 2 * 4096 + 9);
    set(&bed, 2 * 4096 + 7);
    set(&bed, 2 * 4096 + 9);
    assert_int_equal(notify_take(&bed.notify, places, 1), 1);
    assert_int_equal(places[0], 2 * 4096 + 7);
    notify_use(&bed.notify, 4 * 4096);
    set(&bed, 4 * 4096);
    set(&bed, 1);
    assert_int_equal(notify_take(&bed.notify, places, 4), 3);
    assert_int_equal(places[0], 2 * 4096 + 9);
    assert_int_equal(places[1], 4 * 4096);
    assert_int_equal(places[2], 1);
    close_bed(&bed);
}

static void news_beyond_the_room_stays_for_the_next_call(void **state) {
    (void)state;
    const uint32_t capacities[] = {1, 2, 3, 63, 64, 65, 200, 9000};
    for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++) {
        struct bed bed;
        static unsigned char seen[9000];
        static uint32_t places[9000];
        memset(seen, 0, sizeof(seen));
        open_bed(&bed, 9000);
        for (uint32_t place = 0; place < 9000; place += 3)
            set(&bed, place);
        uint32_t total = 0;
        uint32_t count;
        while ((count = notify_take(&bed.notify, places, capacities[c])) > 0) {
            assert_true(count <= capacities[c]);
            assert_true(count == capacities[c] || total + count == 3000);
            for (uint32_t i = 0; i < count; i++)
                assert_int_equal(seen[places[i]]++, 0);
            total += count;
            if (total < 3000) assert_false(notify_sleep(&bed.notify));
        }
        assert_int_equal(total, 3000);
        for (uint32_t place = 0; place < 9000; place++)
            assert_int_equal(seen[place], place % 3 == 0);
        close_bed(&bed);
    }
}

static void room_for_nothing_takes_nothing(void **state) {
    (void)state;
    struct bed bed;
    uint32_t place;
    open_bed(&bed, 64);
    set(&bed, 5);
    assert_int_equal(notify_take(&bed.notify, &place, 0), 0);
    assert_int_equal(notify_take(&bed.notify, &place, 1), 1);
    assert_int_equal(place, 5);
    close_bed(&bed);
}

/* All the others always have news as well: each place is served within one round. */
static void a_place_is_not_starved_by_others_that_always_have_news(void **state) {
    (void)state;
    const uint32_t capacities[] = {1, 7, 64, 100};
    for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++) {
        struct bed bed;
        uint32_t places[100];
        open_bed(&bed, 5000);
        for (uint32_t place = 0; place < 5000; place += 7)
            set(&bed, place);
        uint32_t wanted = 4998 / 7 * 7;
        bool served = false;
        for (uint32_t call = 0; call <= 715 / capacities[c] + 1 && !served; call++) {
            uint32_t count = notify_take(&bed.notify, places, capacities[c]);
            for (uint32_t i = 0; i < count; i++) {
                served = served || places[i] == wanted;
                set(&bed, places[i]);
            }
        }
        assert_true(served);
        close_bed(&bed);
    }
}

static void sleep_is_refused_while_there_is_news_and_wakes_once_per_producer(void **state) {
    (void)state;
    struct bed bed;
    uint32_t places[64];
    uint64_t woken[2] = {0, 0};
    open_bed(&bed, 128);
    set(&bed, 100);
    assert_false(notify_sleep(&bed.notify));
    assert_int_equal(u64_load_relaxed(&bed.notify.epoch) & 1, 0);
    assert_int_equal(notify_take(&bed.notify, places, 64), 1);

    assert_true(notify_sleep(&bed.notify));
    assert_int_equal(bed.wakes, 0);
    notify_set(&bed.notify, 1, &woken[0]);
    assert_int_equal(bed.wakes, 1);
    notify_set(&bed.notify, 2, &woken[0]); /* it has written for this sleep already */
    assert_int_equal(bed.wakes, 1);
    notify_set(&bed.notify, 2, &woken[1]); /* another cannot know that */
    assert_int_equal(bed.wakes, 2);
    assert_false(notify_is_told(&bed.notify, 1)); /* asleep: a further producer must come by the epoch */
    notify_awake(&bed.notify);
    assert_true(notify_is_told(&bed.notify, 1));
    assert_int_equal(notify_take(&bed.notify, places, 64), 2);

    assert_true(notify_sleep(&bed.notify)); /* the next sleep is another epoch */
    notify_set(&bed.notify, 1, &woken[0]);
    assert_int_equal(bed.wakes, 3);
    notify_awake(&bed.notify);
    notify_awake(&bed.notify); /* a second call changes nothing */
    assert_int_equal(u64_load_relaxed(&bed.notify.epoch) & 1, 0);
    assert_int_equal(u64_load_relaxed(&bed.notify.wakeups), 3);
    close_bed(&bed);
}

/* A producer stopped after the leaf, before the summary: the next one on the same place completes it. */
static void a_half_told_place_is_completed_by_the_next_producer(void **state) {
    (void)state;
    struct bed bed;
    uint32_t places[64];
    open_bed(&bed, 8192);
    u64_or_seq_cst(&bed.notify.leaves[70], 1ull << 3);
    assert_int_equal(notify_take(&bed.notify, places, 64), 0);
    assert_true(notify_sleep(&bed.notify));
    set(&bed, 70 * 64 + 3);
    assert_int_equal(bed.wakes, 1);
    notify_awake(&bed.notify);
    assert_int_equal(notify_take(&bed.notify, places, 64), 1);
    assert_int_equal(places[0], 70 * 64 + 3);
    close_bed(&bed);
}

static void any_mix_of_setting_and_taking_loses_nothing(void **state) {
    (void)state;
    struct bed bed;
    struct random random = random_start(random_seed(), 0);
    static unsigned char expected[9000];
    uint32_t places[130];
    memset(expected, 0, sizeof(expected));
    open_bed(&bed, 9000);
    for (int round = 0; round < 20000; round++) {
        for (uint32_t i = random_below(&random, 20); i > 0; i--) {
            uint32_t place = random_below(&random, 9000);
            set(&bed, place);
            expected[place] = 1;
        }
        uint32_t count = notify_take(&bed.notify, places, random_below(&random, 130));
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(expected[places[i]], 1);
            expected[places[i]] = 0;
        }
    }
    uint32_t count;
    while ((count = notify_take(&bed.notify, places, 130)) > 0)
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(expected[places[i]], 1);
            expected[places[i]] = 0;
        }
    for (uint32_t place = 0; place < 9000; place++)
        assert_int_equal(expected[place], 0);
    assert_true(notify_sleep(&bed.notify));
    close_bed(&bed);
}

static void places_are_bounded_by_what_was_asked_for_in_words(void **state) {
    (void)state;
    const uint32_t places[] = {1, 63, 64, 65, 4096, 4097, 65536};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct bed bed;
        uint32_t place;
        open_bed(&bed, places[i]);
        assert_true(bed.notify.place_count >= places[i] && bed.notify.place_count < places[i] + 64);
        set(&bed, places[i] - 1);
        assert_int_equal(notify_take(&bed.notify, &place, 1), 1);
        assert_int_equal(place, places[i] - 1);
        close_bed(&bed);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_is_taken_once_at_every_place),
        cmocka_unit_test(a_place_is_looked_at_from_its_first_use_on),
        cmocka_unit_test(a_round_goes_on_through_words_that_came_into_use),
        cmocka_unit_test(news_beyond_the_room_stays_for_the_next_call),
        cmocka_unit_test(room_for_nothing_takes_nothing),
        cmocka_unit_test(a_place_is_not_starved_by_others_that_always_have_news),
        cmocka_unit_test(sleep_is_refused_while_there_is_news_and_wakes_once_per_producer),
        cmocka_unit_test(a_half_told_place_is_completed_by_the_next_producer),
        cmocka_unit_test(any_mix_of_setting_and_taking_loses_nothing),
        cmocka_unit_test(places_are_bounded_by_what_was_asked_for_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
