/* The quota: a global count, counts by principal, and tickets that make a release happen once.
 *
 *   reserved = changes (36) | count (28)
 *
 * An acquire raises the global count, takes a ticket, raises its principal's count and fills the ticket in; when the
 * principal's cap refuses, the ticket goes back and the global count down again. A release ends its ticket first, then
 * lowers the principal's count and at last the global one. So at any time the principals' counts add up to no more than
 * the global one, and what it has more belongs to calls under way.
 *
 *   ticket = even: free | odd: out
 *
 * A ticket's number grows by one at each acquire and each release. A slot holds the odd number it was given, so of all
 * its copies the one whose compare-and-swap finds that number ends it, and later ones find another.
 *
 * A snapshot that saw the same word in `reserved` before and after, and whose counts add up to its count, is true at
 * one instant: no call passed its global step meanwhile, each principal held at least what was seen of it, counting
 * reservations as held and ended tickets as out, and together they held no more than all.
 *
 *   pairing                                                                   without it
 *   Q1 release: acquire's store of a ticket  Q2 acquire: release's compare-   the principal of another acquire is
 *                                               and-swap of it                  lowered
 *   Q3 release fence: before lowering        Q4 acquire: raising `reserved`,  a place is free before its ticket and its
 *      `reserved`                               a snapshot's first load         principal are; a snapshot counts what
 *                                                                               the first load has no more */
#include "base/configure.h"
#include "base/memory.h"
#include "principals.h"

#define RESERVED_COUNT  ((1ull << 28) - 1)
#define RESERVED_CHANGE (1ull << 28)
#define CHUNK_SHIFT     16

struct ticket {
    atomic_u64 generation;
    atomic_u32 principal; /* index, written before the ticket goes out */
};

struct weir_quota {
    weir_allocator allocator;
    bool closes_allocator;
    uint32_t max_slots;
    struct principals principals;
    struct slab tickets;
    CACHE_ALIGNED atomic_u64 reserved;
};

/* ---- Life ----------------------------------------------------------------------------------------------------- */

static int create_parts(weir_quota *quota, const weir_entropy *entropy) {
    uint64_t *key = quota->principals.hash_key;
    int status = principals_create(&quota->principals, &quota->allocator, quota->max_slots);
    if (status == WEIR_OK)
        status = slab_create(&quota->tickets, &quota->allocator, NULL, sizeof(struct ticket), quota->max_slots,
                             CHUNK_SHIFT);
    if (status == WEIR_OK && entropy->fill(entropy->context, key, sizeof(quota->principals.hash_key)) != 0)
        status = WEIR_NO_ENTROPY;
    return status;
}

int weir_quota_create(weir_quota **out, const weir_quota_config *config) {
    if (out == NULL) return WEIR_INVALID;
    *out = NULL;
    weir_quota_config resolved;
    if (!configure_copy(&resolved, sizeof(resolved), config) || resolved.reserved != 0) return WEIR_INVALID;
    if (resolved.max_slots == 0) resolved.max_slots = 65536;
    if (resolved.max_slots > WEIR_QUOTA_SLOTS_MAX) return WEIR_INVALID;
    bool closes = configure_allocator(&resolved.allocator);
    configure_entropy(&resolved.entropy);
    weir_quota *quota = (weir_quota *)memory_take(&resolved.allocator, sizeof(weir_quota), CACHE_LINE);
    if (quota == NULL) {
        if (closes) system_memory_close(&resolved.allocator);
        return WEIR_NO_MEMORY;
    }
    quota->allocator = resolved.allocator;
    quota->closes_allocator = closes;
    quota->max_slots = resolved.max_slots;
    int status = create_parts(quota, &resolved.entropy);
    if (status != WEIR_OK) {
        weir_quota_destroy(quota);
        return status;
    }
    *out = quota;
    return WEIR_OK;
}

void weir_quota_destroy(weir_quota *quota) {
    if (quota == NULL) return;
    weir_allocator allocator = quota->allocator;
    bool closes = quota->closes_allocator;
    slab_destroy(&quota->tickets);
    principals_destroy(&quota->principals, &allocator);
    memory_give(&allocator, quota, sizeof(*quota), CACHE_LINE);
    if (closes) system_memory_close(&allocator);
}

/* ---- The global count ----------------------------------------------------------------------------------------- */

static bool reserve(weir_quota *quota, uint64_t cap, uint64_t *current) {
    uint64_t word = u64_load_relaxed(&quota->reserved); /* relaxed: the compare-and-swap decides */
    do {
        *current = word & RESERVED_COUNT;
        if (*current >= cap) return false;
    } while (!u64_cas_acq_rel(&quota->reserved, &word, word + RESERVED_CHANGE + 1)); /* Q4 */
    return true;
}

static void unreserve(weir_quota *quota) {
    fence_release(); /* Q3 */
    u64_add_relaxed(&quota->reserved, RESERVED_CHANGE - 1);
}

/* ---- Tickets -------------------------------------------------------------------------------------------------- */

static struct ticket *ticket_at(const weir_quota *quota, uint32_t index) {
    return (struct ticket *)slab_at(&quota->tickets, index);
}

static int take_ticket(weir_quota *quota, uint32_t *index) {
    uint32_t taken;
    int status;
    /* No more tickets are out than places reserved, so a slab that is full was just changed by another: look again. */
    do {
        status = slab_take(&quota->tickets, index, 1, &taken);
    } while (status == WEIR_FULL);
    return status;
}

