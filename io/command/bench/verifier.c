#include "verifier.h"

#include <stdlib.h>
#include <string.h>

bool verifier_init(struct verifier *verifier, uint32_t lanes) {
    memset(verifier, 0, sizeof *verifier);
    verifier->next = malloc(lanes * sizeof *verifier->next);
    if (verifier->next == NULL) return false;
    verifier->lanes = lanes;
    for (uint32_t i = 0; i < lanes; i++) {
        verifier->next[i] = 1;
    }
    return true;
}

void verifier_free(struct verifier *verifier) {
    free(verifier->next);
    free(verifier->holes);
    memset(verifier, 0, sizeof *verifier);
}

static bool add_hole(struct verifier *verifier, uint32_t lane, uint64_t first, uint64_t last) {
    if (verifier->hole_count == verifier->hole_capacity) {
        size_t capacity = verifier->hole_capacity == 0 ? 4 : verifier->hole_capacity * 2;
        struct hole *grown = realloc(verifier->holes, capacity * sizeof *grown);
        if (grown == NULL) return false;
        verifier->holes = grown;
        verifier->hole_capacity = capacity;
    }
    verifier->holes[verifier->hole_count++] = (struct hole){.first = first, .last = last, .lane = lane};
    return true;
}

/* A number below the one expected: it fills its place in a hole, or it was here before. */
static enum verdict take_old(struct verifier *verifier, uint32_t lane, uint64_t number) {
    for (size_t i = 0; i < verifier->hole_count; i++) {
        struct hole *hole = &verifier->holes[i];
        if (hole->lane != lane || number < hole->first || number > hole->last) continue;
        uint64_t last = hole->last;
        if (number == hole->first && number == last) {
            *hole = verifier->holes[--verifier->hole_count];
        } else if (number == hole->first) {
            hole->first++;
        } else {
            hole->last = number - 1;
            if (number < last && !add_hole(verifier, lane, number + 1, last)) return VERDICT_NO_MEMORY;
        }
        verifier->missing--;
        verifier->received++;
        verifier->disordered++;
        return VERDICT_LATE;
    }
    verifier->repeated++;
    return VERDICT_REPEATED;
}

enum verdict verifier_take(struct verifier *verifier, uint32_t lane, uint64_t number) {
    uint64_t expected = verifier->next[lane];
    if (number < expected) return take_old(verifier, lane, number);
    verifier->next[lane] = number + 1;
    verifier->received++;
    if (number == expected) return VERDICT_NEXT;
    verifier->missing += number - expected;
    return add_hole(verifier, lane, expected, number - 1) ? VERDICT_AFTER_HOLE : VERDICT_NO_MEMORY;
}

void verifier_take_gap(struct verifier *verifier, const struct told_gap *gap) {
    verifier->gaps++;
    if (!gap->lost_known) {
        verifier->told_unknown = true;
    } else if (gap->first > gap->last) {
        verifier->told += gap->lost;
    } else if (gap->last > verifier->told_to) {
        verifier->told += gap->last - (gap->first > verifier->told_to ? gap->first - 1 : verifier->told_to);
        verifier->told_to = gap->last;
    }
}

void verifier_end_lane(struct verifier *verifier, uint32_t lane, uint64_t last) {
    uint64_t expected = verifier->next[lane];
    if (expected > last) return;
    verifier->missing += last - expected + 1;
    verifier->next[lane] = last + 1;
    (void)add_hole(verifier, lane, expected, last); /* only for the words: the count stands */
}

uint64_t verifier_silent_losses(const struct verifier *verifier, uint64_t refused) {
    uint64_t known = verifier->told + refused;
    return verifier->told_unknown || verifier->missing <= known ? 0 : verifier->missing - known;
}
