#include "line_ranges.h"

#include <stdbool.h>
#include <stdlib.h>

static bool make_room(struct line_ranges *set) {
    if (set->count < set->capacity) return true;
    size_t capacity = set->capacity == 0 ? 16 : set->capacity * 2;
    struct line_range *grown = realloc(set->ranges, capacity * sizeof *grown);
    if (grown == NULL) return false;
    set->ranges = grown;
    set->capacity = capacity;
    return true;
}

void line_ranges_add(struct line_ranges *set, uint64_t first, uint64_t last) {
    set->lines += last - first + 1;
    if (set->count > 0 && set->ranges[set->count - 1].last + 1 == first) {
        set->ranges[set->count - 1].last = last;
    } else if (make_room(set)) {
        set->ranges[set->count++] = (struct line_range){first, last};
    } else if (set->count > 0) {
        set->ranges[set->count - 1].last = last;
    }
}

void line_ranges_print(const struct line_ranges *set, FILE *out) {
    for (size_t i = 0; i < set->count; i++) {
        const struct line_range *range = &set->ranges[i];
        fprintf(out, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)range->first);
        if (range->last > range->first) fprintf(out, "-%llu", (unsigned long long)range->last);
    }
}

void line_ranges_free(struct line_ranges *set) {
    free(set->ranges);
    *set = (struct line_ranges){0};
}
