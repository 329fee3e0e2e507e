/* io_uring under faults that a kernel at ease does not show. The calls that submit are wrapped at link time: before
 * the real one, some of the queued entries are replaced by no-ops whose completion carries a given result, or are cut
 * short. What such an entry asked for has not happened, so a backend that tries again loses nothing. */
#include "backend/fixture.h"
#include "backend/probe.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Newer than liburing 2.3: a no-op with a result of the submitter's choice, from Linux 6.10 on. */
#define NOP_INJECT_RESULT 1U

struct plan {
    int send_result; /* 0: leave sends alone */
    int receive_result;
    int accept_result;
    unsigned cut_send;   /* sends are cut to this many bytes; 0: not */
    unsigned one_in;     /* of how many entries one is hit */
    bool zero_send;      /* sends complete with 0 */
    bool stray;          /* each completion comes a second time, late */
    int enter_result;    /* the call itself fails */
    unsigned enter_left; /* this many times more */
    unsigned seen;
    unsigned hits;
};

static struct plan plan;

static bool is_hit(void) {
    return ++plan.seen % (plan.one_in != 0 ? plan.one_in : 1) == 0;
}

static void replace_entry(struct io_uring_sqe *entry, int result) {
    uint64_t user_data = entry->user_data;
    io_uring_prep_nop(entry);
    entry->len = (unsigned)result;
    entry->rw_flags = NOP_INJECT_RESULT;
    entry->user_data = user_data;
    plan.hits++;
}

static void spoil_entry(struct io_uring_sqe *entry) {
    int result = 0;
    if (entry->opcode == IORING_OP_SEND) result = plan.send_result;
    if (entry->opcode == IORING_OP_RECV) result = plan.receive_result;
    if (entry->opcode == IORING_OP_ACCEPT) result = plan.accept_result;
    bool zero = entry->opcode == IORING_OP_SEND && plan.zero_send;
    bool cut = entry->opcode == IORING_OP_SEND && plan.cut_send != 0 && entry->len > plan.cut_send;
    if ((result == 0 && !zero && !cut) || !is_hit()) return;
    if (cut) {
        entry->len = plan.cut_send;
        plan.hits++;
    } else {
        replace_entry(entry, result);
    }
}

/* Behind an entry that uses the slot of an earlier one again: a no-op with the user_data of that earlier one, which
 * has completed before. */
static void add_strays(struct io_uring *ring, unsigned count) {
    static uint64_t earlier;
    unsigned first = ring->sq.sqe_tail - count;
    for (unsigned i = 0; i < count; i++) {
        uint64_t user_data = ring->sq.sqes[(first + i) & (*ring->sq.kring_entries - 1)].user_data;
        bool same_slot = (uint32_t)earlier == (uint32_t)user_data && earlier != user_data;
        struct io_uring_sqe *stray = same_slot ? io_uring_get_sqe(ring) : NULL;
        if (stray != NULL) {
            io_uring_prep_nop(stray);
            stray->user_data = earlier;
            plan.hits++;
        }
        earlier = user_data;
    }
}

static int spoil(struct io_uring *ring) {
    unsigned count = ring->sq.sqe_tail - ring->sq.sqe_head;
    for (unsigned i = 0; i < count; i++) {
        spoil_entry(&ring->sq.sqes[(ring->sq.sqe_head + i) & (*ring->sq.kring_entries - 1)]);
    }
    if (plan.stray) add_strays(ring, count);
    if (plan.enter_left == 0) return 0;
    plan.enter_left--;
    plan.hits++;
    return plan.enter_result;
}

int __real_io_uring_submit(struct io_uring *ring);
int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals);

int __wrap_io_uring_submit(struct io_uring *ring) {
    int error = spoil(ring);
    return error < 0 ? error : __real_io_uring_submit(ring);
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring) {
    int error = spoil(ring);
    return error < 0 ? error : __real_io_uring_submit_and_get_events(ring);
}

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **entry, unsigned count,
                                            struct __kernel_timespec *timeout, sigset_t *signals) {
    int error = spoil(ring);
    return error < 0 ? error : __real_io_uring_submit_and_wait_timeout(ring, entry, count, timeout, signals);
}

/* ---- Cases ---- */

