#include "long_check.h"

#include <stdlib.h>
#include <string.h>
#include <weir.h>

#define THREADS_MAX 256u

struct long_event {
    uint64_t value;
    uint64_t invoked;
    uint64_t responded;    /* 0: not published in this piece */
    uint64_t earliest;     /* it cannot have been there before: all up to it had begun */
    uint64_t latest;       /* it must have been there after that: one from it on had answered */
    uint64_t read_invoked; /* by the queue's consumer; counted from `position` */
    uint64_t read_responded;
};

void long_open(struct long_check *check, const struct settings *settings, size_t room) {
    memset(check, 0, sizeof(*check));
    check->settings = *settings;
    check->room = room + sizeof(check->kept) / sizeof(check->kept[0]); /* a queue may be read that far back */
    check->next = 1;
    check->events = (struct long_event *)calloc(check->room, sizeof(*check->events));
    if (check->events == NULL) abort();
    for (uint32_t i = 0; i < CURSORS_MAX; i++) {
        check->cursors[i].next = 1;
        check->cursors[i].live = true;
    }
}

void long_close(struct long_check *check) {
    free(check->events);
    check->events = NULL;
}

/* ---- When was what there -------------------------------------------------------------------------------------- */

static uint64_t earliest(const struct long_check *check, uint64_t sequence) {
    if (sequence < check->next) return 0;
    return sequence - check->next < check->count ? check->events[sequence - check->next].earliest : UINT64_MAX;
}

static uint64_t latest(const struct long_check *check, uint64_t sequence) {
    if (sequence < check->next) return 0;
    return sequence - check->next < check->count ? check->events[sequence - check->next].latest : UINT64_MAX;
}

/* Whether the sequence can have been published at some instant of the operation, and whether it was at every one. */
static bool may_be_there(const struct long_check *check, uint64_t sequence, const struct operation *operation) {
    return earliest(check, sequence) < operation->responded;
}
static bool must_be_there(const struct long_check *check, uint64_t sequence, const struct operation *operation) {
    return latest(check, sequence) < operation->invoked;
}

/* The most that can have been published by then: how many began before. */
static uint64_t most_published(const struct long_check *check, uint64_t instant) {
    size_t low = 0;
    size_t high = check->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (check->events[middle].earliest < instant)
            low = middle + 1;
        else
            high = middle;
    }
    return check->next + low;
}

/* The least that the consumer can have read by then: how many reads had answered. */
static uint64_t least_read(const struct long_check *check, uint64_t reads, uint64_t instant) {
    uint64_t low = 0;
    uint64_t high = reads;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (check->events[middle].read_responded < instant)
            low = middle + 1;
        else
            high = middle;
    }
    return check->position + low;
}

/* ---- Publishes ------------------------------------------------------------------------------------------------ */

static bool is_published(const struct operation *operation) {
    return operation->kind == OPERATION_PUBLISH && operation->status == WEIR_OK;
}

static const char *place_event(struct long_check *check, const struct operation *operation,
                               uint64_t *last_of_thread) {
    if (operation->sequence < check->next || operation->sequence - check->next >= check->room)
        return "a sequence from nowhere";
    struct long_event *event = &check->events[operation->sequence - check->next];
    if (event->responded != 0) return "two events have one sequence";
    if (operation->sequence <= last_of_thread[operation->thread]) return "a producer's own order is turned round";
    last_of_thread[operation->thread] = operation->sequence;
    event->value = operation->value;
    event->invoked = operation->invoked;
    event->responded = operation->responded;
    check->count++;
    return NULL;
}

static const char *place_events(struct long_check *check, const struct operation *operations, size_t count,
                                size_t *at) {
    uint64_t last_of_thread[THREADS_MAX] = {0};
    memset(check->events, 0, check->room * sizeof(*check->events));
    check->count = 0;
    for (*at = 0; *at < count; ++*at) {
        if (!is_published(&operations[*at])) continue;
        const char *objection = place_event(check, &operations[*at], last_of_thread);
        if (objection != NULL) return objection;
    }
    return NULL;
}

