/* How long one event alone takes to another core: a publish that a polling reader on the other core answers with a
 * publish of its own, there and back over two sessions, halved. Nothing overlaps, so this is a latency; live_hop_ns is
 * the throughput of the same path. Not measured: sleeping and waking, sockets. Checked: every event, both ways. */
#include "base/atomic.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

/* Each on lines of its own: both write theirs all the time. */
struct side {
    CACHE_ALIGNED weir_producer *producer;
    weir_session *out;
    weir_session *in;
    weir_cursor cursor;
    uint64_t right; /* events received and found right */
    int status;
};

struct rally {
    struct subject subject;
    struct payloads payloads;
    struct side sides[2];
    uint64_t rounds;
    CACHE_ALIGNED atomic_u32 stop;
};

/* Waits for the event of this round and checks it. */
static int receive(struct rally *rally, struct side *side, uint64_t round) {
    unsigned char bytes[128];
    weir_event event;
    weir_gap gap;
    unsigned spins = 0;
    int status;
    while ((status = weir_read(side->in, &side->cursor, bytes, sizeof bytes, &event, &gap)) == WEIR_EMPTY) {
        if (++spins % 4096 == 0 && u32_load_acquire(&rally->stop)) return WEIR_CLOSED;
        spin_wait(&spins);
    }
    if (status != WEIR_OK) return status;
    bool right = event.sequence == rally->subject.first_sequence + round && payload_matches(bytes, 0, round);
    side->right += right;
    return right ? WEIR_OK : WEIR_INVALID;
}

static int send(struct rally *rally, struct side *side, uint64_t round) {
    return weir_publish(side->producer, side->out, 0, payload_of(&rally->payloads, round), PAYLOAD_BYTES, NULL);
}

static void serve(void *context) {
    struct rally *rally = context;
    struct side *side = &rally->sides[0];
    for (uint64_t i = 0; i < rally->rounds && side->status == WEIR_OK; i++) {
        side->status = send(rally, side, i);
        if (side->status == WEIR_OK) side->status = receive(rally, side, i);
    }
    if (side->status != WEIR_OK) u32_store_release(&rally->stop, 1);
}

static void answer(void *context) {
    struct rally *rally = context;
    struct side *side = &rally->sides[1];
    for (uint64_t i = 0; i < rally->rounds && side->status == WEIR_OK; i++) {
        side->status = receive(rally, side, i);
        if (side->status == WEIR_OK) side->status = send(rally, side, i);
    }
    if (side->status != WEIR_OK) u32_store_release(&rally->stop, 1);
}

static bool open_side(struct rally *rally, unsigned n, weir_session *out, weir_session *in,
                      struct bench_result *result) {
    struct side *side = &rally->sides[n];
    weir_gap gap;
    side->out = out;
    side->in = in;
    return expect_ok(weir_producer_create(rally->subject.engine, &side->producer), "weir_producer_create", result) &&
           expect_ok(weir_subscribe(in, NULL, &side->cursor, &gap), "weir_subscribe", result);
}

static void measure_live_latency(uint64_t events, struct bench_result *result) {
    struct rally *rally = aligned_alloc(CACHE_LINE, sizeof *rally);
    if (!rally) {
        bench_fail(result, "out of memory");
        return;
    }
    *rally = (struct rally){.rounds = events / 2};
    payloads_fill(&rally->payloads, 0);
    weir_session *back = NULL;
    if (subject_open(&rally->subject, NULL, result) &&
        (back = subject_session(&rally->subject, "back", result)) != NULL &&
        open_side(rally, 0, rally->subject.session, back, result) &&
        open_side(rally, 1, back, rally->subject.session, result)) {
        uint64_t elapsed = run_on_two_cores(serve, answer, rally, result);
        result->event_ns = (double)elapsed / (double)(2 * rally->rounds);
        for (unsigned n = 0; n < 2; n++) {
            expect_ok(rally->sides[n].status, "the rally", result);
            if (rally->sides[n].right != rally->rounds) bench_fail(result, "events went missing");
            weir_unsubscribe(rally->sides[n].in, &rally->sides[n].cursor);
        }
    }
    for (unsigned n = 0; n < 2; n++) {
        weir_producer_destroy(rally->sides[n].producer);
    }
    weir_session_release(back);
    subject_close(&rally->subject);
    free(rally);
}

const struct bench_case bench_live_latency_cases[] = {
    {"live_latency_ns", 300000, measure_live_latency},
    {NULL, 0, NULL},
};
