/* Capacity quotas: a cap for all and one for each principal, refusals that say what was reached, and slots that come
 * back once. What happens between two threads is in quota_race_test.c. */
#include "quota_support.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "engine/stress.h"

/* CAP-01, CAP-02 */
static void capacity_registry_global_exhausted_returns_structured_error(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slots[2];
    quota_open(&bed, 0);
    assert_int_equal(quota_take(&bed, "alice", 2, 10, &slots[0]), WEIR_OK);
    assert_int_equal(quota_take(&bed, "bob", 2, 10, &slots[1]), WEIR_OK);
    expect_refused(&bed, "carol", 2, 10, WEIR_CAPACITY_LIMIT, 2, 2);
    assert_int_equal(quota_of(&bed, "carol"), 0);
    expect_at_rest(&bed, 2, 2);
    /* Both caps are reached: the one for all is the one that is named. */
    expect_refused(&bed, "alice", 2, 1, WEIR_CAPACITY_LIMIT, 2, 2);
    weir_quota_release(bed.quota, &slots[0]);
    weir_quota_release(bed.quota, &slots[1]);
    quota_close(&bed);
}

/* CAP-01, CAP-02, CAP-03 */
static void capacity_registry_per_principal_exhausted_independent_of_global(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slots[4];
    quota_open(&bed, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(quota_take(&bed, "alice", 100, 2, &slots[i]), WEIR_OK);
    expect_refused(&bed, "alice", 100, 2, WEIR_PRINCIPAL_LIMIT, 2, 2);
    for (int i = 2; i < 4; i++)
        assert_int_equal(quota_take(&bed, "bob", 100, 2, &slots[i]), WEIR_OK);
    expect_refused(&bed, "bob", 100, 2, WEIR_PRINCIPAL_LIMIT, 2, 2);
    expect_at_rest(&bed, 4, 2);
    for (int i = 0; i < 4; i++)
        weir_quota_release(bed.quota, &slots[i]);
    quota_close(&bed);
}

/* CAP-04, CAP-05, CAP-06, CAP-10; STA-06: the snapshot is what there is to see of a quota */
static void capacity_registry_release_frees_both_counters(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slots[3];
    quota_open(&bed, 0);
    assert_int_equal(quota_take(&bed, "alice", 3, 2, &slots[0]), WEIR_OK);
    assert_int_equal(quota_take(&bed, "alice", 3, 2, &slots[1]), WEIR_OK);
    assert_int_equal(quota_take(&bed, "bob", 3, 2, &slots[2]), WEIR_OK);
    expect_at_rest(&bed, 3, 2);
    weir_quota_release(bed.quota, &slots[0]);
    assert_int_equal(quota_of(&bed, "alice"), 1);
    expect_at_rest(&bed, 2, 2);
    assert_int_equal(quota_take(&bed, "alice", 3, 2, &slots[0]), WEIR_OK); /* at once */
    expect_at_rest(&bed, 3, 2);
    weir_quota_release(bed.quota, &slots[2]);
    assert_int_equal(quota_of(&bed, "bob"), 0);
    expect_at_rest(&bed, 2, 1);
    weir_quota_release(bed.quota, &slots[1]);
    weir_quota_release(bed.quota, &slots[0]);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

/* ---- Many at once --------------------------------------------------------------------------------------------- */

#define THREADS 16u
#define ROUNDS  200u
#define CAP     4u

struct crowd {
    struct quota_bed bed;
    pthread_barrier_t start;
    atomic_u32 live;
    atomic_u32 live_of[2];
    atomic_u32 highest;
    atomic_u64 taken;
};

struct visitor {
    pthread_t thread;
    struct crowd *crowd;
    uint32_t index;
};

static void hold(struct crowd *crowd, uint32_t principal) {
    uint32_t live = u32_add_relaxed(&crowd->live, 1) + 1;
    REQUIRE(live <= CAP);
    REQUIRE(u32_add_relaxed(&crowd->live_of[principal], 1) < CAP);
    uint32_t highest = u32_load_relaxed(&crowd->highest);
    while (live > highest && !u32_cas_acq_rel(&crowd->highest, &highest, live)) {
    }
    u64_add_relaxed(&crowd->taken, 1);
    sched_yield();
    u32_subtract_acq_rel(&crowd->live_of[principal], 1);
    u32_subtract_acq_rel(&crowd->live, 1);
}

static void *run_visitor(void *context) {
    struct visitor *visitor = (struct visitor *)context;
    struct crowd *crowd = visitor->crowd;
    uint32_t principal = visitor->index % 2;
    pthread_barrier_wait(&crowd->start);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        weir_quota_slot slot;
        weir_refusal refusal;
        int status = weir_quota_acquire(crowd->bed.quota, principal == 0 ? "alice" : "bob", principal == 0 ? 5 : 3,
                                        CAP, CAP, &slot, &refusal);
        if (status == WEIR_OK) {
            hold(crowd, principal);
            weir_quota_release(crowd->bed.quota, &slot);
            continue;
        }
        REQUIRE(status == WEIR_CAPACITY_LIMIT || status == WEIR_PRINCIPAL_LIMIT);
        REQUIRE(refusal.limit == CAP && refusal.current == CAP); /* CAP-12 */
        sched_yield();
    }
    return NULL;
}

/* CAP-05, CAP-07, PRP-08 */
static void capacity_registry_concurrent_acquire_release_does_not_over_issue(void **state) {
    (void)state;
    static struct crowd crowd;
    struct visitor visitors[THREADS];
    memset(&crowd, 0, sizeof(crowd));
    quota_open(&crowd.bed, 0);
    pthread_barrier_init(&crowd.start, NULL, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        visitors[i] = (struct visitor){.crowd = &crowd, .index = i};
        assert_int_equal(pthread_create(&visitors[i].thread, NULL, run_visitor, &visitors[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(visitors[i].thread, NULL);
    printf("  %llu of %u were taken, %u at once\n", (unsigned long long)u64_load_relaxed(&crowd.taken),
           THREADS * ROUNDS, u32_load_relaxed(&crowd.highest));
    assert_true(u64_load_relaxed(&crowd.taken) >= ROUNDS); /* whoever is last meets nobody */
    expect_at_rest(&crowd.bed, 0, 0);
    pthread_barrier_destroy(&crowd.start);
    quota_close(&crowd.bed);
}

/* ---- Slots ---------------------------------------------------------------------------------------------------- */

static void cap_08_a_slot_is_released_once_whoever_has_copies_of_it(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slot;
    weir_quota_slot other;
    quota_open(&bed, 0);
    assert_int_equal(quota_take(&bed, "alice", 10, 10, &slot), WEIR_OK);
    assert_int_equal(quota_take(&bed, "alice", 10, 10, &other), WEIR_OK);
    weir_quota_slot copies[2] = {slot, slot};
    weir_quota_release(bed.quota, &slot);
    expect_at_rest(&bed, 1, 1);
    assert_int_equal(slot.generation, 0);
    weir_quota_release(bed.quota, &slot);
    weir_quota_release(bed.quota, &copies[0]);
    expect_at_rest(&bed, 1, 1);
    /* The place goes to somebody else, in the same memory: the old copy is not theirs. */
    assert_int_equal(quota_take(&bed, "bob", 10, 10, &slot), WEIR_OK);
    assert_int_equal(slot.ticket, copies[1].ticket);
    weir_quota_release(bed.quota, &copies[1]);
    expect_at_rest(&bed, 2, 2);
    weir_quota_release(bed.quota, &slot);
    weir_quota_release(bed.quota, &other);
    expect_at_rest(&bed, 0, 0);
    weir_quota_release(bed.quota, &other);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

static void cap_08_releasing_what_was_never_acquired_lowers_nothing(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot held;
    quota_open(&bed, 0);
    weir_quota_slot strange[] = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 77, 0}, {UINT64_MAX, UINT32_MAX, 0}};
    for (size_t i = 0; i < 5; i++) {
        weir_quota_slot slot = strange[i];
        weir_quota_release(bed.quota, &slot);
    }
    expect_at_rest(&bed, 0, 0);
    assert_int_equal(quota_take(&bed, "alice", 10, 10, &held), WEIR_OK);
    for (size_t i = 0; i < 5; i++) {
        weir_quota_slot slot = strange[i];
        if (slot.generation == held.generation && slot.ticket == held.ticket) continue;
        weir_quota_release(bed.quota, &slot);
    }
    weir_quota_release(bed.quota, NULL);
    weir_quota_release(NULL, &(weir_quota_slot){1, 0, 0});
    expect_at_rest(&bed, 1, 1);
    weir_quota_release(bed.quota, &held);
    quota_close(&bed);
}

/* ---- Caps ----------------------------------------------------------------------------------------------------- */

static void cap_09_a_lowered_cap_stops_new_slots_and_leaves_old_ones(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slots[5];
    quota_open(&bed, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(quota_take(&bed, "alice", 4, 4, &slots[i]), WEIR_OK);
    expect_refused(&bed, "alice", 10, 2, WEIR_PRINCIPAL_LIMIT, 2, 4);
    expect_refused(&bed, "bob", 3, 2, WEIR_CAPACITY_LIMIT, 3, 4);
    expect_at_rest(&bed, 4, 1);
    assert_int_equal(quota_take(&bed, "alice", 5, 5, &slots[4]), WEIR_OK); /* and a raised one lets more in */
    for (int i = 0; i < 4; i++)
        weir_quota_release(bed.quota, &slots[i]);
    expect_refused(&bed, "alice", 10, 1, WEIR_PRINCIPAL_LIMIT, 1, 1);
    assert_int_equal(quota_take(&bed, "alice", 10, 2, &slots[0]), WEIR_OK);
    weir_quota_release(bed.quota, &slots[0]);
    weir_quota_release(bed.quota, &slots[4]);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

/* CAP-01, CAP-05: also a principal that nothing was ever counted for leaves no entry. */
static void caps_of_zero_refuse_everybody(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slot;
    quota_open(&bed, 0);
    expect_refused(&bed, "alice", 0, 10, WEIR_CAPACITY_LIMIT, 0, 0);
    expect_refused(&bed, "alice", 10, 0, WEIR_PRINCIPAL_LIMIT, 0, 0);
    expect_at_rest(&bed, 0, 0);
    assert_int_equal(quota_take(&bed, "alice", 10, 1, &slot), WEIR_OK);
    expect_refused(&bed, "alice", 10, 0, WEIR_PRINCIPAL_LIMIT, 0, 1);
    weir_quota_release(bed.quota, &slot);
    quota_close(&bed);
}

/* CAP-01: max_slots stands above every global cap, and is the limit that is named then. */
static void no_cap_goes_above_max_slots(void **state) {
    (void)state;
    const uint32_t limits[] = {1, 2, 65, 1000};
    for (int l = 0; l < 4; l++) {
        static weir_quota_slot slots[1000];
        struct quota_bed bed;
        char name[16];
        quota_open(&bed, limits[l]);
        for (int round = 0; round < 3; round++) {
            for (uint32_t i = 0; i < limits[l]; i++) {
                snprintf(name, sizeof(name), "p%u", i);
                assert_int_equal(quota_take(&bed, name, NO_CAP, NO_CAP, &slots[i]), WEIR_OK);
            }
            expect_refused(&bed, "one more", NO_CAP, NO_CAP, WEIR_CAPACITY_LIMIT, limits[l], limits[l]);
            for (uint32_t i = 0; i < limits[l]; i++)
                weir_quota_release(bed.quota, &slots[i]);
            expect_at_rest(&bed, 0, 0);
        }
        quota_close(&bed);
    }
}

/* ---- Principals ----------------------------------------------------------------------------------------------- */

static void cap_11_a_principal_is_shown_as_it_was_given(void **state) {
    (void)state;
    struct quota_bed bed;
    struct seen seen;
    weir_quota_slot slot;
    char text[WEIR_PRINCIPAL_MAX];
    quota_open(&bed, 0);
    for (size_t length = 0; length <= WEIR_PRINCIPAL_MAX; length++) {
        for (size_t i = 0; i < length; i++) /* every byte there is: NUL, quotes, line ends, halves of UTF-8 */
            text[i] = (char)(i + 2 * length);
        assert_int_equal(weir_quota_acquire(bed.quota, text, length, 1, 1, &slot, NULL), WEIR_OK);
        seen.principals = 0;
        assert_int_equal(weir_quota_snapshot(bed.quota, see_principal, &seen, NULL), 1);
        assert_int_equal(seen.principals, 1);
        assert_int_equal(seen.of[0].length, length);
        assert_memory_equal(seen.of[0].text, text, length);
        assert_int_equal(weir_quota_count_of(bed.quota, text, length), 1);
        weir_quota_release(bed.quota, &slot);
    }
    quota_close(&bed);
}

/* CAP-03: a text is told from its own beginnings, and from itself with a NUL behind it. */
static void principals_that_share_their_beginnings_are_told_apart(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slots[WEIR_PRINCIPAL_MAX + 1];
    char text[WEIR_PRINCIPAL_MAX] = {0};
    quota_open(&bed, 0);
    for (size_t length = 0; length <= WEIR_PRINCIPAL_MAX; length++)
        assert_int_equal(
            weir_quota_acquire(bed.quota, length == 0 ? NULL : text, length, NO_CAP, 1, &slots[length], NULL),
            WEIR_OK);
    expect_at_rest(&bed, WEIR_PRINCIPAL_MAX + 1, WEIR_PRINCIPAL_MAX + 1);
    for (size_t at = 0; at < WEIR_PRINCIPAL_MAX; at++) {
        text[at] = 1;
        assert_int_equal(weir_quota_count_of(bed.quota, text, WEIR_PRINCIPAL_MAX), 0);
        text[at] = 0;
    }
    for (size_t length = 0; length <= WEIR_PRINCIPAL_MAX; length++)
        weir_quota_release(bed.quota, &slots[length]);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

static void a_principal_over_128_bytes_is_invalid(void **state) {
    (void)state;
    struct quota_bed bed;
    weir_quota_slot slot = {1, 0, 0};
    weir_refusal refusal;
    char text[WEIR_PRINCIPAL_MAX + 1] = {0};
    quota_open(&bed, 0);
    assert_int_equal(weir_quota_acquire(bed.quota, text, sizeof(text), 1, 1, &slot, &refusal), WEIR_INVALID);
    assert_int_equal(refusal.status, WEIR_INVALID);
    assert_string_equal(refusal.code, "WEIR_INVALID");
    assert_int_equal(slot.generation, 0);
    assert_int_equal(weir_quota_acquire(bed.quota, NULL, 1, 1, 1, &slot, NULL), WEIR_INVALID);
    assert_int_equal(weir_quota_acquire(bed.quota, "a", 1, 1, 1, NULL, NULL), WEIR_INVALID);
    assert_int_equal(weir_quota_acquire(NULL, "a", 1, 1, 1, &slot, NULL), WEIR_INVALID);
    assert_int_equal(weir_quota_count_of(bed.quota, text, sizeof(text)), 0);
    assert_int_equal(weir_quota_count_of(bed.quota, NULL, 1), 0);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

/* CAP-05: a principal that has gone leaves nothing, its memory included. */
static void the_memory_of_principals_that_went_is_used_again(void **state) {
    (void)state;
    struct quota_bed bed;
    uint64_t after_ten = 0;
    char name[16];
    quota_open(&bed, 0);
    for (int i = 0; i < 5000; i++) {
        weir_quota_slot slot;
        snprintf(name, sizeof(name), "p%d", i);
        assert_int_equal(quota_take(&bed, name, 1, 1, &slot), WEIR_OK);
        weir_quota_release(bed.quota, &slot);
        if (i == 10) after_ten = u64_load_relaxed(&bed.memory.outstanding_bytes);
    }
    assert_int_equal(u64_load_relaxed(&bed.memory.outstanding_bytes), after_ten);
    expect_at_rest(&bed, 0, 0);
    quota_close(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capacity_registry_global_exhausted_returns_structured_error),
        cmocka_unit_test(capacity_registry_per_principal_exhausted_independent_of_global),
        cmocka_unit_test(capacity_registry_release_frees_both_counters),
        cmocka_unit_test(capacity_registry_concurrent_acquire_release_does_not_over_issue),
        cmocka_unit_test(cap_08_a_slot_is_released_once_whoever_has_copies_of_it),
        cmocka_unit_test(cap_08_releasing_what_was_never_acquired_lowers_nothing),
        cmocka_unit_test(cap_09_a_lowered_cap_stops_new_slots_and_leaves_old_ones),
        cmocka_unit_test(caps_of_zero_refuse_everybody),
        cmocka_unit_test(no_cap_goes_above_max_slots),
        cmocka_unit_test(cap_11_a_principal_is_shown_as_it_was_given),
        cmocka_unit_test(principals_that_share_their_beginnings_are_told_apart),
        cmocka_unit_test(a_principal_over_128_bytes_is_invalid),
        cmocka_unit_test(the_memory_of_principals_that_went_is_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
