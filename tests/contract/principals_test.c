/* The table of principals under a quota: a birth that is stopped between its steps, and texts that collide. */
#include "stream/principals.h"

#include <pthread.h>
#include <stdio.h>

#include "engine/prelude.h"
#include "engine/stress.h"
#include "support/counting_allocator.h"

static uint64_t seed;

/* ---- Between the steps of a birth ----------------------------------------------------------------------------- */

struct birth {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct principals principals;
    struct principal_key key;
    struct principal_sighting life;
};

/* A parent that has made a life for its text and is stopped. */
static void birth_open(struct birth *birth) {
    memset(birth, 0, sizeof(*birth));
    birth->allocator = counting_allocator_of(&birth->memory);
    assert_int_equal(principals_create(&birth->principals, &birth->allocator, 8), WEIR_OK);
    assert_true(principal_key_make(&birth->key, &birth->principals, "alice", 5));
    assert_int_equal(principals_begin(&birth->principals, &birth->key, &birth->life), WEIR_OK);
}

static void birth_close(struct birth *birth) {
    assert_int_equal(principals_count(&birth->principals, &birth->key), 0);
    principals_destroy(&birth->principals, &birth->allocator);
    assert_int_equal(u64_load_relaxed(&birth->memory.outstanding), 0);
}

/* Another thread's whole take; the index, or SLAB_NONE when the cap refuses. */
static uint32_t take(struct birth *birth, uint64_t cap) {
    uint32_t index;
    uint64_t current;
    int status = principals_take(&birth->principals, &birth->key, cap, &index, &current);
    if (status == WEIR_PRINCIPAL_LIMIT) return SLAB_NONE;
    assert_int_equal(status, WEIR_OK);
    return index;
}

static int raise(struct birth *birth, bool listed, uint64_t cap, uint64_t *current) {
    return principals_raise(&birth->principals, &birth->life, listed, cap, current);
}

static void cap_12_a_parent_stopped_before_the_map_delays_nobody_and_joins_the_other_life(void **state) {
    (void)state;
    struct birth birth;
    uint64_t current;
    birth_open(&birth);
    uint32_t mine = birth.life.index;
    assert_int_equal(principals_count(&birth.principals, &birth.key), 0);
    uint32_t theirs = take(&birth, 1);
    assert_true(theirs != mine && theirs != SLAB_NONE);
    assert_false(principals_list(&birth.principals, &birth.key, &birth.life));
    assert_int_equal(birth.life.index, theirs);
    assert_int_equal(raise(&birth, false, 1, &current), WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(current, 1);
    assert_int_equal(raise(&birth, false, 2, &current), WEIR_OK);
    assert_int_equal(principals_count(&birth.principals, &birth.key), 2);
    principals_give(&birth.principals, theirs);
    principals_give(&birth.principals, theirs);
    /* What the parent had made is free again. */
    struct principal_key other;
    struct principal_sighting next;
    principal_key_make(&other, &birth.principals, "bob", 3);
    uint32_t indices[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(principals_begin(&birth.principals, &other, &next), WEIR_OK);
        indices[i] = next.index;
    }
    assert_true((indices[0] == mine && indices[1] == theirs) || (indices[0] == theirs && indices[1] == mine));
    birth_close(&birth);
}

/* Only its parent knows that a newborn life is in the map; a lookup that came upon it once does not. */
static void cap_12_a_newborn_life_is_not_counted_in_before_it_is_known_to_be_listed(void **state) {
    (void)state;
    struct birth birth;
    struct principal_key seen;
    uint64_t current;
    birth_open(&birth);
    assert_int_equal(raise(&birth, false, 9, &current), WEIR_BUSY);
    assert_true(principals_list(&birth.principals, &birth.key, &birth.life));
    assert_int_equal(raise(&birth, false, 9, &current), WEIR_BUSY);
    assert_false(principals_read(&birth.principals, birth.life.index, &seen, &current)); /* nor shown */
    assert_int_equal(raise(&birth, true, 9, &current), WEIR_OK);
    assert_int_equal(take(&birth, 9), birth.life.index);
    assert_true(principals_read(&birth.principals, birth.life.index, &seen, &current));
    assert_int_equal(current, 2);
    principals_give(&birth.principals, birth.life.index);
    principals_give(&birth.principals, birth.life.index);
    birth_close(&birth);
}

static void cap_12_a_parent_stopped_behind_the_map_is_helped_and_not_waited_for(void **state) {
    (void)state;
    struct birth birth;
    uint64_t current;
    birth_open(&birth);
    assert_true(principals_list(&birth.principals, &birth.key, &birth.life));
    assert_int_equal(take(&birth, 0), SLAB_NONE);
    assert_int_equal(take(&birth, 1), birth.life.index);
    assert_int_equal(take(&birth, 1), SLAB_NONE);
    assert_int_equal(raise(&birth, true, 1, &current), WEIR_PRINCIPAL_LIMIT);
    assert_int_equal(current, 1);
    assert_int_equal(raise(&birth, true, 2, &current), WEIR_OK);
    assert_int_equal(principals_count(&birth.principals, &birth.key), 2);
    principals_give(&birth.principals, birth.life.index);
    principals_give(&birth.principals, birth.life.index);
    birth_close(&birth);
}

static void cap_12_a_life_that_ended_before_its_parent_went_on_counts_nothing_more(void **state) {
    (void)state;
    struct birth birth;
    uint64_t current;
    birth_open(&birth);
    assert_true(principals_list(&birth.principals, &birth.key, &birth.life));
    for (int life = 0; life < 3; life++) { /* the same text in the same memory, and yet another life */
        assert_int_equal(take(&birth, 1), birth.life.index);
        if (life > 0) assert_int_equal(raise(&birth, true, 9, &current), WEIR_BUSY);
        principals_give(&birth.principals, birth.life.index);
        assert_int_equal(raise(&birth, true, 9, &current), WEIR_BUSY);
        assert_int_equal(principals_count(&birth.principals, &birth.key), 0);
    }
    birth_close(&birth);
}

/* ---- Texts that collide --------------------------------------------------------------------------------------- */

/* As if the hash could not tell them apart: whoever knew the secret could make it so. */
static struct principal_key colliding_key(const struct principals *principals, const char *text, size_t length) {
    struct principal_key key;
    assert_true(principal_key_make(&key, principals, text, length));
    key.hash = 99;
    return key;
}

/* CAP-03 */
static void cap_03_texts_of_one_hash_are_told_apart_by_every_byte_and_by_their_length(void **state) {
    (void)state;
    struct counting_allocator memory = {0};
    weir_allocator allocator = counting_allocator_of(&memory);
    struct principals principals = {0};
    struct principal_key keys[2 * WEIR_PRINCIPAL_MAX + 1];
    uint32_t indices[2 * WEIR_PRINCIPAL_MAX + 1];
    char text[WEIR_PRINCIPAL_MAX] = {0};
    uint32_t count = 0;
    uint64_t current;
    assert_int_equal(principals_create(&principals, &allocator, 2 * WEIR_PRINCIPAL_MAX + 1), WEIR_OK);
    for (size_t length = 0; length <= WEIR_PRINCIPAL_MAX; length++)
        keys[count++] = colliding_key(&principals, text, length);
    for (size_t at = 0; at < WEIR_PRINCIPAL_MAX; at++) {
        text[at] = 1;
        keys[count++] = colliding_key(&principals, text, WEIR_PRINCIPAL_MAX);
        text[at] = 0;
    }
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(principals_take(&principals, &keys[i], 1, &indices[i], &current), WEIR_OK);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(principals_count(&principals, &keys[i]), 1);
        principals_give(&principals, indices[i]);
        assert_int_equal(principals_count(&principals, &keys[i]), 0);
    }
    principals_destroy(&principals, &allocator);
    assert_int_equal(u64_load_relaxed(&memory.outstanding), 0);
}

