#include "trace.h"

#include <stdio.h>
#include <string.h>

static void mix(struct trace *trace, uint64_t value) {
    trace->hash = (trace->hash ^ value) * UINT64_C(0x100000001B3);
    trace->hash ^= trace->hash >> 29;
}

void trace_start(struct trace *trace) {
    memset(trace, 0, sizeof(*trace));
    trace->hash = UINT64_C(0xCBF29CE484222325);
}

void trace_bytes(struct trace *trace, const void *data, size_t length) {
    const unsigned char *bytes = data;
    for (; length >= 8; length -= 8, bytes += 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        mix(trace, word);
    }
    for (; length > 0; length--)
        mix(trace, *bytes++);
}

void trace_add(struct trace *trace, uint64_t time_ns, const char *what, int64_t who, int64_t value) {
    trace->lines[trace->count++ % TRACE_LINES] = (struct trace_line){time_ns, what, who, value};
    mix(trace, time_ns);
    trace_bytes(trace, what, strlen(what));
    mix(trace, (uint64_t)who);
    mix(trace, (uint64_t)value);
}

void trace_print(const struct trace *trace) {
    uint64_t first = trace->count > TRACE_LINES ? trace->count - TRACE_LINES : 0;
    if (first > 0) printf("  ... %llu lines before\n", (unsigned long long)first);
    for (uint64_t i = first; i < trace->count; i++) {
        const struct trace_line *line = &trace->lines[i % TRACE_LINES];
        printf("  %12.6f s  %-24s %6lld  %lld\n", (double)line->time_ns / 1e9, line->what, (long long)line->who,
               (long long)line->value);
    }
}
