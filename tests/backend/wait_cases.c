/* Waiting: what ends it, and what an embedder with a loop of its own sees. */
#include "backend/cases.h"
#include "backend/fixture.h"

#include "base/atomic.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#define LONG_NS     UINT64_C(1000000000000)
#define PATIENCE_MS 10000 /* only a test that fails takes so long */

static uint64_t read_clock_ns(const struct fixture *fixture) {
    if (fixture->simulated) return simulated_now_ns(fixture->backend);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void a_wait_for_nothing_lasts_as_long_as_its_timeout(void **state) {
    struct fixture *fixture = *state;
    const uint64_t timeouts_ns[] = {0, 1000, 300000, 2000000, 30000000};
    for (size_t i = 0; i < sizeof timeouts_ns / sizeof timeouts_ns[0]; i++) {
        uint64_t start_ns = read_clock_ns(fixture);
        assert_int_equal(take_completions(fixture, timeouts_ns[i], 64), 0);
        assert_true(read_clock_ns(fixture) - start_ns >= timeouts_ns[i]);
    }
}

/* The test ends at all only because the waits, which would last for ever, do not. */
static void what_is_ready_ends_a_wait_without_a_timeout(void **state) {
    struct fixture *fixture = *state;
    struct peer peer = peer_connect(fixture);
    uint64_t token = start_accept(fixture);
    while (!fixture->outcomes[token].completed) {
        take_completions(fixture, IO_WAIT_FOREVER, 1);
    }
    int descriptor = fixture->outcomes[token].result;
    token = start_receive(fixture, descriptor);
    take_completions(fixture, 0, 64);
    peer_feed(&peer, "x", 1);
    while (!fixture->outcomes[token].completed) {
        take_completions(fixture, IO_WAIT_FOREVER, 1);
    }
    char byte;
    take_bytes(fixture, token, &byte, 1);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void a_small_capacity_only_delays_completions(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 50 };
    struct peer peers[COUNT];
    int descriptors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_pair(fixture, &descriptors[i]);
        start_send(fixture, descriptors[i], "x", 1);
    }
    for (unsigned done = 0; done < COUNT;) {
        int count = take_completions(fixture, IO_WAIT_FOREVER, 3);
        done += (unsigned)count;
        assert_int_equal(done, fixture->completed);
    }
    for (int i = 0; i < COUNT; i++) {
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
}

static void a_wake_before_the_wait_is_not_lost(void **state) {
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        fixture->io->wake(fixture->backend);
        assert_int_equal(take_completions(fixture, fixture->simulated ? LONG_NS : IO_WAIT_FOREVER, 64), 0);
    }
    if (fixture->simulated) assert_true(simulated_now_ns(fixture->backend) < LONG_NS);
}

struct waker {
    struct fixture *fixture;
    atomic_u64 asked;
    atomic_u64 woken;
    uint64_t rounds;
};

/* Wakes once for each time it is asked to. */
static void *wake_when_asked(void *argument) {
    struct waker *waker = argument;
    for (uint64_t round = 1; round <= waker->rounds; round++) {
        while (u64_load_acquire(&waker->asked) < round) {
            sched_yield();
        }
        u64_store_release(&waker->woken, round);
        waker->fixture->io->wake(waker->fixture->backend);
    }
    return NULL;
}

/* A lost wake-up would leave this test waiting for ever. */
static void every_wake_of_another_thread_ends_a_wait(void **state) {
    struct fixture *fixture = *state;
    struct waker waker = {.fixture = fixture, .rounds = 2000};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_when_asked, &waker), 0);
    for (uint64_t round = 1; round <= waker.rounds; round++) {
        u64_store_release(&waker.asked, round);
        while (u64_load_acquire(&waker.woken) < round) {
            take_completions(fixture, IO_WAIT_FOREVER, 64);
        }
    }
    pthread_join(thread, NULL);
}

static void *wake_often(void *argument) {
    struct waker *waker = argument;
    for (uint64_t round = 0; round < waker->rounds; round++) {
        waker->fixture->io->wake(waker->fixture->backend);
    }
    u64_store_release(&waker->woken, 1);
    waker->fixture->io->wake(waker->fixture->backend);
    return NULL;
}

