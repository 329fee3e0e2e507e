/* The index map: one object per name, a find never misses one that stays, and never gives one of another life. */
#include "base/atomic.h"

#include "concurrent/index_map.h"
#include "explore.h"

#define OBJECT_SIZE 64u
#define NAMES       4u

/* As sessions are: type-stable, with a reference count that is 0 when nobody may look. */
struct object {
    struct index_node node;
    atomic_u32 references;
    uint32_t index;
    uint64_t name; /* plain: read under a reference */
    uint64_t rest[4];
};

static struct {
    struct slab slab;
    struct index_map map;
    uint32_t first[NAMES];
    uint32_t got[THREADS_MAX][2];
    uint32_t created[THREADS_MAX];
    uint32_t removed[THREADS_MAX];
    uint32_t prepared;
} * S;

static bool try_retain(struct object *object) {
    uint32_t count = u32_load_relaxed(&object->references);
    do {
        if (count == 0) return false;
    } while (!u32_cas_acq_rel(&object->references, &count, count + 1));
    return true;
}
static void drop(struct object *object) {
    uint32_t index = object->index;
    if (u32_subtract_acq_rel(&object->references, 1) != 1) return;
    object->name = 0; /* plain: a race with whoever still reads it */
    slab_give(&S->slab, &index, 1);
}
static bool match(void *context, void *found) {
    struct object *object = (struct object *)found;
    if (!try_retain(object)) return false;
    if (object->name == *(const uint64_t *)context) return true;
    drop(object);
    return false;
}
static struct object *object_at(uint32_t index) {
    return (struct object *)slab_at(&S->slab, index);
}

static uint32_t prepare_object(uint64_t name, uint64_t hash) {
    uint32_t index;
    uint32_t taken;
    EXPECT(slab_take(&S->slab, &index, 1, &taken) == WEIR_OK);
    struct object *object = object_at(index);
    index_map_prepare(&S->map, index, hash);
    object->index = index;
    object->name = name;
    u32_store_release(&object->references, 2); /* the map's and ours */
    return index;
}
static void remove_at(uint32_t index) {
    if (index_map_remove(&S->map, index)) drop(object_at(index));
}
/* Finds or makes the object of that name, and leaves its reference with the map: its index. */
static uint32_t open_name(uint64_t name, uint64_t hash, bool *created) {
    uint32_t index = prepare_object(name, hash);
    uint32_t found = index_map_insert(&S->map, index, match, &name);
    *created = found == index;
    if (!*created) {
        remove_at(index);
        drop(object_at(found));
    }
    drop(object_at(index));
    return found;
}
static bool find_and_remove(uint64_t name, uint64_t hash) {
    uint32_t found = index_map_find(&S->map, hash, match, &name);
    if (found == SLAB_NONE) return false;
    EXPECT(object_at(found)->name == name);
    bool removed = index_map_remove(&S->map, found);
    if (removed) drop(object_at(found));
    drop(object_at(found));
    return removed;
}
static uint32_t find(uint64_t name, uint64_t hash) {
    uint32_t found = index_map_find(&S->map, hash, match, &name);
    if (found == SLAB_NONE) return found;
    EXPECT(object_at(found)->name == name);
    drop(object_at(found));
    return found;
}

/* All names stand in one list, bucket 0: hash 0, and 64 for another hash there; 1 is the next list. */
static void begin(bool discardable, uint32_t names) {
    bool created;
    S = explore_new(sizeof(*S));
    if (discardable)
        EXPECT(slab_create_discardable(&S->slab, &explore_allocator, OBJECT_SIZE, 128, 12) == WEIR_OK);
    else
        EXPECT(slab_create(&S->slab, &explore_allocator, NULL, OBJECT_SIZE, 64, 12) == WEIR_OK);
    EXPECT(index_map_create(&S->map, &explore_allocator, &S->slab, 64) == WEIR_OK);
    uint32_t blockers[SLAB_RUN];
    uint32_t taken = 0;
    /* The first name stays in another run of objects than the rest, which can be discarded. */
    if (discardable) EXPECT(slab_take(&S->slab, blockers, SLAB_RUN, &taken) == WEIR_OK);
    if (names > 0) S->first[0] = open_name(1, 0, &created);
    if (taken > 0) slab_give(&S->slab, blockers, taken);
    for (uint32_t i = 1; i < names; i++)
        S->first[i] = open_name(i + 1, 0, &created);
}
static void no_names(void) {
    begin(false, 0);
}
static void one_name(void) {
    begin(false, 1);
}
static void three_names(void) {
    begin(false, 3);
}
static void discardable_three(void) {
    begin(true, 3);
}
static void one_prepared(void) {
    begin(false, 1);
    S->prepared = prepare_object(5, 0);
}

