/* Shared bodies: one payload in many rings, each slot naming it through a descriptor; when it is given back, and what a
 * reader can meet on the way. */
#include <pthread.h>
#include <stdlib.h>

#include "concurrent/slots.h"
#include "prelude.h"
#include "stress.h"
#include "support/counting_allocator.h"

#define RINGS 3

struct ring {
    struct slots *slots;
    uint64_t next;
};

struct bed {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct cell_pool pool;
    struct cell_stock stock;
    struct ring rings[RINGS];
    uint64_t broadcasts;
};

static struct slots *make_slots(uint32_t log2) {
    size_t size = (slots_size(log2) + 63) / 64 * 64;
    struct slots *slots = (struct slots *)aligned_alloc(64, size);
    REQUIRE(slots != NULL);
    memset(slots, 0, size);
    slots_init(slots, log2, 1);
    return slots;
}

static void open_bed(struct bed *bed, uint32_t log2) {
    memset(bed, 0, sizeof(*bed));
    bed->allocator = counting_allocator_of(&bed->memory);
    assert_int_equal(cell_pool_create(&bed->pool, &bed->allocator, 64u << 20), WEIR_OK);
    cell_stock_open(&bed->stock, &bed->pool);
    for (int i = 0; i < RINGS; i++)
        bed->rings[i] = (struct ring){make_slots(log2), 1};
}

/* Cells of a class that are neither in the pool nor in the stock: takes all free ones, until a fresh one comes, and gives
 * them back. */
static uint32_t in_use(struct bed *bed, uint32_t class_index) {
    struct slab *slab = &bed->pool.classes[class_index];
    uint32_t fresh = slab_fresh(slab);
    uint32_t *taken = calloc(fresh + 1, sizeof(*taken));
    uint32_t count = 0;
    assert_non_null(taken);
    do {
        uint32_t some;
        assert_int_equal(slab_take(slab, &taken[count++], 1, &some), WEIR_OK);
    } while (slab_fresh(slab) == fresh);
    slab_give(slab, taken, count);
    free(taken);
    return fresh + 1 - count - (bed->stock.classes[class_index].tail - bed->stock.classes[class_index].head);
}

static void close_bed(struct bed *bed) {
    for (int i = 0; i < RINGS; i++) {
        struct slots *slots = bed->rings[i].slots;
        for (uint32_t at = 0; slots != NULL && at <= slots->mask; at++) {
            cell_reference reference = (cell_reference)u64_load_relaxed(&slots->words[at]);
            if (cell_is_cell(reference)) cell_pool_give(&bed->pool, reference);
        }
        free(slots);
    }
    cell_stock_close(&bed->stock);
    cell_pool_destroy(&bed->pool);
    assert_int_equal(u64_load_relaxed(&bed->memory.outstanding), 0);
}

/* A filled body of `length` bytes that begin with `first`. */
static struct body make_body(struct bed *bed, const void *data, size_t length, const uint64_t *key) {
    struct body body;
    int status = WEIR_OK;
    size_t room = key != NULL ? cell_keyed_length(length) : length;
    const struct stocked_cell *cell = cell_stock_next(&bed->stock, cell_class_for(room), &status);
    assert_non_null(cell);
    cell_fill(cell->cell, facts_pack(length, 7, 99) | (key != NULL ? FACTS_KEYED : 0), data, length);
    if (key != NULL) cell_fill_key(cell->cell, length, *key);
    body_open(&body, &bed->stock, cell);
    return body;
}

static void claim(struct bed *bed, struct ring *ring, const struct stocked_cell *mine) {
    uint64_t replaced;
    assert_int_equal(slots_claim(ring->slots, mine->reference, mine->cell, NULL, 0, &ring->next, &replaced), WEIR_OK);
    cell_stock_spend(&bed->stock, cell_class(mine->reference));
    if (cell_is_cell((cell_reference)replaced)) cell_stock_keep(&bed->stock, (cell_reference)replaced);
    ring->next++;
}

static void describe_into(struct bed *bed, const struct body *body, struct ring *ring) {
    int status = WEIR_OK;
    const struct stocked_cell *mine = body_describe(body, &bed->stock, bed->broadcasts, &status);
    assert_non_null(mine);
    assert_int_equal(cell_payload_class(mine->reference), cell_class(body->reference));
    assert_true(cell_is_cell(mine->reference));
    assert_false(cell_has_payload(mine->reference));
    claim(bed, ring, mine);
}

