#include "subscriber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event_check.h"

enum {
    SLOW_RECEIVE_BUFFER = 4096, /* else the kernel would read for a slow reader */
    REQUEST_SIZE = TARGET_PATH_MAX * 4 + 2048,
    EVENT_OVERHEAD = 4096 /* bytes that a line may have beside the payload */
};

static void take_sse_event(void *context, const struct sse_event *event) {
    event_check(context, event);
}

static int end_head(llhttp_t *parser) {
    struct subscriber *subscriber = parser->data;
    subscriber->status = (unsigned)llhttp_get_status_code(parser);
    if (subscriber->status < 200) return 0;
    if (subscriber->status != 200) {
        subscriber->problem = "the server did not answer with a stream";
        return HPE_USER;
    }
    subscriber->state = SUBSCRIBER_LIVE;
    event_check_caught_up(subscriber);
    return 0;
}

static int take_body(llhttp_t *parser, const char *at, size_t length) {
    struct subscriber *subscriber = parser->data;
    if (sse_decoder_feed(&subscriber->decoder, at, length)) return 0;
    subscriber->problem = "an event is longer than any that was published";
    subscriber->ledger->corrupt++;
    return HPE_USER;
}

static int end_message(llhttp_t *parser) {
    struct subscriber *subscriber = parser->data;
    if (subscriber->status < 200) return 0;
    subscriber->problem = "the server ended the stream";
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void) {
    static llhttp_settings_t shared;
    if (shared.on_body == NULL) {
        llhttp_settings_init(&shared);
        shared.on_headers_complete = end_head;
        shared.on_body = take_body;
        shared.on_message_complete = end_message;
    }
    return &shared;
}

bool subscriber_init(struct subscriber *subscriber, struct ledger *ledger, const struct bench_plan *plan,
                     struct io_backend *backend, uint32_t index) {
    memset(subscriber, 0, sizeof *subscriber);
    subscriber->ledger = ledger;
    subscriber->plan = plan;
    subscriber->session = index % (uint32_t)plan->options.sessions;
    subscriber->slow = index >= plan->options.subscribers - plan->options.slow;
    link_init(&subscriber->link, backend, index);
    sse_decoder_init(&subscriber->decoder, plan->options.size + EVENT_OVERHEAD, take_sse_event, subscriber);
    return verifier_init(&subscriber->verifier, ledger_lanes_of(ledger, subscriber->session));
}

void subscriber_free(struct subscriber *subscriber) {
    free(subscriber->request);
    sse_decoder_free(&subscriber->decoder);
    verifier_free(&subscriber->verifier);
}

static bool write_request(struct subscriber *subscriber) {
    char path[TARGET_PATH_MAX * 4];
    target_path(&subscriber->plan->subscribe, subscriber->session, path, sizeof path);
    const char *id = subscriber->decoder.last_id;
    subscriber->request = malloc(REQUEST_SIZE);
    if (subscriber->request == NULL) return false;
    int length = snprintf(subscriber->request, REQUEST_SIZE,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n%s%s%s%s\r\n", path,
                          subscriber->plan->subscribe.name, subscriber->plan->authorization,
                          id[0] != '\0' ? "Last-Event-ID: " : "", id, id[0] != '\0' ? "\r\n" : "");
    subscriber->request_length = (size_t)length;
    subscriber->request_sent = 0;
    return true;
}

bool subscriber_open(struct subscriber *subscriber) {
    subscriber->failed = false;
    subscriber->paused = false;
    subscriber->status = 0;
    subscriber->problem = NULL;
    llhttp_init(&subscriber->parser, HTTP_RESPONSE, settings());
    subscriber->parser.data = subscriber;
    sse_decoder_restart(&subscriber->decoder);
    if (!write_request(subscriber)) {
        subscriber->problem = strerror(ENOMEM);
        return false;
    }
    int error =
        link_connect(&subscriber->link, &subscriber->plan->subscribe, subscriber->slow ? SLOW_RECEIVE_BUFFER : 0);
    if (error < 0) {
        free(subscriber->request);
        subscriber->request = NULL;
        subscriber->problem = strerror(-error);
        return false;
    }
    subscriber->state = SUBSCRIBER_OPENING;
    link_send(&subscriber->link, subscriber->request, subscriber->request_length);
    return true;
}

/* A problem that nobody asked for ends the connection; the owner decides what then. */
static void fail(struct subscriber *subscriber, const char *problem) {
    subscriber->failed = true;
    if (subscriber->problem == NULL) subscriber->problem = problem;
    subscriber->state = SUBSCRIBER_LEAVING;
    link_close(&subscriber->link);
}

static void take_sent(struct subscriber *subscriber, int result) {
    if (result < 0) {
        fail(subscriber, strerror(-result));
        return;
    }
    subscriber->request_sent += (size_t)result;
    if (subscriber->request_sent < subscriber->request_length) {
        link_send(&subscriber->link, subscriber->request + subscriber->request_sent,
                  subscriber->request_length - subscriber->request_sent);
        return;
    }
    free(subscriber->request);
    subscriber->request = NULL;
    link_receive(&subscriber->link);
}

static void take_received(struct subscriber *subscriber, const struct io_completion *completion) {
    if (completion->result <= 0) {
        fail(subscriber,
             completion->result == 0 ? "the server closed the connection" : strerror(-completion->result));
        return;
    }
    subscriber->now_ns = ledger_now_ns();
    subscriber->ledger->reads++;
    subscriber->ledger->bytes += completion->size;
    enum llhttp_errno error = llhttp_execute(&subscriber->parser, completion->data, completion->size);
    if (error != HPE_OK) {
        fail(subscriber, "the answer is not HTTP");
        return;
    }
    if (subscriber->slow && subscriber->state == SUBSCRIBER_LIVE) {
        uint64_t from = subscriber->readable_ns > subscriber->now_ns ? subscriber->readable_ns : subscriber->now_ns;
        subscriber->readable_ns =
            from + completion->size * UINT64_C(1000000000) / subscriber->plan->options.slow_rate;
        subscriber->paused = true;
        return;
    }
    link_receive(&subscriber->link);
}

void subscriber_take(struct subscriber *subscriber, bool is_send, const struct io_completion *completion) {
    bool leaving = subscriber->state == SUBSCRIBER_LEAVING;
    link_note(&subscriber->link, is_send);
    if (!leaving && is_send)
        take_sent(subscriber, completion->result);
    else if (!leaving)
        take_received(subscriber, completion);
    if (subscriber->state == SUBSCRIBER_LEAVING && link_is_closed(&subscriber->link)) {
        free(subscriber->request);
        subscriber->request = NULL;
        subscriber->state = SUBSCRIBER_AWAY;
    }
}

void subscriber_leave(struct subscriber *subscriber) {
    subscriber->state = SUBSCRIBER_LEAVING;
    link_close(&subscriber->link);
    if (link_is_closed(&subscriber->link)) subscriber->state = SUBSCRIBER_AWAY;
}

void subscriber_resume(struct subscriber *subscriber, uint64_t now_ns, bool hurry) {
    if (!subscriber->paused || subscriber->state != SUBSCRIBER_LIVE || (!hurry && now_ns < subscriber->readable_ns))
        return;
    subscriber->paused = false;
    link_receive(&subscriber->link);
}

bool subscriber_is_complete(const struct subscriber *subscriber) {
    for (uint32_t i = 0; i < subscriber->verifier.lanes; i++) {
        if (subscriber->verifier.next[i] <= ledger_lane(subscriber->ledger, subscriber->session, i)->accepted)
            return false;
    }
    return true;
}
