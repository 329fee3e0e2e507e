/* The search. A scenario's threads are coroutines that stop before each atomic operation; an execution is the list of
 * who went next and which outcome the operation had. The search in order visits executions that differ by more than the
 * order of operations which have nothing to do with each other (dynamic partial-order reduction with sleep sets:
 * operations depend on each other when they are on one word and one of them writes). When that does not end within its
 * bound, executions are drawn at random as well. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "explore.h"

#define STEPS_MAX  4096u
#define STACK_SIZE ((size_t)128 << 10)
#define NO_STEP    UINT32_MAX

enum mode { MODE_IN_ORDER, MODE_RANDOM, MODE_REPLAY };

/* One operation of an execution, and what the search has still to do there. */
struct step {
    uint8_t thread;
    uint8_t wanted; /* threads to go next from here: bits, like the two below */
    uint8_t done;
    uint8_t asleep; /* going next they would only repeat what was seen */
    uint32_t choice;
    uint32_t choices;
    uint32_t location;
    bool is_write;
    uint32_t clock[THREADS_MAX]; /* steps of each thread that this one depends on */
};

struct thread {
    ucontext_t first; /* for its start; from then on `back` */
    jmp_buf back;
    char *stack;
    bool started;
    bool finished;
    const struct explore_site *site; /* the operation that it stands before */
    uint32_t location;
    bool is_write;
    uint32_t clock[THREADS_MAX];
    uint32_t steps;
};

/* For each word, the last steps that others may depend on. */
struct last {
    uint32_t run;
    uint32_t write;
    uint32_t reads[THREADS_MAX];
};

uint32_t explore_thread = NO_THREAD;

static const struct scenario *scenario;
static struct thread threads[THREADS_MAX];
static uint32_t thread_count;
static struct step steps[STEPS_MAX];
static uint32_t step_count;
static uint32_t planned; /* steps whose thread and choice are given */
static struct last lasts[LOCATIONS_MAX];
static uint32_t run;
static enum mode mode;
static uint32_t change_of_thread_in; /* at random: one step in so many */
static uint64_t random_state;
static bool tracing;
static jmp_buf scheduler;
static jmp_buf outside;
static bool is_inside;
static char failure[256];

enum outcome { OUTCOME_PASSED = 1, OUTCOME_FAILED, OUTCOME_REPEATED };

static uint64_t draw(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545F4914F6CDD1Dull >> 16;
}

void explore_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure, sizeof(failure), format, arguments);
    va_end(arguments);
    if (!is_inside) {
        fprintf(stderr, "explore: %s\n", failure);
        abort();
    }
    longjmp(outside, OUTCOME_FAILED);
}

/* An access to nowhere ends the execution like any other failure. */
static void on_wild_access(int signal_number) {
    (void)signal_number;
    explore_fail("an access to memory that is not there");
}

