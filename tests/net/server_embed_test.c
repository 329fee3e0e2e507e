/* A server without threads: the embedder's own loop polls the reactor's descriptor and calls it when there is
 * something. Nothing but that descriptor tells of publishes on other threads, so a wake-up that is lost stops the loop
 * for good, and the test with it. On both backends, over real sockets. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "support/backends.h"
#include "weir_io.h"

#define PATIENCE_MS 30000 /* for what must come: only a failure takes so long */

struct host {
    weir_engine *engine;
    weir_server *server;
    weir_reactor *reactor;
    int descriptor;
    int client;
    char received[1 << 20];
    size_t length;
};

/* False where the backend cannot run. */
static bool open_host(struct host *host, weir_io_choice io, uint32_t heartbeat_ms) {
    memset(host, 0, sizeof(*host));
    assert_int_equal(weir_engine_create(&host->engine, NULL), WEIR_OK);
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    weir_io_error error = {0, ""};
    config.listen = "127.0.0.1:0";
    config.threads = 1;
    config.io = io;
    config.heartbeat_ms = heartbeat_ms;
    config.drain_ms = 50;
    int status = weir_server_create(&host->server, host->engine, &config, &error);
    if (status != WEIR_OK && backend_is_missing(io)) {
        weir_engine_destroy(host->engine);
        return false;
    }
    if (status != WEIR_OK) fail_msg("no server: %s", error.text);
    host->reactor = weir_server_reactor(host->server, 0);
    assert_non_null(host->reactor);
    assert_null(weir_server_reactor(host->server, 1));
    host->descriptor = weir_reactor_descriptor(host->reactor);
    assert_true(host->descriptor >= 0);
    host->client = -1;
    return true;
}

static void close_host(struct host *host) {
    if (host->client >= 0) close(host->client);
    weir_server_destroy(host->server);
    weir_engine_destroy(host->engine);
}

/* One round of the embedder's loop: sleeps until the reactor or the client has something. */
static int turn(struct host *host, int timeout_ms) {
    struct pollfd waits[2] = {{host->descriptor, POLLIN, 0}, {host->client, POLLIN, 0}};
    int ready = poll(waits, 2, timeout_ms);
    assert_true(ready >= 0);
    int work = waits[0].revents != 0 || ready == 0 ? weir_reactor_run_once(host->reactor, 0) : 0;
    if (host->client >= 0) {
        ssize_t got = recv(host->client, host->received + host->length, sizeof(host->received) - 1 - host->length,
                           MSG_DONTWAIT);
        if (got > 0) host->length += (size_t)got;
        host->received[host->length] = '\0';
    }
    if (ready == 0 && timeout_ms == PATIENCE_MS) fail_msg("nothing came: the wake-up was lost");
    return work;
}

/* Goes on until the client has received the text; then forgets all that was received. */
static void await(struct host *host, const char *text) {
    while (strstr(host->received, text) == NULL)
        assert_true(turn(host, PATIENCE_MS) >= 0);
    host->length = 0;
    host->received[0] = '\0';
}

