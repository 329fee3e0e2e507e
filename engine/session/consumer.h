/* A consumer inside: feeds, the queue of those that may have something, and the batch they are read into. All of it is
 * one thread's; producers only reach the poller and, through it, the doorbell.
 *
 *   A feed is in the queue from when its outlet is told of news, or it is opened, or it has given a batch, until reading
 *   it finds nothing. Its outlet's bit is cleared before that, so what is published later puts it there again.
 *   A round is as many turns as the queue had feeds when the poller was asked last: then it is asked again. So no feed
 *   waits for more than one batch of each other one.
 *   Between two waits the consumer is awake and its descriptor readable; asleep, it is readable when somebody rang. */
#ifndef WEIR_SESSION_CONSUMER_H
#define WEIR_SESSION_CONSUMER_H

#include "base/doorbell.h"
#include "engine.h"

/* A place in a ring of feeds; one that is in no ring is a ring of its own. */
struct link {
    struct link *previous;
    struct link *next;
};

static inline void link_alone(struct link *link) {
    link->previous = link->next = link;
}
static inline bool link_is_alone(const struct link *link) {
    return link->next == link;
}
static inline void link_before(struct link *link, struct link *where) {
    link->previous = where->previous;
    link->next = where;
    where->previous->next = link;
    where->previous = link;
}
static inline void link_remove(struct link *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_alone(link);
}

struct weir_feed {
    weir_consumer *consumer;
    weir_session *session;
    weir_outlet *outlet; /* one for all feeds of the session; its user is one of them */
    void *user;
    struct link ready;  /* in the consumer's queue */
    struct link beside; /* the feeds of the session */
    bool owes_gap;      /* `gap` comes next: it was met at the start, or behind events that went first */
    bool over;          /* the end was told */
    weir_gap gap;
    weir_cursor cursor;
};

static inline weir_feed *feed_of_ready(struct link *link) {
    return (weir_feed *)(void *)((char *)link - offsetof(weir_feed, ready));
}
static inline weir_feed *feed_of_beside(struct link *link) {
    return (weir_feed *)(void *)((char *)link - offsetof(weir_feed, beside));
}

struct store {
    char *data;
    size_t size;
};

/* What stands in the batch's memory, for the next feed of that session which is at the same event. */
struct built {
    uint64_t epoch; /* of the session */
    uint64_t first;
    uint64_t next;
    uint32_t count;
    uint32_t payload; /* bytes */
    size_t length;
    bool caught_up; /* nothing followed, and the poller has not been asked since */
};

struct weir_consumer {
    weir_engine *engine;
    weir_poller *poller;
    weir_consumer_config config; /* resolved */
    struct link ready;           /* the queue's ends */
    uint32_t feeds;
    uint32_t turns; /* left of this round */
    bool asleep;
    struct store bytes;   /* of the batch */
    struct store payload; /* of one event, where frames are rendered */
    weir_view *views;
    struct built built;
    weir_feed *held; /* its event is in `payload`: there was no memory for the frame */
    weir_event held_event;
    struct doorbell bell;
};

/* Makes a store larger, keeping its first `kept` bytes. */
bool store_grow(weir_engine *engine, struct store *store, size_t size, size_t kept);

/* Gives the feed a place in the queue, if it has none: the last one. */
static inline void feed_make_ready(weir_feed *feed) {
    if (link_is_alone(&feed->ready)) link_before(&feed->ready, &feed->consumer->ready);
}

/* What the feed has next, of which it has taken itself out of the queue or not. WEIR_OK, WEIR_EMPTY, WEIR_NO_MEMORY. */
int feed_next(weir_feed *feed, weir_batch *batch);

#endif
