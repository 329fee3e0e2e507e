/* Accepting, receiving, and the ways in which a connection ends. */
#include "backend/cases.h"
#include "backend/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void an_accept_takes_a_connection_that_waits(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    if (!fixture->simulated) {
        assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    }
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void an_accept_waits_for_a_connection(void **state) {
    struct fixture *fixture = *state;
    uint64_t token = start_accept(fixture);
    assert_stays_started(fixture, token);
    struct peer peer = peer_connect(fixture);
    int descriptor = await(fixture, token);
    assert_true(descriptor >= 0);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void connections_are_accepted_one_after_the_other(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 100 };
    struct peer peers[COUNT];
    int descriptors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_connect(fixture);
    }
    for (int i = 0; i < COUNT; i++) {
        descriptors[i] = accept_peer(fixture);
    }
    assert_stays_started(fixture, start_accept(fixture));
    fixture->io->cancel(fixture->backend, fixture->next_token - 1);
    assert_int_equal(await(fixture, fixture->next_token - 1), -ECANCELED);
    for (int i = 0; i < COUNT; i++) {
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
}

/* U20: the owner must learn of it to close something and to wait; the connection is not lost. */
static void an_accept_without_free_descriptors_fails_and_a_later_one_succeeds(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    struct rlimit limit = {0};
    if (fixture->simulated) {
        simulated_fail_accept(fixture->backend, fixture->listener, EMFILE);
    } else {
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    }
    int32_t result = await(fixture, start_accept(fixture));
    if (!fixture->simulated) assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(result, -EMFILE);
    fixture->io->close(fixture->backend, accept_peer(fixture));
    peer_close(&peer);
}

