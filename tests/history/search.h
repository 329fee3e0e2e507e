/* Is there an order? A history is linearizable when its operations can be put in a row in which each that responded before
 * another was invoked stands before it, and which the specification accepts. The search is Wing and Gong's: take any
 * operation that may come next, go on from the state after it, come back when that leads nowhere. What was once found to
 * lead nowhere, a set of operations done and the state after them, is remembered and not gone into again (Lowe). */
#ifndef HISTORY_SEARCH_H
#define HISTORY_SEARCH_H

#include "specification.h"

#define HISTORY_MAX 64u /* operations of one history: a set of them is a word */

struct history {
    const struct specification *specification;
    struct settings settings;
    uint32_t count;
    struct operation operations[HISTORY_MAX];
};

/* What was seen on the way: one for each thread that searches, used for one history after the other. */
struct search;
struct search *search_create(void);
void search_destroy(struct search *search);

/* NULL when the history is right, else what is wrong with it. Sequences that were not told are filled in. */
const char *history_judge(struct search *search, struct history *history);

/* Makes a wrong history smaller for whoever has to understand it: cut behind the first answer that nothing explains, and
 * without the observations and the cursors that it does not need. What is left is wrong by itself. */
void history_minimise(struct search *search, struct history *history);

/* One line for each operation, in the order in which they began. */
void history_print(const struct history *history);

#endif
