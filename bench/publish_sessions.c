/* What publishing costs when the sessions are many: one producer going around 1, 1,000 or 1,000,000 of them, by handle.
 *
 * publish_1p_1000_sessions_ns     rings of 256 as everywhere, in the order in which they were made: 34 MB of rings
 * publish_1p_small_1_sessions_ns, publish_1p_small_1000_sessions_ns, publish_1p_1000000_sessions_ns
 *                                 rings of 4, for a million of 256 would be 34 GB, and in leaps, so that no prefetcher
 *                                 knows what comes next: with a million every publish misses the caches, for the
 *                                 session, its ring and the cells
 *
 * Measured: weir_publish of 100 bytes into rings that are full. Not measured: finding the session (lookup.c), making it
 * (registry.c), reading. Checked: every session counted every event, and a sample of them is read back. */
#include "cores.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>

#define SMALL_RING   4u
#define ROUNDS_LEAST 3u
#define CHECKED      100u /* sessions that are read back */

struct plan {
    uint32_t sessions;
    uint32_t ring;
    uint32_t
        leap; /* from one session to the next, in the order of their making; it shares no factor with `sessions`, so
                      that a round meets each once */
};

struct tour {
    struct subject subject;
    struct payloads payloads;
    struct plan plan;
    weir_producer *producer;
    weir_session **sessions; /* in the order of the tour */
    uint64_t rounds;         /* events published to each */
};

static bool make_sessions(struct tour *tour, struct bench_result *result) {
    uint32_t count = tour->plan.sessions;
    weir_session **made = calloc(count, sizeof *made);
    tour->sessions = calloc(count, sizeof *tour->sessions);
    if (!made || !tour->sessions) bench_fail(result, "out of memory");
    for (uint32_t i = 0; i < count && result->failure[0] == '\0'; i++) {
        char name[16];
        snprintf(name, sizeof name, "many-%u", i);
        made[i] = subject_session(&tour->subject, name, result);
    }
    uint32_t number = 0;
    for (uint32_t place = 0; place < count && result->failure[0] == '\0'; place++) {
        tour->sessions[place] = made[number];
        number = (uint32_t)(((uint64_t)number + tour->plan.leap) % count);
    }
    free(made);
    return result->failure[0] == '\0';
}

static bool open_tour(struct tour *tour, const struct plan *plan, struct bench_result *result) {
    *tour = (struct tour){.plan = *plan};
    payloads_fill(&tour->payloads, 0);
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = plan->sessions + 1;
    config.replay_capacity = plan->ring;
    return subject_open(&tour->subject, &config, result) &&
           expect_ok(weir_producer_create(tour->subject.engine, &tour->producer), "weir_producer_create", result) &&
           make_sessions(tour, result);
}

static void close_tour(struct tour *tour) {
    weir_producer_destroy(tour->producer);
    subject_close(&tour->subject);
    free(tour->sessions);
}

/* One event to each session, `rounds` times. */
static void go_around(struct tour *tour, uint64_t rounds, struct bench_result *result) {
    uint32_t count = tour->plan.sessions;
    int status = WEIR_OK;
    for (uint64_t end = tour->rounds + rounds; tour->rounds < end && status == WEIR_OK; tour->rounds++) {
        const void *payload = payload_of(&tour->payloads, tour->rounds);
        for (uint32_t i = 0; i < count && status == WEIR_OK; i++)
            status = weir_publish(tour->producer, tour->sessions[i], 0, payload, PAYLOAD_BYTES, NULL);
    }
    expect_ok(status, "weir_publish", result);
}

static void check_ring(const struct tour *tour, weir_session *session, struct bench_result *result) {
    unsigned char bytes[128];
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    if (!expect_ok(weir_subscribe(session, NULL, &cursor, &gap), "weir_subscribe", result)) return;
    for (uint64_t number = tour->rounds - tour->plan.ring; number < tour->rounds; number++) {
        if (!expect_ok(weir_read(session, &cursor, bytes, sizeof bytes, &event, &gap), "weir_read", result)) break;
        if (event.sequence != tour->subject.first_sequence + number || event.length != PAYLOAD_BYTES ||
            !payload_matches(bytes, 0, number))
            bench_fail(result, "event %llu is not what was published", (unsigned long long)number);
    }
    weir_unsubscribe(session, &cursor);
}

static void check_tour(const struct tour *tour, struct bench_result *result) {
    for (uint32_t i = 0; i < tour->plan.sessions; i++) {
        weir_session_info info;
        weir_session_info_get(tour->sessions[i], &info);
        if (info.newest + 1 - tour->subject.first_sequence != tour->rounds)
            bench_fail(result, "a session missed events");
        if (i % (tour->plan.sessions / CHECKED + 1) == 0) check_ring(tour, tour->sessions[i], result);
    }
}

static void measure(uint64_t events, struct plan plan, struct bench_result *result) {
    struct tour tour;
    if (plan.sessions > events / ROUNDS_LEAST) plan.sessions = (uint32_t)(events / ROUNDS_LEAST);
    if (open_tour(&tour, &plan, result)) {
        uint64_t rounds = events / plan.sessions;
        pin_to_first_core();
        go_around(&tour, plan.ring,
                  result); /* fills the rings: memory comes from the system before the clock starts */
        uint64_t begin_ns = now_ns();
        go_around(&tour, rounds, result);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * plan.sessions);
        if (result->failure[0] == '\0') check_tour(&tour, result);
    }
    close_tour(&tour);
}

static void measure_1000(uint64_t events, struct bench_result *result) {
    measure(events, (struct plan){.sessions = 1000, .ring = RING_CAPACITY, .leap = 1}, result);
}
static void measure_small_1(uint64_t events, struct bench_result *result) {
    measure(events, (struct plan){.sessions = 1, .ring = SMALL_RING, .leap = 1}, result);
}
static void measure_small_1000(uint64_t events, struct bench_result *result) {
    measure(events, (struct plan){.sessions = 1000, .ring = SMALL_RING, .leap = 617}, result);
}
static void measure_1000000(uint64_t events, struct bench_result *result) {
    measure(events, (struct plan){.sessions = 1000000, .ring = SMALL_RING, .leap = 618033}, result);
}

const struct bench_case bench_publish_sessions_cases[] = {
    {"publish_1p_1000_sessions_ns", 5000000, measure_1000},
    {"publish_1p_small_1_sessions_ns", 10000000, measure_small_1},
    {"publish_1p_small_1000_sessions_ns", 5000000, measure_small_1000},
    {NULL, 0, NULL},
};

const struct bench_case bench_publish_million_cases[] = {
    {"publish_1p_1000000_sessions_ns", 3000000, measure_1000000},
    {NULL, 0, NULL},
};
