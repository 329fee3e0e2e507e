/* weir — events in batches, for those who do their own I/O: no reactor, no thread, one descriptor to wait on. Part of
 * weir.h, which includes it; the statuses, the subscriptions and the gaps are there.
 *
 *   | handle        | made by               | given back by         | who may use it      |
 *   |---------------|-----------------------|-----------------------|---------------------|
 *   | weir_consumer | weir_consumer_create  | weir_consumer_destroy | one thread          |
 *   | weir_feed     | weir_feed_subscribe,  | weir_feed_close       | its consumer's      |
 *   |               | weir_feed_attach      |                       |                     |
 *
 * A consumer bundles what one consuming thread needs: a poller, an eventfd by which producers wake it, and feeds, each
 * of which reads one session for one client. Its loop, beside whatever else the thread waits for:
 *
 *   wait until weir_consumer_fd is readable
 *   while (weir_consumer_next(consumer, &batch) == WEIR_OK)
 *       send batch.bytes to batch.user, or say that batch.gap is lost, or that it is over
 *
 * The descriptor is readable from the first news on until weir_consumer_next has said WEIR_EMPTY. Who waits for levels
 * (poll, epoll, io_uring's poll) may take as many batches at a time as suits him; who waits for edges takes all, until
 * WEIR_EMPTY. A wait may now and then end in vain. Nothing here reads a clock: weir_engine_tick and weir_engine_maintain
 * stay the loop's. */
#ifndef WEIR_CONSUMER_H
#define WEIR_CONSUMER_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_consumer weir_consumer;
typedef struct weir_feed weir_feed;

#define WEIR_BATCH_EVENTS_MAX 65536u
#define WEIR_BATCH_BYTES_MAX  (1u << 30)

/* Every field but `size`: 0 means the default that its comment names. Begin with WEIR_CONSUMER_CONFIG_INIT.
 * weir copies the structure. An unknown, longer structure is taken when its tail is zero. */
typedef struct weir_consumer_config {
    size_t size;           /* sizeof(weir_consumer_config) */
    uint32_t max_feeds;    /* 1 .. 2^24, default: the engine's max_sessions */
    uint32_t batch_events; /* in one batch, 1 .. 65,536, default 256 */
    size_t batch_bytes;    /* a batch ends when it has so many: 1 .. 2^30, default 64 KiB. One event always fits: the
                              memory for batches grows to the largest one */
    /* Writes the frame of one event, `event->length` payload bytes at `data`, to `out` and returns how long it is; when
     * that is more than `room` what it wrote does not count, and it is called again with more. 0 leaves the event out of
     * the bytes. The frame must be the same whenever it is asked for: feeds of one session may share it. Called inside
     * weir_consumer_next; all pointers are good during the call, and it must not use the consumer. NULL: no frames, the
     * bytes of a batch are the payloads one after the other. */
    size_t (*render)(void *context, const weir_session *session, const weir_event *event, const void *data, char *out,
                     size_t room);
    void *context;
} weir_consumer_config;

/* Makes a consumer without feeds. `config` may be NULL for all defaults. It takes one of the engine's pollers.
 * Any thread; may block in the allocator. WEIR_INVALID (a field out of range), WEIR_POLLERS_LIMIT, WEIR_NO_MEMORY,
 * WEIR_DESCRIPTORS_LIMIT; *consumer is NULL then. */
WEIR_API int weir_consumer_create(weir_engine *engine, const weir_consumer_config *config, weir_consumer **consumer);

/* Closes all of its feeds and the descriptor, and frees it. NULL does nothing. As with weir_poller_destroy no producer
 * may publish meanwhile to a session that had a feed here. */
WEIR_API void weir_consumer_destroy(weir_consumer *consumer);

/* The descriptor to wait on. The caller only waits; it never reads, writes or closes it. Valid while the consumer lives.
 * Any thread; wait-free. */
WEIR_API int weir_consumer_fd(const weir_consumer *consumer);

