#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_text.h"
#include "simulation.h"

/* ---- Answers ------------------------------------------------------------------------------------------------------ */

/* The answer's id names the event with that number. */
static void check_id(struct poster *poster, unsigned name, const struct json_member *id, uint32_t number) {
    struct simulation *simulation = poster->simulation;
    char epoch[40];
    bool good = id != NULL && id->type == JSON_STRING_VALUE && id->length < sizeof(epoch);
    const char *dot = good ? memchr(id->text, '.', id->length) : NULL;
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, dot != NULL, "poster %u: an answer without an id", poster->index);
    snprintf(epoch, sizeof(epoch), "%.*s", (int)id->length, id->text);
    uint64_t sequence = strtoull(epoch + (dot - id->text) + 1, NULL, 10);
    epoch[dot - id->text] = '\0';
    const struct life *life = truth_life(&simulation->truth, name, epoch);
    SIMULATION_REQUIRE(
        simulation, ORACLE_BALANCE,
        life != NULL && sequence >= 1 && sequence <= life->newest && life->items[sequence - 1].number == number,
        "poster %u: publication %u was answered with id %.*s, where %d is", poster->index, number, (int)id->length,
        id->text,
        life != NULL && sequence >= 1 && sequence <= life->newest ? (int)life->items[sequence - 1].number : -1);
}

static void check_accepted(struct poster *poster, const struct posting *posting, const struct answer_heard *answer) {
    struct simulation *simulation = poster->simulation;
    struct json_member members[3];
    char room[ANSWER_KEPT];
    size_t length = answer->length > 0 ? answer->length - 1 : 0; /* a line end */
    int count = json_members(answer->body, length, members, 3, room);
    if (posting->one) {
        check_id(poster, posting->name, json_find(members, count, "id"), posting->numbers[0]);
        return;
    }
    uint64_t accepted = 0;
    SIMULATION_REQUIRE(simulation, ORACLE_BALANCE,
                       json_number(json_find(members, count, "count"), &accepted) && accepted == posting->count,
                       "poster %u: %u events were answered with %.*s", poster->index, posting->count,
                       (int)answer->length, answer->body);
    check_id(poster, posting->name, json_find(members, count, "first"), posting->numbers[0]);
    check_id(poster, posting->name, json_find(members, count, "last"), posting->numbers[posting->count - 1]);
}

static void take_answer(void *context, const struct answer_heard *answer) {
    struct poster *poster = context;
    struct simulation *simulation = poster->simulation;
    simulation_note(simulation, "answer", poster->index, answer->status);
    simulation->totals->answers++;
    simulation->server.seen.refused += answer->status >= 400;
    if (answer->status < 200) return;
    unsigned index = poster->answered++;
    poster->served = poster->served || (simulation->settling && poster->answered == poster->asked);
    if (poster->junk) return;
    /* One answer to each request; what was never asked is answered when the time for asking is over, or when there are
     * too many connections, and when memory fails. */
    bool uncalled = answer->status == 408 || answer->status == 503;
    SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, index < poster->asked || uncalled,
                       "poster %u asked for %u things and has got %u answers", poster->index, poster->asked,
                       index + 1);
    if (answer->status == 201 && poster->postings[index % POSTER_REQUESTS].count > 0)
        check_accepted(poster, &poster->postings[index % POSTER_REQUESTS], answer);
}

static void refuse_frame(void *context, const struct frame *frame) {
    (void)frame;
    const struct poster *poster = context;
    simulation_fail(poster->simulation, ORACLE_ISOLATION, "poster %u hears events", poster->index);
}

void poster_start(struct simulation *simulation, unsigned index) {
    struct poster *poster = &simulation->posters[index];
    memset(poster, 0, offsetof(struct poster, text));
    poster->simulation = simulation;
    poster->index = index;
    poster->random = random_start(simulation->plan.seed, 100 + index);
    poster->served = false;
    poster->decoder.context = poster;
    poster->decoder.answer = take_answer;
    poster->decoder.frame = refuse_frame;
}

