/* What happened in a run, as a hash of all of it and its last lines as text. A line is kept as numbers and turned into
 * text only when somebody wants to read it. */
#ifndef WEIR_TESTS_SIMULATION_TRACE_H
#define WEIR_TESTS_SIMULATION_TRACE_H

#include <stddef.h>
#include <stdint.h>

#define TRACE_LINES 30u

struct trace_line {
    uint64_t time_ns;
    const char *what; /* a literal */
    int64_t who;
    int64_t value;
};

struct trace {
    uint64_t hash;
    uint64_t count;
    struct trace_line lines[TRACE_LINES]; /* the last ones, line n at n modulo their number */
};

void trace_start(struct trace *trace);
void trace_add(struct trace *trace, uint64_t time_ns, const char *what, int64_t who, int64_t value);
/* Bytes that count for the hash and make no line. */
void trace_bytes(struct trace *trace, const void *data, size_t length);
void trace_print(const struct trace *trace);

#endif
