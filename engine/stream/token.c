/* When a bearer token expires, read from the claims of a JSON Web Token without verifying them. */
#include <weir_quota.h>

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* The bytes of the part between the first dot and the last of exactly two. */
static bool find_claims(const char *token, size_t length, const char **claims, size_t *claims_length) {
    const char *end = token + length;
    const char *first = memchr(token, '.', length);
    if (first == NULL) return false;
    const char *second = memchr(first + 1, '.', (size_t)(end - first - 1));
    if (second == NULL || memchr(second + 1, '.', (size_t)(end - second - 1)) != NULL) return false;
    *claims = first + 1;
    *claims_length = (size_t)(second - first - 1);
    return true;
}

/* -1 for what is no letter of base64 or base64url. */
static int letter_value(unsigned char letter) {
    if (letter >= 'A' && letter <= 'Z') return letter - 'A';
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9') return letter - '0' + 52;
    if (letter == '-' || letter == '+') return 62;
    return letter == '_' || letter == '/' ? 63 : -1;
}

/* Padding may be there, wholly, in part or not at all, but no more than it takes. Bits that are left over must be 0:
 * there is one spelling of each text. */
static bool decode(const char *letters, size_t length, char *bytes, size_t *bytes_length) {
    size_t padding = 0;
    while (padding < 2 && padding < length && letters[length - 1 - padding] == '=')
        padding++;
    length -= padding;
    if (length % 4 == 1 || padding > (4 - length % 4) % 4) return false;
    uint32_t bits = 0;
    size_t written = 0;
    for (size_t at = 0; at < length; at++) {
        int value = letter_value((unsigned char)letters[at]);
        if (value < 0) return false;
        bits = bits << 6 | (uint32_t)value;
        if (at % 4 > 0) bytes[written++] = (char)(bits >> (6 - at % 4 * 2));
    }
    *bytes_length = written;
    return length % 4 == 0 || (bits & (length % 4 == 2 ? 15u : 3u)) == 0;
}

/* jansson descends once per level, and a token's author chooses the levels: keep them off a small stack. Brackets are
 * only miscounted in what is no JSON. */
static bool is_shallow(const char *json, size_t length) {
    unsigned depth = 0;
    bool in_string = false;
    for (size_t at = 0; at < length; at++) {
        char byte = json[at];
        if (in_string) {
            if (byte == '\\') at++;
            in_string = byte != '"';
        } else if (byte == '"') {
            in_string = true;
        } else if (byte == '[' || byte == '{') {
            if (++depth > WEIR_TOKEN_DEPTH_MAX) return false;
        } else if (byte == ']' || byte == '}') {
            depth -= depth > 0;
        }
    }
    return true;
}

/* An integer of more than 63 bits is JSON, but no integer of jansson's: such claims are read once more, with all
 * numbers as reals. */
static json_t *parse(const char *json, size_t length) {
    json_error_t error;
    if (memchr(json, 0, length) != NULL) return NULL; /* which jansson passes over behind a value */
    json_t *claims = json_loadb(json, length, JSON_ALLOW_NUL, &error);
    if (claims == NULL && json_error_code(&error) == json_error_numeric_overflow)
        claims = json_loadb(json, length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    return claims;
}

/* Whole seconds, cut toward zero; 0 for what is no number or below 1. */
static uint64_t expiry_seconds(const json_t *value) {
    if (json_is_integer(value)) {
        json_int_t seconds = json_integer_value(value);
        return seconds > 0 ? (uint64_t)seconds : 0;
    }
    if (!json_is_real(value)) return 0;
    double seconds = json_real_value(value);
    if (!(seconds >= 1.0)) return 0;
    return seconds < 0x1p63 ? (uint64_t)seconds : UINT64_MAX; /* a conversion out of range is undefined */
}

int weir_token_expiry_ms(const char *token, size_t length, uint64_t *expiry_ms) {
    char json[WEIR_TOKEN_MAX / 4 * 3];
    const char *letters;
    size_t letters_length;
    size_t json_length;
    if (token == NULL || length > WEIR_TOKEN_MAX) return WEIR_NOT_FOUND;
    if (!find_claims(token, length, &letters, &letters_length)) return WEIR_NOT_FOUND;
    if (!decode(letters, letters_length, json, &json_length)) return WEIR_NOT_FOUND;
    if (!is_shallow(json, json_length)) return WEIR_NOT_FOUND;
    json_t *claims = parse(json, json_length);
    uint64_t seconds = expiry_seconds(json_object_get(claims, "exp"));
    json_decref(claims);
    if (seconds == 0) return WEIR_NOT_FOUND;
    *expiry_ms = seconds > UINT64_MAX / 1000 ? UINT64_MAX : seconds * 1000;
    return WEIR_OK;
}
