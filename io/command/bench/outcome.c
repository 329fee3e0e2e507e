#include "outcome.h"

#include <string.h>

#include "complaint.h"

/* The loop that is rarely idle tells how fast it is itself. */
#define SATURATED_SHARE 0.9

static void tell_loss(const struct subscriber *subscriber, uint64_t lost) {
    const struct verifier *verifier = &subscriber->verifier;
    const struct hole *hole = verifier->hole_count > 0 ? &verifier->holes[0] : NULL;
    unsigned which = link_index(subscriber->link.token);
    if (hole == NULL) {
        complain(subscriber->ledger, "subscriber %u of session %u: %llu events never came", which,
                 subscriber->session, (unsigned long long)lost);
        return;
    }
    const struct lane *lane = ledger_lane(subscriber->ledger, subscriber->session, hole->lane);
    complain(subscriber->ledger,
             "subscriber %u of session %u: %llu events never came, such as event %llu of publisher %u", which,
             subscriber->session, (unsigned long long)lost, (unsigned long long)hole->first, lane->publisher);
}

/* Events of one stream that were published and not received, and whether somebody told. Of a run that was broken off
 * the last ones may be on their way. */
static void judge_subscriber(struct outcome *outcome, struct subscriber *subscriber, bool to_the_end) {
    struct verifier *verifier = &subscriber->verifier;
    uint64_t refused = 0;
    for (uint32_t i = 0; i < verifier->lanes; i++) {
        const struct lane *lane = ledger_lane(subscriber->ledger, subscriber->session, i);
        if (to_the_end) verifier_end_lane(verifier, i, lane->accepted);
        refused += lane->refused_before;
    }
    uint64_t silent = verifier_silent_losses(verifier, refused);
    outcome->received += verifier->received;
    outcome->lost_silently += silent;
    outcome->lost_told += verifier->missing > refused + silent ? verifier->missing - refused - silent : 0;
    outcome->repeated += verifier->repeated;
    outcome->disordered += verifier->disordered;
    outcome->gaps += verifier->gaps;
    if (silent > 0) tell_loss(subscriber, silent);
}

static void judge_subscribers(struct outcome *outcome, struct load *load) {
    bool to_the_end = !load->interrupted && load->problem[0] == '\0';
    for (uint32_t i = 0; i < load->subscriber_count; i++) {
        judge_subscriber(outcome, &load->subscribers[i], to_the_end);
    }
    outcome->strange = load->ledger->strange;
    outcome->corrupt = load->ledger->corrupt;
    outcome->refused = load->ledger->refused;
    outcome->clean =
        outcome->lost_silently + outcome->repeated + outcome->disordered + outcome->strange + outcome->corrupt == 0;
}

static void measure_server(struct outcome *outcome, const struct load *load) {
    const struct mark *begin = &load->begin, *end = &load->end;
    double connections = load->subscriber_count;
    outcome->has_server = load->plan->servers.count > 0;
    if (!outcome->has_server) return;
    outcome->server_cpu_s = end->servers.cpu_seconds - begin->servers.cpu_seconds;
    outcome->server_share = outcome->server_cpu_s / outcome->seconds;
    if (outcome->deliveries > 0) {
        outcome->server_us_per_delivery = outcome->server_cpu_s * 1e6 / (double)outcome->deliveries;
    }
    if (outcome->server_cpu_s > 0) {
        outcome->deliveries_per_server_cpu_s = (double)outcome->deliveries / outcome->server_cpu_s;
    }
    const struct process_cost *empty = &load->empty.servers, *full = &load->connected.servers;
    outcome->rss_per_connection = ((double)full->resident_bytes - (double)empty->resident_bytes) / connections;
    outcome->pss_per_connection =
        ((double)full->proportional_bytes - (double)empty->proportional_bytes) / connections;
}

void outcome_judge(struct outcome *outcome, struct load *load) {
    const struct mark *begin = &load->begin, *end = &load->end;
    memset(outcome, 0, sizeof *outcome);
    judge_subscribers(outcome, load);
    if (end->at_ns <= begin->at_ns) return;
    outcome->seconds = (double)(end->at_ns - begin->at_ns) / 1e9;
    outcome->deliveries = end->deliveries - begin->deliveries;
    outcome->published = end->published - begin->published;
    outcome->deliveries_per_s = (double)outcome->deliveries / outcome->seconds;
    outcome->published_per_s = (double)outcome->published / outcome->seconds;
    outcome->bytes_per_s = (double)(end->bytes - begin->bytes) / outcome->seconds;
    if (end->reads > begin->reads) {
        outcome->events_per_read = (double)outcome->deliveries / (double)(end->reads - begin->reads);
    }
    measure_server(outcome, load);
    outcome->own_share = (end->own_cpu_seconds - begin->own_cpu_seconds) / outcome->seconds;
    outcome->own_starved_share = (end->own_starved_seconds - begin->own_starved_seconds) / outcome->seconds;
    outcome->saturated = outcome->own_share + outcome->own_starved_share > SATURATED_SHARE;
}