#define TAKERS 4u
#define TEXTS  3u

struct table {
    struct principals principals;
    struct principal_key keys[TEXTS]; /* all of one hash, each of one letter over and over */
};

struct taker {
    pthread_t thread;
    struct table *table;
    uint32_t index;
    uint64_t rounds;
    uint64_t taken;
};

static bool is_whole(const struct principal_key *key) {
    if (key->length != WEIR_PRINCIPAL_MAX) return false;
    for (size_t at = 1; at < PRINCIPAL_WORDS; at++)
        if (key->words[at] != key->words[0]) return false;
    return true;
}

static void *run_taker(void *context) {
    struct taker *taker = (struct taker *)context;
    struct principals *principals = &taker->table->principals;
    struct random random = random_start(seed, taker->index);
    for (uint64_t round = 0; round < taker->rounds; round++) {
        const struct principal_key *key = &taker->table->keys[random_below(&random, TEXTS)];
        struct principal_key seen;
        uint64_t count;
        uint32_t index;
        for (uint32_t i = 0; i < slab_fresh(&principals->slab); i++)
            if (principals_read(principals, i, &seen, &count)) REQUIRE(is_whole(&seen) && count <= 2);
        if (principals_take(principals, key, 2, &index, &count) != WEIR_OK) continue;
        REQUIRE(principals_read(principals, index, &seen, &count));
        REQUIRE(is_whole(&seen) && seen.words[0] == key->words[0] && count >= 1 && count <= 2);
        REQUIRE(principals_count(principals, key) >= 1);
        principals_give(principals, index);
        taker->taken++;
    }
    return NULL;
}

/* CAP-12: all lives are in one list and in little memory, which is soon another text's; what is counted and what is
 * shown is never another text, nor half of one. */
static void cap_12_lives_of_one_list_never_mix(void **state) {
    (void)state;
    static struct table table;
    struct taker takers[TAKERS];
    struct counting_allocator memory = {0};
    weir_allocator allocator = counting_allocator_of(&memory);
    uint64_t taken = 0;
    memset(&table, 0, sizeof(table));
    assert_int_equal(principals_create(&table.principals, &allocator, TAKERS), WEIR_OK);
    for (uint32_t i = 0; i < TEXTS; i++) {
        char text[WEIR_PRINCIPAL_MAX];
        memset(text, (int)('a' + i), sizeof(text));
        table.keys[i] = colliding_key(&table.principals, text, sizeof(text));
    }
    for (uint32_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.table = &table, .index = i, .rounds = scaled(4000)};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, run_taker, &takers[i]), 0);
    }
    for (uint32_t i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
        taken += takers[i].taken;
    }
    printf("  %llu lives at most\n", (unsigned long long)taken);
    assert_true(taken > 0);
    for (uint32_t i = 0; i < TEXTS; i++)
        assert_int_equal(principals_count(&table.principals, &table.keys[i]), 0);
    principals_destroy(&table.principals, &allocator);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_12_a_parent_stopped_before_the_map_delays_nobody_and_joins_the_other_life),
        cmocka_unit_test(cap_12_a_newborn_life_is_not_counted_in_before_it_is_known_to_be_listed),
        cmocka_unit_test(cap_12_a_parent_stopped_behind_the_map_is_helped_and_not_waited_for),
        cmocka_unit_test(cap_12_a_life_that_ended_before_its_parent_went_on_counts_nothing_more),
        cmocka_unit_test(cap_03_texts_of_one_hash_are_told_apart_by_every_byte_and_by_their_length),
        cmocka_unit_test(cap_12_lives_of_one_list_never_mix),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
