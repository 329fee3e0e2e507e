/* The engine, while every fallible call under it fails in its turn: memory, randomness, descriptors (M01, M02, M03, R01,
 * L05). A call that fails names the failure and changes nothing, the next try works, what had been made can be given
 * back without a single allocation, and nothing is left. */
#include "engine_scenarios.h"

#include <stdio.h>

#define SCENARIO_TEST(scenario)                                                                                      \
    static void test_##scenario(void **state) {                                                                      \
        (void)state;                                                                                                 \
        torture_scenario(&scenario);                                                                                 \
    }

SCENARIO_TEST(engine_of_weir)
SCENARIO_TEST(engine_of_sse_registry)
SCENARIO_TEST(engine_of_realtime)
SCENARIO_TEST(engine_of_mcp)
SCENARIO_TEST(engine_of_hub)
SCENARIO_TEST(engine_on_the_system)
SCENARIO_TEST(engine_sizes)
SCENARIO_TEST(engine_attached)
SCENARIO_TEST(engine_conflating)
SCENARIO_TEST(engine_polled)
SCENARIO_TEST(engine_channels)
SCENARIO_TEST(engine_consumer)
SCENARIO_TEST(engine_quota)
SCENARIO_TEST(engine_leases)

#define TEST(scenario) cmocka_unit_test_teardown(test_##scenario, torture_explain)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(engine_of_weir),    TEST(engine_of_sse_registry), TEST(engine_of_realtime), TEST(engine_of_mcp),
        TEST(engine_of_hub),     TEST(engine_on_the_system),   TEST(engine_sizes),       TEST(engine_attached),
        TEST(engine_conflating), TEST(engine_polled),          TEST(engine_channels),    TEST(engine_consumer),
        TEST(engine_quota),      TEST(engine_leases),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    torture_print();
    return failed;
}