static void subscribe(struct host *host) {
    static const char request[] = "GET /sessions/s/events HTTP/1.1\r\nHost: x\r\n\r\n";
    struct address address;
    assert_true(address_parse(weir_server_address(host->server, 0), false, &address, NULL));
    host->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(host->client, (struct sockaddr *)&address.storage, address.length), 0);
    assert_int_equal(send(host->client, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    await(host, "retry:");
}

/* ---- Publishing from another thread ------------------------------------------------------------------------------ */

struct publishing {
    struct host *host;
    sem_t go;
    unsigned count;
};

/* Each event at a slightly different moment after the loop has said that it is about to sleep. */
static void *publish_all(void *argument) {
    struct publishing *publishing = argument;
    weir_producer *producer;
    weir_session *session;
    if (weir_producer_create(publishing->host->engine, &producer) != WEIR_OK) abort();
    if (weir_session_open(publishing->host->engine, "s", 1, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) abort();
    for (unsigned i = 1; i <= publishing->count; i++) {
        char text[16];
        while (sem_wait(&publishing->go) != 0) {
        }
        for (volatile unsigned spin = i * 37 % 3000; spin > 0; spin--) {
        }
        int length = snprintf(text, sizeof(text), "<%u>", i);
        if (weir_publish(producer, session, 0, text, (size_t)length, NULL) != WEIR_OK) abort();
    }
    weir_session_release(session);
    weir_producer_destroy(producer);
    return NULL;
}

static void publishes_wake_the_loop(weir_io_choice io) {
    static struct host host;
    struct publishing publishing = {.host = &host, .count = 3000};
    pthread_t thread;
    if (!open_host(&host, io, WEIR_NONE)) skip();
    subscribe(&host);
    assert_int_equal(sem_init(&publishing.go, 0, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, publish_all, &publishing), 0);
    for (unsigned i = 1; i <= publishing.count; i++) {
        char text[32];
        snprintf(text, sizeof(text), "data: <%u>\n", i);
        sem_post(&publishing.go);
        await(&host, text);
    }
    pthread_join(thread, NULL);
    sem_destroy(&publishing.go);
    close_host(&host);
}

/* E05 */
static void test_a_publish_wakes_a_loop_that_polls_io_uring(void **state) {
    (void)state;
    publishes_wake_the_loop(WEIR_IO_URING);
}

static void test_a_publish_wakes_a_loop_that_polls_epoll(void **state) {
    (void)state;
    publishes_wake_the_loop(WEIR_IO_EPOLL);
}

/* ---- Much to do --------------------------------------------------------------------------------------------------- */

/* One call does a bounded piece of work. What is left makes the descriptor readable again, without anything new. */
static void a_crowd_is_served_in_several_calls(weir_io_choice io) {
    enum { CROWD = 60 };
    static struct host host;
    int crowd[CROWD];
    struct address address;
    if (!open_host(&host, io, WEIR_NONE)) skip();
    assert_true(address_parse(weir_server_address(host.server, 0), false, &address, NULL));
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(crowd[i], (struct sockaddr *)&address.storage, address.length), 0);
    }
    subscribe(&host); /* behind all of them */
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    close_host(&host);
}

static void test_a_loop_that_polls_io_uring_is_called_for_what_is_left(void **state) {
    (void)state;
    a_crowd_is_served_in_several_calls(WEIR_IO_URING);
}

static void test_a_loop_that_polls_epoll_is_called_for_what_is_left(void **state) {
    (void)state;
    a_crowd_is_served_in_several_calls(WEIR_IO_EPOLL);
}

/* ---- Draining from another thread -------------------------------------------------------------------------------- */

static void *drain(void *argument) {
    weir_server_drain(argument);
    return NULL;
}

static void a_drain_wakes_and_ends_the_loop(weir_io_choice io) {
    static struct host host;
    pthread_t thread;
    if (!open_host(&host, io, WEIR_NONE)) skip();
    subscribe(&host);
    assert_int_equal(pthread_create(&thread, NULL, drain, host.server), 0);
    assert_true(turn(&host, PATIENCE_MS) >= 0); /* woken */
    pthread_join(thread, NULL);
    bool ended = false;
    while (!ended) {
        ended = turn(&host, (int)weir_reactor_timeout(host.reactor)) < 0;
        if (strstr(host.received, "\r\n0\r\n\r\n") == NULL || host.client < 0) continue;
        close(host.client); /* the stream ended in good order */
        host.client = -1;
    }
    assert_int_equal(host.client, -1);
    assert_true(weir_reactor_run_once(host.reactor, 0) < 0);
    close_host(&host);
}

static void test_a_drain_ends_a_loop_that_polls_io_uring(void **state) {
    (void)state;
    a_drain_wakes_and_ends_the_loop(WEIR_IO_URING);
}

