/* The straightforward design, to measure weir against: a map of sessions in shards, each under a mutex; per session a
 * mutex over the newest events, kept as reference-counted heap blocks in a bounded deque, and a bounded channel (mutex
 * and condition variable) to the one live consumer. It is what one writes first, written with care: no lock is held
 * over an allocation that could be avoided, nobody is signalled who does not wait. It keeps weir's promises to a
 * polling reader and its order; it has no gaps to report, no policies and no bound on bytes. */
#ifndef WEIR_BENCH_BASELINE_H
#define WEIR_BENCH_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct baseline;
struct baseline_session;

struct baseline *baseline_create(void);
void baseline_destroy(struct baseline *baseline);

/* Finds the session, or makes it on request. It lives as long as the registry. NULL: not there, or no memory. */
struct baseline_session *baseline_find(struct baseline *baseline, const char *name, bool create);

/* Copies the bytes into a new event, keeps it, and hands it to the live consumer where there is one, waiting for room in
 * its channel. Returns the sequence, from 1; 0 without memory. */
uint64_t baseline_publish(struct baseline_session *session, const void *data, size_t length);

/* From now on publishes go to the channel as well. */
void baseline_attach(struct baseline_session *session);

/* Waits for the next live event and copies it out; returns its sequence. */
uint64_t baseline_receive(struct baseline_session *session, void *buffer, size_t capacity, size_t *length);

/* Copies event `sequence` out of the deque; false when it is not kept. */
bool baseline_read(struct baseline_session *session, uint64_t sequence, void *buffer, size_t capacity,
                   size_t *length);

uint64_t baseline_newest(struct baseline_session *session);

#endif
