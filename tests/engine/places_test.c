/* Places: claim, clear and walk, alone and at full speed. */
#include "concurrent/places.h"

#include <pthread.h>
#include <stdlib.h>

#include "prelude.h"
#include "stress.h"
#include "support/counting_allocator.h"

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct places places;
};

static void open_bed(struct bed *bed, uint32_t maximum) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    places_init(&bed->places, &bed->allocator, maximum);
}

static void close_bed(struct bed *bed) {
    places_destroy(&bed->places);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static uint32_t claim(struct bed *bed, uint64_t value) {
    uint32_t index = PLACES_NONE;
    assert_int_equal(places_claim(&bed->places, value, &index), WEIR_OK);
    return index;
}

/* Sets seen[value] to how often a walk meets it; returns how many values it met. */
static uint32_t walk(struct places *places, uint32_t *seen, uint32_t values) {
    uint32_t met = 0;
    uint32_t count;
    uint32_t end = places_end(places);
    memset(seen, 0, values * sizeof(*seen));
    for (uint32_t index = 0; index < end; index += count) {
        const atomic_u64 *words = places_run(places, index, end, &count);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t value = places_value(&words[i]);
            if (value == 0) continue;
            REQUIRE(value < values);
            seen[value]++;
            met++;
        }
    }
    return met;
}

static void no_places_take_no_memory(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 100);
    assert_int_equal(places_end(&bed.places), 0);
    assert_int_equal(u64_load_relaxed(&bed.memory.outstanding), 0);
    close_bed(&bed);
}

static void every_value_has_a_place_of_its_own_across_all_segments(void **state) {
    (void)state;
    enum { VALUES = 5000 };
    struct bed bed;
    static uint32_t seen[VALUES + 1];
    static uint32_t index_of[VALUES + 1];
    open_bed(&bed, VALUES);
    for (uint32_t value = 1; value <= VALUES; value++) {
        index_of[value] = claim(&bed, value);
        assert_int_equal(index_of[value], value - 1);
    }
    assert_int_equal(walk(&bed.places, seen, VALUES + 1), VALUES);
    for (uint32_t value = 1; value <= VALUES; value++)
        assert_int_equal(seen[value], 1);
    for (uint32_t value = 1; value <= VALUES; value += 2)
        assert_true(places_clear(&bed.places, index_of[value], value));
    assert_int_equal(walk(&bed.places, seen, VALUES + 1), VALUES / 2);
    for (uint32_t value = 1; value <= VALUES; value++)
        assert_int_equal(seen[value], value % 2 == 0);
    close_bed(&bed);
}

static void a_value_is_cleared_once_and_only_from_its_own_place(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 10);
    uint32_t first = claim(&bed, 7);
    uint32_t second = claim(&bed, PLACES_VALUE_MAX);
    assert_false(places_clear(&bed.places, second, 7));
    assert_false(places_clear(&bed.places, first, 8));
    assert_true(places_clear(&bed.places, first, 7));
    assert_false(places_clear(&bed.places, first, 7));
    assert_true(places_clear(&bed.places, second, PLACES_VALUE_MAX));
    close_bed(&bed);
}

static void the_maximum_is_exact_and_cleared_places_serve_again(void **state) {
    (void)state;
    const uint32_t maxima[] = {1, 7, 8, 9, 23, 24, 25, 100};
    for (size_t m = 0; m < sizeof(maxima) / sizeof(maxima[0]); m++) {
        struct bed bed;
        uint32_t index;
        open_bed(&bed, maxima[m]);
        for (uint32_t round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < maxima[m]; i++)
                claim(&bed, i + 1);
            assert_int_equal(places_claim(&bed.places, 1000, &index), WEIR_FULL);
            assert_int_equal(places_end(&bed.places), maxima[m]);
            static uint32_t seen[101];
            assert_int_equal(walk(&bed.places, seen, 101), maxima[m]);
            for (uint32_t i = 0; i < maxima[m]; i++) /* its value stands where it stands: clear by looking */
                for (uint32_t value = 1; value <= maxima[m]; value++)
                    places_clear(&bed.places, i, value);
            assert_int_equal(walk(&bed.places, seen, 101), 0);
        }
        close_bed(&bed);
    }
}

