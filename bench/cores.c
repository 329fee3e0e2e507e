#include "cores.h"

#include "base/atomic.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
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

struct team;

struct member {
    struct team *team;
    unsigned side;
    uint64_t end_ns;
    pthread_t thread;
};

struct team {
    void (*run)(void *context, unsigned side);
    void *context;
    unsigned sides;
    uint64_t begin_ns;
    struct member members[SIDES_MAX];
    CACHE_ALIGNED atomic_u32 ready;
    CACHE_ALIGNED atomic_u32 go; /* GO_RUN or GO_HOME */
};

enum { GO_NOT_YET, GO_RUN, GO_HOME };

static void *run_member(void *context) {
    struct member *member = context;
    struct team *team = member->team;
    /* Those that find no core of their own share the first ones. */
    pin_to(allowed_core(member->side) >= 0 ? member->side : member->side % 2);
    u32_add_relaxed(&team->ready, 1);
    unsigned spins = 0;
    uint32_t go;
    while ((go = u32_load_acquire(&team->go)) == GO_NOT_YET) {
        spin_wait(&spins);
    }
    if (go == GO_RUN) team->run(team->context, member->side);
    member->end_ns = now_ns();
    return NULL;
}

/* Starts the threads; returns how many there are, which is fewer than wanted when the system gives no more. */
static unsigned gather(struct team *team) {
    unsigned count = 0;
    for (; count < team->sides; count++) {
        struct member *member = &team->members[count];
        *member = (struct member){.team = team, .side = count};
        if (pthread_create(&member->thread, NULL, run_member, member) != 0) break;
    }
    while (u32_load_acquire(&team->ready) != count) {
        sched_yield();
    }
    return count;
}

/* The wall time until the last one is done; 0 with fewer than two cores. */
static uint64_t run_team(void (*run)(void *, unsigned), unsigned sides, void *context) {
    struct team team = {.run = run, .context = context, .sides = sides};
    if (allowed_core(1) < 0) return 0;
    unsigned count = gather(&team);
    uint64_t end_ns = team.begin_ns = now_ns();
    u32_store_release(&team.go, count == sides ? GO_RUN : GO_HOME);
    for (unsigned side = 0; side < count; side++) {
        pthread_join(team.members[side].thread, NULL);
        if (team.members[side].end_ns > end_ns) end_ns = team.members[side].end_ns;
    }
    return count == sides ? end_ns - team.begin_ns : 0;
}

uint64_t run_on_cores(void (*run)(void *, unsigned), unsigned sides, void *context, struct bench_result *result) {
    double before = line_hop_ns(HOP_ROUNDS);
    uint64_t elapsed = before > 0 ? run_team(run, sides, context) : 0;
    if (elapsed == 0) {
        result->skipped = true;
        bench_fail(result, "skipped: needs two cores");
        return 0;
    }
    result->line_hop_ns = (before + line_hop_ns(HOP_ROUNDS)) / 2;
    return elapsed;
}

struct pair {
    void (*run[2])(void *);
    void *context;
};

static void run_side(void *context, unsigned side) {
    const struct pair *pair = context;
    pair->run[side](pair->context);
}

uint64_t run_on_two_cores(void (*first)(void *), void (*second)(void *), void *context, struct bench_result *result) {
    struct pair pair = {{first, second}, context};
    return run_on_cores(run_side, 2, &pair, result);
}

/* ---- The line hop -------------------------------------------------------------------------------------------- */

struct ball {
    CACHE_ALIGNED atomic_u64 count;
    uint64_t rounds;
};

/* Each side waits for the count to have its parity and adds one: the line crosses once per step. */
static void play(void *context, unsigned parity) {
    struct ball *ball = context;
    unsigned looks = 0;
    for (uint64_t expected = parity; expected < 2 * ball->rounds; expected += 2) {
        /* No pause: it would round the figure up to its own length. */
        while (u64_load_acquire(&ball->count) != expected) {
            if (++looks % 65536 == 0) sched_yield();
        }
        u64_store_release(&ball->count, expected + 1);
    }
}

double line_hop_ns(uint64_t rounds) {
    struct ball ball = {.rounds = rounds};
    uint64_t elapsed = run_team(play, 2, &ball);
    return (double)elapsed / (double)(2 * rounds);
}

/* ---- Times that were taken singly ----------------------------------------------------------------------------- */

static int compare_times(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one;
    uint32_t b = *(const uint32_t *)other;
    return (a > b) - (a < b);
}

void times_sort(uint32_t *times, size_t count) {
    qsort(times, count, sizeof *times, compare_times);
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
