/* A set of line numbers, added in rising order and kept as ranges, to be told exactly. */
#ifndef WEIR_IO_COMMAND_LINE_RANGES_H
#define WEIR_IO_COMMAND_LINE_RANGES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct line_range {
    uint64_t first;
    uint64_t last;
};

struct line_ranges {
    struct line_range *ranges;
    size_t count;
    size_t capacity;
    uint64_t lines; /* in all */
};

/* Both ends included. Without memory for one range more the last one is widened, so that nothing goes missing. */
void line_ranges_add(struct line_ranges *set, uint64_t first, uint64_t last);

/* "7, 12-15" */
void line_ranges_print(const struct line_ranges *set, FILE *out);

void line_ranges_free(struct line_ranges *set);

#endif
