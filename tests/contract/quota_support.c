#include "quota_support.h"

void quota_open(struct quota_bed *bed, uint32_t max_slots) {
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    memset(bed, 0, sizeof(*bed));
    config.max_slots = max_slots;
    config.allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(weir_quota_create(&bed->quota, &config), WEIR_OK);
}

void quota_close(struct quota_bed *bed) {
    weir_quota_destroy(bed->quota);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

int quota_take(struct quota_bed *bed, const char *principal, uint64_t global_cap, uint64_t principal_cap,
               weir_quota_slot *slot) {
    return weir_quota_acquire(bed->quota, principal, strlen(principal), global_cap, principal_cap, slot, NULL);
}

void expect_refused(struct quota_bed *bed, const char *principal, uint64_t global_cap, uint64_t principal_cap,
                    int status, uint64_t limit, uint64_t current) {
    uint64_t all = weir_quota_count(bed->quota);
    uint64_t own = quota_of(bed, principal);
    weir_quota_slot slot = {1, 1, 1};
    weir_refusal refusal = {0, NULL, 0, 0};
    const char *code =
        status == WEIR_CAPACITY_LIMIT ? "server_stream_capacity_exhausted" : "principal_stream_quota_exhausted";
    int result =
        weir_quota_acquire(bed->quota, principal, strlen(principal), global_cap, principal_cap, &slot, &refusal);
    assert_string_equal(weir_status_name(result), weir_status_name(status));
    assert_int_equal(refusal.status, status);
    assert_string_equal(refusal.code, code);
    assert_int_equal(refusal.limit, limit);
    assert_int_equal(refusal.current, current);
    assert_int_equal(slot.generation, 0);
    assert_int_equal(weir_quota_count(bed->quota), all);
    assert_int_equal(quota_of(bed, principal), own);
}

uint64_t quota_of(struct quota_bed *bed, const char *principal) {
    return weir_quota_count_of(bed->quota, principal, strlen(principal));
}

void see_principal(void *context, const char *principal, size_t length, uint64_t count) {
    struct seen *seen = (struct seen *)context;
    assert_true(seen->principals < SEEN_MAX && length <= WEIR_PRINCIPAL_MAX && count > 0);
    memcpy(seen->of[seen->principals].text, principal, length);
    seen->of[seen->principals].length = length;
    seen->of[seen->principals++].count = count;
}

void expect_at_rest(struct quota_bed *bed, uint64_t total, uint32_t principals) {
    static struct seen seen;
    uint64_t sum = 0;
    int exact = 9;
    seen.principals = 0;
    assert_int_equal(weir_quota_snapshot(bed->quota, see_principal, &seen, &exact), total);
    assert_int_equal(exact, 1);
    assert_int_equal(weir_quota_count(bed->quota), total);
    assert_int_equal(seen.principals, principals);
    for (uint32_t i = 0; i < seen.principals; i++) {
        sum += seen.of[i].count;
        assert_int_equal(weir_quota_count_of(bed->quota, seen.of[i].text, seen.of[i].length), seen.of[i].count);
    }
    assert_int_equal(sum, total);
}
