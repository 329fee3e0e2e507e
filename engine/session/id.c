/* Wire ids: "<epoch>.<sequence>". The epoch is 11 digits to base 64, the sequence decimal; both have one spelling
 * only. Every byte is one that clients send back unchanged and browsers send without a preflight. */
#include "id.h"

#include <string.h>

#include "engine.h"

#define EPOCH_DIGITS 11

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

size_t weir_epoch_format(uint64_t epoch, char *out) {
    for (int i = EPOCH_DIGITS - 1; i >= 0; i--) {
        out[i] = digits[epoch & 63];
        epoch >>= 6;
    }
    return EPOCH_DIGITS;
}

size_t weir_id_format(uint64_t epoch, uint64_t sequence, char *out) {
    char reversed[20];
    size_t count = 0;
    size_t length = weir_epoch_format(epoch, out);
    out[length++] = '.';
    do {
        reversed[count++] = (char)('0' + sequence % 10);
        sequence /= 10;
    } while (sequence > 0);
    while (count > 0)
        out[length++] = reversed[--count];
    return length;
}

size_t weir_session_id_format(const weir_session *session, uint64_t sequence, char *out) {
    char form[WEIR_ID_MAX];
    size_t length = weir_id_format(session->epoch, sequence, form);
    size_t skip = session->engine->config.rules.id_form == WEIR_IDS_BARE ? EPOCH_DIGITS + 1 : 0;
    memcpy(out, form + skip, length - skip);
    return length - skip;
}

static int digit_value(char byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'A' && byte <= 'Z') return byte - 'A' + 10;
    if (byte >= 'a' && byte <= 'z') return byte - 'a' + 36;
    if (byte == '-') return 62;
    return byte == '_' ? 63 : -1;
}

static bool parse_epoch(const char *text, uint64_t *epoch) {
    *epoch = 0;
    for (int i = 0; i < EPOCH_DIGITS; i++) {
        int value = digit_value(text[i]);
        if (value < 0 || *epoch >> 58 != 0) return false; /* 66 bits are written where 64 exist */
        *epoch = *epoch << 6 | (uint64_t)value;
    }
    return true;
}

static bool parse_sequence(const char *text, size_t length, uint64_t *sequence) {
    if (length == 0 || length > 19 || (text[0] == '0' && length > 1)) return false; /* 19 digits cannot overflow */
    *sequence = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        *sequence = *sequence * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}

bool id_parse(const char *text, size_t length, uint64_t *epoch, uint64_t *sequence) {
    if (length < EPOCH_DIGITS + 2 || length > WEIR_ID_MAX || text[EPOCH_DIGITS] != '.') return false;
    return parse_epoch(text, epoch) && parse_sequence(text + EPOCH_DIGITS + 1, length - EPOCH_DIGITS - 1, sequence);
}

bool id_parse_bare(const char *text, size_t length, uint64_t *sequence) {
    uint64_t value = 0;
    if (length == 0 || length > 20) return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *sequence = value;
    return true;
}
