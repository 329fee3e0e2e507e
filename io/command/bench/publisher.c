#include "publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "complaint.h"
#include "payload.h"

/* Open loop: unanswered publishes on one connection. More wait for their turn, and count as late. */
enum {
    OPEN_FLIGHTS = 4096,
    HEAD_MAX = TARGET_PATH_MAX * 4 + 1024,
    AROUND_MAX = BODY_TEXT_MAX * 10 + 1 /* each # can become ten digits */
};

static int end_head(llhttp_t *parser) {
    (void)parser;
    return 0;
}

/* The oldest publish in flight is answered. */
static int end_message(llhttp_t *parser) {
    struct publisher *publisher = parser->data;
    int status = llhttp_get_status_code(parser);
    if (status < 200) return 0;
    if (publisher->answered == publisher->sent) {
        snprintf(publisher->problem, sizeof publisher->problem, "an answer came that nothing was asked for");
        return HPE_USER;
    }
    const struct flight *flight = &publisher->flights[publisher->answered++ % publisher->flight_limit];
    bool taken = status < 300;
    ledger_answer(publisher->ledger, flight->lane, flight->number, taken);
    if (!taken) {
        complain(publisher->ledger, "event %llu of publisher %u for session %u was refused: status %d",
                 (unsigned long long)flight->number, publisher->index, flight->lane->session, status);
    }
    if (!llhttp_should_keep_alive(parser)) {
        publisher->last_answer = true;
        return HPE_PAUSED;
    }
    return 0;
}

static const llhttp_settings_t *settings(void) {
    static llhttp_settings_t shared;
    if (shared.on_message_complete == NULL) {
        llhttp_settings_init(&shared);
        shared.on_headers_complete = end_head;
        shared.on_message_complete = end_message;
    }
    return &shared;
}

bool publisher_init(struct publisher *publisher, struct ledger *ledger, const struct bench_plan *plan,
                    struct io_backend *backend, uint32_t index, uint32_t link_number) {
    memset(publisher, 0, sizeof *publisher);
    publisher->ledger = ledger;
    publisher->plan = plan;
    publisher->index = index;
    publisher->next_lane = index;
    publisher->flight_limit = plan->options.rate > 0 ? OPEN_FLIGHTS : plan->options.depth;
    publisher->flights = calloc(publisher->flight_limit, sizeof *publisher->flights);
    link_init(&publisher->link, backend, link_number);
    return publisher->flights != NULL;
}

void publisher_free(struct publisher *publisher) {
    free(publisher->flights);
    free(publisher->filling.bytes);
    free(publisher->sending.bytes);
}

/* ---- Requests -------------------------------------------------------------------------------------------------- */

static bool make_room(struct publisher *publisher, size_t size) {
    struct out_buffer *out = &publisher->filling;
    if (out->length + size <= out->capacity) return true;
    size_t capacity = (out->length + size) * 2;
    char *grown = realloc(out->bytes, capacity);
    if (grown == NULL) {
        snprintf(publisher->problem, sizeof publisher->problem, "there is no memory");
        return false;
    }
    out->bytes = grown;
    out->capacity = capacity;
    return true;
}

/* Writes what --body has before the payload's place, or from there on. Returns its length. */
static size_t write_around(char *out, const char *from, uint32_t session) {
    size_t length = 0;
    for (; *from != '\0' && *from != '@'; from++) {
        if (*from == '#')
            length += (size_t)sprintf(out + length, "%u", session);
        else
            out[length++] = *from;
    }
    return length;
}

static void write_request(struct publisher *publisher, const struct flight *flight) {
    struct out_buffer *out = &publisher->filling;
    const struct bench_plan *plan = publisher->plan;
    size_t size = plan->options.size;
    char before[AROUND_MAX], after[AROUND_MAX];
    size_t before_length = write_around(before, plan->options.body, flight->lane->session);
    size_t after_length = write_around(after, strchr(plan->options.body, '@') + 1, flight->lane->session);
    if (!make_room(publisher, HEAD_MAX + before_length + size + after_length)) return;
    char path[TARGET_PATH_MAX * 4];
    target_path(&plan->publish, flight->lane->session, path, sizeof path);
    out->length +=
        (size_t)snprintf(out->bytes + out->length, HEAD_MAX,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\n%s"
                         "Content-Length: %zu\r\n\r\n",
                         path, plan->publish.name, plan->authorization, before_length + size + after_length);
    const struct payload payload = {.run = publisher->ledger->run,
                                    .session = flight->lane->session,
                                    .publisher = publisher->index,
                                    .number = flight->number,
                                    .due_ns = flight->due_ns};
    memcpy(out->bytes + out->length, before, before_length);
    out->length += before_length;
    payload_write(out->bytes + out->length, size, &payload);
    out->length += size;
    memcpy(out->bytes + out->length, after, after_length);
    out->length += after_length;
}

static void publish(struct publisher *publisher, uint64_t due_ns, uint64_t now_ns) {
    struct ledger *ledger = publisher->ledger;
    struct flight *flight = &publisher->flights[publisher->sent++ % publisher->flight_limit];
    flight->lane = &ledger->lanes[publisher->next_lane];
    flight->due_ns = due_ns;
    flight->number = ledger_publish(ledger, flight->lane, due_ns, now_ns);
    publisher->next_lane += ledger->publishers;
    if (publisher->next_lane >= ledger->lane_count) publisher->next_lane = publisher->index;
    write_request(publisher, flight);
}

