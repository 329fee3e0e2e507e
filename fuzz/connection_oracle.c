/* Reads what a connection was sent without a line of the code that wrote it. What was asked is taken from the request
 * parser, fed as a whole: that it says the same for every cut is http_request_fuzz's matter. */
#include "connection_world.h"

#include <stdlib.h>
#include <string.h>

#include "wire/http_request.h"

/* ---- What was published --------------------------------------------------------------------------------------- */

/* Of a text piece by piece; line ends of every kind count alike, since SSE has only one. */
struct text_hash {
    uint64_t value;
    bool after_cr;
};

static void hash_text(struct text_hash *hash, const char *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char byte = data[i] == '\r' ? '\n' : data[i];
        bool second = hash->after_cr && data[i] == '\n';
        hash->after_cr = data[i] == '\r';
        if (!second) hash->value = (hash->value ^ (unsigned char)byte) * UINT64_C(0x100000001B3) + 1;
    }
}

static struct truth *find_truth(struct world *world, const char *id, size_t length) {
    for (uint32_t i = 0; i < world->truth_count; i++)
        if (strncmp(world->truths[i].id, id, length) == 0 && world->truths[i].id[length] == '\0')
            return &world->truths[i];
    return NULL;
}

/* The body of a publish that was answered {"id":"..."}. */
static void note_truth(struct world *world, const struct answer *answer, uint64_t hash) {
    static const char before[] = "{\"id\":\"";
    size_t skip = sizeof(before) - 1;
    if (answer->status != 201 || answer->body_length < skip || memcmp(answer->body, before, skip) != 0) return;
    const char *id = answer->body + skip;
    const char *end = memchr(id, '"', answer->body_length - skip);
    REQUIRE(end != NULL && end - id < WEIR_ID_MAX);
    const struct truth *known = find_truth(world, id, (size_t)(end - id));
    if (known != NULL) REQUIRE(known->hash == hash); /* an id is given once, in either look at the answer */
    if (known != NULL || world->truth_count == TRUTHS) return;
    struct truth *truth = &world->truths[world->truth_count++];
    memcpy(truth->id, id, (size_t)(end - id));
    truth->hash = hash;
}

/* ---- What was asked ------------------------------------------------------------------------------------------- */

struct asking {
    struct http_parser *parser;
    const char *data;
    size_t left;
};

struct asked {
    uint64_t body; /* hash */
    bool begun;    /* its head is there */
    bool complete; /* all of it is there */
    bool head;     /* HEAD */
    bool post;
    unsigned problem; /* status of the refusal, 0: none */
};

static struct asked next_asked(struct asking *asking) {
    struct asked asked = {0};
    struct text_hash body_hash = {0, false};
    enum http_step step;
    do {
        size_t consumed;
        struct span body;
        step = http_parser_feed(asking->parser, asking->data, asking->left, &consumed, &body);
        asking->data += consumed;
        asking->left -= consumed;
        hash_text(&body_hash, body.data, body.length);
        if (step == HTTP_HEAD) {
            asked.begun = true;
            asked.head = http_parser_request(asking->parser)->method == HTTP_METHOD_HEAD;
            asked.post = http_parser_request(asking->parser)->method == HTTP_METHOD_POST;
        }
    } while (step == HTTP_HEAD || step == HTTP_BODY);
    asked.body = body_hash.value;
    asked.complete = step == HTTP_DONE;
    if (step == HTTP_BAD) asked.problem = http_parser_problem(asking->parser)->status;
    if (asked.complete) http_parser_reset(asking->parser);
    return asked;
}

static struct asking begin_asking(const struct world *world, const struct talk *talk) {
    const weir_server_config *config = &world->rig.shared.config;
    struct http_limits limits = {config->max_head_bytes, config->max_headers, config->max_body_bytes};
    struct asking asking = {http_parser_create(&limits), talk->fed, talk->fed_length - talk->waiting};
    REQUIRE(asking.parser != NULL);
    return asking;
}

/* ---- Streams -------------------------------------------------------------------------------------------------- */

/* How many bytes are whole chunks; *ended when the last one is the empty one. */
static size_t whole_chunks(const char *data, size_t length, bool *ended) {
    size_t at = 0;
    *ended = false;
    while (!*ended) {
        char *end;
        size_t left = length - at;
        const char *line = memmem(data + at, left < 20 ? left : 20, "\r\n", 2);
        if (line == NULL) break;
        unsigned long size = strtoul(data + at, &end, 16);
        REQUIRE(end == line && size < 1u << 24);
        size_t all = (size_t)(line - data) + 2 + size + 2;
        if (all > length) break;
        *ended = size == 0;
        at = all;
    }
    return at;
}

struct stream_position {
    bool known;
    uint64_t next;
};

