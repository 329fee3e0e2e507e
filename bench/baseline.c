#include "baseline.h"

#include "base/atomic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS   16u
#define BUCKETS  1024u /* of a shard */
#define CAPACITY 256u  /* of the deque and of the channel */

struct event {
    atomic_u32 references;
    uint32_t length;
    uint64_t sequence;
    unsigned char bytes[];
};

struct queue {
    struct event *events[CAPACITY];
    uint64_t head;
    uint64_t tail;
};

struct baseline_session {
    struct baseline_session *next; /* in its bucket */
    pthread_mutex_t kept_lock;
    struct queue kept;
    uint64_t newest;
    bool attached;
    pthread_mutex_t live_lock;
    pthread_cond_t live_changed;
    unsigned live_waiting;
    struct queue live;
    char name[];
};

struct shard {
    pthread_mutex_t lock;
    struct baseline_session *buckets[BUCKETS];
};

struct baseline {
    struct shard shards[SHARDS];
};

static void release_event(struct event *event) {
    if (u32_subtract_acq_rel(&event->references, 1) == 1) free(event);
}

struct baseline *baseline_create(void) {
    struct baseline *baseline = calloc(1, sizeof *baseline);
    for (unsigned i = 0; baseline && i < SHARDS; i++) {
        pthread_mutex_init(&baseline->shards[i].lock, NULL);
    }
    return baseline;
}

static void clear_queue(struct queue *queue) {
    while (queue->head != queue->tail) {
        release_event(queue->events[queue->head++ % CAPACITY]);
    }
}

static void destroy_session(struct baseline_session *session) {
    clear_queue(&session->kept);
    clear_queue(&session->live);
    pthread_cond_destroy(&session->live_changed);
    pthread_mutex_destroy(&session->live_lock);
    pthread_mutex_destroy(&session->kept_lock);
    free(session);
}

void baseline_destroy(struct baseline *baseline) {
    for (unsigned i = 0; baseline && i < SHARDS; i++) {
        for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
            struct baseline_session *session = baseline->shards[i].buckets[bucket];
            while (session) {
                struct baseline_session *next = session->next;
                destroy_session(session);
                session = next;
            }
        }
        pthread_mutex_destroy(&baseline->shards[i].lock);
    }
    free(baseline);
}

static uint64_t hash_name(const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++) {
        hash = (hash ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
    }
    return hash ^ hash >> 32;
}

static struct baseline_session *make_session(const char *name) {
    struct baseline_session *session = calloc(1, sizeof *session + strlen(name) + 1);
    if (!session) return NULL;
    strcpy(session->name, name);
    pthread_mutex_init(&session->kept_lock, NULL);
    pthread_mutex_init(&session->live_lock, NULL);
    pthread_cond_init(&session->live_changed, NULL);
    return session;
}

struct baseline_session *baseline_find(struct baseline *baseline, const char *name, bool create) {
    uint64_t hash = hash_name(name);
    struct shard *shard = &baseline->shards[hash % SHARDS];
    struct baseline_session **bucket = &shard->buckets[hash / SHARDS % BUCKETS];
    pthread_mutex_lock(&shard->lock);
    struct baseline_session *session = *bucket;
    while (session && strcmp(session->name, name) != 0) {
        session = session->next;
    }
    if (!session && create && (session = make_session(name)) != NULL) {
        session->next = *bucket;
        *bucket = session;
    }
    pthread_mutex_unlock(&shard->lock);
    return session;
}

/* Called with kept_lock held, so that the channel's order is the deque's. */
static void send_live(struct baseline_session *session, struct event *event) {
    pthread_mutex_lock(&session->live_lock);
    while (session->live.tail - session->live.head == CAPACITY) {
        session->live_waiting++;
        pthread_cond_wait(&session->live_changed, &session->live_lock);
        session->live_waiting--;
    }
    session->live.events[session->live.tail++ % CAPACITY] = event;
    bool wake = session->live_waiting > 0;
    pthread_mutex_unlock(&session->live_lock);
    if (wake) pthread_cond_broadcast(&session->live_changed);
}

uint64_t baseline_publish(struct baseline_session *session, const void *data, size_t length) {
    struct event *event = malloc(sizeof *event + length);
    struct event *evicted = NULL;
    if (!event) return 0;
    event->length = (uint32_t)length;
    memcpy(event->bytes, data, length);

    pthread_mutex_lock(&session->kept_lock);
    u32_store_relaxed(&event->references, session->attached ? 2 : 1);
    uint64_t sequence = ++session->newest;
    event->sequence = sequence;
    if (session->kept.tail - session->kept.head == CAPACITY) {
        evicted = session->kept.events[session->kept.head++ % CAPACITY];
    }
    session->kept.events[session->kept.tail++ % CAPACITY] = event;
    if (session->attached) send_live(session, event);
    pthread_mutex_unlock(&session->kept_lock);
    if (evicted) release_event(evicted);
    return sequence;
}

void baseline_attach(struct baseline_session *session) {
    pthread_mutex_lock(&session->kept_lock);
    session->attached = true;
    pthread_mutex_unlock(&session->kept_lock);
}

static void copy_out(const struct event *event, void *buffer, size_t capacity, size_t *length) {
    *length = event->length;
    memcpy(buffer, event->bytes, event->length < capacity ? event->length : capacity);
}

uint64_t baseline_receive(struct baseline_session *session, void *buffer, size_t capacity, size_t *length) {
    pthread_mutex_lock(&session->live_lock);
    while (session->live.head == session->live.tail) {
        session->live_waiting++;
        pthread_cond_wait(&session->live_changed, &session->live_lock);
        session->live_waiting--;
    }
    struct event *event = session->live.events[session->live.head++ % CAPACITY];
    bool wake = session->live_waiting > 0;
    pthread_mutex_unlock(&session->live_lock);
    if (wake) pthread_cond_broadcast(&session->live_changed);

    uint64_t sequence = event->sequence;
    copy_out(event, buffer, capacity, length);
    release_event(event);
    return sequence;
}

/* The copy is made outside the lock, under a reference: a reader holds no producer up over it. */
bool baseline_read(struct baseline_session *session, uint64_t sequence, void *buffer, size_t capacity,
                   size_t *length) {
    struct event *event = NULL;
    pthread_mutex_lock(&session->kept_lock);
    uint64_t oldest = session->newest + 1 - (session->kept.tail - session->kept.head);
    if (sequence >= oldest && sequence <= session->newest) {
        event = session->kept.events[(session->kept.head + (sequence - oldest)) % CAPACITY];
        u32_add_relaxed(&event->references, 1);
    }
    pthread_mutex_unlock(&session->kept_lock);
    if (!event) return false;
    copy_out(event, buffer, capacity, length);
    release_event(event);
    return true;
}

uint64_t baseline_newest(struct baseline_session *session) {
    pthread_mutex_lock(&session->kept_lock);
    uint64_t newest = session->newest;
    pthread_mutex_unlock(&session->kept_lock);
    return newest;
}
