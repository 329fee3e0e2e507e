/* Places: a value is at one place, taken out once, and a walk meets what stood there throughout. */
#include "base/atomic.h"

#include "concurrent/places.h"
#include "explore.h"

static struct {
    struct places places;
    uint32_t place[THREADS_MAX + 1];
    uint32_t cleared[THREADS_MAX];
    uint32_t met[THREADS_MAX];
    atomic_u64 said;
    uint64_t owner[16]; /* of each place, written plainly by whoever has it */
} * S;

static uint32_t self(void) {
    return explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
}
static void claim_value(uint64_t value) {
    EXPECT(places_claim(&S->places, value, &S->place[self()]) == WEIR_OK);
    S->owner[S->place[self()]] = value;
}
static bool clear_value(uint64_t value) {
    S->owner[S->place[self()]] = 0;
    return places_clear(&S->places, S->place[self()], value);
}
static void empty(void) {
    S = explore_new(sizeof(*S));
    places_init(&S->places, &explore_allocator, 16);
}
static void one_inside(void) {
    empty();
    claim_value(90);
}
static void two_free(void) {
    empty();
    claim_value(90);
    S->place[0] = S->place[THREADS_MAX];
    claim_value(91);
    EXPECT(clear_value(91));
    S->place[THREADS_MAX] = S->place[0];
    EXPECT(clear_value(90));
}
static void first_segment_full(void) {
    empty();
    for (uint32_t i = 0; i < 8; i++)
        claim_value(80 + i);
}
static void at_the_maximum(void) {
    empty();
    S->places.maximum = 1;
}

static void claim(void) {
    claim_value(self() + 1);
}
static void claim_clear(void) {
    claim();
    EXPECT(clear_value(self() + 1));
}
static void claim_clear_claim(void) {
    claim_clear();
    claim();
}
static void claim_two_clear(void) {
    claim_value(10);
    uint32_t first = S->place[self()];
    claim_value(11);
    EXPECT(clear_value(11));
    S->place[self()] = first;
    EXPECT(clear_value(10));
}
static void claim_if_room(void) {
    S->cleared[self()] = places_claim(&S->places, self() + 1, &S->place[self()]) == WEIR_OK;
}
static void clear_90(void) {
    S->cleared[self()] = places_clear(&S->places, S->place[THREADS_MAX], 90);
}
static uint32_t walk(uint64_t value) {
    uint32_t met = 0;
    uint32_t end = places_end(&S->places);
    for (uint32_t at = 0; at < end;) {
        uint32_t count;
        const atomic_u64 *run = places_run(&S->places, at, end, &count);
        for (uint32_t i = 0; i < count; i++)
            met += places_value(&run[i]) == value;
        at += count;
    }
    return met;
}
static void walk_90(void) {
    EXPECT(walk(90) == 1);
}
static void walk_once(void) {
    EXPECT(walk(1) <= 1);
    EXPECT(walk(2) <= 1);
}
/* One says something and then walks; the other stands there and then looks for it: one of them acts (L1, L2). */
static void claim_then_look(void) {
    claim_value(1);
    S->met[self()] = (uint32_t)u64_load_seq_cst(&S->said);
}
static void say_then_walk(void) {
    u64_store_seq_cst(&S->said, 1);
    S->met[self()] = walk(1);
}
static void check_one_acts(void) {
    EXPECT(S->met[0] + S->met[1] >= 1);
}

/* Each thread's value stands where it was told. */
static void check_values(uint32_t values) {
    uint32_t there = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t met = walk(i + 1);
        EXPECT(met <= 1);
        there += met;
    }
    EXPECT(there == values);
    /* Free places are all there still: as many as ever were can be claimed again, without new ones. */
    uint32_t fresh = S->places.fresh.value;
    for (uint32_t i = there; i < fresh; i++)
        EXPECT(places_claim(&S->places, 1000 + i, &S->place[THREADS_MAX]) == WEIR_OK);
    EXPECT(S->places.fresh.value == fresh);
    for (uint32_t i = there; i < fresh; i++)
        EXPECT(walk(1000 + i) == 1);
}
static void check_0(void) {
    check_values(0);
}
static void check_1(void) {
    check_values(1);
}
static void check_2(void) {
    check_values(2);
}
static void check_10(void) {
    check_values(10);
    EXPECT(explore_blocks() == 2);
}
static void check_first(void) {
    EXPECT(explore_blocks() == 1);
    check_values(2);
}
static void check_cleared_once(void) {
    EXPECT(S->cleared[0] + S->cleared[1] == 1);
    check_values(0);
}
static void check_one_room(void) {
    EXPECT(S->cleared[0] + S->cleared[1] == 1);
    check_values(1);
}

static const struct scenario scenarios[] = {
    {"places_claim_claim", empty, {claim, claim}, check_first},
    {"places_claim_claim_second_segment", first_segment_full, {claim, claim}, check_10},
    {"places_at_the_maximum", at_the_maximum, {claim_if_room, claim_if_room}, check_one_room},
    {"places_pop_against_pop_push", two_free, {claim, claim_two_clear}, check_1},
    {"places_pop_against_pop_push_pop", two_free, {claim, claim_clear_claim}, check_2},
    {"places_push_push", empty, {claim_clear, claim_clear}, check_0},
    {"places_use_is_handed_on", one_inside, {clear_90, claim_clear}, check_0},
    {"places_clear_against_clear", one_inside, {clear_90, clear_90}, check_cleared_once},
    {"places_walk_meets_what_stays", one_inside, {claim_clear, walk_90}, check_1},
    {"places_walk_against_claims", two_free, {claim, claim, walk_once}, check_2},
    {"places_walk_grows", first_segment_full, {claim, walk_once}, NULL},
    {"places_claim_against_walk", empty, {claim_then_look, say_then_walk}, check_one_acts},
    {"places_claim_against_walk_free", two_free, {claim_then_look, say_then_walk}, check_one_acts},
};
SCENARIOS(scenarios)
