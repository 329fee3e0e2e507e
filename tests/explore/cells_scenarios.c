/* Cells between pool, stocks and slots, and bodies that several rings share: one holder each, nothing is written before
 * its last holder is done. */
#include "base/atomic.h"

#include "concurrent/slots.h"
#include "explore.h"

#define RINGS 2u

static struct {
    struct cell_pool pool;
    struct slots *rings[RINGS];
    struct cell_stock stocks[THREADS_MAX];
    uint64_t owner[64];
    uint64_t turns[THREADS_MAX + 1];
} * S;

static struct cell_stock *own_stock(void) {
    return &S->stocks[explore_thread == NO_THREAD ? 2 : explore_thread]; /* prepare uses that of the third */
}

static void stock_one(struct cell_stock *stock, uint32_t class_index) {
    uint32_t index;
    uint32_t taken;
    EXPECT(slab_take(&S->pool.classes[class_index], &index, 1, &taken) == WEIR_OK);
    cell_reference reference = class_index << CELL_CLASS_SHIFT | index;
    struct stock_class *kept = &stock->classes[class_index];
    struct stocked_cell *place = &stock->cells[class_index][kept->tail++ & (STOCK_ROOM - 1)];
    place->reference = reference;
    place->cell = class_index == CELL_DESCRIPTOR ? descriptor_at(&S->pool, reference) : cell_at(&S->pool, reference);
}

/* `cells` and `descriptors` for each of three threads; there are no more. */
static void begin(uint32_t cells, uint32_t descriptors) {
    S = explore_new(sizeof(*S));
    EXPECT(cell_pool_create(&S->pool, &explore_allocator, 1u << 20) == WEIR_OK);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        cell_stock_open(&S->stocks[i], &S->pool);
    for (uint32_t i = 0; i < RINGS; i++) {
        S->rings[i] = explore_new(slots_size(0));
        slots_init(S->rings[i], 0, 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t n = 0; n < cells; n++)
            stock_one(&S->stocks[i], 0);
        for (uint32_t n = 0; n < descriptors; n++)
            stock_one(&S->stocks[i], CELL_DESCRIPTOR);
    }
    S->pool.classes[0].maximum = slab_fresh(&S->pool.classes[0]);
    S->pool.classes[CELL_DESCRIPTOR].maximum = slab_fresh(&S->pool.classes[CELL_DESCRIPTOR]);
}

/* ---- Stocks and the pool ------------------------------------------------------------------------------------------- */

static void pool_of_4(void) {
    begin(0, 0);
    uint32_t indices[4];
    uint32_t taken;
    S->pool.classes[0].maximum = 4;
    EXPECT(slab_take(&S->pool.classes[0], indices, 4, &taken) == WEIR_OK && taken == 4);
    slab_give(&S->pool.classes[0], indices, 4);
}
static void stocked(void) {
    begin(2, 0);
}

/* Takes one cell, and writes it plainly: a race tells of a second holder. */
static const struct stocked_cell *use_one(void) {
    int status;
    const struct stocked_cell *mine = cell_stock_next(own_stock(), 0, &status);
    if (mine == NULL) return NULL;
    S->owner[cell_index(mine->reference)] = explore_thread + 1;
    return mine;
}
static void use_one_and_leave(void) {
    use_one();
}
static void use_and_close(void) {
    use_one();
    cell_stock_close(own_stock());
}
static void close_stock(void) {
    const struct stock_class *kept = &own_stock()->classes[0];
    for (uint32_t at = kept->head; at != kept->tail; at++)
        S->owner[cell_index(own_stock()->cells[0][at & (STOCK_ROOM - 1)].reference)] = explore_thread + 1;
    cell_stock_close(own_stock());
}
static void spill(void) {
    close_stock();
    use_one();
}
/* Each cell of a class is in one stock or in the pool. */
static void check_class(uint32_t class_index) {
    uint32_t places[64] = {0};
    uint32_t indices[64];
    uint32_t taken = 0;
    uint32_t total = S->pool.classes[class_index].maximum;
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        const struct stock_class *kept = &S->stocks[i].classes[class_index];
        for (uint32_t at = kept->head; at != kept->tail; at++)
            places[cell_index(S->stocks[i].cells[class_index][at & (STOCK_ROOM - 1)].reference)]++;
    }
    for (uint32_t i = 0; i < RINGS; i++) {
        cell_reference reference = (cell_reference)S->rings[i]->words[0].value;
        if (cell_is_cell(reference) && cell_class(reference) == class_index) places[cell_index(reference)]++;
    }
    while (slab_take(&S->pool.classes[class_index], indices, 64, &taken) == WEIR_OK)
        for (uint32_t i = 0; i < taken; i++)
            EXPECT(++places[indices[i]] == 1);
    for (uint32_t i = 0; i < total; i++)
        EXPECT(places[i] == 1);
}
static void check_cells(void) {
    check_class(0);
}

