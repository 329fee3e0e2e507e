/* The model's attachments: their queue, their two counts, their token, and their one end. */
#include "replay_model.h"

#include <string.h>

struct model_seat *model_seat_new(struct model *model) {
    for (uint32_t i = 0; i < MODEL_SEATS; i++) {
        struct model_seat *seat = &model->seats[i];
        bool taken = false;
        for (uint32_t k = 0; k < MODEL_CONSUMERS; k++)
            taken |= model->consumers[k].life != NULL && model->consumers[k].seat == seat;
        for (uint32_t k = 0; k < MODEL_LIVES; k++)
            taken |= model->lives[k].used && model->lives[k].newest == seat;
        if (taken) continue;
        memset(seat, 0, sizeof(*seat));
        return seat;
    }
    return NULL; /* never: there is one for each that may have one */
}

uint64_t model_backlog(const struct model_seat *seat) {
    uint64_t end = seat->ended != WEIR_ENDED_NOT ? seat->end : seat->life->next;
    return end > seat->position ? end - seat->position : 0;
}

void model_close(struct model *model, struct model_seat *seat, weir_end_reason reason, uint64_t end) {
    if (seat->ended != WEIR_ENDED_NOT) return;
    seat->ended = reason;
    seat->end = end != MODEL_NEVER ? end : seat->life->next;
    if (seat->kept) model->closed[reason]++;
    if (reason == WEIR_ENDED_LAGGING) model->stats.detached_lagging++;
    if (reason == WEIR_ENDED_DISPLACED) model->stats.displaced++;
    if (seat->exclusive) model_touch(model, seat->life, WEIR_ACTIVE_DETACH);
}

bool model_judge_token(struct model *model, struct model_seat *seat) {
    if (seat->token_s == 0 || seat->token_s >= model->wall_ms / 1000) return false; /* TOK-02 */
    if (model->config.rules.token_policy == WEIR_TOKEN_CONTINUE && !seat->token_told) {
        seat->token_told = true;
        model->tokens++;
    }
    if (model->config.rules.token_policy != WEIR_TOKEN_EVICT) return false;
    model_close(model, seat, WEIR_ENDED_TOKEN, MODEL_NEVER);
    if (seat->exclusive) model_end(model, seat->life, WEIR_ENDED_TOKEN);
    return true;
}

/* The machine of BKP-04 to BKP-07. Without a bound on the total the one in a row counts even at 0: the first full. */
bool model_count_full(struct model *model, struct model_seat *seat) {
    uint32_t decay_ms = model->config.rules.full_decay_ms;
    uint64_t forgiven = decay_ms != 0 ? (model->now_ms - seat->full_ms) / decay_ms : 0;
    seat->total -= forgiven < seat->total ? (uint32_t)forgiven : seat->total;
    seat->full_ms += forgiven * decay_ms;
    bool unbounded = seat->consecutive_max == 0 && seat->total_max == 0;
    bool too_often = seat->total_max != 0 && seat->total >= seat->total_max;
    too_often |= seat->consecutive_max != 0 && seat->consecutive >= seat->consecutive_max;
    too_often |= unbounded && seat->policy != WEIR_POLICY_REFUSE;
    seat->consecutive++;
    seat->total++;
    return too_often;
}

int model_attachment_get(const struct model_life *life, weir_attachment_info *info) {
    const struct model_seat *seat = life->newest;
    memset(info, 0, sizeof(*info));
    if (seat == NULL) return WEIR_NOT_FOUND;
    info->generation = seat->generation;
    info->ended = seat->ended;
    info->backlog = model_backlog(seat);
    info->queue_depth = seat->depth;
    info->drops_consecutive = seat->consecutive;
    info->drops_total = seat->total;
    info->connected_wall_s = seat->connected_s;
    info->active_wall_s = seat->active_s;
    info->token_expiry_s = seat->token_s;
    if (seat->ended != WEIR_ENDED_NOT) return WEIR_CLOSED;
    return info->backlog >= info->queue_depth ? WEIR_FULL : WEIR_OK;
}

/* Repeating it does nothing but count as life (SES-09), nor does 0 where nobody has attached yet (SES-15). */
int model_detach(struct model *model, struct model_life *life, uint64_t generation) {
    if (generation != (life->newest != NULL ? life->newest->generation : 0)) return WEIR_NOT_FOUND;
    if (life->newest != NULL) model_close(model, life->newest, WEIR_ENDED_DETACHED, MODEL_NEVER);
    model_touch(model, life, WEIR_ACTIVE_DETACH);
    return WEIR_OK;
}
