#include "delivery.h"

#include <stdarg.h>
#include <stdlib.h>

#include "judge.h"

#define LETTERS 26
#define EPOCH   11 /* bytes of an epoch in an id */

static const char probe_request[] = "GET /health HTTP/1.1\r\nHost: probe\r\n\r\n";
static const char probe_answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n"
                                   "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
                                   "{\"status\":\"ok\"}\n";

/* One delivery while it goes on. */
struct course {
    struct link *link;
    const struct conformance_case *one;
    struct case_text request; /* with the epochs of this run */
    char epochs[LETTERS][EPOCH];
    bool known[LETTERS];
    uint64_t published; /* by the engine, before the request */
    bool timed_out;
    char problem[PROBLEM_MAX];
};

static bool fail(struct course *course, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct course *course, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(course->problem, sizeof(course->problem), format, arguments);
    va_end(arguments);
    return false;
}

static struct span received(const struct course *course) {
    return (struct span){course->link->received.data, course->link->received.length};
}

/* ---- Sessions and their epochs ------------------------------------------------------------------------------ */

static void learn_epochs(struct course *course) {
    for (int i = 0; i < LETTERS; i++) {
        char name = (char)('a' + i);
        weir_session *session;
        weir_session_info info;
        if (weir_session_open(course->link->engine, &name, 1, WEIR_OPEN_EXISTING, &session, NULL) != WEIR_OK)
            continue;
        weir_session_info_get(session, &info);
        weir_epoch_format(info.epoch, course->epochs[i]);
        course->known[i] = true;
        weir_session_release(session);
    }
}

static void end_sessions(struct course *course) {
    for (int i = 0; i < LETTERS; i++) {
        char name = (char)('a' + i);
        weir_session *session;
        if (weir_session_open(course->link->engine, &name, 1, WEIR_OPEN_EXISTING, &session, NULL) != WEIR_OK)
            continue;
        weir_session_terminate(session);
        weir_session_release(session);
    }
}

static bool publish_words(struct course *course, weir_session *session, struct span events) {
    while (events.length > 0) {
        const char *blank = memchr(events.data, ' ', events.length);
        size_t length = blank != NULL ? (size_t)(blank - events.data) : events.length;
        if (weir_publish(course->link->producer, session, 0, events.data, length, NULL) != WEIR_OK)
            return fail(course, "a given event was not taken");
        size_t taken = blank != NULL ? length + 1 : length;
        events.data += taken;
        events.length -= taken;
    }
    return true;
}

