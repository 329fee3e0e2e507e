/* What finding a session by name costs among a million others, alone and while another thread makes and removes
 * sessions without pause.
 *
 * Measured: weir_session_open of a session that exists, and its release, in an order that no cache can foresee; the
 * name is put together in the same loop. The figure of a run is the median over its lookups, taken LOOKUPS_TIMED at a
 * time: what a lookup costs, and not how often something else got the core. Not measured: making the million. Checked:
 * every lookup found its session, afterwards a sample of them by name, and that sessions came and went the whole
 * time. */
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

#include "base/atomic.h"

#define LOOKUPS_PER_SESSION 4u /* a run of 4,000,000 lookups has a million sessions */
#define LOOKUPS_TIMED       16u
#define PASSING             1000u
#define NAME_LENGTH         16u

struct lookups {
    struct subject subject;
    uint32_t sessions;
    uint64_t count;
    uint64_t found;
    uint32_t *times_ns; /* of LOOKUPS_TIMED lookups each */
    weir_session *passing[PASSING];
    CACHE_ALIGNED uint64_t passed; /* sessions that another thread made and removed meanwhile */
    int status;                    /* of the last one made */
    CACHE_ALIGNED atomic_u32 begun;
    CACHE_ALIGNED atomic_u32 done;
};

/* "lasting-" or "passing-" and eight letters for the number. */
static void name_of(char name[NAME_LENGTH], const char *kind, uint32_t number) {
    memcpy(name, kind, 8);
    for (unsigned i = 0; i < 8; i++) {
        name[8 + i] = (char)('A' + (number >> 4 * i & 15));
    }
}

static weir_session *open_named(struct lookups *lookups, const char *kind, uint32_t number, weir_open mode,
                                int *status) {
    char name[NAME_LENGTH];
    weir_session *session = NULL;
    name_of(name, kind, number);
    *status = weir_session_open(lookups->subject.engine, name, NAME_LENGTH, mode, &session, NULL);
    return session;
}

static struct lookups *open_lookups(uint64_t count, struct bench_result *result) {
    struct lookups *lookups = aligned_alloc(CACHE_LINE, sizeof *lookups);
    if (!lookups) {
        bench_fail(result, "out of memory");
        return NULL;
    }
    *lookups = (struct lookups){.count = count, .sessions = (uint32_t)(count / LOOKUPS_PER_SESSION)};
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = lookups->sessions + 2 * PASSING;
    lookups->times_ns = calloc(count / LOOKUPS_TIMED, sizeof(uint32_t));
    if (!lookups->times_ns) bench_fail(result, "out of memory");
    bool ok = lookups->times_ns && subject_open(&lookups->subject, &config, result);
    for (uint32_t i = 0; ok && i < lookups->sessions; i++) {
        int status;
        weir_session_release(open_named(lookups, "lasting-", i, WEIR_OPEN_OR_CREATE, &status));
        ok = expect_ok(status, "weir_session_open", result);
    }
    return lookups;
}

static void close_lookups(struct lookups *lookups) {
    if (!lookups) return;
    subject_close(&lookups->subject);
    free(lookups->times_ns);
    free(lookups);
}

/* Spread evenly over all sessions, in leaps: the golden ratio's multiples. */
static uint32_t number_at(const struct lookups *lookups, uint64_t i) {
    return (uint32_t)((i * 0x9E3779B97F4A7C15u >> 32) * lookups->sessions >> 32);
}

static void look_up_all(void *context) {
    struct lookups *lookups = context;
    uint64_t found = 0;
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < lookups->count; i++) {
        int status;
        weir_session *session = open_named(lookups, "lasting-", number_at(lookups, i), WEIR_OPEN_EXISTING, &status);
        found += status == WEIR_OK;
        weir_session_release(session);
        if ((i + 1) % LOOKUPS_TIMED != 0) continue;
        uint64_t end_ns = now_ns();
        lookups->times_ns[i / LOOKUPS_TIMED] = (uint32_t)(end_ns - begin_ns);
        begin_ns = end_ns;
    }
    lookups->found = found;
    u32_store_release(&lookups->done, 1);
}

static void look_up_among_passing(void *context) {
    struct lookups *lookups = context;
    unsigned spins = 0;
    while (u32_load_acquire(&lookups->begun) == 0) {
        spin_wait(&spins);
    }
    look_up_all(lookups);
}

/* Keeps PASSING sessions, and replaces the oldest by a new one until the lookups are done. */
static void make_and_remove(void *context) {
    struct lookups *lookups = context;
    uint32_t number = 0;
    lookups->status = WEIR_OK;
    while (u32_load_acquire(&lookups->done) == 0 && lookups->status == WEIR_OK) {
        weir_session **place = &lookups->passing[number % PASSING];
        if (*place) {
            weir_session_terminate(*place);
            weir_session_release(*place);
            lookups->passed++;
            if (lookups->passed == 1) u32_store_release(&lookups->begun, 1);
        }
        *place = open_named(lookups, "passing-", number++, WEIR_OPEN_OR_CREATE, &lookups->status);
    }
    u32_store_release(&lookups->begun, 1); /* or it failed before */
    for (uint32_t i = 0; i < PASSING; i++) {
        weir_session_release(lookups->passing[i]);
    }
}

static void check_lookups(struct lookups *lookups, struct bench_result *result) {
    if (lookups->found != lookups->count) bench_fail(result, "a lookup missed its session");
    for (uint32_t number = 0; number < lookups->sessions; number += lookups->sessions / 100 + 1) {
        int status;
        char name[NAME_LENGTH];
        weir_session_info info;
        weir_session *session = open_named(lookups, "lasting-", number, WEIR_OPEN_EXISTING, &status);
        if (!expect_ok(status, "weir_session_open", result)) return;
        weir_session_info_get(session, &info);
        name_of(name, "lasting-", number);
        if (info.name_length != NAME_LENGTH || memcmp(info.name, name, NAME_LENGTH) != 0)
            bench_fail(result, "session %u has another's name", number);
        weir_session_release(session);
    }
    size_t timed = lookups->count / LOOKUPS_TIMED;
    times_sort(lookups->times_ns, timed);
    result->event_ns = (double)lookups->times_ns[timed / 2] / LOOKUPS_TIMED;
}

static void measure_lookup_idle(uint64_t count, struct bench_result *result) {
    struct lookups *lookups = open_lookups(count, result);
    if (result->failure[0] == '\0') {
        pin_to_first_core();
        look_up_all(lookups);
        check_lookups(lookups, result);
    }
    close_lookups(lookups);
}

static void measure_lookup_churn(uint64_t count, struct bench_result *result) {
    struct lookups *lookups = open_lookups(count, result);
    if (result->failure[0] == '\0' && run_on_two_cores(look_up_among_passing, make_and_remove, lookups, result) > 0) {
        expect_ok(lookups->status, "weir_session_open", result);
        if (lookups->passed < count / 10000) bench_fail(result, "hardly any session came and went");
        check_lookups(lookups, result);
    }
    close_lookups(lookups);
}

const struct bench_case bench_lookup_cases[] = {
    {"lookup_idle_ns", 4000000, measure_lookup_idle},
    {"lookup_churn_ns", 4000000, measure_lookup_churn},
    {NULL, 0, NULL},
};