/* Dense, and in the order of time: from the first on what had begun, from the last one back what had answered. */
static const char *order_events(struct long_check *check) {
    uint64_t begun = 0;
    uint64_t answered = UINT64_MAX;
    for (size_t i = 0; i < check->count; i++) {
        struct long_event *event = &check->events[i];
        if (event->responded == 0) return "a sequence is left out";
        if (begun > event->responded) return "sequences are against the order of the answers";
        if (event->invoked > begun) begun = event->invoked;
        event->earliest = begun;
    }
    for (size_t i = check->count; i-- > 0;) {
        struct long_event *event = &check->events[i];
        if (event->responded < answered) answered = event->responded;
        event->latest = answered;
    }
    return NULL;
}

/* ---- Everything else ------------------------------------------------------------------------------------------ */

static bool tells_of_the_end(const struct operation *operation) {
    return operation->status == WEIR_CLOSED || operation->status == WEIR_END;
}

/* The end came after its call, and before its answer or whatever else told of it. */
static const char *find_end(struct long_check *check, const struct operation *operations, size_t count, size_t *at) {
    check->end_invoked = check->ended ? 0 : UINT64_MAX;
    check->end_responded = check->end_invoked;
    for (*at = 0; *at < count; ++*at) {
        const struct operation *operation = &operations[*at];
        bool ends = operation->kind == OPERATION_END && operation->status == WEIR_OK;
        if ((ends || tells_of_the_end(operation)) && operation->responded < check->end_responded)
            check->end_responded = operation->responded;
        if (!ends) continue;
        if (check->end_invoked != UINT64_MAX) return "ended by two";
        check->end_invoked = operation->invoked;
    }
    return NULL;
}

static uint64_t value_of(const struct long_check *check, uint64_t sequence) {
    if (sequence >= check->next) return check->events[sequence - check->next].value;
    return check->kept[sequence % (sizeof(check->kept) / sizeof(check->kept[0]))];
}

static const char *read_event(struct long_check *check, const struct operation *operation, uint64_t limit) {
    uint64_t at = check->cursors[operation->cursor].next++;
    check->cursors[operation->cursor].events++;
    if (operation->sequence != at) return "not the next event";
    if (!may_be_there(check, at, operation)) return "an event before it was published";
    if (check->settings.queue == 0 && must_be_there(check, at + limit, operation))
        return "an event that the ring had lost";
    if (operation->value != value_of(check, at)) return "not the event that was published";
    return NULL;
}

static const char *read_gap(struct long_check *check, const struct operation *operation, uint64_t limit,
                            uint64_t window) {
    uint64_t at = check->cursors[operation->cursor].next;
    uint64_t oldest = operation->last + 1;
    if (check->settings.queue != 0) return "a gap in a queue that refuses";
    if (operation->sequence != at || oldest <= at) return "a gap that does not begin at the cursor";
    check->cursors[operation->cursor].next = oldest;
    check->cursors[operation->cursor].lost += oldest - at;
    if (!may_be_there(check, at + limit, operation)) return "a gap where nothing was lost";
    if (!may_be_there(check, oldest + window - 1, operation)) return "a gap that is too large";
    return must_be_there(check, oldest + window, operation) ? "a gap that is too small" : NULL;
}

static const char *check_read(struct long_check *check, const struct operation *operation) {
    uint8_t cursor = operation->cursor;
    uint64_t depth = check->settings.cursors[cursor].depth;
    uint64_t at = check->cursors[cursor].next;
    bool live = check->cursors[cursor].live;
    uint64_t limit = live ? depth : check->settings.ring;
    uint64_t window = live || check->settings.capacity < depth ? depth : check->settings.capacity;
    if (check->cursors[cursor].over && operation->status != WEIR_END) return "an answer after END";
    switch (operation->status) {
    case WEIR_OK:
        return read_event(check, operation, limit);
    case WEIR_GAP:
        return read_gap(check, operation, limit, window);
    case WEIR_EMPTY:
        check->cursors[cursor].live = true;
        if (check->end_responded < operation->invoked) return "EMPTY after the end";
        return must_be_there(check, at, operation) ? "EMPTY with an event there" : NULL;
    case WEIR_END:
        check->cursors[cursor].over = true;
        if (check->end_invoked > operation->responded) return "END before the end";
        return at != check->next + check->count ? "END with events unread" : NULL;
    default:
        return "an answer that no read gives";
    }
}

