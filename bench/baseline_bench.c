/* The measurements of publish.c, live_hop.c and replay.c on the straightforward design of baseline.h: the same
 * payloads, ring, loops and checks, so that the two may be divided by each other. */
#include "baseline.h"
#include "cores.h"
#include "shim/bench.h"

#include <stdlib.h>

#define CAPACITY 256u
#define WRITERS  2u

struct work {
    struct baseline *baseline;
    struct baseline_session *session;
    struct payloads payloads[WRITERS];
    uint64_t events[WRITERS];
    uint64_t done[WRITERS];
    uint64_t read; /* events read, without those found wrong */
};

static struct work *open_work(uint64_t events, unsigned writers, struct bench_result *result) {
    struct work *work = calloc(1, sizeof *work);
    if (work) work->baseline = baseline_create();
    if (work && work->baseline) work->session = baseline_find(work->baseline, "bench", true);
    if (!work || !work->session) {
        bench_fail(result, "out of memory");
        return work;
    }
    for (unsigned writer = 0; writer < writers; writer++) {
        payloads_fill(&work->payloads[writer], writer);
        work->events[writer] = events / writers;
    }
    return work;
}

static void close_work(struct work *work) {
    if (!work) return;
    baseline_destroy(work->baseline);
    free(work);
}

static void publish_all(struct work *work, unsigned writer) {
    uint64_t done = 0;
    while (done < work->events[writer] &&
           baseline_publish(work->session, payload_of(&work->payloads[writer], done), PAYLOAD_BYTES) != 0) {
        done++;
    }
    work->done[writer] = done;
}

static void publish_first(void *work) {
    publish_all(work, 0);
}
static void publish_second(void *work) {
    publish_all(work, 1);
}

static void check_count(struct work *work, struct bench_result *result) {
    uint64_t total = work->events[0] + work->events[1];
    if (work->done[0] + work->done[1] != total) bench_fail(result, "a producer stopped early");
    if (baseline_newest(work->session) != total) bench_fail(result, "the session missed events");
}

/* Reads the newest `count` events of writer 0, looks at every one or, like replay.c in its timed rounds, at each 64th, and
 * returns how many there were without the wrong ones. */
static uint64_t read_newest(struct work *work, uint64_t count, bool every) {
    unsigned char bytes[128];
    size_t length;
    uint64_t right = 0;
    uint64_t newest = work->done[0];
    for (uint64_t sequence = newest - count + 1; sequence <= newest; sequence++) {
        right +=
            baseline_read(work->session, sequence, bytes, sizeof bytes, &length) &&
            ((!every && sequence % 64 != 0) || (length == PAYLOAD_BYTES && payload_matches(bytes, 0, sequence - 1)));
    }
    return right;
}

static void measure_publish_1p(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 1, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        publish_all(work, 0);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        check_count(work, result);
        if (read_newest(work, CAPACITY, true) != CAPACITY) bench_fail(result, "the window is not what was published");
    }
    close_work(work);
}

static void measure_publish_by_name(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 1, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        for (; work->done[0] < events; work->done[0]++) {
            struct baseline_session *session = baseline_find(work->baseline, "bench", false);
            baseline_publish(session, payload_of(&work->payloads[0], work->done[0]), PAYLOAD_BYTES);
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        check_count(work, result);
        if (read_newest(work, CAPACITY, true) != CAPACITY) bench_fail(result, "the window is not what was published");
    }
    close_work(work);
}

static void measure_publish_2p(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 2, result);
    if (result->failure[0] == '\0') {
        uint64_t elapsed = run_on_two_cores(publish_first, publish_second, work, result);
        result->event_ns = (double)elapsed / (double)(work->events[0] + work->events[1]);
        if (elapsed > 0) check_count(work, result);
    }
    close_work(work);
}

static void receive_all(void *context) {
    struct work *work = context;
    unsigned char bytes[128];
    size_t length;
    for (uint64_t i = 0; i < work->events[0]; i++) {
        uint64_t sequence = baseline_receive(work->session, bytes, sizeof bytes, &length);
        work->read += sequence == i + 1 && length == PAYLOAD_BYTES && payload_matches(bytes, 0, i);
    }
}

static void measure_live_hop(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 1, result);
    if (result->failure[0] == '\0') {
        baseline_attach(work->session);
        uint64_t elapsed = run_on_two_cores(publish_first, receive_all, work, result);
        result->event_ns = (double)elapsed / (double)events;
        if (elapsed > 0 && work->read != events) bench_fail(result, "events went missing");
    }
    close_work(work);
}

static void measure_replay(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(CAPACITY, 1, result);
    if (result->failure[0] == '\0') {
        publish_all(work, 0);
        pin_to_first_core();
        uint64_t rounds = events / CAPACITY;
        uint64_t begin_ns = now_ns();
        for (uint64_t i = 0; i < rounds; i++) {
            work->read += read_newest(work, CAPACITY, false);
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * CAPACITY);
        work->read += read_newest(work, CAPACITY, true);
        if (work->read != (rounds + 1) * CAPACITY) bench_fail(result, "events went missing");
    }
    close_work(work);
}

const struct bench_case bench_baseline_cases[] = {
    {"baseline_publish_1p_ns", 5000000, measure_publish_1p},
    {"baseline_publish_1p_by_name_ns", 5000000, measure_publish_by_name},
    {"baseline_publish_2p_ns", 2000000, measure_publish_2p},
    {"baseline_live_hop_ns", 1000000, measure_live_hop},
    {"baseline_replay_event_ns", 5000000, measure_replay},
    {NULL, 0, NULL},
};
