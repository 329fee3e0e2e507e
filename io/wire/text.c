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

/* Where the first byte stands that a comparison found; there is one. */
static unsigned first_of(block matches) {
    unsigned char found[sizeof(block)];
    uint64_t half;
    memcpy(found, &matches, sizeof(found));
    unsigned from = 0;
    memcpy(&half, found, sizeof(half));
    if (half == 0) {
        from = sizeof(half);
        memcpy(&half, found + from, sizeof(half));
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return from + (unsigned)__builtin_ctzll(half) / 8;
#else
    return from + (unsigned)__builtin_clzll(half) / 8;
#endif
}

size_t text_utf8_valid_prefix(struct span text) {
    size_t at = 0;
    while (at < text.length) {
        if (text.length - at >= sizeof(block)) {
            block other = load_block(text.data + at) & 0x80;
            if (!any(other)) {
                at += sizeof(block);
                continue;
            }
            at += first_of(other);
        }
        do { /* a character that is not ASCII seldom comes alone */
            size_t size = character_size((const unsigned char *)text.data + at, text.length - at);
            if (size == 0) return at;
            at += size;
        } while (at < text.length && (unsigned char)text.data[at] >= 0x80);
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

/* What the bytes at `data` are in a JSON string, and how many of the input's they are. */
struct escaped {
    char bytes[6];
    uint8_t size;
    uint8_t covered;
};

/* A control byte, or one with which a line separator may begin. */
static __attribute__((noinline)) struct escaped escape_rare(const char *data, size_t length) {
    static const char hex[] = "0123456789abcdef";
    static const char short_forms[] = "btn\0fr"; /* for 0x08 to 0x0D; 0x0B has none */
    unsigned char byte = (unsigned char)data[0];
    if (byte >= 0x20) {
        if (!is_line_separator(data, length)) return (struct escaped){{(char)byte}, 1, 1};
        return (struct escaped){{'\\', 'u', '2', '0', '2', data[2] & 1 ? '9' : '8'}, 6, 3};
    }
    if (byte >= 0x08 && byte <= 0x0D && byte != 0x0B) return (struct escaped){{'\\', short_forms[byte - 0x08]}, 2, 1};
    return (struct escaped){{'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]}, 6, 1};
}

static bool byte_is_quoted(unsigned char byte) {
    return byte == '"' || byte == '\\';
}
static bool byte_is_rare(unsigned char byte) {
    return byte < 0x20 || byte == 0xE2;
}

/* The same of sixteen. */
static block is_quoted(block bytes) {
    return (block)((bytes == '"') | (bytes == '\\'));
}

static block is_rare(block bytes) {
    return (block)((bytes < 0x20) | (bytes == 0xE2));
}

/* How many bytes a comparison found. */
static unsigned count_of(block matches) {
    uint64_t halves[2];
    block ones = matches & 1;
    memcpy(halves, &ones, sizeof(halves));
    return (unsigned)((halves[0] + halves[1]) * 0x0101010101010101u >> 56);
}

/* Of the characters that begin in the first `block_length` bytes from *at on. */
static size_t size_of_some(struct span text, size_t *at, size_t block_length) {
    size_t size = 0;
    size_t end = *at + block_length;
    while (*at < end) {
        unsigned char byte = (unsigned char)text.data[*at];
        struct escaped next = {{0}, (uint8_t)(1 + byte_is_quoted(byte)), 1};
        if (byte_is_rare(byte)) next = escape_rare(text.data + *at, text.length - *at);
        size += next.size;
        *at += next.covered;
    }
    return size;
}

size_t text_json_size(struct span text) {
    size_t size = 0, at = 0;
    while (text.length - at >= sizeof(block)) {
        block bytes = load_block(text.data + at);
        if (any(is_rare(bytes))) {
            size += size_of_some(text, &at, sizeof(block));
        } else {
            size += sizeof(block) + count_of(is_quoted(bytes));
            at += sizeof(block);
        }
    }
    return size + size_of_some(text, &at, text.length - at);
}

/* Writes what the bytes at *at become, moves on behind them, and returns the end. */
static char *write_one(char *out, struct span text, size_t *at) {
    unsigned char byte = (unsigned char)text.data[*at];
    if (byte_is_quoted(byte)) *out++ = '\\';
    if (!byte_is_rare(byte)) {
        *out++ = (char)byte;
        ++*at;
        return out;
    }
    struct escaped next = escape_rare(text.data + *at, text.length - *at);
    for (unsigned i = 0; i < next.size; i++)
        *out++ = next.bytes[i];
    *at += next.covered;
    return out;
}

void text_json_write(char *out, size_t size, struct span text) {
    const char *end = out + size;
    size_t at = 0;
    /* A block is stored whole, and what comes behind its plain bytes is written over: as long as that much comes. */
    while (text.length - at >= sizeof(block) && (size_t)(end - out) >= sizeof(block)) {
        block bytes = load_block(text.data + at);
        block found = is_quoted(bytes) | is_rare(bytes);
        memcpy(out, &bytes, sizeof(bytes));
        unsigned plain = any(found) ? first_of(found) : (unsigned)sizeof(block);
        at += plain;
        out += plain;
        if (plain < sizeof(block)) out = write_one(out, text, &at);
    }
    while (at < text.length)
        out = write_one(out, text, &at);
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