static bool prepare(struct course *course) {
    for (unsigned i = 0; i < course->one->given_count; i++) {
        const struct given *given = &course->one->givens[i];
        weir_session *session;
        if (weir_session_open(course->link->engine, &given->name, 1, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK)
            return fail(course, "a given session cannot be made");
        bool published = publish_words(course, session, given->events);
        weir_session_release(session);
        if (!published) return false;
    }
    weir_stats stats;
    weir_engine_stats(course->link->engine, &stats);
    course->published = stats.published;
    learn_epochs(course);
    return true;
}

/* The tables write the epoch of session s as `_epoch-of-s`, which is as long as an epoch. */
static void exchange(char *data, size_t length, const char *from, const char *to) {
    for (char *end = data + length; (data = memmem(data, (size_t)(end - data), from, EPOCH)) != NULL; data += EPOCH)
        memcpy(data, to, EPOCH);
}

static void exchange_epochs(const struct course *course, struct case_text *text, bool names) {
    for (int i = 0; i < LETTERS; i++) {
        char name[EPOCH + 1];
        snprintf(name, sizeof(name), "_epoch-of-%c", 'a' + i);
        if (!course->known[i]) continue;
        exchange(text->data, text->length, names ? course->epochs[i] : name, names ? name : course->epochs[i]);
    }
}

/* What a server draws by chance: the digits of `retry:`. */
static void hide_jitter(struct case_text *text) {
    char *end = text->data + text->length;
    for (char *at = text->data; (at = memmem(at, (size_t)(end - at), "retry: ", 7)) != NULL;)
        for (at += 7; at < end && *at >= '0' && *at <= '9'; at++)
            *at = '*';
}

/* ---- Sending and receiving ---------------------------------------------------------------------------------- */

size_t next_cut(size_t at, size_t length) {
    if (length <= LONG_REQUEST || at < LONG_END || at >= length - LONG_END) return at + 1;
    size_t next = at + length / LONG_CUTS;
    return next < length - LONG_END ? next : length - LONG_END;
}

static void send_request(struct course *course, struct way way) {
    struct link *link = course->link;
    struct span bytes = {course->request.data, course->request.length};
    if (way.cut == CUT_NOWHERE) {
        link->operations->send(link, bytes.data, bytes.length);
    } else if (way.cut == CUT_AT) {
        link->operations->send(link, bytes.data, way.at);
        link->operations->send(link, bytes.data + way.at, bytes.length - way.at);
    } else {
        for (size_t at = 0, next; at < bytes.length; at = next) {
            next = next_cut(at, bytes.length);
            link->operations->send(link, bytes.data + at, next - at);
        }
    }
}

static bool receive_answers(struct course *course) {
    size_t size;
    while (count_answers(course->one, received(course), &size) < expected_count(course->one))
        if (course->link->ended || !course->link->operations->receive(course->link))
            return fail(course, "answers are missing");
    return true;
}

static bool receive_end(struct course *course) {
    while (!course->link->ended)
        if (!course->link->operations->receive(course->link)) return fail(course, "the connection does not end");
    return !course->link->broken || fail(course, "the connection ends with a reset");
}

/* The next request on the connection gets its own answer, and nothing comes before it. */
static bool probe(struct course *course) {
    struct link *link = course->link;
    size_t before = link->received.length;
    size_t wanted = before + sizeof(probe_answer) - 1;
    link->operations->send(link, probe_request, sizeof(probe_request) - 1);
    while (link->received.length < wanted)
        if (link->ended || !link->operations->receive(link)) return fail(course, "a further request gets no answer");
    bool same = link->received.length == wanted &&
                memcmp(link->received.data + before, probe_answer, sizeof(probe_answer) - 1) == 0;
    if (!same) return fail(course, "a further request gets another answer");
    link->received.length = before;
    return true;
}

static bool reach_ending(struct course *course) {
    struct link *link = course->link;
    switch (course->one->ending) {
    case ENDING_KEPT:
        return probe(course);
    case ENDING_CLOSED:
        break;
    case ENDING_STREAMS:
        learn_epochs(course);
        end_sessions(course);
        break;
    default:
        course->timed_out = link->operations->wait_out != NULL;
        if (course->timed_out)
            link->operations->wait_out(link);
        else
            link->operations->finish(link);
        break;
    }
    return receive_end(course);
}

/* ---- What is left ------------------------------------------------------------------------------------------- */

/* Nothing was published but what the case says, and nobody subscribes any more. */
static bool leave(struct course *course) {
    weir_stats stats;
    learn_epochs(course);
    course->link->operations->disconnect(course->link);
    end_sessions(course);
    weir_engine_stats(course->link->engine, &stats);
    uint64_t published = stats.published - course->published;
    if (published != course->one->published)
        return fail(course, "%llu events were published, not %u", (unsigned long long)published,
                    course->one->published);
    if (stats.subscribers != 0) return fail(course, "a subscriber is left behind");
    if (stats.sessions != 0) return fail(course, "a session is left that no case may use");
    return true;
}

static void print_way(struct way way) {
    if (way.cut == CUT_NOWHERE)
        fprintf(stderr, "in one piece");
    else if (way.cut == CUT_EVERYWHERE)
        fprintf(stderr, "byte by byte");
    else
        fprintf(stderr, "cut at %zu", way.at);
}

static void report(const struct course *course, struct way way) {
    const struct conformance_case *one = course->one;
    fprintf(stderr, "%s:%u: %.*s, ", one->file, one->line, (int)one->name.length, one->name.data);
    print_way(way);
    fprintf(stderr, ": %s\n  sent:\n", course->problem);
    case_text_print(stderr, course->request.data, course->request.length);
    fprintf(stderr, "  received:\n");
    case_text_print(stderr, course->link->received.data, course->link->received.length);
}

static void begin(struct course *course, struct link *link, const struct conformance_case *one) {
    memset(course, 0, sizeof(*course));
    course->link = link;
    course->one = one;
    link->received.length = 0;
    link->ended = link->broken = false;
    link->operations->connect(link, one->server);
    case_text_append(&link->received, "", 0);
}

bool deliver(struct link *link, const struct conformance_case *one, struct way way, struct case_text *transcript) {
    struct course course;
    begin(&course, link, one);
    bool good = prepare(&course);
    case_text_append(&course.request, one->request.data, one->request.length);
    exchange_epochs(&course, &course.request, false);
    if (good) send_request(&course, way);
    good = good && receive_answers(&course) && reach_ending(&course);
    good = leave(&course) && good;
    exchange_epochs(&course, &link->received, true);
    hide_jitter(&link->received);
    good = good && judge(one, received(&course), course.timed_out, course.problem);
    if (!good) report(&course, way);
    transcript->length = 0;
    case_text_append(transcript, link->received.data, link->received.length);
    free(course.request.data);
    return good;
}

bool deliver_probe(struct link *link, enum server_kind server) {
    static const struct conformance_case nothing = {.name = {"a new connection", 16}, .file = "probe"};
    struct conformance_case one = nothing;
    one.server = server;
    struct course course;
    begin(&course, link, &one);
    bool good = probe(&course);
    link->operations->disconnect(link);
    if (!good) report(&course, (struct way){CUT_NOWHERE, 0});
    return good;
}

/* ---- Requests that stop half-way ---------------------------------------------------------------------------- */

/* 100, or nothing, may come before the time is up; after that 408 or the end. No other answer, no event, no reset. */
static bool judge_truncated(struct course *course) {
    struct span rest = received(course);
    bool timed_out = false;
    while (rest.length > 0) {
        struct answer_text answer;
        if (timed_out || read_answer(rest, false, &answer) != ANSWER_WHOLE)
            return fail(course, "something else than one whole answer");
        if (answer.status != 100 && answer.status != 408) return fail(course, "an answer %u", answer.status);
        timed_out = answer.status == 408;
        if (!judge_form(&answer, timed_out, false, course->problem)) return false;
        size_t size = answer.head.length + answer.body.length;
        rest = (struct span){rest.data + size, rest.length - size};
    }
    bool begun = course->request.length > 0;
    return timed_out == begun || fail(course, begun ? "no answer 408" : "an answer to nothing");
}

bool deliver_truncated(struct link *link, const struct conformance_case *one, size_t length) {
    struct conformance_case silent = *one;
    silent.published = 0;
    struct course course;
    begin(&course, link, &silent);
    bool good = prepare(&course);
    case_text_append(&course.request, one->request.data, length);
    if (good) send_request(&course, (struct way){CUT_NOWHERE, 0});
    link->operations->wait_out(link);
    good = good && receive_end(&course);
    good = leave(&course) && good;
    good = good && judge_truncated(&course);
    if (!good) report(&course, (struct way){CUT_AT, length});
    free(course.request.data);
    return good;
}

/* ---- Requests that a drain meets ---------------------------------------------------------------------------- */

bool deliver_draining(struct link *link, const struct conformance_case *one) {
    size_t half = one->request.length / 2;
    struct conformance_case closing = *one;
    closing.ending = ENDING_CLOSED;
    struct course course;
    begin(&course, link, &closing);
    bool good = prepare(&course);
    case_text_append(&course.request, one->request.data, one->request.length);
    exchange_epochs(&course, &course.request, false);
    link->operations->send(link, course.request.data, half);
    link->operations->drain(link);
    link->operations->send(link, course.request.data + half, course.request.length - half);
    good = good && receive_answers(&course) && receive_end(&course);
    good = leave(&course) && good;
    exchange_epochs(&course, &link->received, true);
    good = good && judge(&closing, received(&course), false, course.problem);
    if (!good) report(&course, (struct way){CUT_AT, half});
    free(course.request.data);
    return good;
}