/* ---- One body in two rings ----------------------------------------------------------------------------------------- */

static void bodies(void) {
    begin(2, 3);
}

/* Stores one event for both rings; its payload tells the publisher. */
static void broadcast(void) {
    struct cell_stock *stock = own_stock();
    uint32_t self = explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
    uint64_t name = (self + 1) * 16 + ++S->turns[self];
    uint64_t payload[2] = {name, ~name};
    struct body body;
    uint64_t published = 0;
    int status;
    const struct stocked_cell *mine = cell_stock_next(stock, 0, &status);
    if (mine == NULL) return;
    S->owner[cell_index(mine->reference)] = name;
    cell_fill(mine->cell, facts_pack(sizeof(payload), (uint32_t)name, 0), payload, sizeof(payload));
    body_open(&body, stock, mine);
    for (uint32_t i = 0; i < RINGS; i++) {
        uint64_t sequence = 0;
        uint64_t replaced;
        const struct stocked_cell *descriptor = body_describe(&body, stock, name, &status);
        if (descriptor == NULL) break;
        EXPECT(slots_claim(S->rings[i], descriptor->reference, descriptor->cell, NULL, 0, &sequence, &replaced) ==
               WEIR_OK);
        cell_stock_spend(stock, CELL_DESCRIPTOR);
        published++;
        if (cell_is_cell((cell_reference)replaced)) cell_stock_keep(stock, (cell_reference)replaced);
    }
    body_close(&body, stock, published);
}
static void broadcast_twice(void) {
    broadcast();
    broadcast();
}
static void evict_first(void) {
    for (uint32_t i = 0; i < RINGS; i++) {
        cell_reference evicted;
        if (slots_evict(S->rings[i], 0, &evicted)) cell_pool_give(&S->pool, evicted);
    }
}
static void evict_and_use(void) {
    evict_first();
    broadcast();
}
static void with_a_body(void) {
    begin(1, 3);
    broadcast();
}
/* A producer with one descriptor: the one that it evicts in the first ring is its next, in the second. */
static void with_few_descriptors(void) {
    begin(1, 1);
    S->pool.classes[CELL_DESCRIPTOR].maximum++;
    stock_one(&S->stocks[2], CELL_DESCRIPTOR);
    broadcast();
}
/* Evicts one ring's descriptor of the body that both share; whoever gives the last share fills it again at once. */
static void evict_and_fill(uint32_t ring) {
    cell_reference evicted;
    struct cell_stock *stock = own_stock();
    if (!slots_evict(S->rings[ring], 0, &evicted)) return;
    cell_stock_keep(stock, evicted);
    if (!cell_stock_has(stock, 0)) return;
    uint64_t payload[2] = {1, 2};
    const struct stocked_cell *body = &stock->cells[0][stock->classes[0].head & (STOCK_ROOM - 1)];
    cell_fill(body->cell, facts_pack(sizeof(payload), 0, 0), payload, sizeof(payload));
}
static void evict_and_fill_0(void) {
    evict_and_fill(0);
}
static void evict_and_fill_1(void) {
    evict_and_fill(1);
}
static void with_a_body_and_no_cells(void) {
    begin(0, 3);
    S->pool.classes[0].maximum = 1;
    stock_one(&S->stocks[2], 0);
    broadcast();
}
static void read_body(uint32_t ring, uint64_t sequence) {
    uint64_t payload[2] = {0, 0};
    uint64_t facts = 0;
    uint32_t keyed;
    uint64_t key;
    uint64_t number = 0;
    if (slots_read(S->rings[ring], &S->pool, sequence, payload, sizeof(payload), &facts) != SLOT_EVENT) return;
    EXPECT(facts_length(facts) == sizeof(payload) && facts_kind(facts) == payload[0] && payload[1] == ~payload[0]);
    if (slots_read_rare(S->rings[ring], &S->pool, sequence, &keyed, &key, &number) != SLOT_EVENT) return;
    EXPECT(number == payload[0] && keyed == 0);
}
static void read_bodies(void) {
    read_body(0, 0);
    read_body(1, 1);
}
static void read_first(void) {
    read_body(0, 0);
}
static void read_second(void) {
    read_body(1, 0);
    read_body(1, 1);
}
/* Bodies in use are those that a ring's descriptor names; the others are in stocks or the pool. */
static void check_bodies(void) {
    uint32_t places[64] = {0};
    uint32_t indices[64];
    uint32_t taken = 0;
    check_class(CELL_DESCRIPTOR);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        const struct stock_class *kept = &S->stocks[i].classes[0];
        for (uint32_t at = kept->head; at != kept->tail; at++)
            places[cell_index(S->stocks[i].cells[0][at & (STOCK_ROOM - 1)].reference)]++;
    }
    for (uint32_t i = 0; i < RINGS; i++) {
        cell_reference reference = (cell_reference)S->rings[i]->words[0].value;
        if (!cell_is_cell(reference)) continue;
        cell_reference body = (cell_reference)descriptor_at(&S->pool, reference)->payload[DESCRIPTOR_BODY];
        uint64_t shares = cell_at(&S->pool, body)->sequence.value;
        EXPECT(shares >= 1 && shares <= RINGS);
        if (places[cell_index(body)]++ > 0) EXPECT(shares == 2);
        if (shares == 2) places[cell_index(body)] = 1;
    }
    while (slab_take(&S->pool.classes[0], indices, 64, &taken) == WEIR_OK)
        for (uint32_t i = 0; i < taken; i++)
            EXPECT(++places[indices[i]] == 1);
    for (uint32_t i = 0; i < S->pool.classes[0].maximum; i++)
        EXPECT(places[i] == 1);
}

