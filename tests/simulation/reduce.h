/* A failing plan made smaller for as long as it fails in the same way: less weather, fewer clients, fewer steps. */
#ifndef WEIR_TESTS_SIMULATION_REDUCE_H
#define WEIR_TESTS_SIMULATION_REDUCE_H

#include "child.h"

/* Prints the failure, the smallest plan that was found, and the last lines of its trace. */
void reduce_and_print(struct shared *shared, const struct plan *plan, const struct outcome *outcome);

#endif
