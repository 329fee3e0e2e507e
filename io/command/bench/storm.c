#include "storm.h"

#include "load.h"

void storm_begin(struct load *load, uint64_t now_ns) {
    uint64_t every = load->plan->options.storm;
    load->storm.next_ns = every == 0 ? UINT64_MAX : now_ns + every * 1000000;
}

void storm_end(struct load *load) {
    load->storm.next_ns = UINT64_MAX;
    load->storm.return_at = 0; /* who is away returns now */
}

/* Without an id a stream would not return to where it was; so all must be connected and have received something. */
static bool is_possible(const struct load *load) {
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        const struct subscriber *subscriber = &load->subscribers[i];
        if (subscriber->state != SUBSCRIBER_LIVE || subscriber->decoder.last_id[0] == '\0') return false;
    }
    return true;
}

/* What has been published up to now is to be caught up with. */
static void let_return(struct load *load, uint64_t now_ns) {
    struct ledger *ledger = load->ledger;
    load->storm.away = false;
    load->storm.started_ns = now_ns;
    for (uint32_t i = 0; i < ledger->lane_count; i++) {
        ledger->lanes[i].storm_target = ledger->lanes[i].accepted;
    }
}

static void start(struct load *load, uint64_t now_ns) {
    struct ledger *ledger = load->ledger;
    load->storm.away = true;
    load->storm.return_at = ledger->accepted + load->plan->options.storm_away;
    ledger->behind = 0;
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        struct subscriber *subscriber = &load->subscribers[i];
        subscriber->behind = !subscriber->slow;
        ledger->behind += subscriber->behind;
        subscriber_leave(subscriber);
        load->live--;
        if (subscriber->state == SUBSCRIBER_AWAY) load_reopen(load, subscriber);
    }
    if (load->plan->options.storm_away == 0) let_return(load, now_ns);
}

void storm_turn(struct load *load, uint64_t now_ns) {
    struct storm *storm = &load->storm;
    if (storm->away && load->ledger->accepted >= storm->return_at) let_return(load, now_ns);
    if (storm->away) return;
    if (storm->started_ns != 0) {
        if (load->ledger->behind > 0) return;
        histogram_record(storm->durations, now_ns - storm->started_ns);
        storm->started_ns = 0;
        storm->count++;
    }
    if (now_ns < storm->next_ns || !is_possible(load)) return;
    storm->next_ns =
        load->plan->options.storm_once ? UINT64_MAX : storm->next_ns + load->plan->options.storm * 1000000;
    start(load, now_ns);
}
