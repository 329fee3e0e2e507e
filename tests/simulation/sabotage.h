/* Deliberate breaks between the server and the oracles, to show that each oracle can fail. A run with
 * SABOTAGE_NONE passes through here unchanged. */
#ifndef WEIR_TESTS_SIMULATION_SABOTAGE_H
#define WEIR_TESTS_SIMULATION_SABOTAGE_H

#include <stddef.h>

#include "decoder.h"
#include "oracle.h"
#include "plan.h"

struct client;

/* Which oracle has to find it. */
enum oracle sabotage_oracle(enum sabotage sabotage);
const char *sabotage_name(enum sabotage sabotage);

/* A new backend: its table may be replaced. */
void sabotage_backend(struct simulation *simulation);
/* Now and then, from the run's loop. */
void sabotage_step(struct simulation *simulation);
/* Bytes on their way to a client; returns how many there are now. */
size_t sabotage_bytes(struct client *client, char *bytes, size_t count);
/* A frame on its way; returns how many times it is heard. */
unsigned sabotage_frame(struct client *client, struct frame *frame);
void sabotage_gap(struct client *client, struct gap_frame *gap);

#endif
