/* What publishing 100 bytes into a ring of 256 costs the publisher.
 *
 * Measured: weir_publish from the call to its return, the copy of the payload included, by session handle unless the
 * name says otherwise. Not measured: making the payload (it stands ready, and warm), reading it, waking anybody.
 * Checked afterwards: the session counted every event, and the ring holds exactly the newest of them, whole and in
 * order, each producer's in its own order. */
#include "cores.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>

#define WRITERS       2u
#define MANY_SESSIONS 1000u

struct work {
    struct subject subject;
    struct payloads payloads[WRITERS];
    weir_producer *producers[WRITERS];
    uint64_t events[WRITERS]; /* to publish */
    uint64_t done[WRITERS];   /* published */
    int status[WRITERS];      /* of the last publish */
};

static struct work *open_work(uint64_t events, unsigned writers, struct bench_result *result) {
    struct work *work = calloc(1, sizeof *work);
    if (!work) {
        bench_fail(result, "out of memory");
        return NULL;
    }
    bool ok = subject_open(&work->subject, NULL, result);
    for (unsigned writer = 0; ok && writer < writers; writer++) {
        payloads_fill(&work->payloads[writer], writer);
        work->events[writer] = events / writers;
        ok = expect_ok(weir_producer_create(work->subject.engine, &work->producers[writer]), "weir_producer_create",
                       result);
    }
    return work;
}

static void close_work(struct work *work) {
    if (!work) return;
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        weir_producer_destroy(work->producers[writer]);
    }
    subject_close(&work->subject);
    free(work);
}

static void publish_all(struct work *work, unsigned writer) {
    weir_producer *producer = work->producers[writer];
    weir_session *session = work->subject.session;
    const struct payloads *payloads = &work->payloads[writer];
    uint64_t done = 0;
    int status = WEIR_OK;
    while (done < work->events[writer]) {
        status = weir_publish(producer, session, 0, payload_of(payloads, done), PAYLOAD_BYTES, NULL);
        if (status != WEIR_OK) break;
        done++;
    }
    work->done[writer] = done;
    work->status[writer] = status;
}

static void publish_first(void *work) {
    publish_all(work, 0);
}
static void publish_second(void *work) {
    publish_all(work, 1);
}

/* Which writer made these bytes as its event `number` modulo the cycle; WRITERS when none did. */
static unsigned writer_of(const void *bytes, uint64_t *number) {
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        for (*number = 0; *number < PAYLOAD_CYCLE; ++*number) {
            if (payload_matches(bytes, writer, *number)) return writer;
        }
    }
    return WRITERS;
}

/* Reads the ring from its oldest event and holds it against what the writers did. */
static void check_ring(struct work *work, struct bench_result *result) {
    weir_session *session = work->subject.session;
    uint64_t total = work->done[0] + work->done[1];
    uint64_t kept = total < RING_CAPACITY ? total : RING_CAPACITY;
    uint64_t next = work->subject.first_sequence + total - kept;
    uint64_t expected[WRITERS] = {0};
    bool seen[WRITERS] = {false};
    unsigned char bytes[128];
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    if (!expect_ok(weir_subscribe(session, NULL, &cursor, &gap), "weir_subscribe", result)) return;
    for (; kept > 0; kept--, next++) {
        uint64_t number;
        if (!expect_ok(weir_read(session, &cursor, bytes, sizeof bytes, &event, &gap), "weir_read", result)) break;
        unsigned writer = writer_of(bytes, &number);
        if (event.sequence != next || event.length != PAYLOAD_BYTES || writer == WRITERS ||
            (seen[writer] && number != expected[writer])) {
            bench_fail(result, "event %llu is not what was published", (unsigned long long)event.sequence);
            break;
        }
        seen[writer] = true;
        expected[writer] = (number + 1) % PAYLOAD_CYCLE;
    }
    weir_unsubscribe(session, &cursor);
}

static void check_work(struct work *work, struct bench_result *result) {
    weir_session_info info;
    weir_session_info_get(work->subject.session, &info);
    for (unsigned writer = 0; writer < WRITERS; writer++) {
        expect_ok(work->status[writer], "weir_publish", result);
        if (work->done[writer] != work->events[writer]) bench_fail(result, "a producer stopped early");
    }
    uint64_t total = work->done[0] + work->done[1];
    if (info.newest + 1 - work->subject.first_sequence != total) bench_fail(result, "the session missed events");
    check_ring(work, result);
}

static void time_one_writer(struct work *work, struct bench_result *result) {
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    publish_all(work, 0);
    result->event_ns = (double)(now_ns() - begin_ns) / (double)work->events[0];
    check_work(work, result);
}

static void measure_publish_1p(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 1, result);
    if (result->failure[0] == '\0') time_one_writer(work, result);
    close_work(work);
}

