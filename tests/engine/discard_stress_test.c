/* Memory goes back to the system at full speed, under takers, lookups and sessions that begin and end. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

#include "session/engine.h"
#include "stress.h"

static uint64_t seed;

/* ---- Objects of a slab ----------------------------------------------------------------------------------------- */

#define TAKERS   3u
#define HELD     150u /* by one taker at most: some runs, so that runs fall empty again and again */
#define TOGETHER 256u /* less than all takers can hold: the maximum is met as well */

/* Fills 64 bytes, so that a run is a page. */
struct stamped {
    atomic_u64 owner; /* 0 when nobody has it */
    atomic_u64 stamps[7];
};

static struct {
    struct counting_allocator memory;
    weir_allocator allocator;
    struct slab slab;
    atomic_u32 owners[TOGETHER + 2 * SLAB_RUN]; /* outside of what is discarded: who has which object */
    atomic_u32 retiring;                        /* 1 while one of the takers is at it */
    atomic_u64 discards;
} bed;

struct taker {
    pthread_t thread;
    uint32_t number; /* from 1 */
    uint32_t held;
    uint32_t indices[HELD];
    uint64_t rounds;
    uint64_t taken;
    uint64_t full;
};

/* The object is nobody else's: not by the table, and not by what stands in it, which is also zero if it was discarded. */
static void stamp(struct taker *taker, uint32_t index) {
    struct stamped *object = (struct stamped *)slab_at(&bed.slab, index);
    uint32_t nobody = 0;
    uint64_t free_word = 0;
    REQUIRE(u32_cas_acq_rel(&bed.owners[index], &nobody, taker->number));
    REQUIRE(u64_cas_acq_rel(&object->owner, &free_word, taker->number));
    for (uint32_t i = 0; i < 7; i++)
        u64_store_relaxed(&object->stamps[i], taker->taken ^ (uint64_t)index << 32);
    taker->taken++;
}

/* All of it stands as it was written: nothing was discarded under its holder. */
static void unstamp(struct taker *taker, uint32_t index) {
    struct stamped *object = (struct stamped *)slab_at(&bed.slab, index);
    uint64_t stamped = u64_load_relaxed(&object->stamps[0]);
    uint32_t own = taker->number;
    uint64_t own_word = taker->number;
    REQUIRE(stamped >> 32 == index);
    for (uint32_t i = 1; i < 7; i++)
        REQUIRE(u64_load_relaxed(&object->stamps[i]) == stamped);
    REQUIRE(u64_cas_acq_rel(&object->owner, &own_word, 0));
    REQUIRE(u32_cas_acq_rel(&bed.owners[index], &own, 0));
}

static void take_some(struct taker *taker, uint32_t count) {
    uint32_t taken;
    if (count > HELD - taker->held) count = HELD - taker->held;
    if (count == 0) return;
    int status = slab_take(&bed.slab, &taker->indices[taker->held], count, &taken);
    REQUIRE(status == WEIR_OK || status == WEIR_FULL);
    taker->full += taken < count;
    for (uint32_t i = 0; i < taken; i++)
        stamp(taker, taker->indices[taker->held + i]);
    taker->held += taken;
}

static void give_some(struct taker *taker, uint32_t count) {
    if (count > taker->held) count = taker->held;
    taker->held -= count;
    for (uint32_t i = 0; i < count; i++)
        unstamp(taker, taker->indices[taker->held + i]);
    slab_give(&bed.slab, &taker->indices[taker->held], count);
}

/* Gives back to the system what it can, unless another taker is at it. */
static void discard_some(struct random *random) {
    uint32_t nobody = 0;
    uint32_t budget = 8;
    uint32_t first;
    if (!u32_cas_acq_rel(&bed.retiring, &nobody, 1)) return;
    u64_store_relaxed(&bed.memory.keep, random_below(random, 8) == 0);
    while (slab_retire(&bed.slab, &budget, &first)) {
        for (uint32_t i = 0; i < SLAB_RUN; i++)
            REQUIRE(u32_load_acquire(&bed.owners[first + i]) == 0); /* the retirer holds them all */
        if (random_below(random, 2) == 0) sched_yield();
        if (slab_restore(&bed.slab, first)) u64_add_relaxed(&bed.discards, 1);
    }
    u32_store_release(&bed.retiring, 0);
}

