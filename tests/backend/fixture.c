#include "backend/fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char *fixture_backend_name = "epoll";

enum { QUIET_WAITS = 5, NARROW_BYTES = 16384 };

#define WAIT_SLICE_NS UINT64_C(1000000)

/* ---- Life ---- */

unsigned count_descriptors(void) {
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void listen_on_loopback(struct fixture *fixture) {
    fixture->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fixture->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fixture->listener, 512), 0);
    assert_int_equal(getsockname(fixture->listener, (struct sockaddr *)&address, &size), 0);
    fixture->port = ntohs(address.sin_port);
}

struct fixture *fixture_create(const struct io_backend_config *config) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->descriptors_before = count_descriptors();
    fixture->outcomes = calloc(FIXTURE_TOKENS, sizeof *fixture->outcomes);
    assert_non_null(fixture->outcomes);
    fixture->simulated = strcmp(fixture_backend_name, "simulated") == 0;
    fixture->uring = strcmp(fixture_backend_name, "uring") == 0;
    if (fixture->simulated) {
        struct simulated_faults faults = {
            .seed = 1, .receive_buffers = config->receive_buffers, .receive_size = config->receive_size};
        fixture->backend = simulated_create(&faults);
        fixture->listener = simulated_listen(fixture->backend);
    } else {
        int result = fixture->uring ? io_uring_backend_create(&fixture->backend, config)
                                    : io_epoll_backend_create(&fixture->backend, config);
        assert_int_equal(result, 0);
        listen_on_loopback(fixture);
    }
    fixture->io = fixture->backend->operations;
    return fixture;
}

void fixture_destroy(struct fixture *fixture) {
    fixture->io->close(fixture->backend, fixture->listener);
    fixture->io->destroy(fixture->backend);
    unsigned descriptors = count_descriptors();
    unsigned before = fixture->descriptors_before;
    free(fixture->outcomes);
    free(fixture);
    assert_int_equal(descriptors, before);
}

int fixture_setup(void **state) {
    const struct io_backend_config config = {.queue_entries = 64, .receive_buffers = 16, .receive_size = 4096};
    *state = fixture_create(&config);
    return 0;
}

int fixture_teardown(void **state) {
    fixture_destroy(*state);
    return 0;
}

/* ---- Operations and their outcomes ---- */

static uint64_t note_started(struct fixture *fixture) {
    uint64_t token = fixture->next_token++;
    assert_true(token < FIXTURE_TOKENS);
    fixture->outcomes[token].started = true;
    return token;
}

uint64_t start_accept(struct fixture *fixture) {
    uint64_t token = note_started(fixture);
    fixture->io->accept(fixture->backend, fixture->listener, token);
    return token;
}

uint64_t start_receive(struct fixture *fixture, int descriptor) {
    uint64_t token = note_started(fixture);
    fixture->io->receive(fixture->backend, descriptor, token);
    return token;
}

uint64_t start_send(struct fixture *fixture, int descriptor, const void *data, size_t length) {
    uint64_t token = note_started(fixture);
    fixture->io->send(fixture->backend, descriptor, data, length, token);
    return token;
}

static void note_completed(struct fixture *fixture, const struct io_completion *completion) {
    assert_true(completion->token < fixture->next_token);
    struct outcome *outcome = &fixture->outcomes[completion->token];
    assert_true(outcome->started);
    assert_false(outcome->completed);
    assert_int_not_equal(completion->result, -ENOBUFS);
    assert_int_equal(completion->data != NULL, completion->size != 0);
    if (completion->size != 0) assert_int_equal(completion->size, completion->result);
    *outcome = (struct outcome){.started = true,
                                .completed = true,
                                .result = completion->result,
                                .size = completion->size,
                                .data = completion->data};
    fixture->completed++;
}

int take_completions(struct fixture *fixture, uint64_t timeout_ns, unsigned capacity) {
    struct io_completion completions[64];
    assert_true(capacity <= 64);
    int count = fixture->io->wait(fixture->backend, timeout_ns, completions, capacity);
    assert_in_range(count, 0, capacity);
    for (int i = 0; i < count; i++) {
        note_completed(fixture, &completions[i]);
    }
    return count;
}

int32_t await(struct fixture *fixture, uint64_t token) {
    while (!fixture->outcomes[token].completed) {
        take_completions(fixture, WAIT_SLICE_NS, 64);
    }
    return fixture->outcomes[token].result;
}

