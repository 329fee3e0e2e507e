#include <weir.h>

#include "specification.h"

static bool step_publish(const struct settings *settings, union model *model, const struct operation *operation) {
    bool full = (uint32_t)(model->queue.next - model->queue.position) >= settings->queue;
    switch (operation->status) {
    case WEIR_OK:
        if (model->queue.ended || full) return false;
        if (operation->sequence != 0 && operation->sequence != model->queue.next) return false;
        model->queue.next++;
        return true;
    case WEIR_FULL:
        return !model->queue.ended && full;
    case WEIR_TIMEOUT: /* a wait whose time is up before it begins: it would have had to wait, or found the end */
        return model->queue.ended || full;
    case WEIR_CLOSED:
        return model->queue.ended;
    default:
        return false;
    }
}

static bool step_read(union model *model, const struct operation *operation) {
    bool empty = model->queue.position == model->queue.next;
    switch (operation->status) {
    case WEIR_OK:
        if (empty || operation->sequence != model->queue.position) return false;
        model->queue.position++;
        return true;
    case WEIR_EMPTY:
        return empty && !model->queue.ended;
    case WEIR_END:
        return empty && model->queue.ended;
    default:
        return false; /* a queue that refuses has no gaps */
    }
}

static bool step_queue(const struct settings *settings, union model *model, const struct operation *operation) {
    switch (operation->kind) {
    case OPERATION_PUBLISH:
        return step_publish(settings, model, operation);
    case OPERATION_READ:
        return step_read(model, operation);
    case OPERATION_END:
        if (operation->status != (model->queue.ended ? WEIR_CLOSED : WEIR_OK)) return false;
        model->queue.ended = 1;
        return true;
    case OPERATION_NEXT:
        return operation->sequence == model->queue.next;
    case OPERATION_STATE:
        return operation->status == (model->queue.ended ? WEIR_CLOSED : WEIR_OK);
    default:
        return false;
    }
}

const struct specification queue_specification = {
    .name = "queue",
    .start.queue = {.next = 1, .position = 1},
    .step = step_queue,
    .objection = events_objection,
};
