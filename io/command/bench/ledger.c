#include "ledger.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

bool ledger_init(struct ledger *ledger, const struct ledger_shape *shape) {
    memset(ledger, 0, sizeof *ledger);
    uint64_t now = ledger_now_ns();
    ledger->run = (uint32_t)(now ^ now >> 32);
    ledger->sessions = shape->sessions;
    ledger->publishers = shape->publishers;
    ledger->window = shape->window;
    ledger->window_begin_ns = ledger->window_end_ns = UINT64_MAX;
    ledger->progress_ns = now;
    if (shape->publishers > 0) {
        ledger->lane_count = shape->publishers > shape->sessions ? shape->publishers : shape->sessions;
    }
    ledger->lanes = calloc(ledger->lane_count + 1, sizeof *ledger->lanes);
    ledger->remaining = calloc((size_t)ledger->lane_count * ledger->window + 1, sizeof *ledger->remaining);
    ledger->waited_for = calloc(shape->sessions, sizeof *ledger->waited_for);
    ledger->delivered_of = calloc(shape->publishers + 1, sizeof *ledger->delivered_of);
    if (!ledger->lanes || !ledger->remaining || !ledger->waited_for || !ledger->delivered_of) return false;
    memcpy(ledger->waited_for, shape->waited_for, shape->sessions * sizeof *ledger->waited_for);
    for (uint32_t i = 0; i < ledger->lane_count; i++) {
        ledger->lanes[i].session = i % shape->sessions;
        ledger->lanes[i].publisher = i % shape->publishers;
        ledger->lanes[i].remaining = ledger->remaining + (size_t)i * ledger->window;
    }
    return true;
}

void ledger_free(struct ledger *ledger) {
    free(ledger->lanes);
    free(ledger->remaining);
    free(ledger->waited_for);
    free(ledger->delivered_of);
}

uint32_t ledger_lanes_of(const struct ledger *ledger, uint32_t session) {
    return (ledger->lane_count + ledger->sessions - 1 - session) / ledger->sessions;
}

struct lane *ledger_lane(const struct ledger *ledger, uint32_t session, uint32_t which) {
    return &ledger->lanes[session + which * ledger->sessions];
}

struct lane *ledger_find_lane(const struct ledger *ledger, uint32_t session, uint32_t publisher, uint32_t *which) {
    if (session >= ledger->sessions || publisher >= ledger->publishers) return NULL;
    uint32_t index = ledger->publishers > ledger->sessions ? publisher : session;
    struct lane *lane = &ledger->lanes[index];
    *which = index / ledger->sessions;
    return lane->session == session && lane->publisher == publisher ? lane : NULL;
}

/* Moves on over what no subscriber lacks. */
static void advance(struct ledger *ledger, struct lane *lane) {
    while (lane->delivered < lane->sent && lane->remaining[(lane->delivered + 1) % ledger->window] == 0) {
        lane->delivered++;
        ledger->delivered_of[lane->publisher]++;
    }
}

uint64_t ledger_publish(struct ledger *ledger, struct lane *lane, uint64_t due_ns, uint64_t now_ns) {
    uint64_t number = ++lane->sent;
    ledger->published++;
    if (ledger_in_window(ledger, due_ns))
        histogram_record(&ledger->send_delay, now_ns > due_ns ? now_ns - due_ns : 0);
    if (ledger->window > 0) lane->remaining[number % ledger->window] = ledger->waited_for[lane->session];
    return number;
}

void ledger_answer(struct ledger *ledger, struct lane *lane, uint64_t number, bool taken) {
    if (taken) {
        ledger->accepted++;
        lane->accepted = number;
        lane->refused_before = lane->refused;
        return;
    }
    ledger->refused++;
    lane->refused++;
    if (ledger->window == 0 || number <= lane->delivered) return;
    lane->remaining[number % ledger->window] = 0;
    advance(ledger, lane);
}

bool ledger_settle(struct ledger *ledger, struct lane *lane, uint64_t number) {
    if (ledger->window == 0 || number <= lane->delivered) return false;
    uint32_t *remaining = &lane->remaining[number % ledger->window];
    if (*remaining > 0) --*remaining;
    if (*remaining > 0) return false;
    advance(ledger, lane);
    return true;
}

bool ledger_in_window(const struct ledger *ledger, uint64_t ns) {
    return ns >= ledger->window_begin_ns && ns < ledger->window_end_ns;
}

uint64_t ledger_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