static const char *check_publish(const struct long_check *check, const struct operation *operation, uint64_t reads) {
    uint64_t queue = check->settings.queue;
    uint64_t needed = operation->sequence - queue; /* must have been read, or there was no room */
    switch (operation->status) {
    case WEIR_OK:
        if (check->end_responded < operation->invoked) return "OK after the end";
        if (queue == 0 || operation->sequence <= queue || needed < check->position) return NULL;
        if (needed - check->position >= reads) return "OK when it was full";
        return check->events[needed - check->position].read_invoked > operation->responded ? "OK when it was full"
                                                                                           : NULL;
    case WEIR_FULL:
        if (check->end_responded < operation->invoked) return "FULL after the end";
        if (queue == 0) return "FULL in a log";
        return most_published(check, operation->responded) - least_read(check, reads, operation->invoked) < queue
                   ? "FULL when there was room"
                   : NULL;
    case WEIR_CLOSED:
        return check->end_invoked > operation->responded ? "CLOSED before the end" : NULL;
    default:
        return "an answer that no publish gives";
    }
}

static const char *check_look(const struct long_check *check, const struct operation *operation) {
    if (operation->sequence > 1 && !may_be_there(check, operation->sequence - 1, operation))
        return "a next sequence from nowhere";
    return must_be_there(check, operation->sequence, operation) ? "a next sequence of the past" : NULL;
}

/* What the consumer read, by how many it had read before: its reads are one after the other. */
static uint64_t note_reads(struct long_check *check, const struct operation *operations, size_t count) {
    uint64_t reads = 0;
    for (size_t i = 0; i < count; i++) {
        const struct operation *operation = &operations[i];
        if (operation->kind != OPERATION_READ || operation->cursor != 0 || operation->status != WEIR_OK) continue;
        if (reads == check->room) break;
        check->events[reads].read_invoked = operation->invoked;
        check->events[reads++].read_responded = operation->responded;
    }
    return reads;
}

static const char *check_others(struct long_check *check, const struct operation *operations, size_t count,
                                size_t *at) {
    uint64_t reads = note_reads(check, operations, count);
    for (*at = 0; *at < count; ++*at) {
        const struct operation *operation = &operations[*at];
        const char *objection = NULL;
        if (operation->kind == OPERATION_READ) objection = check_read(check, operation);
        if (operation->kind == OPERATION_PUBLISH) objection = check_publish(check, operation, reads);
        if (operation->kind == OPERATION_NEXT) objection = check_look(check, operation);
        if (operation->kind == OPERATION_END && operation->status != WEIR_OK &&
            check->end_invoked > operation->responded)
            objection = "ended by nobody";
        if (objection != NULL) return objection;
    }
    return NULL;
}

/* The state at the end of the piece. */
static void move_cut(struct long_check *check) {
    size_t room = sizeof(check->kept) / sizeof(check->kept[0]);
    for (size_t i = check->count > room ? check->count - room : 0; i < check->count; i++)
        check->kept[(check->next + i) % room] = check->events[i].value;
    check->next += check->count;
    check->position = check->cursors[0].next;
    check->ended = check->end_invoked != UINT64_MAX;
}

const char *long_judge(struct long_check *check, const struct operation *operations, size_t count, size_t *at) {
    check->position = check->cursors[0].next;
    const char *objection = place_events(check, operations, count, at);
    if (objection == NULL) objection = order_events(check);
    if (objection == NULL) objection = find_end(check, operations, count, at);
    if (objection == NULL) objection = check_others(check, operations, count, at);
    if (objection == NULL) move_cut(check);
    return objection;
}
