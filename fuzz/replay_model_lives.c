/* The model's sessions: their names, their owners, and the times at which they end. */
#include "replay_model.h"

#include <string.h>

#define LONGEST_MS (1ull << 53)
#define MONTH_MS   (30ull * 24 * 60 * 60 * 1000)

struct model_life *model_find(struct model *model, const char *name, size_t length) {
    for (uint32_t i = 0; i < MODEL_LIVES; i++) {
        struct model_life *life = &model->lives[i];
        if (life->used && life->ended == WEIR_ENDED_NOT && life->name_length == length &&
            memcmp(life->name, name, length) == 0)
            return life;
    }
    return NULL;
}

bool model_end(struct model *model, struct model_life *life, weir_end_reason reason) {
    if (life->ended != WEIR_ENDED_NOT) return false;
    life->ended = reason;
    if (life->newest != NULL) model_close(model, life->newest, reason, MODEL_NEVER);
    model->ended[reason]++;
    model->stats.sessions--;
    model->stats.sessions_ended++;
    model->stats.sessions_expired += reason == WEIR_ENDED_EXPIRED;
    model->stats.evicted_overflow += reason == WEIR_ENDED_OVERFLOW;
    model->stats.evicted_token += reason == WEIR_ENDED_TOKEN;
    model->stats.evicted_peer += reason == WEIR_ENDED_PEER;
    life->used = life->held;
    return true;
}

void model_release(struct model_life *life) {
    life->held = false;
    if (life->ended != WEIR_ENDED_NOT) life->used = false;
}

void model_touch(struct model *model, struct model_life *life, uint32_t activity) {
    if (model->config.rules.activity & activity) life->touched_ms = model->now_ms;
}

/* ---- Times ---------------------------------------------------------------------------------------------------- */

/* The ttl itself is past (C-26). So once it is past it stays past, until something counts as life (PRP-07). */
static bool is_past(const struct model *model, uint64_t since_ms, uint64_t ttl_ms) {
    return model->now_ms - since_ms >= ttl_ms;
}

static uint64_t configured_ttl_ms(const struct model *model) {
    return model->config.idle_ttl_ms == WEIR_NONE ? MODEL_NEVER : model->config.idle_ttl_ms;
}

static bool is_idle(struct model *model, struct model_life *life, uint64_t ttl_ms) {
    const weir_rules *rules = &model->config.rules;
    bool stream_counts = rules->idle_scope == WEIR_IDLE_DETACHED || (rules->activity & WEIR_ACTIVE_STREAM) != 0;
    if (ttl_ms == MODEL_NEVER || (stream_counts && model_subscribers(model, life) > 0)) return false;
    uint64_t active_ms = life->touched_ms;
    if ((rules->activity & WEIR_ACTIVE_SEND) && life->next > model->first) {
        uint64_t published_ms = model_event_of(model, life, life->next - 1)->time_ms;
        if (published_ms > active_ms) active_ms = published_ms;
    }
    return is_past(model, active_ms, ttl_ms);
}

static bool end_if_due(struct model *model, struct model_life *life, uint32_t what, uint64_t idle_ttl_ms) {
    uint32_t absolute_ttl_ms = model->config.absolute_ttl_ms;
    bool due =
        (what & WEIR_SWEEP_ABSOLUTE) && absolute_ttl_ms != 0 && is_past(model, life->created_ms, absolute_ttl_ms);
    due |= (what & WEIR_SWEEP_IDLE) && is_idle(model, life, idle_ttl_ms);
    return due && model_end(model, life, WEIR_ENDED_EXPIRED);
}

/* Bound to the seat that the session has now: an older one's token and silence are nobody's concern (PRP-05). */
static bool sweep_seat(struct model *model, struct model_life *life, uint32_t what) {
    struct model_seat *seat = life->newest;
    uint32_t ttl_ms = model->config.consumer_ttl_ms;
    if (seat == NULL || seat->ended != WEIR_ENDED_NOT) return false;
    if ((what & WEIR_SWEEP_TOKENS) && model_judge_token(model, seat)) return true;
    if ((what & WEIR_SWEEP_CONSUMERS) && ttl_ms != 0 && is_past(model, seat->seen_ms, ttl_ms))
        model_close(model, seat, WEIR_ENDED_SILENT, MODEL_NEVER);
    return false;
}

uint32_t model_sweep(struct model *model, uint32_t what, uint64_t idle_ttl_ms, bool ended[MODEL_LIVES]) {
    uint32_t count = 0;
    if (what == 0) what = UINT32_MAX;
    if (idle_ttl_ms > LONGEST_MS) idle_ttl_ms = MONTH_MS; /* TTL-06 */
    if (idle_ttl_ms == 0) idle_ttl_ms = configured_ttl_ms(model);
    for (uint32_t i = 0; i < MODEL_LIVES; i++) {
        struct model_life *life = &model->lives[i];
        ended[i] = false;
        if (!life->used || life->ended != WEIR_ENDED_NOT) continue;
        ended[i] = sweep_seat(model, life, what) || end_if_due(model, life, what, idle_ttl_ms);
        count += ended[i];
    }
    return count;
}

