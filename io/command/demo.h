/* The demonstration feed of `weir serve --demo`: this machine's load and memory, a few times a second, as JSON
 * events of the session "demo". It publishes in process, through weir.h, as an embedder would. */
#ifndef WEIR_IO_COMMAND_DEMO_H
#define WEIR_IO_COMMAND_DEMO_H

#include <weir.h>

struct demo;

/* Starts the thread that publishes. NULL when it cannot be started. The engine must outlive it. */
struct demo *demo_start(weir_engine *engine);

/* Stops the thread and frees. NULL does nothing. */
void demo_stop(struct demo *demo);

#endif