static void a_storm_of_wakes_neither_blocks_nor_hides_a_completion(void **state) {
    struct fixture *fixture = *state;
    struct waker waker = {.fixture = fixture, .rounds = 50000};
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wake_often, &waker), 0);
    unsigned received = 0;
    while (u64_load_acquire(&waker.woken) == 0 || received < 100) {
        char byte;
        uint64_t token = start_receive(fixture, descriptor);
        peer_feed(&peer, "x", 1);
        while (!fixture->outcomes[token].completed) {
            take_completions(fixture, IO_WAIT_FOREVER, 64);
        }
        received += (unsigned)take_bytes(fixture, token, &byte, 1);
    }
    pthread_join(thread, NULL);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* ---- The pollable descriptor ---- */

static bool polls_readable(int descriptor, int timeout_ms) {
    struct pollfd poll_set = {.fd = descriptor, .events = POLLIN};
    return poll(&poll_set, 1, timeout_ms) == 1;
}

/* Looks until nothing is left and the descriptor says so. */
static void settle(struct fixture *fixture, int pollable) {
    while (polls_readable(pollable, 0)) {
        take_completions(fixture, 0, 64);
    }
}

static void the_pollable_descriptor_tells_of_received_bytes(void **state) {
    struct fixture *fixture = *state;
    int pollable = fixture->io->pollable(fixture->backend);
    assert_true(pollable >= 0);
    assert_int_equal(fixture->io->pollable(fixture->backend), pollable);
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    for (int round = 0; round < 20; round++) {
        char byte;
        uint64_t token = start_receive(fixture, descriptor);
        assert_true(polls_readable(pollable, -1)); /* it is queued: wait(0) has something to start */
        settle(fixture, pollable);
        assert_false(fixture->outcomes[token].completed);
        peer_feed(&peer, "x", 1);
        while (!fixture->outcomes[token].completed) {
            assert_true(polls_readable(pollable, -1));
            take_completions(fixture, 0, 64);
        }
        take_bytes(fixture, token, &byte, 1);
    }
    settle(fixture, pollable);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

static void the_pollable_descriptor_tells_of_a_wake(void **state) {
    struct fixture *fixture = *state;
    int pollable = fixture->io->pollable(fixture->backend);
    for (int round = 0; round < 20; round++) {
        settle(fixture, pollable);
        fixture->io->wake(fixture->backend);
        assert_true(polls_readable(pollable, -1));
    }
}

static void the_pollable_descriptor_tells_of_what_a_small_capacity_left(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 20 };
    struct peer peers[COUNT];
    int descriptors[COUNT];
    int pollable = fixture->io->pollable(fixture->backend);
    for (int i = 0; i < COUNT; i++) {
        peers[i] = peer_pair(fixture, &descriptors[i]);
    }
    settle(fixture, pollable);
    for (int i = 0; i < COUNT; i++) {
        start_send(fixture, descriptors[i], "x", 1);
    }
    while (fixture->completed < COUNT) {
        assert_true(polls_readable(pollable, -1));
        take_completions(fixture, 0, 1);
    }
    settle(fixture, pollable);
    for (int i = 0; i < COUNT; i++) {
        fixture->io->close(fixture->backend, descriptors[i]);
        peer_close(&peers[i]);
    }
}

static void the_pollable_descriptor_tells_of_a_cancel(void **state) {
    struct fixture *fixture = *state;
    int pollable = fixture->io->pollable(fixture->backend);
    int descriptor;
    struct peer peer = peer_pair(fixture, &descriptor);
    uint64_t token = start_receive(fixture, descriptor);
    settle(fixture, pollable);
    fixture->io->cancel(fixture->backend, token);
    while (!fixture->outcomes[token].completed) {
        assert_true(polls_readable(pollable, -1));
        take_completions(fixture, 0, 64);
    }
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
}

/* A receive that finds its bytes there but no buffer, for each of few buffers is with its owner. */
enum { FEW_BUFFERS = 2 };

struct want {
    struct peer peers[FEW_BUFFERS + 1];
    int descriptors[FEW_BUFFERS + 1];
    uint64_t tokens[FEW_BUFFERS + 1]; /* the last is that receive's */
};

static int setup_few_buffers(void **state) {
    const struct io_backend_config config = {
        .queue_entries = 64, .receive_buffers = FEW_BUFFERS, .receive_size = 512};
    *state = fixture_create(&config);
    return 0;
}

static void start_want(struct fixture *fixture, struct want *want, int pollable) {
    for (int i = 0; i <= FEW_BUFFERS; i++) {
        want->peers[i] = peer_pair(fixture, &want->descriptors[i]);
        peer_feed(&want->peers[i], "x", 1);
        want->tokens[i] = start_receive(fixture, want->descriptors[i]);
        if (i < FEW_BUFFERS) assert_int_equal(await(fixture, want->tokens[i]), 1);
    }
    assert_stays_started(fixture, want->tokens[FEW_BUFFERS]);
    settle(fixture, pollable);
    assert_false(polls_readable(pollable, 0));
}

