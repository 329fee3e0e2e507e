#include <weir.h>

#include "specification.h"

static bool is_published(const struct operation *operation) {
    return operation->kind == OPERATION_PUBLISH && operation->status == WEIR_OK;
}

static bool is_event_read(const struct operation *operation) {
    return operation->kind == OPERATION_READ && operation->status == WEIR_OK;
}

static const struct operation *publisher_of(const struct operation *operations, size_t count, uint64_t value) {
    for (size_t i = 0; i < count; i++)
        if (is_published(&operations[i]) && operations[i].value == value) return &operations[i];
    return NULL;
}

static const char *publish_objection(const struct operation *operations, size_t at) {
    const struct operation *mine = &operations[at];
    for (size_t i = 0; i < at; i++) {
        if (!is_published(&operations[i])) continue;
        if (mine->sequence != 0 && operations[i].sequence == mine->sequence) return "two events have one sequence";
    }
    return NULL;
}

static const char *read_objection(const struct operation *operations, size_t count, size_t at) {
    const struct operation *publish = publisher_of(operations, count, operations[at].value);
    if (publish == NULL) return "an event that nobody published";
    if (publish->sequence != operations[at].sequence) return "an event under another sequence than its own";
    return NULL;
}

const char *events_objection(const struct operation *operations, size_t count) {
    const char *objection = NULL;
    for (size_t i = 0; i < count && objection == NULL; i++) {
        if (is_published(&operations[i])) objection = publish_objection(operations, i);
        if (is_event_read(&operations[i])) objection = read_objection(operations, count, i);
    }
    return objection;
}

void events_learn(struct operation *operations, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!is_published(&operations[i]) || operations[i].sequence != 0) continue;
        for (size_t j = 0; j < count; j++)
            if (is_event_read(&operations[j]) && operations[j].value == operations[i].value)
                operations[i].sequence = operations[j].sequence;
    }
}
