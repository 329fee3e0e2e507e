/* Sites by name, for scripts/weaken. A name is FILE:FUNCTION:OPERATION:N, N counting the lines of that function with
 * that operation: it outlives changes elsewhere in the file. */
#ifndef WEIR_EXPLORE_WEAKEN_H
#define WEIR_EXPLORE_WEAKEN_H

#include <stdbool.h>

/* "SITE=ORDER": weakens the site for this run; ORDER relaxed, acquire, release, acq_rel, dropped (a fence), or
 * failure_relaxed (of a compare-and-swap). False when there is none such. */
bool weaken_site(const char *text);

/* A line for each order that is one step weaker than a site's: as weaken_site takes it. */
void weaken_print_sites(void);

/* A line for each site that was reached since the last call: "touched SITE NAME". */
void weaken_print_touched(const char *name);

#endif
