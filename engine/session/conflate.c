/* Conflation: a consumer that has fallen behind its queue gets, of the events with a key, only the latest of each key.
 *
 * When the backlog passes queue_depth, what is published by then is looked through once, newest first: an event whose key
 * has been met already is superseded, and a bit says so. The consumer passes those over, up to where that look began, and
 * then reads on as ever. The memory is taken at the first such moment and belongs to the consumer. */
#include <string.h>

#include "base/memory.h"
#include "read.h"

struct conflation {
    uint64_t from;    /* what was looked through; before it there is nothing to judge: the ring has lost it */
    uint64_t until;   /* events from here on were not looked through */
    uint32_t counted; /* superseded since the last event that was delivered */
    uint32_t places;  /* of the ring */
    uint64_t *bits;   /* by place: superseded */
    uint64_t *keys;   /* open addressing, twice as many as places; taken[] says which are in use */
    uint64_t *taken;
};

static size_t bits_size(uint32_t places) {
    return ((size_t)places + 63) / 64 * sizeof(uint64_t);
}

static size_t conflation_size(uint32_t places) {
    return sizeof(struct conflation) + bits_size(places) + (size_t)places * 2 * sizeof(uint64_t) +
           bits_size(places * 2);
}

static struct conflation *conflation_make(weir_engine *engine, uint32_t places) {
    char *memory = (char *)memory_take(&engine->config.allocator, conflation_size(places), 8);
    if (memory == NULL) return NULL;
    struct conflation *conflation = (struct conflation *)(void *)memory;
    conflation->places = places;
    conflation->bits = (uint64_t *)(void *)(memory + sizeof(struct conflation));
    conflation->keys = conflation->bits + bits_size(places) / sizeof(uint64_t);
    conflation->taken = conflation->keys + (size_t)places * 2;
    return conflation;
}

void conflate_free(weir_engine *engine, struct attachment *attachment) {
    struct conflation *conflation = attachment->conflation;
    if (conflation != NULL)
        memory_give(&engine->config.allocator, conflation, conflation_size(conflation->places), 8);
    attachment->conflation = NULL;
}

static bool bit_get(const uint64_t *bits, uint64_t index) {
    return bits[index / 64] >> (index % 64) & 1;
}

static void bit_set(uint64_t *bits, uint64_t index) {
    bits[index / 64] |= 1ull << (index % 64);
}

/* Adds a key: false when it was there. There are twice as many places as events, so the search ends. */
static bool add_key(struct conflation *conflation, uint64_t key) {
    uint64_t mask = (uint64_t)conflation->places * 2 - 1;
    uint64_t at = (key * 0x9E3779B97F4A7C15ull >> 32) & mask;
    while (bit_get(conflation->taken, at)) {
        if (conflation->keys[at] == key) return false;
        at = (at + 1) & mask;
    }
    bit_set(conflation->taken, at);
    conflation->keys[at] = key;
    return true;
}

/* The key of an event. False when it has none, and when it is gone: then reading it says so. */
static bool key_of(const weir_session *session, const struct slots *slots, uint64_t sequence, uint64_t *key) {
    uint64_t facts;
    char payload[1];
    uint32_t keyed;
    uint64_t broadcast;
    const struct cell_pool *pool = &session->engine->pool;
    if (slots_read(slots, pool, sequence, payload, 0, &facts) != SLOT_EVENT || !facts_are_rare(facts)) return false;
    return slots_read_rare(slots, pool, sequence, &keyed, key, &broadcast) == SLOT_EVENT && keyed;
}

/* Looks through [from, next), newest first. */
static void look_through(const weir_session *session, const struct slots *slots, struct conflation *conflation,
                         uint64_t from, uint64_t next) {
    memset(conflation->bits, 0, bits_size(conflation->places));
    memset(conflation->taken, 0, bits_size(conflation->places * 2));
    conflation->from = next - from > conflation->places ? next - conflation->places : from;
    for (uint64_t sequence = next; sequence-- > conflation->from;) {
        uint64_t key;
        if (!key_of(session, slots, sequence, &key)) continue;
        if (!add_key(conflation, key)) bit_set(conflation->bits, sequence & slots->mask);
    }
    conflation->until = next;
}

/* Whether it is time to look: the consumer is live, what was looked through is read, and the backlog is over its bound.
 * What stands behind the consumer's end supersedes nothing. */
static bool must_look(const weir_session *session, const struct slots *slots, const weir_cursor *cursor,
                      const struct conflation *conflation, uint64_t *next) {
    if (!cursor->live || (conflation != NULL && cursor->next < conflation->until)) return false;
    *next = session_next(session, slots);
    if (*next > cursor->end) *next = cursor->end;
    return *next > cursor->next && *next - cursor->next > cursor->queue_depth;
}

bool conflate_is_superseded(weir_session *session, const struct slots *slots, weir_cursor *cursor) {
    struct attachment *attachment = (struct attachment *)cursor->attachment;
    uint64_t next;
    if (must_look(session, slots, cursor, attachment->conflation, &next)) {
        if (attachment->conflation == NULL)
            attachment->conflation = conflation_make(session->engine, slots->mask + 1);
        if (attachment->conflation == NULL) return false; /* without memory it reads all that is there */
        look_through(session, slots, attachment->conflation, cursor->next, next);
    }
    struct conflation *conflation = attachment->conflation;
    if (conflation == NULL || cursor->next < conflation->from || cursor->next >= conflation->until) return false;
    if (!bit_get(conflation->bits, cursor->next & slots->mask)) return false;
    conflation->counted++;
    u64_add_relaxed(&session->engine->conflated, 1);
    return true;
}

uint32_t conflate_take_count(weir_cursor *cursor) {
    struct conflation *conflation = ((struct attachment *)cursor->attachment)->conflation;
    if (conflation == NULL) return 0;
    uint32_t counted = conflation->counted;
    conflation->counted = 0;
    return counted;
}