static void without_memory_nothing_is_claimed(void **state) {
    (void)state;
    struct bed bed;
    uint32_t index;
    open_bed(&bed, 100);
    for (uint32_t i = 0; i < 8; i++)
        claim(&bed, i + 1);
    u64_store_relaxed(&bed.memory.fail_at, u64_load_relaxed(&bed.memory.calls) + 1);
    assert_int_equal(places_claim(&bed.places, 9, &index), WEIR_NO_MEMORY);
    assert_int_equal(places_end(&bed.places), 8);
    assert_int_equal(claim(&bed, 9), 8);
    close_bed(&bed);
}

/* ---- Threads -------------------------------------------------------------------------------------------------- */

#define THREADS 3u
#define HELD    24u

struct worker {
    pthread_t thread;
    struct places *places;
    uint32_t number;
    uint64_t rounds;
    atomic_u32 *done;
};

static uint64_t value_of(uint32_t worker, uint32_t i) {
    return 1 + worker * HELD + i;
}

/* Its values, each at one place at a time: nobody else may clear them or stand where they stand. */
static void *run_worker(void *context) {
    struct worker *worker = (struct worker *)context;
    struct random random = random_start(1, worker->number);
    uint32_t index_of[HELD];
    bool held[HELD] = {false};
    for (uint64_t round = 0; round < worker->rounds; round++) {
        uint32_t i = random_below(&random, HELD);
        uint64_t value = value_of(worker->number, i);
        if (held[i]) {
            REQUIRE(places_clear(worker->places, index_of[i], value));
        } else {
            REQUIRE(places_claim(worker->places, value, &index_of[i]) == WEIR_OK);
            REQUIRE(index_of[i] < THREADS * HELD + 1);
        }
        held[i] = !held[i];
    }
    for (uint32_t i = 0; i < HELD; i++)
        if (held[i]) REQUIRE(places_clear(worker->places, index_of[i], value_of(worker->number, i)));
    return NULL;
}

/* A value that stays is met in every walk, once. */
static void *run_walker(void *context) {
    struct worker *worker = (struct worker *)context;
    uint32_t seen[THREADS * HELD + 2];
    while (u32_load_acquire(worker->done) == 0) {
        walk(worker->places, seen, THREADS * HELD + 2);
        REQUIRE(seen[THREADS * HELD + 1] == 1);
        worker->rounds++;
    }
    return NULL;
}

static void places_claimed_and_cleared_at_full_speed_are_never_shared(void **state) {
    (void)state;
    struct bed bed;
    atomic_u32 done;
    struct worker workers[THREADS + 1];
    open_bed(&bed, THREADS * HELD + 1);
    u32_store_relaxed(&done, 0);
    claim(&bed, THREADS * HELD + 1);
    for (uint32_t i = 0; i <= THREADS; i++) {
        workers[i] = (struct worker){.places = &bed.places, .number = i, .rounds = scaled(20000), .done = &done};
        if (i == THREADS) workers[i].rounds = 0;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, i < THREADS ? run_worker : run_walker, &workers[i]),
                         0);
    }
    for (uint32_t i = 0; i <= THREADS; i++) {
        if (i == THREADS) u32_store_release(&done, 1);
        pthread_join(workers[i].thread, NULL);
    }
    printf("  %llu walks\n", (unsigned long long)workers[THREADS].rounds);
    static uint32_t seen[THREADS * HELD + 2];
    assert_int_equal(walk(&bed.places, seen, THREADS * HELD + 2), 1);
    for (uint32_t i = 0; i < THREADS * HELD; i++)
        claim(&bed, i + 1); /* every place is free again */
    assert_int_equal(walk(&bed.places, seen, THREADS * HELD + 2), THREADS * HELD + 1);
    close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_places_take_no_memory),
        cmocka_unit_test(every_value_has_a_place_of_its_own_across_all_segments),
        cmocka_unit_test(a_value_is_cleared_once_and_only_from_its_own_place),
        cmocka_unit_test(the_maximum_is_exact_and_cleared_places_serve_again),
        cmocka_unit_test(without_memory_nothing_is_claimed),
        cmocka_unit_test(places_claimed_and_cleared_at_full_speed_are_never_shared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
