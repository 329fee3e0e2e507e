/* Shows that the pieces in which a request comes leave no trace: each case of the table, cut in two at each offset,
 * gets to the byte the answers that it gets whole; and that a request that stops half-way, at each offset, is waited
 * for and then refused with 408, without having done anything; and that a request which a drain of the server meets
 * half-way is answered, and told that its connection ends.
 *
 * On the simulated backend, whose time is the test's. Requests of more than 3,000 bytes are cut at each offset of both
 * ends and at 60 between them; with a WEIR_TEST_SCALE above 1, at each one. */
#include <stdio.h>
#include <stdlib.h>

#include "arguments.h"
#include "delivery.h"
#include "support/scale.h"

struct counts {
    size_t splits;
    size_t truncations;
    size_t drains;
    size_t failed;
};

static size_t next_offset(size_t at, size_t length) {
    return test_scale() > 1 ? at + 1 : next_cut(at, length);
}

/* False at the first difference: those behind it would be the same one. */
static bool split_case(struct link *link, const struct conformance_case *one, struct counts *counts) {
    struct case_text whole = {0};
    struct case_text split = {0};
    bool good = deliver(link, one, (struct way){CUT_NOWHERE, 0}, &whole);
    size_t length = one->request.length;
    for (size_t at = 1; at < length && good; at = next_offset(at, length)) {
        good = deliver(link, one, (struct way){CUT_AT, at}, &split);
        if (good && (whole.length != split.length || memcmp(whole.data, split.data, whole.length) != 0)) {
            fprintf(stderr, "%.*s: cut at %zu it gets other answers\n", (int)one->name.length, one->name.data, at);
            case_text_print(stderr, whole.data, whole.length);
            case_text_print(stderr, split.data, split.length);
            good = false;
        }
        counts->splits++;
    }
    free(whole.data);
    free(split.data);
    return good;
}

/* One request, whose last byte completes it, and which is answered only then. */
static bool is_one_request(const struct conformance_case *one) {
    unsigned last = one->answer_count - 1;
    bool single = one->answer_count > 0 && one->answers[last].times == 1 && one->answers[last].status < 400 &&
                  (last == 0 || (last == 1 && one->answers[0].status == 100));
    return single && one->ending == ENDING_KEPT && one->request.data[0] > ' ' && one->request.length <= LONG_REQUEST;
}

static bool truncate_case(struct link *link, const struct conformance_case *one, struct counts *counts) {
    bool good = true;
    if (!is_one_request(one)) return true;
    for (size_t length = 0; length < one->request.length && good; length++) {
        good = deliver_truncated(link, one, length);
        counts->truncations++;
    }
    return good;
}

/* A server that was drained serves no other case. Those of the strict server are about streams, which a drain refuses
 * before it looks for their sessions. */
static bool drain_case(const struct conformance_case *one, struct counts *counts) {
    bool single = one->ending == ENDING_KEPT && one->answer_count == 1 && one->answers[0].times == 1;
    if (!single || one->server == SERVER_STRICT || one->request.data[0] <= ' ') return true;
    if (one->request.length > LONG_REQUEST) return true;
    struct link *link = simulated_link_open(one->server);
    bool good = deliver_draining(link, one);
    simulated_link_close(link);
    counts->drains++;
    return good;
}

int main(int count, char **arguments) {
    struct case_list list;
    struct counts counts = {0};
    int rest;
    read_arguments(count, arguments, &list, &rest);
    for (size_t i = 0; i < list.count; i++) {
        struct link *link = simulated_link_open(list.cases[i].server);
        counts.failed += !split_case(link, &list.cases[i], &counts) || !truncate_case(link, &list.cases[i], &counts);
        simulated_link_close(link);
        counts.failed += !drain_case(&list.cases[i], &counts);
    }
    printf("conformance: %zu cases, %zu deliveries (every split), %zu requests cut short, %zu met by a drain\n",
           list.count, counts.splits + list.count, counts.truncations, counts.drains);
    case_list_free(&list);
    return counts.failed > 0;
}
