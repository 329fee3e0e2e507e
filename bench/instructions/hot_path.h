/* A hot path: work that is done the same way every time, in one thread, so that the instructions it takes can be counted
 * instead of timed. `run` performs a number of operations between count_begin and count_end; what stands outside of them
 * (refilling a ring, reading back) is not counted. Callgrind counts; without it the program only checks that the work is
 * done.
 *
 * Nothing here may depend on a clock, on randomness or on addresses: engines get fixed_clock and fixed_entropy. */
#ifndef WEIR_HOT_PATH_H
#define WEIR_HOT_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else /* then the program can only check */
#define CALLGRIND_TOGGLE_COLLECT         ((void)0)
#define CALLGRIND_ZERO_STATS             ((void)0)
#define CALLGRIND_DUMP_STATS_AT(trigger) ((void)(trigger))
#endif

struct hot_path {
    const char *name;
    uint32_t operations; /* of a run: counted, and before that once uncounted, to warm up */
    void *(*open)(void);
    void (*run)(void *state, uint32_t operations);
    void (*close)(void *state); /* checks that the work was done */
};

/* One table per file; a path without a name ends it. */
extern const struct hot_path publish_paths[];
extern const struct hot_path read_paths[];
extern const struct hot_path session_paths[];
extern const struct hot_path wire_paths[];
extern const struct hot_path server_paths[];

/* A switch each: always in pairs. Nothing is counted at first. */
static inline void count_begin(void) {
    CALLGRIND_TOGGLE_COLLECT;
}
static inline void count_end(void) {
    CALLGRIND_TOGGLE_COLLECT;
}

/* Ends the program with the place unless the condition holds: a path that did not do its work has no count. */
#define EXPECT(condition)                                                                                            \
    do {                                                                                                             \
        if (!(condition)) hot_path_failed(__FILE__, __LINE__, #condition);                                           \
    } while (0)
_Noreturn void hot_path_failed(const char *file, int line, const char *condition);

/* Zeroed memory for a path's state, to be freed. */
void *hot_path_state(size_t size);

extern const weir_clock fixed_clock;     /* always the same instant */
extern const weir_entropy fixed_entropy; /* the same bytes in every run */

#define EVENT_BYTES 100u
#define RING        256u

/* Payload bytes, aligned: how a copy goes may depend on that. */
extern const char payload[1024];

/* An engine with one session "hot", whose ring of RING is what most paths work on. */
struct subject {
    weir_engine *engine;
    weir_session *session;
    weir_producer *producer;
};

void subject_open(struct subject *subject, weir_config config);
void subject_close(struct subject *subject);
weir_session *subject_session(struct subject *subject, const char *name);
/* Publishes `count` events of EVENT_BYTES. */
void subject_publish(struct subject *subject, uint32_t count);
uint64_t subject_published(const struct subject *subject);

#endif
