/* What making the bytes of one event costs that subscribers get: the id, 100 bytes of text, the framing of SSE or NDJSON
 * in HTTP chunks. A server does this once per event and format, however many subscribers it sends it to.
 *
 * render_sse_ns, render_ndjson_ns  English text without anything to escape: what most events are like
 * render_sse_lines_ns              ten lines, each of which becomes a data line
 * render_ndjson_escaped_ns         a piece of JSON in a JSON string: twenty bytes of it need an escape
 * utf8_check_ns                    whether the English text is well-formed UTF-8, which is asked of each publish
 * utf8_check_mixed_ns              the same of German, Greek, Japanese and a picture
 *
 * Measured: into a warm buffer, with the id and the text at hand. Not measured: reading the event from the ring, writing
 * the id's digits, sending. Checked: every size, and the frames byte by byte against a plain rendering. */
#include "cores.h"
#include "wire/stream.h"
#include "wire/text.h"

#include <stdio.h>

#define TEXTS      16u /* in turns, so that the processor does not learn one by heart */
#define TEXT_BYTES 100u
#define FRAME_MOST 1024u

static const char plain[] =
    "The weir keeps the river at its level: what comes is passed on, and what is gone is said to be gone.";
static const char lines[] =
    "first row\nsecond ro\nthird row\nfourth ro\nfifth row\nsixth row\nseventh r\neighth ro\nninth row\ntenth row.";
static const char escaped[] = "{\"a\":\"one\\\\two\",\"b\":\"\\n\",\"c\":\"three four five six\"}\n"
                              "{\"d\":\"seven eight nine ten eleven twelve 13 14\"}";
static const char mixed[] = "Straße und Übermaß, λόγος καὶ ἔργον, 堰は川をせき止める, 🌊 and so on..";

_Static_assert(sizeof plain == TEXT_BYTES + 1 && sizeof lines == sizeof plain && sizeof escaped == sizeof plain &&
                   sizeof mixed == sizeof plain,
               "all texts are of one size");

struct texts {
    char bytes[TEXTS][TEXT_BYTES];
};

/* The same text each time, but for its last letter. */
static void fill_texts(struct texts *texts, const char *text) {
    for (unsigned i = 0; i < TEXTS; i++) {
        memcpy(texts->bytes[i], text, TEXT_BYTES);
        texts->bytes[i][TEXT_BYTES - 1] = (char)('a' + i);
    }
}

/* ---- Frames -------------------------------------------------------------------------------------------------- */

static const struct span id = {"CqWU20RsFGU.123456", 18};

/* The plain rendering: `escape` names what stands in the frame for a byte of the text, NULL for itself. */
static const char *sse_escape(char byte) {
    return byte == '\n' ? "\ndata: " : NULL;
}

static const char *ndjson_escape(char byte) {
    if (byte == '\n') return "\\n";
    if (byte == '"') return "\\\"";
    return byte == '\\' ? "\\\\" : NULL;
}

static size_t render_plainly(char *out, enum stream_format format, const char *text) {
    const char *(*escape)(char) = format == STREAM_SSE ? sse_escape : ndjson_escape;
    char body[FRAME_MOST];
    size_t length = (size_t)snprintf(body, sizeof body,
                                     format == STREAM_SSE ? "id: %s\ndata: " : "{\"id\":\"%s\",\"data\":\"", id.data);
    for (unsigned i = 0; i < TEXT_BYTES; i++) {
        const char *instead = escape(text[i]);
        length += (size_t)snprintf(body + length, sizeof body - length, "%.*s", instead ? 8 : 1,
                                   instead ? instead : text + i);
    }
    return (size_t)snprintf(out, FRAME_MOST, "%zx\r\n%s%s\r\n", length + (format == STREAM_SSE ? 2 : 3), body,
                            format == STREAM_SSE ? "\n\n" : "\"}\n");
}

static void measure_frames(uint64_t events, enum stream_format format, const char *text,
                           struct bench_result *result) {
    const struct stream_profile profile = {format, true};
    struct texts texts;
    char frame[FRAME_MOST];
    char expected[TEXTS][FRAME_MOST];
    size_t sizes[TEXTS];
    uint64_t right = 0;
    fill_texts(&texts, text);
    for (unsigned i = 0; i < TEXTS; i++) {
        sizes[i] = render_plainly(expected[i], format, texts.bytes[i]);
    }
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < events; i++) {
        const struct stream_event event = {.id = id, .payload = {texts.bytes[i % TEXTS], TEXT_BYTES}};
        right += stream_write_event(frame, sizeof frame, profile, &event) == sizes[i % TEXTS];
        __asm__ volatile("" : : "r"(frame) : "memory");
    }
    result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
    if (right != events) bench_fail(result, "only %llu frames had their size", (unsigned long long)right);
    for (unsigned i = 0; i < TEXTS; i++) {
        const struct stream_event event = {.id = id, .payload = {texts.bytes[i], TEXT_BYTES}};
        stream_write_event(frame, sizeof frame, profile, &event);
        if (memcmp(frame, expected[i], sizes[i]) != 0) bench_fail(result, "frame %u is wrong", i);
    }
}

static void measure_sse(uint64_t events, struct bench_result *result) {
    measure_frames(events, STREAM_SSE, plain, result);
}
static void measure_sse_lines(uint64_t events, struct bench_result *result) {
    measure_frames(events, STREAM_SSE, lines, result);
}
static void measure_ndjson(uint64_t events, struct bench_result *result) {
    measure_frames(events, STREAM_NDJSON, plain, result);
}
static void measure_ndjson_escaped(uint64_t events, struct bench_result *result) {
    measure_frames(events, STREAM_NDJSON, escaped, result);
}

/* ---- UTF-8 --------------------------------------------------------------------------------------------------- */

static void measure_check(uint64_t events, const char *text, struct bench_result *result) {
    struct texts texts;
    uint64_t right = 0;
    fill_texts(&texts, text);
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < events; i++) {
        const struct span span = {texts.bytes[i % TEXTS], TEXT_BYTES};
        right += text_utf8_valid_prefix(span) == TEXT_BYTES;
    }
    result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
    if (right != events) bench_fail(result, "only %llu texts were found valid", (unsigned long long)right);
    /* Nor does it find everything valid. */
    texts.bytes[0][TEXT_BYTES - 1] = (char)0xC3;
    if (text_utf8_valid_prefix((struct span){texts.bytes[0], TEXT_BYTES}) != TEXT_BYTES - 1)
        bench_fail(result, "half a letter was found valid");
}

static void measure_check_plain(uint64_t events, struct bench_result *result) {
    measure_check(events, plain, result);
}
static void measure_check_mixed(uint64_t events, struct bench_result *result) {
    measure_check(events, mixed, result);
}

const struct bench_case bench_render_cases[] = {
    {"render_sse_ns", 2000000, measure_sse},
    {"render_sse_lines_ns", 1000000, measure_sse_lines},
    {"render_ndjson_ns", 2000000, measure_ndjson},
    {"render_ndjson_escaped_ns", 1000000, measure_ndjson_escaped},
    {"utf8_check_ns", 5000000, measure_check_plain},
    {"utf8_check_mixed_ns", 2000000, measure_check_mixed},
    {NULL, 0, NULL},
};
