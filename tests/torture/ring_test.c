/* Every operation that the server has in the ring, with every result that a kernel may give to it, through the real ring
 * (U03 to U08, U10, U18, U20). The listener pauses when there are no descriptors or no memory, and goes on by itself;
 * what says "again" is tried again, and nobody notices; everything else ends one connection and nothing more. A follower
 * on another connection misses nothing, nothing spins, and nothing is left behind. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/probe.h"
#include "ring_stage.h"
#include "watch.h"

#define PAUSE_NS    UINT64_C(100000000) /* of the listener */
#define ENTERS_MOST 2000u               /* calls into the kernel for one cell: a loop that spins makes far more */
#define PATIENCE_S  30u                 /* only a test that hangs takes so long */

static unsigned visited;

/* ---- What must happen -------------------------------------------------------------------------------------------- */

static const char *const names[RING_OPERATIONS] = {"accept",      "recv",          "send",        "cancel",
                                                   "poll (wake)", "poll (accept)", "poll (recv)", "poll (send)"};

static const int errors[] = {ECONNRESET,   EPIPE,       ENOBUFS,  EAGAIN, EINTR,      ENOMEM,    ECANCELED,
                             ETIME,        EMFILE,      ENFILE,   EBADF,  ENOTCONN,   ETIMEDOUT, ECONNABORTED,
                             EHOSTUNREACH, ENETUNREACH, ENETDOWN, EPROTO, EPERM,      EINVAL,    EIO,
                             ENOENT,       EALREADY,    EBUSY,    EFAULT, EOPNOTSUPP, EACCES};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))
#define READY  6u /* what a poll may say */

/* Every operation with every error; three further results of a receive, four of a send, READY of each poll before a
 * second try, one of a cancel and of the wake poll. */
#define CELLS (RING_OPERATIONS * ERRORS + 3 + 4 + 3 * READY + 1 + 1)

enum outcome {
    SERVED, /* nobody notices */
    PAUSED, /* the listener waits for a moment, and then serves whoever has waited meanwhile */
    CUT     /* that connection ends */
};

static enum outcome expected(enum ring_operation operation, int result) {
    bool again = result == -EAGAIN || result == -EINTR;
    switch (operation) {
    case RING_ACCEPT:
        return again || result == -ECONNABORTED || result == -EPROTO ? SERVED : PAUSED;
    case RING_RECEIVE:
        return again || result == -ENOBUFS ? SERVED : CUT;
    case RING_SEND:
        return again ? SERVED : CUT;
    case RING_ACCEPT_AGAIN:
    case RING_RECEIVE_AGAIN:
    case RING_SEND_AGAIN:
        return result >= 0 ? SERVED : expected(operation - RING_ACCEPT_AGAIN, result);
    default:
        return SERVED;
    }
}

/* ---- The watchdog ------------------------------------------------------------------------------------------------ */

static void watch_cell(const struct ring_plan *plan) {
    const char *name = names[plan->operation];
    if (plan->times == 0)
        watch_begin(PATIENCE_S, "nothing is replaced");
    else if (plan->length != 0)
        watch_begin(PATIENCE_S, "cell (%s, at most %u bytes), %u times", name, plan->length, plan->times);
    else
        watch_begin(PATIENCE_S, "cell (%s, result %d), %u times", name, plan->result, plan->times);
}

/* ---- One cell ---------------------------------------------------------------------------------------------------- */

static bool is_of_listener(enum ring_operation operation) {
    return operation == RING_ACCEPT || operation == RING_ACCEPT_AGAIN;
}

/* A connection's operation: its request meets the result. */
static void hit_connection(const struct ring_plan *plan, enum outcome outcome) {
    ring_begin(plan);
    assert_true(client_ask(&ring_stage.victim, ring_address(), RING_REQUEST));
    assert_int_equal(ring_await_answer(&ring_stage.victim), outcome == CUT ? 0 : 200);
}

