/* The input is taken for a list of frames to write. They are written in all four profiles and read back by decoders
 * that know nothing of the writer: the same frames must come out, and each frame must fit the size that was told.
 * Faults: S04-S06, S08.
 *
 * Each frame of the input: a byte that says which sort, then for events three length bytes (id, kind, payload) and
 * that many bytes of each. */
#include "require.h"
#include "wire/stream.h"
#include "wire/stream_decoder.h"
#include "wire/text.h"

#define FRAMES_MAX 32

enum frame_type { FRAME_EVENT, FRAME_GAP, FRAME_END, FRAME_HEARTBEAT, FRAME_RETRY, FRAME_TYPES };

struct frame {
    enum frame_type type;
    struct stream_event event;
    struct span text; /* reason of a gap or an end */
    uint64_t number;
};

struct input {
    const char *at;
    size_t left;
};

static unsigned take_byte(struct input *input) {
    if (input->left == 0) return 0;
    input->left--;
    return (unsigned char)*input->at++;
}

static struct span take_text(struct input *input, size_t length) {
    struct span text = {input->at, length < input->left ? length : input->left};
    input->at += text.length;
    input->left -= text.length;
    text.length = text_utf8_valid_prefix(text); /* which the server has seen to */
    return text;
}

static struct frame take_frame(struct input *input) {
    struct frame frame = {.type = take_byte(input) % FRAME_TYPES};
    if (frame.type == FRAME_EVENT) {
        size_t id = take_byte(input) % 65, kind = take_byte(input) % 65, payload = take_byte(input);
        frame.event.id = take_text(input, id);
        frame.event.kind = take_text(input, kind);
        frame.event.payload = take_text(input, payload);
        /* Every event has an id: without one, a kind may be taken for a control frame. */
        if (text_field_prefix(frame.event.id) == 0) frame.event.id = SPAN("E.1");
    } else {
        frame.number = take_byte(input);
        frame.number = frame.number << 48 | frame.number << 20 | frame.number;
        frame.text = take_text(input, take_byte(input));
    }
    return frame;
}

static size_t write_frame(char *out, size_t capacity, struct stream_profile profile, const struct frame *frame) {
    struct stream_gap gap = {SPAN("EPOCH"), frame->number % 7, frame->number,
                             frame->number, frame->number & 1, frame->text};
    switch (frame->type) {
    case FRAME_EVENT:
        return stream_write_event(out, capacity, profile, &frame->event);
    case FRAME_GAP:
        return stream_write_gap(out, capacity, profile, &gap);
    case FRAME_END:
        return stream_write_end(out, capacity, profile, frame->text);
    case FRAME_HEARTBEAT:
        return stream_write_heartbeat(out, capacity, profile);
    default:
        return stream_write_retry(out, capacity, profile, (uint32_t)frame->number);
    }
}

/* Appends the frame, written into memory of exactly the size that it was said to need. */
static void append_frame(struct bytes *wire, struct stream_profile profile, const struct frame *frame) {
    size_t size = write_frame(NULL, 0, profile, frame);
    char *exact = malloc(size ? size : 1);
    REQUIRE(exact);
    if (size > 0) REQUIRE(write_frame(exact, size - 1, profile, frame) == size);
    REQUIRE(write_frame(exact, size, profile, frame) == size);
    bytes_append(wire, exact, size);
    free(exact);
}

/* ---- What a client must get --------------------------------------------------------------------------------- */

static struct span as_field(struct stream_profile profile, struct span field) {
    if (profile.format == STREAM_SSE) field.length = text_field_prefix(field);
    return field;
}

/* SSE clients get every line break as LF. */
static void require_payload(struct stream_profile profile, struct span payload, struct bytes got) {
    size_t at = 0;
    for (size_t i = 0; i < payload.length; i++, at++) {
        char byte = payload.data[i];
        if (profile.format == STREAM_SSE && byte == '\r') {
            byte = '\n';
            if (i + 1 < payload.length && payload.data[i + 1] == '\n') i++;
        }
        REQUIRE(at < got.length && got.data[at] == byte);
    }
    REQUIRE(at == got.length);
}

static void require_decoded(struct stream_profile profile, const struct frame *frame, const struct decoded *got) {
    static const enum decoded_type types[] = {DECODED_EVENT, DECODED_GAP, DECODED_END, DECODED_HEARTBEAT,
                                              DECODED_RETRY};
    REQUIRE(got->type == types[frame->type]);
    if (frame->type == FRAME_RETRY) REQUIRE(got->retry_ms == (uint32_t)frame->number);
    if (frame->type != FRAME_EVENT) return;
    struct span id = as_field(profile, frame->event.id), kind = as_field(profile, frame->event.kind);
    REQUIRE(bytes_equal(got->id, id.data, id.length));
    REQUIRE(bytes_equal(got->kind, kind.data, kind.length));
    require_payload(profile, frame->event.payload, got->data);
}

static void require_round_trip(struct stream_profile profile, const struct frame *frames, size_t count) {
    struct bytes wire = {0}, body = {0};
    struct decoded_list list = {NULL, 0};
    bool complete = true;
    for (size_t i = 0; i < count; i++)
        append_frame(&wire, profile, &frames[i]);
    char last[8];
    size_t last_size = stream_write_last_chunk(last, sizeof(last), profile);
    REQUIRE((last_size > 0) == profile.chunked && last_size <= sizeof(last));
    bytes_append(&wire, last, last_size);

    if (profile.chunked)
        REQUIRE(decode_chunks(wire.data, wire.length, &body, &complete));
    else
        bytes_append(&body, wire.data, wire.length);
    REQUIRE(complete);
    bool sse = profile.format == STREAM_SSE;
    REQUIRE(sse ? decode_sse(body.data, body.length, &list) : decode_ndjson(body.data, body.length, &list));

    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (frames[i].type == FRAME_RETRY && !sse) continue;
        REQUIRE(at < list.count);
        require_decoded(profile, &frames[i], &list.items[at++]);
    }
    REQUIRE(at == list.count);
    bytes_free(&wire);
    bytes_free(&body);
    decoded_list_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {(const char *)data, size};
    struct frame frames[FRAMES_MAX];
    size_t count = 0;
    while (input.left > 0 && count < FRAMES_MAX)
        frames[count++] = take_frame(&input);
    for (int profile = 0; profile < 4; profile++)
        require_round_trip((struct stream_profile){profile & 1 ? STREAM_NDJSON : STREAM_SSE, profile & 2}, frames,
                           count);
    return 0;
}
