/* weir — what a stream needs before its first byte: a place among the streams that may run, a lease, and the time at
 * which its bearer token ends. Part of weir.h, which includes it; the statuses and the injected services are there.
 *
 *   | handle          | made by            | given back by       | who may use it                          |
 *   |-----------------|--------------------|---------------------|-----------------------------------------|
 *   | weir_quota      | weir_quota_create  | weir_quota_destroy  | any thread                              |
 *   | weir_quota_slot | weir_quota_acquire | weir_quota_release  | the caller's own memory; may be copied  |
 *   | weir_leases     | weir_leases_create | weir_leases_destroy | any thread                              |
 *   | weir_lease      | weir_lease_open    | nobody              | the caller's own memory; only read      | */
#ifndef WEIR_QUOTA_H
#define WEIR_QUOTA_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Quotas ------------------------------------------------------------------------------------------------- */

/* Counts what runs, in all and by principal, and refuses what would be one too many (contract CAP). One quota counts
 * one kind of thing; a process has as many quotas as it has kinds. */
typedef struct weir_quota weir_quota;

#define WEIR_PRINCIPAL_MAX   128u       /* bytes in a principal's text */
#define WEIR_QUOTA_SLOTS_MAX (1u << 24) /* the largest max_slots */

/* Every field but `size`: 0 means the default that its comment names. Begin with WEIR_QUOTA_CONFIG_INIT.
 * weir copies the structure. An unknown, longer structure is taken when its tail is zero. */
typedef struct weir_quota_config {
    size_t size;        /* sizeof(weir_quota_config) */
    uint32_t max_slots; /* no global cap goes above it: 1 .. 2^24, default 65,536. It bounds the principals, too:
                                 each one that is counted holds a slot */
    uint32_t reserved;  /* 0 */
    weir_allocator allocator; /* default: a jemalloc arena of the quota's own */
    weir_entropy entropy;     /* default: getrandom(2); asked once, at create */
} weir_quota_config;

/* One place, held. The caller provides the memory; the fields are weir's. All 0 is no place at all. */
typedef struct weir_quota_slot {
    uint64_t generation; /* of the ticket; 0 in a slot that holds nothing */
    uint32_t ticket;
    uint32_t reserved;
} weir_quota_slot;

/* Makes a quota with nothing counted. `config` may be NULL for all defaults. Any thread; may block in the allocator.
 * WEIR_INVALID (a field out of range), WEIR_NO_MEMORY, WEIR_NO_ENTROPY; *quota is NULL then. */
WEIR_API int weir_quota_create(weir_quota **quota, const weir_quota_config *config);

/* Frees the quota; slots that were not released hold nothing from then on and must not be used. NULL does nothing.
 * The caller must have stopped every thread that uses the quota. */
WEIR_API void weir_quota_destroy(weir_quota *quota);

/* Takes one place for `principal`: `length` bytes, 0 to WEIR_PRINCIPAL_MAX, of any value (NULL with length 0 is the
 * empty principal). The text is copied. In this order (CAP-01, CAP-12):
 *
 *   WEIR_CAPACITY_LIMIT    as many slots as global_cap, or as max_slots if that is less, are out already
 *   WEIR_PRINCIPAL_LIMIT   the principal holds principal_cap slots already
 *   WEIR_OK                both counts are one higher and *slot holds the place
 *
 * The caps are this call's alone: a lower one stops later calls and leaves what is out alone (CAP-09). Neither count
 * ever passes the cap of a call that raised it. A call that is going to be refused by its principal's cap holds a
 * global place for a moment, so another call may get WEIR_CAPACITY_LIMIT then: with `current` equal to `limit`, when
 * calls that overlap have the same global cap. WEIR_PRINCIPAL_LIMIT is exact.
 *
 * *refusal, which may be NULL, is filled when the result is not WEIR_OK; its code is
 * "server_stream_capacity_exhausted" or "principal_stream_quota_exhausted", limit and current are the cap and the
 * count that met it (CAP-02); for other results the code is the status's name and both are 0.
 * Nothing is counted and *slot is 0 unless the result is WEIR_OK; what *slot held before is overwritten unread.
 *
 * Any thread; lock-free: a thread stopped inside delays no other. Memory is taken while the high-water mark grows, and
 * used again after that. WEIR_INVALID, WEIR_NO_MEMORY. */
WEIR_API int weir_quota_acquire(weir_quota *quota, const char *principal, size_t length, uint64_t global_cap,
                                uint64_t principal_cap, weir_quota_slot *slot, weir_refusal *refusal);

/* Gives the place back and makes *slot 0: both counts are one lower when it returns, and the place can be taken again
 * at once (CAP-04, CAP-06). Exactly once per acquire: a slot that is 0, that was released before, or whose copy was,
 * is left alone, whatever was acquired since (CAP-08). So every way in which a stream can end may release it, from
 * any thread, each from its own copy; one copy is one thread's at a time. The slot must be of this quota.
 * NULL does nothing. Any thread; lock-free. */
WEIR_API void weir_quota_release(weir_quota *quota, weir_quota_slot *slot);

/* Slots out, and places held by acquires under way. Any thread; wait-free. */
WEIR_API uint64_t weir_quota_count(const weir_quota *quota);

/* Slots that the principal holds; 0 for a text that weir_quota_acquire would not take. Any thread; lock-free. */
WEIR_API uint64_t weir_quota_count_of(weir_quota *quota, const char *principal, size_t length);

/* Called for a principal that holds slots. The text is as it was given, any bytes and no terminator: whoever puts it
 * on a wire must escape it (CAP-11). It is valid during the call. The call may use the quota. */
typedef void (*weir_quota_visitor)(void *context, const char *principal, size_t length, uint64_t count);

