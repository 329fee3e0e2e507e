/* weir — channels: publish once, delivered to every member session. Part of weir.h, which includes it; sessions,
 * producers, messages and the statuses are there.
 *
 * A channel has a name and members. What is published to it is stored once, and becomes an event of each member session:
 * in that session's order, with a sequence there, kept, replayed and read like any other, and with the same
 * weir_event.broadcast everywhere. Members are sessions, not consumers: one that nobody is attached to keeps the event.
 *
 *   | handle       | made by           | given back by        | who may use it                         |
 *   |--------------|-------------------|----------------------|----------------------------------------|
 *   | weir_channel | weir_channel_open | weir_channel_release | any thread, while it holds a reference |
 *
 * A membership is one record that both sides read, so the list of a session and the members of a channel never disagree
 * (contract SUB-11). It ends when the session leaves, when the channel is removed, and with the session itself. A channel
 * that nobody holds and that has no member is gone, but for one that an ended session has yet to tell of.
 *
 * rules.exclusive decides whether a channel may have more than one member, for all channels of an engine. */
#ifndef WEIR_CHANNEL_H
#define WEIR_CHANNEL_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weir_channel weir_channel;

/* ---- Channels ----------------------------------------------------------------------------------------------- */

/* Finds the channel called `name` (the bytes and the length of a session's name) and takes a reference; creates it with
 * WEIR_OPEN_OR_CREATE. *created, which may be NULL, tells whether this call made it. Any thread; lock-free.
 * WEIR_NOT_FOUND, WEIR_INVALID (also another mode than these two), WEIR_CHANNELS_LIMIT, WEIR_NO_MEMORY. */
WEIR_API int weir_channel_open(weir_engine *engine, const char *name, size_t length, weir_open mode,
                               weir_channel **channel, int *created);

/* Takes one more reference; the caller must hold one. Any thread; wait-free. */
WEIR_API void weir_channel_retain(weir_channel *channel);

/* Gives one back. NULL does nothing. Any thread; lock-free. */
WEIR_API void weir_channel_release(weir_channel *channel);

/* The channel's name and its length; not terminated, and valid while the channel is held. Any thread; wait-free. */
WEIR_API const char *weir_channel_name(const weir_channel *channel, size_t *length);

/* How many sessions are members, at some instant during the call. Any thread; wait-free. */
WEIR_API uint32_t weir_channel_members(const weir_channel *channel);

/* Ends all memberships of the channel of that name that were there when the call began (SUB-06). WEIR_OK; WEIR_NOT_FOUND
 * when there is no such channel, and nothing is done. Any thread; lock-free. */
WEIR_API int weir_channel_remove(weir_engine *engine, const char *name, size_t length);

/* ---- Members ------------------------------------------------------------------------------------------------ */

/* Makes the session a member; one that is already stays one, and takes no second place (SUB-11). Racing with the end of
 * the session, it either fails, or the membership ends with the session (SUB-12). The caller holds both. Any thread;
 * lock-free but for the allocator.
 * WEIR_CLOSED (the session has ended); WEIR_JOINS_LIMIT (max_session_channels, SUB-03), WEIR_MEMBERS_LIMIT
 * (max_channel_members) and WEIR_FOREIGN (rules.exclusive REFUSE, and another session is the member), which fill
 * *refusal, which may be NULL; WEIR_NO_MEMORY; WEIR_INVALID (of two engines). */
WEIR_API int weir_channel_join(weir_channel *channel, weir_session *session, weir_refusal *refusal);

/* Ends that membership. What was published before stays in the session. WEIR_OK when this call ended it, WEIR_NOT_FOUND
 * when the session is no member. Any thread; lock-free. */
WEIR_API int weir_channel_leave(weir_channel *channel, weir_session *session);

/* Called for one channel, which is valid during the call and may be retained in it. It must not call the functions
 * below for the same session. */
typedef void (*weir_channel_visitor)(void *context, weir_channel *channel);

/* Tells the channels that the session is a member of, in the order of joining. One that is joined or left meanwhile may
 * be told or not. Nothing is told of a session that has ended. Any thread that holds the session; lock-free. */
WEIR_API void weir_session_channels(weir_session *session, weir_channel_visitor visitor, void *context);

/* Leaves them all, and tells each, in the order of joining, to the one caller that ended it (SES-24, SUB-07). After the
 * session's own end it tells, once, the memberships that ended with it: also from inside weir_sweep.ended. `visitor` may
 * be NULL. Returns how many were told. Any thread that holds the session; lock-free. */
WEIR_API uint32_t weir_session_leave_all(weir_session *session, weir_channel_visitor visitor, void *context);

/* ---- Publishing --------------------------------------------------------------------------------------------- */

/* What became of a broadcast. */
typedef struct weir_broadcast {
    uint64_t number;   /* weir_event.broadcast of every copy; unique in the engine; 0 when nothing was published */
    uint32_t members;  /* that it was offered to */
    uint32_t accepted; /* published into, and replayable there */
    uint32_t full;     /* that refused it (WEIR_POLICY_REFUSE): theirs is the loss, and it is counted there */
    uint32_t ended;    /* that had ended, or ended with it (BRD-03) */
} weir_broadcast;

/* Publishes the message to every session that was a member when the call began and still is when its turn comes: one
 * copy to each, never two, also when it leaves and joins again meanwhile (BRD-08). It waits for no receiver (BRD-07):
 * each is offered the event as by weir_offer, and its own policy decides. No members is WEIR_OK with all counts 0
 * (BRD-02). Two broadcasts by different producers may stand in different orders in different sessions.
 * *result is filled in any case and may be NULL. The caller holds the channel. The producer's thread; lock-free.
 * WEIR_INVALID, WEIR_TOO_LARGE: nobody got it. WEIR_NO_MEMORY, WEIR_BYTES_LIMIT: those of `members` that the other
 * counts leave over did not get it. */
WEIR_API int weir_channel_publish(weir_producer *producer, weir_channel *channel, const weir_message *message,
                                  weir_broadcast *result);

/* The same by name: no such channel is no members (BRD-02). */
WEIR_API int weir_channel_send(weir_producer *producer, const char *name, size_t length, const weir_message *message,
                               weir_broadcast *result);

#ifdef __cplusplus
}
#endif
#endif
