/* Attachments: what is kept of a consumer beyond its cursor. A session's one attached consumer (weir_attach, policy
 * REFUSE) has one that producers look at; a subscriber with a token, a limit or conflation has one of its own.
 *
 *   owner      the consumer's thread writes `position` and `seen_ms`; everything else is written before the attachment
 *              is linked, or changed by compare-and-swap by whoever comes
 *   life       one reference of the cursor's, one of the session's while it is the newest one there, and one of each
 *              thread that works on it. The memory is a slab's: a pointer stays good while the engine lives
 *   state      reason it was closed for (8) | flags (8) | fulls in a row (16) | fulls in all (16). Closing is one
 *              compare-and-swap, so that of all who find a reason one closes it, counts it and tells it (BKP-12)
 *
 *   pairing                                                             without it
 *   A1 seq_cst: session->attachment, compare-and-swap and loads         an attach and an eviction of the one before
 *                                                                       both succeed (BKP-13); a publish and an attach
 *                                                                       miss each other
 *   A2 release: position store      A3 acquire: producer's load         a place counts as free that is still being read
 *   A4 acq_rel: state compare-and-swap, and acquire loads               `end` is read before it is written
 *   A5 seq_cst: closing, then the look for the first free sequence;     an event is told to be accepted, and is past the
 *      publishing (R2), then the look whether it is closed              end of the one that it was accepted for
 *   A6 a reference: attaching holds the one that it replaces until      the memory of that one comes back under the same
 *      the compare-and-swap of session->attachment is through           pointer as a later one: an older consumer displaces
 *                                                                       it (SES-19), or two have the queue
 *
 * Evicting a session on account of its consumer (BKP-10, LIV-13, TOK-03) is bound to that attachment: the reason is put
 * into the low bits of the very pointer that was examined, which fails when another consumer has attached. From then on
 * whoever sees the bits ends the session first. */
#ifndef WEIR_SESSION_ATTACHMENT_H
#define WEIR_SESSION_ATTACHMENT_H

#include <ck_ec.h>
#include <weir_quota.h>

#include "engine.h"

struct conflation;

struct attachment {
    atomic_u32 references;
    uint32_t index;
    weir_engine *engine;   /* what a late holder needs must not be asked of the session, whose memory may be gone */
    atomic_u64 generation; /* written before it is linked; relaxed, for those who check under a reference */
    weir_session *session;
    atomic_u64 state;
    atomic_u64 end; /* the first sequence that is not delivered; UINT64_MAX until it is closed and that is known */
    uint64_t token_expiry_s;
    uint64_t connected_wall_s;
    atomic_u64 active_wall_s;
    atomic_u64 full_ms; /* up to when the total has been forgiven (rules.full_decay_ms) */
    uint32_t queue_depth;
    uint16_t consecutive_max;
    uint16_t total_max;
    uint8_t policy;
    bool exclusive;                /* linked to the session: producers judge it */
    bool acknowledged;             /* position moves by weir_acknowledge */
    bool bounded;                  /* REFUSE with bounds */
    bool late;                     /* the session had ended before it came: it reads to the session's end */
    struct ck_ec32 room;           /* counts every change that a waiting publisher may wait for */
    struct conflation *conflation; /* the consumer's */
    weir_quota_slot principal;
    weir_quota_slot address;
    /* Written by the consumer. */
    CACHE_ALIGNED atomic_u64 position;
    atomic_u64 seen_ms;
};

#define ATTACHMENT_REASONS 64u /* attachments are aligned so: the low bits of a pointer hold a reason */

static inline struct attachment *attachment_of(void *word) {
    return (struct attachment *)((uintptr_t)word & ~(uintptr_t)(ATTACHMENT_REASONS - 1));
}
static inline weir_end_reason attachment_doom(void *word) {
    return (weir_end_reason)((uintptr_t)word % ATTACHMENT_REASONS);
}

#define STATE_SLOW  (1ull << 8) /* WEIR_NOTICE_SLOW was told */
#define STATE_TOKEN (1ull << 9) /* WEIR_NOTICE_TOKEN_EXPIRED was told */

static inline weir_end_reason state_reason(uint64_t state) {
    return (weir_end_reason)(state & 0xFF);
}
static inline uint32_t state_consecutive(uint64_t state) {
    return (uint32_t)(state >> 16) & 0xFFFF;
}
static inline uint32_t state_total(uint64_t state) {
    return (uint32_t)(state >> 32) & 0xFFFF;
}
static inline uint64_t state_with_counts(uint64_t state, uint32_t consecutive, uint32_t total) {
    return (state & 0xFFFF) | (uint64_t)consecutive << 16 | (uint64_t)total << 32;
}

/* The session's newest attachment under a reference, NULL when there is none. Finishes an eviction that it meets. */
struct attachment *attachment_hold(weir_session *session);
void attachment_drop(struct attachment *attachment);

/* Closes it: true for the one caller that did. `end` is the first sequence its consumer does not get, UINT64_MAX for the
 * first one not published by now. Tells the observer, counts, wakes waiting publishers and the consumer. The caller
 * holds a reference. */
bool attachment_close(struct attachment *attachment, weir_end_reason reason, uint64_t end);

/* Where delivery stops for a closed attachment. */
uint64_t attachment_end(struct attachment *attachment);

/* Ends the session for `reason` on account of this attachment, unless another consumer has attached: true for the one
 * caller that did. The caller holds a reference. */
bool attachment_evict_session(struct attachment *attachment, weir_end_reason reason, uint64_t end);

/* Ends a session whose attachment pointer has been marked. */
void attachment_finish_eviction(weir_session *session, void *word);

/* Whether the token is past its time: strictly, in whole seconds (TOK-02). */
static inline bool attachment_token_expired(const struct attachment *attachment) {
    return attachment->token_expiry_s != 0 && attachment->token_expiry_s < engine_wall_s(attachment->session->engine);
}

/* Applies rules.token_policy to an expired token; true when the attachment's consumer and producers must stop. *evicted
 * tells the one caller that ended the session. */
bool attachment_judge_token(struct attachment *attachment, bool *evicted);

/* Wakes publishers that wait for room (weir_offer_wait). */
void attachment_signal(struct attachment *attachment);

/* The session has ended, or its memory is going: closes what is attached; gives the session's reference back. */
void attachment_session_ended(weir_session *session, weir_end_reason reason);
void attachment_session_free(weir_session *session);

/* Makes one for the cursor; not linked. Statuses of weir_subscribe. */
int attachment_create(weir_session *session, const weir_subscription *how, const weir_cursor *cursor,
                      struct attachment **attachment);

/* Counts a consumer in and out, against max_subscribers and max_session_subscribers. */
int consumer_join(weir_session *session, weir_refusal *refusal);
void consumer_leave(weir_session *session);

/* Reading with an attachment (read_attached.c). */
int read_attached(weir_session *session, weir_cursor *cursor, void *buffer, size_t capacity, weir_event *event,
                  weir_gap *gap);
/* The cursor's consumer is done with everything below `next`. */
void attachment_advance(weir_session *session, weir_cursor *cursor, uint64_t next);

/* Conflation (conflate.c): whether the event at the cursor is superseded and to be passed over; counts it in the
 * cursor's attachment. */
bool conflate_is_superseded(weir_session *session, const struct slots *slots, weir_cursor *cursor);
uint32_t conflate_take_count(weir_cursor *cursor);
void conflate_free(weir_engine *engine, struct attachment *attachment);

#endif
