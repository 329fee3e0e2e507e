/* Counts by principal and the quota: one life of a text at a time, nothing of the memory's other lives is ever counted or
 * shown, and both counts keep to their caps (contract CAP). */
#include "base/atomic.h"

#include "explore.h"
#include "stream/principals.h"

enum text { A, B, C, D, TEXTS };

static struct {
    struct principals principals;
    struct principal_key keys[TEXTS];
    weir_quota *quota;
    weir_quota_slot held[TEXTS];
    uint32_t index[THREADS_MAX]; /* where each thread's count stands */
    int status[THREADS_MAX];
    uint64_t before;      /* plain: read by who has seen what was counted after it */
    atomic_u64 handed_on; /* generation and ticket of a slot, without any order of its own */
} * S;

static uint32_t self(void) {
    return explore_thread;
}

/* ---- Principals ---------------------------------------------------------------------------------------------------- */

/* Two words each, all of one hash: lookups meet each other's texts. */
static void make_keys(void) {
    static const char *const texts[] = {"aaaaaaaaAAAAAAAA", "bbbbbbbbBBBBBBBB", "ccccccccCCCCCCCC",
                                        "ddddddddDDDDDDDD"};
    for (uint32_t i = 0; i < TEXTS; i++) {
        EXPECT(principal_key_make(&S->keys[i], &S->principals, texts[i], 16));
        S->keys[i].hash = 7;
    }
}
static uint32_t take(enum text text) {
    uint64_t current;
    uint32_t index = SLAB_NONE;
    EXPECT(principals_take(&S->principals, &S->keys[text], 8, &index, &current) == WEIR_OK);
    return index;
}
static void nobody(void) {
    S = explore_new(sizeof(*S));
    EXPECT(principals_create(&S->principals, &explore_allocator, 4) == WEIR_OK);
    make_keys();
}
static void a_once(void) {
    nobody();
    EXPECT(take(A) == 0);
}
static void a_twice(void) {
    a_once();
    EXPECT(take(A) == 0);
}
/* The memory of a life that is over is the next one's. */
static void a_is_over(void) {
    a_once();
    principals_give(&S->principals, 0);
}

static void take_a(void) {
    S->index[self()] = take(A);
}
static void take_b(void) {
    S->index[self()] = take(B);
}
static void take_the_only_a(void) {
    uint64_t current = 0;
    S->status[self()] = principals_take(&S->principals, &S->keys[A], 1, &S->index[self()], &current);
    if (S->status[self()] != WEIR_OK) EXPECT(S->status[self()] == WEIR_PRINCIPAL_LIMIT && current == 1);
}
static void give_first(void) {
    principals_give(&S->principals, 0);
}
static void give_take_a(void) {
    give_first();
    take_a();
}
static void give_take_b(void) {
    give_first();
    take_b();
}
static void give_twice_take_b(void) {
    give_first();
    give_first();
    take_b();
}
/* One that is born in the memory of the last life, and stopped before the map, while another is born and gets there. */
static void give_and_lose_birth(void) {
    struct principal_sighting born;
    give_first();
    EXPECT(principals_begin(&S->principals, &S->keys[A], &born) == WEIR_OK);
    uint32_t first = born.index;
    take_a();
    if (principals_list(&S->principals, &S->keys[A], &born)) explore_fail("two lives of one text");
    EXPECT(first != S->index[self()]);
}
static void take_give_a(void) {
    take_a();
    principals_give(&S->principals, S->index[self()]);
}
static bool is_text(const struct principal_key *key, enum text text) {
    return key->length == 16 && key->words[0] == S->keys[text].words[0] && key->words[1] == S->keys[text].words[1];
}
/* Of two lives only their own texts and counts are shown: never the next one's text with the last one's count. */
static void read_first(void) {
    struct principal_key key;
    uint64_t count;
    if (!principals_read(&S->principals, 0, &key, &count)) return;
    EXPECT(is_text(&key, A) || is_text(&key, B));
    EXPECT(is_text(&key, B) ? count == 1 : count == 1 || count == 2);
}
static void count_b(void) {
    EXPECT(principals_count(&S->principals, &S->keys[B]) <= 1);
}
static void write_take_a(void) {
    S->before = 1;
    take_a();
}
static void read_what_came_before(void) {
    struct principal_key key;
    uint64_t count;
    if (principals_read(&S->principals, 0, &key, &count) && count == 2) EXPECT(S->before == 1);
}