/* Takes and gives by turns of random length, often down to nothing. */
static void *run_taker(void *context) {
    struct taker *taker = (struct taker *)context;
    struct random random = random_start(seed, taker->number);
    for (uint64_t round = 0; round < taker->rounds; round++) {
        uint32_t count = random_below(&random, 8) == 0 ? HELD : random_below(&random, 40);
        if (random_below(&random, 2) == 0)
            take_some(taker, count);
        else
            give_some(taker, count);
        if (taker->held == 0) discard_some(&random);
    }
    give_some(taker, HELD);
    return NULL;
}

static void expect_all_free(void) {
    static uint32_t indices[TOGETHER + 1];
    uint32_t taken;
    assert_int_equal(slab_take(&bed.slab, indices, TOGETHER + 1, &taken), WEIR_OK);
    assert_int_equal(taken, TOGETHER);
    for (uint32_t i = 0; i < TOGETHER; i++)
        assert_int_equal(indices[i], i); /* no hint hides one */
}

static void an_object_has_one_holder_whatever_is_discarded_meanwhile(void **state) {
    (void)state;
    static struct taker takers[TAKERS];
    memset(&bed, 0, sizeof(bed));
    bed.allocator = counting_allocator_of(&bed.memory);
    assert_int_equal(slab_create_discardable(&bed.slab, &bed.allocator, sizeof(struct stamped), TOGETHER, 12),
                     WEIR_OK);
    for (uint32_t i = 0; i < TAKERS; i++) {
        takers[i] = (struct taker){.number = i + 1, .rounds = scaled(3000)};
        assert_int_equal(pthread_create(&takers[i].thread, NULL, run_taker, &takers[i]), 0);
    }
    uint64_t full = 0;
    for (uint32_t i = 0; i < TAKERS; i++) {
        pthread_join(takers[i].thread, NULL);
        full += takers[i].full;
        printf("  taker %u: %llu taken\n", i, (unsigned long long)takers[i].taken);
    }
    uint64_t discards = u64_load_relaxed(&bed.discards);
    printf("  %llu runs discarded, the maximum met %llu times\n", (unsigned long long)discards,
           (unsigned long long)full);
    assert_true(discards > 0);
    expect_all_free();
    slab_destroy(&bed.slab);
    assert_int_equal(u64_load_relaxed(&bed.memory.outstanding), 0);
}

/* ---- Sessions --------------------------------------------------------------------------------------------------- */

#define LASTING  16u  /* sessions that stay, among places that come and go */
#define SPACING  200u /* places from one of them to the next */
#define PASSING  400u /* sessions that one churner has at once, at most */
#define CHURNERS 2u
#define LOOKERS  2u

struct party {
    pthread_t thread;
    weir_engine *engine;
    uint32_t number;
    uint64_t rounds;
    uint64_t found;
};

static atomic_u32 parties_done;
static atomic_u32 discarding; /* 1 while a churner is at it */
static atomic_u64 discarded;
static const uint64_t *lasting_epochs;

static size_t name_of(char *name, const char *kind, uint32_t number) {
    return (size_t)snprintf(name, WEIR_NAME_MAX, "%s-%u", kind, number);
}

static void expect_name(weir_session *session, const char *name, size_t length) {
    weir_session_info info = info_of(session);
    REQUIRE(info.name_length == length && memcmp(info.name, name, length) == 0);
}

/* Makes some hundred sessions and ends them all, so that runs of places fill and fall empty, and has them discarded. */
static void *run_churner(void *context) {
    struct party *churner = (struct party *)context;
    struct random random = random_start(seed, 200 + churner->number);
    weir_session *sessions[PASSING];
    char name[WEIR_NAME_MAX];
    for (uint64_t round = 0; round < churner->rounds; round++) {
        uint32_t count = random_below(&random, PASSING) + 1;
        for (uint32_t i = 0; i < count; i++) {
            size_t length = name_of(name, "passing", random_below(&random, 2 * PASSING));
            REQUIRE(weir_session_open(churner->engine, name, length, WEIR_OPEN_OR_CREATE, &sessions[i], NULL) ==
                    WEIR_OK);
            expect_name(sessions[i], name, length);
        }
        for (uint32_t i = 0; i < count; i++) {
            weir_session_terminate(sessions[i]);
            weir_session_release(sessions[i]);
        }
        uint32_t nobody = 0;
        if (!u32_cas_acq_rel(&discarding, &nobody, 1)) continue;
        u64_add_relaxed(&discarded, index_map_discard(&churner->engine->map, 16));
        u32_store_release(&discarding, 0);
    }
    u32_add_relaxed(&parties_done, 1);
    return NULL;
}

