/* Each block carries what it was asked for in front of it, so that a release with another size or alignment is found;
 * the block is overwritten when it comes back, so that a later use is seen. */
#include "counting_allocator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct label {
    uint64_t magic;
    size_t size;
    size_t alignment;
};

#define MAGIC_OUT  0x5745495261626c65u
#define MAGIC_BACK 0x676f6e65676f6e65u
#define PAGE       4096u

static size_t front_of(size_t alignment) {
    size_t front = alignment > sizeof(struct label) ? alignment : sizeof(struct label);
    return (front + 15) & ~(size_t)15;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void *allocate(void *context, size_t size, size_t alignment) {
    struct counting_allocator *memory = (struct counting_allocator *)context;
    uint64_t call = u64_add_relaxed(&memory->calls, 1) + 1;
    if (call == u64_load_relaxed(&memory->fail_at)) return NULL;
    size_t front = front_of(alignment);
    size_t unit = larger(alignment, 16);
    size_t whole = (front + size + unit - 1) / unit * unit;
    char *block = (char *)aligned_alloc(unit, whole);
    if (block == NULL) return NULL;
    memset(block, 0, whole);
    struct label label = {MAGIC_OUT, size, alignment};
    memcpy(block + front - sizeof(label), &label, sizeof(label));
    u64_add_relaxed(&memory->outstanding, 1);
    u64_add_relaxed(&memory->outstanding_bytes, size);
    return block + front;
}

static void release(void *context, void *block, size_t size, size_t alignment) {
    struct counting_allocator *memory = (struct counting_allocator *)context;
    struct label label;
    char *front = (char *)block - sizeof(label);
    memcpy(&label, front, sizeof(label));
    if (label.magic != MAGIC_OUT || label.size != size || label.alignment != alignment) {
        fprintf(stderr, "a block of %zu bytes at alignment %zu came back as %zu at %zu%s\n", label.size,
                label.alignment, size, alignment, label.magic == MAGIC_BACK ? ", a second time" : "");
        abort();
    }
    label.magic = MAGIC_BACK;
    memcpy(front, &label, sizeof(label));
    memset(block, 0xDB, size);
    u64_add_relaxed(&memory->releases, 1);
    u64_subtract_relaxed(&memory->outstanding, 1);
    u64_subtract_relaxed(&memory->outstanding_bytes, size);
    free((char *)block - front_of(alignment));
}

/* By the system, like the real one: other threads may look at the pages meanwhile, and no store of this program's is
 * in their way. */
static int discard(void *context, void *memory_to_discard, size_t size) {
    struct counting_allocator *memory = (struct counting_allocator *)context;
    if (u64_load_relaxed(&memory->keep) != 0) return -1;
    if ((uintptr_t)memory_to_discard % PAGE != 0 || size % PAGE != 0) {
        fprintf(stderr, "%zu bytes at %p are not whole pages\n", size, memory_to_discard);
        abort();
    }
    if (madvise(memory_to_discard, size, MADV_DONTNEED) != 0) abort();
    u64_add_relaxed(&memory->discarded_bytes, size);
    return 0;
}

weir_allocator counting_allocator_of(struct counting_allocator *memory) {
    weir_allocator allocator = {.allocate = allocate, .release = release, .discard = discard, .context = memory};
    return allocator;
}
