/* Operations as they were seen from outside: who called what, when the call began and when it returned, and what it said.
 * A history is a set of them; whether some order of single steps explains it is search.h's question.
 *
 * Instants are numbers of one counter that every thread draws from: before the call (`invoked`) and after it (`responded`).
 * Drawing is a read-modify-write of one word, so the numbers have one order, and an operation that responded before
 * another was invoked really was over by then. What the counter adds to an operation only makes it longer, so it can hide
 * a fault but never invent one. (A time stamp counter would be cheaper, but nothing promises that those of two cores
 * agree: a history could then be called wrong that was right.) */
#ifndef HISTORY_OPERATION_H
#define HISTORY_OPERATION_H

#include <stdbool.h>
#include <stdint.h>

enum operation_kind {
    OPERATION_PUBLISH = 1, /* `value`; OK gives `sequence`, 0 where the call does not tell it; FULL, CLOSED */
    OPERATION_READ,        /* OK gives `sequence` and `value`; GAP `sequence` to `last`; EMPTY, END, LAGGED */
    OPERATION_END,         /* OK: this call ended it; CLOSED: it had ended */
    OPERATION_PLACE,       /* a cursor at `start`: OK or GAP (`last` before it), `sequence` is where it stands */
    OPERATION_LIMIT,       /* where one look back stops: `sequence` */
    OPERATION_NEXT,        /* a look at the next free `sequence` */
    OPERATION_OLDEST,      /* at the oldest one kept */
    OPERATION_STATE,       /* OK: the session, or the one of epoch `value`, lives; CLOSED: it has ended */
    OPERATION_OPEN,        /* by name: OK gives epoch `value`, `created` tells whether it is new; NOT_FOUND */
    OPERATION_CREATE,      /* by name: OK gives epoch `value`; BUSY */
    OPERATION_REMOVE,      /* by name: OK or NOT_FOUND */
    OPERATION_SEND,        /* by name: OK; NOT_FOUND and CLOSED say that there is none */
    OPERATION_END_LIFE,    /* of epoch `value`: OK or CLOSED */
    OPERATION_WRITE        /* into the session of epoch `value`: OK or CLOSED */
};

enum operation_start { START_OLDEST = 0, START_NOW, START_AFTER };

struct operation {
    uint64_t invoked;
    uint64_t responded;
    uint64_t sequence;
    uint64_t value;
    uint64_t last;
    int32_t status; /* weir_status */
    uint8_t kind;
    uint8_t thread;
    uint8_t cursor; /* which one; in histories of the registry which name */
    uint8_t start : 2;
    uint8_t created : 1;
    uint8_t live : 1; /* PLACE: the cursor stands at the end of what there is */
};

#endif