static uint64_t count_of(enum text text) {
    return principals_count(&S->principals, &S->keys[text]);
}
/* Each index is one life's, and what is counted comes to this. */
static void expect_counts(uint64_t a, uint64_t b) {
    struct principal_key key;
    uint64_t count, total = 0;
    EXPECT(count_of(A) == a && count_of(B) == b);
    for (uint32_t i = 0; i < slab_fresh(&S->principals.slab); i++)
        if (principals_read(&S->principals, i, &key, &count)) total += count;
    EXPECT(total == a + b);
    EXPECT(take(C) != take(D)); /* each memory that is free is so once */
    EXPECT(count_of(A) == a && count_of(B) == b);
}
static void check_none(void) {
    expect_counts(0, 0);
}
static void check_a_1(void) {
    expect_counts(1, 0);
}
static void check_a_2(void) {
    EXPECT(S->index[0] == S->index[1]);
    expect_counts(2, 0);
}
static void check_a_1_b_1(void) {
    EXPECT(S->index[0] != S->index[1]);
    expect_counts(1, 1);
}
static void check_b_1(void) {
    expect_counts(0, 1);
}
static void check_b_2(void) {
    EXPECT(S->index[0] == S->index[1]);
    expect_counts(0, 2);
}
static void check_only_a(void) {
    EXPECT((S->status[0] == WEIR_OK) + (S->status[1] == WEIR_OK) == 1);
    expect_counts(1, 0);
}

/* ---- The quota ----------------------------------------------------------------------------------------------------- */

static int fill(void *context, void *bytes, size_t size) {
    (void)context;
    memset(bytes, 0x5A, size);
    return 0;
}
static int acquire(enum text text, uint64_t global_cap, uint64_t cap, weir_quota_slot *slot) {
    static const char *const texts[] = {"a", "b", "c"};
    return weir_quota_acquire(S->quota, texts[text], 1, global_cap, cap, slot, NULL);
}
static void quota_of_4(void) {
    weir_quota_config config = WEIR_QUOTA_CONFIG_INIT;
    S = explore_new(sizeof(*S));
    config.max_slots = 4;
    config.allocator = explore_allocator;
    config.entropy.fill = fill;
    EXPECT(weir_quota_create(&S->quota, &config) == WEIR_OK);
}
static void a_holds(void) {
    quota_of_4();
    EXPECT(acquire(A, 4, 4, &S->held[A]) == WEIR_OK);
}
static void a_and_c_hold(void) {
    a_holds();
    EXPECT(acquire(C, 4, 4, &S->held[C]) == WEIR_OK);
}

static void acquire_the_last(void) {
    weir_quota_slot slot;
    S->status[self()] = acquire(A, 1, 1, &slot);
}
static void release_copy_of_a(void) {
    weir_quota_slot copy = S->held[A];
    weir_quota_release(S->quota, &copy);
}
static void release_a_then_c(void) {
    release_copy_of_a();
    EXPECT(acquire(B, 4, 4, &S->held[B]) == WEIR_OK);
    weir_quota_release(S->quota, &S->held[C]);
}
static void release_a_acquire_b(void) {
    release_copy_of_a();
    EXPECT(acquire(B, 4, 4, &S->held[B]) == WEIR_OK);
}
/* What is shown as exact was there at once: a and c, c, b and c, b. */
static void show(void *context, const char *principal, size_t length, uint64_t count) {
    EXPECT(length == 1 && count == 1);
    *(uint32_t *)context |= 1u << (principal[0] - 'a');
}
static void snapshot(void) {
    uint32_t shown = 0;
    int exact;
    weir_quota_snapshot(S->quota, show, &shown, &exact);
    if (exact) EXPECT(shown == 5 || shown == 4 || shown == 6 || shown == 2);
}
static void acquire_and_hand_on(void) {
    weir_quota_slot slot;
    EXPECT(acquire(B, 4, 4, &slot) == WEIR_OK);
    u64_store_relaxed(&S->handed_on, slot.generation << 32 | slot.ticket);
}
static void release_what_was_handed_on(void) {
    uint64_t word = u64_load_relaxed(&S->handed_on);
    weir_quota_slot slot = {word >> 32, (uint32_t)word, 0};
    weir_quota_release(S->quota, &slot);
}

