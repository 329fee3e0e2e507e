#include "faults.h"

#include <pthread.h>
#include <stddef.h>

#define SITES 4096u

static const char *const names[CALLS] = {
#define TORTURE_CALL_NAME(name, text, ...) text,
    TORTURE_CALLS(TORTURE_CALL_NAME)
#undef TORTURE_CALL_NAME
};

#define ERRORS_MAX 9u

static const int errors[CALLS][ERRORS_MAX + 1] = {
#define TORTURE_CALL_ERRORS(name, text, ...) {__VA_ARGS__, -1},
    TORTURE_CALLS(TORTURE_CALL_ERRORS)
#undef TORTURE_CALL_ERRORS
};

const char *call_name(enum call call) {
    return (unsigned)call < CALLS ? names[call] : "nothing";
}

unsigned call_variants(enum call call) {
    unsigned count = 0;
    while (errors[call][count] >= 0)
        count++;
    return count;
}

int call_error(enum call call, unsigned variant) {
    return errors[call][variant];
}

/* ---- Places ------------------------------------------------------------------------------------------------------ */

struct site {
    const void *place;
    bool failed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct site sites[SITES];
static unsigned site_count;
static unsigned failed_sites;
static uint64_t failures[CALLS];

static struct site *find_site(const void *place) {
    size_t index = ((uintptr_t)place * UINT64_C(0x9E3779B97F4A7C15)) >> 52;
    while (sites[index].place != NULL && sites[index].place != place)
        index = (index + 1) % SITES;
    return &sites[index];
}

static void note_site(const void *place, bool failed) {
    struct site *site = find_site(place);
    if (site->place == NULL && site_count < SITES / 2) {
        site->place = place;
        site_count++;
    }
    if (!failed || site->failed) return;
    site->failed = true;
    failed_sites++;
}

unsigned faults_sites(void) {
    return site_count;
}

unsigned faults_failed_sites(void) {
    return failed_sites;
}

uint64_t faults_of(enum call call) {
    return failures[call];
}

/* ---- The plan ---------------------------------------------------------------------------------------------------- */

static struct {
    struct fault_plan plan;
    bool counting;
    bool stopped;
    uint64_t calls;
    uint64_t injected;
    uint64_t first_at;
    enum call first;
    enum call last;
} now = {.first = CALLS, .last = CALLS};

/* Volatile: the compiler knows that malloc does not look at it, and not that the linker has put a wrapper there. */
static _Thread_local volatile unsigned away;

void faults_begin(const struct fault_plan *plan) {
    pthread_mutex_lock(&lock);
    now.plan = *plan;
    now.counting = true;
    now.stopped = false;
    now.calls = now.injected = now.first_at = 0;
    now.first = now.last = CALLS;
    pthread_mutex_unlock(&lock);
}

void faults_stop(void) {
    pthread_mutex_lock(&lock);
    now.stopped = true;
    pthread_mutex_unlock(&lock);
}

static uint64_t read_locked(const uint64_t *field) {
    pthread_mutex_lock(&lock);
    uint64_t value = *field;
    pthread_mutex_unlock(&lock);
    return value;
}

uint64_t faults_calls(void) {
    return read_locked(&now.calls);
}

uint64_t faults_injected(void) {
    return read_locked(&now.injected);
}

enum call faults_first(void) {
    return now.first;
}

enum call faults_last(void) {
    return now.last;
}

void faults_leave(void) {
    away = away + 1;
}

void faults_return(void) {
    away = away - 1;
}

static bool asks_again(int error) {
    return error == EINTR || error == EAGAIN;
}

/* The error that this call gives by the plan, -1 when it does not fail. */
static int choose_error(enum call call) {
    const struct fault_plan *plan = &now.plan;
    if (now.stopped || plan->nth == 0 || now.calls < plan->nth) return -1;
    if (plan->lasting) return asks_again(call_error(call, 0)) && call != CALL_THREAD ? -1 : call_error(call, 0);
    if (now.first_at == 0) return call_error(call, plan->variant < call_variants(call) ? plan->variant : 0);
    return plan->second != 0 && now.calls == now.first_at + plan->second ? call_error(call, 0) : -1;
}

bool fault_now(enum call call, const void *site) {
    if (away > 0) return false;
    pthread_mutex_lock(&lock);
    int error = -1;
    if (now.counting) {
        now.calls++;
        error = choose_error(call);
        note_site(site, error >= 0);
    }
    if (error >= 0) {
        now.injected++;
        now.last = call;
        failures[call]++;
        if (now.first_at == 0) {
            now.first_at = now.calls;
            now.first = call;
        }
    }
    pthread_mutex_unlock(&lock);
    if (error > 0) errno = error;
    return error >= 0;
}
