/* A quota on an allocator that counts, and short ways to say acquire and expect. */
#ifndef CONTRACT_QUOTA_SUPPORT_H
#define CONTRACT_QUOTA_SUPPORT_H

#include <weir_quota.h>

#include "engine/prelude.h"
#include "support/counting_allocator.h"

#define NO_CAP UINT64_MAX

struct quota_bed {
    struct counting_allocator memory;
    weir_quota *quota;
};

/* max_slots 0: the default. */
void quota_open(struct quota_bed *bed, uint32_t max_slots);
/* Destroys the quota, and checks that it gave all of its memory back. */
void quota_close(struct quota_bed *bed);

/* weir_quota_acquire for a principal in letters; refusals are checked by expect_refused. */
int quota_take(struct quota_bed *bed, const char *principal, uint64_t global_cap, uint64_t principal_cap,
               weir_quota_slot *slot);

/* Acquires, which must be refused with this status, limit and current count, and must change no count. */
void expect_refused(struct quota_bed *bed, const char *principal, uint64_t global_cap, uint64_t principal_cap,
                    int status, uint64_t limit, uint64_t current);

uint64_t quota_of(struct quota_bed *bed, const char *principal);

/* What a snapshot showed. */
#define SEEN_MAX 300
struct seen {
    uint32_t principals;
    struct {
        char text[WEIR_PRINCIPAL_MAX];
        size_t length;
        uint64_t count;
    } of[SEEN_MAX];
};
void see_principal(void *context, const char *principal, size_t length, uint64_t count);

/* Nothing moves: both counts are `total`, exactly, over so many principals. */
void expect_at_rest(struct quota_bed *bed, uint64_t total, uint32_t principals);

#endif
