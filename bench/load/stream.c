#include "stream.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "load P NNNNNNNNNNNN " and then filler: the publisher and the number stand at fixed places. */
#define PREFIX        "load "
#define PREFIX_BYTES  5u
#define NUMBER_AT     7u
#define NUMBER_DIGITS 12u

void plan_render(struct plan *plan, struct publisher *publisher, uint64_t number) {
    char *payload = publisher->payloads[number % DEPTH_MAX];
    int length = snprintf(payload, PAYLOAD_MAX, PREFIX "%u %012llu ", publisher->index, (unsigned long long)number);
    for (size_t i = (size_t)length; i < plan->payload_bytes; i++) {
        payload[i] = (char)('a' + (i + number) % 26);
    }
}

/* One subscriber has this number, or will never get it. */
static void settle(struct publisher *publisher, uint64_t number) {
    publisher->remaining[number % DEPTH_MAX]--;
    while (publisher->delivered < publisher->sent && publisher->remaining[publisher->delivered % DEPTH_MAX] == 0) {
        publisher->delivered++;
    }
}

/* Not the payload expected: find out what it is. */
static void take_unexpected(struct plan *plan, struct stream *stream, const char *payload, size_t length) {
    struct tally *tally = &plan->tally;
    unsigned index = (unsigned)(payload[PREFIX_BYTES] - '0');
    uint64_t number = strtoull(payload + NUMBER_AT, NULL, 10);
    struct publisher *publisher = &plan->publishers[index];
    bool known = number < publisher->sent && publisher->sent - number <= DEPTH_MAX &&
                 memcmp(payload, publisher->payloads[number % DEPTH_MAX], length) == 0;
    if (number < stream->next[index]) {
        tally->repeated++;
    } else if (!known) {
        tally->foreign++;
    } else {
        for (; stream->next[index] < number; stream->next[index]++) {
            tally->lost++;
            settle(publisher, stream->next[index]);
        }
        tally->events++;
        stream->next[index]++;
        settle(publisher, number);
    }
}

static void take_payload(struct plan *plan, struct stream *stream, const char *payload, size_t length) {
    unsigned index = length == plan->payload_bytes ? (unsigned)(payload[PREFIX_BYTES] - '0') : PUBLISHERS_MAX;
    if (index >= plan->publisher_count || memcmp(payload, PREFIX, PREFIX_BYTES) != 0) {
        plan->tally.foreign++;
        return;
    }
    struct publisher *publisher = &plan->publishers[index];
    uint64_t number = stream->next[index];
    if (number < publisher->sent && memcmp(payload, publisher->payloads[number % DEPTH_MAX], length) == 0) {
        plan->tally.events++;
        stream->next[index] = number + 1;
        settle(publisher, number);
    } else {
        take_unexpected(plan, stream, payload, length);
    }
}

static void take_line(struct plan *plan, struct stream *stream, const char *line, size_t length) {
    if (length > 0 && line[length - 1] == '\r') length--;
    if (length >= 6 && memcmp(line, "data: ", 6) == 0) {
        take_payload(plan, stream, line + 6, length - 6);
    } else if (length >= 10 && memcmp(line, "event: gap", 10) == 0) {
        plan->tally.gaps++;
    }
}

/* Keeps bytes of a line that is not over. A line longer than any of ours keeps its beginning, which is enough to see
 * that it is not ours. */
static void hold_bytes(struct stream *stream, const char *bytes, size_t length) {
    size_t room = STREAM_HOLD_BYTES - 1 - stream->held;
    size_t take = length < room ? length : room;
    memcpy(stream->hold + stream->held, bytes, take);
    stream->held += (uint32_t)take;
}

static void take_text(struct plan *plan, struct stream *stream, const char *bytes, size_t length) {
    const char *end = bytes + length;
    while (bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        if (!newline) {
            hold_bytes(stream, bytes, (size_t)(end - bytes));
            return;
        }
        if (stream->held > 0) {
            hold_bytes(stream, bytes, (size_t)(newline - bytes));
            take_line(plan, stream, stream->hold, stream->held);
            stream->held = 0;
        } else {
            take_line(plan, stream, bytes, (size_t)(newline - bytes));
        }
        bytes = newline + 1;
    }
}

/* Takes one byte of a chunk's size line; false when it is none. */
static bool take_size_byte(struct stream *stream, char byte) {
    if (byte == '\n') {
        stream->state = stream->chunk_left > 0 ? STREAM_CHUNK_DATA : STREAM_OVER;
        stream->chunk_digits_over = false;
    } else if (byte == ';' || byte == '\r') {
        stream->chunk_digits_over = true;
    } else if (!stream->chunk_digits_over) {
        if (!isxdigit((unsigned char)byte) || stream->chunk_left >> 40 != 0) return false;
        int digit = isdigit((unsigned char)byte) ? byte - '0' : tolower((unsigned char)byte) - 'a' + 10;
        stream->chunk_left = stream->chunk_left * 16 + (uint64_t)digit;
    }
    return true;
}

static bool take_chunks(struct plan *plan, struct stream *stream, const char *bytes, size_t length) {
    const char *end = bytes + length;
    while (bytes < end && stream->state != STREAM_OVER) {
        if (stream->state == STREAM_CHUNK_SIZE) {
            if (!take_size_byte(stream, *bytes++)) return false;
        } else if (stream->state == STREAM_CHUNK_DATA) {
            size_t take = (size_t)(end - bytes);
            if (take > stream->chunk_left) take = (size_t)stream->chunk_left;
            take_text(plan, stream, bytes, take);
            bytes += take;
            stream->chunk_left -= take;
            if (stream->chunk_left == 0) stream->state = STREAM_CHUNK_END;
        } else if (*bytes++ == '\n') {
            stream->state = STREAM_CHUNK_SIZE;
        }
    }
    return true;
}

/* Gathers the head; returns how many of the bytes belong to it, or 0 when it is malformed or too long. */
static size_t take_head(struct stream *stream, const char *bytes, size_t length) {
    size_t before = stream->held;
    hold_bytes(stream, bytes, length);
    stream->hold[stream->held] = '\0';
    const char *end = strstr(stream->hold, "\r\n\r\n");
    if (!end) return stream->held - before == length ? length : 0;
    if (sscanf(stream->hold, "HTTP/1.1 %3d", &stream->status) != 1) return 0;
    size_t head = (size_t)(end - stream->hold) + 4;
    stream->hold[head] = '\0';
    bool chunked = strcasestr(stream->hold, "\r\ntransfer-encoding: chunked\r\n") != NULL;
    stream->state = chunked ? STREAM_CHUNK_SIZE : STREAM_PLAIN;
    stream->held = 0;
    return head - before;
}

bool stream_feed(struct plan *plan, struct stream *stream, const char *bytes, size_t length) {
    plan->tally.reads++;
    plan->tally.bytes += length;
    if (stream->state == STREAM_HEAD) {
        size_t head = take_head(stream, bytes, length);
        if (head == 0) return false;
        bytes += head;
        length -= head;
        if (stream->state == STREAM_HEAD || length == 0) return true;
    }
    if (stream->state == STREAM_PLAIN) {
        take_text(plan, stream, bytes, length);
        return true;
    }
    return take_chunks(plan, stream, bytes, length);
}
