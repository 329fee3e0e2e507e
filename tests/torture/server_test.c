/* The server, while every fallible call under it fails in its turn: memory, descriptors, sockets, epoll, io_uring's own
 * calls, threads (M01, M02, M03, U01, U12, R01, R02, R04, L05). A request that meets a failure is answered with 503 or
 * 507 or its connection is cut; the next one works; streams lose nothing; whoever leaves, leaves nothing behind, while
 * the server runs as well as at its end. Where the backend breaks, the server says so and stops. */
#include "server_scenarios.h"

#include <stdio.h>

#include "backend/probe.h"

static void test_requests_on_epoll(void **state) {
    (void)state;
    torture_scenario(&server_requests_epoll);
}

static void test_streams_on_epoll(void **state) {
    (void)state;
    torture_scenario(&server_streams_epoll);
}

static void test_requests_on_uring(void **state) {
    (void)state;
    torture_scenario(&server_requests_uring);
}

static void test_streams_on_uring(void **state) {
    (void)state;
    torture_scenario(&server_streams_uring);
}

static void test_a_server_that_may_choose(void **state) {
    (void)state;
    torture_scenario(&server_of_choice);
}

static void test_threads_on_epoll(void **state) {
    (void)state;
    torture_scenario(&server_threads_epoll);
}

static void test_threads_on_uring(void **state) {
    (void)state;
    torture_scenario(&server_threads_uring);
}

#define TEST(name) cmocka_unit_test_teardown(name, torture_explain)

int main(void) {
    const struct CMUnitTest epoll_tests[] = {
        TEST(test_requests_on_epoll),
        TEST(test_streams_on_epoll),
        TEST(test_threads_on_epoll),
    };
    const struct CMUnitTest uring_tests[] = {
        TEST(test_requests_on_uring),
        TEST(test_streams_on_uring),
        TEST(test_threads_on_uring),
        TEST(test_a_server_that_may_choose),
    };
    struct io_probe probe;
    io_probe(IO_URING, &probe);
    int failed = cmocka_run_group_tests(epoll_tests, NULL, NULL);
    if (probe.usable)
        failed += cmocka_run_group_tests(uring_tests, NULL, NULL);
    else
        printf("SKIPPED: %s\n", probe.reason);
    torture_print();
    return failed != 0 ? 1 : probe.usable ? 0 : 77;
}