/* Opens a feed on the session, by weir_subscribe or by weir_attach; `how` (which may be NULL) and the statuses are
 * theirs, but what is lost at the start is no status of this call: it comes as the feed's first batch. The feed takes a
 * reference to the session. `user` comes with each of its batches. A session may have any number of feeds here; those
 * that stand at the same event share the work. The consumer's thread; may block in the allocator, else lock-free.
 * WEIR_OUTLETS_LIMIT (max_feeds, or the engine's outlets), WEIR_NO_MEMORY, WEIR_INVALID, WEIR_BUSY and the limits of
 * weir_subscribe; *feed is NULL then. */
WEIR_API int weir_feed_subscribe(weir_consumer *consumer, weir_session *session, const weir_subscription *how,
                                 void *user, weir_feed **feed);
WEIR_API int weir_feed_attach(weir_consumer *consumer, weir_session *session, const weir_subscription *how,
                              void *user, weir_feed **feed);

/* Ends it, by weir_unsubscribe. NULL does nothing. The consumer's thread; lock-free. */
WEIR_API void weir_feed_close(weir_feed *feed);

/* The feed's session, good while the feed is open, and its cursor, to be read only: cursor->generation names the
 * attachment, cursor->next the event that comes next. The consumer's thread; wait-free. */
WEIR_API weir_session *weir_feed_session(const weir_feed *feed);
WEIR_API const weir_cursor *weir_feed_cursor(const weir_feed *feed);

/* One event of a batch, as in weir_event; `data` and `length` are its part of the batch's bytes, frame or payload. */
typedef struct weir_view {
    uint64_t sequence;
    uint64_t time_ms;
    uint64_t key;
    uint64_t broadcast;
    const char *data;
    size_t length;
    uint32_t kind;
    uint32_t keyed;
    uint32_t superseded;
    uint32_t reserved;
} weir_view;

/* What one feed has next. */
typedef struct weir_batch {
    weir_feed *feed;
    void *user;
    int status;     /* WEIR_OK: events; WEIR_GAP: `gap`; WEIR_LAGGED and WEIR_END: `ended`, and nothing follows */
    uint32_t count; /* events: 1 to batch_events with WEIR_OK, otherwise 0 */
    const weir_view *views; /* `count` of them, in order */
    const char *bytes;      /* all of it in one run, in the order of the views */
    size_t length;
    weir_gap gap;
    weir_end_reason ended;
    uint64_t last; /* the last sequence that is told of with this batch, lost ones included */
} weir_batch;

/* The next batch of any feed. Feeds take turns: one that always has more does not keep the others waiting for more than
 * a batch each. Views and bytes are good until the next call.
 *   WEIR_OK         *batch is filled
 *   WEIR_EMPTY      no feed has anything; the descriptor is not readable until one has
 *   WEIR_NO_MEMORY  a batch could not be made large enough for one event, which is not lost; call again
 * The consumer's thread. It allocates only for an event larger than any before. System calls: one write or read of the
 * eventfd where the descriptor has to change, none for further batches. */
WEIR_API int weir_consumer_next(weir_consumer *consumer, weir_batch *batch);

/* weir_acknowledge for a feed that was opened with how->acknowledged: its events up to and including `sequence` have
 * arrived (batch.last, or that of one of its views, for bytes that have only arrived in part), and their places in the
 * live queue are free. What has not been acknowledged comes again for a feed that is opened with the id of the last
 * event that was. For other feeds it does nothing. The consumer's thread; wait-free but for waking a waiting publisher. */
WEIR_API void weir_feed_acknowledge(weir_feed *feed, uint64_t sequence);

#ifdef __cplusplus /* which learnt to name a field here in C++20 */
static inline weir_consumer_config weir_consumer_config_init(void) {
    weir_consumer_config config = {};
    config.size = sizeof(config);
    return config;
}
#define WEIR_CONSUMER_CONFIG_INIT weir_consumer_config_init()
#else
#define WEIR_CONSUMER_CONFIG_INIT                                                                                    \
    { .size = sizeof(weir_consumer_config) }
#endif

#ifdef __cplusplus
}
#endif
#endif
