/* Time that moves only when a test says so. */
#ifndef SUPPORT_FAKE_CLOCK_H
#define SUPPORT_FAKE_CLOCK_H

#include <weir.h>

struct fake_clock {
    uint64_t now_ms;
};

/* The clock to put into a weir_config; `clock` must outlive the engine. */
weir_clock fake_clock_of(struct fake_clock *clock);

/* Moves time and has the engine notice. */
void fake_clock_advance(struct fake_clock *clock, weir_engine *engine, uint64_t ms);

#endif