/* The listener's: the first client is taken by the accept that is in the ring already, and so brings the spoilt one
 * about. Nobody is taken by that, so the second client is served later. */
static void hit_listener(const struct ring_plan *plan, enum outcome outcome) {
    static struct client second;
    uint64_t errors_before = ring_metric("\nweir_accept_errors_total ");
    client_init(&second);
    ring_begin(plan);
    assert_true(client_ask(&ring_stage.victim, ring_address(), RING_REQUEST));
    assert_int_equal(ring_await_answer(&ring_stage.victim), 200);
    assert_true(client_ask(&second, ring_address(), RING_REQUEST));
    assert_int_equal(ring_await_answer(&second), 200);
    client_close(&second);
    uint64_t errors_counted = ring_metric("\nweir_accept_errors_total ") - errors_before;
    assert_int_equal(errors_counted, outcome == PAUSED ? plan->times : 0);
}

static void check_met(const struct ring_plan *plan) {
    if (!ring_is_done()) fail_msg("%s did not meet the result %d", names[plan->operation], plan->result);
    if (ring_enters() > ENTERS_MOST) fail_msg("%u calls into the kernel", ring_enters());
    visited++;
}

static void visit(const struct ring_plan *plan) {
    enum outcome outcome = plan->length != 0 ? SERVED : expected(plan->operation, plan->result);
    watch_cell(plan);
    if (ring_stage.published == 0) {
        ring_publish();
        assert_int_equal(ring_catch_up(), 1);
    }
    if (is_of_listener(plan->operation))
        hit_listener(plan, outcome);
    else
        hit_connection(plan, outcome);
    check_met(plan);
    client_close(&ring_stage.victim);
    ring_publish();
    assert_int_equal(ring_catch_up(), 0); /* the follower was there all the time */
}

static void visit_errors(enum ring_operation operation) {
    for (unsigned i = 0; i < ERRORS; i++) {
        struct ring_plan plan = {.operation = operation, .result = -errors[i], .times = 1};
        visit(&plan);
    }
}

/* ---- The operations ---------------------------------------------------------------------------------------------- */

/* U20 */
static void test_accept(void **state) {
    (void)state;
    visit_errors(RING_ACCEPT);
}

/* U05, U06, U07, U08 */
static void test_receive(void **state) {
    (void)state;
    visit_errors(RING_RECEIVE);
    visit(&(struct ring_plan){.operation = RING_RECEIVE, .result = 0, .times = 1}); /* FIN */
    visit(&(struct ring_plan){.operation = RING_RECEIVE, .length = 1, .times = 5});
    visit(&(struct ring_plan){.operation = RING_RECEIVE, .length = 20, .times = 1});
}

/* U03, U04, U05, U06, U07, U08 */
static void test_send(void **state) {
    (void)state;
    visit_errors(RING_SEND);
    visit(&(struct ring_plan){.operation = RING_SEND, .result = 0, .times = 1});
    visit(&(struct ring_plan){.operation = RING_SEND, .length = 1, .times = 5});
    visit(&(struct ring_plan){.operation = RING_SEND, .length = 20, .times = 2});
    visit(&(struct ring_plan){.operation = RING_SEND, .length = UINT32_MAX, .times = 1});
}

/* U05: after EAGAIN a poll goes first, and can fail in its turn. */
static void test_second_tries(void **state) {
    static const int ready[READY] = {0, POLLIN, POLLOUT, POLLERR, POLLHUP, POLLIN | POLLERR | POLLHUP};
    (void)state;
    for (enum ring_operation operation = RING_ACCEPT_AGAIN; operation <= RING_SEND_AGAIN; operation++) {
        visit_errors(operation);
        for (unsigned i = 0; i < READY; i++) {
            struct ring_plan plan = {.operation = operation, .result = ready[i], .times = 1};
            visit(&plan);
        }
    }
}