static void watch_wild_accesses(void) {
    static char stack[65536];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_handler = on_wild_access, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&alternative, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

/* ---- Coroutines ---------------------------------------------------------------------------------------------------- */

static void thread_main(void) {
    scenario->threads[explore_thread]();
    threads[explore_thread].finished = true;
    longjmp(scheduler, 1);
}

/* Runs the thread up to its next operation, or its end. Control comes back through `scheduler`. */
static void resume(uint32_t index) {
    struct thread *thread = &threads[index];
    explore_thread = index;
    if (setjmp(scheduler) != 0) return;
    if (thread->started) longjmp(thread->back, 1);
    thread->started = true;
    setcontext(&thread->first);
}

void run_step(const struct explore_site *site, uint32_t location, bool is_write) {
    struct thread *thread = &threads[explore_thread];
    thread->site = site;
    thread->location = location;
    thread->is_write = is_write;
    if (setjmp(thread->back) == 0) longjmp(scheduler, 1);
}

static void start_threads(void) {
    for (uint32_t i = 0; i < thread_count; i++) {
        struct thread *thread = &threads[i];
        if (thread->stack == NULL) thread->stack = (char *)malloc(STACK_SIZE);
        if (thread->stack == NULL) abort();
        getcontext(&thread->first);
        thread->first.uc_stack.ss_sp = thread->stack;
        thread->first.uc_stack.ss_size = STACK_SIZE;
        thread->first.uc_link = NULL;
        makecontext(&thread->first, thread_main, 0);
        thread->started = thread->finished = false;
        thread->steps = 0;
        memset(thread->clock, 0, sizeof(thread->clock));
    }
    for (uint32_t i = 0; i < thread_count; i++)
        resume(i); /* up to its first operation */
}

/* ---- Which steps depend on which ----------------------------------------------------------------------------------- */

static struct last *last_of(uint32_t location) {
    struct last *last = &lasts[location];
    if (last->run == run) return last;
    last->run = run;
    last->write = NO_STEP;
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        last->reads[i] = NO_STEP;
    return last;
}

/* If the step is another thread's and nothing orders it before what `thread` is about to do, the other order is to be
 * seen as well. */
static void want_before(uint32_t step, uint32_t thread) {
    if (step == NO_STEP || steps[step].thread == thread) return;
    uint32_t other = steps[step].thread;
    if (steps[step].clock[other] <= threads[thread].clock[other]) return;
    steps[step].wanted |= (uint8_t)(1u << thread);
}

static void depend_on(uint32_t step, uint32_t *clock) {
    if (step == NO_STEP) return;
    for (uint32_t i = 0; i < thread_count; i++)
        if (steps[step].clock[i] > clock[i]) clock[i] = steps[step].clock[i];
}

static void note_dependencies(uint32_t index) {
    struct step *step = &steps[index];
    struct thread *thread = &threads[step->thread];
    struct last *last = last_of(step->location);
    if (mode == MODE_IN_ORDER) {
        want_before(last->write, step->thread);
        for (uint32_t i = 0; step->is_write && i < thread_count; i++)
            want_before(last->reads[i], step->thread);
    }
    depend_on(last->write, thread->clock);
    for (uint32_t i = 0; step->is_write && i < thread_count; i++)
        depend_on(last->reads[i], thread->clock);
    thread->clock[step->thread] = ++thread->steps;
    memcpy(step->clock, thread->clock, sizeof(step->clock));
    if (step->is_write)
        last->write = index;
    else
        last->reads[step->thread] = index;
}

/* ---- One execution ------------------------------------------------------------------------------------------------- */

static uint32_t unfinished(void) {
    uint32_t bits = 0;
    for (uint32_t i = 0; i < thread_count; i++)
        if (!threads[i].finished) bits |= 1u << i;
    return bits;
}

/* Who still sleeps after `step`: those whose next operation has nothing to do with it. */
static uint8_t still_asleep(const struct step *step) {
    uint8_t asleep = step->asleep;
    for (uint32_t i = 0; i < thread_count; i++) {
        if (!(asleep >> i & 1)) continue;
        bool depends = threads[i].location == step->location && (threads[i].is_write || step->is_write);
        if (i == step->thread || depends) asleep &= (uint8_t) ~(1u << i);
    }
    return asleep;
}

static uint32_t pick_at_random(uint32_t from, uint32_t current) {
    if ((from >> current & 1) && draw() % change_of_thread_in != 0) return current;
    uint32_t skip = (uint32_t)(draw() % (uint32_t)__builtin_popcount(from));
    while (skip-- > 0)
        from &= from - 1;
    return (uint32_t)__builtin_ctz(from);
}

/* Begins the step `index`: who goes next. False when all who could have gone already. */
static bool plan_step(uint32_t index) {
    struct step *step = &steps[index];
    uint32_t current = index == 0 ? 0 : steps[index - 1].thread;
    uint32_t from = unfinished();
    if (index < planned) return true;
    step->asleep = index == 0 || mode != MODE_IN_ORDER ? 0 : still_asleep(&steps[index - 1]);
    from &= ~(uint32_t)step->asleep;
    if (from == 0) return false;
    uint32_t next = (from >> current & 1) ? current : (uint32_t)__builtin_ctz(from);
    if (mode == MODE_RANDOM) next = pick_at_random(from, current);
    step->thread = (uint8_t)next;
    step->wanted = (uint8_t)(1u << next);
    step->done = 0;
    step->choice = 0;
    return true;
}

uint32_t run_choose(uint32_t count) {
    struct step *step = &steps[step_count - 1];
    step->choices = count;
    if (step_count > planned) {
        step->choice = 0;
        if (mode == MODE_RANDOM && count > 1 && draw() % 2 == 0) step->choice = (uint32_t)(draw() % count);
    }
    return step->choice;
}

static void print_step(const struct step *step) {
    const struct explore_site *site = threads[step->thread].site;
    fprintf(stderr, "  thread %u  %-22s %s:%u (%s)  word %u  outcome %u of %u\n", step->thread, site->name,
            site->file, site->line, site->function, step->location, step->choice, step->choices);
}

static enum outcome execute_inside(void) {
    memory_begin(thread_count);
    race_begin();
    arena_restore();
    run++;
    step_count = 0;
    start_threads();
    while (unfinished() != 0) {
        uint32_t index = step_count;
        if (index == STEPS_MAX) explore_fail("more than %u steps: it does not end", STEPS_MAX);
        if (!plan_step(index)) return OUTCOME_REPEATED;
        struct step *step = &steps[index];
        struct thread *thread = &threads[step->thread];
        step->location = thread->location;
        step->is_write = thread->is_write;
        step_count++;
        note_dependencies(index);
        struct explore_site const *site = thread->site;
        resume(step->thread);
        if (tracing) {
            const struct explore_site *next = thread->site;
            thread->site = site;
            print_step(step);
            thread->site = next;
        }
    }
    explore_thread = NO_THREAD;
    operations_begin_check();
    if (scenario->check != NULL) scenario->check();
    return OUTCOME_PASSED;
}

static enum outcome execute(void) {
    is_inside = true;
    int caught = setjmp(outside);
    enum outcome outcome = caught == 0 ? execute_inside() : (enum outcome)caught;
    explore_thread = NO_THREAD;
    is_inside = false;
    return outcome;
}

/* ---- The search ---------------------------------------------------------------------------------------------------- */

/* The next execution in order: false when there is none. */
static bool advance(void) {
    while (step_count > 0) {
        struct step *step = &steps[step_count - 1];
        if (++step->choice < step->choices) break;
        step->choice = 0;
        step->done |= (uint8_t)(1u << step->thread);
        step->asleep |= (uint8_t)(1u << step->thread);
        uint32_t left = step->wanted & ~(uint32_t)step->done & ~(uint32_t)step->asleep;
        if (left != 0) {
            step->thread = (uint8_t)__builtin_ctz(left);
            break;
        }
        step_count--;
    }
    planned = step_count;
    return step_count > 0;
}

static bool run_one(const struct search *search, struct verdict *verdict) {
    enum outcome outcome = execute();
    if (outcome != OUTCOME_REPEATED) verdict->executions++;
    if (outcome != OUTCOME_FAILED) return true;
    verdict->failed = true;
    memcpy(verdict->message, failure, sizeof(failure));
    if (!search->trace) return false;
    planned = step_count;
    mode = MODE_REPLAY;
    tracing = true;
    fprintf(stderr, "%s: %s\n", scenario->name, failure);
    execute();
    tracing = false;
    return false;
}

static bool run_in_order(const struct search *search, struct verdict *verdict) {
    mode = MODE_IN_ORDER;
    planned = 0;
    uint64_t tried = 0; /* with those that only repeat */
    do {
        if (tried++ == search->complete_most) return true;
        if (!run_one(search, verdict)) return false;
    } while (advance());
    verdict->complete = true;
    return true;
}

static void run_at_random(const struct search *search, struct verdict *verdict) {
    mode = MODE_RANDOM;
    planned = 0;
    random_state = search->seed;
    for (uint64_t i = 0; i < search->random_most; i++) {
        change_of_thread_in = 1u << (1 + i % 5);
        planned = 0;
        if (!run_one(search, verdict)) return;
    }
}

void run_scenario(const struct scenario *which, const struct search *search, struct verdict *verdict) {
    memset(verdict, 0, sizeof(*verdict));
    watch_wild_accesses();
    scenario = which;
    thread_count = 0;
    while (thread_count < THREADS_MAX && which->threads[thread_count] != NULL)
        thread_count++;
    arena_reset();
    operations_begin_check();
    which->prepare();
    arena_save();
    if (run_in_order(search, verdict) && !verdict->complete) run_at_random(search, verdict);
}
