/* Reading, as the files that read share it. */
#ifndef WEIR_SESSION_READ_H
#define WEIR_SESSION_READ_H

#include "attachment.h"

/* weir_read for a cursor, whatever is attached to it. */
int cursor_read(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                weir_gap *gap);

/* WEIR_END for the end of the session, with its reason. */
int cursor_end(weir_session *session, weir_cursor *cursor);

/* Adds what was read to the statistics. */
void cursor_tell_bytes(weir_engine *engine, weir_cursor *cursor);

/* Counts bytes for the statistics, which get them when the cursor has caught up, or before the count is full. */
static inline void cursor_read_bytes(weir_engine *engine, weir_cursor *cursor, size_t bytes) {
    if (UNLIKELY(bytes > UINT32_MAX - cursor->unread)) {
        cursor_tell_bytes(engine, cursor);
        if (bytes > UINT32_MAX) {
            u64_add_relaxed(&engine->bytes_read, bytes);
            return;
        }
    }
    cursor->unread += (uint32_t)bytes;
}

/* The queue is full exactly when the event `queue_depth` places ahead exists: then one more than fits was published
 * while the cursor stood here. A queue as long as the ring needs no look: its cursor finds its own event gone. */
bool cursor_has_overflowed(const struct slots *slots, const weir_cursor *cursor);

/* Tells the observer when a subscriber falls behind and when it has caught up. */
void cursor_watch(weir_session *session, weir_cursor *cursor);

/* Whether producers judge this cursor's queue. */
static inline bool cursor_is_attached(const weir_cursor *cursor) {
    return cursor->attachment != NULL && ((const struct attachment *)cursor->attachment)->exclusive;
}

/* Past three quarters of its bound, and below half of that again. */
static inline bool backlog_is_slow(uint64_t backlog, uint32_t queue_depth) {
    return backlog * 4 > (uint64_t)queue_depth * 3;
}
static inline bool backlog_has_recovered(uint64_t backlog, uint32_t queue_depth) {
    return backlog * 8 < (uint64_t)queue_depth * 3;
}

#endif