/* U06 for a stream in the middle: it comes back, and has everything. */
static void test_a_stream_whose_send_fails_resumes(void **state) {
    (void)state;
    ring_publish();
    ring_catch_up();
    for (unsigned i = 0; i < ERRORS; i++) {
        struct ring_plan plan = {.operation = RING_SEND, .result = -errors[i], .times = 1};
        watch_cell(&plan);
        ring_begin(&plan);
        ring_publish();
        assert_int_equal(ring_catch_up(), expected(RING_SEND, plan.result) == CUT ? 1 : 0);
        assert_true(ring_is_done());
    }
}

/* U20: as long as there are no descriptors the listener tries ten times a second, while streams go on. */
static void test_a_listener_without_descriptors_does_not_spin(void **state) {
    const struct ring_plan plan = {.operation = RING_ACCEPT, .result = -EMFILE, .times = 4};
    static struct client second;
    struct timespec begin, end;
    (void)state;
    watch_cell(&plan);
    ring_publish();
    ring_catch_up();
    client_init(&second);
    ring_begin(&plan);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_true(client_ask(&ring_stage.victim, ring_address(), RING_REQUEST));
    assert_int_equal(ring_await_answer(&ring_stage.victim), 200);
    assert_true(client_ask(&second, ring_address(), RING_REQUEST));
    while (!ring_is_done()) {
        ring_publish();
        assert_int_equal(ring_catch_up(), 0);
    }
    assert_int_equal(ring_await_answer(&second), 200);
    client_close(&second);
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t elapsed_ns =
        (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec - (uint64_t)begin.tv_nsec;
    assert_true(elapsed_ns >= 3 * PAUSE_NS);
}

/* ---- Operations that need a server of their own ------------------------------------------------------------------- */

static void visit_cancel(const struct ring_plan *plan) {
    watch_cell(plan);
    ring_publish();
    ring_catch_up();
    assert_true(client_ask(&ring_stage.victim, ring_address(), RING_REQUEST));
    assert_int_equal(ring_await_answer(&ring_stage.victim), 200);
    ring_begin(plan);
    weir_server_stop(ring_stage.server);
    while (weir_reactor_run_once(ring_stage.reactor, 10) >= 0)
        continue;
    check_met(plan);
    assert_int_equal(weir_server_join(ring_stage.server), WEIR_OK);
}

/* U18: whatever a cancel says, each operation completes once: two receives and an accept. */
static void test_cancel(void **state) {
    for (unsigned i = 0; i <= ERRORS; i++) {
        struct ring_plan plan = {.operation = RING_CANCEL, .result = i < ERRORS ? -errors[i] : 0, .times = 3};
        if (i > 0) ring_open(state);
        visit_cancel(&plan);
        if (i < ERRORS) ring_close(state);
    }
}

static void visit_wake(const struct ring_plan *plan) {
    struct client *follower = &ring_stage.follower;
    watch_cell(plan);
    ring_begin(plan);
    assert_int_equal(weir_server_start(ring_stage.server, NULL), WEIR_OK);
    assert_true(client_ask(follower, ring_address(), RING_FOLLOWING));
    while (!client_has(follower, "retry:"))
        client_wait(follower, -1);
    for (unsigned i = 0; i < 5; i++) {
        ring_publish();
        while (!ring_has_all()) {
            client_wait(follower, -1);
            assert_false(follower->finished);
        }
    }
    weir_server_stop(ring_stage.server);
    assert_int_equal(weir_server_join(ring_stage.server), WEIR_OK);
    check_met(plan);
}

/* A poll that ends is armed again, so that a sleeping server hears of every publish. */
static void test_wake(void **state) {
    for (unsigned i = 0; i <= ERRORS; i++) {
        struct ring_plan plan = {.operation = RING_WAKE, .result = i < ERRORS ? -errors[i] : POLLIN, .times = 3};
        if (i > 0) ring_open(state);
        visit_wake(&plan);
        if (i < ERRORS) ring_close(state);
    }
}

/* U12: a ring that breaks has completions left, which may be new descriptors. They are told before the end is. */
static void test_a_broken_ring_first_tells_what_has_completed(void **state) {
    const struct io_backend_config config = {.queue_entries = 8, .receive_buffers = 2, .receive_size = 64};
    const struct ring_plan none = {.times = 0};
    struct io_backend *backend;
    struct io_completion completions[2];
    int sockets[2];
    (void)state;
    watch_cell(&none);
    ring_begin(&none);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    assert_int_equal(io_uring_backend_create(&backend, &config), 0);
    backend->operations->send(backend, sockets[0], "x", 1, 1);
    backend->operations->send(backend, sockets[1], "x", 1, 2);
    while (backend->operations->wait(backend, IO_WAIT_FOREVER, completions, 1) == 0)
        continue;
    ring_fail_next(-EBADR);
    assert_int_equal(backend->operations->wait(backend, 0, completions + 1, 1), 1);
    assert_int_equal(completions[0].token + completions[1].token, 3);
    assert_int_equal(backend->operations->wait(backend, 0, completions, 1), -EBADR);
    backend->operations->close(backend, sockets[0]);
    backend->operations->close(backend, sockets[1]);
    backend->operations->destroy(backend);
}

#define PAIRS 6u

/* U14: the kernel takes one entry a call, of a queue that is too small for all of them besides. What is left is queued
 * still: every operation completes, once. */
static void test_entries_that_a_call_does_not_take_remain_queued(void **state) {
    const struct io_backend_config config = {.queue_entries = 4, .receive_buffers = 8, .receive_size = 64};
    const struct ring_plan none = {.times = 0};
    struct io_backend *backend;
    struct io_completion completions[4];
    int sockets[PAIRS][2];
    unsigned completed[2 * PAIRS] = {0};
    unsigned left = 2 * PAIRS;
    (void)state;
    watch_cell(&none);
    ring_begin(&none);
    ring_take_at_most(1);
    assert_int_equal(io_uring_backend_create(&backend, &config), 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets[i]), 0);
        backend->operations->receive(backend, sockets[i][0], 2 * i);
        backend->operations->send(backend, sockets[i][1], "x", 1, 2 * i + 1);
    }
    while (left > 0) {
        int count = backend->operations->wait(backend, IO_WAIT_FOREVER, completions, 4);
        assert_true(count >= 0);
        for (int i = 0; i < count; i++, left--) {
            assert_int_equal(completions[i].result, 1);
            completed[completions[i].token]++;
            if (completions[i].data != NULL) backend->operations->release(backend, completions[i].data);
        }
    }
    ring_take_at_most(0);
    assert_true(ring_enters() >= 2 * PAIRS);
    for (unsigned i = 0; i < 2 * PAIRS; i++)
        assert_int_equal(completed[i], 1);
    for (unsigned i = 0; i < PAIRS; i++) {
        backend->operations->close(backend, sockets[i][0]);
        backend->operations->close(backend, sockets[i][1]);
    }
    backend->operations->destroy(backend);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, ring_open, ring_close)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_accept),
        TEST(test_receive),
        TEST(test_send),
        TEST(test_second_tries),
        TEST(test_a_stream_whose_send_fails_resumes),
        TEST(test_a_listener_without_descriptors_does_not_spin),
        TEST(test_cancel),
        TEST(test_wake),
        TEST(test_a_broken_ring_first_tells_what_has_completed),
        TEST(test_entries_that_a_call_does_not_take_remain_queued),
    };
    struct io_probe probe;
    io_probe(IO_URING, &probe);
    if (!probe.usable || !ring_can_inject()) {
        printf("SKIPPED: %s, and results can be injected from kernel 6.10 on\n", probe.reason);
        return 77;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("ring: %u of %u (operation, result) cells\n", visited, (unsigned)CELLS);
    return failed != 0 || visited != CELLS;
}