static int setup(void **state) {
    plan = (struct plan){0};
    return fixture_setup(state);
}

static int teardown(void **state) {
    plan = (struct plan){0};
    return fixture_teardown(state);
}

/* Some of everything, with the plan at work, and all bytes compared. */
static void exchange(struct fixture *fixture, int rounds) {
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    for (int round = 0; round < rounds; round++) {
        char sent[1000];
        char received[1000];
        for (size_t i = 0; i < sizeof sent; i++) {
            sent[i] = (char)(round + (int)i * 7);
        }
        assert_int_equal(await(fixture, start_send(fixture, descriptor, sent, sizeof sent)), sizeof sent);
        peer_read_exactly(fixture, &peer, received, sizeof received);
        assert_memory_equal(received, sent, sizeof sent);
        peer_feed(&peer, sent, sizeof sent);
        receive_exactly(fixture, descriptor, received, sizeof received);
        assert_memory_equal(received, sent, sizeof sent);
    }
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    assert_true(plan.hits > 0);
}

/* U05 */
static void operations_that_answer_EAGAIN_are_tried_again_when_ready(void **state) {
    plan = (struct plan){.send_result = -EAGAIN, .receive_result = -EAGAIN, .accept_result = -EAGAIN, .one_in = 2};
    exchange(*state, 30);
}

/* U05 */
static void operations_that_answer_EINTR_are_tried_again(void **state) {
    plan = (struct plan){.send_result = -EINTR, .receive_result = -EINTR, .accept_result = -EINTR, .one_in = 2};
    exchange(*state, 30);
}

/* U07 */
static void receives_that_answer_ENOBUFS_are_tried_again(void **state) {
    plan = (struct plan){.receive_result = -ENOBUFS, .one_in = 2};
    exchange(*state, 30);
}

/* U03, for one byte and for all but one */
static void a_send_that_comes_back_short_goes_on_with_the_rest(void **state) {
    plan = (struct plan){.cut_send = 1};
    exchange(*state, 2);
    plan = (struct plan){.cut_send = 999};
    exchange(*state, 10);
    plan = (struct plan){.cut_send = 333, .send_result = 0, .one_in = 2};
    exchange(*state, 10);
}