/* Publishes one body into every ring. */
static void broadcast(struct bed *bed, const void *data, size_t length, const uint64_t *key) {
    struct body body = make_body(bed, data, length, key);
    bed->broadcasts++;
    for (int i = 0; i < RINGS; i++)
        describe_into(bed, &body, &bed->rings[i]);
    body_close(&body, &bed->stock, RINGS);
}

static void publish_plain(struct bed *bed, struct ring *ring, uint64_t payload) {
    int status = WEIR_OK;
    const struct stocked_cell *mine = cell_stock_next(&bed->stock, 0, &status);
    assert_non_null(mine);
    cell_fill(mine->cell, facts_pack(sizeof(payload), 0, 0), &payload, sizeof(payload));
    claim(bed, ring, mine);
}

static void a_body_is_stored_once_and_read_from_every_ring(void **state) {
    (void)state;
    const size_t lengths[] = {0, 1, 8, 100, 112, 113, 1000, 5000, WEIR_EVENT_BYTES_MAX};
    unsigned char *data = malloc(WEIR_EVENT_BYTES_MAX);
    unsigned char *buffer = malloc(WEIR_EVENT_BYTES_MAX);
    assert_true(data != NULL && buffer != NULL);
    for (size_t i = 0; i < WEIR_EVENT_BYTES_MAX; i++)
        data[i] = (unsigned char)(i * 31 + 5);
    for (size_t l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
        struct bed bed;
        open_bed(&bed, 2);
        broadcast(&bed, data, lengths[l], NULL);
        assert_int_equal(in_use(&bed, cell_class_for(lengths[l])), 1);
        assert_int_equal(in_use(&bed, CELL_DESCRIPTOR), RINGS);
        for (int i = 0; i < RINGS; i++) {
            uint64_t facts;
            memset(buffer, 0, lengths[l] + 1 <= WEIR_EVENT_BYTES_MAX ? lengths[l] + 1 : lengths[l]);
            assert_int_equal(slots_read(bed.rings[i].slots, &bed.pool, 1, buffer, lengths[l], &facts), SLOT_EVENT);
            assert_int_equal(facts_length(facts), lengths[l]);
            assert_int_equal(facts_kind(facts), 7);
            assert_int_equal(facts_time_ms(facts), 99);
            assert_memory_equal(buffer, data, lengths[l]);
        }
        close_bed(&bed);
    }
    free(data);
    free(buffer);
}

static void a_rare_event_tells_its_key_and_its_broadcast(void **state) {
    (void)state;
    struct bed bed;
    uint64_t key = 0xFEEDFACEull;
    open_bed(&bed, 2);
    for (size_t length = 0; length < 300; length += 13) {
        char data[300];
        uint64_t facts;
        uint64_t got_key = 1;
        uint64_t number = 0;
        uint32_t keyed = 2;
        memset(data, 'x', sizeof(data));
        uint64_t at = bed.rings[0].next;
        broadcast(&bed, data, length, &key);
        assert_int_equal(slots_read(bed.rings[1].slots, &bed.pool, at, data, sizeof(data), &facts), SLOT_EVENT);
        assert_true(facts_are_rare(facts));
        assert_int_equal(slots_read_rare(bed.rings[1].slots, &bed.pool, at, &keyed, &got_key, &number), SLOT_EVENT);
        assert_int_equal(keyed, 1);
        assert_int_equal(got_key, key);
        assert_int_equal(number, bed.broadcasts);
        broadcast(&bed, data, length, NULL);
        assert_int_equal(slots_read(bed.rings[2].slots, &bed.pool, at + 1, data, sizeof(data), &facts), SLOT_EVENT);
        assert_true(facts_are_rare(facts));
        assert_int_equal(slots_read_rare(bed.rings[2].slots, &bed.pool, at + 1, &keyed, &got_key, &number),
                         SLOT_EVENT);
        assert_int_equal(keyed, 0);
        assert_int_equal(number, bed.broadcasts);
        key = key * 5 + 1;
    }
    close_bed(&bed);
}