static void check_gap(const struct decoded *frame, struct stream_position *position) {
    struct frame_gap gap = frame_gap(frame);
    bool counted = strcmp(gap.reason, "slow") == 0 || strcmp(gap.reason, "evicted") == 0;
    REQUIRE(gap.lost_known == counted);
    if (!gap.range) {
        position->known = false; /* nothing of this life is lost; what follows is from its beginning */
        return;
    }
    REQUIRE(gap.first <= gap.last && (!counted || gap.lost == gap.last - gap.first + 1));
    if (position->known) REQUIRE(!counted || gap.first == position->next);
    *position = (struct stream_position){true, gap.last + 1};
}

/* Ids follow one another, but for what a gap names; nothing follows the end. */
static void check_frames(struct world *world, const struct decoded_list *frames) {
    struct stream_position position = {false, 0};
    for (size_t i = 0; i < frames->count; i++) {
        const struct decoded *frame = &frames->items[i];
        if (frame->type == DECODED_GAP) check_gap(frame, &position);
        if (frame->type == DECODED_END) REQUIRE(i + 1 == frames->count);
        if (frame->type != DECODED_EVENT) continue;
        uint64_t sequence = frame_sequence(frame);
        REQUIRE(!position.known || sequence == position.next);
        const struct truth *truth = find_truth(world, frame->id.data, frame->id.length);
        struct text_hash hash = {0, false};
        hash_text(&hash, frame->data.data, frame->data.length);
        if (truth != NULL) REQUIRE(truth->hash == hash.value);
        position = (struct stream_position){true, sequence + 1};
    }
}

static bool is_stream(const struct answer *answer, bool *ndjson) {
    *ndjson = answer_has(answer, "Content-Type: application/x-ndjson");
    return *ndjson || answer_has(answer, "Content-Type: text/event-stream");
}

/* Decodes a stream so far. The list must be freed. */
static void decode_stream(const struct answer *answer, bool ndjson, struct decoded_list *frames) {
    struct bytes body = {NULL, 0, 0};
    const char *data = answer->body;
    size_t length = answer->body_length;
    bool ended = false;
    bool complete = false;
    if (answer->chunked) {
        REQUIRE(decode_chunks(data, whole_chunks(data, length, &ended), &body, &complete));
        REQUIRE(complete == ended);
    } else {
        const char *end = ndjson ? "\n" : "\n\n";
        size_t size = strlen(end);
        while (length > 0 && (length < size || memcmp(data + length - size, end, size) != 0))
            length--;
        bytes_append(&body, data, length);
    }
    *frames = (struct decoded_list){NULL, 0};
    REQUIRE(ndjson ? decode_ndjson(body.data, body.length, frames) : decode_sse(body.data, body.length, frames));
    bytes_free(&body);
}

static void check_stream(struct world *world, const struct answer *answer, bool ndjson) {
    struct decoded_list frames;
    bool ended;
    decode_stream(answer, ndjson, &frames);
    check_frames(world, &frames);
    decoded_list_free(&frames);
    size_t whole = answer->chunked ? whole_chunks(answer->body, answer->body_length, &ended) : 0;
    if (answer->chunked && ended) REQUIRE(whole == answer->body_length); /* nothing follows the last chunk */
}

/* ---- Answers -------------------------------------------------------------------------------------------------- */

/* Every line of a head is "Name: value" in printable ASCII, none comes twice, and the framing is there. */
static void check_head(const struct answer *answer) {
    const char *at = answer->head;
    const char *end = at + answer->head_length;
    unsigned framing = 0;
    for (bool first = true; at < end; first = false) {
        const char *line_end = memmem(at, (size_t)(end - at), "\r\n", 2);
        REQUIRE(line_end != NULL);
        for (const char *byte = at; byte < line_end; byte++)
            REQUIRE(*byte >= ' ' && *byte < 0x7F);
        if (!first) REQUIRE(memmem(at, (size_t)(line_end - at), ": ", 2) != NULL);
        framing += strncmp(at, "Content-Length: ", 16) == 0 || strncmp(at, "Transfer-Encoding: ", 19) == 0;
        at = line_end + 2;
    }
    REQUIRE(framing <= 1);
    if (framing == 0)
        REQUIRE(answer->status < 200 || answer->status == 204 || answer_has(answer, "Connection: close"));
}

/* How many events the answer to a publish says were published. */
static uint64_t owned_up(const struct answer *answer) {
    static const char *const counts[] = {"\"count\":", "\"accepted\":"};
    char text[512];
    size_t length = answer->body_length < sizeof(text) - 1 ? answer->body_length : sizeof(text) - 1;
    memcpy(text, answer->body, length);
    text[length] = '\0';
    for (size_t i = 0; i < 2; i++) {
        const char *found = strstr(text, counts[i]);
        if (found != NULL) return strtoull(found + strlen(counts[i]), NULL, 10);
    }
    return answer->status == 201 ? 1 : 0;
}

