/* What publishing 100 bytes into a ring of 256 costs a publisher that is alone.
 *
 * Measured: weir_publish from the call to its return, the copy of the payload included, by session handle unless the
 * name says otherwise. Not measured: making the payload (it stands ready, and warm), reading it, waking anybody.
 * Checked afterwards: the session counted every event, and the ring holds exactly the newest of them, whole and in
 * order. */
#include "publishing.h"

static void time_one_publisher(struct publishing *publishing, struct bench_result *result) {
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    publishing_run(publishing, 0);
    result->event_ns = (double)(now_ns() - begin_ns) / (double)publishing->publishers[0].events;
    publishing_check(publishing, result);
}

static void measure_publish_1p(uint64_t events, struct bench_result *result) {
    struct publishing *publishing = publishing_open(events, 1, result);
    if (result->failure[0] == '\0') time_one_publisher(publishing, result);
    publishing_close(publishing);
}

static void never_wake(void *context) {
    (void)context;
}

/* With an outlet, as every session with a subscriber has: the publish also says that there is news. */
static void measure_publish_1p_notify(uint64_t events, struct bench_result *result) {
    weir_poller *poller = NULL;
    weir_outlet *outlet = NULL;
    struct publishing *publishing = publishing_open(events, 1, result);
    const weir_poller_config config = {.max_outlets = 1024, .wake = never_wake};
    if (result->failure[0] == '\0' &&
        expect_ok(weir_poller_create(publishing->subject.engine, &config, &poller), "weir_poller_create", result) &&
        expect_ok(weir_outlet_open(poller, publishing->subject.session, publishing, &outlet), "weir_outlet_open",
                  result)) {
        time_one_publisher(publishing, result);
        void *users[64];
        if (weir_poller_take(poller, users, 64) != 1 || users[0] != publishing)
            bench_fail(result, "the poller was not told");
    }
    weir_outlet_close(outlet);
    weir_poller_destroy(poller);
    publishing_close(publishing);
}

/* By name: the look-up and the reference are part of each publish. */
static void publish_by_name(struct publishing *publishing) {
    struct publisher *publisher = &publishing->publishers[0];
    while (publisher->done < publisher->events && publisher->status == WEIR_OK) {
        weir_session *session = NULL;
        int status = weir_session_open(publishing->subject.engine, "bench", 5, WEIR_OPEN_EXISTING, &session, NULL);
        if (status == WEIR_OK) {
            status = weir_publish(publisher->producer, session, 0, payload_of(&publisher->payloads, publisher->done),
                                  PAYLOAD_BYTES, NULL);
        }
        weir_session_release(session);
        publisher->status = status;
        publisher->done++;
    }
}

static void measure_publish_by_name(uint64_t events, struct bench_result *result) {
    struct publishing *publishing = publishing_open(events, 1, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        publish_by_name(publishing);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)events;
        publishing_check(publishing, result);
    }
    publishing_close(publishing);
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
    {"publish_1p_by_name_ns", 4000000, measure_publish_by_name},
    {NULL, 0, NULL},
};