static void a_key_in_a_cell_of_its_own_is_read_back_and_the_event_has_no_broadcast(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 2);
    for (size_t length = 0; length <= 120; length++) {
        char data[128];
        uint64_t facts;
        uint64_t key = length * 0x9E3779B97F4A7C15ull;
        uint64_t got_key = 0;
        uint64_t number = 1;
        uint32_t keyed = 0;
        int status = WEIR_OK;
        memset(data, 'a' + (int)(length % 26), sizeof(data));
        const struct stocked_cell *mine =
            cell_stock_next(&bed.stock, cell_class_for(cell_keyed_length(length)), &status);
        cell_fill(mine->cell, facts_pack(length, 0, 0) | FACTS_KEYED, data, length);
        cell_fill_key(mine->cell, length, key);
        uint64_t at = bed.rings[0].next;
        claim(&bed, &bed.rings[0], mine);
        char buffer[128];
        assert_int_equal(slots_read(bed.rings[0].slots, &bed.pool, at, buffer, sizeof(buffer), &facts), SLOT_EVENT);
        assert_memory_equal(buffer, data, length);
        assert_true(facts_are_rare(facts));
        assert_int_equal(slots_read_rare(bed.rings[0].slots, &bed.pool, at, &keyed, &got_key, &number), SLOT_EVENT);
        assert_int_equal(keyed, 1);
        assert_int_equal(got_key, key);
        assert_int_equal(number, 0);
    }
    assert_int_equal(
        slots_read_rare(bed.rings[0].slots, &bed.pool, 1, &(uint32_t){0}, &(uint64_t){0}, &(uint64_t){0}),
        SLOT_PASSED);
    close_bed(&bed);
}

static void the_body_goes_back_with_the_last_ring_that_lets_go_of_it(void **state) {
    (void)state;
    struct bed bed;
    char data[5000] = "body";
    uint32_t class_index = cell_class_for(sizeof(data));
    open_bed(&bed, 0); /* rings of one: the next event evicts */
    broadcast(&bed, data, sizeof(data), NULL);
    for (int i = 0; i < RINGS; i++) {
        assert_int_equal(in_use(&bed, class_index), 1);
        assert_int_equal(in_use(&bed, CELL_DESCRIPTOR), RINGS - i);
        publish_plain(&bed, &bed.rings[i], 1);
    }
    assert_int_equal(in_use(&bed, class_index), 0);
    assert_int_equal(in_use(&bed, CELL_DESCRIPTOR), 0);
    close_bed(&bed);
}

/* The rings have all let go before the producer adds up: the body is the producer's to give back. */
static void a_body_that_every_ring_has_evicted_stays_until_its_producer_is_done(void **state) {
    (void)state;
    struct bed bed;
    char data[5000] = "body";
    open_bed(&bed, 0);
    struct body body = make_body(&bed, data, sizeof(data), NULL);
    for (int i = 0; i < RINGS; i++) {
        describe_into(&bed, &body, &bed.rings[i]);
        publish_plain(&bed, &bed.rings[i], 1);
    }
    assert_int_equal(in_use(&bed, cell_class(body.reference)), 1);
    body_close(&body, &bed.stock, RINGS);
    assert_int_equal(in_use(&bed, cell_class(body.reference)), 0);
    close_bed(&bed);
}

static void a_body_that_got_into_no_ring_goes_back_at_once(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 0);
    struct body body = make_body(&bed, "x", 1, NULL);
    int status = WEIR_OK;
    assert_non_null(body_describe(&body, &bed.stock, 1, &status)); /* refused by its session: it stays in the stock */
    body_close(&body, &bed.stock, 0);
    assert_int_equal(in_use(&bed, 0), 0);
    assert_int_equal(in_use(&bed, CELL_DESCRIPTOR), 0);
    close_bed(&bed);
}

static void an_evicted_descriptor_gives_its_share_back(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 2);
    broadcast(&bed, "shared", 6, NULL);
    for (int i = 0; i < RINGS; i++) {
        cell_reference evicted;
        char buffer[8];
        uint64_t facts;
        assert_true(slots_evict(bed.rings[i].slots, 1, &evicted));
        if (i == 1)
            cell_pool_give(&bed.pool, evicted);
        else
            cell_stock_keep(&bed.stock, evicted);
        assert_int_equal(slots_read(bed.rings[i].slots, &bed.pool, 1, buffer, 8, &facts), SLOT_PASSED);
        assert_int_equal(in_use(&bed, 0), i < RINGS - 1 ? 1 : 0);
    }
    close_bed(&bed);
}

