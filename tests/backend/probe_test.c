/* U01, U02: the probe's verdicts. The program runs itself under strace, which refuses single system calls; without a
 * usable strace those cases are skipped, visibly. */
#include "backend/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *own_path;

/* Runs a command and keeps what it prints on standard output. Returns its exit status. */
static int run(char *const arguments[], char *output, size_t size) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* the leak check needs ptrace for itself */
        execvp(arguments[0], arguments);
        _exit(127);
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
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* What the probe says in a process whose system calls are refused as `injection` tells; "" when strace cannot. */
static void probe_under(const char *injection, const char *choice, char *verdict, size_t size) {
    char inject[128];
    snprintf(inject, sizeof inject, "inject=%s", injection);
    char *const arguments[] = {"strace",       "-f",   "-o",
                               "/dev/null",    "-e",   "trace=io_uring_setup,io_uring_register,io_uring_enter",
                               "-e",           inject, (char *)own_path,
                               (char *)choice, NULL};
    char *const harmless[] = {"strace", "-o", "/dev/null", "true", NULL};
    verdict[0] = '\0';
    if (run(harmless, verdict, size) != 0) {
        printf("SKIPPED: strace cannot run here\n");
        skip();
    }
    assert_int_equal(run(arguments, verdict, size), 0);
}

static void expect_verdict(const char *injection, const char *choice, const char *expected) {
    char verdict[256];
    probe_under(injection, choice, verdict, sizeof verdict);
    assert_string_equal(verdict, expected);
}

static void a_refused_io_uring_falls_back_to_epoll_and_says_why(void **state) {
    (void)state;
    expect_verdict("io_uring_setup:error=EPERM", "auto",
                   "epoll usable epoll: io_uring_setup: Operation not permitted\n");
    expect_verdict("io_uring_setup:error=ENOSYS", "auto",
                   "epoll usable epoll: io_uring_setup: Function not implemented\n");
    expect_verdict("io_uring_setup:error=ENOMEM", "auto",
                   "epoll usable epoll: io_uring_setup: Cannot allocate memory\n");
}

static void a_refused_io_uring_that_was_demanded_is_not_usable(void **state) {
    (void)state;
    expect_verdict("io_uring_setup:error=EPERM", "uring",
                   "uring unusable io_uring: io_uring_setup: Operation not permitted\n");
}

/* A seccomp profile may let the set-up pass and refuse the rest. */
static void a_call_that_is_refused_later_falls_back_too(void **state) {
    (void)state;
    expect_verdict("io_uring_register:error=EPERM", "auto",
                   "epoll usable epoll: io_uring_register of a buffer ring: Operation not permitted\n");
    expect_verdict("io_uring_enter:error=EPERM", "auto",
                   "epoll usable epoll: io_uring_enter: Operation not permitted\n");
}

static void an_interrupted_call_is_no_reason_to_fall_back(void **state) {
    (void)state;
    char plain[256];
    char interrupted[256];
    probe_under("io_uring_enter:error=EINTR:when=60000", "auto", plain, sizeof plain);
    probe_under("io_uring_enter:error=EINTR:when=1..2", "auto", interrupted, sizeof interrupted);
    assert_string_equal(interrupted, plain);
}

static void epoll_is_used_when_it_is_asked_for(void **state) {
    (void)state;
    struct io_probe probe;
    io_probe(IO_EPOLL, &probe);
    assert_int_equal(probe.backend, IO_EPOLL);
    assert_true(probe.usable);
    assert_string_equal(probe.reason, "epoll: as asked for");
}

static void automatic_choice_is_always_usable_and_agrees_with_the_demand(void **state) {
    (void)state;
    struct io_probe automatic;
    struct io_probe demanded;
    io_probe(IO_AUTO, &automatic);
    io_probe(IO_URING, &demanded);
    assert_true(automatic.usable);
    assert_int_equal(demanded.backend, IO_URING);
    if (automatic.backend == IO_URING) assert_true(demanded.usable);
    assert_true(strncmp(automatic.reason, automatic.backend == IO_URING ? "io_uring: " : "epoll: ", 7) == 0);
}

static int print_verdict(const char *choice) {
    struct io_probe probe;
    io_probe(strcmp(choice, "uring") == 0 ? IO_URING : IO_AUTO, &probe);
    printf("%s %s %s\n", probe.backend == IO_URING ? "uring" : "epoll", probe.usable ? "usable" : "unusable",
           probe.reason);
    return 0;
}

int main(int argument_count, char **arguments) {
    if (argument_count > 1) return print_verdict(arguments[1]);
    own_path = "/proc/self/exe";
    char path[4096];
    ssize_t length = readlink(own_path, path, sizeof path - 1);
    if (length > 0) {
        path[length] = '\0';
        own_path = path;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_io_uring_falls_back_to_epoll_and_says_why),
        cmocka_unit_test(a_refused_io_uring_that_was_demanded_is_not_usable),
        cmocka_unit_test(a_call_that_is_refused_later_falls_back_too),
        cmocka_unit_test(an_interrupted_call_is_no_reason_to_fall_back),
        cmocka_unit_test(epoll_is_used_when_it_is_asked_for),
        cmocka_unit_test(automatic_choice_is_always_usable_and_agrees_with_the_demand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
