#include "hot_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc would look at the clock to decide what to give back, and go by the number of processors. */
extern __attribute__((visibility("default"))) const char *malloc_conf;
const char *malloc_conf = "narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1";

_Alignas(64) const
    char payload[1024] = "What these bytes say is of no matter to anybody: they are copied, and their number "
                         "counts. None of them needs escaping.";

_Noreturn void hot_path_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "weir_hot_paths: %s:%d: not so: %s\n", file, line, condition);
    exit(1);
}

void *hot_path_state(size_t size) {
    void *state = calloc(1, size);
    EXPECT(state != NULL);
    return state;
}

static uint64_t fixed_now_ns(void *context) {
    (void)context;
    return UINT64_C(1000000000);
}

static uint64_t fixed_wall_ms(void *context) {
    (void)context;
    return UINT64_C(1700000000000);
}

static int fill_fixed(void *context, void *memory, size_t size) {
    (void)context;
    memset(memory, 0x5A, size);
    return 0;
}

const weir_clock fixed_clock = {fixed_now_ns, fixed_wall_ms, NULL};
const weir_entropy fixed_entropy = {fill_fixed, NULL};

weir_session *subject_session(struct subject *subject, const char *name) {
    weir_session *session;
    EXPECT(weir_session_open(subject->engine, name, strlen(name), WEIR_OPEN_OR_CREATE, &session, NULL) == WEIR_OK);
    return session;
}

void subject_open(struct subject *subject, weir_config config) {
    config.size = sizeof(config);
    config.clock = fixed_clock;
    config.entropy = fixed_entropy;
    if (config.replay_capacity == 0) config.replay_capacity = RING;
    EXPECT(weir_engine_create(&subject->engine, &config) == WEIR_OK);
    EXPECT(weir_producer_create(subject->engine, &subject->producer) == WEIR_OK);
    subject->session = subject_session(subject, "hot");
}

void subject_close(struct subject *subject) {
    weir_producer_destroy(subject->producer);
    weir_session_release(subject->session);
    weir_engine_destroy(subject->engine);
}

void subject_publish(struct subject *subject, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        EXPECT(weir_publish(subject->producer, subject->session, 0, payload, EVENT_BYTES, NULL) == WEIR_OK);
}

uint64_t subject_published(const struct subject *subject) {
    weir_session_info info;
    weir_session_info_get(subject->session, &info);
    return info.published;
}
