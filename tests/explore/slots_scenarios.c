/* Slots: what a reader accepts is whole and the event that it asked for, numbers are dense, no cell has two holders, and
 * nothing is published past the end. */
#include "base/atomic.h"

#include "ring.h"

static void ring1(void) {
    ring_begin(0, 0, 2);
}
static void ring2_empty(void) {
    ring_begin(1, 0, 3);
}
static void ring1_full(void) {
    ring_begin(0, 1, 1);
}
static void ring2_full(void) {
    ring_begin(1, 2, 1);
}
static void ring4_full(void) {
    ring_begin(2, 4, 1);
}
static void ring2_half(void) {
    ring_begin(1, 1, 2);
}

static void publish_1(void) {
    ring_publish(0);
}
static void publish_2(void) {
    ring_publish(0);
    ring_publish(0);
}
static void publish_3(void) {
    publish_2();
    ring_publish(0);
}
static void read_0(void) {
    ring_read(0);
}
static void read_1(void) {
    ring_read(1);
}
static void read_1_2(void) {
    ring_read(1);
    ring_read(2);
}
static void read_4(void) {
    for (uint64_t sequence = 1; sequence < 5; sequence++)
        ring_read(sequence);
}

/* A consumer in order: what it got and what it was told to have missed is what was published. */
static void consume(void) {
    for (uint64_t sequence = 0; sequence < 4; sequence++) {
        enum slot_state state = ring_read(sequence);
        if (state == SLOT_AHEAD) break;
        R->consumed++;
    }
}
static void check_consumed(void) {
    uint64_t published = ring_check();
    while (R->consumed < published)
        EXPECT(ring_read(R->consumed++) != SLOT_AHEAD);
    EXPECT(ring_read(published) == SLOT_AHEAD);
}

static void check_total(uint64_t total) {
    EXPECT(ring_check() == total);
}
static void check_1(void) {
    check_total(1);
}
static void check_2(void) {
    check_total(2);
}
static void check_3(void) {
    check_total(3);
}
static void check_4(void) {
    check_total(4);
}
static void check_5(void) {
    check_total(5);
}
static void check_6(void) {
    check_total(6);
}

/* Who has published sees all events before its own: none is "not published yet" (R4). */
static void publish_and_look_back(void) {
    uint64_t mine = ring_publish(0);
    for (uint64_t sequence = 0; sequence < mine; sequence++)
        EXPECT(ring_read(sequence) != SLOT_AHEAD);
}

/* The same for one that starts at the hint that another left (H1, H2). */
static void publish_and_hint(void) {
    uint64_t mine = ring_publish(0);
    u64_store_release(&R->hint, mine + 1); /* as publish.c does */
}
static void look_back_from_hint(void) {
    uint64_t hint = u64_load_acquire(&R->hint);
    for (uint64_t sequence = 0; sequence < hint; sequence++)
        EXPECT(ring_read(sequence) != SLOT_AHEAD);
    EXPECT(slots_catch_up(R->slots, &R->pool, 0) <= slots_next(R->slots, 0));
}

/* A stale hint that has been lapped: where it leads is never past the first free sequence. */
static void catch_up(void) {
    uint64_t at = slots_catch_up(R->slots, &R->pool, 0);
    uint64_t next = slots_next(R->slots, at);
    EXPECT(at <= next);
    EXPECT(next >= 1 && next <= 4);
    EXPECT(slots_catch_up(R->slots, &R->pool, at) <= 4);
}

/* ---- The end ------------------------------------------------------------------------------------------------------- */

static void end_1(void) {
    R->ended[explore_thread] = slots_end(R->slots, 1, 0);
}
static void end_2(void) {
    R->ended[explore_thread] = slots_end(R->slots, 2, 0);
}
static void publish_or_closed(void) {
    R->refused[explore_thread] = ring_try_publish(0, NULL, 0) == UINT64_MAX;
}
/* Everything accepted precedes the end, and what the end's slot held stays readable. */
static void check_end(void) {
    ring_check_cells();
    uint64_t end = slots_next(R->slots, 0);
    uint64_t word = slots_load(R->slots, end);
    EXPECT(slot_state_of(R->slots, word, end) == SLOT_THE_END);
    EXPECT(R->published == end);
    if (end > 0) EXPECT(ring_read(end - 1) == SLOT_EVENT);
    EXPECT((R->ended[0] + R->ended[1] + R->ended[2]) == 1);
}
static void read_until_end(void) {
    uint64_t sequence = 0;
    enum slot_state state = ring_read(sequence);
    while (state == SLOT_EVENT || state == SLOT_PASSED)
        state = ring_read(++sequence);
    R->consumed = state == SLOT_THE_END ? sequence : UINT64_MAX;
}
static void check_read_end(void) {
    check_end();
    if (R->consumed != UINT64_MAX) EXPECT(R->consumed == slots_next(R->slots, 0));
}

