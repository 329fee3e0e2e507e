#include "payload.h"

#include <string.h>

#define MAGIC "weirbench1 "

/* Where each field starts, and its digits. A space follows each. */
enum {
    RUN_AT = sizeof MAGIC - 1,
    RUN_DIGITS = 8,
    SESSION_AT = RUN_AT + RUN_DIGITS + 1,
    SESSION_DIGITS = 8,
    PUBLISHER_AT = SESSION_AT + SESSION_DIGITS + 1,
    PUBLISHER_DIGITS = 4,
    NUMBER_AT = PUBLISHER_AT + PUBLISHER_DIGITS + 1,
    NUMBER_DIGITS = 12,
    DUE_AT = NUMBER_AT + NUMBER_DIGITS + 1,
    DUE_DIGITS = 16,
    HASH_AT = DUE_AT + DUE_DIGITS + 1,
    HASH_DIGITS = 16,
    FILLER_AT = HASH_AT + HASH_DIGITS
};
_Static_assert((int)FILLER_AT == (int)PAYLOAD_MIN, "the smallest payload is all fields and no filler");

/* Eight bytes at a time: this runs for every delivery, and must cost less than the delivery. It has to notice
 * accidents, not attacks. */
static uint64_t mix(uint64_t hash, const char *bytes, size_t length) {
    const uint64_t factor = 0x9E3779B97F4A7C15u;
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, length);
    hash = (hash ^ rest ^ (uint64_t)length << 56) * factor;
    return hash ^ hash >> 32;
}

static uint64_t hash_of(const char *text, size_t size) {
    return mix(mix(size, text, HASH_AT), text + FILLER_AT, size - FILLER_AT);
}

static void write_hex(char *out, unsigned digits, uint64_t value) {
    for (unsigned i = digits; i > 0; i--, value >>= 4) {
        out[i - 1] = "0123456789abcdef"[value & 15];
    }
}

/* The hash has shown that these are digits: '0' to '9' end in their values, 'a' to 'f' in theirs less nine. */
static uint64_t read_hex(const char *text, unsigned digits) {
    uint64_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        value = value << 4 | ((uint64_t)(text[i] & 15) + (uint64_t)(text[i] >> 6 & 1) * 9);
    }
    return value;
}

void payload_write(char *out, size_t size, const struct payload *payload) {
    memset(out, ' ', FILLER_AT);
    memcpy(out, MAGIC, sizeof MAGIC - 1);
    write_hex(out + RUN_AT, RUN_DIGITS, payload->run);
    write_hex(out + SESSION_AT, SESSION_DIGITS, payload->session);
    write_hex(out + PUBLISHER_AT, PUBLISHER_DIGITS, payload->publisher);
    write_hex(out + NUMBER_AT, NUMBER_DIGITS, payload->number);
    write_hex(out + DUE_AT, DUE_DIGITS, payload->due_ns);
    unsigned letter = (unsigned)(payload->number % 26);
    for (size_t i = FILLER_AT; i < size; i++) {
        out[i] = (char)('a' + letter);
        letter = letter == 25 ? 0 : letter + 1;
    }
    write_hex(out + HASH_AT, HASH_DIGITS, hash_of(out, size));
}

enum payload_result payload_read(struct span text, size_t size, struct payload *payload) {
    if (text.length < sizeof MAGIC - 1 || memcmp(text.data, MAGIC, sizeof MAGIC - 1) != 0) return PAYLOAD_STRANGE;
    if (text.length != size) return PAYLOAD_CORRUPT;
    char hash[HASH_DIGITS];
    write_hex(hash, HASH_DIGITS, hash_of(text.data, size));
    if (memcmp(hash, text.data + HASH_AT, HASH_DIGITS) != 0) return PAYLOAD_CORRUPT;
    payload->run = (uint32_t)read_hex(text.data + RUN_AT, RUN_DIGITS);
    payload->session = (uint32_t)read_hex(text.data + SESSION_AT, SESSION_DIGITS);
    payload->publisher = (uint32_t)read_hex(text.data + PUBLISHER_AT, PUBLISHER_DIGITS);
    payload->number = read_hex(text.data + NUMBER_AT, NUMBER_DIGITS);
    payload->due_ns = read_hex(text.data + DUE_AT, DUE_DIGITS);
    return PAYLOAD_FINE;
}
