#include "token_reference.h"

#include <weir_quota.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Adds the missing padding, then takes four letters at a time. Returns the size, or -1. */
static long decode(const char *text, size_t length, char *out) {
    long size = 0;
    size_t whole = (length + 3) / 4 * 4;
    for (size_t at = 0; at < whole; at += 4) {
        uint32_t group = 0;
        int padding = 0;
        for (size_t i = at; i < at + 4; i++) {
            char letter = i < length ? text[i] : '=';
            if (letter == '+') letter = '-';
            if (letter == '/') letter = '_';
            const char *found = letter != 0 ? strchr(letters, letter) : NULL;
            if (letter == '=')
                padding++;
            else if (found == NULL || padding > 0)
                return -1;
            group = group * 64 + (found != NULL ? (uint32_t)(found - letters) : 0);
        }
        if (padding > 2 || (padding > 0 && at + 4 < whole)) return -1;
        if (group % (1u << 8 * padding) != 0) return -1;
        for (int i = 0; i < 3 - padding; i++)
            out[size++] = (char)(group >> (16 - 8 * i));
    }
    return size;
}

static unsigned depth_of(json_t *value) {
    unsigned deepest = 0;
    const char *key;
    json_t *inner;
    size_t index;
    if (!json_is_object(value) && !json_is_array(value)) return 0;
    json_object_foreach(value, key, inner) {
        unsigned depth = depth_of(inner);
        if (depth > deepest) deepest = depth;
    }
    json_array_foreach(value, index, inner) {
        unsigned depth = depth_of(inner);
        if (depth > deepest) deepest = depth;
    }
    return deepest + 1;
}

static double seconds_of(const char *json, size_t length) {
    double seconds = 0;
    for (size_t at = 0; at < length; at++)
        if (json[at] == 0) return 0;
    json_t *claims = json_loadb(json, length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    json_t *expiry = json_object_get(claims, "exp");
    if (json_is_real(expiry) && depth_of(claims) <= WEIR_TOKEN_DEPTH_MAX) seconds = trunc(json_real_value(expiry));
    json_decref(claims);
    return seconds;
}

bool token_reference(const char *token, size_t length, uint64_t *expiry_ms) {
    const char *parts[4] = {token};
    unsigned dots = 0;
    for (size_t at = 0; at < length; at++)
        if (token[at] == '.' && ++dots < 4) parts[dots] = token + at + 1;
    if (dots != 2 || length > WEIR_TOKEN_MAX) return false;
    char *json = (char *)malloc(length);
    if (json == NULL) abort();
    long size = decode(parts[1], (size_t)(parts[2] - parts[1]) - 1, json);
    double seconds = size < 0 ? 0 : seconds_of(json, (size_t)size);
    free(json);
    if (seconds <= 0) return false;
    *expiry_ms = seconds > 1e17 ? UINT64_MAX : (uint64_t)seconds;
    *expiry_ms = *expiry_ms > UINT64_MAX / 1000 ? UINT64_MAX : *expiry_ms * 1000;
    return true;
}

bool token_agrees(const char *token, size_t length) {
    uint64_t expected = 0;
    uint64_t found = 77;
    bool is_known = token_reference(token, length, &expected);
    int status = weir_token_expiry_ms(token, length, &found);
    if (!is_known) return status == WEIR_NOT_FOUND && found == 77;
    if (status != WEIR_OK) return false;
    uint64_t apart = found > expected ? found - expected : expected - found;
    return expected < 1000ull << 53 ? apart == 0 : apart <= 4000;
}

size_t token_make(char *out, const void *claims, size_t size) {
    const unsigned char *bytes = (const unsigned char *)claims;
    size_t length = 0;
    memcpy(out, "e30.", 4);
    length = 4;
    for (size_t bit = 0; bit < size * 8; bit += 6) {
        unsigned window = (unsigned)bytes[bit / 8] << 8 | (bit / 8 + 1 < size ? bytes[bit / 8 + 1] : 0u);
        out[length++] = letters[window >> (10 - bit % 8) & 63];
    }
    memcpy(out + length, ".c2ln", 5);
    return length + 5;
}
