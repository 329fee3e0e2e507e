/* Who checks the checker: histories with one fault each, every one of which must be called wrong, and right ones that look
 * wrong, none of which may be. */
#include <stdio.h>

#include "engine/prelude.h"
#include "examples.h"
#include "long_check.h"
#include "search.h"

static struct search *search;
static uint32_t caught;
static uint32_t passed;
static uint32_t long_caught;

static void load(struct history *history, const struct examples *examples, const struct example *example) {
    *history = (struct history){.specification = examples->specification, .settings = examples->settings};
    while (history->count < EXAMPLE_MAX && example->operations[history->count].kind != 0) {
        history->operations[history->count] = example->operations[history->count];
        history->count++;
    }
    assert_true(history->count > 0);
}

/* Whether it is right without these two operations, which may be the same one. */
static bool is_right_without(const struct history *history, uint32_t one, uint32_t other) {
    struct history rest = *history;
    rest.count = 0;
    for (uint32_t i = 0; i < history->count; i++)
        if (i != one && i != other) rest.operations[rest.count++] = history->operations[i];
    return rest.count == 0 || history_judge(search, &rest) == NULL;
}

/* The fault is the one in its name, and the rest is right: it is gone without one operation or two. */
static bool has_one_fault(const struct history *history) {
    for (uint32_t i = 0; i < history->count; i++)
        for (uint32_t j = i; j < history->count; j++)
            if (is_right_without(history, i, j)) return true;
    return false;
}

static void check_wrong(const struct examples *examples, const struct example *example) {
    struct history history;
    load(&history, examples, example);
    if (history_judge(search, &history) == NULL) {
        history_print(&history);
        fail_msg("%s: not caught: %s", examples->specification->name, example->name);
    }
    caught++;
    if (!has_one_fault(&history)) fail_msg("%s has more than one fault", example->name);
    uint32_t before = history.count;
    history_minimise(search, &history);
    assert_true(history.count > 0 && history.count <= before);
}

static void check_right(const struct examples *examples, const struct example *example) {
    struct history history;
    load(&history, examples, example);
    const char *objection = history_judge(search, &history);
    if (objection != NULL) {
        history_print(&history);
        fail_msg("%s: %s: called wrong: %s", examples->specification->name, example->name, objection);
    }
    passed++;
}

static void check_all(const struct examples *examples) {
    for (size_t i = 0; i < examples->wrong_count; i++)
        check_wrong(examples, &examples->wrong[i]);
    for (size_t i = 0; i < examples->right_count; i++)
        check_right(examples, &examples->right[i]);
}

static void faults_of_a_queue_are_caught(void **state) {
    (void)state;
    check_all(&queue_examples);
}

static void faults_of_a_log_are_caught(void **state) {
    (void)state;
    check_all(&log_examples);
}

static void faults_of_the_registry_are_caught(void **state) {
    (void)state;
    check_all(&registry_examples);
}

/* ---- The conditions of long histories ------------------------------------------------------------------------- */

/* The long check knows of cursors that skip, of none that come later, and of sequences that were told. */
static bool is_long(const struct history *history) {
    for (uint32_t i = 0; i < history->count; i++) {
        const struct operation *operation = &history->operations[i];
        bool known = operation->kind == OPERATION_PUBLISH || operation->kind == OPERATION_READ ||
                     operation->kind == OPERATION_END || operation->kind == OPERATION_NEXT ||
                     (operation->kind == OPERATION_PLACE && operation->live && operation->sequence == 1);
        bool told = operation->kind != OPERATION_PUBLISH || operation->status != WEIR_OK || operation->sequence != 0;
        if (!known || !told || operation->cursor != 0 || operation->status == WEIR_TIMEOUT) return false;
    }
    return true;
}

static const char *judge_long(const struct history *history) {
    struct long_check check;
    size_t at;
    long_open(&check, &history->settings, HISTORY_MAX);
    const char *objection = long_judge(&check, history->operations, history->count, &at);
    long_close(&check);
    return objection;
}

static void check_long(const struct examples *examples) {
    struct history history;
    for (size_t i = 0; i < examples->wrong_count; i++) {
        load(&history, examples, &examples->wrong[i]);
        if (!is_long(&history)) continue;
        const char *objection = judge_long(&history);
        if (objection == NULL) fail_msg("long check: not caught: %s", examples->wrong[i].name);
        long_caught++;
    }
    for (size_t i = 0; i < examples->right_count; i++) {
        load(&history, examples, &examples->right[i]);
        const char *objection = is_long(&history) ? judge_long(&history) : NULL;
        if (objection != NULL) fail_msg("long check: %s: called wrong: %s", examples->right[i].name, objection);
    }
}

static void the_conditions_of_long_histories_catch_the_same_faults(void **state) {
    (void)state;
    check_long(&queue_examples);
    check_long(&log_examples);
}

/* A wrong answer late in a long history is found, and the history is cut down to what shows it. */
static void a_wrong_history_is_made_smaller(void **state) {
    (void)state;
    struct history history = {.specification = &queue_specification,
                              .settings = {.ring = 2, .capacity = 2, .queue = 2}};
    uint64_t instant = 1;
    for (uint64_t i = 1; i <= 12; i++) {
        history.operations[history.count++] = (struct operation)PUT(1, instant, instant + 1, i, i);
        history.operations[history.count++] = (struct operation)NEXT(0, instant + 2, instant + 3, i + 1);
        history.operations[history.count++] = (struct operation)GET(0, instant + 4, instant + 5, 0, i, i);
        instant += 6;
    }
    assert_null(history_judge(search, &history));
    history.operations[20].status = WEIR_EMPTY; /* the seventh read */
    assert_non_null(history_judge(search, &history));
    history_minimise(search, &history);
    assert_int_equal(history.count, 14);
    assert_int_equal(history.operations[13].status, WEIR_EMPTY);
}

/* Many at once: every order of them has to be looked through before there is none, which memory of what was tried keeps
 * short. */
static void a_wide_history_is_decided(void **state) {
    (void)state;
    struct history history = {.specification = &queue_specification,
                              .settings = {.ring = 64, .capacity = 64, .queue = 64}};
    for (uint64_t i = 0; i < 18; i++)
        history.operations[history.count++] = (struct operation)PUT(1, 1 + i, 100 + i, i + 1, 0);
    assert_null(history_judge(search, &history));
    history.operations[history.count++] = (struct operation)NEXT(0, 200, 201, 18);
    assert_non_null(history_judge(search, &history));
    history.operations[18].sequence = 19;
    assert_null(history_judge(search, &history));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_of_a_queue_are_caught),
        cmocka_unit_test(faults_of_a_log_are_caught),
        cmocka_unit_test(faults_of_the_registry_are_caught),
        cmocka_unit_test(a_wrong_history_is_made_smaller),
        cmocka_unit_test(a_wide_history_is_decided),
        cmocka_unit_test(the_conditions_of_long_histories_catch_the_same_faults),
    };
    search = search_create();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    search_destroy(search);
    size_t wrong = queue_examples.wrong_count + log_examples.wrong_count + registry_examples.wrong_count;
    printf("history_checker: %u seeded-wrong caught of %zu, %u right ones passed, %u caught by the long check, too\n",
           caught, wrong, passed, long_caught);
    return failed;
}
