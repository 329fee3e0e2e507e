#include "event_check.h"

#include <jansson.h>

#include "complaint.h"

static void complain_of(struct subscriber *subscriber, const struct payload *payload, const char *what) {
    complain(subscriber->ledger, "subscriber %u of session %u: event %llu of publisher %u %s",
             link_index(subscriber->link.token), subscriber->session, (unsigned long long)payload->number,
             payload->publisher, what);
}

/* {"first":N,"last":N,"lost":N,...}: no range when both are null, an unknown number when `lost` is. */
static bool read_gap(struct span data, struct told_gap *gap) {
    json_t *object = json_loadb(data.data, data.length, 0, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return false;
    }
    const json_t *first = json_object_get(object, "first");
    const json_t *last = json_object_get(object, "last");
    const json_t *lost = json_object_get(object, "lost");
    bool range = json_is_integer(first) && json_is_integer(last);
    gap->first = range ? (uint64_t)json_integer_value(first) : 1;
    gap->last = range ? (uint64_t)json_integer_value(last) : 0;
    gap->lost_known = json_is_integer(lost);
    gap->lost = gap->lost_known ? (uint64_t)json_integer_value(lost) : 0;
    json_decref(object);
    return true;
}

/* Frames of weir's own: they carry no id, which a published event always does. */
static bool take_control(struct subscriber *subscriber, const struct sse_event *event) {
    if (event->has_id) return false;
    if (span_equal(event->kind, SPAN("end"))) {
        subscriber->ledger->ends++;
        return true;
    }
    struct told_gap gap;
    if (!span_equal(event->kind, SPAN("gap")) || !read_gap(event->data, &gap)) return false;
    verifier_take_gap(&subscriber->verifier, &gap);
    return true;
}

/* The lane of an event that may be in this subscriber, or NULL after having said why it may not. */
static struct lane *find_lane(struct subscriber *subscriber, const struct payload *payload, uint32_t *which) {
    const char *wrong = NULL;
    struct lane *lane = NULL;
    if (payload->run != subscriber->ledger->run)
        wrong = "is of another run";
    else if (payload->session != subscriber->session)
        wrong = "is of another session";
    else if ((lane = ledger_find_lane(subscriber->ledger, payload->session, payload->publisher, which)) == NULL ||
             payload->number == 0 || payload->number > lane->sent)
        wrong = "was never published";
    if (wrong == NULL) return lane;
    subscriber->ledger->strange++;
    complain_of(subscriber, payload, wrong);
    return NULL;
}

static void note_delivery(struct subscriber *subscriber, const struct payload *payload, bool is_last) {
    struct ledger *ledger = subscriber->ledger;
    ledger->deliveries++;
    ledger->progress_ns = subscriber->now_ns;
    if (!subscriber->slow && ledger_in_window(ledger, payload->due_ns)) {
        uint64_t now = subscriber->now_ns;
        uint64_t latency = now > payload->due_ns ? now - payload->due_ns : 0;
        histogram_record(&ledger->latency, latency);
        if (is_last) histogram_record(&ledger->to_all, latency);
    }
    if (subscriber->behind) event_check_caught_up(subscriber);
}

static void take_payload(struct subscriber *subscriber, const struct payload *payload) {
    uint32_t which;
    struct lane *lane = find_lane(subscriber, payload, &which);
    if (lane == NULL) return;
    uint64_t expected = subscriber->verifier.next[which];
    bool is_last = false;
    switch (verifier_take(&subscriber->verifier, which, payload->number)) {
    case VERDICT_REPEATED:
        complain_of(subscriber, payload, "came again");
        return;
    case VERDICT_LATE:
        complain_of(subscriber, payload, "came behind a later one");
        break;
    case VERDICT_NO_MEMORY:
        complain_of(subscriber, payload, "leaves a hole that there is no memory to note");
        break;
    case VERDICT_NEXT:
    case VERDICT_AFTER_HOLE:
        for (; !subscriber->slow && expected <= payload->number; expected++) {
            is_last = ledger_settle(subscriber->ledger, lane, expected);
        }
    }
    note_delivery(subscriber, payload, is_last);
}

void event_check(struct subscriber *subscriber, const struct sse_event *event) {
    if (take_control(subscriber, event)) return;
    struct payload payload;
    switch (payload_read(event->data, subscriber->plan->options.size, &payload)) {
    case PAYLOAD_FINE:
        take_payload(subscriber, &payload);
        return;
    case PAYLOAD_STRANGE:
        subscriber->ledger->strange++;
        complain(subscriber->ledger, "subscriber %u of session %u: an event that this program never published",
                 link_index(subscriber->link.token), subscriber->session);
        return;
    case PAYLOAD_CORRUPT:
        subscriber->ledger->corrupt++;
        complain(subscriber->ledger, "subscriber %u of session %u: an event was changed or cut",
                 link_index(subscriber->link.token), subscriber->session);
    }
}

void event_check_caught_up(struct subscriber *subscriber) {
    if (!subscriber->behind || subscriber->state != SUBSCRIBER_LIVE) return;
    for (uint32_t i = 0; i < subscriber->verifier.lanes; i++) {
        if (subscriber->verifier.next[i] <= ledger_lane(subscriber->ledger, subscriber->session, i)->storm_target)
            return;
    }
    subscriber->behind = false;
    subscriber->ledger->behind--;
}
