/* Slabs and the occupancy behind discardable ones: an object has one owner, its memory is there when its index is, and
 * "full" is exact. */
#include "base/atomic.h"

#include "concurrent/slab.h"
#include "explore.h"

static struct {
    struct slab slab;
    struct slab_budget budget;
    uint32_t mine[THREADS_MAX + 1][4];
    uint32_t count[THREADS_MAX + 1];
    uint64_t retired;
} * S;

static uint32_t self(void) {
    return explore_thread == NO_THREAD ? THREADS_MAX : explore_thread;
}

/* The object is written plainly, also behind what its memory was made with: a race tells of another owner. */
static bool take(void) {
    uint32_t index;
    uint32_t taken;
    if (slab_take(&S->slab, &index, 1, &taken) != WEIR_OK) return false;
    EXPECT(taken == 1);
    uint64_t *object = (uint64_t *)slab_at(&S->slab, index);
    object[1] = self() + 1;
    S->mine[self()][S->count[self()]++] = index;
    return true;
}
static void give(void) {
    uint32_t index = S->mine[self()][--S->count[self()]];
    uint64_t *object = (uint64_t *)slab_at(&S->slab, index);
    EXPECT(object[1] == self() + 1);
    object[1] = 0;
    slab_give(&S->slab, &index, 1);
}

static void empty(void) {
    S = explore_new(sizeof(*S));
    S->budget.limit = 4 * 1024;
    EXPECT(slab_create(&S->slab, &explore_allocator, &S->budget, 64, 4, 7) == WEIR_OK);
}
/* Two objects in the free stack. */
static void two_free(void) {
    empty();
    take();
    take();
    give();
    give();
}
static void three_free(void) {
    empty();
    for (uint32_t i = 0; i < 3; i++)
        take();
    for (uint32_t i = 0; i < 3; i++)
        give();
}
static void tight_budget(void) {
    empty();
    S->budget.limit = sizeof(atomic_u32) * 2 + 128; /* one chunk of two objects */
}

static void take_1(void) {
    take();
}
static void take_2(void) {
    take();
    take();
}
static void take_give(void) {
    if (take()) give();
}
static void take_2_give_2(void) {
    uint32_t got = take();
    got += take();
    while (got-- > 0)
        give();
}
static void take_give_take(void) {
    take_give();
    take();
}
static void take_both_at_once(void) {
    uint32_t taken;
    if (slab_take(&S->slab, S->mine[self()], 2, &taken) != WEIR_OK) return;
    S->count[self()] = taken;
    for (uint32_t i = 0; i < taken; i++)
        ((uint64_t *)slab_at(&S->slab, S->mine[self()][i]))[1] = self() + 1;
}
static void give_both_at_once(void) {
    take_both_at_once();
    for (uint32_t i = 0; i < S->count[self()]; i++)
        ((uint64_t *)slab_at(&S->slab, S->mine[self()][i]))[1] = 0;
    slab_give(&S->slab, S->mine[self()], S->count[self()]);
    S->count[self()] = 0;
}

/* Whatever is not out can be taken, once each, and no more than the maximum. */
static void check_objects(void) {
    uint32_t owners[512] = {0};
    uint32_t out = 0;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        for (uint32_t n = 0; n < S->count[i]; n++) {
            EXPECT(owners[S->mine[i][n]]++ == 0);
            out++;
        }
    uint32_t index;
    uint32_t taken;
    while (slab_take(&S->slab, &index, 1, &taken) == WEIR_OK) {
        EXPECT(owners[index]++ == 0);
        out++;
    }
    EXPECT(out == S->slab.maximum);
}
static void check_chunks(void) {
    /* All chunks, and the table: what lost the race went back, and so did its bytes. */
    EXPECT(explore_blocks() <= 3);
    EXPECT(S->budget.used.value == (explore_blocks() - 1) * (128 + sizeof(atomic_u32) * 2));
    check_objects();
}
/* Both may be refused at the edge, but never is more taken than the limit allows. */
static void check_budget(void) {
    EXPECT(S->budget.used.value <= S->budget.limit);
    EXPECT(S->count[0] + S->count[1] <= 2);
}

/* ---- Discardable --------------------------------------------------------------------------------------------------- */

