/* In steady state a publish and a read allocate nothing: neither through the injected allocator nor behind its back.
 *
 * The C allocator and jemalloc's own entry points are taken over by this program and counted; under a sanitizer, which
 * has taken them over already, only the injected allocator is.
 *
 *   no_allocation_test --steady N    runs N publishes and reads between two calls of getppid(2), and nothing else: what
 *                                    strace sees between them are the system calls of publishing
 */
#include "fixture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(WEIR_JEMALLOC)
#define INTERPOSED 1
#else
#define INTERPOSED 0
#endif

static atomic_u64 allocator_calls; /* of anybody in this process */

#if INTERPOSED

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
void *mallocx(size_t size, int flags);
void sdallocx(void *memory, size_t size, int flags);

void *malloc(size_t size) {
    u64_add_relaxed(&allocator_calls, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    u64_add_relaxed(&allocator_calls, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    u64_add_relaxed(&allocator_calls, 1);
    return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) {
    u64_add_relaxed(&allocator_calls, 1);
    return __libc_memalign(alignment, size);
}
void free(void *memory) {
    u64_add_relaxed(&allocator_calls, 1);
    __libc_free(memory);
}
void *mallocx(size_t size, int flags) {
    static void *(*next)(size_t, int);
    u64_add_relaxed(&allocator_calls, 1);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "mallocx");
    return next(size, flags);
}
void sdallocx(void *memory, size_t size, int flags) {
    static void (*next)(void *, size_t, int);
    u64_add_relaxed(&allocator_calls, 1);
    if (next == NULL) *(void **)&next = dlsym(RTLD_NEXT, "sdallocx");
    next(memory, size, flags);
}

#endif

#define WARM_UP 20000u
#define STEADY  1000000u

struct line {
    weir_engine *engine;
    weir_producer *producer;
    weir_session *session;
    weir_poller *poller;
    weir_outlet *outlet;
    weir_cursor cursor;
    uint64_t events;
};

static void wake_nobody(void *context) {
    (void)context;
}

static void open_line(struct line *line, const weir_config *config, weir_policy policy) {
    memset(line, 0, sizeof(*line));
    assert_int_equal(weir_engine_create(&line->engine, config), WEIR_OK);
    assert_int_equal(weir_producer_create(line->engine, &line->producer), WEIR_OK);
    assert_int_equal(weir_session_open(line->engine, "s", 1, WEIR_OPEN_OR_CREATE, &line->session, NULL), WEIR_OK);
    weir_poller_config poller_config = {1, wake_nobody, NULL};
    assert_int_equal(weir_poller_create(line->engine, &poller_config, &line->poller), WEIR_OK);
    assert_int_equal(weir_outlet_open(line->poller, line->session, line, &line->outlet), WEIR_OK);
    line->cursor = subscribe(line->session, WEIR_START_OLDEST, policy, 0, WEIR_OK);
}

static void close_line(struct line *line) {
    weir_unsubscribe(line->session, &line->cursor);
    weir_outlet_close(line->outlet);
    weir_poller_destroy(line->poller);
    weir_session_release(line->session);
    weir_producer_destroy(line->producer);
    weir_engine_destroy(line->engine);
}

/* Publishes and reads `count` events of lengths that go round through several size classes; returns how many failed. */
static uint64_t run_line(struct line *line, uint64_t count, const size_t *lengths, uint64_t length_count) {
    static char data[8192];
    static char buffer[8192];
    uint64_t failed = 0;
    weir_event event;
    weir_gap gap;
    void *user;
    for (uint64_t i = 0; i < count; i++) {
        failed += weir_publish(line->producer, line->session, 0, data, lengths[i % length_count], NULL) != WEIR_OK;
        if (i % 7 != 0) continue;
        failed += weir_poller_take(line->poller, &user, 1) != 1;
        while (weir_read(line->session, &line->cursor, buffer, sizeof(buffer), &event, &gap) == WEIR_OK)
            line->events++;
        if (i % 70 == 0 && weir_poller_sleep(line->poller)) weir_poller_awake(line->poller);
    }
    return failed;
}

static const size_t one_length[] = {100};
static const size_t many_lengths[] = {100, 0, 112, 113, 500, 1000, 1500, 100, 4000, 17};

static void check_injected(weir_policy policy, const size_t *lengths, uint64_t length_count) {
    struct counting_allocator memory = {0};
    struct line line;
    weir_config config = WEIR_CONFIG_INIT;
    config.allocator = counting_allocator_of(&memory);
    config.max_sessions = 16;
    open_line(&line, &config, policy);
    assert_int_equal(run_line(&line, WARM_UP, lengths, length_count), 0);
    uint64_t before = u64_load_relaxed(&memory.calls) + u64_load_relaxed(&memory.releases);
    uint64_t anybody = u64_load_relaxed(&allocator_calls);
    assert_int_equal(run_line(&line, STEADY, lengths, length_count), 0);
    assert_int_equal(u64_load_relaxed(&allocator_calls), anybody);
    assert_int_equal(u64_load_relaxed(&memory.calls) + u64_load_relaxed(&memory.releases), before);
    assert_true(line.events > STEADY);
    close_line(&line);
    assert_int_equal(u64_load_relaxed(&memory.outstanding), 0);
}

static void a_million_publishes_and_reads_ask_the_injected_allocator_for_nothing(void **state) {
    (void)state;
    check_injected(WEIR_POLICY_SKIP, one_length, 1);
}

static void neither_do_a_million_of_changing_lengths(void **state) {
    (void)state;
    check_injected(WEIR_POLICY_SKIP, many_lengths, sizeof(many_lengths) / sizeof(many_lengths[0]));
}

static void neither_do_a_million_to_a_subscriber_that_refuses(void **state) {
    (void)state;
    check_injected(WEIR_POLICY_REFUSE, one_length, 1);
}

/* The same with the engine's own memory, where the count is of the process's allocators. */
static void with_the_default_allocator_nobody_in_the_process_is_asked(void **state) {
    (void)state;
    struct line line;
    if (!INTERPOSED) skip();
    uint64_t at_first = u64_load_relaxed(&allocator_calls);
    open_line(&line, NULL, WEIR_POLICY_SKIP);
    assert_int_equal(run_line(&line, WARM_UP, one_length, 1), 0);
    uint64_t before = u64_load_relaxed(&allocator_calls);
    assert_true(before > at_first); /* the count does count */
    assert_int_equal(run_line(&line, STEADY, one_length, 1), 0);
    assert_int_equal(u64_load_relaxed(&allocator_calls), before);
    close_line(&line);
}

static int run_for_strace(uint64_t count) {
    struct line line;
    open_line(&line, NULL, WEIR_POLICY_SKIP);
    uint64_t failed = run_line(&line, WARM_UP, many_lengths, sizeof(many_lengths) / sizeof(many_lengths[0]));
    getppid();
    failed += run_line(&line, count, many_lengths, sizeof(many_lengths) / sizeof(many_lengths[0]));
    getppid();
    close_line(&line);
    return failed == 0 ? 0 : 1;
}

int main(int count, char **arguments) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_publishes_and_reads_ask_the_injected_allocator_for_nothing),
        cmocka_unit_test(neither_do_a_million_of_changing_lengths),
        cmocka_unit_test(neither_do_a_million_to_a_subscriber_that_refuses),
        cmocka_unit_test(with_the_default_allocator_nobody_in_the_process_is_asked),
    };
    if (count == 3 && strcmp(arguments[1], "--steady") == 0) return run_for_strace(strtoull(arguments[2], NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