/* Due times lie on the schedule that began with the engine; those that were missed are not made up (TTL-17). */
uint32_t model_maintain(struct model *model, uint32_t *next_ms) {
    uint64_t interval_ms = model->config.sweep_interval_ms;
    bool ended[MODEL_LIVES];
    uint32_t count = 0;
    *next_ms = UINT32_MAX;
    if (interval_ms == WEIR_NONE) return 0;
    if (model->now_ms >= model->sweep_due_ms) count = model_sweep(model, 0, 0, ended);
    while (model->sweep_due_ms <= model->now_ms)
        model->sweep_due_ms += ((model->now_ms - model->sweep_due_ms) / interval_ms + 1) * interval_ms;
    *next_ms = (uint32_t)(model->sweep_due_ms - model->now_ms);
    return count;
}

/* ---- Names ---------------------------------------------------------------------------------------------------- */

/* A lookup: ends a session that is past its times as far as they bind lookups (TTL-09, TTL-11). */
static struct model_life *look_up(struct model *model, const char *name, size_t length) {
    struct model_life *life = model_find(model, name, length);
    uint32_t what = WEIR_SWEEP_ABSOLUTE;
    if (model->config.rules.activity & WEIR_ACTIVE_LOOKUP) what |= WEIR_SWEEP_IDLE;
    return life != NULL && end_if_due(model, life, what, configured_ttl_ms(model)) ? NULL : life;
}

static int create(struct model *model, const char *name, size_t length, uint32_t tenant, uint32_t principal,
                  struct model_life **out) {
    if (model->shut_down) return WEIR_SHUT_DOWN;
    for (uint32_t i = 0; i < MODEL_LIVES; i++) {
        struct model_life *life = &model->lives[i];
        if (life->used) continue;
        memset(life, 0, offsetof(struct model_life, events));
        life->used = life->held = true;
        life->name_length = length;
        if (name != NULL) memcpy(life->name, name, length);
        life->tenant = tenant;
        life->principal = principal;
        life->next = model->first;
        life->created_ms = life->touched_ms = model->now_ms;
        life->created_wall_ms = model->wall_ms;
        model->stats.sessions++;
        model->stats.sessions_created++;
        *out = life;
        return WEIR_OK;
    }
    return WEIR_SESSIONS_LIMIT;
}

int model_session_open(struct model *model, const char *name, size_t length, weir_open mode, struct model_life **out,
                       bool *created) {
    bool may_create = mode == WEIR_OPEN_OR_CREATE || (mode == WEIR_OPEN_RESERVE && model->config.replay_capacity > 0);
    *out = look_up(model, name, length);
    *created = false;
    if (*out != NULL) {
        model_touch(model, *out, WEIR_ACTIVE_LOOKUP);
        return WEIR_OK;
    }
    if (!may_create || model->config.rules.id_mode == WEIR_NAMES_SERVER) return WEIR_NOT_FOUND;
    int status = create(model, name, length, 0, 0, out);
    *created = status == WEIR_OK;
    return status;
}

int model_session_create(struct model *model, const char *name, size_t length, uint32_t tenant, uint32_t principal,
                         struct model_life **out) {
    uint32_t limit = model->config.max_principal_sessions;
    uint32_t theirs = 0;
    *out = NULL;
    for (uint32_t i = 0; i < MODEL_LIVES; i++)
        theirs += model->lives[i].used && principal != 0 && model->lives[i].principal == principal;
    if (name != NULL && model->config.rules.id_mode == WEIR_NAMES_SERVER) return WEIR_INVALID;
    if (limit != 0 && theirs >= limit) return WEIR_PRINCIPAL_LIMIT;
    struct model_life *taken = name != NULL ? look_up(model, name, length) : NULL;
    if (taken != NULL) {
        model_touch(model, taken, WEIR_ACTIVE_LOOKUP);
        return WEIR_BUSY;
    }
    return create(model, name, length, tenant, principal, out);
}

/* Only a lookup that gives the session to its owner counts as life (TTL-12). */
int model_session_find(struct model *model, const char *name, size_t length, uint32_t tenant, uint32_t principal,
                       struct model_life **out) {
    struct model_life *life = look_up(model, name, length);
    int status = life != NULL ? WEIR_OK : WEIR_NOT_FOUND;
    *out = NULL;
    if (life != NULL && principal != 0 && life->principal != principal) status = WEIR_PRINCIPAL_MISMATCH;
    if (life != NULL && tenant != 0 && life->tenant != tenant) status = WEIR_TENANT_MISMATCH;
    if (status != WEIR_OK && model->config.rules.scope_errors == WEIR_SCOPE_MASK) status = WEIR_NOT_FOUND;
    if (status != WEIR_OK) return status;
    model_touch(model, life, WEIR_ACTIVE_LOOKUP);
    *out = life;
    return WEIR_OK;
}
