/* Threads on cores of their own, the wall clock, and the payloads: what every benchmark here shares. */
#ifndef WEIR_BENCH_CORES_H
#define WEIR_BENCH_CORES_H

#include "shim/bench.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

uint64_t now_ns(void);

/* Tells the processor that this is a waiting loop. */
static inline void spin_pause(unsigned times) {
    for (unsigned i = 0; i < times; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#else
        __asm__ volatile("" ::: "memory");
#endif
    }
}

/* For loops that wait for another thread: pauses, and from time to time gives the core away, which only matters
 * where two benchmark threads have to share one. Start with *spins 0. */
void spin_wait(unsigned *spins);

/* Puts the calling thread on the first core that the process may use. */
void pin_to_first_core(void);

/* Runs both at once, each on a core of its own, and returns the wall time from the moment both were let go until the
 * later one returned. Brackets the run with two measurements of the line hop and stores their mean. With fewer than
 * two cores: marks the result as skipped and returns 0. */
uint64_t run_on_two_cores(void (*first)(void *), void (*second)(void *), void *context, struct bench_result *result);

/* The same for up to SIDES_MAX threads, told apart by `side`, on as many cores as there are: what finds none of its own
 * shares one of the first two. */
#define SIDES_MAX 4u
uint64_t run_on_cores(void (*run)(void *context, unsigned side), unsigned sides, void *context,
                      struct bench_result *result);

/* One way of a cache line between the two cores, from `rounds` round trips; 0 with fewer than two cores. */
double line_hop_ns(uint64_t rounds);

/* Times that were taken singly, in ns: ascending, to take medians from. */
void times_sort(uint32_t *times, size_t count);

/* ---- Payloads ------------------------------------------------------------------------------------------------ */

/* 100 bytes that name their place in a cycle at both ends, so that a torn, lost or reordered copy shows. They are
 * written before the clock starts: stamping each event just before it is copied would measure how the processor
 * forwards a narrow store to a wide load. */
#define PAYLOAD_BYTES 100u
#define PAYLOAD_TAIL  88u /* the last word that no 16-byte copy splits: a load across two stores would stall */
#define PAYLOAD_CYCLE 64u

struct payloads {
    unsigned char bytes[PAYLOAD_CYCLE][128];
};

/* Each writer marks its own. */
void payloads_fill(struct payloads *payloads, unsigned writer);

static inline const void *payload_of(const struct payloads *payloads, uint64_t number) {
    return payloads->bytes[number % PAYLOAD_CYCLE];
}

static inline uint64_t payload_stamp(unsigned writer, uint64_t number) {
    return UINT64_C(0x9e3779b97f4a7c15) * (1 + writer * PAYLOAD_CYCLE + number % PAYLOAD_CYCLE);
}

static inline bool payload_matches(const void *bytes, unsigned writer, uint64_t number) {
    uint64_t head;
    uint64_t tail;
    memcpy(&head, bytes, sizeof head);
    memcpy(&tail, (const unsigned char *)bytes + PAYLOAD_TAIL, sizeof tail);
    return head == payload_stamp(writer, number) && tail == ~head;
}

#endif