/* A session that stays is found, always and as the same; one that passes is found as itself or not at all. */
static void *run_looker(void *context) {
    struct party *looker = (struct party *)context;
    struct random random = random_start(seed, 300 + looker->number);
    char name[WEIR_NAME_MAX];
    while (u32_load_acquire(&parties_done) < CHURNERS) {
        weir_session *session;
        uint32_t number = random_below(&random, LASTING);
        size_t length = name_of(name, "lasting", number);
        REQUIRE(weir_session_open(looker->engine, name, length, WEIR_OPEN_EXISTING, &session, NULL) == WEIR_OK);
        expect_name(session, name, length);
        REQUIRE(info_of(session).epoch == lasting_epochs[number]);
        weir_session_release(session);
        length = name_of(name, "passing", random_below(&random, 2 * PASSING));
        int status = weir_session_open(looker->engine, name, length, WEIR_OPEN_EXISTING, &session, NULL);
        REQUIRE(status == WEIR_OK || status == WEIR_NOT_FOUND);
        if (status != WEIR_OK) continue;
        expect_name(session, name, length);
        looker->found++;
        weir_session_release(session);
    }
    return NULL;
}

/* Sessions that stay, SPACING places apart; those between them end at once. */
static void make_lasting(struct fixture *fixture, weir_session **lasting, uint64_t *epochs) {
    static weir_session *sessions[LASTING * SPACING];
    char name[WEIR_NAME_MAX];
    for (uint32_t i = 0; i < LASTING * SPACING; i++) {
        bool lasts = i % SPACING == 0;
        name_of(name, lasts ? "lasting" : "between", lasts ? i / SPACING : i);
        sessions[i] = fixture_session(fixture, name);
        if (lasts) lasting[i / SPACING] = sessions[i];
    }
    for (uint32_t i = 0; i < LASTING * SPACING; i++) {
        if (i % SPACING == 0) continue;
        weir_session_terminate(sessions[i]);
        weir_session_release(sessions[i]);
    }
    for (uint32_t i = 0; i < LASTING; i++)
        epochs[i] = info_of(lasting[i]).epoch;
}

static void start(struct party *parties, uint32_t count, weir_engine *engine, void *(*run)(void *)) {
    for (uint32_t i = 0; i < count; i++) {
        parties[i] = (struct party){.engine = engine, .number = i, .rounds = scaled(30)};
        assert_int_equal(pthread_create(&parties[i].thread, NULL, run, &parties[i]), 0);
    }
}

static void lookups_never_miss_a_session_while_memory_goes_back(void **state) {
    (void)state;
    struct fixture fixture;
    struct party churners[CHURNERS];
    struct party lookers[LOOKERS];
    weir_session *lasting[LASTING];
    uint64_t epochs[LASTING];
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 4096;
    fixture_open(&fixture, &config);
    make_lasting(&fixture, lasting, epochs);
    lasting_epochs = epochs;
    u32_store_relaxed(&parties_done, 0);
    start(churners, CHURNERS, fixture.engine, run_churner);
    start(lookers, LOOKERS, fixture.engine, run_looker);
    for (uint32_t i = 0; i < CHURNERS; i++)
        pthread_join(churners[i].thread, NULL);
    for (uint32_t i = 0; i < LOOKERS; i++)
        pthread_join(lookers[i].thread, NULL);
    uint64_t discards = u64_load_relaxed(&discarded);
    printf("  %llu runs discarded, %llu passing sessions found\n", (unsigned long long)discards,
           (unsigned long long)(lookers[0].found + lookers[1].found));
    assert_true(discards > 0);
    assert_int_equal(stats_of(fixture.engine).sessions, LASTING);
    for (uint32_t i = 0; i < LASTING; i++)
        weir_session_release(lasting[i]);
    fixture_close(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_has_one_holder_whatever_is_discarded_meanwhile),
        cmocka_unit_test(lookups_never_miss_a_session_while_memory_goes_back),
    };
    seed = random_seed();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
