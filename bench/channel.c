/* What a broadcast of 100 bytes costs per delivery, to channels of 1, 100 and 10,000 member sessions with rings of 256.
 *
 * Measured: weir_channel_publish from the call to its return, the one copy of the payload included, divided by the
 * members it went to; and, as the thing to compare with, weir_publish to each of the same 10,000 sessions in turn, which
 * copies the payload for each. The rings are full before the clock starts, so every delivery evicts one. Not measured:
 * reading, waking anybody. Checked afterwards: every session has counted every event, and a few of them hold exactly
 * the newest, whole, in order, and under one broadcast number. */
#include "cores.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>

#define MEMBERS_MAX 10000u
#define CHECKED     16u /* sessions whose ring is read back */

struct work {
    struct subject subject;
    struct payloads payloads;
    weir_producer *producer;
    weir_channel *channel;
    uint32_t members;
    uint64_t published;
    weir_session *sessions[MEMBERS_MAX];
};

static bool publish_one(struct work *work, struct bench_result *result) {
    const weir_message message = {.data = payload_of(&work->payloads, work->published), .length = PAYLOAD_BYTES};
    weir_broadcast broadcast;
    if (!expect_ok(weir_channel_publish(work->producer, work->channel, &message, &broadcast), "weir_channel_publish",
                   result))
        return false;
    if (broadcast.accepted != work->members) bench_fail(result, "a member did not get its copy");
    work->published++;
    return true;
}

static bool publish_to_each(struct work *work, struct bench_result *result) {
    const void *payload = payload_of(&work->payloads, work->published);
    for (uint32_t i = 0; i < work->members; i++)
        if (!expect_ok(weir_publish(work->producer, work->sessions[i], 0, payload, PAYLOAD_BYTES, NULL),
                       "weir_publish", result))
            return false;
    work->published++;
    return true;
}

static bool open_members(struct work *work, uint32_t members, struct bench_result *result) {
    for (; work->members < members; work->members++) {
        char name[16];
        snprintf(name, sizeof name, "member-%u", work->members);
        weir_session *session = subject_session(&work->subject, name, result);
        if (session == NULL) return false;
        work->sessions[work->members] = session;
        if (!expect_ok(weir_channel_join(work->channel, session, NULL), "weir_channel_join", result)) return false;
    }
    return true;
}

static struct work *open_work(uint32_t members, struct bench_result *result) {
    struct work *work = calloc(1, sizeof *work);
    if (work == NULL) {
        bench_fail(result, "out of memory");
        return NULL;
    }
    payloads_fill(&work->payloads, 0);
    if (!subject_open(&work->subject, NULL, result)) return work;
    weir_engine *engine = work->subject.engine;
    bool ok = expect_ok(weir_producer_create(engine, &work->producer), "weir_producer_create", result) &&
              expect_ok(weir_channel_open(engine, "bench", 5, WEIR_OPEN_OR_CREATE, &work->channel, NULL),
                        "weir_channel_open", result);
    if (ok) open_members(work, members, result);
    return work;
}

static void close_work(struct work *work) {
    if (work == NULL) return;
    for (uint32_t i = 0; i < work->members; i++)
        weir_session_release(work->sessions[i]);
    weir_channel_release(work->channel);
    weir_producer_destroy(work->producer);
    subject_close(&work->subject);
    free(work);
}

/* Reads a member's ring back; the numbers of its events' broadcasts are stored, or compared with those of before. */
static void check_ring(struct work *work, weir_session *session, uint64_t *broadcasts, bool first,
                       struct bench_result *result) {
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    unsigned char bytes[128];
    uint64_t kept = work->published < RING_CAPACITY ? work->published : RING_CAPACITY;
    if (!expect_ok(weir_subscribe(session, NULL, &cursor, &gap), "weir_subscribe", result)) return;
    for (uint64_t i = 0; i < kept; i++) {
        if (!expect_ok(weir_read(session, &cursor, bytes, sizeof bytes, &event, &gap), "weir_read", result)) break;
        if (first) broadcasts[i] = event.broadcast;
        if (event.length != PAYLOAD_BYTES || !payload_matches(bytes, 0, work->published - kept + i) ||
            event.broadcast != broadcasts[i])
            bench_fail(result, "event %llu is not what was published", (unsigned long long)event.sequence);
    }
    weir_unsubscribe(session, &cursor);
}

static void check_work(struct work *work, struct bench_result *result) {
    uint64_t broadcasts[RING_CAPACITY];
    uint32_t step = work->members / CHECKED + 1;
    for (uint32_t i = 0; i < work->members; i++) {
        weir_session_info info;
        weir_session_info_get(work->sessions[i], &info);
        if (info.newest + 1 - work->subject.first_sequence != work->published)
            bench_fail(result, "member %u missed events", i);
        if (i % step == 0) check_ring(work, work->sessions[i], broadcasts, i == 0, result);
    }
}

/* `events` are deliveries. */
static void measure(uint64_t events, uint32_t members, bool (*publish)(struct work *, struct bench_result *),
                    struct bench_result *result) {
    struct work *work = open_work(members, result);
    uint64_t rounds = events / members + 1;
    pin_to_first_core();
    for (uint32_t i = 0; i < RING_CAPACITY && result->failure[0] == '\0'; i++)
        publish(work, result);
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < rounds && result->failure[0] == '\0'; i++)
        publish(work, result);
    result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * members);
    if (result->failure[0] == '\0') check_work(work, result);
    close_work(work);
}

static void measure_1(uint64_t events, struct bench_result *result) {
    measure(events, 1, publish_one, result);
}
static void measure_100(uint64_t events, struct bench_result *result) {
    measure(events, 100, publish_one, result);
}
static void measure_10000(uint64_t events, struct bench_result *result) {
    measure(events, MEMBERS_MAX, publish_one, result);
}
static void measure_100_each(uint64_t events, struct bench_result *result) {
    measure(events, 100, publish_to_each, result);
}
static void measure_10000_each(uint64_t events, struct bench_result *result) {
    measure(events, MEMBERS_MAX, publish_to_each, result);
}

const struct bench_case bench_channel_cases[] = {
    {"channel_1_ns", 5000000, measure_1},
    {"channel_100_ns", 10000000, measure_100},
    {"channel_100_each_ns", 10000000, measure_100_each},
    {NULL, 0, NULL},
};

const struct bench_case bench_channel_10000_cases[] = {
    {"channel_10000_ns", 5000000, measure_10000},
    {"channel_10000_each_ns", 5000000, measure_10000_each},
    {NULL, 0, NULL},
};
