/* One history of a million operations and more on one session: checked piece by piece, at cuts where nothing is under way
 * (long_check.h), while the session, its cursors and its producers go on. A log on a ring that is overtaken now and then,
 * one on a ring that is overtaken all the time, and a queue that refuses. SEQ-08, RPL-24, RPL-25, LIV-11.
 *
 * WEIR_TEST_SCALE multiplies the length: 50 makes each of the three a history of 10^8 operations. WEIR_TEST_SEED repeats one. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <weir.h>

#include "long_check.h"
#include "support/random.h"
#include "team.h"

#define PIECE 65536u /* operations of one thread between two cuts */

struct worker {
    CACHE_ALIGNED struct operation operations[PIECE];
    uint32_t count;
    struct random random;
    weir_producer *producer;
    weir_cursor cursor;
    uint64_t published;
};

static struct {
    struct team team;
    weir_engine *engine;
    weir_session *session;
    atomic_u64 instants;
    struct worker workers[TEAM_MAX];
    struct operation piece[TEAM_MAX * PIECE];
    struct long_check check;
    uint32_t queue;        /* 0: a log */
    uint32_t publishes[2]; /* of 64 steps of a thread with an even number, and with an odd one */
    bool last;             /* the session ends in this piece */
    uint64_t operations;
} bed;

static struct operation *begin(struct worker *worker, uint32_t index, enum operation_kind kind) {
    struct operation *operation = &worker->operations[worker->count++];
    *operation = (struct operation){.kind = (uint8_t)kind, .thread = (uint8_t)index};
    operation->invoked = instant_draw(&bed.instants);
    return operation;
}

static void finish(struct operation *operation, int status) {
    operation->responded = instant_draw(&bed.instants);
    operation->status = status;
}

static int publish(struct worker *worker, uint32_t index) {
    uint64_t payload[2];
    uint64_t sequence = 0;
    payload[0] = (uint64_t)(index + 1) << 48 | ++worker->published;
    payload[1] = ~payload[0];
    struct operation *operation = begin(worker, index, OPERATION_PUBLISH);
    int status = weir_publish(worker->producer, bed.session, 0, payload, sizeof(payload), &sequence);
    finish(operation, status);
    operation->value = payload[0];
    operation->sequence = sequence;
    return status;
}

static int read_one(struct worker *worker, uint32_t index) {
    uint64_t payload[2] = {0};
    weir_event event = {0};
    weir_gap gap = {0};
    struct operation *operation = begin(worker, index, OPERATION_READ);
    int status = weir_read(bed.session, &worker->cursor, payload, sizeof(payload), &event, &gap);
    finish(operation, status);
    operation->cursor = bed.queue != 0 ? 0 : (uint8_t)index;
    operation->sequence = status == WEIR_GAP ? gap.first : event.sequence;
    operation->last = gap.last;
    operation->value = event.length == sizeof(payload) && payload[1] == ~payload[0] ? payload[0] : UINT64_MAX;
    return status;
}

static void look(struct worker *worker, uint32_t index) {
    weir_session_info info;
    struct operation *operation = begin(worker, index, OPERATION_NEXT);
    weir_session_info_get(bed.session, &info);
    finish(operation, WEIR_OK);
    operation->sequence = info.newest + 1;
}

static void end(struct worker *worker, uint32_t index) {
    struct operation *operation = begin(worker, index, OPERATION_END);
    finish(operation, weir_session_terminate(bed.session));
}

/* In a queue the first thread reads and the others publish; in a log all do both. */
static void make_step(struct worker *worker, uint32_t index) {
    uint32_t publishes = bed.publishes[index % 2];
    if (bed.queue != 0) publishes = index == 0 ? 0 : 64;
    int status = WEIR_OK;
    if (random_below(&worker->random, 512) == 0)
        look(worker, index);
    else if (random_below(&worker->random, 64) < publishes)
        status = publish(worker, index);
    else
        status = read_one(worker, index);
    if (status == WEIR_EMPTY || status == WEIR_FULL || random_below(&worker->random, 128) == 0) sched_yield();
}

static void make_piece(void *context, uint32_t index) {
    struct worker *worker = &bed.workers[index];
    (void)context;
    worker->count = 0;
    while (worker->count < PIECE - 1) {
        make_step(worker, index);
        if (bed.last && index == 1 && worker->count == PIECE / 2) end(worker, index);
    }
}

static void judge_piece(void) {
    size_t count = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < bed.team.size; i++)
        for (uint32_t j = 0; j < bed.workers[i].count; j++)
            bed.piece[count++] = bed.workers[i].operations[j];
    const char *objection = long_judge(&bed.check, bed.piece, count, &at);
    bed.operations += count;
    if (objection == NULL) return;
    if (at >= count) at = count - 1;
    const struct operation *operation = &bed.piece[at];
    printf(
        "wrong: %s: kind %u, thread %u, cursor %u, %llu to %llu, status %d, sequence %llu, last %llu, value %llx\n",
        objection, operation->kind, operation->thread, operation->cursor, (unsigned long long)operation->invoked,
        (unsigned long long)operation->responded, operation->status, (unsigned long long)operation->sequence,
        (unsigned long long)operation->last, (unsigned long long)operation->value);
    fflush(stdout);
    abort();
}

