/* The simulated backend itself: it reports each breach of the contract, its faults happen, one seed is one run. */
#include "support/simulated_backend.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_one(struct io_backend *backend, struct io_completion *completion) {
    for (int i = 0; i < 1000; i++) {
        if (backend->operations->wait(backend, 1000000, completion, 1) == 1) return 1;
    }
    return 0;
}

/* ---- Breaches ---- */

struct breach {
    const char *name;
    const char *expected; /* in what is printed */
    void (*commit)(struct io_backend *backend, int descriptor, struct simulated_peer *peer);
};

static char memory[16] = "unchanged";

static void receive_twice(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->receive(backend, descriptor, 1);
    backend->operations->receive(backend, descriptor, 2);
}

static void send_twice(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    simulated_set_window(peer, 0);
    backend->operations->send(backend, descriptor, memory, 4, 1);
    backend->operations->send(backend, descriptor, memory, 4, 2);
}

static void use_a_token_twice(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->receive(backend, descriptor, 1);
    backend->operations->send(backend, descriptor, memory, 4, 1);
}

static void use_the_reserved_token(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->receive(backend, descriptor, IO_TOKEN_NONE);
}

static void close_too_early(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->receive(backend, descriptor, 1);
    backend->operations->close(backend, descriptor);
}

static void close_twice(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->close(backend, descriptor);
    backend->operations->close(backend, descriptor);
}

static void use_a_closed_descriptor(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->close(backend, descriptor);
    backend->operations->receive(backend, descriptor, 1);
}

static void change_bytes_in_flight(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    struct io_completion completion;
    (void)peer;
    backend->operations->send(backend, descriptor, memory, 4, 1);
    memory[2] = 'X';
    wait_one(backend, &completion);
}

static void release_twice(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    struct io_completion completion;
    simulated_feed(peer, "x", 1);
    backend->operations->receive(backend, descriptor, 1);
    wait_one(backend, &completion);
    backend->operations->release(backend, completion.data);
    backend->operations->release(backend, completion.data);
}

static void accept_on_a_connection(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)peer;
    backend->operations->accept(backend, descriptor, 1);
}

static void destroy_with_an_open_descriptor(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    (void)descriptor;
    (void)peer;
    backend->operations->destroy(backend);
}

static void destroy_with_a_lent_buffer(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    struct io_completion completion;
    simulated_feed(peer, "x", 1);
    backend->operations->receive(backend, descriptor, 1);
    wait_one(backend, &completion);
    backend->operations->close(backend, descriptor);
    backend->operations->destroy(backend);
}

struct foreign {
    struct io_backend *backend;
    int descriptor;
};

static void *receive_from_elsewhere(void *argument) {
    struct foreign *foreign = argument;
    foreign->backend->operations->receive(foreign->backend, foreign->descriptor, 1);
    return NULL;
}

static void call_from_another_thread(struct io_backend *backend, int descriptor, struct simulated_peer *peer) {
    struct io_completion completion;
    struct foreign foreign = {backend, descriptor};
    pthread_t thread;
    (void)peer;
    backend->operations->wait(backend, 0, &completion, 1);
    if (pthread_create(&thread, NULL, receive_from_elsewhere, &foreign) == 0) pthread_join(thread, NULL);
}

static const struct breach breaches[] = {
    {"a second receive", "second receive", receive_twice},
    {"a second send", "second send", send_twice},
    {"a token in use", "used twice", use_a_token_twice},
    {"the reserved token", "reserved token", use_the_reserved_token},
    {"close under an operation", "closed while a receive is started", close_too_early},
    {"a second close", "not open", close_twice},
    {"use after close", "not open", use_a_closed_descriptor},
    {"bytes changed in flight", "changed while it was started", change_bytes_in_flight},
    {"a second release", "not lent", release_twice},
    {"accept on a connection", "wrong kind", accept_on_a_connection},
    {"destroy before close", "descriptors open", destroy_with_an_open_descriptor},
    {"destroy before release", "buffers lent", destroy_with_a_lent_buffer},
    {"a foreign thread", "not the owner", call_from_another_thread},
};

/* In a child, since it aborts. Returns what it printed. */
static void commit_in_child(const struct breach *breach, char *output, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        struct io_backend *backend = simulated_create(NULL);
        int descriptor;
        struct simulated_peer *peer = simulated_pair(backend, &descriptor);
        breach->commit(backend, descriptor, peer);
        _exit(0);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t count;
    while (length < size - 1 && (count = read(ends[0], output + length, size - 1 - length)) > 0) {
        length += (size_t)count;
    }
    output[length] = '\0';
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) != 0));
}

