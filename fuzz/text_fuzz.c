/* Any bytes through every scan and encoding of text, each against a plain one that does the same. Faults: S07, H19. */
#include <jansson.h>
#include <string.h>

#include "require.h"
#include "wire/http_request.h"
#include "wire/text.h"
#include "wire/utf8_reference.h"

static void require_prefixes(struct span text) {
    size_t field = 0;
    while (field < text.length && text.data[field] != '\r' && text.data[field] != '\n' && text.data[field] != 0)
        field++;
    REQUIRE(text_field_prefix(text) == field);
    REQUIRE(text_utf8_valid_prefix(text) == utf8_reference_prefix(text.data, text.length));

    struct span trimmed = text_trim(text);
    REQUIRE(trimmed.length <= text.length);
    if (trimmed.length > 0) REQUIRE(!strchr(" \t", trimmed.data[0]) || trimmed.data[0] == 0);
    REQUIRE(text_equal_nocase(text, text));
}

/* What was escaped is what jansson reads, in exactly the room that was told. */
static void require_json(struct span text) {
    text.length = text_utf8_valid_prefix(text);
    size_t size = text_json_size(text);
    REQUIRE(size >= text.length && size <= 6 * text.length);
    char *line = malloc(size + 2);
    REQUIRE(line);
    line[0] = line[size + 1] = 0x5A;
    text_json_write(line + 1, size, text);
    REQUIRE(line[0] == 0x5A && line[size + 1] == 0x5A);
    REQUIRE(!memmem(line, size + 2, "\xE2\x80\xA8", 3) && !memmem(line, size + 2, "\xE2\x80\xA9", 3));
    line[0] = line[size + 1] = '"';
    for (size_t i = 0; i < size + 2; i++)
        REQUIRE((unsigned char)line[i] >= 0x20);

    json_t *string = json_loadb(line, size + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    REQUIRE(json_is_string(string) && json_string_length(string) == text.length);
    if (text.length > 0) REQUIRE(memcmp(json_string_value(string), text.data, text.length) == 0);
    json_decref(string);
    free(line);
}

/* A name may stand anywhere: in a path, a header, a line, a JSON string. */
static void require_name(struct span text) {
    if (!text_name_valid(text)) return;
    REQUIRE(text.length >= 1 && text.length <= 64);
    for (size_t i = 0; i < text.length; i++)
        REQUIRE(text.data[i] > ' ' && !strchr("\"#%&+,/:;=?\\\x7F", text.data[i]));
    REQUIRE(text_json_size(text) == text.length);
}

static void require_number(struct span text) {
    uint64_t value = 0, again = 0;
    if (!text_parse_u64(text, &value)) return;
    char out[20];
    size_t length = text_write_u64(out, value);
    REQUIRE(length <= sizeof(out) && text_parse_u64((struct span){out, length}, &again) && again == value);
    while (text.length > 1 && text.data[0] == '0')
        text.data++, text.length--;
    REQUIRE(span_equal(text, (struct span){out, length}));
}

/* Decoding never makes text longer, and never sets free a byte that would end a field. */
static void require_decoding(struct span text) {
    char *out = malloc(text.length ? text.length : 1);
    REQUIRE(out);
    long length = http_decode(text, out, text.length);
    REQUIRE(length >= -1 && length <= (long)text.length);
    if (length >= 0) REQUIRE(text_field_prefix((struct span){out, (size_t)length}) == (size_t)length);
    if (length > 0) REQUIRE(http_decode(text, out, (size_t)length - 1) == -1);
    free(out);
}

/* A media type that prefers itself to another cannot be preferred by it, and is allowed. */
static void require_accept(struct span accept) {
    const char *one = "a/b", *other = "a/c";
    bool prefers = http_accept_prefers(accept, one, other), disfavours = http_accept_prefers(accept, other, one);
    REQUIRE(!prefers || (!disfavours && http_accept_allows(accept, one)));
    if (http_media_type_is(accept, one)) REQUIRE(accept.length >= 3);
    struct span value;
    if (http_query_find(accept, "a", &value))
        REQUIRE(value.data >= accept.data && value.data + value.length <= accept.data + accept.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {size > 0 ? (const char *)data : "", size};
    require_prefixes(text);
    require_json(text);
    require_number(text);
    require_decoding(text);
    require_accept(text);
    require_name(text);
    return 0;
}
