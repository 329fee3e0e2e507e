/* The memory model itself, on the classic small programs: what C11 forbids never happens. That what it allows does happen
 * is seen by the scripts that weaken the engine, and here by the outcomes that are counted (tests/explore/README.md). */
#include "atomic.h"
#include "explore.h"

static struct {
    atomic_u64 x, y;
    uint64_t plain;
    uint64_t read[4];
} * S;

static void prepare(void) {
    S = explore_new(sizeof(*S));
}

/* Message passing: release and acquire carry what came before. */
static void message_send(void) {
    S->plain = 1;
    u64_store_relaxed(&S->x, 1);
    u64_store_release(&S->y, 1);
}
static void message_receive(void) {
    S->read[0] = u64_load_acquire(&S->y);
    S->read[1] = u64_load_relaxed(&S->x);
    S->read[2] = S->read[0] != 0 ? S->plain : 1;
}
static void message_check(void) {
    EXPECT(S->read[0] == 0 || S->read[1] == 1);
    EXPECT(S->read[2] == 1);
}

/* The same through fences around relaxed operations. */
static void fenced_send(void) {
    u64_store_relaxed(&S->x, 1);
    fence_release();
    u64_store_relaxed(&S->y, 1);
}
static void fenced_receive(void) {
    S->read[0] = u64_load_relaxed(&S->y);
    fence_acquire();
    S->read[1] = u64_load_relaxed(&S->x);
    S->read[2] = 1;
}

/* Store buffering: of two seq_cst pairs one sees the other. */
static void buffer_left(void) {
    u64_store_seq_cst(&S->x, 1);
    S->read[0] = u64_load_seq_cst(&S->y);
}
static void buffer_right(void) {
    u64_store_seq_cst(&S->y, 1);
    S->read[1] = u64_load_seq_cst(&S->x);
}
static void buffer_check(void) {
    EXPECT(S->read[0] == 1 || S->read[1] == 1);
}

/* Coherence: a thread never reads backwards. */
static void coherence_write(void) {
    u64_store_relaxed(&S->x, 1);
    u64_store_relaxed(&S->x, 2);
}
static void coherence_read(void) {
    S->read[0] = u64_load_relaxed(&S->x);
    S->read[1] = u64_load_relaxed(&S->x);
}
static void coherence_check(void) {
    EXPECT(S->read[0] <= S->read[1]);
    EXPECT(S->x.value == 2);
}

/* A read-modify-write is never lost, and goes on with the release that it read. */
static void add_one(void) {
    u64_add_relaxed(&S->y, 1);
}
static void add_check(void) {
    EXPECT(S->y.value == 2);
}
static void chain_read(void) {
    S->read[0] = u64_load_acquire(&S->y);
    S->read[1] = u64_load_relaxed(&S->x);
}
static void chain_check(void) {
    EXPECT(S->read[0] != 2 || S->read[1] == 1);
}

/* Two readers of two seq_cst writers agree on their order. */
static void write_x(void) {
    u64_store_seq_cst(&S->x, 1);
}
static void write_y(void) {
    u64_store_seq_cst(&S->y, 1);
}
static void read_x_y(void) {
    S->read[0] = u64_load_seq_cst(&S->x);
    S->read[1] = u64_load_seq_cst(&S->y);
}
static void read_y_x(void) {
    S->read[2] = u64_load_seq_cst(&S->y);
    S->read[3] = u64_load_seq_cst(&S->x);
}
static void agree_check(void) {
    EXPECT(!(S->read[0] == 1 && S->read[1] == 0 && S->read[2] == 1 && S->read[3] == 0));
}

static const struct scenario scenarios[] = {
    {"model_message_passing", prepare, {message_send, message_receive}, message_check},
    {"model_fences", prepare, {fenced_send, fenced_receive}, message_check},
    {"model_store_buffering", prepare, {buffer_left, buffer_right}, buffer_check},
    {"model_coherence", prepare, {coherence_write, coherence_read}, coherence_check},
    {"model_counting", prepare, {add_one, add_one}, add_check},
    {"model_release_chain", prepare, {message_send, add_one, chain_read}, chain_check},
    {"model_independent_readers", prepare, {write_x, write_y, read_x_y, read_y_x}, agree_check},
};
SCENARIOS(scenarios)
