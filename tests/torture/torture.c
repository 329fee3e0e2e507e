#include "torture.h"

#include <stdio.h>
#include <string.h>

#include "ledger.h"
#include "support/scale.h"
#include "watch.h"

/* Only a run that hangs takes so long. */
#define PATIENCE_S 20u

static uint64_t runs;
static uint64_t leaking_runs;
static struct torture current;

static void watch(const struct torture *torture) {
    const struct fault_plan *plan = &torture->plan;
    watch_begin(PATIENCE_S, "scenario %s, call %llu%s, error %u, second failure %llu calls later%s",
                torture->scenario, (unsigned long long)plan->nth, plan->lasting ? " and all after it" : "",
                plan->variant, (unsigned long long)plan->second, torture->gone ? ", for good" : "");
}

int torture_explain(void **state) {
    (void)state;
    faults_stop();
    ledger_clear();
    if (watch_story()[0] != '\0') print_error("the last run: %s\n", watch_story());
    if (faults_first() != CALLS) print_error("made to fail first: %s\n", call_name(faults_first()));
    watch_end();
    return 0;
}

/* ---- One run ----------------------------------------------------------------------------------------------------- */

static void check_nothing_left(const struct census *before) {
    size_t size = 0;
    size_t blocks = ledger_count(&size);
    unsigned long long engine_blocks = u64_load_relaxed(&current.memory.outstanding);
    if (blocks != 0 || engine_blocks != 0) leaking_runs++;
    if (blocks != 0) fail_msg("%zu heap blocks leaked, one of %zu bytes", blocks, size);
    if (engine_blocks != 0) fail_msg("%llu of the engine's blocks leaked", engine_blocks);
    census_settle(before);
}

static uint64_t run_once(const struct scenario *scenario, const struct fault_plan *plan, bool gone,
                         const struct census *before) {
    memset(&current, 0, sizeof(current));
    current.scenario = scenario->name;
    current.plan = *plan;
    current.gone = gone;
    current.going = true;
    watch(&current);
    faults_begin(plan);
    scenario->run(&current);
    faults_stop();
    runs++;
    check_nothing_left(before);
    return faults_injected();
}

/* ---- The loops --------------------------------------------------------------------------------------------------- */

static uint64_t fail_each(const struct scenario *scenario, const struct census *before) {
    for (uint64_t n = 1;; n++) {
        unsigned variants = 1;
        for (unsigned variant = 0; variant < variants; variant++) {
            struct fault_plan plan = {.nth = n, .variant = variant};
            if (run_once(scenario, &plan, false, before) == 0) return n - 1;
            variants = call_variants(faults_first());
        }
    }
}

static void fail_from_each(const struct scenario *scenario, bool gone, uint64_t calls, const struct census *before) {
    for (uint64_t n = 1; n <= calls; n++) {
        struct fault_plan plan = {.nth = n, .lasting = true};
        run_once(scenario, &plan, gone, before);
    }
}

static uint64_t fail_pairs(const struct scenario *scenario, const struct census *before) {
    uint64_t pairs = 0;
    for (uint64_t n = 1;; n++) {
        for (uint64_t m = 1;; m++) {
            struct fault_plan plan = {.nth = n, .second = m};
            uint64_t injected = run_once(scenario, &plan, false, before);
            if (injected == 0) return pairs;
            if (injected < 2) break;
            pairs++;
        }
    }
}

static unsigned largest_for_pairs(const struct scenario *scenario) {
    return scenario->pairs * (unsigned)test_scale();
}

void torture_scenario(const struct scenario *scenario) {
    const struct fault_plan none = {.nth = 0};
    torture_wrap_jansson();
    struct census before = census_take();
    run_once(scenario, &none, false, &before);
    uint64_t expected = faults_calls();
    uint64_t runs_before = runs;
    uint64_t calls = fail_each(scenario, &before);
    assert_true(calls > 0);
    fail_from_each(scenario, false, calls, &before);
    fail_from_each(scenario, true, calls, &before);
    uint64_t pairs = expected <= largest_for_pairs(scenario) ? fail_pairs(scenario, &before) : 0;
    run_once(scenario, &none, false, &before);
    watch_end();
    printf("  %-28s %4llu calls, %6llu pairs, %6llu runs\n", scenario->name, (unsigned long long)calls,
           (unsigned long long)pairs, (unsigned long long)(runs - runs_before));
}

void torture_print(void) {
    for (enum call call = 0; call < CALLS; call++)
        if (faults_of(call) > 0)
            printf("  failed: %-36s %7llu\n", call_name(call), (unsigned long long)faults_of(call));
    printf("torture: %u call sites, %u of them made to fail, %llu runs, %llu of them leaked\n", faults_sites(),
           faults_failed_sites(), (unsigned long long)runs, (unsigned long long)leaking_runs);
}

/* ---- For scenarios ----------------------------------------------------------------------------------------------- */

static void *allocate(void *context, size_t size, size_t alignment) {
    if (fault_now(CALL_ENGINE_MEMORY, __builtin_return_address(0))) return NULL;
    faults_leave();
    weir_allocator allocator = counting_allocator_of(context);
    void *block = allocator.allocate(context, size, alignment);
    faults_return();
    return block;
}

static void release(void *context, void *block, size_t size, size_t alignment) {
    weir_allocator allocator = counting_allocator_of(context);
    allocator.release(context, block, size, alignment);
}

static int discard(void *context, void *pages, size_t size) {
    weir_allocator allocator = counting_allocator_of(context);
    return allocator.discard(context, pages, size);
}

weir_allocator torture_allocator(struct torture *torture) {
    return (weir_allocator){allocate, release, discard, &torture->memory};
}

static int fill(void *context, void *memory, size_t size) {
    static unsigned char next;
    (void)context;
    if (fault_now(CALL_ENTROPY, __builtin_return_address(0))) return -1;
    for (size_t i = 0; i < size; i++)
        ((unsigned char *)memory)[i] = (unsigned char)(next += 31);
    return 0;
}

weir_entropy torture_entropy(void) {
    return (weir_entropy){fill, NULL};
}

bool torture_was_hurt(const struct torture *torture) {
    return faults_injected() > torture->met;
}

void torture_forgive(struct torture *torture) {
    torture->met = faults_injected();
}

void torture_step(struct torture *torture) {
    torture_forgive(torture);
    if (torture->engine != NULL) weir_engine_stats(torture->engine, &torture->stats);
}

static void check_unchanged(const struct torture *torture, const char *what) {
    weir_stats now;
    const weir_stats *before = &torture->stats;
    if (torture->engine == NULL) return;
    weir_engine_stats(torture->engine, &now);
    if (now.sessions != before->sessions || now.subscribers != before->subscribers ||
        now.channels != before->channels || now.memberships != before->memberships ||
        now.sessions_created != before->sessions_created || now.published != before->published)
        fail_msg("%s failed, but changed something", what);
}

bool torture_again(struct torture *torture, int status, const char *what, int line) {
    if (status == WEIR_OK) return false;
    const char *name = weir_status_name(status);
    if (!torture_was_hurt(torture)) fail_msg("line %d: %s is %s, and nothing was made to fail", line, what, name);
    bool named = status == WEIR_NO_MEMORY || status == WEIR_NO_ENTROPY || status == WEIR_DESCRIPTORS_LIMIT;
    if (!named) fail_msg("line %d: %s is %s", line, what, name);
    check_unchanged(torture, what);
    torture->going = !torture->gone;
    if (torture->plan.lasting && torture->going) faults_stop();
    return torture->going;
}