/* An answer to what is not a whole request: it ends the connection, and says that something was wrong. */
static void check_refusal(const struct answer *answer, const struct asked *asked) {
    static const unsigned early[] = {401, 403, 404, 405, 408, 503};
    bool fits = answer->status == asked->problem;
    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
        fits = fits || answer->status == early[i];
    REQUIRE(fits && answer_has(answer, "Connection: close"));
}

static bool is_open(const struct world *world, const struct talk *talk) {
    const struct connection *connection = rig_connection(&world->rig, talk->peer);
    return connection != NULL && connection->state == CONNECTION_REQUEST && !connection->end_after_output;
}

struct reading {
    const char *data;
    size_t length;
    uint64_t published;
    bool over; /* nothing may follow */
};

/* An answer that did not wait for its request: at the door, or at the deadline. It has a body, though HEAD may have been
 * on its way; of which a peer that takes only so much may have just the beginning. */
static bool is_unasked(const struct reading *reading) {
    if (reading->length <= 13) return false;
    if (memcmp(reading->data, "HTTP/1.1 503 ", 13) != 0 && memcmp(reading->data, "HTTP/1.1 408 ", 13) != 0)
        return false;
    const char *end = (const char *)memmem(reading->data, reading->length, "\r\n\r\n", 4);
    return end != NULL && end + 4 < reading->data + reading->length && end[4] == '{';
}

/* The answer to one request, with the interim one before it. False when it is not there (yet). */
static bool read_answer(struct reading *reading, const struct asked *asked, struct answer *answer) {
    bool interim = false;
    for (;;) {
        bool bodiless = asked->head && !is_unasked(reading);
        if (!answer_read(reading->data, reading->length, bodiless, answer)) return false;
        check_head(answer);
        reading->data += answer->size;
        reading->length -= answer->size;
        if (answer->status != 100) return true;
        REQUIRE(!interim && asked->begun);
        interim = true;
    }
}

/* False when there is nothing more to read. */
static bool check_answer(struct world *world, struct reading *reading, const struct asked *asked) {
    struct answer answer;
    bool ndjson;
    if (!read_answer(reading, asked, &answer)) return false;
    if (asked->complete && asked->post) {
        reading->published += owned_up(&answer);
        note_truth(world, &answer, asked->body);
    }
    if (!asked->complete || asked->problem != 0) check_refusal(&answer, asked);
    if (answer.status == 200 && !asked->head && is_stream(&answer, &ndjson)) {
        check_stream(world, &answer, ndjson);
        REQUIRE(reading->length == 0);
    }
    reading->over = answer_has(&answer, "Connection: close");
    return !reading->over;
}

uint64_t talk_check(struct world *world, const struct talk *talk) {
    struct reading reading = {NULL, 0, 0, false};
    reading.data = simulated_sent(talk->peer, &reading.length);
    struct asking asking = begin_asking(world, talk);
    bool whole = !talk->reset && !talk->held_back;
    for (;;) {
        struct asked asked = next_asked(&asking);
        bool answered = check_answer(world, &reading, &asked);
        if (reading.over) REQUIRE(reading.length == 0);
        if (whole && !answered && asked.complete && !reading.over) REQUIRE(!is_open(world, talk));
        if (!answered || !asked.complete) break;
    }
    /* What is left is an answer that was cut. */
    if (whole && is_open(world, talk)) REQUIRE(reading.length == 0);
    http_parser_destroy(asking.parser);
    return reading.published;
}

/* ---- Two runs ------------------------------------------------------------------------------------------------- */

static bool tells_one_of(const struct talk *talk, const char *const signs[], size_t count) {
    size_t length;
    const char *sent = simulated_sent(talk->peer, &length);
    for (size_t i = 0; i < count; i++)
        if (memmem(sent, length, signs[i], strlen(signs[i])) != NULL) return true;
    return false;
}

static bool may_become(const char *line, size_t length, const char *begin) {
    return length > 0 && length <= strlen(begin) && memcmp(line, begin, length) == 0;
}

/* Whether the last frame is, or with more of it could be, a gap's that was cut before all of its reason. */
static bool ends_in_gap(const char *sent, size_t length) {
    const char *feed = (const char *)memrchr(sent, '\n', length);
    const char *line = feed != NULL ? feed + 1 : sent;
    size_t begun = (size_t)(sent + length - line);
    if (may_become(line, begun, "event: gap") || may_become(line, begun, "{\"gap")) return true;
    size_t look = length < 120 ? length : 120;
    const char *from = sent + length - look;
    const char *gap = (const char *)memmem(from, look, "gap", 3);
    return gap != NULL && memmem(gap, (size_t)(sent + length - gap), "\"epoch\"", 7) == NULL;
}

