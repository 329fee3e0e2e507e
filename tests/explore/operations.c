/* The operations that atomic.h names: each gives the other threads their turn, and then happens with one of the outcomes
 * that the memory model allows. In prepare and check, where there is one thread, they are plain. */
#include <string.h>

#include "atomic.h"
#include "explore.h"

#undef memcpy
#undef memset
#undef memcmp

static uint64_t peek(const void *address, uint32_t size) {
    uint64_t word = 0;
    memcpy(&word, address, size); /* little-endian, like everything else that is compiled here */
    return word;
}

static void poke(void *address, uint32_t size, uint64_t value) {
    memcpy(address, &value, size);
    arena_touched(address, size);
}

/* What runs alone has no turns to count: a structure that was broken may send it round and round. */
#define ALONE_MOST 1000000u
static uint32_t alone;

void operations_begin_check(void) {
    alone = 0;
}

static bool is_alone(void) {
    if (explore_thread != NO_THREAD) return false;
    if (alone++ == ALONE_MOST) explore_fail("the check does not end");
    return true;
}

static uint64_t truncated(uint64_t value, uint32_t size) {
    return size == 8 ? value : (uint32_t)value;
}

static uint32_t begin(struct explore_site *site, const void *address, uint32_t size, bool is_write) {
    uint32_t location = memory_location(address, size);
    site->hits++;
    run_step(site, location, is_write);
    race_check_atomic(address);
    if (is_write) arena_touched(address, size);
    return location;
}

uint64_t explore_load(struct explore_site *site, const void *address, uint32_t size) {
    if (is_alone()) return peek(address, size);
    uint32_t location = begin(site, address, size, false);
    uint32_t count = memory_load_choices(explore_thread, location, site->order);
    return memory_load(explore_thread, location, site->order, run_choose(count));
}

void explore_store(struct explore_site *site, void *address, uint32_t size, uint64_t value) {
    if (is_alone()) {
        poke(address, size, value);
        return;
    }
    uint32_t location = begin(site, address, size, true);
    uint32_t count = memory_store_choices(explore_thread, location, site->order);
    memory_store(explore_thread, location, site->order, truncated(value, size), run_choose(count));
}

bool explore_cas(struct explore_site *site, void *address, uint32_t size, uint64_t *expected, uint64_t desired) {
    desired = truncated(desired, size);
    if (is_alone()) {
        uint64_t found = peek(address, size);
        bool equal = found == *expected;
        if (equal) poke(address, size, desired);
        *expected = found;
        return equal;
    }
    uint32_t location = begin(site, address, size, true);
    uint32_t count = memory_cas_choices(explore_thread, location, site->order, *expected);
    uint32_t choice = run_choose(count);
    return memory_cas(explore_thread, location, site->order, site->failure, expected, desired, choice);
}

static uint64_t changed(uint64_t value, enum change change, uint64_t operand) {
    switch (change) {
    case CHANGE_ADD:
        return value + operand;
    case CHANGE_SUBTRACT:
        return value - operand;
    case CHANGE_OR:
        return value | operand;
    case CHANGE_EXCHANGE:
        break;
    }
    return operand;
}

uint64_t explore_change(struct explore_site *site, void *address, uint32_t size, enum change change,
                        uint64_t operand) {
    if (is_alone()) {
        uint64_t before = peek(address, size);
        poke(address, size, changed(before, change, operand));
        return before;
    }
    uint32_t location = begin(site, address, size, true);
    uint32_t count = memory_change_choices(explore_thread, location, site->order);
    uint64_t before = memory_change_from(explore_thread, location, site->order, run_choose(count));
    uint64_t after = truncated(changed(before, change, operand), size);
    memory_change_to(explore_thread, location, site->order, after);
    return before;
}

/* Fences concern their own thread alone: nobody else needs a turn. */
void explore_fence(struct explore_site *site) {
    site->hits++;
    if (explore_thread != NO_THREAD && site->order != ORDER_NONE) memory_fence(explore_thread, site->order);
}

void explore_check_failed(const char *file, uint32_t line) {
    explore_fail("%s:%u: an assertion of the engine", file, line);
}

void explore_copy(void *target, const void *source, size_t length) {
    race_plain(source, length, false);
    race_plain(target, length, true);
    memcpy(target, source, length);
}

void explore_set(void *target, int byte, size_t length) {
    race_plain(target, length, true);
    memset(target, byte, length);
}

int explore_compare(const void *left, const void *right, size_t length) {
    race_plain(left, length, false);
    race_plain(right, length, false);
    return memcmp(left, right, length);
}
