#include <weir.h>

#include "specification.h"

/* A call that finds or makes the session of the name. */
static bool step_open(union model *model, const struct operation *operation, int refusal, bool refused_when_there) {
    bool there = model->registry.epoch != 0;
    if (operation->status == refusal) return there == refused_when_there;
    if (operation->status != WEIR_OK) return false;
    if (!operation->created) return there && operation->value == model->registry.epoch;
    model->registry.epoch = operation->value;
    return !there;
}

/* A call on the session of one epoch, whoever has its name by now. */
static bool step_life(union model *model, const struct operation *operation, bool ends) {
    bool alive = model->registry.epoch == operation->value;
    if (operation->status != (alive ? WEIR_OK : WEIR_CLOSED)) return false;
    if (alive && ends) model->registry.epoch = 0;
    return true;
}

static bool step_by_name(union model *model, const struct operation *operation, bool ends) {
    bool there = model->registry.epoch != 0;
    if (operation->status == WEIR_OK && ends) model->registry.epoch = 0;
    return operation->status == WEIR_OK ? there : !there;
}

static bool step_registry(const struct settings *settings, union model *model, const struct operation *operation) {
    (void)settings;
    switch (operation->kind) {
    case OPERATION_OPEN:
        return step_open(model, operation, WEIR_NOT_FOUND, false);
    case OPERATION_CREATE:
        return step_open(model, operation, WEIR_BUSY, true);
    case OPERATION_REMOVE:
        return step_by_name(model, operation, true);
    case OPERATION_SEND:
        return step_by_name(model, operation, false);
    case OPERATION_END_LIFE:
        return step_life(model, operation, true);
    case OPERATION_WRITE:
    case OPERATION_STATE:
        return step_life(model, operation, false);
    default:
        return false;
    }
}

static const char *objection(const struct operation *operations, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!operations[i].created) continue;
        if (operations[i].value == 0) return "a session without an epoch";
        for (size_t j = 0; j < i; j++)
            if (operations[j].created && operations[j].value == operations[i].value)
                return "two sessions of one epoch";
    }
    return NULL;
}

const struct specification registry_specification = {
    .name = "registry",
    .step = step_registry,
    .objection = objection,
};