/* What depends on how fast the server got to send, and shows in what others see: frames that tell how far a reader fell
 * behind, a stream that ended because of it (with a second `retry:`), and who of two that connect at once is one too
 * many. */
bool talk_depends_on_pace(const struct talk *talk) {
    static const char *const signs[] = {"\"slow\"", "\"evicted\"", "too_many_connections"};
    if (tells_one_of(talk, signs, sizeof(signs) / sizeof(signs[0]))) return true;
    size_t length;
    const char *sent = simulated_sent(talk->peer, &length);
    const char *end = sent + length;
    if (ends_in_gap(sent, length)) return true;
    const char *retry = (const char *)memmem(sent, length, "retry: ", 7);
    return retry != NULL && memmem(retry + 7, (size_t)(end - retry) - 7, "retry: ", 7) != NULL;
}

/* Metrics count sends, however many there were. */
static bool tells_metrics(const struct talk *talk) {
    static const char *const signs[] = {"version=0.0.4"};
    return tells_one_of(talk, signs, 1);
}

/* Whether the byte is one of a `retry:`, which the server draws: streams that begin in the same moment draw in either
 * order. */
static bool is_drawn(const char *sent, size_t at) {
    size_t from = at;
    while (from > 0 && sent[from - 1] >= '0' && sent[from - 1] <= '9')
        from--;
    return sent[at] >= '0' && sent[at] <= '9' && from >= 7 && memcmp(sent + from - 7, "retry: ", 7) == 0;
}

static size_t common_but_for_draws(const char *one, const char *other, size_t length) {
    size_t at = 0;
    while (at < length && (one[at] == other[at] || (is_drawn(one, at) && is_drawn(other, at))))
        at++;
    return at;
}

static const char *const heartbeats[] = {"e\r\n: keep-alive\n\n\r\n", "13\r\n{\"heartbeat\":true}\n\r\n",
                                         ": keep-alive\n\n", "{\"heartbeat\":true}\n"};

#define HEARTBEAT_FORMS    (sizeof(heartbeats) / sizeof(heartbeats[0]))
#define HEARTBEAT_MOST     24u /* bytes */
#define HEARTBEATS_IN_STEP 40u

/* Takes the heartbeats out of a text, in place. */
static unsigned drop_heartbeats(char *text, size_t *length) {
    unsigned count = 0;
    for (size_t i = 0; i < HEARTBEAT_FORMS; i++) {
        size_t size = strlen(heartbeats[i]);
        char *from = text;
        while ((from = (char *)memmem(from, *length - (size_t)(from - text), heartbeats[i], size)) != NULL) {
            *length -= size;
            memmove(from, from + size, *length - (size_t)(from - text));
            count++;
        }
    }
    return count;
}

/* A heartbeat comes some time after the last send, and a send that is late by a moment moves all those after it: in the
 * course of many they pass from one slot into the next. So where there are many they are left out; the last one may just
 * be on its way, and where a peer takes only so much they leave less of the rest. */
static bool same_but_for_heartbeats(const char *one, size_t length, const char *other, size_t other_length) {
    char *texts[2] = {(char *)malloc(length + 1), (char *)malloc(other_length + 1)};
    REQUIRE(texts[0] != NULL && texts[1] != NULL);
    memcpy(texts[0], one, length);
    memcpy(texts[1], other, other_length);
    unsigned count = drop_heartbeats(texts[0], &length);
    unsigned other_count = drop_heartbeats(texts[1], &other_length);
    size_t shorter = length < other_length ? length : other_length;
    size_t common = common_but_for_draws(texts[0], texts[1], shorter);
    free(texts[0]);
    free(texts[1]);
    if (count < HEARTBEATS_IN_STEP || other_count < HEARTBEATS_IN_STEP) return false;
    return shorter - common < HEARTBEAT_MOST;
}

static void print_sent(const char *what, const char *sent, size_t length) {
    fprintf(stderr, "---- %s, %zu bytes\n", what, length);
    fwrite(sent, 1, length, stderr);
}

void talk_compare(const struct talk *one, const struct talk *other) {
    size_t length, other_length;
    const char *sent = simulated_sent(one->peer, &length);
    const char *other_sent = simulated_sent(other->peer, &other_length);
    if (tells_metrics(one) || tells_metrics(other)) return;
    bool same = (length == other_length && common_but_for_draws(sent, other_sent, length) == length) ||
                same_but_for_heartbeats(sent, length, other_sent, other_length);
    if (!same) {
        print_sent("asked", one->fed, one->fed_length);
        print_sent("sent", sent, length);
        print_sent("sent when cut", other_sent, other_length);
    }
    REQUIRE(same);
    REQUIRE(simulated_saw_finish(one->peer) == simulated_saw_finish(other->peer));
}
