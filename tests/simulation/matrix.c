#include "matrix.h"

#include <stdio.h>

static const char *const site_names[MATRIX_SITES] = {
    "accept",        "receive request", "receive on stream", "receive in linger",
    "send answer",   "send batch",      "send control",      "wait",
    "server memory", "engine memory"};

static const char *const fault_names[MATRIX_FAULTS] = {"partial",
                                                       "late",
                                                       "lost",
                                                       "overtaken",
                                                       "reset",
                                                       "finished",
                                                       "no buffer",
                                                       "no room",
                                                       "cancelled",
                                                       "cancel beaten",
                                                       "cancel slow",
                                                       "zero",
                                                       "early",
                                                       "broken",
#define NAME_OF(name, kinds) #name,
                                                       SIMULATED_ERROR_LIST(NAME_OF)
#undef NAME_OF
                                                           "time leap",
                                                       "refused"};

enum { A = 1, R = 2, S = 4, W = 8, M = 16 };

static unsigned family_of(enum matrix_site site) {
    switch (site) {
    case SITE_ACCEPT:
        return A;
    case SITE_RECEIVE_REQUEST:
    case SITE_RECEIVE_STREAM:
    case SITE_RECEIVE_LINGER:
        return R;
    case SITE_SEND_ANSWER:
    case SITE_SEND_BATCH:
    case SITE_SEND_CONTROL:
        return S;
    case SITE_WAIT:
        return W;
    default:
        return M;
    }
}

static const unsigned families[MATRIX_FAULTS] = {
    [SIMULATED_PARTIAL] = R | S,
    [SIMULATED_LATE] = A | R | S,
    [SIMULATED_LOST] = A | R | S,
    [SIMULATED_OVERTAKEN] = A | R | S,
    [SIMULATED_RESET] = A | R | S,
    [SIMULATED_FINISHED] = R,
    [SIMULATED_NO_BUFFER] = R,
    [SIMULATED_NO_ROOM] = S,
    [SIMULATED_CANCELLED] = A | R | S,
    [SIMULATED_CANCEL_BEATEN] = A | R | S,
    [SIMULATED_CANCEL_SLOW] = A | R | S,
    [SIMULATED_ZERO] = S,
    [SIMULATED_EARLY] = W,
    [SIMULATED_BROKEN] = W,
#define FAMILY_OF(name, kinds) [SIMULATED_##name] = (kinds),
    SIMULATED_ERROR_LIST(FAMILY_OF)
#undef FAMILY_OF
        [MATRIX_LEAP] = W,
    [MATRIX_REFUSED] = M,
};

bool matrix_possible(enum matrix_site site, unsigned fault) {
    return families[fault] & family_of(site);
}

unsigned matrix_count(const uint64_t hits[MATRIX_SITES][MATRIX_FAULTS], unsigned *possible, bool print_missed) {
    unsigned count = 0;
    *possible = 0;
    for (unsigned site = 0; site < MATRIX_SITES; site++) {
        for (unsigned fault = 0; fault < MATRIX_FAULTS; fault++) {
            if (!matrix_possible(site, fault)) continue;
            ++*possible;
            count += hits[site][fault] > 0;
            if (print_missed && hits[site][fault] == 0)
                printf("never hit: %s at %s\n", fault_names[fault], site_names[site]);
        }
    }
    return count;
}

void matrix_print(const uint64_t hits[MATRIX_SITES][MATRIX_FAULTS]) {
    for (unsigned site = 0; site < MATRIX_SITES; site++) {
        printf("%s:", site_names[site]);
        for (unsigned fault = 0; fault < MATRIX_FAULTS; fault++)
            if (matrix_possible(site, fault))
                printf(" %s %llu,", fault_names[fault], (unsigned long long)hits[site][fault]);
        printf("\n");
    }
}
