#include <stdlib.h>

#include "trial.h"

static void make_steps(void *context, uint32_t index) {
    struct trial *trial = (struct trial *)context;
    struct lane *lane = &trial->lanes[index];
    for (uint32_t i = 0; i < lane->steps; i++) {
        lane_pause(lane);
        if (trial->finishing != 0 && random_below(&lane->random, trial->finishing) == 0)
            lane_end(trial, lane);
        else if (index == 0 && random_below(&lane->random, 8) != 0)
            lane_read(trial, lane, &lane->cursor, 0);
        else
            lane_publish(trial, lane);
    }
}

/* Nothing that was accepted may be missing in the end: the consumer reads until there is nothing. */
static void drain(struct trial *trial) {
    while (lane_read(trial, &trial->lanes[0], &trial->lanes[0].cursor, 0) == WEIR_OK) {
    }
}

void queue_trial(struct trial *trial, struct team *team, struct subject *subject, uint64_t seed) {
    struct lane *consumer = &trial->lanes[0];
    trial->history.specification = &queue_specification;
    trial_begin(trial, team, subject, seed, 36);
    uint32_t depth = 1 + random_below(&consumer->random, subject->ring);
    weir_subscription how = {.policy = WEIR_POLICY_REFUSE, .queue_depth = depth};
    trial->history.settings.queue = depth;
    trial_open_session(trial);
    if (weir_attach(trial->session, &how, &consumer->cursor, NULL) != WEIR_OK) abort();
    team_run(team, make_steps, trial);
    drain(trial);
    weir_unsubscribe(trial->session, &consumer->cursor);
    trial_close_session(trial);
    trial_collect(trial);
}
