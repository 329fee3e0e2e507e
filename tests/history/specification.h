/* What a thing is that is used by one caller at a time: a state, and which answers are right in it. A history of
 * concurrent calls is right when it has an order that a specification accepts (search.h). */
#ifndef HISTORY_SPECIFICATION_H
#define HISTORY_SPECIFICATION_H

#include <stddef.h>

#include "operation.h"

#define CURSORS_MAX 8u

enum cursor_mode { CURSOR_SKIP = 0, CURSOR_DETACH, CURSOR_LOOK_BACK };

/* What is fixed for a history. Sequences count from 1. */
struct settings {
    uint32_t ring;     /* places: the smallest power of two that holds the capacity */
    uint32_t capacity; /* events kept for those who come */
    uint32_t queue;    /* bound of the queue */
    struct {
        uint32_t depth;
        enum cursor_mode mode;
    } cursors[CURSORS_MAX];
};

/* Small and without pointers: two states are equal when their bytes are. */
union model {
    uint64_t words[4];
    struct {
        uint8_t next; /* first sequence not published */
        uint8_t position;
        uint8_t ended;
    } queue;
    struct {
        uint8_t next;
        uint8_t ended;
        struct {
            uint8_t next;
            uint8_t live;
            uint8_t end; /* where delivery stops; 0: nowhere */
        } cursors[CURSORS_MAX];
    } log;
    struct {
        uint64_t epoch; /* of the session that has the name; 0: none */
    } registry;
};

struct specification {
    const char *name;
    union model start;
    /* Whether the answer is right in this state, which becomes the one after it. */
    bool (*step)(const struct settings *settings, union model *model, const struct operation *operation);
    /* NULL, or what is wrong with the whole whatever the order: events from nowhere, a number given twice. */
    const char *(*objection)(const struct operation *operations, size_t count);
};

/* A session with one attached consumer and WEIR_POLICY_REFUSE: nothing is lost, and what finds it full stays outside. */
extern const struct specification queue_specification;
/* A session that keeps its newest events, and cursors on it: what one cannot get any more is a gap of exactly that. */
extern const struct specification log_specification;
/* One name, and the sessions that have it one after the other. */
extern const struct specification registry_specification;

/* For objections: each event that was read is one that was published, at its sequence, and no two have the same sequence
 * or value. Publishes that were not told their sequence learn it from the reads. */
const char *events_objection(const struct operation *operations, size_t count);

/* Fills in the sequences that publishes were not told, from whoever read them. */
void events_learn(struct operation *operations, size_t count);

#endif
