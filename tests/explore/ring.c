#include "ring.h"

#include "base/atomic.h"

#define WORDS 2u
#define KEY   0x100u /* a keyed event's key tells its name as well */

struct ring *R;

static uint32_t self(void) {
    return explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
}

static struct cell_stock *own_stock(void) {
    return &R->stocks[explore_thread == NO_THREAD ? 0 : explore_thread];
}

void ring_begin(uint32_t log2, uint32_t published, uint32_t spare) {
    R = explore_new(sizeof(*R));
    R->slots = explore_new(slots_size(log2));
    EXPECT(cell_pool_create(&R->pool, &explore_allocator, 1u << 20) == WEIR_OK);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        cell_stock_open(&R->stocks[i], &R->pool);
    slots_init(R->slots, log2, 0);
    for (uint32_t i = 0; i < spare * 3 + published; i++) {
        uint32_t index;
        uint32_t taken;
        EXPECT(slab_take(&R->pool.classes[0], &index, 1, &taken) == WEIR_OK);
        cell_stock_keep_small(&R->stocks[i < spare * 3 ? i % 3 : 0], index);
    }
    R->pool.classes[0].maximum = spare * 3 + published;
    for (uint32_t i = 0; i < published; i++)
        ring_publish(i);
}

/* The cell is this thread's alone: if the last owner's accesses are not before ours, the plain write is a race. */
static void own(cell_reference reference) {
    R->owner[cell_index(reference)] = self() + 1;
}

void ring_keep(cell_reference reference) {
    own(reference);
    cell_stock_keep(own_stock(), reference);
}

static uint64_t publish(uint64_t from, const atomic_u64 *consumed, uint32_t depth, bool keyed) {
    uint64_t name = ++R->names[self()] + self() * 16;
    uint64_t payload[WORDS] = {name, ~name};
    struct cell_stock *stock = own_stock();
    uint64_t replaced;
    int status;
    const struct stocked_cell *mine = cell_stock_next(stock, 0, &status);
    EXPECT(mine != NULL);
    uint64_t facts = facts_pack(sizeof(payload), (uint32_t)name, 0);
    cell_fill(mine->cell, facts | (keyed ? FACTS_KEYED : 0), payload, sizeof(payload));
    if (keyed) cell_fill_key(mine->cell, sizeof(payload), KEY + name);
    uint64_t sequence = from;
    if (consumed != NULL || !slots_claim_expected(R->slots, mine->reference, mine->cell, sequence, &replaced)) {
        if (slots_claim(R->slots, mine->reference, mine->cell, consumed, depth, &sequence, &replaced) != WEIR_OK)
            return UINT64_MAX;
    }
    cell_stock_spend(stock, 0);
    R->done[self()]++;
    if (cell_is_cell((cell_reference)replaced)) ring_keep((cell_reference)replaced);
    return sequence;
}

uint64_t ring_try_publish(uint64_t from, const atomic_u64 *consumed, uint32_t depth) {
    return publish(from, consumed, depth, false);
}

uint64_t ring_publish(uint64_t from) {
    uint64_t sequence = publish(from, NULL, 0, false);
    EXPECT(sequence != UINT64_MAX);
    return sequence;
}

uint64_t ring_publish_keyed(void) {
    uint64_t sequence = publish(0, NULL, 0, true);
    EXPECT(sequence != UINT64_MAX);
    return sequence;
}

enum slot_state ring_read(uint64_t sequence) {
    uint64_t payload[WORDS] = {0, 0};
    uint64_t facts = 0;
    enum slot_state state = slots_read(R->slots, &R->pool, sequence, payload, sizeof(payload), &facts);
    if (state != SLOT_EVENT) return state;
    EXPECT(facts_length(facts) == sizeof(payload));
    EXPECT(payload[0] == facts_kind(facts) && payload[1] == ~payload[0]);
    R->accepted[self()]++;
    return state;
}

void ring_read_key(uint64_t sequence) {
    uint64_t payload[WORDS] = {0, 0};
    uint64_t facts = 0;
    uint32_t keyed;
    uint64_t key, broadcast;
    if (slots_read(R->slots, &R->pool, sequence, payload, sizeof(payload), &facts) != SLOT_EVENT) return;
    if (slots_read_rare(R->slots, &R->pool, sequence, &keyed, &key, &broadcast) != SLOT_EVENT) return;
    EXPECT(keyed == facts_are_rare(facts));
    if (keyed) EXPECT(key == KEY + payload[0]);
}

/* Every cell is in one stock, in one slot, or nowhere: then it was not there to begin with. */
void ring_check_cells(void) {
    uint32_t places[64] = {0};
    uint32_t total = R->pool.classes[0].maximum;
    R->published = 0;
    for (uint32_t i = 0; i <= THREADS_MAX; i++)
        R->published += R->done[i];
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        const struct stock_class *kept = &R->stocks[i].classes[0];
        for (uint32_t at = kept->head; at != kept->tail; at++)
            places[cell_index(R->stocks[i].cells[0][at & (STOCK_ROOM - 1)].reference)]++;
    }
    for (uint32_t i = 0; i <= R->slots->mask; i++)
        if (cell_is_cell((cell_reference)R->slots->words[i].value))
            places[cell_index((cell_reference)R->slots->words[i].value)]++;
    for (uint32_t i = 0; i < 64; i++)
        EXPECT(places[i] == (i < total));
}

uint64_t ring_check(void) {
    ring_check_cells();
    uint64_t next = slots_next(R->slots, 0);
    EXPECT(next == R->published);
    uint64_t ring = (uint64_t)R->slots->mask + 1;
    for (uint64_t sequence = 0; sequence < next; sequence++) {
        enum slot_state state = ring_read(sequence);
        EXPECT(state == SLOT_PASSED || (state == SLOT_EVENT && sequence + ring >= next));
    }
    EXPECT(next == 0 || ring_read(next - 1) == SLOT_EVENT);
    return next;
}
