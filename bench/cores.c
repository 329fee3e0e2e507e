#include "cores.h"

#include "base/atomic.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define HOP_ROUNDS 20000u /* a few milliseconds at most: short beside a run, long beside the clock */

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

void spin_wait(unsigned *spins) {
    spin_pause(1);
    if (++*spins % 16384 == 0) sched_yield();
}

/* The n-th core that the process may use, or -1. */
static int allowed_core(unsigned n) {
    static cpu_set_t allowed;
    static bool known;
    if (!known) {
        /* Asked once, before the main thread pins itself. */
        sched_getaffinity(0, sizeof allowed, &allowed);
        known = true;
    }
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (CPU_ISSET(core, &allowed) && n-- == 0) return core;
    }
    return -1;
}

static void pin_to(unsigned n) {
    int core = allowed_core(n);
    if (core < 0) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

void pin_to_first_core(void) {
    pin_to(0);
}

struct pair {
    void (*run[2])(void *);
    void *context;
    uint64_t end_ns[2];
    uint64_t begin_ns;
    CACHE_ALIGNED atomic_u32 ready;
    CACHE_ALIGNED atomic_u32 go;
};

static void *run_side(struct pair *pair, unsigned side) {
    pin_to(side);
    u32_add_relaxed(&pair->ready, 1);
    unsigned spins = 0;
    while (u32_load_acquire(&pair->go) == 0) {
        spin_wait(&spins);
    }
    pair->run[side](pair->context);
    pair->end_ns[side] = now_ns();
    return NULL;
}

static void *run_first(void *pair) {
    return run_side(pair, 0);
}
static void *run_second(void *pair) {
    return run_side(pair, 1);
}

static uint64_t run_pair(void (*first)(void *), void (*second)(void *), void *context) {
    struct pair pair = {.run = {first, second}, .context = context};
    pthread_t threads[2];
    if (allowed_core(1) < 0 || pthread_create(&threads[0], NULL, run_first, &pair) != 0) return 0;
    if (pthread_create(&threads[1], NULL, run_second, &pair) != 0) {
        u32_store_release(&pair.go, 1);
        pthread_join(threads[0], NULL);
        return 0;
    }
    while (u32_load_acquire(&pair.ready) != 2) {
        sched_yield();
    }
    pair.begin_ns = now_ns();
    u32_store_release(&pair.go, 1);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    uint64_t end_ns = pair.end_ns[0] > pair.end_ns[1] ? pair.end_ns[0] : pair.end_ns[1];
    return end_ns - pair.begin_ns;
}

uint64_t run_on_two_cores(void (*first)(void *), void (*second)(void *), void *context, struct bench_result *result) {
    double before = line_hop_ns(HOP_ROUNDS);
    uint64_t elapsed = before > 0 ? run_pair(first, second, context) : 0;
    if (elapsed == 0) {
        result->skipped = true;
        bench_fail(result, "skipped: needs two cores");
        return 0;
    }
    result->line_hop_ns = (before + line_hop_ns(HOP_ROUNDS)) / 2;
    return elapsed;
}

/* ---- The line hop -------------------------------------------------------------------------------------------- */

struct ball {
    CACHE_ALIGNED atomic_u64 count;
    uint64_t rounds;
};

/* Each side waits for the count to have its parity and adds one: the line crosses once per step. */
static void play(struct ball *ball, uint64_t parity) {
    unsigned looks = 0;
    for (uint64_t expected = parity; expected < 2 * ball->rounds; expected += 2) {
        /* No pause: it would round the figure up to its own length. */
        while (u64_load_acquire(&ball->count) != expected) {
            if (++looks % 65536 == 0) sched_yield();
        }
        u64_store_release(&ball->count, expected + 1);
    }
}

static void play_even(void *ball) {
    play(ball, 0);
}
static void play_odd(void *ball) {
    play(ball, 1);
}

double line_hop_ns(uint64_t rounds) {
    struct ball ball = {.rounds = rounds};
    uint64_t elapsed = run_pair(play_even, play_odd, &ball);
    return (double)elapsed / (double)(2 * rounds);
}

/* ---- Payloads ------------------------------------------------------------------------------------------------ */

void payloads_fill(struct payloads *payloads, unsigned writer) {
    for (uint64_t number = 0; number < PAYLOAD_CYCLE; number++) {
        unsigned char *bytes = payloads->bytes[number];
        uint64_t head = payload_stamp(writer, number);
        uint64_t tail = ~head;
        memset(bytes, 'a' + (int)(number % 26), PAYLOAD_BYTES);
        memcpy(bytes, &head, sizeof head);
        memcpy(bytes + PAYLOAD_TAIL, &tail, sizeof tail);
    }
}