static uint64_t quota_count_of(enum text text) {
    static const char *const texts[] = {"a", "b", "c"};
    return weir_quota_count_of(S->quota, texts[text], 1);
}
static void check_acquired_once(void) {
    EXPECT((S->status[0] == WEIR_OK) + (S->status[1] == WEIR_OK) == 1);
    EXPECT(S->status[0] == WEIR_OK || S->status[0] == WEIR_CAPACITY_LIMIT);
    EXPECT(weir_quota_count(S->quota) == 1 && quota_count_of(A) == 1);
}
/* A place that is free is free in all: the principal's own cap refuses nobody then. */
static void check_release_against_acquire(void) {
    EXPECT(S->status[1] == WEIR_OK || S->status[1] == WEIR_CAPACITY_LIMIT);
    EXPECT(weir_quota_count(S->quota) == (S->status[1] == WEIR_OK) &&
           quota_count_of(A) == weir_quota_count(S->quota));
}
static void check_released_once(void) {
    EXPECT(weir_quota_count(S->quota) == 0 && quota_count_of(A) == 0);
}
static void check_b_holds(void) {
    EXPECT(weir_quota_count(S->quota) == 1 && quota_count_of(A) == 0 && quota_count_of(B) == 1);
}
static void check_handed_on(void) {
    EXPECT(quota_count_of(A) == 1 && weir_quota_count(S->quota) == 1 + quota_count_of(B));
}

static const struct scenario scenarios[] = {
    {"principals_take_take", nobody, {take_a, take_a}, check_a_2},
    {"principals_take_take_again", a_is_over, {take_a, take_a}, check_a_2},
    {"principals_one_below_the_cap", nobody, {take_the_only_a, take_the_only_a}, check_only_a},
    {"principals_give_against_take", a_once, {give_first, take_a}, check_a_1},
    {"principals_give_give", a_twice, {give_first, give_first}, check_none},
    {"principals_take_give_of_two", nobody, {take_give_a, take_give_a}, check_none},
    {"principals_reborn_against_take", a_once, {give_take_a, take_a}, check_a_2},
    {"principals_take_against_reuse", a_once, {give_take_b, take_a}, check_a_1_b_1},
    {"principals_newborn_in_old_memory", a_once, {give_take_b, take_b}, check_b_2},
    {"principals_newborn_not_listed", a_once, {give_and_lose_birth, take_a}, check_a_2},
    {"principals_read_against_reuse", a_twice, {give_twice_take_b, read_first}, check_b_1},
    {"principals_count_against_reuse", a_twice, {give_twice_take_b, count_b}, check_b_1},
    {"principals_read_shows_what_came_before", a_once, {write_take_a, read_what_came_before}, NULL},
    {"quota_last_place", quota_of_4, {acquire_the_last, acquire_the_last}, check_acquired_once},
    {"quota_release_against_acquire", a_holds, {release_copy_of_a, acquire_the_last}, check_release_against_acquire},
    {"quota_copies_of_a_slot", a_holds, {release_copy_of_a, release_copy_of_a}, check_released_once},
    {"quota_old_copy_against_acquire", a_holds, {release_a_acquire_b, release_copy_of_a}, check_b_holds},
    {"quota_slot_is_handed_on", a_holds, {acquire_and_hand_on, release_what_was_handed_on}, check_handed_on},
    {"quota_snapshot_of_one_instant", a_and_c_hold, {release_a_then_c, snapshot}, NULL},
};
SCENARIOS(scenarios)