static void end_want(struct fixture *fixture, struct want *want) {
    char byte;
    for (int i = 0; i <= FEW_BUFFERS; i++) {
        if (fixture->outcomes[want->tokens[i]].data != NULL) take_bytes(fixture, want->tokens[i], &byte, 1);
        fixture->io->close(fixture->backend, want->descriptors[i]);
        peer_close(&want->peers[i]);
    }
}

/* U07. Nothing comes from the kernel then that could tell. */
static void the_pollable_descriptor_tells_of_a_buffer_that_a_receive_has_waited_for(void **state) {
    struct fixture *fixture = *state;
    int pollable = fixture->io->pollable(fixture->backend);
    struct want want;
    char byte;
    start_want(fixture, &want, pollable);
    take_bytes(fixture, want.tokens[0], &byte, 1);
    while (!fixture->outcomes[want.tokens[FEW_BUFFERS]].completed) {
        assert_true(polls_readable(pollable, PATIENCE_MS));
        take_completions(fixture, 0, 64);
    }
    assert_int_equal(fixture->outcomes[want.tokens[FEW_BUFFERS]].result, 1);
    end_want(fixture, &want);
}

static void the_pollable_descriptor_tells_of_the_cancel_of_a_receive_without_a_buffer(void **state) {
    struct fixture *fixture = *state;
    int pollable = fixture->io->pollable(fixture->backend);
    struct want want;
    start_want(fixture, &want, pollable);
    fixture->io->cancel(fixture->backend, want.tokens[FEW_BUFFERS]);
    while (!fixture->outcomes[want.tokens[FEW_BUFFERS]].completed) {
        assert_true(polls_readable(pollable, PATIENCE_MS));
        take_completions(fixture, 0, 64);
    }
    assert_int_equal(fixture->outcomes[want.tokens[FEW_BUFFERS]].result, -ECANCELED);
    end_want(fixture, &want);
}

/* ---- Threads ---- */

static void *use_backend(void *argument) {
    struct fixture *fixture = argument;
    struct peer peer = peer_connect(fixture);
    int descriptor = accept_peer(fixture);
    char text[2];
    peer_feed(&peer, "hi", 2);
    receive_exactly(fixture, descriptor, text, 2);
    fixture->io->close(fixture->backend, descriptor);
    peer_close(&peer);
    return NULL;
}

/* Reactors are created, and destroyed, by another thread than the one they run on. */
static void a_backend_may_run_on_another_thread_than_its_creators(void **state) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, use_backend, *state), 0);
    pthread_join(thread, NULL);
}

#define CASE(name)                cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define CASE_OF_FEW_BUFFERS(name) cmocka_unit_test_setup_teardown(name, setup_few_buffers, fixture_teardown)

int run_wait_cases(void) {
    const struct CMUnitTest wait_cases[] = {
        CASE(a_wait_for_nothing_lasts_as_long_as_its_timeout),
        CASE(what_is_ready_ends_a_wait_without_a_timeout),
        CASE(a_small_capacity_only_delays_completions),
        CASE(a_wake_before_the_wait_is_not_lost),
        CASE(a_backend_may_run_on_another_thread_than_its_creators),
    };
    const struct CMUnitTest kernel_cases[] = {
        CASE(every_wake_of_another_thread_ends_a_wait),
        CASE(a_storm_of_wakes_neither_blocks_nor_hides_a_completion),
        CASE(the_pollable_descriptor_tells_of_received_bytes),
        CASE(the_pollable_descriptor_tells_of_a_wake),
        CASE(the_pollable_descriptor_tells_of_what_a_small_capacity_left),
        CASE(the_pollable_descriptor_tells_of_a_cancel),
        CASE_OF_FEW_BUFFERS(the_pollable_descriptor_tells_of_a_buffer_that_a_receive_has_waited_for),
        CASE_OF_FEW_BUFFERS(the_pollable_descriptor_tells_of_the_cancel_of_a_receive_without_a_buffer),
    };
    int failures = cmocka_run_group_tests(wait_cases, NULL, NULL);
    bool has_kernel = fixture_backend_name[0] != 's'; /* the simulated one neither blocks nor can be polled */
    return failures + (has_kernel ? cmocka_run_group_tests(kernel_cases, NULL, NULL) : 0);
}