/* ---- Requests ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void write_text(struct poster *poster, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(poster->text + poster->length, POSTER_TEXT - poster->length, format, arguments);
    va_end(arguments);
    poster->length += (size_t)length;
}

static void write_chunked(struct poster *poster, const char *body, size_t length) {
    while (length > 0) {
        size_t piece = 1 + random_below(&poster->random, (uint32_t)length);
        write_text(poster, "%zx\r\n", piece);
        memcpy(poster->text + poster->length, body, piece);
        poster->length += piece;
        write_text(poster, "\r\n");
        body += piece;
        length -= piece;
        if (poster->length + 2 * length + 64 > POSTER_TEXT) break; /* a request that is never whole */
    }
    write_text(poster, "0\r\n\r\n");
}

/* One event or several, counted or in chunks, with or without being asked to go on first. */
static void write_post(struct poster *poster, struct posting *posting) {
    static const char *const queries[2][3] = {
        {"", "?event=k1", "?event=%C3%A4%202"},
        {"?split=lines", "?split=lines&event=k1", "?event=%C3%A4%202&split=lines"}};
    static const char *const types[] = {"text/plain", "text/plain", "application/x-ndjson"};
    char body[POSTER_EVENTS * PAYLOAD_MOST / 4];
    size_t length = 0;
    enum payload_form form = (enum payload_form)random_below(&poster->random, 3);
    posting->one = form == PAYLOAD_TEXT;
    posting->count = posting->one ? 1 : 1 + random_below(&poster->random, POSTER_EVENTS);
    for (unsigned i = 0; i < posting->count; i++) {
        char payload[PAYLOAD_MOST];
        size_t size =
            payload_write(poster->simulation, posting->name, form, &poster->random, payload, &posting->numbers[i]);
        if (length + size + 2 > sizeof(body)) { /* the number is not used, and that is all */
            posting->count = i;
            break;
        }
        memcpy(body + length, payload, size);
        length += size;
        if (!posting->one) body[length++] = '\n';
    }
    bool chunked = random_happens(&poster->random, 30);
    const char *query = RANDOM_PICK(&poster->random, queries[form == PAYLOAD_LINE]);
    write_text(poster, "POST /sessions/%s/events%s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s",
               truth_name(posting->name), query, types[form],
               random_happens(&poster->random, 10) ? "Expect: 100-continue\r\n" : "");
    if (chunked) {
        write_text(poster, "Transfer-Encoding: chunked\r\n\r\n");
        write_chunked(poster, body, length);
        return;
    }
    write_text(poster, "Content-Length: %zu\r\n\r\n", length);
    memcpy(poster->text + poster->length, body, length);
    poster->length += length;
}

static void write_other(struct poster *poster, unsigned name, unsigned index) {
    static const char *const plain[] = {"GET /metrics", "GET /ready", "GET /", "GET /sessions/other", "GET /nowhere"};
    static const char *const headless[] = {"/metrics", "/health", "/sessions/a", "/sessions/a/events", "/nowhere"};
    if (random_happens(&poster->random, 20)) {
        poster->decoder.bodiless |= 1u << index % 32;
        write_text(poster, "HEAD %s HTTP/1.1\r\nHost: x\r\n\r\n", RANDOM_PICK(&poster->random, headless));
    } else if (random_happens(&poster->random, 30))
        write_text(poster, "%s /sessions/%s HTTP/1.1\r\nHost: x\r\n\r\n",
                   random_happens(&poster->random, 50) ? "PUT" : "GET", truth_name(name));
    else
        write_text(poster, "%s HTTP/1.1\r\nHost: x\r\n\r\n", RANDOM_PICK(&poster->random, plain));
}