/* Shows each principal with its count to `visit` (NULL: to nobody), in no particular order, and returns the sum of
 * what was shown: total and counts always agree (CAP-10). A principal whose last slot goes while its next one comes
 * may be shown twice; then its counts add up to what it holds.
 * *exact, which may be NULL, is 1 when all of it was true at one instant: always when nothing was acquired or released
 * meanwhile. Otherwise each count was right at some instant during the call; try again for an exact one.
 * Any thread; holds nobody up; takes time for the most principals that there ever were at once. */
WEIR_API uint64_t weir_quota_snapshot(const weir_quota *quota, weir_quota_visitor visit, void *context, int *exact);

/* ---- Leases ------------------------------------------------------------------------------------------------- */

/* Numbers and names the streams of a process (contract LSE). weir has no mutable globals: for ids that are unique in
 * the process, make one of these in it (SEQ-12). */
typedef struct weir_leases weir_leases;

#define WEIR_LEASE_HANDLE_LENGTH 32u /* hex digits: 16 random bytes */

/* Every field but `size` may be 0, which means its default. Begin with WEIR_LEASES_CONFIG_INIT. */
typedef struct weir_leases_config {
    size_t size;              /* sizeof(weir_leases_config) */
    weir_clock clock;         /* default: the system's; now_ns is what leases age by (CLK-07) */
    weir_entropy entropy;     /* default: getrandom(2); asked at each open, from any thread at once */
    weir_allocator allocator; /* default: a jemalloc arena of its own; asked at create only */
} weir_leases_config;

/* What one stream was given when it opened. A value: it refers to nothing and may be copied. */
typedef struct weir_lease {
    uint64_t id;        /* 1, 2, 3, ...; internal, never for the wire */
    uint64_t snapshot;  /* the caller's snapshot number, as given */
    uint64_t opened_ms; /* monotonic */
    uint64_t ttl_ms;    /* the lease's own: later changes of configuration leave it alone (CFG-08) */
    char handle[WEIR_LEASE_HANDLE_LENGTH]; /* its name on the wire: lower-case hex, not terminated, tells nothing of
                                              the id (LSE-03) */
} weir_lease;

/* Makes the source of leases; its first id is 1. `config` may be NULL for all defaults. Any thread; may block in the
 * allocator. WEIR_INVALID, WEIR_NO_MEMORY; *leases is NULL then. */
WEIR_API int weir_leases_create(weir_leases **leases, const weir_leases_config *config);

/* Frees it. Leases given out stay as they are. NULL does nothing. */
WEIR_API void weir_leases_destroy(weir_leases *leases);

/* Opens a lease on `snapshot` for ttl_ms (0: it is expired at once). Ids strictly increase in the order of the opens;
 * an open that fails uses none (SEQ-12), and *lease is left as it was.
 *   WEIR_TRANSACTION   in_transaction is not 0: a stream would read what may be rolled back (LSE-01)
 *   WEIR_NO_ENTROPY    a handle that could be guessed is none (WK-36)
 *   WEIR_INVALID       `leases` or `lease` is NULL
 * *refusal, which may be NULL, is filled then; its code is "stream_in_transaction_unsupported" or the status's name.
 * Any thread; wait-free but for the entropy source. */
WEIR_API int weir_lease_open(weir_leases *leases, int in_transaction, uint64_t snapshot, uint64_t ttl_ms,
                             weir_lease *lease, weir_refusal *refusal);

/* 1 once ttl_ms have passed since the lease opened, that instant included (LSE-06); 0 before, and while the clock
 * stands before the opening (TTL-16). Any thread; wait-free. */
WEIR_API int weir_lease_is_expired(const weir_leases *leases, const weir_lease *lease);

/* ---- Tokens ------------------------------------------------------------------------------------------------- */

#define WEIR_TOKEN_MAX       16384u /* bytes in a token that is looked into */
#define WEIR_TOKEN_DEPTH_MAX 128u   /* objects and arrays inside each other in its claims */

/* Reads when a bearer token expires, from the claims of a JSON Web Token: `exp` of the middle one of exactly three
 * parts, in whole seconds, cut toward zero; as Unix milliseconds, UINT64_MAX for what is more than that (TOK-10, 12).
 * The letters of base64 and base64url are both taken, padding may be missing. Of claims called exp the last one counts.
 * It verifies nothing: no signature, issuer or audience. Use it only on a token that somebody has verified.
 * WEIR_NOT_FOUND, with *expiry_ms left as it was, for everything else: an opaque token, one over WEIR_TOKEN_MAX, claims
 * nested deeper than WEIR_TOKEN_DEPTH_MAX, no exp, one that is not a number, or is below 1 (TOK-11).
 * Any thread; allocates through jansson and may block there. */
WEIR_API int weir_token_expiry_ms(const char *token, size_t length, uint64_t *expiry_ms);

#ifdef __cplusplus /* which learnt to name a field here in C++20 */
static inline weir_quota_config weir_quota_config_init(void) {
    weir_quota_config config = {};
    config.size = sizeof(config);
    return config;
}
static inline weir_leases_config weir_leases_config_init(void) {
    weir_leases_config config = {};
    config.size = sizeof(config);
    return config;
}
#define WEIR_QUOTA_CONFIG_INIT  weir_quota_config_init()
#define WEIR_LEASES_CONFIG_INIT weir_leases_config_init()
#else
#define WEIR_QUOTA_CONFIG_INIT                                                                                       \
    { .size = sizeof(weir_quota_config) }
#define WEIR_LEASES_CONFIG_INIT                                                                                      \
    { .size = sizeof(weir_leases_config) }
#endif

#ifdef __cplusplus
}
#endif
#endif