static void the_end_of_a_session_keeps_a_shared_event_readable(void **state) {
    (void)state;
    struct bed bed;
    char buffer[8];
    uint64_t facts;
    open_bed(&bed, 0);
    broadcast(&bed, "shared", 6, NULL);
    assert_true(slots_end(bed.rings[0].slots, WEIR_ENDED_TERMINATED, 1));
    assert_int_equal(slots_read(bed.rings[0].slots, &bed.pool, 1, buffer, 8, &facts), SLOT_EVENT);
    assert_memory_equal(buffer, "shared", 6);
    assert_int_equal(slots_read(bed.rings[0].slots, &bed.pool, 2, buffer, 8, &facts), SLOT_THE_END);
    close_bed(&bed);
}

static void a_buffer_too_small_for_a_shared_event_gets_nothing_but_the_length(void **state) {
    (void)state;
    struct bed bed;
    char buffer[6] = "------";
    uint64_t facts;
    open_bed(&bed, 1);
    broadcast(&bed, "shared", 6, NULL);
    assert_int_equal(slots_read(bed.rings[0].slots, &bed.pool, 1, buffer, 5, &facts), SLOT_EVENT);
    assert_int_equal(facts_length(facts), 6);
    assert_memory_equal(buffer, "------", 6);
    close_bed(&bed);
}

/* A hint that is laps behind finds its way through descriptors as it does through cells. */
static void a_stale_hint_is_made_good_behind_a_shared_event(void **state) {
    (void)state;
    struct bed bed;
    open_bed(&bed, 1);
    for (int i = 0; i < 9; i++)
        broadcast(&bed, "shared", 6, NULL);
    uint64_t better = slots_catch_up(bed.rings[0].slots, &bed.pool, 1);
    assert_true(better > 1 && better <= 10);
    assert_int_equal(slots_next(bed.rings[0].slots, better), 10);
    close_bed(&bed);
}

/* ---- Threads -------------------------------------------------------------------------------------------------- */

#define STRESS_WORDS 40u /* of a body: 320 bytes, two classes with the plain events */

struct stress_side {
    pthread_t thread;
    struct bed *bed;
    uint64_t seed;
    uint64_t events;
    uint64_t read;
    atomic_u32 *done;
};

static void stress_claim(struct cell_stock *stock, struct slots *slots, const struct stocked_cell *mine,
                         uint64_t *from) {
    uint64_t replaced;
    *from = slots_next(slots, *from);
    REQUIRE(slots_claim(slots, mine->reference, mine->cell, NULL, 0, from, &replaced) == WEIR_OK);
    cell_stock_spend(stock, cell_class(mine->reference));
    if (cell_is_cell((cell_reference)replaced)) cell_stock_keep(stock, (cell_reference)replaced);
}

/* Broadcasts bodies whose words are all the same number, and plain events now and then. */
static void *run_broadcaster(void *context) {
    struct stress_side *side = (struct stress_side *)context;
    struct bed *bed = side->bed;
    struct cell_stock stock;
    uint64_t from[RINGS] = {1, 1, 1};
    int status = WEIR_OK;
    memset(&stock, 0, sizeof(stock));
    cell_stock_open(&stock, &bed->pool);
    for (uint64_t i = 0; i < side->events; i++) {
        uint64_t words[STRESS_WORDS];
        size_t length = (i % 3 == 0 ? STRESS_WORDS : 3) * sizeof(words[0]);
        for (uint32_t w = 0; w < STRESS_WORDS; w++)
            words[w] = side->seed + i;
        const struct stocked_cell *filled = cell_stock_next(&stock, cell_class_for(length), &status);
        REQUIRE(filled != NULL);
        cell_fill(filled->cell, facts_pack(length, 0, 0), words, length);
        if (i % 5 == 0) {
            stress_claim(&stock, bed->rings[i % RINGS].slots, filled, &from[i % RINGS]);
            continue;
        }
        struct body body;
        body_open(&body, &stock, filled);
        for (int r = 0; r < RINGS; r++) {
            const struct stocked_cell *mine = body_describe(&body, &stock, side->seed + i, &status);
            REQUIRE(mine != NULL);
            stress_claim(&stock, bed->rings[r].slots, mine, &from[r]);
        }
        body_close(&body, &stock, RINGS);
    }
    cell_stock_close(&stock);
    return NULL;
}

