/* The physical limit for fan-out over HTTP on one thread: an io_uring loop that does what every server of
 * Server-Sent Events must, and nothing else. POST /N publishes the body, one line of text, into session N; GET /N is
 * its stream. The frames are weir's to the byte; so are the batches: each subscriber is sent all that has gathered
 * since its last send was done, in one plain IORING_OP_SEND out of the session's one copy.
 *
 * What it leaves out: names, replay, time-outs, limits, other methods and formats, and care about bad requests; a
 * subscriber that falls RING bytes behind is cut. So what a server needs beyond its time is the price of those. */
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    ENTRIES = 1024, /* of the submission queue, as in weir */
    SESSIONS = 1 << 20,
    RING = 1 << 16,    /* bytes of a session that can be under way */
    INPUT = 1 << 15,   /* bytes of requests that one connection can have waiting */
    ANSWERS = 1 << 16, /* bytes of answers to them */
    ANSWER_MAX = 256,
    ID_MAX = 40,
};

#define STREAM_HEAD                                                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"                              \
    "Transfer-Encoding: chunked\r\n\r\n"
#define EPOCH "barebarebar" /* as long as weir's */

struct connection {
    int descriptor;
    bool receiving, sending;
    bool closing;            /* freed once both are false */
    struct session *session; /* of a subscriber */
    uint64_t sent;           /* its position once the send under way is done */
    struct connection *next; /* in the list of those that wait */
    char *input, *answers, *flight;
    size_t input_length, answers_length;
};

/* Positions in a session's bytes only grow. They lie in the ring from `origin` on, which moves up whenever nothing is
 * under way: so a quiet session stays in the same few cache lines. The ring is mapped twice in a row: what wraps
 * around is one piece all the same. */
struct session {
    char *ring;
    uint64_t end, origin;
    uint64_t events;
    unsigned sending;           /* subscribers with a send under way */
    struct connection *waiting; /* those that have everything */
    bool is_news;
    struct session *next_news;
};

static struct io_uring ring;
static struct session *sessions[SESSIONS];
static struct session *news; /* published into since they were last delivered */

static void require(bool fine, const char *what) {
    if (fine) return;
    perror(what);
    exit(1);
}

/* ---- Operations --------------------------------------------------------------------------------------------- */

static struct io_uring_sqe *take_entry(void) {
    struct io_uring_sqe *entry;
    while ((entry = io_uring_get_sqe(&ring)) == NULL)
        io_uring_submit(&ring);
    return entry;
}

static void start_receive(struct connection *connection) {
    struct io_uring_sqe *entry = take_entry();
    io_uring_prep_recv(entry, connection->descriptor, connection->input + connection->input_length,
                       INPUT - connection->input_length, 0);
    io_uring_sqe_set_data(entry, connection);
    connection->receiving = true;
}

/* The lowest bit tells a send from a receive. */
static void start_send(struct connection *connection, const char *data, size_t length) {
    struct io_uring_sqe *entry = take_entry();
    io_uring_prep_send(entry, connection->descriptor, data, length, MSG_WAITALL | MSG_NOSIGNAL);
    io_uring_sqe_set_data64(entry, (uintptr_t)connection | 1);
    connection->sending = true;
}

/* One accept that goes on and on. */
static void start_accept(int listener) {
    struct io_uring_sqe *entry = take_entry();
    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, 0);
    io_uring_sqe_set_data(entry, NULL);
}

/* ---- Connections -------------------------------------------------------------------------------------------- */

static void open_connection(int descriptor) {
    struct connection *connection = calloc(1, sizeof *connection);
    require(connection != NULL, "memory");
    connection->input = malloc(INPUT);
    connection->answers = malloc(ANSWERS);
    connection->flight = malloc(ANSWERS);
    require(connection->input && connection->answers && connection->flight, "memory");
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    connection->descriptor = descriptor;
    start_receive(connection);
}