static void write_junk(struct poster *poster) {
    static const char *const junk[] = {
        "POST /sessions/other/events HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhello",
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "GET /sessions/c HTTP/1.1\r\nHo",
        "\r\n\r\n\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "GET / HTTP/1.0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "PUT /sessions/new HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    };
    poster->junk = true;
    write_text(poster, "%s", RANDOM_PICK(&poster->random, junk));
}

#define GREEDY_REQUESTS 40u /* for more than the server lets wait for being sent: it must stop taking requests */

static void write_greedy(struct poster *poster) {
    memset(poster->postings, 0, sizeof(poster->postings));
    poster->decoder.bodiless = 0;
    for (unsigned i = 0; i < GREEDY_REQUESTS; i++)
        write_text(poster, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    poster->asked += GREEDY_REQUESTS;
}

static void write_request(struct poster *poster, unsigned index) {
    struct simulation *simulation = poster->simulation;
    struct posting *posting = &poster->postings[index % POSTER_REQUESTS];
    *posting = (struct posting){.name = random_below(&poster->random, simulation->settings.sessions)};
    poster->decoder.bodiless &= ~(1u << index % 32);
    unsigned what = random_below(&poster->random, 100);
    if (what < 70)
        write_post(poster, posting);
    else if (what < 75 && plan_has(&simulation->plan, WEATHER_TERMINATE))
        write_text(poster, "DELETE /sessions/%s HTTP/1.1\r\nHost: x\r\n\r\n", truth_name(posting->name));
    else if (what < 92)
        write_other(poster, posting->name, index);
    else
        write_junk(poster);
}

/* ---- A connection ------------------------------------------------------------------------------------------------- */

static void come(struct poster *poster) {
    struct simulation *simulation = poster->simulation;
    poster->peer = simulated_connect(simulation->server.backend, simulation->server.listener);
    poster->asked = poster->answered = 0;
    poster->length = poster->fed = 0;
    poster->junk = poster->silent = false;
    decoder_start(&poster->decoder, 0);
    if (plan_has(&simulation->plan, WEATHER_STALL) && random_happens(&poster->random, 20))
        simulated_set_window(poster->peer, random_below(&poster->random, 300));
    simulation->totals->lives++;
    simulation_note(simulation, "poster comes", poster->index, 0);
}

void poster_ask(struct poster *poster) {
    if (poster->peer == NULL) come(poster);
    if (poster->fed < poster->length || poster->answered < poster->asked || poster->junk) return;
    poster->length = poster->fed = 0;
    if (random_happens(&poster->random, 2)) {
        write_greedy(poster);
        return;
    }
    unsigned count = random_happens(&poster->random, 70) ? 1 : 1 + random_below(&poster->random, POSTER_REQUESTS);
    for (unsigned i = 0;
         i < count && poster->length + 2 * POSTER_EVENTS * PAYLOAD_MOST / 4 + 4096 < POSTER_TEXT && !poster->junk;
         i++)
        write_request(poster, poster->asked++);
}

void poster_ask_greedily(struct poster *poster) {
    if (poster->peer != NULL) return;
    come(poster);
    write_greedy(poster);
}

static void feed(struct poster *poster) {
    size_t left = poster->length - poster->fed;
    if (left == 0) return;
    if (random_below(&poster->random, 1000) < poster->simulation->settings.drip)
        left = random_below(&poster->random, (uint32_t)left + 1);
    simulated_feed(poster->peer, poster->text + poster->fed, left);
    poster->fed += left;
}

static void hear(struct poster *poster, size_t most) {
    struct simulation *simulation = poster->simulation;
    while (most > 0) {
        char bytes[4096];
        size_t count = simulated_read(poster->peer, bytes, most < sizeof(bytes) ? most : sizeof(bytes));
        if (count == 0) return;
        most -= count;
        trace_bytes(&simulation->outcome.trace, bytes, count);
        SIMULATION_REQUIRE(simulation, ORACLE_FRAMING, decoder_feed(&poster->decoder, bytes, count),
                           "poster %u heard %s", poster->index, poster->decoder.problem);
    }
}

void poster_leave(struct poster *poster) {
    if (poster->peer == NULL) return;
    struct simulation *simulation = poster->simulation;
    hear(poster, SIZE_MAX);
    /* An answer that was not heard to its end is not counted by this side. */
    simulation->server.seen.cut = true;
    if (!simulated_saw_reset(poster->peer)) simulated_reset(poster->peer);
    simulated_dismiss(poster->peer);
    poster->peer = NULL;
}

void poster_fall_silent(struct poster *poster) {
    if (poster->peer == NULL) return;
    poster->silent = true;
    poster->simulation->server.seen.cut = true;
    simulated_set_window(poster->peer, 0);
}

void poster_poll(struct poster *poster) {
    if (poster->peer == NULL || poster->silent) return;
    struct random *random = &poster->random;
    bool over = simulated_saw_finish(poster->peer) || simulated_saw_reset(poster->peer);
    if (!over) feed(poster);
    if (poster->simulation->settling) {
        hear(poster, SIZE_MAX);
        if (over) poster_leave(poster);
        return;
    }
    hear(poster, random_happens(random, 20) ? random_below(random, 200) : SIZE_MAX);
    unsigned leave = poster->simulation->settings.leave;
    bool done = poster->fed == poster->length && poster->answered >= poster->asked;
    if (over || random_below(random, 3000) < leave || (done && random_happens(random, 10))) poster_leave(poster);
}
