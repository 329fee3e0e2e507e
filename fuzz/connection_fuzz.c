/* Whole connections of the real server: several peers that ask, publish, subscribe, stall and go, while events are
 * published and time passes. The input is done twice, with what the peers send arriving in one piece and then cut, and
 * the server must say the same both times, in well-formed HTTP, and be left with nothing at the end. Faults: H22, H23,
 * H26, H27, H30, H31, S09, S10, S14, A03, A07.
 *
 * The input: some bytes of configuration, then operations of one byte and their arguments (connection_world.c). Its last
 * byte says how the second run is cut, and how both end. */
#include "connection_world.h"

#include <stdlib.h>

/* Streams are looked at when all publishes are known: hence twice, before the end and after it. */
static void check(struct world *world) {
    uint64_t owned_up = world->published;
    for (uint32_t i = 0; i < world->talk_count; i++)
        owned_up += talk_check(world, &world->talks[i]);
    weir_stats stats;
    weir_engine_stats(world->rig.engine, &stats);
    REQUIRE(stats.published >= owned_up); /* whoever was told that an event is published was told the truth */
}

/* When a peer counts as stalled depends on what one send carries, for the simulated kernel acknowledges nothing before
 * the whole of it: then the same connection may end sooner. With that, or with a reader that fell behind, what others
 * see may be another. */
static bool depends_on_pace(const struct world *world) {
    for (uint32_t i = 0; i < world->talk_count; i++)
        if (talk_depends_on_pace(&world->talks[i])) return true;
    return u64_load_relaxed(&world->rig.reactor->counters.stalled) > 0;
}

static void compare(const struct world *one, const struct world *other) {
    if (depends_on_pace(one) || depends_on_pace(other)) return;
    weir_stats stats, other_stats;
    weir_engine_stats(one->rig.engine, &stats);
    weir_engine_stats(other->rig.engine, &other_stats);
    REQUIRE(stats.published == other_stats.published && stats.published_bytes == other_stats.published_bytes);
    REQUIRE(stats.sessions == other_stats.sessions && stats.sessions_created == other_stats.sessions_created);
    REQUIRE(stats.kinds == other_stats.kinds && stats.publish_refused == other_stats.publish_refused);
    REQUIRE(one->talk_count == other->talk_count);
    for (uint32_t i = 0; i < one->talk_count; i++)
        talk_compare(&one->talks[i], &other->talks[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world worlds[2];
    if (size > 3000) return 0;
    /* The rig is the tests' own: what it finds wrong ends the process as REQUIRE does. */
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    uint32_t how = size > 0 ? data[size - 1] : 0;
    for (int i = 0; i < 2; i++) {
        struct input input = {data, data + size - (size > 0)};
        world_open(&worlds[i], &input, i == 0 ? CUT_NOWHERE : how % 2 == 0 ? CUT_EVERYWHERE : CUT_BY_FAULTS);
        world_run(&worlds[i], &input);
        check(&worlds[i]);
    }
    compare(&worlds[0], &worlds[1]);
    for (int i = 0; i < 2; i++) {
        world_end(&worlds[i], (enum ending)(how / 2 % 4));
        check(&worlds[i]);
        rig_close(&worlds[i].rig); /* where the backend looks for descriptors and operations that did not come back */
    }
    return 0;
}