static void close_connection(struct connection *connection) {
    struct session *session = connection->session;
    if (!connection->closing) shutdown(connection->descriptor, SHUT_RDWR);
    connection->closing = true;
    if (connection->receiving || connection->sending) return;
    for (struct connection **at = session ? &session->waiting : NULL; at && *at; at = &(*at)->next) {
        if (*at != connection) continue;
        *at = connection->next;
        break;
    }
    close(connection->descriptor);
    free(connection->input);
    free(connection->answers);
    free(connection->flight);
    free(connection);
}

/* ---- Delivering --------------------------------------------------------------------------------------------- */

static struct session *session_of(unsigned long number) {
    struct session **place = &sessions[number % SESSIONS];
    if (*place != NULL) return *place;
    struct session *session = calloc(1, sizeof *session);
    int file = memfd_create("ring", 0);
    char *at = mmap(NULL, 2 * RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(session != NULL && file >= 0 && ftruncate(file, RING) == 0 && at != MAP_FAILED, "ring");
    for (char *half = at; half < at + 2 * RING; half += RING)
        require(mmap(half, RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == half, "ring");
    close(file);
    session->ring = at;
    *place = session;
    return session;
}

static char *place_of(const struct session *session, uint64_t position) {
    return session->ring + ((position - session->origin) & (RING - 1));
}

static void send_news(struct connection *connection) {
    struct session *session = connection->session;
    if (connection->sent == session->end) {
        connection->next = session->waiting;
        session->waiting = connection;
    } else if (session->end - connection->sent > RING) {
        close_connection(connection);
    } else {
        start_send(connection, place_of(session, connection->sent), session->end - connection->sent);
        connection->sent = session->end;
        session->sending++;
    }
}

static void deliver_news(void) {
    for (; news != NULL; news = news->next_news) {
        struct connection *connection = news->waiting;
        news->waiting = NULL;
        news->is_news = false;
        for (struct connection *next; connection != NULL; connection = next) {
            next = connection->next;
            send_news(connection);
        }
    }
}

static char *put(char *at, const char *text, size_t length) {
    memcpy(at, text, length);
    return at + length;
}

#define PUT(at, literal) put((at), (literal), sizeof(literal) - 1)

static char *put_number(char *at, uint64_t number, unsigned base) {
    char digits[24];
    size_t first = sizeof digits;
    do {
        digits[--first] = "0123456789abcdef"[number % base];
    } while ((number /= base) > 0);
    return put(at, digits + first, sizeof digits - first);
}

static char *put_id(char *at, const struct session *session) {
    return put_number(PUT(at, EPOCH "."), session->events, 10);
}

static void note_news(struct session *session) {
    if (session->is_news) return;
    session->is_news = true;
    session->next_news = news;
    news = session;
}

static void publish(struct session *session, const char *payload, size_t length) {
    char id[ID_MAX];
    session->events++;
    size_t id_length = (size_t)(put_id(id, session) - id);
    if (session->sending == 0 && !session->is_news) session->origin = session->end;
    char *begin = place_of(session, session->end), *at = begin;
    at = put_number(at, sizeof("id: \ndata: \n\n") - 1 + id_length + length, 16);
    at = PUT(at, "\r\nid: ");
    at = put(at, id, id_length);
    at = PUT(at, "\ndata: ");
    at = put(at, payload, length);
    at = PUT(at, "\n\n\r\n");
    session->end += (size_t)(at - begin);
    note_news(session);
}

/* ---- Requests ----------------------------------------------------------------------------------------------- */

static void answer_publish(struct connection *connection, const struct session *session) {
    char id[ID_MAX];
    size_t id_length = (size_t)(put_id(id, session) - id);
    char *at = connection->answers + connection->answers_length;
    at = PUT(at, "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: ");
    at = put_number(at, sizeof("{\"id\":\"\"}\n") - 1 + id_length, 10);
    at = PUT(at, "\r\n\r\n{\"id\":\"");
    at = put(at, id, id_length);
    at = PUT(at, "\"}\n");
    connection->answers_length = (size_t)(at - connection->answers);
}

static void subscribe(struct connection *connection, struct session *session) {
    connection->session = session;
    connection->sent = session->end;
    start_send(connection, STREAM_HEAD, sizeof STREAM_HEAD - 1);
    session->sending++;
}

/* Takes the request at this place. Returns its length, or 0 when it has not come as a whole. */
static size_t take_request(struct connection *connection, const char *at, size_t length) {
    const char *head_end = memmem(at, length, "\r\n\r\n", 4);
    if (head_end == NULL) return 0;
    bool is_post = *at == 'P';
    struct session *session = session_of(strtoul(at + (is_post ? 6 : 5), NULL, 10));
    size_t head = (size_t)(head_end - at) + 4;
    if (!is_post) {
        subscribe(connection, session);
        return head;
    }
    const char *field = memmem(at, head, "Content-Length: ", 16);
    size_t body = field != NULL ? strtoul(field + 16, NULL, 10) : 0;
    if (length - head < body) return 0;
    publish(session, head_end + 4, body);
    answer_publish(connection, session);
    return head + body;
}

static void send_answers(struct connection *connection) {
    if (connection->sending || connection->answers_length == 0) return;
    char *answers = connection->answers;
    connection->answers = connection->flight;
    connection->flight = answers;
    start_send(connection, answers, connection->answers_length);
    connection->answers_length = 0;
}

static void take_input(struct connection *connection) {
    size_t done = 0, taken = 1;
    while (taken > 0 && connection->session == NULL && connection->answers_length + ANSWER_MAX <= ANSWERS) {
        taken = take_request(connection, connection->input + done, connection->input_length - done);
        done += taken;
    }
    connection->input_length = connection->session != NULL ? 0 : connection->input_length - done;
    memmove(connection->input, connection->input + done, connection->input_length);
    if (connection->session == NULL) send_answers(connection);
    start_receive(connection);
}

/* ---- The loop ----------------------------------------------------------------------------------------------- */

static void take_sent(struct connection *connection, int result) {
    connection->sending = false;
    if (connection->session != NULL) connection->session->sending--;
    if (connection->closing || result <= 0)
        close_connection(connection);
    else if (connection->session != NULL)
        send_news(connection);
    else
        send_answers(connection);
}

static void take_received(struct connection *connection, int result) {
    connection->receiving = false;
    if (connection->closing || result <= 0) {
        close_connection(connection);
        return;
    }
    connection->input_length += (size_t)result;
    take_input(connection);
}

static void take(const struct io_uring_cqe *completion, int listener) {
    struct connection *connection = (struct connection *)(uintptr_t)(completion->user_data & ~UINT64_C(1));
    if (connection == NULL) {
        if (completion->res >= 0) open_connection(completion->res);
        if (!(completion->flags & IORING_CQE_F_MORE)) start_accept(listener);
    } else if (completion->user_data & 1) {
        take_sent(connection, completion->res);
    } else {
        take_received(connection, completion->res);
    }
}

static void run(int listener) {
    start_accept(listener);
    for (;;) {
        struct io_uring_cqe *completion;
        unsigned head, count = 0;
        int result = io_uring_submit_and_wait(&ring, 1);
        require(result >= 0 || result == -EINTR || result == -EBUSY, "io_uring_enter");
        io_uring_for_each_cqe(&ring, head, completion) {
            take(completion, listener);
            count++;
        }
        io_uring_cq_advance(&ring, count);
        deliver_news();
    }
}

static int listen_on(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    require(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 4096) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening on 127.0.0.1:%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

/* The port that is asked for; 0 when none is: any. */
static uint16_t port_of(int argc, char **argv) {
    char *end = NULL;
    unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 0;
    if (argc <= 2 && port <= UINT16_MAX && (end == NULL || (*end == '\0' && end != argv[1]))) return (uint16_t)port;
    fprintf(stderr, "usage: bare_loop [PORT]\n");
    exit(2);
}

int main(int argc, char **argv) {
    uint16_t port = port_of(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    struct io_uring_params parameters = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                                  IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
                                         .cq_entries = 4 * ENTRIES};
    errno = -io_uring_queue_init_params(ENTRIES, &ring, &parameters);
    require(errno == 0, "io_uring_setup");
    io_uring_register_ring_fd(&ring);
    run(listen_on(port));
}
