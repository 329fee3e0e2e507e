#include "histogram.h"

/* Values below 2^(BITS + 1) have a slot each. Above, the highest BITS + 1 bits of a value choose its slot, and
 * `shift` is the number of bits below them. */
static uint32_t slot_of(uint64_t value) {
    if (value >> HISTOGRAM_MAX_BITS != 0) return HISTOGRAM_SLOTS - 1;
    if (value >> (HISTOGRAM_BITS + 1) == 0) return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_BITS;
    return (shift << HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

/* The highest value that slot_of maps to the slot. */
static uint64_t highest_in(uint32_t slot) {
    if (slot >> (HISTOGRAM_BITS + 1) == 0) return slot;
    uint32_t shift = (slot >> HISTOGRAM_BITS) - 1;
    uint64_t leading = slot - ((uint64_t)shift << HISTOGRAM_BITS);
    return ((leading + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value) {
    histogram->slots[slot_of(value)]++;
    histogram->count++;
    histogram->sum += (double)value;
    if (value > histogram->max) histogram->max = value;
}

uint64_t histogram_at(const struct histogram *histogram, double share) {
    if (histogram->count == 0) return 0;
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (uint32_t slot = 0; slot < HISTOGRAM_SLOTS - 1; slot++) {
        seen += histogram->slots[slot];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t highest = highest_in(slot);
            return highest < histogram->max ? highest : histogram->max;
        }
    }
    return histogram->max;
}

double histogram_mean(const struct histogram *histogram) {
    return histogram->count == 0 ? 0 : histogram->sum / (double)histogram->count;
}
