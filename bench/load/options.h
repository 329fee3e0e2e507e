/* The command line of sse_load. */
#ifndef WEIR_BENCH_LOAD_OPTIONS_H
#define WEIR_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
    const char *address; /* numeric IPv4 */
    uint16_t port;
    const char *subscribe_path; /* %d is the subscriber's number */
    const char *publish_path;
    const char *label;
    unsigned subscribers;
    unsigned publishers;
    unsigned depth;     /* publishes in flight, over all publishers */
    uint64_t publishes; /* counted ones, over all publishers; 0: as many as fit in `seconds` */
    uint64_t warm_up;   /* publishes before the counted ones */
    double seconds;
    size_t payload_bytes;
    int server_pid; /* 0: not measured */
    bool idle;
    bool until_answered; /* a publish is in flight until answered, not until delivered */
    bool json;
};

/* Fills the options. On a mistake, or --help, prints what it has to say and returns false with the exit code. */
bool options_parse(struct options *options, int argc, char **argv, int *exit_code);

#endif
