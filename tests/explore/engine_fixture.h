/* A small engine in scenario memory, with a clock that stands and random bytes that do not vary. */
#ifndef WEIR_EXPLORE_ENGINE_FIXTURE_H
#define WEIR_EXPLORE_ENGINE_FIXTURE_H

#include "explore.h"

struct fixture {
    weir_engine *engine;
    weir_session *sessions[3];
    weir_producer *producers[THREADS_MAX];
    weir_poller *poller;
    weir_outlet *outlets[2];
    weir_channel *channel;
    weir_channel *other;
    weir_cursor cursors[THREADS_MAX + 1];
    atomic_u64 wakes;
    atomic_u64 notices[WEIR_NOTICE_TOKEN_EXPIRED + 1]; /* by kind */
    uint64_t now_ms;
    uint32_t names[THREADS_MAX + 1];
    /* What the threads found out: each writes its own. */
    int status[THREADS_MAX][4];
    uint64_t number[THREADS_MAX][4];
    weir_session *opened[THREADS_MAX];
    uint64_t read[THREADS_MAX + 1]; /* events delivered, and lost, to a thread's cursor */
    uint64_t lost[THREADS_MAX + 1];
    uint32_t asleep;
    int ended;
};
extern struct fixture *F;

/* The configuration that scenarios start from: two events are kept. */
weir_config fixture_config(void);
/* The engine with `sessions` open sessions, called "a", "b" and "c", and a producer for each thread. */
void fixture_begin(const weir_config *config, uint32_t sessions);
/* A poller with outlets on the first `outlets` sessions, and cursors of the last thread on them. */
void fixture_poll(uint32_t outlets);

/* Publishes an event of this thread's; checks the status. */
int fixture_publish(weir_session *session);
/* Reads one event with the cursor; checks that it is whole, and counts. */
int fixture_read(weir_session *session, weir_cursor *cursor);
/* Reads until there is nothing more: the last status. */
int fixture_read_all(weir_session *session, weir_cursor *cursor);
/* The newest sequence, alone. */
uint64_t fixture_newest(const weir_session *session);

#endif
