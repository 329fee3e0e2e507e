/* What publishing costs when several do it at once: wall time of the run by the events of all.
 *
 * publish_2p_ns               two producers on one session, each on a core of its own
 * publish_2p_own_sessions_ns  two producers, each on a session of its own: what is left to share is the engine. Half of
 *                             publish_1p_ns is scaling without loss
 * publish_4p_ns               four producers on one session. On two cores that is two to a core, taking turns as the
 *                             scheduler lets them: does one that was stopped in the middle of a publish hold others up
 *
 * Not measured: fairness, reading, waking. Checked: as publish.c, each producer's events in its own order. */
#include "publishing.h"

static void measure(uint64_t events, unsigned producers, struct bench_result *result) {
    struct publishing *publishing = publishing_open(events, producers, result);
    if (result->failure[0] == '\0') publishing_measure(publishing, result);
    publishing_close(publishing);
}

static void measure_2p(uint64_t events, struct bench_result *result) {
    measure(events, 2, result);
}
static void measure_4p(uint64_t events, struct bench_result *result) {
    measure(events, 4, result);
}

static void measure_2p_own_sessions(uint64_t events, struct bench_result *result) {
    struct publishing *publishing = publishing_open(events, 2, result);
    weir_session *second = NULL;
    if (result->failure[0] == '\0') second = subject_session(&publishing->subject, "second", result);
    if (second) {
        publishing->publishers[1].session = second;
        publishing_measure(publishing, result);
    }
    weir_session_release(second);
    publishing_close(publishing);
}

const struct bench_case bench_publish_producers_cases[] = {
    {"publish_2p_ns", 5000000, measure_2p},
    {"publish_2p_own_sessions_ns", 10000000, measure_2p_own_sessions},
    {"publish_4p_ns", 5000000, measure_4p},
    {NULL, 0, NULL},
};
