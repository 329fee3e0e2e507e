/* Leases: numbered in order, named by chance, and over when their own time has passed. */
#include <weir_quota.h>

#include <pthread.h>
#include <stdio.h>

#include "engine/prelude.h"
#include "engine/stress.h"
#include "support/counting_allocator.h"
#include "support/fake_clock.h"

struct lease_bed {
    struct counting_allocator memory;
    struct fake_clock clock;
    int entropy_fails;
    unsigned char fills;
    weir_leases *leases;
};

/* Bytes that tell the calls apart. */
static int fill_counting(void *context, void *memory, size_t size) {
    struct lease_bed *bed = (struct lease_bed *)context;
    if (bed->entropy_fails) return -1;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)memory)[i] = (unsigned char)(i == 0 ? bed->fills : 0xF0 + i);
    bed->fills++;
    return 0;
}

static void lease_open_bed(struct lease_bed *bed) {
    weir_leases_config config = WEIR_LEASES_CONFIG_INIT;
    memset(bed, 0, sizeof(*bed));
    bed->clock.now_ms = 1000;
    config.clock = fake_clock_of(&bed->clock);
    config.allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(weir_leases_create(&bed->leases, &config), WEIR_OK);
}

static void lease_close_bed(struct lease_bed *bed) {
    weir_leases_destroy(bed->leases);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

static weir_lease open_lease(struct lease_bed *bed, uint64_t ttl_ms) {
    weir_lease lease;
    assert_int_equal(weir_lease_open(bed->leases, 0, 7, ttl_ms, &lease, NULL), WEIR_OK);
    return lease;
}

/* SEQ-12 */
static void lease_ids_are_unique_and_monotonic(void **state) {
    (void)state;
    struct lease_bed bed;
    lease_open_bed(&bed);
    for (uint64_t id = 1; id <= 1000; id++)
        assert_int_equal(open_lease(&bed, 1).id, id);
    lease_close_bed(&bed);
}

/* SEQ-12, LSE-02, CLK-01: what the lease records; monotonic time, as CLK-07 has it for ttls. */
static void open_stream_succeeds_when_session_is_autocommit(void **state) {
    (void)state;
    struct lease_bed bed;
    weir_lease lease;
    lease_open_bed(&bed);
    bed.clock.now_ms = 123456;
    assert_int_equal(weir_lease_open(bed.leases, 0, 42, 5000, &lease, NULL), WEIR_OK);
    assert_int_equal(lease.id, 1);
    assert_int_equal(lease.snapshot, 42);
    assert_int_equal(lease.opened_ms, 123456);
    assert_int_equal(lease.ttl_ms, 5000);
    assert_int_equal(weir_lease_open(bed.leases, 0, UINT64_MAX, UINT64_MAX, &lease, NULL), WEIR_OK);
    assert_int_equal(lease.id, 2);
    assert_true(lease.snapshot == UINT64_MAX && lease.ttl_ms == UINT64_MAX);
    lease_close_bed(&bed);
}

/* LSE-01, SEQ-12 */
static void open_stream_refuses_when_session_has_active_transaction(void **state) {
    (void)state;
    struct lease_bed bed;
    weir_lease lease;
    weir_refusal refusal;
    lease_open_bed(&bed);
    memset(&lease, 0x33, sizeof(lease));
    weir_lease before = lease;
    assert_int_equal(weir_lease_open(bed.leases, 1, 42, 5000, &lease, &refusal), WEIR_TRANSACTION);
    assert_int_equal(refusal.status, WEIR_TRANSACTION);
    assert_string_equal(refusal.code, "stream_in_transaction_unsupported");
    assert_int_equal(weir_lease_open(bed.leases, -1, 42, 5000, &lease, NULL), WEIR_TRANSACTION);
    assert_memory_equal(&lease, &before, sizeof(lease));
    assert_int_equal(open_lease(&bed, 1).id, 1); /* the refused ones used none */
    lease_close_bed(&bed);
}

/* TTL-16, CFG-08, LSE-06, CLK-02 */
static void snapshot_expired_uses_injected_clock_and_ttl(void **state) {
    (void)state;
    struct lease_bed bed;
    lease_open_bed(&bed);
    weir_lease lease = open_lease(&bed, 5000);
    assert_false(weir_lease_is_expired(bed.leases, &lease));
    bed.clock.now_ms = 1000 + 4999;
    assert_false(weir_lease_is_expired(bed.leases, &lease));
    weir_lease shorter = open_lease(&bed, 1); /* what is agreed on later is another lease's */
    bed.clock.now_ms = 1000 + 5000;
    assert_true(weir_lease_is_expired(bed.leases, &lease));
    assert_true(weir_lease_is_expired(bed.leases, &shorter));
    bed.clock.now_ms = 1000 + 4999;
    assert_false(weir_lease_is_expired(bed.leases, &lease));
    lease_close_bed(&bed);
}

static void ttl_16_a_clock_before_the_opening_reads_as_not_expired(void **state) {
    (void)state;
    struct lease_bed bed;
    lease_open_bed(&bed);
    const uint64_t ttls[] = {0, 1, 5000, UINT64_MAX};
    for (int i = 0; i < 4; i++) {
        bed.clock.now_ms = 1000;
        weir_lease lease = open_lease(&bed, ttls[i]);
        assert_int_equal(weir_lease_is_expired(bed.leases, &lease), ttls[i] == 0); /* CFG-07 */
        bed.clock.now_ms = 999;
        assert_false(weir_lease_is_expired(bed.leases, &lease));
        bed.clock.now_ms = 0;
        assert_false(weir_lease_is_expired(bed.leases, &lease));
        bed.clock.now_ms = 1000000000;
        assert_int_equal(weir_lease_is_expired(bed.leases, &lease), ttls[i] != UINT64_MAX);
    }
    lease_close_bed(&bed);
}

static int compare_handles(const void *a, const void *b) {
    return memcmp(a, b, WEIR_LEASE_HANDLE_LENGTH);
}

/* LSE-03 */
static void lease_handle_is_128_bit_hex_and_unique_per_open(void **state) {
    (void)state;
    struct lease_bed bed;
    static char handles[1024][WEIR_LEASE_HANDLE_LENGTH];
    lease_open_bed(&bed);
    for (int i = 0; i < 1024; i++) {
        weir_lease lease = open_lease(&bed, 1);
        for (size_t at = 0; at < WEIR_LEASE_HANDLE_LENGTH; at++)
            assert_non_null(memchr("0123456789abcdef", lease.handle[at], 16));
        memcpy(handles[i], lease.handle, sizeof(lease.handle));
    }
    qsort(handles, 1024, sizeof(handles[0]), compare_handles);
    for (int i = 1; i < 1024; i++)
        assert_true(compare_handles(handles[i - 1], handles[i]) != 0);
    lease_close_bed(&bed);
}

/* LSE-03: the handle is the entropy, digit by digit, and nothing else. */
static void a_lease_handle_is_what_the_entropy_gave(void **state) {
    (void)state;
    struct lease_bed bed = {0};
    weir_leases_config config = WEIR_LEASES_CONFIG_INIT;
    config.entropy.fill = fill_counting;
    config.entropy.context = &bed;
    assert_int_equal(weir_leases_create(&bed.leases, &config), WEIR_OK);
    assert_memory_equal(open_lease(&bed, 1).handle, "00f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 32);
    assert_memory_equal(open_lease(&bed, 1).handle, "01f1f2f3f4f5f6f7f8f9fafbfcfdfeff", 32);
    weir_leases_destroy(bed.leases);
}

/* WK-36, SEQ-12: without entropy there is no lease, rather than one with a handle that can be guessed. */
static void wk_36_an_open_without_entropy_is_refused_and_uses_no_id(void **state) {
    (void)state;
    struct lease_bed bed = {.entropy_fails = 1};
    weir_leases_config config = WEIR_LEASES_CONFIG_INIT;
    weir_lease lease = {0};
    weir_refusal refusal;
    config.entropy.fill = fill_counting;
    config.entropy.context = &bed;
    assert_int_equal(weir_leases_create(&bed.leases, &config), WEIR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_lease_open(bed.leases, 0, 1, 1, &lease, &refusal), WEIR_NO_ENTROPY);
        assert_int_equal(refusal.status, WEIR_NO_ENTROPY);
        assert_string_equal(refusal.code, "WEIR_NO_ENTROPY");
        assert_true(lease.id == 0 && lease.handle[0] == 0);
    }
    bed.entropy_fails = 0;
    assert_int_equal(open_lease(&bed, 1).id, 1);
    weir_leases_destroy(bed.leases);
}

static void what_cannot_be_is_invalid(void **state) {
    (void)state;
    struct lease_bed bed = {0};
    weir_leases_config config = WEIR_LEASES_CONFIG_INIT;
    weir_lease lease;
    config.size = 1;
    assert_int_equal(weir_leases_create(&bed.leases, &config), WEIR_INVALID);
    assert_null(bed.leases);
    config.size = sizeof(config);
    config.allocator = counting_allocator_of(&bed.memory);
    u64_store_relaxed(&bed.memory.fail_at, 1);
    assert_int_equal(weir_leases_create(&bed.leases, &config), WEIR_NO_MEMORY);
    assert_null(bed.leases);
    assert_int_equal(weir_leases_create(NULL, NULL), WEIR_INVALID);
    assert_int_equal(weir_leases_create(&bed.leases, NULL), WEIR_OK);
    assert_int_equal(weir_lease_open(bed.leases, 0, 1, 1, NULL, NULL), WEIR_INVALID);
    assert_int_equal(weir_lease_open(NULL, 0, 1, 1, &lease, NULL), WEIR_INVALID);
    assert_int_equal(open_lease(&bed, 1).id, 1);
    weir_leases_destroy(bed.leases);
    weir_leases_destroy(NULL);
}

/* ---- Many at once --------------------------------------------------------------------------------------------- */

#define OPENERS 4u
#define OPENS   1000u

struct opener {
    pthread_t thread;
    weir_leases *leases;
    uint64_t ids[OPENS];
};

static void *run_opener(void *context) {
    struct opener *opener = (struct opener *)context;
    for (uint32_t i = 0; i < OPENS; i++) {
        weir_lease lease;
        REQUIRE(weir_lease_open(opener->leases, i % 7 == 6, 1, 1, &lease, NULL) ==
                (i % 7 == 6 ? WEIR_TRANSACTION : WEIR_OK));
        opener->ids[i] = i % 7 == 6 ? 0 : lease.id;
    }
    return NULL;
}

static void seq_12_opens_of_many_threads_share_one_count_without_holes(void **state) {
    (void)state;
    static struct opener openers[OPENERS];
    static unsigned char used[OPENERS * OPENS + 1];
    struct lease_bed bed;
    uint64_t opened = 0;
    lease_open_bed(&bed);
    memset(used, 0, sizeof(used));
    for (uint32_t i = 0; i < OPENERS; i++) {
        openers[i].leases = bed.leases;
        assert_int_equal(pthread_create(&openers[i].thread, NULL, run_opener, &openers[i]), 0);
    }
    for (uint32_t i = 0; i < OPENERS; i++) {
        uint64_t last = 0;
        pthread_join(openers[i].thread, NULL);
        for (uint32_t at = 0; at < OPENS; at++) {
            uint64_t id = openers[i].ids[at];
            if (id == 0) continue;
            assert_true(id > last && id <= OPENERS * OPENS && !used[id]);
            used[last = id] = 1;
            opened++;
        }
    }
    for (uint64_t id = 1; id <= opened; id++)
        assert_true(used[id]);
    lease_close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_ids_are_unique_and_monotonic),
        cmocka_unit_test(open_stream_succeeds_when_session_is_autocommit),
        cmocka_unit_test(open_stream_refuses_when_session_has_active_transaction),
        cmocka_unit_test(snapshot_expired_uses_injected_clock_and_ttl),
        cmocka_unit_test(ttl_16_a_clock_before_the_opening_reads_as_not_expired),
        cmocka_unit_test(lease_handle_is_128_bit_hex_and_unique_per_open),
        cmocka_unit_test(a_lease_handle_is_what_the_entropy_gave),
        cmocka_unit_test(wk_36_an_open_without_entropy_is_refused_and_uses_no_id),
        cmocka_unit_test(what_cannot_be_is_invalid),
        cmocka_unit_test(seq_12_opens_of_many_threads_share_one_count_without_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
