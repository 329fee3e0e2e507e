/* What the engine is used for, as scenarios. */
#ifndef TORTURE_ENGINE_SCENARIOS_H
#define TORTURE_ENGINE_SCENARIOS_H

#include "torture.h"

/* Create to destroy with each preset: sessions, kinds, publish, subscribe, read, replay, end, sweep. */
extern const struct scenario engine_of_weir;
extern const struct scenario engine_of_sse_registry;
extern const struct scenario engine_of_realtime;
extern const struct scenario engine_of_mcp;
extern const struct scenario engine_of_hub;

extern const struct scenario engine_on_the_system; /* with nothing injected: the system's memory and randomness */
extern const struct scenario engine_sizes;         /* events of all sizes, and budgets that are used up */
extern const struct scenario engine_attached;
extern const struct scenario engine_conflating;
extern const struct scenario engine_polled;
extern const struct scenario engine_channels;
extern const struct scenario engine_consumer;
extern const struct scenario engine_quota;
extern const struct scenario engine_leases;

#endif
