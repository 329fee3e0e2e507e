/* Loads a server of Server-Sent Events, weir or another, from one thread: N subscribers, and publishers that keep a
 * number of publishes in flight. The figure that it is for is deliveries per second of the server's processor time.
 *
 * Measured: from the first counted publish until its last delivery, the server's user and system time in that span.
 * The kernel does most of the work of a loopback delivery inside the sender's send call, so that is in it. By default a
 * publish counts as in flight until every subscriber has it, so nothing piles up in socket buffers and no server
 * is rewarded for dropping: a stream with a hole, a repetition or a strange byte fails the run.
 * Not measured: a network, TLS, clients that read slowly. The load program's own time is printed beside; where it
 * is near the wall time, the rate is its limit and not the server's (the cost per delivery still is the server's). */
#include "load/options.h"
#include "load/poster.h"
#include "load/process.h"
#include "load/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES      262144u
#define EVENTS_PER_WAIT 512
#define OPENING_AT_ONCE 256u   /* connections without a response: below every server's listen backlog */
#define PER_SOURCE      20000u /* connections from one source address: below the range of local ports */
#define STALL_SECONDS   15     /* without any progress the run has failed */
#define SETTLE_SECONDS  2      /* before idle memory is read */

struct subscriber {
    int descriptor;
    struct stream stream;
};

/* Where the counted part began. */
struct mark {
    bool set;
    double at;
    uint64_t events;
    uint64_t reads;
    struct process_cost server;
    double own_cpu;
};

struct load {
    struct options options;
    struct plan plan;
    struct subscriber *subscribers;
    struct poster *posters;
    unsigned opened; /* subscribers with a response */
    int epoll;
    char *buffer;
    struct mark begin;
    struct mark end;
    bool publishing_over;
};

static _Noreturn void give_up(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("sse_load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static double now_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *make(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (!memory) give_up("out of memory");
    return memory;
}

/* ---- Connections --------------------------------------------------------------------------------------------- */

static int connect_to_server(const struct options *options, unsigned number) {
    int one = 1;
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) give_up("socket: %s", strerror(errno));
    if (number >= PER_SOURCE) {
        struct sockaddr_in source = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / PER_SOURCE)};
        setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(descriptor, (struct sockaddr *)&source, sizeof source) != 0) give_up("bind: %s", strerror(errno));
    }
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(options->port)};
    if (inet_pton(AF_INET, options->address, &server.sin_addr) != 1) give_up("%s is no address", options->address);
    if (connect(descriptor, (struct sockaddr *)&server, sizeof server) != 0) {
        give_up("connection %u: %s", number, strerror(errno));
    }
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return descriptor;
}

static void watch(struct load *load, int descriptor, void *who) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    fcntl(descriptor, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl: %s", strerror(errno));
}

static void open_subscriber(struct load *load, unsigned number) {
    struct subscriber *subscriber = &load->subscribers[number];
    char path[512];
    char request[1024];
    /* The path is the user's own format, for this one number. */
    const char *place = strstr(load->options.subscribe_path, "%d");
    if (place) {
        snprintf(path, sizeof path, "%.*s%u%s", (int)(place - load->options.subscribe_path),
                 load->options.subscribe_path, number, place + 2);
    } else {
        snprintf(path, sizeof path, "%s", load->options.subscribe_path);
    }
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", path);
    subscriber->stream.hold = make(1, STREAM_HOLD_BYTES);
    subscriber->descriptor = connect_to_server(&load->options, number);
    if (send(subscriber->descriptor, request, (size_t)length, MSG_NOSIGNAL) != length)
        give_up("a request was not sent");
    watch(load, subscriber->descriptor, subscriber);
}

static void open_posters(struct load *load) {
    load->posters = make(load->options.publishers, sizeof *load->posters);
    for (unsigned i = 0; i < load->options.publishers; i++) {
        struct publisher *publisher = &load->plan.publishers[i];
        publisher->index = i;
        publisher->payloads = make(DEPTH_MAX, PAYLOAD_MAX);
        load->posters[i].publisher = publisher;
        load->posters[i].path = load->options.publish_path;
        load->posters[i].descriptor = connect_to_server(&load->options, 0);
        watch(load, load->posters[i].descriptor, &load->posters[i]);
    }
    load->plan.publisher_count = load->options.publishers;
}