void await_count(struct fixture *fixture, unsigned count) {
    while (fixture->completed < count) {
        take_completions(fixture, WAIT_SLICE_NS, 64);
    }
    assert_int_equal(fixture->completed, count);
}

size_t take_bytes(struct fixture *fixture, uint64_t token, char *bytes, size_t capacity) {
    struct outcome *outcome = &fixture->outcomes[token];
    assert_true(outcome->completed);
    assert_non_null(outcome->data);
    assert_true(outcome->size <= capacity);
    memcpy(bytes, outcome->data, outcome->size);
    fixture->io->release(fixture->backend, outcome->data);
    outcome->data = NULL;
    return outcome->size;
}

void receive_exactly(struct fixture *fixture, int descriptor, char *bytes, size_t length) {
    char buffer[8192];
    for (size_t done = 0; done < length;) {
        uint64_t token = start_receive(fixture, descriptor);
        assert_true(await(fixture, token) > 0);
        size_t size = take_bytes(fixture, token, buffer, sizeof buffer);
        assert_true(size <= length - done);
        memcpy(bytes + done, buffer, size);
        done += size;
    }
}

void assert_stays_started(struct fixture *fixture, uint64_t token) {
    for (int i = 0; i < QUIET_WAITS; i++) {
        take_completions(fixture, WAIT_SLICE_NS, 64);
        assert_false(fixture->outcomes[token].completed);
    }
}

/* ---- Peers ---- */

static struct peer connect_socket(struct fixture *fixture, int receive_buffer) {
    struct peer peer = {.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_true(peer.socket >= 0);
    if (receive_buffer > 0) {
        assert_int_equal(setsockopt(peer.socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
    }
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(fixture->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(peer.socket, (struct sockaddr *)&address, sizeof address), 0);
    return peer;
}

struct peer peer_connect(struct fixture *fixture) {
    if (fixture->simulated) {
        return (struct peer){-1, simulated_connect(fixture->backend, fixture->listener)};
    }
    return connect_socket(fixture, 0);
}

struct peer peer_connect_narrow(struct fixture *fixture) {
    if (!fixture->simulated) return connect_socket(fixture, NARROW_BYTES);
    struct peer peer = peer_connect(fixture);
    simulated_set_window(peer.simulated, NARROW_BYTES);
    return peer;
}

int accept_peer(struct fixture *fixture) {
    int descriptor = await(fixture, start_accept(fixture));
    assert_true(descriptor >= 0);
    return descriptor;
}

struct peer peer_pair(struct fixture *fixture, int *descriptor) {
    struct peer peer = {.socket = -1};
    if (fixture->simulated) {
        peer.simulated = simulated_pair(fixture->backend, descriptor);
    } else {
        int sockets[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets), 0);
        *descriptor = sockets[0];
        peer.socket = sockets[1];
    }
    return peer;
}

void peer_feed(struct peer *peer, const void *data, size_t length) {
    if (peer->simulated != NULL) {
        simulated_feed(peer->simulated, data, length);
        return;
    }
    assert_int_equal(send(peer->socket, data, length, MSG_NOSIGNAL), length);
}

size_t peer_read(struct peer *peer, char *bytes, size_t capacity) {
    if (peer->simulated != NULL) return simulated_read(peer->simulated, bytes, capacity);
    ssize_t count = recv(peer->socket, bytes, capacity, MSG_DONTWAIT);
    assert_true(count >= 0 || errno == EAGAIN);
    return count > 0 ? (size_t)count : 0;
}

void peer_read_exactly(struct fixture *fixture, struct peer *peer, char *bytes, size_t length) {
    for (size_t done = 0; done < length;) {
        size_t count = peer_read(peer, bytes + done, length - done);
        done += count;
        if (count == 0) take_completions(fixture, WAIT_SLICE_NS, 64);
    }
}

void peer_finish(struct peer *peer) {
    if (peer->simulated != NULL) {
        simulated_finish(peer->simulated);
    } else {
        assert_int_equal(shutdown(peer->socket, SHUT_WR), 0);
    }
}

void peer_reset(struct peer *peer) {
    if (peer->simulated != NULL) {
        simulated_reset(peer->simulated);
        return;
    }
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(peer->socket, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    peer_close(peer);
}

void peer_close(struct peer *peer) {
    if (peer->simulated != NULL) {
        if (!simulated_saw_reset(peer->simulated)) simulated_finish(peer->simulated);
    } else if (peer->socket >= 0) {
        close(peer->socket);
        peer->socket = -1;
    }
}
