#include "publishing.h"

#include <stdlib.h>

struct publishing *publishing_open(uint64_t events, unsigned publishers, struct bench_result *result) {
    struct publishing *publishing = calloc(1, sizeof *publishing);
    if (!publishing) {
        bench_fail(result, "out of memory");
        return NULL;
    }
    publishing->count = publishers;
    bool ok = subject_open(&publishing->subject, NULL, result);
    for (unsigned number = 0; ok && number < publishers; number++) {
        struct publisher *publisher = &publishing->publishers[number];
        payloads_fill(&publisher->payloads, number);
        publisher->session = publishing->subject.session;
        publisher->events = events / publishers;
        ok = expect_ok(weir_producer_create(publishing->subject.engine, &publisher->producer), "weir_producer_create",
                       result);
    }
    return publishing;
}

void publishing_close(struct publishing *publishing) {
    if (!publishing) return;
    for (unsigned number = 0; number < publishing->count; number++) {
        weir_producer_destroy(publishing->publishers[number].producer);
    }
    subject_close(&publishing->subject);
    free(publishing);
}

void publishing_run(void *context, unsigned number) {
    struct publisher *publisher = &((struct publishing *)context)->publishers[number];
    weir_producer *producer = publisher->producer;
    weir_session *session = publisher->session;
    const struct payloads *payloads = &publisher->payloads;
    uint64_t done = 0;
    int status = WEIR_OK;
    while (done < publisher->events) {
        status = weir_publish(producer, session, 0, payload_of(payloads, done), PAYLOAD_BYTES, NULL);
        if (status != WEIR_OK) break;
        done++;
    }
    publisher->done = done;
    publisher->status = status;
}

void publishing_measure(struct publishing *publishing, struct bench_result *result) {
    uint64_t events = 0;
    for (unsigned number = 0; number < publishing->count; number++) {
        events += publishing->publishers[number].events;
    }
    uint64_t elapsed = run_on_cores(publishing_run, publishing->count, publishing, result);
    result->event_ns = (double)elapsed / (double)events;
    if (elapsed > 0) publishing_check(publishing, result);
}

/* ---- Checks -------------------------------------------------------------------------------------------------- */

/* Which publisher made these bytes as its event `number` modulo the cycle; SIDES_MAX when none did. */
static unsigned publisher_of(const void *bytes, uint64_t *number) {
    for (unsigned publisher = 0; publisher < SIDES_MAX; publisher++) {
        for (*number = 0; *number < PAYLOAD_CYCLE; ++*number) {
            if (payload_matches(bytes, publisher, *number)) return publisher;
        }
    }
    return SIDES_MAX;
}

/* Reads the newest `kept` of a session's `total` events and holds them against what was published to it. */
static void check_ring(struct publishing *publishing, weir_session *session, uint64_t total,
                       struct bench_result *result) {
    uint64_t kept = total < RING_CAPACITY ? total : RING_CAPACITY;
    uint64_t next = publishing->subject.first_sequence + total - kept;
    uint64_t expected[SIDES_MAX] = {0};
    bool seen[SIDES_MAX] = {false};
    unsigned char bytes[128];
    weir_cursor cursor;
    weir_event event;
    weir_gap gap;
    if (!expect_ok(weir_subscribe(session, NULL, &cursor, &gap), "weir_subscribe", result)) return;
    for (; kept > 0; kept--, next++) {
        uint64_t number;
        if (!expect_ok(weir_read(session, &cursor, bytes, sizeof bytes, &event, &gap), "weir_read", result)) break;
        unsigned publisher = publisher_of(bytes, &number);
        if (event.sequence != next || event.length != PAYLOAD_BYTES || publisher == SIDES_MAX ||
            publishing->publishers[publisher].session != session ||
            (seen[publisher] && number != expected[publisher])) {
            bench_fail(result, "event %llu is not what was published", (unsigned long long)event.sequence);
            break;
        }
        seen[publisher] = true;
        expected[publisher] = (number + 1) % PAYLOAD_CYCLE;
    }
    weir_unsubscribe(session, &cursor);
}

static void check_session(struct publishing *publishing, weir_session *session, struct bench_result *result) {
    uint64_t total = 0;
    for (unsigned number = 0; number < publishing->count; number++) {
        const struct publisher *publisher = &publishing->publishers[number];
        if (publisher->session == session) total += publisher->done;
    }
    weir_session_info info;
    weir_session_info_get(session, &info);
    if (info.newest + 1 - publishing->subject.first_sequence != total)
        bench_fail(result, "the session missed events");
    check_ring(publishing, session, total, result);
}

void publishing_check(struct publishing *publishing, struct bench_result *result) {
    for (unsigned number = 0; number < publishing->count; number++) {
        const struct publisher *publisher = &publishing->publishers[number];
        expect_ok(publisher->status, "weir_publish", result);
        if (publisher->done != publisher->events) bench_fail(result, "a producer stopped early");
        check_session(publishing, publisher->session, result);
    }
}
