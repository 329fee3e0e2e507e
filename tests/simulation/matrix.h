/* Which kind of fault met which kind of operation, and how often. An operation's site is what it was started for; the
 * cells that cannot be are left out: a receive does not end with EMFILE. */
#ifndef WEIR_TESTS_SIMULATION_MATRIX_H
#define WEIR_TESTS_SIMULATION_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "support/simulated_backend.h"

enum matrix_site {
    SITE_ACCEPT,
    SITE_RECEIVE_REQUEST,
    SITE_RECEIVE_STREAM, /* what a subscriber still says */
    SITE_RECEIVE_LINGER, /* waiting for the peer's FIN */
    SITE_SEND_ANSWER,
    SITE_SEND_BATCH,   /* events */
    SITE_SEND_CONTROL, /* a stream's head, heartbeats, gaps, ends */
    SITE_WAIT,
    SITE_SERVER_MEMORY,
    SITE_ENGINE_MEMORY,
    MATRIX_SITES
};

enum { MATRIX_LEAP = SIMULATED_FAULTS, MATRIX_REFUSED, MATRIX_FAULTS };

bool matrix_possible(enum matrix_site site, unsigned fault);
/* Prints it, or just the cells that were never hit. Returns how many of the possible ones were; *possible: of how many. */
unsigned matrix_count(const uint64_t hits[MATRIX_SITES][MATRIX_FAULTS], unsigned *possible, bool print_missed);
void matrix_print(const uint64_t hits[MATRIX_SITES][MATRIX_FAULTS]);

#endif
