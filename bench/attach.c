/* What coming and going costs on a session that has a full ring, with nothing read in between.
 *
 * subscribe_churn_ns  weir_subscribe and weir_unsubscribe: one of many subscribers, from the oldest event
 * subscribe_resume_ns the same with a last id, which is parsed and leads into the middle of the window
 * subscribe_2t_ns     subscribe_churn_ns by two threads on one session, each on a core: wall time of the run by the
 *                     subscribers of both
 * attach_churn_ns     weir_attach, weir_detach by its generation, weir_unsubscribe: the session's one consumer
 * attach_displace_ns  weir_attach while another is attached, which it displaces, and the other's late weir_unsubscribe
 *
 * Not measured: reading, the outlet or feed that a reactor opens as well. Checked: where each cursor was placed, the
 * generations, how each attachment ended, and that nobody is left in the counts. */
#include "base/platform.h"
#include "cores.h"
#include "subject.h"

#include <stdlib.h>

struct door {
    struct subject subject;
    char id[WEIR_ID_MAX];
    weir_subscription how;
    uint64_t expected; /* sequence that a cursor is placed at */
    uint64_t times;    /* of each side */
    struct visitor {
        CACHE_ALIGNED uint64_t right;
    } visitors[2];
};

static bool open_door(struct door *door, uint64_t times, struct bench_result *result) {
    static const char bytes[PAYLOAD_BYTES];
    weir_producer *producer = NULL;
    *door = (struct door){.times = times};
    if (!subject_open(&door->subject, NULL, result)) return false;
    bool ok = expect_ok(weir_producer_create(door->subject.engine, &producer), "weir_producer_create", result);
    for (unsigned i = 0; ok && i < RING_CAPACITY; i++) {
        ok = expect_ok(weir_publish(producer, door->subject.session, 0, bytes, sizeof bytes, NULL), "weir_publish",
                       result);
    }
    weir_producer_destroy(producer);
    door->expected = door->subject.first_sequence;
    return ok;
}

static void subscribe_side(void *context, unsigned side) {
    struct door *door = context;
    uint64_t right = 0;
    for (uint64_t i = 0; i < door->times; i++) {
        weir_cursor cursor;
        weir_gap gap;
        if (weir_subscribe(door->subject.session, &door->how, &cursor, &gap) != WEIR_OK) break;
        right += cursor.next == door->expected;
        weir_unsubscribe(door->subject.session, &cursor);
    }
    door->visitors[side].right = right;
}

static void check_door(struct door *door, uint64_t right, uint64_t expected, struct bench_result *result) {
    weir_session_info info;
    weir_session_info_get(door->subject.session, &info);
    if (right != expected) bench_fail(result, "only %llu came and went as they should", (unsigned long long)right);
    if (info.subscribers != 0) bench_fail(result, "%u are still counted", info.subscribers);
}

static void time_subscribe(struct door *door, struct bench_result *result) {
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    subscribe_side(door, 0);
    result->event_ns = (double)(now_ns() - begin_ns) / (double)door->times;
    check_door(door, door->visitors[0].right, door->times, result);
}

static void measure_subscribe(uint64_t times, struct bench_result *result) {
    struct door door;
    if (open_door(&door, times, result)) time_subscribe(&door, result);
    subject_close(&door.subject);
}

static void measure_resume(uint64_t times, struct bench_result *result) {
    struct door door;
    if (open_door(&door, times, result)) {
        door.expected = door.subject.first_sequence + RING_CAPACITY / 2;
        door.how.last_id = door.id;
        door.how.last_id_length = weir_session_id_format(door.subject.session, door.expected - 1, door.id);
        time_subscribe(&door, result);
    }
    subject_close(&door.subject);
}

static void measure_subscribe_2t(uint64_t times, struct bench_result *result) {
    struct door door;
    if (open_door(&door, times / 2, result)) {
        uint64_t elapsed = run_on_cores(subscribe_side, 2, &door, result);
        result->event_ns = (double)elapsed / (double)(2 * door.times);
        if (elapsed > 0) check_door(&door, door.visitors[0].right + door.visitors[1].right, 2 * door.times, result);
    }
    subject_close(&door.subject);
}

static uint64_t attach_and_detach(struct door *door) {
    weir_session *session = door->subject.session;
    uint64_t right = 0;
    uint64_t last = 0;
    for (uint64_t i = 0; i < door->times; i++) {
        weir_cursor cursor;
        weir_gap gap;
        if (weir_attach(session, NULL, &cursor, &gap) != WEIR_OK) break;
        right += cursor.generation > last && cursor.next == door->expected &&
                 weir_detach(session, cursor.generation) == WEIR_OK;
        last = cursor.generation;
        weir_unsubscribe(session, &cursor);
    }
    weir_attachment_info info;
    weir_attachment_get(session, &info);
    return info.generation == last && info.ended == WEIR_ENDED_DETACHED ? right : 0;
}

/* The first attachment and the last leave by themselves: the others are displaced, each by the next. */
static uint64_t displace(struct door *door) {
    weir_session *session = door->subject.session;
    weir_cursor cursors[2];
    weir_gap gap;
    uint64_t right = 0;
    if (weir_attach(session, NULL, &cursors[0], &gap) != WEIR_OK) return 0;
    for (uint64_t i = 0; i < door->times; i++) {
        weir_cursor *old = &cursors[i % 2];
        weir_cursor *new = &cursors[(i + 1) % 2];
        if (weir_attach(session, NULL, new, &gap) != WEIR_OK) break;
        right += new->generation > old->generation;
        weir_unsubscribe(session, old);
    }
    weir_unsubscribe(session, &cursors[door->times % 2]);
    weir_stats stats;
    weir_engine_stats(door->subject.engine, &stats);
    return stats.displaced == door->times ? right : 0;
}

static void measure_attach_by(uint64_t (*churn)(struct door *), uint64_t times, struct bench_result *result) {
    struct door door;
    if (open_door(&door, times, result)) {
        pin_to_first_core();
        uint64_t begin_ns = now_ns();
        uint64_t right = churn(&door);
        result->event_ns = (double)(now_ns() - begin_ns) / (double)times;
        check_door(&door, right, times, result);
    }
    subject_close(&door.subject);
}

static void measure_attach(uint64_t times, struct bench_result *result) {
    measure_attach_by(attach_and_detach, times, result);
}
static void measure_displace(uint64_t times, struct bench_result *result) {
    measure_attach_by(displace, times, result);
}

const struct bench_case bench_attach_cases[] = {
    {"subscribe_churn_ns", 1000000, measure_subscribe}, {"subscribe_resume_ns", 1000000, measure_resume},
    {"subscribe_2t_ns", 1000000, measure_subscribe_2t}, {"attach_churn_ns", 500000, measure_attach},
    {"attach_displace_ns", 500000, measure_displace},   {NULL, 0, NULL},
};
