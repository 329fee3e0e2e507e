/* One short history of the real engine: a few threads call it as their dice say, and note what it answered. */
#ifndef HISTORY_TRIAL_H
#define HISTORY_TRIAL_H

#include <weir.h>

#include "search.h"
#include "team.h"

#define LANE_MAX 24u /* operations that one thread can note */

/* What one thread notes; nobody else writes there meanwhile. */
struct lane {
    CACHE_ALIGNED struct operation operations[LANE_MAX];
    uint32_t count;
    uint32_t index;
    uint32_t steps; /* that it is going to make */
    uint32_t published;
    struct random random;
    weir_cursor cursor;
    weir_cursor look_back;
    weir_session *held[2];
};

struct subject;

struct trial {
    struct subject *subject;
    struct history history;
    uint32_t threads;
    uint32_t finishing; /* one in so many steps ends the session; 0: none */
    weir_session *session;
    weir_channel *channel;
    atomic_u64 instants;
    struct lane lanes[TEAM_MAX];
};

/* An engine with rings of one size, which all histories of a kind share: so memory is used again all the time. */
struct subject {
    weir_engine *engine;
    weir_producer *producers[TEAM_MAX];
    uint32_t capacity;
    uint32_t ring;
    uint64_t before; /* the first sequence is behind it; histories count from 1 */
};

/* `first_sequence` as in weir_config. */
void subject_open(struct subject *subject, uint32_t capacity, uint64_t first_sequence);
void subject_close(struct subject *subject);

/* Runs a history of this kind by the dice of `seed`, and leaves it in trial->history. */
void queue_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed);
void log_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed);
/* Of two names; `name` of them is left in trial->history. */
void registry_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed);
void registry_part(struct trial *trial, uint8_t name);

/* ---- For those three ---------------------------------------------------------------------------------------------- */

/* Empties the trial, and deals steps to its threads. */
void trial_begin(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed, uint32_t steps);

/* Puts all that was noted into the history. */
void trial_collect(struct trial *trial);

/* Opens the trial's session and a channel with it as only member, and gives both back. */
void trial_open_session(struct trial *trial);
void trial_close_session(struct trial *trial);

/* The next operation of the lane, which begins now; and the end of the operation. */
struct operation *lane_begin(struct trial *trial, struct lane *lane, enum operation_kind kind);
void lane_finish(struct trial *trial, struct operation *operation, int status);

/* Now and then lets another thread have the core. */
void lane_pause(struct lane *lane);

/* Publishes an event of its own in one of the ways that there are, and notes it. */
void lane_publish(struct trial *trial, struct lane *lane);

/* Reads one event, and notes it. The status of the read. */
int lane_read(struct trial *trial, struct lane *lane, weir_cursor *cursor, uint8_t number);

/* Ends the session, by its handle or by its name, and notes it. */
void lane_end(struct trial *trial, struct lane *lane);

/* Looks at the session: next, oldest, state. */
void lane_look(struct trial *trial, struct lane *lane);

#endif
