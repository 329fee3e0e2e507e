/* Addresses, listening sockets, and what is known of a connection's progress. Real sockets, all on this machine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/socket.h"

static void test_addresses_that_are_taken(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int family;
        unsigned port;
    } cases[] = {{"127.0.0.1:8080", AF_INET, 8080}, {"0.0.0.0:0", AF_INET, 0}, {"localhost:65535", AF_INET, 65535},
                 {"[::1]:80", AF_INET6, 80},        {"[::]:0", AF_INET6, 0},   {"[::ffff:127.0.0.1]:1", AF_INET6, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct address address;
        weir_io_error error = {0, ""};
        assert_true(address_parse(cases[i].text, false, &address, &error));
        assert_int_equal(address.storage.ss_family, cases[i].family);
        uint16_t port = cases[i].family == AF_INET ? ((struct sockaddr_in *)&address.storage)->sin_port
                                                   : ((struct sockaddr_in6 *)&address.storage)->sin6_port;
        assert_int_equal(ntohs(port), cases[i].port);
    }
}

static void test_addresses_that_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        ":",
                                        ":8080",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:x",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:-1",
                                        "127.0.0.1:+1",
                                        "127.0.0.1: 80",
                                        "127.0.0.1:80 ",
                                        "127.0.0.1:99999999999999999999",
                                        "127.0.0:80",
                                        "1.2.3.4.5:80",
                                        "256.1.1.1:80",
                                        "example.com:80",
                                        "::1:80",
                                        "[::1]",
                                        "[::1]80",
                                        "[::1:80",
                                        "[]:80",
                                        "[127.0.0.1]:80",
                                        "[::1]:",
                                        "[::1]]:80",
                                        "[:80",
                                        "]:80",
                                        "unix:/tmp/x",
                                        "127.0.0.1:80:80"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct address address;
        weir_io_error error = {0, ""};
        if (address_parse(texts[i], false, &address, &error)) fail_msg("'%s' was taken", texts[i]);
        assert_true(strlen(error.text) > 0);
    }
    char text[400];
    memset(text, '1', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct address address;
    assert_false(address_parse(text, true, &address, NULL));
    memcpy(text + 300, ":80", 4);
    assert_false(address_parse(text, true, &address, NULL));
}

static void test_unix_paths_have_a_limit(void **state) {
    (void)state;
    char text[200] = "unix:";
    struct address address;
    assert_false(address_parse(text, true, &address, NULL));
    memset(text + 5, 'p', 107);
    assert_true(address_parse(text, true, &address, NULL));
    assert_int_equal(address.storage.ss_family, AF_UNIX);
    text[5 + 107] = 'p';
    assert_false(address_parse(text, true, &address, NULL));
}

static int listen_at(const char *text, bool share, char bound[ADDRESS_TEXT_MAX], weir_io_error *error) {
    struct address address;
    assert_true(address_parse(text, true, &address, error));
    int descriptor = socket_listen(&address, share, error);
    if (descriptor >= 0) address_format(descriptor, bound);
    return descriptor;
}

/* The address that is told can be parsed and listened on. */
static void test_a_bound_address_reads_back(void **state) {
    (void)state;
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0"};
    for (int i = 0; i < 2; i++) {
        char bound[ADDRESS_TEXT_MAX];
        weir_io_error error = {0, ""};
        int descriptor = listen_at(texts[i], false, bound, &error);
        if (descriptor < 0 && i == 1) continue; /* no IPv6 on this machine */
        assert_true(descriptor >= 0);
        assert_int_equal(strncmp(bound, texts[i], strlen(texts[i]) - 1), 0);
        assert_true(fcntl(descriptor, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
        close(descriptor);
        descriptor = listen_at(bound, false, bound, &error);
        assert_true(descriptor >= 0);
        close(descriptor);
    }
}

/* L08 */
static void test_a_taken_port_is_an_error_with_its_reason(void **state) {
    (void)state;
    char bound[ADDRESS_TEXT_MAX];
    weir_io_error error = {0, ""};
    int first = listen_at("127.0.0.1:0", false, bound, &error);
    assert_true(first >= 0);
    assert_int_equal(listen_at(bound, false, bound, &error), -1);
    assert_int_equal(error.os_error, EADDRINUSE);
    assert_non_null(strstr(error.text, strerror(EADDRINUSE)));
    close(first);
}

static void test_a_port_can_be_shared_by_those_who_want_to(void **state) {
    (void)state;
    char bound[ADDRESS_TEXT_MAX];
    weir_io_error error = {0, ""};
    int first = listen_at("127.0.0.1:0", true, bound, &error);
    int second = listen_at(bound, true, bound, &error);
    assert_true(first >= 0 && second >= 0);
    assert_int_equal(listen_at(bound, false, bound, &error), -1);
    close(first);
    close(second);
}

/* ---- Unix sockets ---------------------------------------------------------------------------------------------- */

static void temporary_path(char text[64]) {
    char directory[] = "/tmp/weir-socket-XXXXXX";
    assert_non_null(mkdtemp(directory));
    snprintf(text, 64, "unix:%s/s", directory);
}

static void remove_path(const char *text) {
    char path[64];
    snprintf(path, sizeof(path), "%s", text + 5);
    unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_a_socket_file_that_nobody_listens_on_is_replaced(void **state) {
    (void)state;
    char text[64], bound[ADDRESS_TEXT_MAX];
    weir_io_error error = {0, ""};
    temporary_path(text);
    int first = listen_at(text, false, bound, &error);
    assert_true(first >= 0);
    assert_string_equal(bound, text);
    assert_int_equal(listen_at(text, false, bound, &error), -1); /* somebody does */
    assert_int_equal(error.os_error, EADDRINUSE);
    close(first);
    int second = listen_at(text, false, bound, &error);
    assert_true(second >= 0);
    close(second);
    remove_path(text);
}

static void test_a_file_that_is_no_socket_stays(void **state) {
    (void)state;
    char text[64], bound[ADDRESS_TEXT_MAX];
    weir_io_error error = {0, ""};
    temporary_path(text);
    int file = open(text + 5, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, "mine", 4), 4);
    close(file);
    assert_int_equal(listen_at(text, false, bound, &error), -1);
    struct stat status;
    assert_int_equal(stat(text + 5, &status), 0);
    assert_int_equal(status.st_size, 4);
    remove_path(text);
}

/* ---- Connections ------------------------------------------------------------------------------------------------ */

struct pair {
    int near, far;
};

static struct pair connect_pair(void) {
    char bound[ADDRESS_TEXT_MAX];
    weir_io_error error = {0, ""};
    struct address address;
    int listener = listen_at("127.0.0.1:0", false, bound, &error);
    assert_true(listener >= 0 && address_parse(bound, false, &address, &error));
    struct pair pair;
    pair.far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int small = 4096;
    setsockopt(pair.far, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(connect(pair.far, (struct sockaddr *)&address.storage, address.length), 0);
    struct pollfd wait = {listener, POLLIN, 0};
    assert_int_equal(poll(&wait, 1, 10000), 1);
    pair.near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(pair.near >= 0);
    close(listener);
    return pair;
}

/* N05: a peer that is gone without a word ends the connection when what it was sent stays unacknowledged. */
static void test_an_accepted_connection_is_tuned(void **state) {
    (void)state;
    struct pair pair = connect_pair();
    socket_tune(pair.near, 12345);
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(pair.near, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(pair.near, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &length), 0);
    assert_int_equal(value, 12345);
    close(pair.near);
    close(pair.far);
}

static void fill(int descriptor) {
    char bytes[16384];
    memset(bytes, 'x', sizeof(bytes));
    struct pollfd wait = {descriptor, POLLOUT, 0};
    while (poll(&wait, 1, 200) == 1)
        if (send(descriptor, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) break;
}

static void drink(int descriptor, size_t count) {
    char bytes[16384];
    while (count > 0) {
        ssize_t got = recv(descriptor, bytes, count < sizeof(bytes) ? count : sizeof(bytes), 0);
        assert_true(got > 0);
        count -= (size_t)got;
    }
}

/* Progress stands still while the peer takes nothing, and moves when it takes something. */
static void check_progress(struct pair pair) {
    fill(pair.near);
    uint64_t before = socket_progress(pair.near);
    drink(pair.far, 20000);
    uint64_t after = before;
    for (int i = 0; i < 1000 && after == before; i++) {
        poll(NULL, 0, 10); /* until the acknowledgement is back */
        after = socket_progress(pair.near);
    }
    assert_int_not_equal(before, after);
    close(pair.near);
    close(pair.far);
}

static void test_progress_of_a_tcp_connection_is_seen(void **state) {
    (void)state;
    check_progress(connect_pair());
}

static void test_progress_of_a_unix_connection_is_seen(void **state) {
    (void)state;
    int both[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
    socket_tune(both[0], 1000); /* moot, and harmless */
    struct pair pair = {both[0], both[1]};
    check_progress(pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_that_are_taken),
        cmocka_unit_test(test_addresses_that_are_refused),
        cmocka_unit_test(test_unix_paths_have_a_limit),
        cmocka_unit_test(test_a_bound_address_reads_back),
        cmocka_unit_test(test_a_taken_port_is_an_error_with_its_reason),
        cmocka_unit_test(test_a_port_can_be_shared_by_those_who_want_to),
        cmocka_unit_test(test_a_socket_file_that_nobody_listens_on_is_replaced),
        cmocka_unit_test(test_a_file_that_is_no_socket_stays),
        cmocka_unit_test(test_an_accepted_connection_is_tuned),
        cmocka_unit_test(test_progress_of_a_tcp_connection_is_seen),
        cmocka_unit_test(test_progress_of_a_unix_connection_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
