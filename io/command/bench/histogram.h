/* A log-linear histogram of durations: slots of equal width inside each power of two, 1,024 of them, so that a figure
 * read back is off by less than a thousandth of itself: three significant digits. Memory is fixed and recording is a
 * few instructions, whatever the spread. */
#ifndef WEIR_IO_COMMAND_BENCH_HISTOGRAM_H
#define WEIR_IO_COMMAND_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_BITS = 10,     /* log2 of the slots in one power of two */
    HISTOGRAM_MAX_BITS = 42, /* values of 2^42 and more (73 minutes in ns) share the last slot; `max` stays exact */
    HISTOGRAM_SLOTS = (HISTOGRAM_MAX_BITS - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS
};

struct histogram {
    uint64_t count;
    uint64_t max;
    double sum;
    uint64_t slots[HISTOGRAM_SLOTS];
};

/* A histogram that is all zeros is empty. */
void histogram_record(struct histogram *histogram, uint64_t value);

/* The smallest recorded value, to three digits and rounded up, that at least this share (0 to 1) of all values does
 * not exceed; 0 when there are none. */
uint64_t histogram_at(const struct histogram *histogram, double share);

double histogram_mean(const struct histogram *histogram);

#endif