/* U04 */
static void a_send_that_takes_nothing_is_an_error(void **state) {
    struct fixture *fixture = *state;
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    plan = (struct plan){.zero_send = true};
    assert_int_equal(await(fixture, start_send(fixture, descriptor, "x", 1)), -EPIPE);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U06, U08 */
static void errors_reach_the_owner_as_they_are(void **state) {
    struct fixture *fixture = *state;
    const int errors[] = {ECONNRESET, EPIPE, ENOTCONN, ETIMEDOUT, EHOSTUNREACH, ENOMEM};
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        plan = (struct plan){.send_result = -errors[i], .receive_result = -errors[i], .accept_result = -errors[i]};
        assert_int_equal(await(fixture, start_send(fixture, descriptor, "x", 1)), -errors[i]);
        assert_int_equal(await(fixture, start_receive(fixture, descriptor)), -errors[i]);
        assert_int_equal(await(fixture, start_accept(fixture)), -errors[i]);
    }
    plan = (struct plan){0};
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* An error behind a first part: the owner learns of the part, and of the error from its next send. */
static void an_error_behind_a_first_part_is_told_after_it(void **state) {
    struct fixture *fixture = *state;
    char text[4];
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    plan = (struct plan){.cut_send = 4};
    uint64_t token = start_send(fixture, descriptor, "partrest", 8);
    take_completions(fixture, 0, 64);
    plan = (struct plan){.send_result = -ETIMEDOUT};
    assert_int_equal(await(fixture, token), 4);
    peer_read_exactly(fixture, &peer, text, 4);
    assert_memory_equal(text, "part", 4);
    plan = (struct plan){0};
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* A cancel while the operation is between two tries. */
static void an_operation_that_is_being_tried_again_can_be_cancelled(void **state) {
    struct fixture *fixture = *state;
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    const int errors[] = {EAGAIN, EINTR, ENOBUFS};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        plan = (struct plan){.receive_result = -errors[i]};
        uint64_t token = start_receive(fixture, descriptor);
        take_completions(fixture, 0, 64);
        take_completions(fixture, 0, 64);
        assert_false(fixture->outcomes[token].completed);
        fixture->io->cancel(fixture->backend, token);
        assert_int_equal(await(fixture, token), -ECANCELED);
    }
    plan = (struct plan){0};
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U10: recognised by the generation of the slot, also when the slot is in use again. */
static void completions_after_the_last_one_are_dropped(void **state) {
    struct fixture *fixture = *state;
    plan = (struct plan){.stray = true};
    exchange(fixture, 50);
    assert_true(plan.hits > 50);
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    assert_int_equal(await(fixture, start_send(fixture, descriptor, "x", 1)), 1);
    uint64_t token = start_receive(fixture, descriptor); /* takes the slot of the send, whose stray comes now */
    assert_stays_started(fixture, token);
    plan = (struct plan){0};
    fixture->io->cancel(fixture->backend, token);
    assert_int_equal(await(fixture, token), -ECANCELED);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U12 */
static void a_refused_submission_is_tried_again(void **state) {
    const int errors[] = {EINTR, EAGAIN, EBUSY};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        plan = (struct plan){.enter_result = -errors[i], .enter_left = 10};
        exchange(*state, 10);
        assert_int_equal(plan.enter_left, 0);
    }
}

/* U12: a refused call leaves in the kernel what the poll descriptor has told of already. */
static void a_refused_call_is_told_to_who_polls(void **state) {
    struct fixture *fixture = *state;
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    struct pollfd pollable = {.fd = fixture->io->pollable(fixture->backend), .events = POLLIN};
    for (int round = 0; round < 10; round++) {
        uint64_t token = start_receive(fixture, descriptor);
        while (poll(&pollable, 1, 0) == 1) {
            take_completions(fixture, 0, 64);
        }
        peer_feed(&peer, "x", 1);
        plan = (struct plan){.enter_result = -EINTR, .enter_left = 2};
        while (!fixture->outcomes[token].completed) {
            assert_int_equal(poll(&pollable, 1, -1), 1);
            take_completions(fixture, 0, 64);
        }
        char byte;
        take_bytes(fixture, token, &byte, 1);
        assert_int_equal(plan.enter_left, 0);
    }
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* U12: what the kernel does not recover from is told, again and again, instead of hanging. */
static void a_broken_ring_is_told_by_every_wait(void **state) {
    struct fixture *fixture = *state;
    struct io_completion completion;
    plan = (struct plan){.enter_result = -EBADR, .enter_left = 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fixture->io->wait(fixture->backend, 0, &completion, 1), -EBADR);
    }
}

static bool can_inject(void) {
    struct io_uring ring;
    struct io_uring_cqe *completion;
    if (io_uring_queue_init(2, &ring, 0) < 0) return false;
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring);
    replace_entry(entry, -ETIMEDOUT);
    bool works = __real_io_uring_submit(&ring) == 1 && io_uring_peek_cqe(&ring, &completion) == 0 &&
                 completion->res == -ETIMEDOUT;
    io_uring_queue_exit(&ring);
    return works;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest fault_cases[] = {
        CASE(operations_that_answer_EAGAIN_are_tried_again_when_ready),
        CASE(operations_that_answer_EINTR_are_tried_again),
        CASE(receives_that_answer_ENOBUFS_are_tried_again),
        CASE(a_send_that_comes_back_short_goes_on_with_the_rest),
        CASE(a_send_that_takes_nothing_is_an_error),
        CASE(errors_reach_the_owner_as_they_are),
        CASE(an_error_behind_a_first_part_is_told_after_it),
        CASE(an_operation_that_is_being_tried_again_can_be_cancelled),
        CASE(completions_after_the_last_one_are_dropped),
        CASE(a_refused_submission_is_tried_again),
        CASE(a_refused_call_is_told_to_who_polls),
        CASE(a_broken_ring_is_told_by_every_wait),
    };
    struct io_probe probe;
    io_probe(IO_URING, &probe);
    if (!probe.usable || !can_inject()) {
        printf("SKIPPED: %s, and faults can be injected from kernel 6.10 on\n", probe.reason);
        return 77;
    }
    fixture_backend_name = "uring";
    return cmocka_run_group_tests(fault_cases, NULL, NULL);
}
