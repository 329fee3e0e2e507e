/* What the engine's scenarios make and give back. A scenario fills it in step by step and may end anywhere. */
#ifndef TORTURE_LIFE_H
#define TORTURE_LIFE_H

#include "torture.h"

#define LIFE_SESSIONS 3u
#define LIFE_BYTES    70000u

struct life {
    struct torture *torture;
    weir_config config;
    weir_engine *engine;
    weir_producer *producer;
    weir_poller *poller;
    weir_outlet *outlets[LIFE_SESSIONS];
    weir_consumer *consumer;
    weir_session *sessions[LIFE_SESSIONS];
    weir_cursor cursors[LIFE_SESSIONS]; /* attached to the session of the same place, or not at all */
    weir_channel *channel;
    uint64_t published[LIFE_SESSIONS]; /* events */
    uint32_t kind;
};

/* A small engine with memory and randomness that fail. */
void life_init(struct life *life, struct torture *torture, weir_preset_name preset);

/* Engine, producer, and the sessions "0" to "2", or of names that the engine makes. These and the ones below return
 * early when the run gives up. */
void life_open(struct life *life);

/* Publishes one event of that length into a session, and checks its number. */
void life_publish(struct life *life, unsigned session, size_t length);

/* Reads with a cursor that is placed already until there is nothing, and checks that the numbers have no hole. Returns
 * the number of events. */
uint64_t life_read(struct life *life, unsigned session, weir_cursor *cursor);

/* Gives everything back. */
void life_close(struct life *life);

#endif