static void test_a_drain_ends_a_loop_that_polls_epoll(void **state) {
    (void)state;
    a_drain_wakes_and_ends_the_loop(WEIR_IO_EPOLL);
}

/* ---- Time -------------------------------------------------------------------------------------------------------- */

/* The loop sleeps no longer than the reactor says, and what is due by time alone comes. */
static void test_the_timeout_tells_when_the_reactor_must_be_called(void **state) {
    (void)state;
    static const weir_io_choice choices[] = {WEIR_IO_URING, WEIR_IO_EPOLL};
    static struct host host;
    for (int i = 0; i < 2; i++) {
        if (!open_host(&host, choices[i], 20)) continue;
        subscribe(&host);
        for (int beats = 0; beats < 3; beats++) {
            while (strstr(host.received, ": keep-alive") == NULL) {
                uint32_t timeout_ms = weir_reactor_timeout(host.reactor);
                assert_true(timeout_ms <= 1000);
                turn(&host, (int)timeout_ms);
            }
            host.length = 0;
            host.received[0] = '\0';
        }
        close_host(&host);
    }
}

/* ---- Refusals ----------------------------------------------------------------------------------------------------- */

static void expect_refusal(weir_engine *engine, weir_server_config config) {
    weir_server *server = (weir_server *)1;
    weir_io_error error = {0, ""};
    assert_int_equal(weir_server_create(&server, engine, &config, &error), WEIR_INVALID);
    assert_null(server);
    assert_true(strlen(error.text) > 0);
    assert_null(strchr(error.text, '\n'));
    assert_int_equal(weir_server_create(&server, engine, &config, NULL), WEIR_INVALID);
}

static void test_a_configuration_that_cannot_be_is_refused_with_a_reason(void **state) {
    (void)state;
    weir_engine *engine;
    assert_int_equal(weir_engine_create(&engine, NULL), WEIR_OK);
    const weir_server_config good = {.size = sizeof(good), .listen = "127.0.0.1:0", .threads = 1};
    weir_server_config bad[10];
    for (int i = 0; i < 10; i++)
        bad[i] = good;
    bad[0].listen = "nowhere";
    bad[1].listen = "unix:/tmp/only-admin-may";
    bad[2].admin_listen = "127.0.0.1";
    bad[3].token = "too short";
    bad[4].token = "has a blank in it, which no header can carry";
    bad[5].slow_policy = WEIR_POLICY_REFUSE;
    bad[6].threads = 65;
    bad[7].size = sizeof(good) + 8;
    bad[8].io = (weir_io_choice)7;
    bad[9].max_batch_bytes = 1;
    for (int i = 0; i < 10; i++)
        expect_refusal(engine, bad[i]);
    /* A port that somebody has, although it could be shared. */
    weir_server *server;
    assert_int_equal(weir_server_create(&server, engine, &good, NULL), WEIR_OK);
    weir_server_config taken = good;
    taken.listen = weir_server_address(server, 0);
    expect_refusal(engine, taken);
    assert_null(weir_server_address(server, 1));
    assert_null(weir_server_address(server, 2));
    weir_server_destroy(server);
    weir_server_destroy(NULL);
    weir_engine_destroy(engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_publish_wakes_a_loop_that_polls_io_uring),
        cmocka_unit_test(test_a_publish_wakes_a_loop_that_polls_epoll),
        cmocka_unit_test(test_a_loop_that_polls_io_uring_is_called_for_what_is_left),
        cmocka_unit_test(test_a_loop_that_polls_epoll_is_called_for_what_is_left),
        cmocka_unit_test(test_a_drain_ends_a_loop_that_polls_io_uring),
        cmocka_unit_test(test_a_drain_ends_a_loop_that_polls_epoll),
        cmocka_unit_test(test_the_timeout_tells_when_the_reactor_must_be_called),
        cmocka_unit_test(test_a_configuration_that_cannot_be_is_refused_with_a_reason),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed != 0 ? 1 : backend_is_missing(WEIR_IO_URING) ? EXIT_SKIPPED_BACKEND : 0;
}