static void open_5(void) {
    bool created;
    S->got[explore_thread][0] = open_name(5, 0, &created);
    S->created[explore_thread] = created;
}
static void open_5_find_5(void) {
    open_5();
    S->got[explore_thread][1] = find(5, 0);
}
static void find_1(void) {
    EXPECT(find(1, 0) == S->first[0]);
}
static void find_1_twice(void) {
    find_1();
    find_1();
}
static void find_5(void) {
    S->got[explore_thread][1] = find(5, 0);
}
static void find_2(void) {
    uint32_t found = find(2, 0);
    EXPECT(found == SLAB_NONE || found == S->first[1] || S->created[explore_thread]);
}
static void remove_2(void) {
    S->removed[explore_thread] = find_and_remove(2, 0);
}
static void remove_3(void) {
    S->removed[explore_thread] = find_and_remove(3, 0);
}
static void remove_2_find(void) {
    remove_2();
    EXPECT(find(2, 0) == SLAB_NONE);
}
static void remove_2_3(void) {
    remove_2();
    remove_3();
}
/* The objects of 2 and 3 begin other lives in another list. */
static void remove_2_3_open_elsewhere(void) {
    bool created;
    remove_2_3();
    open_name(7, 1, &created);
    open_name(8, 1, &created);
}
static void remove_discard(void) {
    remove_2_3();
    index_map_discard(&S->map, 4);
}
static void remove_discard_open(void) {
    bool created;
    remove_discard();
    open_name(7, 1, &created);
}
static void discard(void) {
    index_map_discard(&S->map, 4);
}
static void open_5_remove_5(void) {
    open_5();
    S->removed[explore_thread] = find_and_remove(5, 0);
}
static void insert_prepared(void) {
    uint64_t name = 5;
    uint32_t found = index_map_insert(&S->map, S->prepared, match, &name);
    EXPECT(found == S->prepared);
    drop(object_at(found));
}
static void remove_prepared(void) {
    remove_at(S->prepared);
}

/* The object's next use is in another list, and leads to nothing: if it were still in the first, that would end there. */
static void insert_prepared_use_again(void) {
    bool created;
    insert_prepared();
    open_name(7, 1, &created);
}

/* The lists hold live objects of the right names, each once; nobody else is out of the slab. */
static void check_lists(uint32_t expected) {
    uint32_t live = 0;
    uint32_t taken;
    uint32_t index;
    for (uint32_t bucket = 0; bucket < 2; bucket++) {
        uint64_t link = S->map.heads[bucket].value;
        while ((uint32_t)link != SLAB_NONE) {
            const struct object *object = object_at((uint32_t)link);
            EXPECT(++live <= expected);
            EXPECT(object->references.value == 1);
            EXPECT(object->name != 0 && (object->node.link.value & 1ull << 32) == 0);
            EXPECT((object->node.hash.value & 63) == bucket);
            link = object->node.link.value;
        }
    }
    EXPECT(live == expected);
    uint32_t free = 0;
    while (slab_take(&S->slab, &index, 1, &taken) == WEIR_OK)
        EXPECT(++free <= S->slab.maximum);
    EXPECT(free + live == S->slab.maximum);
}
static void check_one_5(void) {
    EXPECT(S->created[0] + S->created[1] == 1);
    EXPECT(S->got[0][0] == S->got[1][0]);
    check_lists(1);
}
static void check_one_5_of_4(void) {
    EXPECT(S->created[0] + S->created[1] == 1);
    check_lists(4);
}
static void check_found_5(void) {
    EXPECT(S->got[1][1] == SLAB_NONE || S->got[1][1] == S->got[0][0]);
    EXPECT(S->got[0][1] == S->got[0][0]);
    check_lists(2);
}
static void check_1(void) {
    EXPECT(find(1, 0) == S->first[0]);
    check_lists(1);
}
static void check_2(void) {
    EXPECT(find(1, 0) == S->first[0]);
    check_lists(2);
}
static void check_3(void) {
    EXPECT(find(1, 0) == S->first[0]);
    check_lists(3);
}
static void check_removed_once(void) {
    EXPECT(S->removed[0] + S->removed[1] == 1);
    EXPECT(find(2, 0) == SLAB_NONE);
    check_2();
}
static void check_discard_2(void) {
    EXPECT(find(5, 0) != SLAB_NONE);
    check_2();
}

static const struct scenario scenarios[] = {
    {"map_two_create_one_name", no_names, {open_5, open_5}, check_one_5},
    {"map_two_create_beside_others", three_names, {open_5, open_5}, check_one_5_of_4},
    {"map_create_against_find", one_name, {open_5_find_5, find_5}, check_found_5},
    {"map_remove_against_find_neighbour", three_names, {remove_2, find_1}, check_2},
    {"map_remove_against_find_same", three_names, {remove_2, find_2}, check_2},
    {"map_remove_two_neighbours", three_names, {remove_2, remove_3}, check_1},
    {"map_remove_two_and_find", three_names, {remove_2, remove_3, find_1}, check_1},
    {"map_remove_against_remove", three_names, {remove_2_find, remove_2_find}, check_removed_once},
    {"map_remove_against_create", three_names, {remove_2, open_5}, check_3},
    {"map_objects_used_elsewhere", three_names, {find_1, remove_2_3_open_elsewhere}, check_3},
    {"map_objects_used_elsewhere_and_find", three_names, {find_2, remove_2_3_open_elsewhere}, check_3},
    {"map_create_and_remove", one_name, {open_5_remove_5, find_1}, check_1},
    {"map_insert_against_remove", one_prepared, {insert_prepared, remove_prepared}, check_1},
    {"map_insert_against_remove_used_again", one_prepared, {insert_prepared_use_again, remove_prepared}, check_2},
    {"map_insert_remove_find", one_prepared, {insert_prepared, remove_prepared, find_1}, check_1},
    {"map_discard_against_find", discardable_three, {find_1, remove_discard}, check_1},
    {"map_discard_against_find_twice", discardable_three, {find_1_twice, remove_discard_open}, check_2},
    {"map_discard_against_create", discardable_three, {remove_discard, open_5}, check_discard_2},
    {"map_discard_against_removes", discardable_three, {remove_2, remove_3, discard}, check_1},
};
SCENARIOS(scenarios)
