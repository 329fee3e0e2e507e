/* Cancelling: every cancelled operation completes, once, and nothing else is touched. */
#include "backend/cases.h"
#include "backend/fixture.h"

#include <errno.h>

static void a_cancelled_receive_completes_and_loses_no_bytes(void **state) {
    struct fixture *fixture = *state;
    char text[4];
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    assert_stays_started(fixture, token);
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    peer_feed(&peer, "more", 4);
    receive_exactly(fixture, descriptor, text, 4);
    assert_memory_equal(text, "more", 4);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void a_cancelled_accept_completes_and_loses_no_connection(void **state) {
    struct fixture *fixture = *state;
    uint64_t token = start_accept(fixture);
    assert_stays_started(fixture, token);
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    struct peer peer = peer_connect(fixture);
    fixture->io->close(fixture->backend, accept_peer(fixture));
    peer_close(&peer);
}

static void an_operation_can_be_cancelled_in_the_turn_that_started_it(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    token = start_accept(fixture);
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void a_second_cancel_makes_no_second_completion(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    take_completions(fixture, 0, 64);
    fixture->io->cancel(fixture->backend, token);
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    fixture->io->cancel(fixture->backend, token);
    uint64_t other = start_receive(fixture, descriptor);
    assert_stays_started(fixture, other);
    fixture->io->cancel(fixture->backend, other);
    assert_int_equal(await(fixture, other), -ECANCELED);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void cancelling_a_token_that_is_not_started_is_ignored(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    uint64_t token = start_receive(fixture, descriptor);
    fixture->io->cancel(fixture->backend, token + 1000);
    fixture->io->cancel(fixture->backend, IO_TOKEN_NONE);
    fixture->io->cancel(fixture->backend, 0);
    assert_stays_started(fixture, token);
    peer_feed(&peer, "x", 1);
    assert_int_equal(await(fixture, token), 1);
    char byte;
    take_bytes(fixture, token, &byte, 1);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U18: whichever comes first, the operation completes once, and with the bytes or without them. */
static void a_cancel_that_races_with_bytes_loses_none_of_them(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    for (int round = 0; round < 200; round++) {
        uint64_t token = start_receive(fixture, descriptor);
        if (round % 2 == 0) take_completions(fixture, 0, 64);
        char byte = (char)round;
        char received = 0;
        peer_feed(&peer, &byte, 1);
        if (round % 3 == 0) take_completions(fixture, 0, 64);
        fixture->io->cancel(fixture->backend, token);
        int32_t result = await(fixture, token);
        assert_true(result == 1 || result == -ECANCELED);
        if (result == 1) {
            take_bytes(fixture, token, &received, 1);
        } else {
            receive_exactly(fixture, descriptor, &received, 1);
        }
        assert_int_equal(received, byte);
    }
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* Teardown of many at once: shutdown was not enough, or not called. */
static void four_hundred_receives_are_cancelled_in_one_turn(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 400 };
    struct peer peers[COUNT];
    int descriptors[COUNT];
    uint64_t tokens[COUNT];
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_pair(fixture, &descriptors[i]);
        tokens[i] = start_receive(fixture, descriptors[i]);
    }
    take_completions(fixture, 0, 64);
    for (int i = COUNT; i-- > 0;) {
        fixture->io->cancel(fixture->backend, tokens[i]);
    }
    await_count(fixture, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(fixture->outcomes[tokens[i]].result, -ECANCELED);
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int run_cancel_cases(void) {
    const struct CMUnitTest cancel_cases[] = {
        CASE(a_cancelled_receive_completes_and_loses_no_bytes),
        CASE(a_cancelled_accept_completes_and_loses_no_connection),
        CASE(an_operation_can_be_cancelled_in_the_turn_that_started_it),
        CASE(a_second_cancel_makes_no_second_completion),
        CASE(cancelling_a_token_that_is_not_started_is_ignored),
        CASE(a_cancel_that_races_with_bytes_loses_none_of_them),
        CASE(four_hundred_receives_are_cancelled_in_one_turn),
    };
    return cmocka_run_group_tests(cancel_cases, NULL, NULL);
}