static void *run_reader(void *context) {
    struct stress_side *side = (struct stress_side *)context;
    struct bed *bed = side->bed;
    while (u32_load_acquire(side->done) == 0) {
        for (int r = 0; r < RINGS; r++) {
            struct slots *slots = bed->rings[r].slots;
            uint64_t next = slots_next(slots, 1);
            for (uint64_t at = next > slots->mask ? next - slots->mask - 1 : 1; at < next; at++) {
                uint64_t words[STRESS_WORDS];
                uint64_t facts;
                uint64_t key;
                uint64_t number;
                uint32_t keyed;
                if (slots_read(slots, &bed->pool, at, words, sizeof(words), &facts) != SLOT_EVENT) continue;
                uint32_t length = facts_length(facts);
                REQUIRE(length == 24 || length == sizeof(words));
                for (uint32_t w = 1; w < length / sizeof(words[0]); w++)
                    REQUIRE(words[w] == words[0]);
                side->read++;
                if (!facts_are_rare(facts)) continue;
                if (slots_read_rare(slots, &bed->pool, at, &keyed, &key, &number) == SLOT_EVENT)
                    REQUIRE(!keyed && number == words[0]);
            }
        }
    }
    return NULL;
}

/* Two producers broadcast into the same small rings while two readers copy: no copy is torn, whoever evicts whose
 * descriptors, and in the end every cell is back. */
static void bodies_that_are_shared_and_evicted_at_full_speed_are_never_torn(void **state) {
    (void)state;
    struct bed bed;
    atomic_u32 done;
    struct stress_side sides[4];
    uint64_t read = 0;
    open_bed(&bed, 2);
    u32_store_relaxed(&done, 0);
    for (uint64_t i = 0; i < 4; i++) {
        sides[i] = (struct stress_side){.bed = &bed, .seed = i << 40, .events = scaled(2000), .done = &done};
        assert_int_equal(pthread_create(&sides[i].thread, NULL, i < 2 ? run_broadcaster : run_reader, &sides[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        if (i == 2) u32_store_release(&done, 1);
        pthread_join(sides[i].thread, NULL);
        read += sides[i].read;
    }
    printf("  %llu events read\n", (unsigned long long)read);
    assert_true(read > 0);
    for (int i = 0; i < RINGS; i++)
        for (uint32_t at = 0; at <= bed.rings[i].slots->mask; at++) {
            cell_reference evicted;
            uint64_t next = slots_next(bed.rings[i].slots, 1);
            if (slots_evict(bed.rings[i].slots, next - 1 - at, &evicted)) cell_stock_keep(&bed.stock, evicted);
        }
    assert_int_equal(in_use(&bed, CELL_DESCRIPTOR), 0);
    assert_int_equal(in_use(&bed, cell_class_for(24)), 0);
    assert_int_equal(in_use(&bed, cell_class_for(STRESS_WORDS * 8)), 0);
    close_bed(&bed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_is_stored_once_and_read_from_every_ring),
        cmocka_unit_test(a_rare_event_tells_its_key_and_its_broadcast),
        cmocka_unit_test(a_key_in_a_cell_of_its_own_is_read_back_and_the_event_has_no_broadcast),
        cmocka_unit_test(the_body_goes_back_with_the_last_ring_that_lets_go_of_it),
        cmocka_unit_test(a_body_that_every_ring_has_evicted_stays_until_its_producer_is_done),
        cmocka_unit_test(a_body_that_got_into_no_ring_goes_back_at_once),
        cmocka_unit_test(an_evicted_descriptor_gives_its_share_back),
        cmocka_unit_test(the_end_of_a_session_keeps_a_shared_event_readable),
        cmocka_unit_test(a_buffer_too_small_for_a_shared_event_gets_nothing_but_the_length),
        cmocka_unit_test(a_stale_hint_is_made_good_behind_a_shared_event),
        cmocka_unit_test(bodies_that_are_shared_and_evicted_at_full_speed_are_never_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