static void every_breach_of_the_contract_is_reported(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        char output[512];
        commit_in_child(&breaches[i], output, sizeof output);
        if (strstr(output, breaches[i].expected) == NULL) {
            print_error("%s: printed \"%s\"\n", breaches[i].name, output);
            fail();
        }
    }
}

/* ---- Faults ---- */

static struct io_backend *create(const struct simulated_faults *faults, int *descriptor,
                                 struct simulated_peer **peer) {
    struct io_backend *backend = simulated_create(faults);
    *peer = simulated_pair(backend, descriptor);
    return backend;
}

static void end(struct io_backend *backend, int descriptor) {
    backend->operations->close(backend, descriptor);
    backend->operations->destroy(backend);
}

static void a_short_send_says_how_much_arrived(void **state) {
    (void)state;
    const struct simulated_faults faults = {.seed = 3, .short_send = 100};
    int descriptor;
    struct simulated_peer *peer;
    struct io_backend *backend = create(&faults, &descriptor, &peer);
    const char text[] = "0123456789";
    size_t done = 0;
    unsigned sends = 0;
    while (done < sizeof text) {
        struct io_completion completion;
        backend->operations->send(backend, descriptor, text + done, sizeof text - done, sends++);
        assert_int_equal(wait_one(backend, &completion), 1);
        assert_in_range(completion.result, 1, sizeof text - done);
        done += (size_t)completion.result;
    }
    assert_true(sends > 1);
    size_t length;
    assert_memory_equal(simulated_sent(peer, &length), text, sizeof text);
    assert_int_equal(length, sizeof text);
    end(backend, descriptor);
}

static void a_stalled_peer_takes_no_more_than_its_window(void **state) {
    (void)state;
    int descriptor;
    struct simulated_peer *peer;
    struct io_completion completion;
    struct io_backend *backend = create(NULL, &descriptor, &peer);
    simulated_set_window(peer, 4);
    backend->operations->send(backend, descriptor, "0123456789", 10, 1);
    assert_int_equal(wait_one(backend, &completion), 0);
    size_t length;
    simulated_sent(peer, &length);
    assert_int_equal(length, 4);
    assert_int_equal(simulated_read(peer, NULL, 3), 3);
    assert_int_equal(wait_one(backend, &completion), 0);
    simulated_sent(peer, &length);
    assert_int_equal(length, 7);
    simulated_set_window(peer, SIZE_MAX);
    assert_int_equal(wait_one(backend, &completion), 1);
    assert_int_equal(completion.result, 10);
    end(backend, descriptor);
}

static void a_reset_in_the_middle_of_a_send_ends_both_directions(void **state) {
    (void)state;
    const struct simulated_faults faults = {.seed = 5, .reset = 100};
    int descriptor;
    struct simulated_peer *peer;
    struct io_completion completion;
    struct io_backend *backend = create(&faults, &descriptor, &peer);
    backend->operations->send(backend, descriptor, "0123456789", 10, 1);
    assert_int_equal(wait_one(backend, &completion), 1);
    assert_in_range(completion.result, 1, 9);
    backend->operations->send(backend, descriptor, "0", 1, 2);
    assert_int_equal(wait_one(backend, &completion), 1);
    assert_int_equal(completion.result, -ECONNRESET);
    backend->operations->receive(backend, descriptor, 3);
    assert_int_equal(wait_one(backend, &completion), 1);
    assert_int_equal(completion.result, -ECONNRESET);
    assert_true(simulated_saw_reset(peer));
    end(backend, descriptor);
}

/* U18: with bytes there the two race, without any the cancel must come through in the end. */
static void a_cancel_meets_its_operation_in_each_order(void **state) {
    (void)state;
    const struct {
        enum simulated_cancel order;
        int expected;
        bool waits;
    } orders[] = {{SIMULATED_CANCEL_WINS, -ECANCELED, false},
                  {SIMULATED_OPERATION_WINS, 1, false},
                  {SIMULATED_CANCEL_LATE, 1, true}};
    for (size_t i = 0; i < 3; i++) {
        const struct simulated_faults faults = {.cancel = orders[i].order};
        int descriptor;
        struct simulated_peer *peer;
        struct io_completion completion;
        struct io_backend *backend = create(&faults, &descriptor, &peer);
        backend->operations->receive(backend, descriptor, 1);
        backend->operations->cancel(backend, 1);
        uint64_t start_ns = simulated_now_ns(backend);
        assert_int_equal(wait_one(backend, &completion), 1);
        assert_int_equal(completion.result, -ECANCELED);
        assert_int_equal(simulated_now_ns(backend) - start_ns > 1000, orders[i].waits);
        simulated_feed(peer, "x", 1);
        backend->operations->receive(backend, descriptor, 2);
        backend->operations->cancel(backend, 2);
        assert_int_equal(wait_one(backend, &completion), 1);
        assert_int_equal(completion.result, orders[i].expected);
        if (completion.data != NULL) backend->operations->release(backend, completion.data);
        end(backend, descriptor);
    }
}

