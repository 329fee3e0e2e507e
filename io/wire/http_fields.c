/* What stands inside a target or a header value. Lists are taken apart at separators outside of quoted strings
 * (RFC 9110 5.6); what is not well formed in an Accept header is passed over, one element at a time. */
#include "http_request.h"

#include "text.h"

/* ---- Targets ------------------------------------------------------------------------------------------------ */

long http_decode(struct span encoded, char *out, size_t capacity) {
    size_t size = 0;
    for (size_t i = 0; i < encoded.length; i++) {
        char byte = encoded.data[i];
        if (byte == '%') {
            int high = encoded.length - i > 2 ? text_hex_value(encoded.data[i + 1]) : -1;
            int low = high >= 0 ? text_hex_value(encoded.data[i + 2]) : -1;
            if (low < 0) return -1;
            byte = (char)(high << 4 | low);
            i += 2;
        }
        if (byte == 0 || byte == '\r' || byte == '\n' || size == capacity) return -1;
        out[size++] = byte;
    }
    return (long)size;
}

bool http_query_find(struct span query, const char *name, struct span *value) {
    if (query.length == 0) return false;
    struct span wanted = span_of(name);
    const char *at = query.data;
    const char *end = query.data + query.length;
    while (at < end) {
        const char *stop = memchr(at, '&', (size_t)(end - at));
        if (!stop) stop = end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        struct span key = {at, (size_t)((equals ? equals : stop) - at)};
        if (span_equal(key, wanted)) {
            const char *start = equals ? equals + 1 : stop;
            *value = (struct span){start, (size_t)(stop - start)};
            return true;
        }
        at = stop < end ? stop + 1 : end;
    }
    return false;
}

/* ---- Lists -------------------------------------------------------------------------------------------------- */

/* Takes the element before the next separator off *rest, trimmed. False when nothing is left. */
static bool next_element(struct span *rest, char separator, struct span *element) {
    if (!rest->data) return false;
    bool quoted = false;
    size_t at = 0;
    for (; at < rest->length && (quoted || rest->data[at] != separator); at++) {
        if (rest->data[at] == '"')
            quoted = !quoted;
        else if (quoted && rest->data[at] == '\\' && at + 1 < rest->length)
            at++;
    }
    *element = text_trim((struct span){rest->data, at});
    if (at == rest->length)
        *rest = (struct span){NULL, 0};
    else
        *rest = (struct span){rest->data + at + 1, rest->length - at - 1};
    return true;
}

/* ---- Accept ------------------------------------------------------------------------------------------------- */

#define WEIGHT_MAX 1000

struct media_range {
    struct span type, subtype;
    int weight; /* thousandths */
};

static bool split_type(struct span text, struct span *type, struct span *subtype) {
    const char *slash = text.length > 0 ? memchr(text.data, '/', text.length) : NULL;
    if (!slash) return false;
    *type = (struct span){text.data, (size_t)(slash - text.data)};
    *subtype = (struct span){slash + 1, text.length - type->length - 1};
    return type->length > 0 && subtype->length > 0;
}

/* qvalue of RFC 9110 12.4.2: 0 or 1, then up to three decimals. -1 for anything else. */
static int parse_weight(struct span text) {
    if (text.length < 1 || text.length > 5 || (text.data[0] != '0' && text.data[0] != '1')) return -1;
    if (text.length > 1 && text.data[1] != '.') return -1;
    int weight = (text.data[0] - '0') * WEIGHT_MAX;
    int unit = WEIGHT_MAX / 10;
    for (size_t i = 2; i < text.length; i++, unit /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9') return -1;
        weight += (text.data[i] - '0') * unit;
    }
    return weight <= WEIGHT_MAX ? weight : -1;
}

static bool parse_range(struct span element, struct media_range *range) {
    struct span name, parameter;
    next_element(&element, ';', &name);
    if (!split_type(name, &range->type, &range->subtype)) return false;
    range->weight = WEIGHT_MAX;
    while (next_element(&element, ';', &parameter)) {
        if (parameter.length < 2 || !text_equal_nocase((struct span){parameter.data, 2}, SPAN("q="))) continue;
        range->weight = parse_weight((struct span){parameter.data + 2, parameter.length - 2});
        return range->weight >= 0;
    }
    return true;
}

/* 0: does not match; 1, 2, 3: by the wildcard for all, for the subtype, to the letter. */
static int match_range(const struct media_range *range, struct span type, struct span subtype) {
    bool any_subtype = span_equal(range->subtype, SPAN("*"));
    if (span_equal(range->type, SPAN("*"))) return any_subtype ? 1 : 0;
    if (!text_equal_nocase(range->type, type)) return 0;
    if (any_subtype) return 2;
    return text_equal_nocase(range->subtype, subtype) ? 3 : 0;
}

/* What the header gives to a media type: the weight of the most specific range that matches. An absent header, and
 * one with not a single range to understand, gives everything its full weight. */
static int weight_of(struct span accept, const char *media_type) {
    struct span type, subtype, element;
    if (!split_type(span_of(media_type), &type, &subtype)) return 0;
    int best = 0, weight = 0;
    bool understood = false;
    while (next_element(&accept, ',', &element)) {
        struct media_range range;
        if (!parse_range(element, &range)) continue;
        understood = true;
        int match = match_range(&range, type, subtype);
        if (match == 0 || match < best) continue;
        weight = match > best || range.weight > weight ? range.weight : weight;
        best = match;
    }
    return understood ? weight : WEIGHT_MAX;
}

bool http_accept_prefers(struct span accept, const char *wanted, const char *other) {
    return weight_of(accept, wanted) > weight_of(accept, other);
}

bool http_accept_allows(struct span accept, const char *type) {
    return weight_of(accept, type) > 0;
}

bool http_media_type_is(struct span content_type, const char *type) {
    struct span name;
    return next_element(&content_type, ';', &name) && text_equal_nocase(name, span_of(type));
}
