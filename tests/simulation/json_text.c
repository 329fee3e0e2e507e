#include "json_text.h"

#include <string.h>

struct reading {
    const char *at;
    const char *end;
    char *room;
};

static bool take(struct reading *reading, char wanted) {
    if (reading->at == reading->end || *reading->at != wanted) return false;
    reading->at++;
    return true;
}

static int hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
    return -1;
}

static void write_utf8(struct reading *reading, unsigned value) {
    if (value < 0x80) {
        *reading->room++ = (char)value;
        return;
    }
    if (value >= 0x800) {
        *reading->room++ = (char)(0xE0 | value >> 12);
        *reading->room++ = (char)(0x80 | (value >> 6 & 0x3F));
    } else {
        *reading->room++ = (char)(0xC0 | value >> 6);
    }
    *reading->room++ = (char)(0x80 | (value & 0x3F));
}

/* Behind "\u". Halves of a pair would be a surprise: weir writes what is beyond U+FFFF as it is. */
static bool take_unicode(struct reading *reading) {
    unsigned value = 0;
    if (reading->end - reading->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*reading->at++);
        if (digit < 0) return false;
        value = value * 16 + (unsigned)digit;
    }
    if (value >= 0xD800 && value < 0xE000) return false;
    write_utf8(reading, value);
    return true;
}

static bool take_escape(struct reading *reading) {
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (reading->at == reading->end) return false;
    char letter = *reading->at++;
    if (letter == 'u') return take_unicode(reading);
    const char *found = letter != '\0' ? strchr(escapes, letter) : NULL;
    if (found == NULL) return false;
    *reading->room++ = meanings[found - escapes];
    return true;
}

/* Behind the opening quote. */
static bool take_string(struct reading *reading, struct json_member *member) {
    member->type = JSON_STRING_VALUE;
    member->text = reading->room;
    while (reading->at < reading->end) {
        char letter = *reading->at++;
        if (letter == '"') {
            member->length = (size_t)(reading->room - member->text);
            return true;
        }
        if ((unsigned char)letter < 0x20) return false;
        if (letter != '\\')
            *reading->room++ = letter;
        else if (!take_escape(reading))
            return false;
    }
    return false;
}

static bool take_word(struct reading *reading, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(reading->end - reading->at) < length || memcmp(reading->at, word, length) != 0) return false;
    reading->at += length;
    return true;
}

/* An object inside the object, undecoded. Its strings hold no braces: weir writes none there. */
static bool take_object(struct reading *reading) {
    const char *close = memchr(reading->at, '}', (size_t)(reading->end - reading->at));
    if (close == NULL) return false;
    reading->at = close + 1;
    return true;
}

static bool take_value(struct reading *reading, struct json_member *member) {
    if (take(reading, '"')) return take_string(reading, member);
    member->text = reading->at;
    bool good = true;
    if (take_word(reading, "null")) {
        member->type = JSON_NULL_VALUE;
    } else if (take_word(reading, "true")) {
        member->type = JSON_TRUE_VALUE;
    } else if (reading->at < reading->end && *reading->at == '{') {
        member->type = JSON_OBJECT_VALUE;
        good = take_object(reading);
    } else {
        member->type = JSON_NUMBER_VALUE;
        while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9')
            reading->at++;
        good = reading->at > member->text;
    }
    member->length = (size_t)(reading->at - member->text);
    return good;
}

static bool take_member(struct reading *reading, struct json_member *member) {
    if (!take(reading, '"')) return false;
    const char *close = memchr(reading->at, '"', (size_t)(reading->end - reading->at));
    if (close == NULL) return false;
    member->key = reading->at;
    member->key_length = (size_t)(close - reading->at);
    reading->at = close + 1;
    return take(reading, ':') && take_value(reading, member);
}

static bool is_repeated(const struct json_member *members, int count) {
    const struct json_member *last = &members[count];
    for (int i = 0; i < count; i++)
        if (members[i].key_length == last->key_length && memcmp(members[i].key, last->key, last->key_length) == 0)
            return true;
    return false;
}

int json_members(const char *text, size_t length, struct json_member *members, int most, char *room) {
    struct reading reading = {text, text + length, room};
    int count = 0;
    if (!take(&reading, '{')) return -1;
    do {
        if (count == most || !take_member(&reading, &members[count]) || is_repeated(members, count)) return -1;
        count++;
    } while (take(&reading, ','));
    return take(&reading, '}') && reading.at == reading.end ? count : -1;
}

const struct json_member *json_find(const struct json_member *members, int count, const char *key) {
    for (int i = 0; i < count; i++)
        if (members[i].key_length == strlen(key) && memcmp(members[i].key, key, strlen(key)) == 0) return &members[i];
    return NULL;
}

bool json_number(const struct json_member *member, uint64_t *number) {
    *number = 0;
    if (member == NULL || member->type != JSON_NUMBER_VALUE || member->length > 19) return false;
    for (size_t i = 0; i < member->length; i++)
        *number = *number * 10 + (uint64_t)(member->text[i] - '0');
    return true;
}