/* ---- A stale hint meets a cell that another ring uses by now ------------------------------------------------------- */

#define OTHER_FIRST 1000u

static void publish_to(uint32_t ring, uint64_t from) {
    struct cell_stock *stock = own_stock();
    uint64_t sequence = from;
    uint64_t replaced;
    int status;
    const struct stocked_cell *mine = cell_stock_next(stock, 0, &status);
    cell_fill(mine->cell, facts_pack(0, 1, 0), NULL, 0);
    EXPECT(slots_claim(S->rings[ring], mine->reference, mine->cell, NULL, 0, &sequence, &replaced) == WEIR_OK);
    cell_stock_spend(stock, 0);
    if (cell_is_cell((cell_reference)replaced)) cell_stock_keep(stock, (cell_reference)replaced);
}
static void two_rings_lapped(void) {
    begin(1, 0);
    S->pool.classes[0].maximum++;
    stock_one(&S->stocks[2], 0);
    slots_init(S->rings[1], 0, OTHER_FIRST);
    publish_to(0, 0);
    publish_to(0, 0);
}
static void publish_to_both(void) {
    publish_to(0, 0);
    publish_to(1, OTHER_FIRST);
}
static void catch_up(void) {
    EXPECT(slots_catch_up(S->rings[0], &S->pool, 0) <= 3);
}

static const struct scenario scenarios[] = {
    {"cells_two_stocks_refill", pool_of_4, {use_one_and_leave, use_one_and_leave}, check_cells},
    {"cells_stock_closes_and_refills", pool_of_4, {use_and_close, use_and_close}, check_cells},
    {"cells_spill_against_refill", stocked, {spill, use_and_close}, check_cells},
    {"cells_three_stocks", pool_of_4, {use_and_close, use_one_and_leave, use_and_close}, check_cells},
    {"cells_body_in_two_rings", bodies, {broadcast, read_bodies}, check_bodies},
    {"cells_body_is_used_again", with_a_body, {broadcast, read_bodies}, check_bodies},
    {"cells_body_two_publishers", bodies, {broadcast, broadcast, read_second}, check_bodies},
    {"cells_body_two_evicters", with_a_body, {evict_first, broadcast}, check_bodies},
    {"cells_body_shares_between_three", with_a_body, {evict_and_use, evict_first, read_second}, check_bodies},
    {"cells_descriptor_is_used_again", with_few_descriptors, {broadcast, read_first}, check_bodies},
    {"cells_descriptor_of_two_publishers", with_few_descriptors, {broadcast, broadcast, read_bodies}, check_bodies},
    {"cells_body_last_share_fills", with_a_body_and_no_cells, {evict_and_fill_0, evict_and_fill_1, read_first}, NULL},
    {"cells_body_last_share_fills_1",
     with_a_body_and_no_cells,
     {evict_and_fill_0, evict_and_fill_1, read_second},
     NULL},
    {"cells_hint_and_another_ring", two_rings_lapped, {publish_to_both, catch_up}, NULL},
    {"cells_body_lap", with_a_body, {broadcast_twice, read_second}, check_bodies},
};
SCENARIOS(scenarios)
