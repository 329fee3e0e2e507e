/* Shows that the server answers each request of the table as the table says: to the byte the same whether the request
 * comes in one piece or byte by byte, over real sockets, on each backend; that a refused request does nothing, not even
 * in part; that what becomes of the connection is what the answer says; and that the next client is served.
 *
 * --list prints the cases, --case NAME runs one. */
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "delivery.h"

static bool run_case(struct link *link, const struct conformance_case *one) {
    struct case_text whole = {0};
    struct case_text bytewise = {0};
    bool good = deliver(link, one, (struct way){CUT_NOWHERE, 0}, &whole) &&
                deliver(link, one, (struct way){CUT_EVERYWHERE, 0}, &bytewise) && deliver_probe(link, one->server);
    if (good && (whole.length != bytewise.length || memcmp(whole.data, bytewise.data, whole.length) != 0)) {
        fprintf(stderr, "%.*s: the answers to single bytes are others\n", (int)one->name.length, one->name.data);
        case_text_print(stderr, whole.data, whole.length);
        case_text_print(stderr, bytewise.data, bytewise.length);
        good = false;
    }
    free(whole.data);
    free(bytewise.data);
    return good;
}

/* The number of cases that failed, or -1 where the backend cannot run. */
static long run_backend(const struct case_list *list, weir_io_choice io) {
    struct link *link;
    long failed = 0;
    if (!real_link_open(&link, io)) return -1;
    for (size_t i = 0; i < list->count; i++)
        failed += !run_case(link, &list->cases[i]);
    real_link_close(link);
    return failed;
}

int main(int count, char **arguments) {
    struct case_list list;
    int rest;
    read_arguments(count, arguments, &list, &rest);
    long uring = run_backend(&list, WEIR_IO_URING);
    long epoll = run_backend(&list, WEIR_IO_EPOLL);
    size_t backends = (size_t)(uring >= 0) + (size_t)(epoll >= 0);
    size_t cases = list.count;
    case_list_free(&list);
    printf("conformance: %zu cases, %zu deliveries (whole and bytewise, on %s)\n", cases, cases * 2 * backends,
           backends == 2 ? "io_uring and epoll"
           : uring >= 0  ? "io_uring"
                         : "epoll");
    return uring > 0 || epoll > 0 ? 1 : uring < 0 ? EXIT_SKIPPED : 0;
}
