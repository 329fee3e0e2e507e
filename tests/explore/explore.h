/* What a scenario is made of. */
#ifndef WEIR_EXPLORE_EXPLORE_H
#define WEIR_EXPLORE_EXPLORE_H

#include <weir.h>

#include "memory.h"

/* Two to four threads that run the engine's own code at once. `prepare` and `check` run alone, before and after; what
 * `prepare` leaves in explore_new memory is what every execution begins with. */
struct scenario {
    const char *name;
    void (*prepare)(void);
    void (*threads[THREADS_MAX])(void);
    void (*check)(void);
};

/* A file's scenarios, registered before main. */
struct scenario_list {
    const struct scenario *scenarios;
    uint32_t count;
    struct scenario_list *next;
};
void scenario_register(struct scenario_list *list);
#define SCENARIOS(array)                                                                                             \
    static struct scenario_list array##_list = {array, sizeof(array) / sizeof((array)[0]), NULL};                    \
    __attribute__((constructor)) static void array##_register(void) {                                                \
        scenario_register(&array##_list);                                                                            \
    }

/* Ends the execution: the scenario has failed. */
__attribute__((noreturn, format(printf, 1, 2))) void explore_fail(const char *format, ...);
#define EXPECT(condition)                                                                                            \
    do {                                                                                                             \
        if (!(condition)) explore_fail("%s:%d: %s", __FILE_NAME__, __LINE__, #condition);                            \
    } while (0)
#ifndef __FILE_NAME__
#define __FILE_NAME__ __FILE__
#endif

/* Zeroed memory that each execution finds as `prepare` left it. */
void *explore_new(size_t size);
/* The engine's allocator in such memory; blocks given back are watched for late use. */
extern const weir_allocator explore_allocator;
/* Blocks of it that were taken and not given back. */
uint32_t explore_blocks(void);

/* ---- Between the explorer's own files ------------------------------------------------------------------------------ */

#define NO_THREAD UINT32_MAX
extern uint32_t explore_thread; /* the one that runs, or NO_THREAD in prepare and check */

void arena_reset(void); /* forgets all, before a scenario's prepare */
void arena_save(void);  /* after it: what arena_restore brings back */
void arena_restore(void);
bool arena_has(const void *address);
void arena_touched(const void *address, size_t length);

void race_begin(void);
void race_free(const void *address, size_t length);
void race_check_atomic(const void *address);
void race_plain(const void *address, size_t length, bool is_write);

void operations_begin_check(void);

/* Gives the other threads their turn before an operation on the location. */
void run_step(const struct explore_site *site, uint32_t location, bool is_write);
/* Which of `count` outcomes it has. */
uint32_t run_choose(uint32_t count);

struct search {
    uint64_t complete_most; /* executions of the search in order */
    uint64_t random_most;   /* and at random, when that has not ended */
    uint64_t seed;
    bool trace; /* prints a failed execution */
};
struct verdict {
    bool failed;
    bool complete;
    uint64_t executions;
    char message[256];
};
void run_scenario(const struct scenario *scenario, const struct search *search, struct verdict *verdict);

#endif