/* ---- One history ---------------------------------------------------------------------------------------------- */

static void require(bool holds, const char *what) {
    if (holds) return;
    printf("does not hold: %s\n", what);
    fflush(stdout);
    abort();
}

static void open_cursor(struct settings *settings, uint32_t index) {
    struct worker *worker = &bed.workers[index];
    uint32_t depth = bed.queue != 0 ? bed.queue : settings->ring / (1 + index % 2);
    weir_subscription how = {.policy = WEIR_POLICY_SKIP, .queue_depth = depth};
    settings->cursors[index].depth = depth;
    if (bed.queue == 0) {
        require(weir_subscribe(bed.session, &how, &worker->cursor, NULL) == WEIR_OK, "a cursor comes");
    } else if (index == 0) {
        how.policy = WEIR_POLICY_REFUSE;
        require(weir_attach(bed.session, &how, &worker->cursor, NULL) == WEIR_OK, "the consumer comes");
    }
}

static void open_history(uint32_t ring, uint32_t queue, uint64_t seed) {
    struct settings settings = {.ring = ring, .capacity = ring, .queue = queue};
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 8;
    config.replay_capacity = ring;
    bed.queue = queue;
    bed.last = false;
    bed.operations = 0;
    u64_store_relaxed(&bed.instants, 0); /* relaxed: the team's start carries it */
    require(weir_engine_create(&bed.engine, &config) == WEIR_OK, "an engine is made");
    require(weir_session_open(bed.engine, "long", 4, WEIR_OPEN_OR_CREATE, &bed.session, NULL) == WEIR_OK,
            "a session is made");
    for (uint32_t i = 0; i < bed.team.size; i++) {
        bed.workers[i].random = random_start(seed, i);
        bed.workers[i].published = 0;
        bed.workers[i].cursor = (weir_cursor){0};
        require(weir_producer_create(bed.engine, &bed.workers[i].producer) == WEIR_OK, "a producer is made");
        open_cursor(&settings, i);
    }
    long_open(&bed.check, &settings, TEAM_MAX * PIECE);
}

/* Every cursor goes on to the end: nothing of all that was published is unaccounted for. */
static void read_to_the_end(void) {
    for (uint32_t i = 0; i < bed.team.size; i++)
        bed.workers[i].count = 0;
    for (uint32_t i = 0; i < (bed.queue != 0 ? 1 : bed.team.size); i++)
        while (read_one(&bed.workers[i], i) != WEIR_END) {
        }
    judge_piece();
}

static void close_history(const char *name) {
    uint64_t published = bed.check.next - 1;
    for (uint32_t i = 0; i < (bed.queue != 0 ? 1 : bed.team.size); i++) {
        require(bed.check.cursors[i].events + bed.check.cursors[i].lost == published,
                "events and gaps are everything");
        printf("  %s: reader %u: %llu events, %llu lost of %llu\n", name, i,
               (unsigned long long)bed.check.cursors[i].events, (unsigned long long)bed.check.cursors[i].lost,
               (unsigned long long)published);
        weir_unsubscribe(bed.session, &bed.workers[i].cursor);
    }
    long_close(&bed.check);
    for (uint32_t i = 0; i < bed.team.size; i++)
        weir_producer_destroy(bed.workers[i].producer);
    weir_session_release(bed.session);
    weir_engine_destroy(bed.engine);
}

static uint64_t run_history(const char *name, uint32_t ring, uint32_t queue, uint64_t seed) {
    uint64_t length = history_scaled(2000000);
    open_history(ring, queue, seed);
    while (!bed.last) {
        bed.last = bed.operations + (uint64_t)bed.team.size * PIECE >= length;
        team_run(&bed.team, make_piece, NULL);
        judge_piece();
    }
    read_to_the_end();
    close_history(name);
    return bed.operations;
}

int main(void) {
    uint64_t seed = random_seed();
    uint64_t operations = 0;
    team_open(&bed.team, TEAM_MAX);
    bed.publishes[0] = 20;
    bed.publishes[1] = 4;
    operations += run_history("log of 64", 64, 0, seed);
    bed.publishes[0] = 50;
    operations += run_history("log of 2", 2, 0, seed + 1);
    operations += run_history("queue of 16", 16, 16, seed + 2);
    team_close(&bed.team);
    printf("history_long: 3 histories of %llu operations\n", (unsigned long long)operations);
    return 0;
}