/* ---- When ------------------------------------------------------------------------------------------------------ */

void publisher_begin(struct publisher *publisher, uint64_t now_ns) {
    publisher->schedule_begin_ns = now_ns;
}

uint64_t publisher_due_ns(const struct publisher *publisher) {
    uint64_t rate = publisher->plan->options.rate;
    if (rate == 0 || publisher->sent - publisher->answered >= publisher->flight_limit) return UINT64_MAX;
    /* All publishers together have one event every 1/rate s; this one has every publishers-th of them. */
    uint64_t event = publisher->scheduled * publisher->ledger->publishers + publisher->index;
    uint64_t whole = event / rate, rest = event % rate;
    return publisher->schedule_begin_ns + whole * 1000000000 + rest * 1000000000 / rate;
}

static uint64_t in_flight(const struct publisher *publisher) {
    uint64_t over = publisher->answered;
    if (publisher->ledger->window > 0) {
        uint64_t delivered = publisher->ledger->delivered_of[publisher->index];
        if (delivered < over) over = delivered;
    }
    return publisher->sent - over;
}

static void flush(struct publisher *publisher) {
    if (publisher->filling.length == 0 || publisher->link.sending || publisher->link.closing) return;
    if (link_is_closed(&publisher->link)) {
        int error = link_connect(&publisher->link, &publisher->plan->publish, 0);
        if (error < 0) {
            snprintf(publisher->problem, sizeof publisher->problem, "connecting: %s", strerror(-error));
            return;
        }
        publisher->connected = false;
        publisher->last_answer = false;
        llhttp_init(&publisher->parser, HTTP_RESPONSE, settings());
        publisher->parser.data = publisher;
    }
    struct out_buffer filled = publisher->filling;
    publisher->filling = publisher->sending;
    publisher->filling.length = 0;
    publisher->sending = filled;
    publisher->sending_done = 0;
    link_send(&publisher->link, filled.bytes, filled.length);
}

void publisher_fill(struct publisher *publisher, uint64_t now_ns) {
    if (publisher->problem[0] != '\0') return;
    if (publisher->plan->options.rate == 0) {
        while (in_flight(publisher) < publisher->plan->options.depth) {
            publish(publisher, now_ns, now_ns);
        }
    } else {
        uint64_t due;
        while ((due = publisher_due_ns(publisher)) <= now_ns) {
            publish(publisher, due, now_ns);
            publisher->scheduled++;
        }
    }
    flush(publisher);
}

/* ---- Answers --------------------------------------------------------------------------------------------------- */

/* The connection is over. A server that says so before it closes has not acted on what was sent behind that answer,
 * so that goes out again; one that just closes leaves open what became of it. */
static void reopen(struct publisher *publisher) {
    uint64_t unanswered = publisher->sent - publisher->answered;
    if (unanswered > 0 && !publisher->last_answer) {
        snprintf(publisher->problem, sizeof publisher->problem,
                 "its connection broke with %llu publishes unanswered: what became of them is not known",
                 (unsigned long long)unanswered);
        return;
    }
    publisher->filling.length = 0;
    for (uint64_t i = publisher->answered; i < publisher->sent; i++) {
        write_request(publisher, &publisher->flights[i % publisher->flight_limit]);
    }
    flush(publisher);
}

static void take_sent(struct publisher *publisher, int result) {
    if (result < 0) {
        if (!publisher->connected) {
            snprintf(publisher->problem, sizeof publisher->problem, "connecting: %s", strerror(-result));
        }
        link_close(&publisher->link);
        return;
    }
    if (!publisher->connected) {
        publisher->connected = true;
        link_receive(&publisher->link);
    }
    publisher->sending_done += (size_t)result;
    size_t left = publisher->sending.length - publisher->sending_done;
    if (left > 0)
        link_send(&publisher->link, publisher->sending.bytes + publisher->sending_done, left);
    else
        flush(publisher);
}

static void take_received(struct publisher *publisher, const struct io_completion *completion) {
    enum llhttp_errno error = HPE_OK;
    if (completion->result > 0) {
        publisher->ledger->progress_ns = ledger_now_ns();
        error = llhttp_execute(&publisher->parser, completion->data, completion->size);
    }
    if (completion->result <= 0 || publisher->last_answer) {
        link_close(&publisher->link);
    } else if (error != HPE_OK) {
        if (publisher->problem[0] == '\0') {
            snprintf(publisher->problem, sizeof publisher->problem, "its answer is not HTTP: %s",
                     llhttp_errno_name(error));
        }
        link_close(&publisher->link);
    } else {
        link_receive(&publisher->link);
    }
}

void publisher_take(struct publisher *publisher, bool is_send, const struct io_completion *completion) {
    bool closing = publisher->link.closing;
    link_note(&publisher->link, is_send);
    if (!closing && is_send)
        take_sent(publisher, completion->result);
    else if (!closing)
        take_received(publisher, completion);
    if (link_is_closed(&publisher->link) && publisher->problem[0] == '\0') reopen(publisher);
}