/* N09 */
static void bytes_fed_one_by_one_arrive_in_order(void **state) {
    struct fixture *fixture = *state;
    const char text[] = "GET /sessions/demo/events HTTP/1.1";
    char received[sizeof text];
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    for (size_t i = 0; i < sizeof text; i++) {
        uint64_t token = start_receive(fixture, descriptor);
        peer_feed(&peer, &text[i], 1);
        assert_int_equal(await(fixture, token), 1);
        assert_int_equal(take_bytes(fixture, token, &received[i], 1), 1);
    }
    assert_memory_equal(received, text, sizeof text);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void more_bytes_than_a_buffer_holds_come_in_several_receives(void **state) {
    struct fixture *fixture = *state;
    static char sent[50000];
    static char received[sizeof sent];
    for (size_t i = 0; i < sizeof sent; i++) {
        sent[i] = (char)(i * 31 >> 3);
    }
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    peer_feed(&peer, sent, sizeof sent);
    receive_exactly(fixture, descriptor, received, sizeof received);
    assert_memory_equal(received, sent, sizeof sent);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void bytes_come_before_the_fin_behind_them(void **state) {
    struct fixture *fixture = *state;
    char text[8];
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    peer_feed(&peer, "last", 4);
    peer_finish(&peer);
    receive_exactly(fixture, descriptor, text, 4);
    assert_memory_equal(text, "last", 4);
    assert_int_equal(await(fixture, start_receive(fixture, descriptor)), 0);
    assert_int_equal(await(fixture, start_receive(fixture, descriptor)), 0);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void a_fin_ends_a_receive_that_waits(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    assert_stays_started(fixture, token);
    peer_finish(&peer);
    assert_int_equal(await(fixture, token), 0);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* N06 */
static void after_a_fin_the_other_direction_still_works(void **state) {
    struct fixture *fixture = *state;
    char text[8];
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    peer_finish(&peer);
    assert_int_equal(await(fixture, start_receive(fixture, descriptor)), 0);
    assert_int_equal(await(fixture, start_send(fixture, descriptor, "answer", 6)), 6);
    peer_read_exactly(fixture, &peer, text, 6);
    assert_memory_equal(text, "answer", 6);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* N07 */
static void a_reset_ends_a_receive_with_an_error(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    assert_stays_started(fixture, token);
    peer_reset(&peer);
    assert_int_equal(await(fixture, token), -ECONNRESET);
    fixture->io->close(fixture->backend, descriptor);
}

static void a_connection_reset_before_it_is_accepted_does_no_harm(void **state) {
    struct fixture *fixture = *state;
    struct peer gone = peer_connect(fixture);
    peer_reset(&gone);
    struct peer peer = peer_connect(fixture);
    peer_feed(&peer, "x", 1);
    for (bool found = false; !found;) {
        int descriptor = accept_peer(fixture);
        uint64_t token = start_receive(fixture, descriptor);
        int32_t result = await(fixture, token);
        assert_true(result == 1 || result == -ECONNRESET);
        char byte;
        found = result == 1 && take_bytes(fixture, token, &byte, 1) == 1;
        fixture->io->close(fixture->backend, descriptor);
    }
    peer_close(&peer);
}

static void shutting_down_ends_a_receive_that_waits(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    assert_stays_started(fixture, token);
    fixture->io->shutdown(fixture->backend, descriptor, SHUT_RDWR);
    assert_int_equal(await(fixture, token), 0);
    fixture->io->shutdown(fixture->backend, descriptor, SHUT_RDWR);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U19: the number of a closed descriptor comes back with the next connection, and nothing of the old one with it. */
static void a_descriptor_number_that_is_used_again_starts_afresh(void **state) {
    struct fixture *fixture = *state;
    int first = -1;
    for (int round = 0; round < 20; round++) {
        struct peer peer = peer_connect(fixture);
        int descriptor = accept_peer(fixture);
        uint64_t token = start_receive(fixture, descriptor);
        assert_stays_started(fixture, token);
        char name = (char)('a' + round);
        peer_feed(&peer, &name, 1);
        assert_int_equal(await(fixture, token), 1);
        char byte = 0;
        take_bytes(fixture, token, &byte, 1);
        assert_int_equal(byte, name);
        token = start_receive(fixture, descriptor);
        take_completions(fixture, 0, 64);
        fixture->io->cancel(fixture->backend, token);
        assert_int_equal(await(fixture, token), -ECANCELED);
        peer_feed(&peer, "unread", 6);
        fixture->io->close(fixture->backend, descriptor);
        peer_close(&peer);
        if (round == 0) first = descriptor;
        if (fixture->simulated) assert_int_equal(descriptor, first);
    }
}

static void a_bad_descriptor_is_told_by_a_completion(void **state) {
    struct fixture *fixture = *state;
    if (fixture->simulated) return; /* which aborts: for a test it is a mistake of weir's own */
    int descriptor = dup(fixture->listener);
    assert_true(descriptor >= 0);
    close(descriptor);
    assert_int_equal(await(fixture, start_receive(fixture, descriptor)), -EBADF);
    assert_int_equal(await(fixture, start_send(fixture, descriptor, "x", 1)), -EBADF);
}

/* U22 */
static void all_descriptors_are_close_on_exec(void **state) {
    struct fixture *fixture = *state;
    if (fixture->simulated) return;
    (void)fixture->io->pollable(fixture->backend);
    unsigned found = 0;
    for (int descriptor = 3; descriptor < 1024; descriptor++) {
        char path[64];
        char target[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = '\0';
        if (strncmp(target, "anon_inode:", 11) != 0) continue;
        assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
        found++;
    }
    assert_true(found >= 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int run_connection_cases(void) {
    const struct CMUnitTest connection_cases[] = {
        CASE(an_accept_takes_a_connection_that_waits),
        CASE(an_accept_waits_for_a_connection),
        CASE(connections_are_accepted_one_after_the_other),
        CASE(an_accept_without_free_descriptors_fails_and_a_later_one_succeeds),
        CASE(bytes_fed_one_by_one_arrive_in_order),
        CASE(more_bytes_than_a_buffer_holds_come_in_several_receives),
        CASE(bytes_come_before_the_fin_behind_them),
        CASE(a_fin_ends_a_receive_that_waits),
        CASE(after_a_fin_the_other_direction_still_works),
        CASE(a_reset_ends_a_receive_with_an_error),
        CASE(a_connection_reset_before_it_is_accepted_does_no_harm),
        CASE(shutting_down_ends_a_receive_that_waits),
        CASE(a_descriptor_number_that_is_used_again_starts_afresh),
        CASE(a_bad_descriptor_is_told_by_a_completion),
        CASE(all_descriptors_are_close_on_exec),
    };
    return cmocka_run_group_tests(connection_cases, NULL, NULL);
}
