#include <stdlib.h>

#include "trial.h"

/* Each thread has a cursor of its own, which may come again, and now and then looks back with another one. */
static uint8_t own_cursor(const struct lane *lane) {
    return (uint8_t)lane->index;
}
static uint8_t look_back_cursor(const struct lane *lane) {
    return (uint8_t)(TEAM_MAX + lane->index);
}

static void note_place(const struct trial *trial, struct operation *operation, const weir_cursor *cursor,
                       const weir_gap *gap) {
    operation->sequence = cursor->next - trial->subject->before;
    operation->last = gap->last - trial->subject->before;
    operation->live = cursor->live;
}

static weir_subscription subscription_of(const struct trial *trial, const struct lane *lane, uint8_t start) {
    bool detaches = trial->history.settings.cursors[lane->index].mode == CURSOR_DETACH;
    return (weir_subscription){.policy = detaches ? WEIR_POLICY_DETACH : WEIR_POLICY_SKIP,
                               .queue_depth = trial->history.settings.cursors[lane->index].depth,
                               .start = (weir_start)start,
                               .after = lane->cursor.next - 1};
}

static void come(struct trial *trial, struct lane *lane, uint8_t start) {
    weir_subscription how = subscription_of(trial, lane, start);
    weir_gap gap;
    weir_unsubscribe(trial->session, &lane->cursor);
    struct operation *operation = lane_begin(trial, lane, OPERATION_PLACE);
    int status = weir_subscribe(trial->session, &how, &lane->cursor, &gap);
    lane_finish(trial, operation, status);
    operation->cursor = own_cursor(lane);
    operation->start = start & 3;
    operation->value = how.after - trial->subject->before;
    note_place(trial, operation, &lane->cursor, &gap);
}

/* Where one look back begins and where it stops are two looks at the ring in one call. */
static void look_back(struct trial *trial, struct lane *lane) {
    weir_gap gap;
    struct operation *place = lane_begin(trial, lane, OPERATION_PLACE);
    int status = weir_replay(trial->session, NULL, &lane->look_back, &gap);
    lane_finish(trial, place, status);
    place->cursor = look_back_cursor(lane);
    note_place(trial, place, &lane->look_back, &gap);
    place->live = 0;
    struct operation *limit = &lane->operations[lane->count++];
    *limit = *place;
    limit->kind = OPERATION_LIMIT;
    limit->sequence = lane->look_back.end - trial->subject->before;
    for (uint32_t i = random_below(&lane->random, 3); i > 0; i--)
        lane_read(trial, lane, &lane->look_back, look_back_cursor(lane));
}

static void make_step(struct trial *trial, struct lane *lane) {
    uint32_t die = random_below(&lane->random, 40);
    if (trial->finishing != 0 && random_below(&lane->random, trial->finishing) == 0)
        lane_end(trial, lane);
    else if (die < 20)
        lane_publish(trial, lane);
    else if (die < 35)
        lane_read(trial, lane, &lane->cursor, own_cursor(lane));
    else if (die < 37)
        lane_look(trial, lane);
    else if (die < 39)
        come(trial, lane, (uint8_t)random_below(&lane->random, 3));
    else
        look_back(trial, lane);
}

static void make_steps(void *context, uint32_t index) {
    struct trial *trial = (struct trial *)context;
    struct lane *lane = &trial->lanes[index];
    /* A step may note up to five operations. */
    for (uint32_t i = 0; i < lane->steps && lane->count + 5 < 48 / trial->threads; i++) {
        lane_pause(lane);
        make_step(trial, lane);
    }
}

void log_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed) {
    trial->history.specification = &log_specification;
    trial_begin(trial, team, subject, seed, 36);
    trial_open_session(trial);
    for (uint32_t i = 0; i < team->size; i++) {
        struct lane *lane = &trial->lanes[i];
        struct settings *settings = &trial->history.settings;
        settings->cursors[i].depth = 1 + random_below(&lane->random, subject->ring);
        settings->cursors[i].mode = random_below(&lane->random, 3) == 0 ? CURSOR_DETACH : CURSOR_SKIP;
        settings->cursors[look_back_cursor(lane)].depth = subject->capacity;
        settings->cursors[look_back_cursor(lane)].mode = CURSOR_LOOK_BACK;
        lane->cursor = (weir_cursor){0};
        come(trial, lane, START_OLDEST);
    }
    team_run(team, make_steps, trial);
    for (uint32_t i = 0; i < team->size; i++)
        weir_unsubscribe(trial->session, &trial->lanes[i].cursor);
    trial_close_session(trial);
    trial_collect(trial);
}
