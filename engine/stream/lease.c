/* Leases: an id, a handle that says nothing of it, and the time to live that was agreed on at the opening. */
#include "base/atomic.h"
#include "base/configure.h"
#include "base/memory.h"

#include <weir_quota.h>

struct weir_leases {
    weir_clock clock;
    weir_entropy entropy;
    weir_allocator allocator;
    bool closes_allocator;
    atomic_u64 opened; /* the last id */
};

int weir_leases_create(weir_leases **out, const weir_leases_config *config) {
    if (out == NULL) return WEIR_INVALID;
    *out = NULL;
    weir_leases_config resolved;
    if (!configure_copy(&resolved, sizeof(resolved), config)) return WEIR_INVALID;
    configure_clock(&resolved.clock);
    configure_entropy(&resolved.entropy);
    bool closes = configure_allocator(&resolved.allocator);
    weir_leases *leases = (weir_leases *)memory_take(&resolved.allocator, sizeof(weir_leases), _Alignof(weir_leases));
    if (leases == NULL) {
        if (closes) system_memory_close(&resolved.allocator);
        return WEIR_NO_MEMORY;
    }
    leases->clock = resolved.clock;
    leases->entropy = resolved.entropy;
    leases->allocator = resolved.allocator;
    leases->closes_allocator = closes;
    *out = leases;
    return WEIR_OK;
}

void weir_leases_destroy(weir_leases *leases) {
    if (leases == NULL) return;
    weir_allocator allocator = leases->allocator;
    bool closes = leases->closes_allocator;
    memory_give(&allocator, leases, sizeof(*leases), _Alignof(weir_leases));
    if (closes) system_memory_close(&allocator);
}

static uint64_t now_ms(const weir_leases *leases) {
    return leases->clock.now_ns(leases->clock.context) / 1000000u;
}

static int refuse(weir_refusal *refusal, int status) {
    if (refusal == NULL) return status;
    refusal->status = status;
    refusal->code = status == WEIR_TRANSACTION ? "stream_in_transaction_unsupported" : weir_status_name(status);
    refusal->limit = 0;
    refusal->current = 0;
    return status;
}

int weir_lease_open(weir_leases *leases, int in_transaction, uint64_t snapshot, uint64_t ttl_ms, weir_lease *lease,
                    weir_refusal *refusal) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[WEIR_LEASE_HANDLE_LENGTH / 2];
    if (leases == NULL || lease == NULL) return refuse(refusal, WEIR_INVALID);
    if (in_transaction) return refuse(refusal, WEIR_TRANSACTION);
    if (leases->entropy.fill(leases->entropy.context, bytes, sizeof(bytes)) != 0)
        return refuse(refusal, WEIR_NO_ENTROPY);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        lease->handle[2 * i] = digits[bytes[i] >> 4];
        lease->handle[2 * i + 1] = digits[bytes[i] & 15];
    }
    /* Last: all that can fail is behind us. Relaxed: ids are in the order of the additions, and carry nothing else. */
    lease->id = u64_add_relaxed(&leases->opened, 1) + 1;
    lease->snapshot = snapshot;
    lease->opened_ms = now_ms(leases);
    lease->ttl_ms = ttl_ms;
    return WEIR_OK;
}

int weir_lease_is_expired(const weir_leases *leases, const weir_lease *lease) {
    uint64_t now = now_ms(leases);
    return now >= lease->opened_ms && now - lease->opened_ms >= lease->ttl_ms;
}
