/* Servers that the test drives turn by turn. */
#include "server_scenarios.h"

#include <string.h>

#include "stage.h"

#define TOKEN "Authorization: Bearer 0123456789abcdef\r\n"
#define HOST  "Host: x\r\n"

/* ---- Requests ---------------------------------------------------------------------------------------------------- */

struct question {
    const char *request;
    int status;
    int other; /* what it can be at the second try, because the first one did more than it could tell */
};

static const struct question questions[] = {
    {"GET /health HTTP/1.1\r\n" HOST "\r\n", 200, 0},
    {"GET /ready HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200, 0},
    {"GET / HTTP/1.1\r\n" HOST "\r\n", 200, 0},
    {"HEAD /sessions/s/events HTTP/1.1\r\n" HOST "\r\n", 200, 0},
    {"PUT /sessions/new HTTP/1.1\r\n" HOST TOKEN "\r\n", 201, 200},
    {"GET /sessions/new HTTP/1.1\r\n" HOST "\r\n", 200, 0},
    {"POST /sessions/new/events?event=note HTTP/1.1\r\n" HOST TOKEN "Content-Length: 5\r\n\r\nhello", 201, 0},
    {"POST /sessions/new/events HTTP/1.1\r\n" HOST TOKEN "Expect: 100-continue\r\n"
     "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
     201, 0},
    {"POST /sessions/new/events HTTP/1.1\r\n" HOST TOKEN
     "Content-Type: application/x-ndjson\r\nContent-Length: 22\r\n\r\n{\"a\":[1,2,\"x\"]}\n1234\n\n",
     201, 0},
    {"POST /sessions/new/events?split=lines HTTP/1.1\r\n" HOST TOKEN "Content-Length: 8\r\n\r\none\ntwo\n", 201, 0},
    {"POST /sessions/new/events HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", 401, 0},
    {"GET /metrics HTTP/1.1\r\n" HOST TOKEN "\r\n", 200, 0},
    {"DELETE /sessions/new HTTP/1.1\r\n" HOST TOKEN "\r\n", 204, 404},
    {"GET /sessions/new HTTP/1.1\r\n" HOST "\r\n", 404, 0},
    {"GET /nowhere HTTP/1.1\r\n" HOST "\r\n", 404, 0},
    {"DELETE /health HTTP/1.1\r\n" HOST "\r\n", 405, 0},
    {"GET /health HTTP/1.1\r\n\r\n", 400, 0},
};

static void ask_all(struct stage *stage) {
    for (unsigned i = 0; i < sizeof(questions) / sizeof(questions[0]) && stage->torture->going; i++)
        stage_ask(stage, questions[i].request, questions[i].status, questions[i].other);
    if (stage->torture->going) stage_settle(stage);
}

static void run_requests(struct torture *torture, weir_io_choice io) {
    static struct stage stage;
    stage_open(&stage, torture, io);
    if (torture->going) ask_all(&stage);
    stage_close(&stage);
}

static void run_requests_epoll(struct torture *torture) {
    run_requests(torture, WEIR_IO_EPOLL);
}

static void run_requests_uring(struct torture *torture) {
    run_requests(torture, WEIR_IO_URING);
}

/* ---- Streams ----------------------------------------------------------------------------------------------------- */

static const char *const ways[] = {
    "GET /sessions/s/events HTTP/1.1\r\n" HOST "\r\n",
    "GET /sessions/s/events HTTP/1.1\r\n" HOST "Accept: application/x-ndjson\r\n\r\n",
    "GET /sessions/s/events HTTP/1.0\r\n\r\n",
};

static void follow_all(struct stage *stage) {
    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (stage->torture->going) stage_follow(stage, ways[i]);
        for (unsigned event = 0; event < 3 && stage->torture->going; event++)
            stage_publish(stage, ways[i]);
    }
    if (stage->torture->going) stage_settle(stage);
    if (stage->torture->going) stage_follow(stage, ways[0]);
    if (stage->torture->going) stage_drain(stage);
}

static void run_streams(struct torture *torture, weir_io_choice io) {
    static struct stage stage;
    stage_open(&stage, torture, io);
    if (torture->going) follow_all(&stage);
    stage_close(&stage);
}

static void run_streams_epoll(struct torture *torture) {
    run_streams(torture, WEIR_IO_EPOLL);
}

static void run_streams_uring(struct torture *torture) {
    run_streams(torture, WEIR_IO_URING);
}

/* ---- A choice ---------------------------------------------------------------------------------------------------- */

/* Whatever fails while io_uring is tried is told as the reason for epoll, and the server works (U01, R04). That the
 * memory of a ring cannot be mapped (M04) is one way in which it cannot be set up. */
static void run_choice(struct torture *torture) {
    static struct stage stage;
    stage_open(&stage, torture, WEIR_IO_AUTO);
    if (torture->going) {
        const char *backend = weir_server_backend(stage.server);
        bool uring = strncmp(backend, "io_uring: kernel", 16) == 0;
        if (!uring && (strncmp(backend, "epoll: ", 7) != 0 || faults_injected() == 0))
            fail_msg("the backend is %s", backend);
        stage_ask(&stage, questions[0].request, 200, 0);
    }
    stage_close(&stage);
}

const struct scenario server_requests_epoll = {"server: requests, epoll", run_requests_epoll, 0};
const struct scenario server_requests_uring = {"server: requests, io_uring", run_requests_uring, 0};
const struct scenario server_streams_epoll = {"server: streams, epoll", run_streams_epoll, 0};
const struct scenario server_streams_uring = {"server: streams, io_uring", run_streams_uring, 0};
const struct scenario server_of_choice = {"server: either backend", run_choice, 100};
