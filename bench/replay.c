/* What reading back costs: 100-byte events from a full ring of 256 that nobody writes to, the copy into the reader's
 * buffer included.
 *
 * replay_event_ns   the whole ring, 64 at a time with weir_read_many
 * replay_single_ns  the same one at a time with weir_read
 * replay_resume_ns  the newer 128 of the 256, as of a client that comes back with its last id: per event, and the parsing
 *                   of the id and the placing of the cursor are a 128th of it
 * replay_cold_ns    the whole ring, 64 at a time, of one of 4,000 sessions after the other: 134 MB of events, published in
 *                   turns, so that a session's lie scattered, and have left the caches when its turn comes
 *
 * Each round attaches a cursor, reads and detaches, so a 256th of attaching is in the figure. Not measured: making
 * frames of the events, sending. Checked: how many events there were and, of the last of each 64, sequence and both ends of
 * the bytes; in a round of its own behind the timed ones, of every event. */
#include "cores.h"
#include "subject.h"

#include <stdio.h>

#define RUN           64u
#define COLD_SESSIONS 4000u /* which are read in the order in which they were filled: last touched longest ago */

/* One event to each session, and again: as in life, the events of one lie scattered among those of all. */
static bool fill_rings(const struct subject *subject, weir_session *const *sessions, uint32_t count,
                       struct bench_result *result) {
    struct payloads payloads;
    weir_producer *producer = NULL;
    payloads_fill(&payloads, 0);
    if (!expect_ok(weir_producer_create(subject->engine, &producer), "weir_producer_create", result)) return false;
    bool ok = true;
    for (uint64_t i = 0; ok && i < (uint64_t)count * RING_CAPACITY; i++) {
        const void *payload = payload_of(&payloads, i / count);
        ok = expect_ok(weir_publish(producer, sessions[i % count], 0, payload, PAYLOAD_BYTES, NULL), "weir_publish",
                       result);
    }
    weir_producer_destroy(producer);
    return ok;
}

static bool is_right(const struct subject *subject, const weir_event *event, const unsigned char *bytes,
                     uint64_t place) {
    return event->sequence == subject->first_sequence + place && event->length == PAYLOAD_BYTES &&
           payload_matches(bytes, 0, place);
}

/* Both read what is there, from `place` of the ring on, look at every event or at each 64th, and return how many there
 * were without the wrong ones. */
typedef uint64_t read_function(const struct subject *subject, weir_session *session, weir_cursor *cursor,
                               uint64_t place, bool every);

static uint64_t read_singly(const struct subject *subject, weir_session *session, weir_cursor *cursor, uint64_t place,
                            bool every) {
    unsigned char bytes[128];
    weir_event event;
    weir_gap gap;
    uint64_t right = 0;
    while (weir_read(session, cursor, bytes, sizeof bytes, &event, &gap) == WEIR_OK)
        right += (!every && (place + right) % RUN != RUN - 1) || is_right(subject, &event, bytes, place + right);
    return right;
}

static uint64_t read_runs(const struct subject *subject, weir_session *session, weir_cursor *cursor, uint64_t place,
                          bool every) {
    unsigned char bytes[RUN * PAYLOAD_BYTES + 64];
    weir_event events[RUN];
    weir_gap gap;
    uint32_t count;
    uint64_t read = 0;
    uint64_t wrong = 0;
    while (weir_read_many(session, cursor, bytes, sizeof bytes, events, RUN, &count, &gap) == WEIR_OK) {
        for (uint32_t i = every ? 0 : count - 1; i < count; i++)
            wrong += !is_right(subject, &events[i], bytes + (size_t)i * PAYLOAD_BYTES, place + read + i);
        read += count;
    }
    return read - wrong;
}

struct window {
    read_function *read;
    weir_subscription how;
    uint64_t first; /* place in the ring that `how` leads to */
};

/* How many events of the window were read, without those that were looked at and wrong. */
static uint64_t read_window(const struct subject *subject, weir_session *session, const struct window *window,
                            bool every, struct bench_result *result) {
    weir_cursor cursor;
    weir_gap gap;
    if (!expect_ok(weir_subscribe(session, &window->how, &cursor, &gap), "weir_subscribe", result)) return 0;
    uint64_t right = window->read(subject, session, &cursor, window->first, every);
    weir_unsubscribe(session, &cursor);
    return right;
}

/* Reads the window of each session in turn, until about `events` are read. */
static void time_rounds(const struct subject *subject, weir_session *const *sessions, uint32_t count,
                        const struct window *window, uint64_t events, struct bench_result *result) {
    uint64_t size = RING_CAPACITY - window->first;
    uint64_t rounds = events / size + 1;
    uint64_t right = 0;
    pin_to_first_core();
    uint64_t begin_ns = now_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        right += read_window(subject, sessions[i % count], window, false, result);
    }
    result->event_ns = (double)(now_ns() - begin_ns) / (double)(rounds * size);
    for (uint64_t i = 0; i < count; i++) {
        right += read_window(subject, sessions[i], window, true, result);
    }
    rounds += count;
    if (right != rounds * size) bench_fail(result, "only %llu events were right", (unsigned long long)right);
}

static void measure(uint64_t events, struct window window, struct bench_result *result) {
    struct subject subject;
    if (subject_open(&subject, NULL, result) && fill_rings(&subject, &subject.session, 1, result)) {
        char id[WEIR_ID_MAX];
        if (window.first > 0) {
            window.how.last_id = id;
            window.how.last_id_length =
                weir_session_id_format(subject.session, subject.first_sequence + window.first - 1, id);
        }
        time_rounds(&subject, &subject.session, 1, &window, events, result);
    }
    subject_close(&subject);
}

static void measure_runs(uint64_t events, struct bench_result *result) {
    measure(events, (struct window){.read = read_runs}, result);
}
static void measure_singly(uint64_t events, struct bench_result *result) {
    measure(events, (struct window){.read = read_singly}, result);
}
static void measure_resume(uint64_t events, struct bench_result *result) {
    measure(events, (struct window){.read = read_runs, .first = RING_CAPACITY / 2}, result);
}

static void measure_cold(uint64_t events, struct bench_result *result) {
    static weir_session *sessions[COLD_SESSIONS];
    struct subject subject;
    uint32_t count = events / RING_CAPACITY < COLD_SESSIONS ? (uint32_t)(events / RING_CAPACITY) : COLD_SESSIONS;
    bool ok = subject_open(&subject, NULL, result);
    for (uint32_t i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "cold-%u", i);
        sessions[i] = ok ? subject_session(&subject, name, result) : NULL;
        ok = sessions[i] != NULL;
    }
    if (ok && fill_rings(&subject, sessions, count, result))
        time_rounds(&subject, sessions, count, &(struct window){.read = read_runs}, events, result);
    for (uint32_t i = 0; i < count; i++) {
        weir_session_release(sessions[i]);
    }
    subject_close(&subject);
}

const struct bench_case bench_replay_cases[] = {
    {"replay_event_ns", 20000000, measure_runs},
    {"replay_single_ns", 20000000, measure_singly},
    {"replay_resume_ns", 20000000, measure_resume},
    {"replay_cold_ns", 2048000, measure_cold},
    {NULL, 0, NULL},
};
