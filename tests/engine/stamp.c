#include "stamp.h"

#include <string.h>

/* FNV-1a over words, and over the bytes that are left. */
static uint64_t checksum_of(const struct stamp *stamp, uint32_t length) {
    const unsigned char *bytes = (const unsigned char *)stamp;
    uint64_t sum = 14695981039346656037u;
    size_t at = sizeof(stamp->checksum);
    for (; at + 8 <= length; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        sum = (sum ^ word) * 1099511628211u;
        sum ^= sum >> 29;
    }
    for (; at < length; at++)
        sum = (sum ^ bytes[at]) * 1099511628211u;
    return sum;
}

void stamp_seal(struct stamp *stamp, uint32_t length) {
    unsigned char *bytes = (unsigned char *)stamp;
    stamp->length = length;
    for (size_t at = sizeof(*stamp); at < length; at++)
        bytes[at] = (unsigned char)(stamp->number + stamp->producer * 7 + at);
    stamp->checksum = checksum_of(stamp, length);
}

int stamp_is_whole(const struct stamp *stamp, uint32_t length) {
    return length >= sizeof(*stamp) && stamp->length == length && stamp->checksum == checksum_of(stamp, length);
}