/* The end, and an idle mark, stand in the slot of the oldest event, which stays what it is all the while. */
static void expect_0(void) {
    EXPECT(ring_read(0) == SLOT_EVENT);
}
static void expect_key_0(void) {
    uint32_t keyed;
    uint64_t key, broadcast;
    EXPECT(slots_read_rare(R->slots, &R->pool, 0, &keyed, &key, &broadcast) == SLOT_EVENT);
}

/* ---- The idle end -------------------------------------------------------------------------------------------------- */

static void mark_and_end(void) {
    uint64_t next = slots_next(R->slots, 0);
    if (slots_mark_idle(R->slots, next)) R->ended[explore_thread] = slots_end_idle(R->slots, 3, next);
    R->consumed = next;
}
static void unmark(void) {
    slots_unmark(R->slots, slots_next(R->slots, 0));
}
/* An idle end that succeeded had nothing published to it; one that failed left an open session. */
static void check_idle(void) {
    ring_check_cells();
    uint64_t next = slots_next(R->slots, 0);
    uint64_t word = slots_load(R->slots, next);
    bool is_end = slot_state_of(R->slots, word, next) == SLOT_THE_END;
    uint32_t ended = R->ended[0] + R->ended[1] + R->ended[2];
    EXPECT(is_end == (ended == 1) && ended <= 1);
    EXPECT(R->published == next);
    if (!is_end) EXPECT(ring_try_publish(0, NULL, 0) == next);
}
/* One leaves a sign of life and then looks for the mark; the other marks, and looks for signs before it ends. */
static void touch_then_look(void) {
    u64_store_seq_cst(&R->hint, 1);
    uint64_t next = slots_next(R->slots, 0);
    uint64_t word = slots_load(R->slots, next);
    R->refused[explore_thread] = slot_mark(word) != 0;
    slots_unmark(R->slots, next);
}
static void mark_look_end(void) {
    uint64_t next = slots_next(R->slots, 0);
    if (!slots_mark_idle(R->slots, next)) return;
    if (u64_load_seq_cst(&R->hint) == 0) R->ended[explore_thread] = slots_end_idle(R->slots, 3, next);
}
/* One of them at least sees the other (TTL-18). */
static void check_touched(void) {
    if (R->ended[0]) EXPECT(R->refused[1]);
    check_idle();
}

/* ---- Evicting ------------------------------------------------------------------------------------------------------ */

static void evict_0(void) {
    cell_reference evicted;
    if (slots_evict(R->slots, 0, &evicted)) ring_keep(evicted);
}
static void evict_0_and_publish(void) {
    evict_0();
    ring_publish(0);
}
static void check_evicted(void) {
    ring_check_cells();
    EXPECT(ring_read(0) == SLOT_PASSED);
}

/* ---- REFUSE: the producer is held to the consumer's position ------------------------------------------------------- */

static void refuse_depth_1(void) {
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t sequence = ring_try_publish(0, &R->position, 1);
        if (sequence != UINT64_MAX && sequence > 0) R->guards[sequence - 1] = 1;
    }
}
static void refuse_depth_2(void) {
    for (uint32_t i = 0; i < 3; i++)
        ring_try_publish(0, &R->position, 2);
}
static void consume_bounded(void) {
    for (uint64_t sequence = 0; sequence < 2; sequence++) {
        enum slot_state state = ring_read(sequence);
        EXPECT(state != SLOT_PASSED);
        if (state == SLOT_AHEAD) return;
        EXPECT(R->guards[sequence] == 0); /* plainly: a race, if the place counts as free already (A2, A3) */
        u64_store_release(&R->position, sequence + 1); /* as the consumer's read does */
    }
}
static void check_refuse(void) {
    uint64_t position = R->position.value;
    uint64_t next = slots_next(R->slots, 0);
    EXPECT(next - position <= (1u << R->slots->log2));
    for (uint64_t sequence = position; sequence < next; sequence++)
        EXPECT(ring_read(sequence) == SLOT_EVENT);
}

