/* The publish that waits: weir_offer, and where it finds the queue full, Concurrency Kit's event count until the
 * consumer has made room or has gone. Only the caller waits; the way of the others is the same as ever. */
#include <ck_ec.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attachment.h"
#include "base/system.h"
#include "publish.h"
#include "wait.h"

/* The event count takes a deadline inside the first second of the clock for "do not wait", so its clock is one second
 * ahead of ours. */
#define AHEAD_S 1

static struct timespec to_timespec(uint64_t ns) {
    struct timespec time = {(time_t)(ns / 1000000000u) + AHEAD_S, (long)(ns % 1000000000u)};
    return time;
}

static int read_clock(const struct ck_ec_ops *ops, struct timespec *now) {
    const struct wait_ops *own = (const struct wait_ops *)(const void *)ops;
    *now = to_timespec(own->clock.now_ns(own->clock.context));
    return 0;
}

/* Every way to return early is allowed: the event count looks. A deadline by the system's clock is the kernel's to keep,
 * one by another clock has to be looked at. */
static void futex_wait(const struct ck_ec_wait_state *state, const uint32_t *address, uint32_t expected,
                       const struct timespec *deadline) {
    static const struct timespec slice = {0, 10 * 1000000};
    const struct wait_ops *own = (const struct wait_ops *)(const void *)state->ops;
    if (own->clock.now_ns != system_clock().now_ns) {
        syscall(SYS_futex, address, FUTEX_WAIT_PRIVATE, expected, &slice, NULL, 0);
        return;
    }
    struct timespec absolute = {0, 0};
    if (deadline != NULL) absolute = (struct timespec){deadline->tv_sec - AHEAD_S, deadline->tv_nsec};
    syscall(SYS_futex, address, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline != NULL ? &absolute : NULL, NULL,
            FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake(const struct ck_ec_ops *ops, const uint32_t *address) {
    (void)ops;
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

void wait_ops_init(struct wait_ops *ops, const weir_clock *clock) {
    ops->ops = (struct ck_ec_ops){.gettime = read_clock, .wait32 = futex_wait, .wake32 = futex_wake};
    ops->clock = *clock;
}

static struct ck_ec_mode mode_of(const weir_engine *engine) {
    struct ck_ec_mode mode = {&engine->wait_ops.ops, false};
    return mode;
}

/* A locked increment: also the barrier between the position that was stored before and a waiter's mark. */
void attachment_signal(struct attachment *attachment) {
    struct ck_ec_mode mode = mode_of(attachment->session->engine);
    ck_ec32_inc(&attachment->room, &mode);
}

static bool has_gone(weir_end_reason reason) {
    return reason == WEIR_ENDED_PEER || reason == WEIR_ENDED_DETACHED || reason == WEIR_ENDED_SILENT;
}

/* One attempt, bound to this attachment; the event count is read first, so that room made later ends the wait. */
static int try_once(weir_producer *producer, weir_session *session, const weir_message *message,
                    struct attachment *attachment, uint32_t *seen, weir_receipt *receipt) {
    *seen = ck_ec32_value(&attachment->room);
    weir_end_reason reason = state_reason(u64_load_acquire(&attachment->state));
    if (reason == WEIR_ENDED_NOT) return publish_bound(producer, session, message, attachment, receipt);
    receipt->live = WEIR_LIVE_CLOSED;
    if (reason == WEIR_ENDED_TOKEN) return WEIR_TOKEN_EXPIRED;
    return has_gone(reason) ? WEIR_PEER_GONE : WEIR_CLOSED;
}

static int offer_until(weir_producer *producer, weir_session *session, const weir_message *message,
                       struct attachment *attachment, uint64_t deadline_ns, weir_receipt *receipt) {
    const weir_clock *clock = &producer->engine->config.clock;
    struct timespec deadline = to_timespec(deadline_ns);
    struct ck_ec_mode mode = mode_of(producer->engine);
    *receipt = (weir_receipt){0, 0, WEIR_LIVE_NONE, u64_load_relaxed(&attachment->generation)};
    for (;;) {
        uint32_t seen;
        int status = try_once(producer, session, message, attachment, &seen, receipt);
        if (status != WEIR_FULL) return status;
        if (clock->now_ns(clock->context) >= deadline_ns) return WEIR_TIMEOUT;
        ck_ec32_wait(&attachment->room, &mode, seen, &deadline);
    }
}

/* Whether a full queue can be met. A consumer that had gone before has none, and the event is kept for the next one
 * (LIV-05); but where a session goes with its consumer it is not the waiting publish that takes it along (LIV-14). */
static bool may_wait(const weir_session *session, const struct attachment *attachment) {
    if (attachment->policy != WEIR_POLICY_REFUSE) return false;
    weir_end_reason reason = state_reason(u64_load_acquire(&attachment->state));
    return !has_gone(reason) ||
           (reason == WEIR_ENDED_PEER && session->engine->config.rules.closed_action == WEIR_CLOSED_REMOVE);
}

int weir_offer_wait(weir_producer *producer, weir_session *session, const weir_message *message, uint64_t deadline_ns,
                    weir_receipt *receipt) {
    weir_receipt unwanted;
    if (receipt == NULL) receipt = &unwanted;
    struct attachment *attachment = attachment_hold(session);
    bool waits = attachment != NULL && may_wait(session, attachment);
    int status = waits ? offer_until(producer, session, message, attachment, deadline_ns, receipt)
                       : publish_offer(producer, session, message, receipt);
    if (attachment != NULL) attachment_drop(attachment);
    return status;
}
