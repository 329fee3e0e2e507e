/* The scans here run over every payload that enters or leaves, so each takes whole blocks while there is nothing to do in
 * them, and single bytes only around what there is. */
#include "text.h"

#include "block.h"

/* ---- UTF-8 -------------------------------------------------------------------------------------------------- */

static bool is_continuation(unsigned char byte) {
    return (byte & 0xC0) == 0x80;
}

/* Size of the well-formed character at the start of `bytes`, 0 when there is none. The bounds on the second byte keep
 * out overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629 section 4). */
static size_t character_size(const unsigned char *bytes, size_t length) {
    unsigned char first = bytes[0];
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4 || length < 2) return 0;
    if (first < 0xE0) return is_continuation(bytes[1]) ? 2 : 0;

    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t size = first < 0xF0 ? 3 : 4;
    if (length < size || bytes[1] < low || bytes[1] > high || !is_continuation(bytes[2])) return 0;
    return size == 3 || is_continuation(bytes[3]) ? size : 0;
}

size_t text_utf8_valid_prefix(struct span text) {
    size_t at = 0;
    while (at < text.length) {
        if (text.length - at >= sizeof(block) && !any(load_block(text.data + at) & 0x80)) {
            at += sizeof(block);
            continue;
        }
        size_t size = character_size((const unsigned char *)text.data + at, text.length - at);
        if (size == 0) break;
        at += size;
    }
    return at;
}

/* ---- Names -------------------------------------------------------------------------------------------------- */

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static char lower(char byte) {
    return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

static bool is_name_byte(char byte) {
    char folded = lower(byte);
    return is_digit(byte) || (folded >= 'a' && folded <= 'z') || byte == '.' || byte == '_' || byte == '~' ||
           byte == '-';
}

bool text_name_valid(struct span name) {
    if (name.length < 1 || name.length > 64) return false;
    for (size_t i = 0; i < name.length; i++)
        if (!is_name_byte(name.data[i])) return false;
    return true;
}

bool text_equal_nocase(struct span a, struct span b) {
    if (a.length != b.length) return false;
    for (size_t i = 0; i < a.length; i++)
        if (lower(a.data[i]) != lower(b.data[i])) return false;
    return true;
}

static bool is_blank(char byte) {
    return byte == ' ' || byte == '\t';
}

struct span text_trim(struct span text) {
    while (text.length > 0 && is_blank(text.data[0])) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

size_t text_field_prefix(struct span text) {
    size_t at = 0;
    while (at < text.length) {
        if (text.length - at >= sizeof(block)) {
            block bytes = load_block(text.data + at);
            if (!any((bytes == '\r') | (bytes == '\n') | (bytes == 0))) {
                at += sizeof(block);
                continue;
            }
        }
        char byte = text.data[at];
        if (byte == '\r' || byte == '\n' || byte == 0) break;
        at++;
    }
    return at;
}

/* ---- JSON --------------------------------------------------------------------------------------------------- */

/* U+2028 and U+2029, line ends to JavaScript, are E2 80 A8 and E2 80 A9. */
static bool is_line_separator(const char *data, size_t length) {
    return length >= 3 && memcmp(data, "\xE2\x80", 2) == 0 && ((unsigned char)data[2] & 0xFE) == 0xA8;
}

/* Bytes at the start that stand in a JSON string as they are. */
static size_t plain_run(const char *data, size_t length) {
    size_t at = 0;
    while (at < length) {
        if (length - at >= sizeof(block)) {
            block bytes = load_block(data + at);
            if (!any((bytes < 0x20) | (bytes == '"') | (bytes == '\\') | (bytes == 0xE2))) {
                at += sizeof(block);
                continue;
            }
        }
        unsigned char byte = (unsigned char)data[at];
        if (byte < 0x20 || byte == '"' || byte == '\\') break;
        if (byte == 0xE2 && is_line_separator(data + at, length - at)) break;
        at++;
    }
    return at;
}

/* Writes the escape for what stands at `data`, at most six bytes, and tells how much of the input it covers. */
static size_t make_escape(char *escape, const char *data, size_t *covered) {
    static const char hex[] = "0123456789abcdef";
    static const char short_forms[] = "btn\0fr"; /* for 0x08 to 0x0D; 0x0B has none */
    unsigned char byte = (unsigned char)data[0];
    *covered = 1;
    if (byte == '"' || byte == '\\') {
        escape[0] = '\\';
        escape[1] = (char)byte;
        return 2;
    }
    if (byte >= 0x08 && byte <= 0x0D && byte != 0x0B) {
        escape[0] = '\\';
        escape[1] = short_forms[byte - 0x08];
        return 2;
    }
    if (byte == 0xE2) {
        memcpy(escape, data[2] & 1 ? "\\u2029" : "\\u2028", 6);
        *covered = 3;
        return 6;
    }
    memcpy(escape, "\\u00", 4);
    escape[4] = hex[byte >> 4];
    escape[5] = hex[byte & 15];
    return 6;
}

size_t text_json_escape(char *out, size_t capacity, struct span text) {
    size_t size = 0, at = 0;
    while (at < text.length) {
        size_t run = plain_run(text.data + at, text.length - at);
        if (run > 0 && size <= capacity && run <= capacity - size) memcpy(out + size, text.data + at, run);
        size += run;
        at += run;
        if (at == text.length) break;

        char escape[6];
        size_t covered;
        size_t length = make_escape(escape, text.data + at, &covered);
        if (size <= capacity && length <= capacity - size) memcpy(out + size, escape, length);
        size += length;
        at += covered;
    }
    return size;
}

/* ---- Numbers ------------------------------------------------------------------------------------------------ */

bool text_parse_u64(struct span text, uint64_t *value) {
    uint64_t result = 0;
    if (text.length == 0) return false;
    for (size_t i = 0; i < text.length; i++) {
        if (!is_digit(text.data[i])) return false;
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (result > (UINT64_MAX - digit) / 10) return false;
        result = result * 10 + digit;
    }
    *value = result;
    return true;
}

int text_hex_value(char byte) {
    if (is_digit(byte)) return byte - '0';
    char folded = lower(byte);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

size_t text_write_u64(char *out, uint64_t value) {
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}
