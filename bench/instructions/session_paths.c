/* What is done per session and per subscriber instead of per event. */
#include "hot_path.h"

#include <stdlib.h>

static void *open_session(void) {
    struct subject *subject = hot_path_state(sizeof(*subject));
    subject_open(subject, (weir_config)WEIR_CONFIG_INIT);
    subject_publish(subject, 2 * RING);
    return subject;
}

static void close_session(void *context) {
    struct subject *subject = context;
    weir_stats stats;
    weir_engine_stats(subject->engine, &stats);
    EXPECT(stats.subscribers == 0 && stats.sessions == 1);
    subject_close(subject);
    free(subject);
}

static void run_open_release(void *context, uint32_t operations) {
    struct subject *subject = context;
    weir_session *session = NULL;
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_session_open(subject->engine, "hot", 3, WEIR_OPEN_EXISTING, &session, NULL);
        weir_session_release(session);
    }
    count_end();
    EXPECT(session == subject->session);
}

static void run_create_remove(void *context, uint32_t operations) {
    struct subject *subject = context;
    int created = 0;
    for (uint32_t i = 0; i < operations; i++) {
        weir_session *session = NULL;
        count_begin();
        weir_session_open(subject->engine, "passing", 7, WEIR_OPEN_OR_CREATE, &session, &created);
        weir_session_terminate(session);
        weir_session_release(session);
        count_end();
        EXPECT(created);
        weir_engine_sweep(subject->engine, 0);
    }
}

static void run_subscribe(void *context, uint32_t operations) {
    struct subject *subject = context;
    weir_cursor cursor;
    weir_gap gap;
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_subscribe(subject->session, NULL, &cursor, &gap);
        weir_unsubscribe(subject->session, &cursor);
    }
    count_end();
}

/* By the id of an event inside the window, as one that comes back does. */
static void run_resume(void *context, uint32_t operations) {
    struct subject *subject = context;
    weir_session_info info;
    char id[WEIR_ID_MAX];
    weir_cursor cursor;
    weir_gap gap;
    uint32_t placed = 0;
    weir_session_info_get(subject->session, &info);
    const weir_subscription how = {.last_id = id, .last_id_length = weir_id_format(info.epoch, info.oldest + 9, id)};
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_subscribe(subject->session, &how, &cursor, &gap);
        placed += cursor.next == info.oldest + 10;
        weir_unsubscribe(subject->session, &cursor);
    }
    count_end();
    EXPECT(placed == operations);
}

static void run_attach(void *context, uint32_t operations) {
    struct subject *subject = context;
    weir_cursor cursor;
    weir_gap gap;
    count_begin();
    for (uint32_t i = 0; i < operations; i++) {
        weir_attach(subject->session, NULL, &cursor, &gap);
        weir_unsubscribe(subject->session, &cursor);
    }
    count_end();
}

const struct hot_path session_paths[] = {
    {"open_release", 4096, open_session, run_open_release, close_session},
    {"create_remove", 1024, open_session, run_create_remove, close_session},
    {"subscribe_unsubscribe", 1024, open_session, run_subscribe, close_session},
    {"resume_unsubscribe", 1024, open_session, run_resume, close_session},
    {"attach_detach", 1024, open_session, run_attach, close_session},
    {0},
};
