/* Sending: everything arrives, in order, or the completion says how much did. */
#include "backend/cases.h"
#include "backend/fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { LARGE = 10 * 1000 * 1000 };

static char *make_pattern(size_t length) {
    char *bytes = malloc(length);
    assert_non_null(bytes);
    uint32_t value = 1;
    for (size_t i = 0; i < length; i++) {
        value = value * 1664525 + 1013904223;
        bytes[i] = (char)(value >> 24);
    }
    return bytes;
}

static void a_send_arrives(void **state) {
    struct fixture *fixture = *state;
    char text[8];
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    assert_int_equal(await(fixture, start_send(fixture, descriptor, "event", 5)), 5);
    peer_read_exactly(fixture, &peer, text, 5);
    assert_memory_equal(text, "event", 5);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U03, N03 */
static void a_large_send_goes_on_until_a_slow_reader_has_it_all(void **state) {
    struct fixture *fixture = *state;
    char *sent = make_pattern(LARGE);
    char *received = malloc(LARGE);
    assert_non_null(received);
    struct peer peer = peer_connect_narrow(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_send(fixture, descriptor, sent, LARGE);
    assert_stays_started(fixture, token);
    peer_read_exactly(fixture, &peer, received, LARGE);
    assert_int_equal(await(fixture, token), LARGE);
    assert_memory_equal(received, sent, LARGE);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    free(sent);
    free(received);
}

static void both_directions_move_while_a_send_is_stalled(void **state) {
    struct fixture *fixture = *state;
    char *sent = make_pattern(LARGE);
    struct peer peer = peer_connect_narrow(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t send_token = start_send(fixture, descriptor, sent, LARGE);
    for (int i = 0; i < 10; i++) {
        char byte;
        uint64_t token = start_receive(fixture, descriptor);
        peer_feed(&peer, "r", 1);
        assert_int_equal(await(fixture, token), 1);
        take_bytes(fixture, token, &byte, 1);
        assert_false(fixture->outcomes[send_token].completed);
    }
    fixture->io->shutdown(fixture->backend, descriptor, SHUT_RDWR);
    fixture->io->cancel(fixture->backend, send_token);
    await(fixture, send_token);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    free(sent);
}

/* Reads all that a peer got until the sending side was shut down, and checks that it is the start of `sent`. */
static size_t drain_prefix(struct fixture *fixture, struct peer *peer, const char *sent, size_t expected) {
    char *received = malloc(expected + 1);
    assert_non_null(received);
    peer_read_exactly(fixture, peer, received, expected);
    assert_memory_equal(received, sent, expected);
    for (int i = 0; i < 3; i++) {
        take_completions(fixture, 1000000, 64);
        assert_int_equal(peer_read(peer, received, 1), 0);
    }
    free(received);
    return expected;
}

/* A cancelled send reports the bytes that were taken: exactly those arrive. */
static void a_cancelled_send_reports_what_was_taken(void **state) {
    struct fixture *fixture = *state;
    char *sent = make_pattern(LARGE);
    struct peer peer = peer_connect_narrow(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_send(fixture, descriptor, sent, LARGE);
    assert_stays_started(fixture, token);
    fixture->io->cancel(fixture->backend, token);
    int32_t result = await(fixture, token);
    assert_in_range(result, 1, LARGE - 1);
    fixture->io->shutdown(fixture->backend, descriptor, SHUT_WR);
    drain_prefix(fixture, &peer, sent, (size_t)result);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    free(sent);
}

static void shutting_down_ends_a_stalled_send(void **state) {
    struct fixture *fixture = *state;
    char *sent = make_pattern(LARGE);
    struct peer peer = peer_connect_narrow(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_send(fixture, descriptor, sent, LARGE);
    assert_stays_started(fixture, token);
    fixture->io->shutdown(fixture->backend, descriptor, SHUT_RDWR);
    assert_in_range(await(fixture, token), 1, LARGE - 1);
    assert_int_equal(await(fixture, start_send(fixture, descriptor, sent, 1)), -EPIPE);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    free(sent);
}

/* U06. A signal would end this program. */
static void a_reset_ends_a_stalled_send(void **state) {
    struct fixture *fixture = *state;
    char *sent = make_pattern(LARGE);
    struct peer peer = peer_connect_narrow(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_send(fixture, descriptor, sent, LARGE);
    assert_stays_started(fixture, token);
    peer_reset(&peer);
    assert_in_range(await(fixture, token), 1, LARGE - 1);
    int32_t result = await(fixture, start_send(fixture, descriptor, sent, 1));
    assert_true(result == -EPIPE || result == -ECONNRESET);
    fixture->io->close(fixture->backend, descriptor);
    free(sent);
}

static void many_sends_of_one_turn_all_complete(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 200 };
    struct peer peers[COUNT];
    int descriptors[COUNT];
    char byte[COUNT];
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_pair(fixture, &descriptors[i]);
        byte[i] = (char)i;
    }
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < COUNT; i++) {
            start_send(fixture, descriptors[i], &byte[i], 1);
        }
        await_count(fixture, (unsigned)(round * COUNT));
    }
    for (int i = 0; i < COUNT; i++) {
        char received[10];
        peer_read_exactly(fixture, &peers[i], received, sizeof received);
        for (int round = 0; round < 10; round++) {
            assert_int_equal(received[round], byte[i]);
        }
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int run_send_cases(void) {
    const struct CMUnitTest send_cases[] = {
        CASE(a_send_arrives),
        CASE(a_large_send_goes_on_until_a_slow_reader_has_it_all),
        CASE(both_directions_move_while_a_send_is_stalled),
        CASE(a_cancelled_send_reports_what_was_taken),
        CASE(shutting_down_ends_a_stalled_send),
        CASE(a_reset_ends_a_stalled_send),
        CASE(many_sends_of_one_turn_all_complete),
    };
    return cmocka_run_group_tests(send_cases, NULL, NULL);
}