static void discardable(void) {
    S = explore_new(sizeof(*S));
    EXPECT(slab_create_discardable(&S->slab, &explore_allocator, 64, 64, 12) == WEIR_OK);
}
static void discardable_one_out(void) {
    discardable();
    take();
    S->mine[0][0] = S->mine[THREADS_MAX][0];
    S->count[0] = 1;
    S->count[THREADS_MAX] = 0;
    ((uint64_t *)slab_at(&S->slab, S->mine[0][0]))[1] = 1;
}
static void discardable_used(void) {
    discardable();
    take();
    give();
}
/* One place left of 64; 64 more are there to spare. */
static void discardable_one_left(void) {
    discardable();
    uint32_t index;
    uint32_t taken;
    for (uint32_t i = 0; i < 63; i++)
        EXPECT(slab_take(&S->slab, &index, 1, &taken) == WEIR_OK);
}
static void full_but_own(void) {
    discardable_one_left();
    take();
    S->mine[0][0] = S->mine[THREADS_MAX][0];
    S->count[0] = 1;
    S->count[THREADS_MAX] = 0;
    ((uint64_t *)slab_at(&S->slab, S->mine[0][0]))[1] = 1;
}
static void retire(void) {
    uint32_t budget = 4;
    uint32_t first;
    while (slab_retire(&S->slab, &budget, &first)) {
        for (uint32_t i = 0; i < SLAB_RUN; i += 16)
            ((uint64_t *)slab_at(&S->slab, first + i))[1] = 0; /* plainly: nobody else has any of them */
        EXPECT(slab_restore(&S->slab, first));
        S->retired++;
    }
}
static void give_own(void) {
    give();
}
static void give_take(void) {
    give();
    take();
}
static void check_discardable(void) {
    uint32_t out = S->slab.occupancy->out.value;
    uint32_t held = 0;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        held += S->count[i];
    EXPECT(out == held);
    check_objects();
}
/* With the 63 that nobody gives back. */
static void check_full(void) {
    uint32_t index;
    uint32_t taken;
    uint32_t held = 63;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        held += S->count[i];
    EXPECT(S->slab.occupancy->out.value == held && held <= 64);
    while (slab_take(&S->slab, &index, 1, &taken) == WEIR_OK)
        held++;
    EXPECT(held == 64);
}
/* What is empty and was used is found by the next retiring. */
static void check_retired(void) {
    retire();
    for (uint32_t run = 0; run < S->slab.occupancy->runs; run++) {
        uint64_t taken = S->slab.occupancy->levels[0][run].value;
        bool used = S->slab.occupancy->used[0].value >> run & 1;
        EXPECT(used == (taken != 0));
    }
    check_discardable();
}

/* ---- The hints of occupancy: a set bit over a run that is not full would hide it ------------------------------------ */

static void check_hints(void) {
    const struct occupancy *occupancy = S->slab.occupancy;
    for (uint32_t run = 0; run < occupancy->runs; run++) {
        bool said_full = occupancy->levels[1][run / 64].value >> run % 64 & 1;
        if (said_full) EXPECT(occupancy->levels[0][run].value == OCCUPANCY_RUN_FULL);
    }
    check_full();
}
static void take_if_any(void) {
    take();
}

/* The same, with permits to spare: the last place of a run is taken while another of it is given. */
static void one_run_nearly_full(void) {
    S = explore_new(sizeof(*S));
    EXPECT(slab_create_discardable(&S->slab, &explore_allocator, 64, 256, 12) == WEIR_OK);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t index;
        uint32_t taken;
        EXPECT(slab_take(&S->slab, &index, 1, &taken) == WEIR_OK && index == i);
    }
    /* Two of the places are threads 0 and 1's to give. */
    for (uint32_t i = 0; i < 2; i++) {
        S->mine[i][S->count[i]++] = i;
        ((uint64_t *)slab_at(&S->slab, i))[1] = i + 1;
    }
}
static void one_run_one_free(void) {
    uint32_t last = 63;
    one_run_nearly_full();
    slab_give(&S->slab, &last, 1);
}
/* At rest a set hint means a full run, so that whatever is free is found, and lowest first; and every word of hints that
 * is said to be full is. */
