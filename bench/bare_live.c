/* The bare loop under live_hop_ns: the same payloads through the plainest ring that is right for one producer and one
 * reader. A cell is its sequence and its bytes; the producer copies and stores the sequence, the reader waits for it and
 * copies. No second producer, no replay, no sessions: what is left is what two cores pay to hand 100 bytes over. It
 * stands beside the line hop because the hop alone does not tell: two cores can exchange one line quickly and
 * a stream of lines slowly.
 *
 * Checked: both ends of every event's bytes. */
#include "base/atomic.h"
#include "cores.h"

#include <stdlib.h>

#define CELLS        256u
#define WINDOW       (CELLS / 2)
#define REPORT_EVERY 16u

struct bare_cell {
    _Alignas(128) atomic_u64 sequence; /* of the event that is in it, from 1 */
    unsigned char bytes[PAYLOAD_BYTES];
};

struct bare {
    struct payloads payloads;
    uint64_t events;
    unsigned backoff;
    struct bare_cell cells[CELLS];
    CACHE_ALIGNED atomic_u64 consumed;
    CACHE_ALIGNED uint64_t right;
};

static void write_all(void *context) {
    struct bare *bare = context;
    uint64_t consumed = 0;
    unsigned spins = 0;
    for (uint64_t i = 0; i < bare->events; i++) {
        while (i - consumed >= WINDOW) {
            consumed = u64_load_acquire(&bare->consumed);
            if (i - consumed >= WINDOW) spin_wait(&spins);
        }
        struct bare_cell *cell = &bare->cells[i % CELLS];
        memcpy(cell->bytes, payload_of(&bare->payloads, i), PAYLOAD_BYTES);
        u64_store_release(&cell->sequence, i + 1);
    }
}

static void read_all(void *context) {
    struct bare *bare = context;
    unsigned char bytes[128];
    unsigned spins = 0;
    uint64_t right = 0;
    for (uint64_t i = 0; i < bare->events; i++) {
        struct bare_cell *cell = &bare->cells[i % CELLS];
        while (u64_load_acquire(&cell->sequence) != i + 1) {
            u64_store_release(&bare->consumed, i);
            spin_pause(bare->backoff);
            spin_wait(&spins);
        }
        memcpy(bytes, cell->bytes, PAYLOAD_BYTES);
        __asm__ volatile("" : : "r"(bytes) : "memory"); /* the copy is made, not seen through */
        right += payload_matches(bytes, 0, i);
        if ((i + 1) % REPORT_EVERY == 0) u64_store_release(&bare->consumed, i + 1);
    }
    bare->right = right;
}

static void measure(uint64_t events, unsigned backoff, struct bench_result *result) {
    struct bare *bare = aligned_alloc(128, (sizeof *bare + 127) / 128 * 128);
    if (!bare) {
        bench_fail(result, "out of memory");
        return;
    }
    memset(bare, 0, sizeof *bare);
    payloads_fill(&bare->payloads, 0);
    bare->events = events;
    bare->backoff = backoff;
    uint64_t elapsed = run_on_two_cores(write_all, read_all, bare, result);
    result->event_ns = (double)elapsed / (double)events;
    if (elapsed > 0 && bare->right != events) bench_fail(result, "read %llu events", (unsigned long long)bare->right);
    free(bare);
}

static void measure_bare_live(uint64_t events, struct bench_result *result) {
    measure(events, 0, result);
}
static void measure_bare_live_backoff(uint64_t events, struct bench_result *result) {
    measure(events, 64, result);
}

const struct bench_case bench_bare_live_cases[] = {
    {"bare_live_ns", 4000000, measure_bare_live},
    {"bare_live_backoff_ns", 4000000, measure_bare_live_backoff},
    {NULL, 0, NULL},
};
