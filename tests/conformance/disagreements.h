/* disagreements.txt: the cases that a peer reads otherwise than weir does, each under its reason.
 *
 *   because REASON
 *           MORE OF IT
 *     PEER CASE OURS THEIRS      verdicts as verdict_shorten writes them; of equal ones the requests differ */
#ifndef WEIR_TESTS_CONFORMANCE_DISAGREEMENTS_H
#define WEIR_TESTS_CONFORMANCE_DISAGREEMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/span.h"

struct disagreement {
    struct span reason, peer, name, ours, theirs;
    unsigned line;
    bool seen;
};

struct disagreement_list {
    struct disagreement *items;
    size_t count;
    char *text; /* that the spans point into */
};

/* Ends the program when the file is not well formed. */
void disagreements_read(struct disagreement_list *list, const char *path);
void disagreements_free(struct disagreement_list *list);
/* The one of this peer about this case; NULL when there is none. */
struct disagreement *disagreements_find(struct disagreement_list *list, const char *peer, struct span name);

#endif
