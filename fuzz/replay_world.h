/* The engine and the model side by side, and what the driver's operations share. An operation draws its arguments from
 * the input, asks both and compares; one that is impossible as things stand is left out, so any input is a program. */
#ifndef FUZZ_REPLAY_WORLD_H
#define FUZZ_REPLAY_WORLD_H

#include "replay_model.h"
#include "require.h"

#define PRODUCERS     2u
#define NAME_COUNT    3u
#define SLOW_MAX      4096u
#define WALL_AHEAD_MS 1700000000500ull /* of the monotonic clock */

struct input {
    const uint8_t *at;
    const uint8_t *end;
};

static inline uint32_t draw(struct input *input, uint32_t below) {
    return input->at == input->end ? 0 : *input->at++ % below;
}

/* What a consumer was given, by the engine's own words (PRP-01). */
struct tally {
    uint64_t start;
    uint64_t emitted;
    uint64_t lost;
    uint64_t superseded;
    uint64_t advanced;
};

struct notices {
    uint32_t closed[MODEL_REASONS];
    uint32_t ended[MODEL_REASONS];
    uint32_t tokens;
    bool slow[SLOW_MAX]; /* by generation */
};

struct world {
    struct model model;
    weir_engine *engine;
    weir_producer *producers[PRODUCERS];
    weir_session *handles[MODEL_LIVES]; /* one reference each while the life is held */
    weir_cursor cursors[MODEL_CONSUMERS];
    struct tally tallies[MODEL_CONSUMERS];
    struct notices notices;
    uint64_t clock_ms;
    bool leapt; /* a month has passed */
    uint64_t drawn;
    uint64_t generation; /* the largest that was given */
    uint64_t last_epoch; /* of the session that was created last */
    uint64_t ended_epoch;
};

static inline weir_session *handle_of(const struct world *world, const struct model_life *life) {
    return world->handles[life - world->model.lives];
}

static inline void fill_payload(uint8_t *data, uint32_t length, uint8_t seed) {
    for (uint32_t i = 0; i < length; i++)
        data[i] = (uint8_t)(seed + i * 13 + (i >> 8));
}

/* A session that the driver holds; NULL when there is none. */
struct model_life *choose_life(struct world *world, struct input *input);

/* Makes the engine from the input, and opens the first sessions. */
void open_world(struct world *world, struct input *input);

/* The engine's answers to questions that change nothing. */
void check_world(struct world *world);

/* ---- Operations ----------------------------------------------------------------------------------------------- */

/* replay_publish.c */
void publish_one(struct world *world, struct input *input);
void publish_many(struct world *world, struct input *input);

/* replay_consume.c */
void begin(struct world *world, struct input *input, enum model_way way);
void read_some(struct world *world, struct input *input);
void read_to_the_end(struct world *world, struct model_consumer *consumer);
void move(struct world *world, struct input *input);
void detach(struct world *world, struct input *input);
void unsubscribe(struct world *world, struct model_consumer *consumer);
void unsubscribe_one(struct world *world, struct input *input);

/* replay_sessions.c */
void open_session(struct world *world, const char *name, size_t length, weir_open mode);
void create_session(struct world *world, const char *name, size_t length, struct input *input);
void change_sessions(struct world *world, struct input *input);
void release(struct world *world, struct model_life *life);
void pass_time(struct world *world, struct input *input);
void sweep(struct world *world, struct input *input);
void shut_down(struct world *world);
const char *choose_name(struct world *world, struct input *input, size_t *length);

#endif
