/* How far a reader may fall behind before an event is gone, and how far its gap then reaches, is what engine/session/read.c
 * decides from several looks at a ring that moves. Here the same is said as if it were one step: that there always is an
 * instant at which the answer was exact is what the histories show. */
#include <weir.h>

#include "specification.h"

#define NOT_LIMITED UINT8_MAX /* the end of a look back between its two steps: nobody reads there */

struct view {
    uint32_t limit;  /* an event with more than so many from it on cannot be read */
    uint32_t window; /* the gap reaches to the oldest of so many */
};

/* A live reader is held to its queue, one that catches up to what is kept, and one that only takes what was queued when
 * it was cut off to what is still there. */
static struct view view_of(const struct settings *settings, const union model *model, uint8_t cursor) {
    uint32_t depth = settings->cursors[cursor].depth;
    uint32_t kept = settings->capacity < depth ? depth : settings->capacity;
    struct view view = {settings->ring, settings->ring};
    if (model->log.cursors[cursor].end != 0) return view;
    if (model->log.cursors[cursor].live) {
        view.window = depth;
        if (settings->cursors[cursor].mode == CURSOR_SKIP) view.limit = depth;
    } else {
        view.window = kept;
    }
    return view;
}

/* A live reader that detaches gets what was in its queue when that overflowed, and no more. */
static void cut_off(const struct settings *settings, union model *model, uint8_t cursor) {
    uint32_t depth = settings->cursors[cursor].depth;
    if (settings->cursors[cursor].mode != CURSOR_DETACH || !model->log.cursors[cursor].live ||
        model->log.cursors[cursor].end != 0)
        return;
    if (model->log.next > model->log.cursors[cursor].next + depth)
        model->log.cursors[cursor].end = (uint8_t)(model->log.cursors[cursor].next + depth);
}

static bool step_stopped(const struct settings *settings, const struct operation *operation) {
    bool look_back = settings->cursors[operation->cursor].mode == CURSOR_LOOK_BACK;
    return operation->status == (look_back ? WEIR_EMPTY : WEIR_LAGGED);
}

static bool step_caught_up(union model *model, const struct operation *operation) {
    if (model->log.ended) return operation->status == WEIR_END;
    model->log.cursors[operation->cursor].live = 1;
    return operation->status == WEIR_EMPTY;
}

static bool step_gap(union model *model, const struct operation *operation, uint32_t window) {
    uint8_t at = model->log.cursors[operation->cursor].next;
    uint8_t end = model->log.cursors[operation->cursor].end;
    uint32_t oldest = model->log.next > window ? model->log.next - window : 1;
    if (oldest <= at) oldest = at + 1u;
    if (end != 0 && oldest > end) oldest = end;
    model->log.cursors[operation->cursor].next = (uint8_t)oldest;
    return operation->status == WEIR_GAP && operation->sequence == at && operation->last == oldest - 1;
}

static bool step_read(const struct settings *settings, union model *model, const struct operation *operation) {
    uint8_t cursor = operation->cursor;
    uint8_t at = model->log.cursors[cursor].next;
    if (model->log.cursors[cursor].end == NOT_LIMITED) return false;
    if (model->log.cursors[cursor].end != 0 && at >= model->log.cursors[cursor].end)
        return step_stopped(settings, operation);
    if (at == model->log.next) return step_caught_up(model, operation);
    cut_off(settings, model, cursor);
    struct view view = view_of(settings, model, cursor);
    if (model->log.next > at + view.limit) return step_gap(model, operation, view.window);
    model->log.cursors[cursor].next++;
    return operation->status == WEIR_OK && operation->sequence == at;
}

static uint32_t oldest_kept(const struct settings *settings, const union model *model) {
    return model->log.next > settings->capacity ? model->log.next - settings->capacity : 1;
}

/* Where a cursor comes to stand. Whether it counts as live is told at the end of what there is; one that was passed by a
 * whole ring while it was placed may be told so wrongly, which only holds it to its queue from the start. */
static bool step_place(const struct settings *settings, union model *model, const struct operation *operation) {
    uint32_t oldest = oldest_kept(settings, model);
    uint32_t wanted = oldest;
    if (operation->start == START_NOW) wanted = model->log.next;
    if (operation->start == START_AFTER) wanted = (uint32_t)operation->value + 1;
    uint32_t at = wanted < oldest ? oldest : wanted;
    bool lost = wanted < oldest;
    if (operation->sequence != at || operation->status != (lost ? WEIR_GAP : WEIR_OK)) return false;
    if (lost && operation->last != oldest - 1) return false;
    bool looks_back = settings->cursors[operation->cursor].mode == CURSOR_LOOK_BACK; /* and is never live */
    bool passed = at == oldest && at + settings->capacity == model->log.next;
    if (!looks_back && operation->live != (at == model->log.next) && !(operation->live && passed)) return false;
    model->log.cursors[operation->cursor].next = (uint8_t)at;
    model->log.cursors[operation->cursor].live = operation->live;
    model->log.cursors[operation->cursor].end = looks_back ? NOT_LIMITED : 0;
    return true;
}

static bool step_publish(union model *model, const struct operation *operation) {
    if (operation->status == WEIR_CLOSED) return model->log.ended;
    if (operation->status != WEIR_OK || model->log.ended) return false;
    if (operation->sequence != 0 && operation->sequence != model->log.next) return false;
    model->log.next++;
    return true;
}

static bool step_log(const struct settings *settings, union model *model, const struct operation *operation) {
    switch (operation->kind) {
    case OPERATION_PUBLISH:
        return step_publish(model, operation);
    case OPERATION_READ:
        return step_read(settings, model, operation);
    case OPERATION_END:
        if (operation->status != (model->log.ended ? WEIR_CLOSED : WEIR_OK)) return false;
        model->log.ended = 1;
        return true;
    case OPERATION_PLACE:
        return step_place(settings, model, operation);
    case OPERATION_LIMIT:
        model->log.cursors[operation->cursor].live = 0;
        model->log.cursors[operation->cursor].end = model->log.next;
        return operation->sequence == model->log.next;
    case OPERATION_NEXT:
        return operation->sequence == model->log.next;
    case OPERATION_OLDEST:
        return operation->sequence == oldest_kept(settings, model);
    case OPERATION_STATE:
        return operation->status == (model->log.ended ? WEIR_CLOSED : WEIR_OK);
    default:
        return false;
    }
}

const struct specification log_specification = {
    .name = "log",
    .start.log = {.next = 1},
    .step = step_log,
    .objection = events_objection,
};