/* ---- Keys ---------------------------------------------------------------------------------------------------------- */

static void publish_keyed_2(void) {
    ring_publish_keyed();
    ring_publish_keyed();
}
static void publish_plain_keyed(void) {
    ring_publish(0);
    ring_publish_keyed();
}
static void read_key_1(void) {
    ring_read_key(0);
    ring_read_key(1);
}

static const struct scenario scenarios[] = {
    {"slots_ring1_publish_publish_read", ring1, {publish_1, publish_1, read_1}, check_2},
    {"slots_ring1_publish_2_read", ring1_full, {publish_2, read_1_2}, check_3},
    {"slots_ring1_cell_used_again", ring1_full, {publish_3, read_1}, check_4},
    {"slots_ring1_two_producers_lap", ring1_full, {publish_2, publish_2, read_1_2}, check_5},
    {"slots_ring1_two_readers", ring1_full, {publish_2, read_0, read_1_2}, check_3},
    {"slots_ring1_evicted_to_other", ring1_full, {publish_2, publish_1, read_1}, check_4},
    {"slots_ring2_lap", ring2_full, {publish_3, read_4}, check_5},
    {"slots_ring2_two_producers", ring2_full, {publish_2, publish_2, read_4}, check_6},
    {"slots_ring2_half_full", ring2_half, {publish_1, publish_2, read_1_2}, check_4},
    {"slots_ring4_lap", ring4_full, {publish_2, read_4}, check_6},
    {"slots_ring1_consumer_in_order", ring1_full, {publish_2, consume}, check_consumed},
    {"slots_ring2_consumer_in_order", ring2_full, {publish_1, publish_1, consume}, check_consumed},
    {"slots_predecessors_are_seen", ring1, {publish_1, publish_and_look_back}, check_2},
    {"slots_predecessors_ring2", ring2_half, {publish_1, publish_and_look_back, publish_1}, check_4},
    {"slots_hint_is_reached", ring2_half, {publish_and_hint, look_back_from_hint}, check_2},
    {"slots_hint_is_handed_on", ring2_half, {publish_1, publish_and_hint, look_back_from_hint}, check_3},
    {"slots_catch_up_lapped", ring1_full, {publish_3, catch_up}, check_4},
    {"slots_catch_up_ring2", ring2_full, {publish_2, catch_up}, check_4},
    {"slots_end_against_publish", ring1, {end_1, publish_or_closed}, check_end},
    {"slots_end_against_two_publishes", ring1_full, {end_1, publish_or_closed, publish_or_closed}, check_end},
    {"slots_end_against_end", ring2_half, {end_1, end_2, publish_or_closed}, check_end},
    {"slots_end_is_read", ring2_full, {end_1, publish_or_closed, read_until_end}, check_read_end},
    {"slots_end_hides_no_event", ring2_full, {end_1, expect_0, expect_key_0}, check_end},
    {"slots_idle_mark_hides_no_event", ring2_full, {mark_and_end, unmark, expect_0}, check_idle},
    {"slots_idle_end_against_publish", ring2_half, {mark_and_end, publish_or_closed}, check_idle},
    {"slots_idle_end_against_unmark", ring2_half, {mark_and_end, unmark}, check_idle},
    {"slots_idle_end_against_end", ring2_half, {mark_and_end, end_1, publish_or_closed}, check_idle},
    {"slots_idle_mark_against_life", ring2_half, {mark_look_end, touch_then_look}, check_touched},
    {"slots_evict_against_read", ring2_full, {evict_0_and_publish, read_0}, check_3},
    {"slots_evict_against_evict", ring2_full, {evict_0, evict_0}, check_evicted},
    {"slots_evict_against_publish", ring2_full, {evict_0_and_publish, publish_1, read_0}, check_4},
    {"slots_refuse_depth_1", ring1, {refuse_depth_1, consume_bounded}, check_refuse},
    {"slots_refuse_depth_2", ring2_empty, {refuse_depth_2, consume_bounded}, check_refuse},
    {"slots_refuse_two_producers", ring1, {refuse_depth_1, refuse_depth_1, consume_bounded}, check_refuse},
    {"slots_key_against_lap", ring1_full, {publish_keyed_2, read_key_1}, check_3},
    {"slots_key_against_plain", ring1_full, {publish_plain_keyed, read_key_1}, check_3},
    {"slots_first_event", ring1, {publish_1, read_0}, check_1},
};
SCENARIOS(scenarios)