static void check_found(void) {
    const struct occupancy *occupancy = S->slab.occupancy;
    for (uint32_t level = 0; level < OCCUPANCY_TOP; level++)
        for (uint32_t at = 0; at < occupancy->words[level]; at++)
            if (occupancy->levels[level + 1][at / 64].value >> at % 64 & 1)
                EXPECT(occupancy->levels[level][at].value == OCCUPANCY_RUN_FULL);
}
/* 64 runs, so that the hint of hints counts too: one place is free in the last but one. */
static void all_runs_nearly_full(void) {
    S = explore_new(sizeof(*S));
    EXPECT(slab_create_discardable(&S->slab, &explore_allocator, 64, 64 * 64 - 64, 12) == WEIR_OK);
    struct occupancy *occupancy = S->slab.occupancy;
    for (uint32_t run = 0; run < occupancy->runs; run++) {
        occupancy->levels[0][run].value = OCCUPANCY_RUN_FULL;
        occupancy->levels[1][0].value |= 1ull << run;
    }
    /* Fewer are counted as taken than stand there: the scenario is about the hints alone. */
    occupancy->levels[0][62].value &= ~1ull;
    occupancy->levels[1][0].value &= ~(1ull << 62);
    occupancy->out.value = 100;
}
static void take_last(void) {
    uint32_t place;
    EXPECT(occupancy_enter(S->slab.occupancy));
    if (!occupancy_take(S->slab.occupancy, 62, &place)) occupancy_leave(S->slab.occupancy);
}
static void give_first(void) {
    occupancy_give(S->slab.occupancy, 130);
    occupancy_leave(S->slab.occupancy);
}
static void find_and_take(void) {
    uint32_t place;
    EXPECT(occupancy_enter(S->slab.occupancy));
    while (!occupancy_take(S->slab.occupancy, occupancy_find(S->slab.occupancy), &place)) {
    }
    EXPECT(place == 130 || place == 62 * 64);
}

/* A walk over all that is below `fresh` finds memory there. */
static void walk_fresh(void) {
    uint32_t end = slab_fresh(&S->slab);
    for (uint32_t i = 0; i < end; i++)
        EXPECT(pointer_load_relaxed(&S->slab.chunks[i >> S->slab.chunk_shift]) != NULL);
}

static const struct scenario scenarios[] = {
    {"slab_take_take_fresh", empty, {take_1, take_1}, check_chunks},
    {"slab_chunk_brought_by_two", empty, {take_2, take_2}, check_chunks},
    {"slab_budget_at_the_edge", tight_budget, {take_2, take_2}, check_budget},
    {"slab_pop_against_pop_push", two_free, {take_2, take_2_give_2}, check_objects},
    {"slab_pop_some_against_push", three_free, {take_both_at_once, take_give_take}, check_objects},
    {"slab_push_some", three_free, {give_both_at_once, give_both_at_once}, check_objects},
    {"slab_three_threads", two_free, {take_give, take_give_take, take_1}, check_objects},
    {"slab_use_is_handed_on", two_free, {take_give, take_give}, check_objects},
    {"slab_discardable_take_give", discardable_one_out, {give_take, take_give}, check_discardable},
    {"slab_discardable_last_place", discardable_one_left, {take_if_any, take_if_any}, check_full},
    {"slab_discardable_full_give_take", full_but_own, {give_own, take_if_any}, check_hints},
    {"slab_discardable_full_give_take_two", full_but_own, {give_take, take_if_any}, check_hints},
    {"slab_discardable_full_three", full_but_own, {give_own, take_give, take_give}, check_hints},
    {"slab_walk_below_fresh", empty, {take_1, walk_fresh}, check_objects},
    {"slab_walk_below_fresh_second_chunk", empty, {take_2, take_1, walk_fresh}, check_objects},
    {"slab_walk_discardable", discardable, {take_1, walk_fresh}, check_discardable},
    {"slab_walk_discardable_two", discardable, {take_1, take_1, walk_fresh}, check_discardable},
    {"slab_hints_take_give", one_run_one_free, {take_1, give_own}, check_found},
    {"slab_hints_give_give", one_run_nearly_full, {give_own, give_own}, check_found},
    {"slab_hints_take_give_give", one_run_one_free, {give_take, give_own, take_1}, check_found},
    {"slab_hints_of_hints", all_runs_nearly_full, {take_last, give_first}, check_found},
    {"slab_hints_are_followed", all_runs_nearly_full, {find_and_take, give_first}, check_found},
    {"slab_retire_against_give", discardable_one_out, {give_own, retire}, check_retired},
    {"slab_retire_against_take", discardable_used, {take_1, retire}, check_retired},
    {"slab_retire_against_take_give", discardable_used, {take_give, retire}, check_retired},
    {"slab_retire_against_two", discardable_one_out, {give_take, retire, take_give}, check_retired},
};
SCENARIOS(scenarios)
