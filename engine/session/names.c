/* Session names: which are valid, how one is read from a header, and the ones that weir makes. */
#include "names.h"

static bool byte_is_valid(unsigned char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           byte == '.' || byte == '_' || byte == '~' || byte == '-';
}

bool name_is_valid(const char *name, size_t length) {
    if (!name_has_length(name, length)) return false;
    for (size_t i = 0; i < length; i++)
        if (!byte_is_valid((unsigned char)name[i])) return false;
    return true;
}

/* UUID version 7 (RFC 9562): 48 bits of Unix ms, then 74 random ones between version and variant. */
int name_make(const weir_engine *engine, char name[NAME_MADE]) {
    static const char digits[] = "0123456789abcdef";
    const weir_config *config = &engine->config;
    unsigned char bytes[16];
    uint64_t wall_ms = config->clock.wall_ms(config->clock.context);
    if (config->entropy.fill(config->entropy.context, bytes, sizeof(bytes)) != 0) return WEIR_NO_ENTROPY;
    for (int i = 0; i < 6; i++)
        bytes[i] = (unsigned char)(wall_ms >> (40 - 8 * i));
    bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0F));
    bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3F));
    char *out = name;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return WEIR_OK;
}

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

int weir_session_name_parse(const char *text, size_t length, const char **name, size_t *name_length) {
    *name = NULL;
    *name_length = 0;
    if (text == NULL) return WEIR_INVALID;
    while (length > 0 && is_space(text[0])) {
        text++;
        length--;
    }
    while (length > 0 && is_space(text[length - 1]))
        length--;
    if (length == 0) return WEIR_INVALID;
    *name = text;
    *name_length = length;
    return WEIR_OK;
}
