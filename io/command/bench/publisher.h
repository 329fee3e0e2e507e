/* One publishing connection of the load. Requests go out one behind the other without waiting (HTTP pipelining), and
 * the answers, which come in the same order, are matched to them.
 *
 * Closed loop: keeps a number of publishes in flight. Open loop: publishes what is due by a schedule that was fixed
 * before; when the server is slow the events still are due when they were due, and their latency counts from then. */
#ifndef WEIR_IO_COMMAND_BENCH_PUBLISHER_H
#define WEIR_IO_COMMAND_BENCH_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "bench_options.h"
#include "ledger.h"
#include "link.h"

/* A publish that is not answered. */
struct flight {
    struct lane *lane;
    uint64_t number;
    uint64_t due_ns;
};

struct out_buffer {
    char *bytes;
    size_t length;
    size_t capacity;
};

struct publisher {
    struct ledger *ledger;
    const struct bench_plan *plan;
    struct link link;
    uint32_t index;
    uint32_t next_lane;
    struct flight *flights; /* by number of publish % flight_limit */
    uint64_t flight_limit;
    uint64_t sent;
    uint64_t answered;
    uint64_t schedule_begin_ns; /* open loop */
    uint64_t scheduled;         /* open loop: events of this publisher that were due so far */
    struct out_buffer filling;
    struct out_buffer sending; /* the backend has it */
    size_t sending_done;
    bool connected;    /* something was sent */
    bool last_answer;  /* the server said that it closes behind this answer */
    char problem[160]; /* not empty: it cannot go on */
    llhttp_t parser;
};

/* `index` among the publishers; `link_number` names it in the tokens. False when there is no memory. */
bool publisher_init(struct publisher *publisher, struct ledger *ledger, const struct bench_plan *plan,
                    struct io_backend *backend, uint32_t index, uint32_t link_number);
void publisher_free(struct publisher *publisher);

/* The schedule of the open loop begins. */
void publisher_begin(struct publisher *publisher, uint64_t now_ns);

/* Publishes what is to be published now, connecting where that is needed. */
void publisher_fill(struct publisher *publisher, uint64_t now_ns);

/* When the next event is due; UINT64_MAX in a closed loop, which waits for answers and not for the clock. */
uint64_t publisher_due_ns(const struct publisher *publisher);

/* Takes a completion of its link. */
void publisher_take(struct publisher *publisher, bool is_send, const struct io_completion *completion);

#endif