static void read_subscriber(struct load *load, struct subscriber *subscriber) {
    struct stream *stream = &subscriber->stream;
    ssize_t result = recv(subscriber->descriptor, load->buffer, READ_BYTES, 0);
    if (result < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (result <= 0) give_up("a stream ended: %s", result < 0 ? strerror(errno) : "closed");
    bool had_head = stream->status != 0;
    if (!stream_feed(&load->plan, stream, load->buffer, (size_t)result)) give_up("a response was not understood");
    if (!had_head && stream->status != 0) {
        if (stream->status != 200) give_up("a subscriber was answered %d", stream->status);
        load->opened++;
    }
    if (stream->state == STREAM_OVER) give_up("the server ended a stream");
}

static bool is_poster(const struct load *load, const void *who) {
    const struct poster *poster = who;
    return load->posters && poster >= load->posters && poster < load->posters + load->options.publishers;
}

/* One round: whatever is readable is read once. Gives up when nothing came for too long. */
static void turn(struct load *load) {
    struct epoll_event events[EVENTS_PER_WAIT];
    char error[512];
    int count = epoll_wait(load->epoll, events, EVENTS_PER_WAIT, STALL_SECONDS * 1000);
    if (count == 0) {
        give_up("nothing came for %d s: %u streams open, %llu events right, %llu lost", STALL_SECONDS, load->opened,
                (unsigned long long)load->plan.tally.events, (unsigned long long)load->plan.tally.lost);
    }
    for (int i = 0; i < count; i++) {
        if (!is_poster(load, events[i].data.ptr)) {
            read_subscriber(load, events[i].data.ptr);
        } else if (!poster_read(events[i].data.ptr, error, sizeof error)) {
            give_up("%s", error);
        }
    }
}

static void open_subscribers(struct load *load) {
    load->subscribers = make(load->options.subscribers, sizeof *load->subscribers);
    for (unsigned i = 0; i < load->options.subscribers; i++) {
        open_subscriber(load, i);
        while (i + 1 - load->opened >= OPENING_AT_ONCE) {
            turn(load);
        }
    }
    while (load->opened < load->options.subscribers) {
        turn(load);
    }
}

/* ---- The run ------------------------------------------------------------------------------------------------- */

static void set_mark(const struct load *load, struct mark *mark) {
    mark->set = true;
    mark->at = now_seconds();
    mark->events = load->plan.tally.events;
    mark->reads = load->plan.tally.reads;
    mark->own_cpu = own_cpu_seconds();
    int pid = load->options.server_pid;
    if (pid != 0 && !process_cost_read(pid, &mark->server)) give_up("there is no process %d", pid);
}

static uint64_t in_flight_from(const struct load *load, const struct publisher *publisher) {
    if (load->options.until_answered || publisher->answered < publisher->delivered) return publisher->answered;
    return publisher->delivered;
}

/* Keeps `depth` publishes in flight. The counted part begins once the warm-up has been delivered. */
static void top_up(struct load *load) {
    const struct options *options = &load->options;
    for (unsigned i = 0; i < options->publishers; i++) {
        struct poster *poster = &load->posters[i];
        struct publisher *publisher = poster->publisher;
        uint64_t warm_up = options->warm_up / options->publishers;
        uint64_t limit = options->publishes ? warm_up + options->publishes / options->publishers : UINT64_MAX;
        if (!load->begin.set && publisher->delivered >= warm_up) set_mark(load, &load->begin);
        while (!load->publishing_over && publisher->sent < limit &&
               publisher->sent - in_flight_from(load, publisher) < options->depth / options->publishers &&
               publisher->sent - publisher->delivered < DEPTH_MAX) {
            if (!poster_add(poster, &load->plan, options->subscribers)) give_up("out of memory");
        }
        if (!poster_flush(poster)) give_up("a publishing connection broke");
    }
}

static bool all_delivered(const struct load *load) {
    for (unsigned i = 0; i < load->options.publishers; i++) {
        const struct publisher *publisher = &load->plan.publishers[i];
        if (publisher->delivered != publisher->sent || publisher->answered != publisher->sent) return false;
    }
    return true;
}

static void run_load(struct load *load) {
    const struct options *options = &load->options;
    open_posters(load);
    for (;;) {
        if (options->publishes == 0 && load->begin.set && now_seconds() - load->begin.at >= options->seconds) {
            load->publishing_over = true;
        }
        top_up(load);
        if (all_delivered(load)) break; /* top_up found nothing more to publish */
        turn(load);
    }
    set_mark(load, &load->end);
}

/* ---- What is printed ----------------------------------------------------------------------------------------- */

static int report_load(const struct load *load) {
    const struct tally *tally = &load->plan.tally;
    double wall = load->end.at - load->begin.at;
    double server_cpu = load->end.server.cpu_seconds - load->begin.server.cpu_seconds;
    double own_cpu = load->end.own_cpu - load->begin.own_cpu;
    uint64_t deliveries = load->end.events - load->begin.events;
    uint64_t reads = load->end.reads - load->begin.reads;
    double per_cpu_second = server_cpu > 0 ? (double)deliveries / server_cpu : 0;
    bool clean = tally->lost + tally->repeated + tally->foreign + tally->gaps == 0;
    const char *format =
        load->options.json
            ? "{\"label\":\"%s\",\"subscribers\":%u,\"depth\":%u,\"bytes\":%zu,\"deliveries\":%llu,"
              "\"wall_s\":%.3f,\"deliveries_per_s\":%.0f,\"server_cpu_s\":%.2f,\"deliveries_per_server_cpu_s\":%.0f,"
              "\"load_cpu_s\":%.2f,\"events_per_read\":%.2f,\"lost\":%llu,\"repeated\":%llu,\"foreign\":%llu,"
              "\"gaps\":%llu}\n"
            : "%s: %u subscribers, %u publishes in flight, %zu bytes\n"
              "  %llu deliveries in %.3f s: %.0f a second\n"
              "  server %.2f s of processor time: %.0f deliveries per second of it\n"
              "  load program %.2f s of processor time, %.2f events per read\n"
              "  lost %llu, repeated %llu, foreign %llu, gaps %llu\n";
    printf(format, load->options.label, load->options.subscribers, load->options.depth, load->options.payload_bytes,
           (unsigned long long)deliveries, wall, (double)deliveries / wall, server_cpu, per_cpu_second, own_cpu,
           reads ? (double)deliveries / (double)reads : 0.0, (unsigned long long)tally->lost,
           (unsigned long long)tally->repeated, (unsigned long long)tally->foreign, (unsigned long long)tally->gaps);
    if (!clean) fprintf(stderr, "sse_load: the streams were not what was published\n");
    return clean ? 0 : 1;
}

static int run_idle(struct load *load) {
    struct mark before = {0};
    struct mark after = {0};
    set_mark(load, &before);
    open_subscribers(load);
    sleep(SETTLE_SECONDS);
    set_mark(load, &after);
    double connections = load->options.subscribers;
    double resident = (double)after.server.resident_bytes - (double)before.server.resident_bytes;
    double proportional = (double)after.server.proportional_bytes - (double)before.server.proportional_bytes;
    printf(load->options.json ? "{\"label\":\"%s\",\"connections\":%u,\"rss_before\":%llu,\"rss_after\":%llu,"
                                "\"rss_per_connection\":%.0f,\"pss_per_connection\":%.0f}\n"
                              : "%s: %u idle connections\n  resident before %llu bytes, after %llu\n"
                                "  %.0f resident bytes a connection (%.0f proportional)\n",
           load->options.label, load->options.subscribers, (unsigned long long)before.server.resident_bytes,
           (unsigned long long)after.server.resident_bytes, resident / connections, proportional / connections);
    return 0;
}

static void close_all(struct load *load) {
    for (unsigned i = 0; i < load->options.subscribers; i++) {
        close(load->subscribers[i].descriptor);
        free(load->subscribers[i].stream.hold);
    }
    for (unsigned i = 0; load->posters && i < load->options.publishers; i++) {
        close(load->posters[i].descriptor);
        free(load->posters[i].out);
        free(load->posters[i].publisher->payloads);
    }
    close(load->epoll);
    free(load->subscribers);
    free(load->posters);
    free(load->buffer);
}

int main(int argc, char **argv) {
    struct load load = {0};
    struct rlimit files;
    int exit_code = 0;
    if (!options_parse(&load.options, argc, argv, &exit_code)) return exit_code;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    load.plan.payload_bytes = load.options.payload_bytes;
    load.buffer = make(1, READ_BYTES);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load.options.idle) {
        exit_code = run_idle(&load);
    } else {
        open_subscribers(&load);
        run_load(&load);
        exit_code = report_load(&load);
    }
    close_all(&load);
    return exit_code;
}
