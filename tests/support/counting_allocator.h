/* An allocator that counts, checks that memory comes back as it was given out, and can be made to fail. */
#ifndef SUPPORT_COUNTING_ALLOCATOR_H
#define SUPPORT_COUNTING_ALLOCATOR_H

#include <weir.h>

#include "base/atomic.h"

struct counting_allocator {
    atomic_u64 calls;             /* of allocate */
    atomic_u64 releases;          /* of memory that was given out */
    atomic_u64 outstanding;       /* blocks */
    atomic_u64 outstanding_bytes; /* as asked for */
    atomic_u64 fail_at;           /* the call of this number fails, counted from 1; 0: none does */
    atomic_u64 discarded_bytes;   /* given back to the system by discard */
    atomic_u64 keep;              /* 1: discard fails, and the memory is as it was */
};

/* The allocator to put into a weir_config; `memory`, zeroed at first, must outlive the engine. */
weir_allocator counting_allocator_of(struct counting_allocator *memory);

#endif