static void never_wake(void *context) {
    (void)context;
}

/* With an outlet, as every session with a subscriber has: the publish also says that there is news. */
static void measure_publish_1p_notify(uint64_t events, struct bench_result *result) {
    weir_poller *poller = NULL;
    weir_outlet *outlet = NULL;
    struct work *work = open_work(events, 1, result);
    const weir_poller_config config = {.max_outlets = 1024, .wake = never_wake};
    if (result->failure[0] == '\0' &&
        expect_ok(weir_poller_create(work->subject.engine, &config, &poller), "weir_poller_create", result) &&
        expect_ok(weir_outlet_open(poller, work->subject.session, work, &outlet), "weir_outlet_open", result)) {
        time_one_writer(work, result);
        void *users[64];
        if (weir_poller_take(poller, users, 64) != 1 || users[0] != work)
            bench_fail(result, "the poller was not told");
    }
    weir_outlet_close(outlet);
    weir_poller_destroy(poller);
    close_work(work);
}

static void measure_publish_2p(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 2, result);
    if (result->failure[0] == '\0') {
        uint64_t elapsed = run_on_two_cores(publish_first, publish_second, work, result);
        result->event_ns = (double)elapsed / (double)(work->events[0] + work->events[1]);
        if (elapsed > 0) check_work(work, result);
    }
    close_work(work);
}

/* By name: the look-up and the reference are part of each publish. */
static void measure_publish_by_name(uint64_t events, struct bench_result *result) {
    struct work *work = open_work(events, 1, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        while (work->done[0] < events && work->status[0] == WEIR_OK) {
            weir_session *session = NULL;
            int status = weir_session_open(work->subject.engine, "bench", 5, WEIR_OPEN_EXISTING, &session, NULL);
            if (status == WEIR_OK) {
                status = weir_publish(work->producers[0], session, 0, payload_of(&work->payloads[0], work->done[0]),
                                      PAYLOAD_BYTES, NULL);
            }
            weir_session_release(session);
            work->status[0] = status;
            work->done[0]++;
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        check_work(work, result);
    }
    close_work(work);
}

/* One producer going around 1,000 sessions: rings that do not fit the first-level cache. */
static void measure_publish_1000_sessions(uint64_t events, struct bench_result *result) {
    static weir_session *sessions[MANY_SESSIONS];
    struct work *work = open_work(events, 1, result);
    for (unsigned i = 0; i < MANY_SESSIONS && result->failure[0] == '\0'; i++) {
        char name[16];
        snprintf(name, sizeof name, "many-%u", i);
        sessions[i] = subject_session(&work->subject, name, result);
    }
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t rounds = events / MANY_SESSIONS + 1;
        uint64_t begin_ns = now_ns();
        for (uint64_t i = 0; i < rounds * MANY_SESSIONS; i++) {
            int status = weir_publish(work->producers[0], sessions[i % MANY_SESSIONS], 0,
                                      payload_of(&work->payloads[0], i), PAYLOAD_BYTES, NULL);
            if (!expect_ok(status, "weir_publish", result)) break;
        }
        result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * MANY_SESSIONS);
        for (unsigned i = 0; i < MANY_SESSIONS; i++) {
            weir_session_info info;
            weir_session_info_get(sessions[i], &info);
            if (info.newest + 1 - work->subject.first_sequence != rounds)
                bench_fail(result, "a session missed events");
            weir_session_release(sessions[i]);
        }
    }
    close_work(work);
}

/* The same loop around nothing but a copy into 256 cells of 128 bytes: what is left when all that weir promises is
 * taken away. */
static void measure_bare_copy(uint64_t events, struct bench_result *result) {
    static unsigned char cells[RING_CAPACITY][128];
    static struct payloads payloads;
    payloads_fill(&payloads, 0);
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < events; i++) {
        unsigned char *cell = cells[i % RING_CAPACITY];
        memcpy(cell, payload_of(&payloads, i), PAYLOAD_BYTES);
        __asm__ volatile("" : : "r"(cell) : "memory");
    }
    result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
    for (uint64_t i = events - RING_CAPACITY; i < events; i++) {
        if (!payload_matches(cells[i % RING_CAPACITY], 0, i))
            bench_fail(result, "copy %llu is wrong", (unsigned long long)i);
    }
}

const struct bench_case bench_publish_cases[] = {
    {"bare_copy_ns", 20000000, measure_bare_copy},
    {"publish_1p_ns", 20000000, measure_publish_1p},
    {"publish_1p_notify_ns", 20000000, measure_publish_1p_notify},
    {"publish_1p_by_name_ns", 10000000, measure_publish_by_name},
    {"publish_1p_1000_sessions_ns", 10000000, measure_publish_1000_sessions},
    {"publish_2p_ns", 10000000, measure_publish_2p},
    {NULL, 0, NULL},
};
