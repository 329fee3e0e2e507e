#include "demo.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "machine.h"
#include "thread.h"

enum { PERIOD_MS = 250 };

struct demo {
    weir_engine *engine;
    weir_producer *producer;
    weir_session *session; /* NULL: to be opened */
    struct machine_sampler sampler;
    pthread_t thread;
    pthread_mutex_t lock; /* guards `stopping`; the publish path has no lock, this is only how to sleep */
    pthread_cond_t wake;
    int stopping;
};

static int write_event(struct demo *demo, char *out, size_t capacity) {
    struct machine_figures machine;
    weir_stats stats;
    struct timespec wall;
    machine_sample(&demo->sampler, &machine);
    weir_engine_stats(demo->engine, &stats);
    clock_gettime(CLOCK_REALTIME, &wall);
    return snprintf(
        out, capacity,
        "{\"time_ms\":%" PRIu64 ",\"load\":[%.2f,%.2f,%.2f],\"cpu_percent\":%.1f,"
        "\"memory_used_mib\":%" PRIu64 ",\"memory_total_mib\":%" PRIu64 ",\"server_resident_kib\":%" PRIu64
        ",\"sessions\":%" PRIu64 ",\"subscribers\":%" PRIu64 ",\"published\":%" PRIu64 "}",
        (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000, machine.load_1, machine.load_5,
        machine.load_15, machine.cpu_percent, machine.memory_used_kib / 1024, machine.memory_total_kib / 1024,
        machine.resident_kib, stats.sessions, stats.subscribers, stats.published);
}

/* Somebody may delete the session: the next event opens it anew. */
static void publish_once(struct demo *demo) {
    if (demo->session == NULL &&
        weir_session_open(demo->engine, "demo", 4, WEIR_OPEN_OR_CREATE, &demo->session, NULL) != WEIR_OK) {
        return;
    }
    char event[512];
    int length = write_event(demo, event, sizeof event);
    weir_engine_tick(demo->engine);
    if (weir_publish(demo->producer, demo->session, 0, event, (size_t)length, NULL) == WEIR_CLOSED) {
        weir_session_release(demo->session);
        demo->session = NULL;
    }
}

/* Waits until `due`; 1 when it is time to stop. */
static int wait_until(struct demo *demo, const struct timespec *due) {
    int stopping, result = 0;
    pthread_mutex_lock(&demo->lock);
    while (!demo->stopping && result != ETIMEDOUT) {
        result = pthread_cond_timedwait(&demo->wake, &demo->lock, due);
    }
    stopping = demo->stopping;
    pthread_mutex_unlock(&demo->lock);
    return stopping;
}

static void *run_demo(void *argument) {
    struct demo *demo = argument;
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    do {
        publish_once(demo);
        due.tv_nsec += PERIOD_MS * 1000000;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
    } while (!wait_until(demo, &due));
    return NULL;
}

struct demo *demo_start(weir_engine *engine) {
    struct demo *demo = calloc(1, sizeof *demo);
    if (demo == NULL) return NULL;
    demo->engine = engine;
    if (weir_producer_create(engine, &demo->producer) != WEIR_OK) goto no_producer;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&demo->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&demo->lock, NULL);
    if (thread_start(&demo->thread, run_demo, demo) != 0) goto no_thread;
    return demo;

no_thread:
    pthread_mutex_destroy(&demo->lock);
    pthread_cond_destroy(&demo->wake);
    weir_producer_destroy(demo->producer);
no_producer:
    free(demo);
    return NULL;
}

void demo_stop(struct demo *demo) {
    if (demo == NULL) return;
    pthread_mutex_lock(&demo->lock);
    demo->stopping = 1;
    pthread_cond_signal(&demo->wake);
    pthread_mutex_unlock(&demo->lock);
    pthread_join(demo->thread, NULL);
    pthread_mutex_destroy(&demo->lock);
    pthread_cond_destroy(&demo->wake);
    weir_session_release(demo->session);
    weir_producer_destroy(demo->producer);
    free(demo);
}