static weir_quota_slot issue(weir_quota *quota, uint32_t index, uint32_t principal) {
    struct ticket *ticket = ticket_at(quota, index);
    uint64_t generation = u64_load_relaxed(&ticket->generation) + 1; /* relaxed: it is ours, through the slab */
    u32_store_relaxed(&ticket->principal, principal);                /* relaxed: Q1 publishes it */
    u64_store_release(&ticket->generation, generation);              /* Q1 */
    return (weir_quota_slot){generation, index, 0};
}

/* True for the one release of a slot that ends its ticket. */
static bool end_ticket(weir_quota *quota, const weir_quota_slot *slot, uint32_t *principal) {
    if (slot->generation % 2 == 0 || slot->ticket >= slab_fresh(&quota->tickets)) return false;
    struct ticket *ticket = ticket_at(quota, slot->ticket);
    uint64_t generation = slot->generation;
    if (!u64_cas_acq_rel(&ticket->generation, &generation, generation + 1)) return false; /* Q2 */
    *principal = u32_load_relaxed(&ticket->principal); /* relaxed: ours until the slab has it */
    return true;
}

/* ---- Acquire and release -------------------------------------------------------------------------------------- */

static int refuse(weir_refusal *refusal, int status, uint64_t limit, uint64_t current) {
    if (refusal == NULL) return status;
    refusal->status = status;
    refusal->code = weir_status_name(status);
    refusal->limit = limit;
    refusal->current = current;
    if (status == WEIR_CAPACITY_LIMIT) refusal->code = "server_stream_capacity_exhausted";
    if (status == WEIR_PRINCIPAL_LIMIT) refusal->code = "principal_stream_quota_exhausted";
    return status;
}

/* With a global place reserved. The principal's count comes last: nothing can undo it then, so whoever is refused by
 * it is refused by slots that are out. */
static int acquire_reserved(weir_quota *quota, const struct principal_key *key, uint64_t cap, weir_quota_slot *slot,
                            uint64_t *current) {
    uint32_t ticket;
    uint32_t principal;
    int status = take_ticket(quota, &ticket);
    if (status != WEIR_OK) return status;
    status = principals_take(&quota->principals, key, cap, &principal, current);
    if (status == WEIR_OK)
        *slot = issue(quota, ticket, principal);
    else
        slab_give(&quota->tickets, &ticket, 1);
    return status;
}

int weir_quota_acquire(weir_quota *quota, const char *principal, size_t length, uint64_t global_cap,
                       uint64_t principal_cap, weir_quota_slot *slot, weir_refusal *refusal) {
    struct principal_key key;
    uint64_t current;
    if (slot != NULL) *slot = (weir_quota_slot){0, 0, 0};
    if (quota == NULL || slot == NULL || length > WEIR_PRINCIPAL_MAX || (principal == NULL && length > 0))
        return refuse(refusal, WEIR_INVALID, 0, 0);
    if (global_cap > quota->max_slots) global_cap = quota->max_slots;
    if (!reserve(quota, global_cap, &current)) return refuse(refusal, WEIR_CAPACITY_LIMIT, global_cap, current);
    principal_key_make(&key, &quota->principals, principal, length);
    int status = acquire_reserved(quota, &key, principal_cap, slot, &current);
    if (status == WEIR_OK) return WEIR_OK;
    unreserve(quota);
    if (status == WEIR_PRINCIPAL_LIMIT) return refuse(refusal, status, principal_cap, current);
    return refuse(refusal, status, 0, 0);
}

void weir_quota_release(weir_quota *quota, weir_quota_slot *slot) {
    uint32_t principal;
    if (quota == NULL || slot == NULL) return;
    weir_quota_slot held = *slot;
    *slot = (weir_quota_slot){0, 0, 0};
    if (!end_ticket(quota, &held, &principal)) return;
    principals_give(&quota->principals, principal);
    slab_give(&quota->tickets, &held.ticket, 1);
    unreserve(quota);
}

/* ---- Looking -------------------------------------------------------------------------------------------------- */

uint64_t weir_quota_count(const weir_quota *quota) {
    return u64_load_acquire(&quota->reserved) & RESERVED_COUNT;
}

uint64_t weir_quota_count_of(weir_quota *quota, const char *principal, size_t length) {
    struct principal_key key;
    if (!principal_key_make(&key, &quota->principals, principal, length)) return 0;
    return principals_count(&quota->principals, &key);
}

uint64_t weir_quota_snapshot(const weir_quota *quota, weir_quota_visitor visit, void *context, int *exact) {
    struct principal_key key;
    uint64_t count;
    uint64_t total = 0;
    uint64_t before = u64_load_acquire(&quota->reserved); /* Q4 */
    uint32_t places = slab_fresh(&quota->principals.slab);
    for (uint32_t i = 0; i < places; i++) {
        if (!principals_read(&quota->principals, i, &key, &count)) continue;
        total += count;
        if (visit != NULL) visit(context, (const char *)key.words, key.length, count);
    }
    /* The acquire loads of the counts stand before this one, and show it what they were raised under (P5, P6). */
    uint64_t after = u64_load_acquire(&quota->reserved);
    if (exact != NULL) *exact = before == after && total == (before & RESERVED_COUNT);
    return total;
}
