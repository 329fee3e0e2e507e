#include "fake_clock.h"

#define WALL_START_MS 1700000000000u

static uint64_t read_now_ns(void *context) {
    return ((const struct fake_clock *)context)->now_ms * 1000000u;
}

static uint64_t read_wall_ms(void *context) {
    return ((const struct fake_clock *)context)->now_ms + WALL_START_MS;
}

weir_clock fake_clock_of(struct fake_clock *clock) {
    weir_clock result = {read_now_ns, read_wall_ms, clock};
    return result;
}

void fake_clock_advance(struct fake_clock *clock, weir_engine *engine, uint64_t ms) {
    clock->now_ms += ms;
    weir_engine_tick(engine);
}