static void the_clock_moves_to_what_is_due_and_no_further(void **state) {
    (void)state;
    const struct simulated_faults faults = {.seed = 9, .late_completion = 100, .max_delay_ns = 5000000};
    int descriptor;
    struct simulated_peer *peer;
    struct io_completion completion;
    struct io_backend *backend = create(&faults, &descriptor, &peer);
    assert_int_equal(backend->operations->wait(backend, 250000000, &completion, 1), 0);
    assert_int_equal(simulated_now_ns(backend), 250000000);
    backend->operations->send(backend, descriptor, "x", 1, 1);
    assert_int_equal(backend->operations->wait(backend, IO_WAIT_FOREVER, &completion, 1), 1);
    assert_in_range(simulated_now_ns(backend), 250000001, 255002000);
    simulated_advance(backend, 7);
    uint64_t now_ns = simulated_now_ns(backend);
    backend->operations->wake(backend);
    assert_int_equal(backend->operations->wait(backend, 1000000, &completion, 1), 0);
    assert_true(simulated_now_ns(backend) - now_ns < 1000000);
    end(backend, descriptor);
}

static void closing_over_unreceived_bytes_resets_the_peer(void **state) {
    (void)state;
    int descriptor;
    struct simulated_peer *peer;
    struct io_backend *backend = create(NULL, &descriptor, &peer);
    simulated_feed(peer, "unread", 6);
    backend->operations->close(backend, descriptor);
    assert_true(simulated_saw_reset(peer));
    assert_true(simulated_saw_finish(peer));
    assert_true(simulated_was_closed(peer));
    struct simulated_peer *polite = simulated_pair(backend, &descriptor);
    backend->operations->shutdown(backend, descriptor, SHUT_WR);
    assert_true(simulated_saw_finish(polite));
    assert_false(simulated_was_closed(polite));
    backend->operations->close(backend, descriptor);
    assert_false(simulated_saw_reset(polite));
    backend->operations->destroy(backend);
}

/* A trace of one run with every fault: order, results and times. */
static uint64_t trace_run(uint64_t seed) {
    const struct simulated_faults faults = {.seed = seed,
                                            .short_send = 30,
                                            .split_receive = 30,
                                            .late_completion = 50,
                                            .reset = 1,
                                            .accept_error = 20,
                                            .reorder = true,
                                            .cancel = SIMULATED_CANCEL_ANY_ORDER};
    struct io_backend *backend = simulated_create(&faults);
    int descriptors[10];
    uint64_t trace = 0;
    for (int i = 0; i < 10; i++) {
        struct simulated_peer *peer = simulated_pair(backend, &descriptors[i]);
        simulated_feed(peer, "some bytes", 10);
        backend->operations->receive(backend, descriptors[i], (uint64_t)i * 2);
        backend->operations->send(backend, descriptors[i], memory, sizeof memory, (uint64_t)i * 2 + 1);
        if (i % 3 == 0) backend->operations->cancel(backend, (uint64_t)i * 2);
    }
    struct io_completion completion;
    while (wait_one(backend, &completion) == 1) {
        trace = (trace ^ completion.token ^ (uint64_t)(uint32_t)completion.result << 32 ^ simulated_now_ns(backend)) *
                UINT64_C(0x100000001B3);
        if (completion.data != NULL) backend->operations->release(backend, completion.data);
    }
    for (int i = 0; i < 10; i++) {
        backend->operations->close(backend, descriptors[i]);
    }
    backend->operations->destroy(backend);
    return trace;
}

static void one_seed_is_one_run_and_another_seed_another(void **state) {
    (void)state;
    assert_int_equal(trace_run(1), trace_run(1));
    assert_int_not_equal(trace_run(1), trace_run(2));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_breach_of_the_contract_is_reported),
        cmocka_unit_test(a_short_send_says_how_much_arrived),
        cmocka_unit_test(a_stalled_peer_takes_no_more_than_its_window),
        cmocka_unit_test(a_reset_in_the_middle_of_a_send_ends_both_directions),
        cmocka_unit_test(a_cancel_meets_its_operation_in_each_order),
        cmocka_unit_test(the_clock_moves_to_what_is_due_and_no_further),
        cmocka_unit_test(closing_over_unreceived_bytes_resets_the_peer),
        cmocka_unit_test(one_seed_is_one_run_and_another_seed_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
