/* What sessions cost to make and to end, among 1,000 others.
 *
 * session_churn_ns           weir_session_open of a new name, weir_session_terminate, release: one life
 * session_churn_publish_ns   a life with one event of 100 bytes: the session gets its ring, a page of memory, and gives it
 *                            and the event back at the end
 * session_churn_2t_ns        session_churn_ns by two threads, each on a core: wall time of the run by the lives of both
 * session_create_ns          making 100,000 that stay, from an empty engine on: what grows on the way is in it
 * session_end_ns             ending those again, in the order of their making
 *
 * A name is put together in the loop. Not measured: owners, limits and expiry (the sweep). Checked: that each life was a
 * new one, that its name was free again, and the engine's counts of what was created, ended and is left. */
#include "base/platform.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

#define OTHERS      1000u
#define NAME_LENGTH 16u

struct registry {
    struct subject subject;
    uint64_t times; /* of each side */
    bool publish;
    weir_session **sessions; /* that stay */
    struct keeper {
        CACHE_ALIGNED weir_producer *producer;
        uint64_t right;
    } keepers[2];
};

/* `kind` and 15 letters for the number. */
static void name_of(char name[NAME_LENGTH], char kind, uint64_t number) {
    name[0] = kind;
    for (unsigned i = 1; i < NAME_LENGTH; i++, number >>= 4) {
        name[i] = (char)('A' + (number & 15));
    }
}

static weir_session *make(struct registry *registry, char kind, uint64_t number) {
    char name[NAME_LENGTH];
    weir_session *session = NULL;
    int created = 0;
    name_of(name, kind, number);
    int status =
        weir_session_open(registry->subject.engine, name, NAME_LENGTH, WEIR_OPEN_OR_CREATE, &session, &created);
    if (status == WEIR_OK && created) return session;
    weir_session_release(session);
    return NULL;
}

static bool live_once(struct registry *registry, unsigned side, uint64_t number) {
    static const char bytes[PAYLOAD_BYTES];
    /* 64 names come round, so that a name that was not given back shows. */
    weir_session *session = make(registry, side ? 'b' : 'a', number % 64);
    if (!session) return false;
    bool right = !registry->publish ||
                 weir_publish(registry->keepers[side].producer, session, 0, bytes, sizeof bytes, NULL) == WEIR_OK;
    right = weir_session_terminate(session) == WEIR_OK && right;
    weir_session_release(session);
    return right;
}

static void churn_side(void *context, unsigned side) {
    struct registry *registry = context;
    uint64_t right = 0;
    for (uint64_t i = 0; i < registry->times; i++) {
        right += live_once(registry, side, i);
    }
    registry->keepers[side].right = right;
}

static bool open_registry(struct registry *registry, uint64_t times, uint32_t others, struct bench_result *result) {
    *registry = (struct registry){.times = times};
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 1u << 18;
    bool ok = subject_open(&registry->subject, &config, result);
    for (unsigned side = 0; ok && side < 2; side++) {
        ok = expect_ok(weir_producer_create(registry->subject.engine, &registry->keepers[side].producer),
                       "weir_producer_create", result);
    }
    for (uint32_t i = 0; ok && i < others; i++) {
        weir_session *session = make(registry, 'o', i);
        ok = session != NULL;
        weir_session_release(session);
    }
    if (!ok) bench_fail(result, "no session");
    return ok;
}

static void close_registry(struct registry *registry) {
    for (unsigned side = 0; side < 2; side++) {
        weir_producer_destroy(registry->keepers[side].producer);
    }
    subject_close(&registry->subject);
    free(registry->sessions);
}

/* What has been made and ended since the beginning, the subject's session and the others included. */
static void check_counts(const struct registry *registry, uint64_t right, uint64_t times, uint64_t left,
                         struct bench_result *result) {
    weir_stats stats;
    weir_engine_stats(registry->subject.engine, &stats);
    if (right != times) bench_fail(result, "only %llu lives were right", (unsigned long long)right);
    if (stats.sessions != left || stats.sessions_ended != times || stats.sessions_created != left + times)
        bench_fail(result, "%llu sessions are left", (unsigned long long)stats.sessions);
}

static void measure_churn_of(uint64_t times, bool publish, struct bench_result *result) {
    struct registry registry;
    if (open_registry(&registry, times, OTHERS, result)) {
        registry.publish = publish;
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        churn_side(&registry, 0);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)times;
        check_counts(&registry, registry.keepers[0].right, times, OTHERS + 1, result);
    }
    close_registry(&registry);
}

static void measure_churn(uint64_t times, struct bench_result *result) {
    measure_churn_of(times, false, result);
}
static void measure_churn_publish(uint64_t times, struct bench_result *result) {
    measure_churn_of(times, true, result);
}

static void measure_churn_2t(uint64_t times, struct bench_result *result) {
    struct registry registry;
    if (open_registry(&registry, times / 2, OTHERS, result)) {
        uint64_t all = 2 * registry.times;
        uint64_t elapsed = run_on_cores(churn_side, 2, &registry, result);
        result->event_ns = (double)elapsed / (double)all;
        uint64_t right = registry.keepers[0].right + registry.keepers[1].right;
        if (elapsed > 0) check_counts(&registry, right, all, OTHERS + 1, result);
    }
    close_registry(&registry);
}

/* ---- Making many, and ending them ---------------------------------------------------------------------------- */

static uint64_t create_all(struct registry *registry) {
    uint64_t right = 0;
    for (uint64_t i = 0; i < registry->times; i++) {
        registry->sessions[i] = make(registry, 'a', i);
        right += registry->sessions[i] != NULL;
    }
    return right;
}

static uint64_t end_all(struct registry *registry) {
    uint64_t right = 0;
    for (uint64_t i = 0; i < registry->times; i++) {
        right += registry->sessions[i] != NULL && weir_session_terminate(registry->sessions[i]) == WEIR_OK;
        weir_session_release(registry->sessions[i]);
    }
    return right;
}

static void measure_many(uint64_t times, bool ending, struct bench_result *result) {
    struct registry registry;
    bool ok = open_registry(&registry, times, 0, result);
    registry.sessions = calloc(times, sizeof *registry.sessions);
    if (!registry.sessions) bench_fail(result, "out of memory");
    if (ok && registry.sessions) {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        uint64_t right = create_all(&registry);
        uint64_t created_ns = now_ns();
        uint64_t ended = end_all(&registry);
        uint64_t ended_ns = now_ns();
        check_counts(&registry, right < ended ? right : ended, times, 1, result);
        result->event_ns = (double)(ending ? ended_ns - created_ns : created_ns - begin_ns) / (double)times;
    }
    close_registry(&registry);
}

static void measure_create(uint64_t times, struct bench_result *result) {
    measure_many(times, false, result);
}
static void measure_end(uint64_t times, struct bench_result *result) {
    measure_many(times, true, result);
}

const struct bench_case bench_registry_cases[] = {
    {"session_churn_ns", 500000, measure_churn},       {"session_churn_publish_ns", 200000, measure_churn_publish},
    {"session_churn_2t_ns", 500000, measure_churn_2t}, {"session_create_ns", 100000, measure_create},
    {"session_end_ns", 100000, measure_end},           {NULL, 0, NULL},
};
