/* Histories written by hand: wrong ones, each by a fault that has a name, and right ones that look wrong. */
#ifndef HISTORY_EXAMPLES_H
#define HISTORY_EXAMPLES_H

#include <weir.h>

#include "specification.h"

#define EXAMPLE_MAX 20u

struct example {
    const char *name;
    struct operation operations[EXAMPLE_MAX]; /* up to the first without a kind */
};

/* All of one specification and one setting. */
struct examples {
    const struct specification *specification;
    struct settings settings;
    const struct example *wrong;
    size_t wrong_count;
    const struct example *right;
    size_t right_count;
};

extern const struct examples queue_examples; /* a queue of two */
extern const struct examples log_examples;   /* a ring of two; cursor 0 skips, 1 detaches, 2 looks back */
extern const struct examples registry_examples;

/* Short ways to write operations down: thread, the instants of call and answer, what was asked, what was told. */
#define OPERATION(kind_, thread_, from, to, status_, ...)                                                            \
    {                                                                                                                \
        .kind = OPERATION_##kind_, .thread = thread_, .invoked = from, .responded = to, .status = WEIR_##status_,    \
        __VA_ARGS__                                                                                                  \
    }
#define PUT(thread_, from, to, value_, sequence_)                                                                    \
    OPERATION(PUBLISH, thread_, from, to, OK, .value = value_, .sequence = sequence_)
#define PUT_NOT(thread_, from, to, value_, status_) OPERATION(PUBLISH, thread_, from, to, status_, .value = value_)
#define GET(thread_, from, to, cursor_, value_, sequence_)                                                           \
    OPERATION(READ, thread_, from, to, OK, .cursor = cursor_, .value = value_, .sequence = sequence_)
#define GET_NOT(thread_, from, to, cursor_, status_) OPERATION(READ, thread_, from, to, status_, .cursor = cursor_)
#define GAP(thread_, from, to, cursor_, first_, last_)                                                               \
    OPERATION(READ, thread_, from, to, GAP, .cursor = cursor_, .sequence = first_, .last = last_)
#define END(thread_, from, to, status_)      OPERATION(END, thread_, from, to, status_, .value = 0)
#define NEXT(thread_, from, to, sequence_)   OPERATION(NEXT, thread_, from, to, OK, .sequence = sequence_)
#define OLDEST(thread_, from, to, sequence_) OPERATION(OLDEST, thread_, from, to, OK, .sequence = sequence_)
#define STATE(thread_, from, to, status_)    OPERATION(STATE, thread_, from, to, status_, .value = 0)
/* A cursor that comes to the empty log, and one that comes later. */
#define COME(thread_, from, to, cursor_)                                                                             \
    OPERATION(PLACE, thread_, from, to, OK, .cursor = cursor_, .sequence = 1, .live = 1)
#define PLACE(thread_, from, to, cursor_, start_, after_, sequence_, live_)                                          \
    OPERATION(PLACE, thread_, from, to, OK, .cursor = cursor_, .start = start_, .value = after_,                     \
              .sequence = sequence_, .live = live_)
#define PLACE_GAP(thread_, from, to, cursor_, after_, sequence_, last_)                                              \
    OPERATION(PLACE, thread_, from, to, GAP, .cursor = cursor_, .start = START_AFTER, .value = after_,               \
              .sequence = sequence_, .last = last_)
#define LIMIT(thread_, from, to, cursor_, sequence_)                                                                 \
    OPERATION(LIMIT, thread_, from, to, OK, .cursor = cursor_, .sequence = sequence_)

#define EXAMPLES(list) list, sizeof(list) / sizeof((list)[0])

#endif
