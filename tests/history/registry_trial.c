#include <string.h>

#include "trial.h"

static const char *const names[2] = {"left", "right"};

static uint64_t epoch_of(const weir_session *session) {
    weir_session_info info;
    weir_session_info_get(session, &info);
    return info.epoch;
}

/* Keeps what was found in place of what this thread had of that name. */
static void hold(struct lane *lane, uint8_t name, weir_session *session) {
    weir_session_release(lane->held[name]);
    lane->held[name] = session;
}

/* Finds or makes: in each of the ways that there are. */
static void open_by_name(struct trial *trial, struct lane *lane, uint8_t name) {
    weir_engine *engine = trial->subject->engine;
    size_t length = strlen(names[name]);
    uint32_t way = random_below(&lane->random, 8);
    weir_session *session = NULL;
    int created = 0;
    int status;
    /* What is made here would be told as found otherwise, when it is freed and made again meanwhile. */
    struct operation *operation = lane_begin(trial, lane, way == 0 ? OPERATION_CREATE : OPERATION_OPEN);
    if (way == 0) {
        status = weir_session_create(engine, names[name], length, NULL, &session, NULL);
        created = status == WEIR_OK;
    } else if (way == 1) {
        status = weir_session_find(engine, names[name], length, NULL, &session);
    } else if (way < 4) {
        status = weir_session_open(engine, names[name], length, WEIR_OPEN_EXISTING, &session, NULL);
    } else {
        weir_open mode = way == 4 ? WEIR_OPEN_RESERVE : WEIR_OPEN_OR_CREATE;
        status = weir_session_open(engine, names[name], length, mode, &session, &created);
    }
    lane_finish(trial, operation, status);
    operation->cursor = name;
    operation->created = created != 0;
    if (session == NULL) return;
    operation->value = epoch_of(session);
    hold(lane, name, session);
}

static void use_by_name(struct trial *trial, struct lane *lane, uint8_t name) {
    const weir_message message = {.data = "by name", .length = 7};
    bool removes = random_below(&lane->random, 3) != 0;
    struct operation *operation = lane_begin(trial, lane, removes ? OPERATION_REMOVE : OPERATION_SEND);
    int status =
        removes ? weir_session_remove(trial->subject->engine, names[name], strlen(names[name]))
                : weir_send(trial->subject->producers[lane->index], names[name], strlen(names[name]), &message, NULL);
    lane_finish(trial, operation, status);
    operation->cursor = name;
}

/* Of the session that this thread holds, which may have ended and its name may be another's. */
static void use_held(struct trial *trial, struct lane *lane, uint8_t name) {
    static const enum operation_kind kinds[] = {OPERATION_END_LIFE, OPERATION_WRITE, OPERATION_STATE};
    weir_session *session = lane->held[name];
    enum operation_kind kind = kinds[random_below(&lane->random, 3)];
    weir_session_info info;
    int status = WEIR_OK;
    struct operation *operation = lane_begin(trial, lane, kind);
    if (kind == OPERATION_END_LIFE) {
        status = weir_session_terminate(session);
    } else if (kind == OPERATION_WRITE) {
        status = weir_publish(trial->subject->producers[lane->index], session, 0, "held", 4, NULL);
    } else {
        weir_session_info_get(session, &info);
        status = info.ended == WEIR_ENDED_NOT ? WEIR_OK : WEIR_CLOSED;
    }
    lane_finish(trial, operation, status);
    operation->cursor = name;
    operation->value = epoch_of(session);
}

static void make_steps(void *context, uint32_t index) {
    struct trial *trial = (struct trial *)context;
    struct lane *lane = &trial->lanes[index];
    for (uint32_t i = 0; i < lane->steps; i++) {
        uint32_t die = random_below(&lane->random, 10);
        uint8_t name = random_below(&lane->random, 4) == 0;
        lane_pause(lane);
        if (die < 4)
            open_by_name(trial, lane, name);
        else if (die < 7 || lane->held[name] == NULL)
            use_by_name(trial, lane, name);
        else
            use_held(trial, lane, name);
        if (die == 9) hold(lane, name, NULL); /* so that its memory is used again meanwhile */
    }
}

void registry_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed) {
    trial->history.specification = &registry_specification;
    trial_begin(trial, team, subject, seed, 40);
    for (uint32_t i = 0; i < team->size; i++)
        memset(trial->lanes[i].held, 0, sizeof(trial->lanes[i].held));
    team_run(team, make_steps, trial);
    for (uint32_t i = 0; i < team->size; i++)
        for (uint8_t name = 0; name < 2; name++)
            hold(&trial->lanes[i], name, NULL);
    for (uint8_t name = 0; name < 2; name++)
        weir_session_remove(subject->engine, names[name], strlen(names[name]));
}

/* Names have nothing to do with each other: a history is right when its part of each name is. */
void registry_part(struct trial *trial, uint8_t name) {
    uint32_t count = 0;
    trial_collect(trial);
    for (uint32_t i = 0; i < trial->history.count; i++)
        if (trial->history.operations[i].cursor == name)
            trial->history.operations[count++] = trial->history.operations[i];
    trial->history.count = count;
}
