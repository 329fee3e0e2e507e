/* The sweep: ends what is past its time, in slices of bounded length (contract TTL, TOK-06). Each end is claimed at the
 * very state that was looked at, so that life which gets in between keeps the session (TTL-18). */
#include "attachment.h"

#define IDLE_TTL_LONGEST_MS (1ull << 53)
#define IDLE_TTL_ABSURD_MS  (30ull * 24 * 3600 * 1000) /* what a longer one is read as (TTL-06) */

/* When the session was last published to. The newest event carries the time; no publish pays for a stamp of its own.
 * False when that event is being replaced at this moment: then the session is anything but idle. */
static bool last_publish_ms(const weir_session *session, const struct slots *slots, uint64_t next,
                            uint64_t *time_ms) {
    char payload[1];
    uint64_t facts;
    if (next == session->first_sequence) return true;
    enum slot_state state = slots_read(slots, &session->engine->pool, next - 1, payload, 0, &facts);
    if (state != SLOT_EVENT) return false;
    uint64_t published_ms = event_time_at(engine_now_ms(session->engine), facts);
    if (published_ms > *time_ms) *time_ms = published_ms;
    return true;
}

static bool is_past(uint64_t now_ms, uint64_t since_ms, uint64_t ttl_ms) {
    return now_ms >= since_ms && now_ms - since_ms >= ttl_ms; /* C-26: the ttl included */
}

static bool expire_if_idle(weir_session *session, uint64_t idle_ttl_ms) {
    const weir_rules *rules = &session->engine->config.rules;
    struct life_seen seen = {session->first_sequence, 0, rules->idle_scope == WEIR_IDLE_DETACHED};
    bool stream_counts = seen.any_consumer || (rules->activity & WEIR_ACTIVE_STREAM) != 0;
    if (stream_counts && u32_load_acquire(&session->subscribers) > 0) return false;
    seen.any_consumer = stream_counts;
    seen.touched_ms = u64_load_seq_cst(&session->touched_ms);
    uint64_t active_ms = seen.touched_ms;
    const struct slots *slots = session_slots(session);
    if (slots != NULL) {
        seen.next = session_next(session, slots);
        if ((rules->activity & WEIR_ACTIVE_SEND) && !last_publish_ms(session, slots, seen.next, &active_ms))
            return false;
    }
    if (!is_past(engine_now_ms(session->engine), active_ms, idle_ttl_ms)) return false;
    return session_expire(session, &seen);
}

bool session_expire_if_due(weir_session *session, uint32_t what, uint64_t idle_ttl_ms) {
    const weir_engine *engine = session->engine;
    uint32_t absolute_ttl_ms = engine->config.absolute_ttl_ms;
    if ((what & WEIR_SWEEP_ABSOLUTE) && absolute_ttl_ms != 0 &&
        is_past(engine_now_ms(engine), session->created_ms, absolute_ttl_ms))
        return session_end(session, WEIR_ENDED_EXPIRED);
    return (what & WEIR_SWEEP_IDLE) && idle_ttl_ms != IDLE_NEVER && expire_if_idle(session, idle_ttl_ms);
}

/* The consumer's token, and its signs of life. Bound to the attachment that is looked at (TOK-14). True when the session
 * ended with it. */
static bool sweep_consumer(weir_session *session, uint32_t what) {
    const weir_engine *engine = session->engine;
    bool evicted = false;
    if (pointer_load_acquire(&session->attachment) == NULL) return false;
    struct attachment *attachment = attachment_hold(session);
    if (attachment == NULL) return false;
    bool open = state_reason(u64_load_acquire(&attachment->state)) == WEIR_ENDED_NOT;
    if (open && (what & WEIR_SWEEP_TOKENS) && attachment_token_expired(attachment))
        attachment_judge_token(attachment, &evicted);
    if (open && !evicted && (what & WEIR_SWEEP_CONSUMERS) && engine->config.consumer_ttl_ms != 0 &&
        is_past(engine_now_ms(engine), u64_load_relaxed(&attachment->seen_ms), engine->config.consumer_ttl_ms))
        attachment_close(attachment, WEIR_ENDED_SILENT, UINT64_MAX);
    attachment_drop(attachment);
    return evicted;
}

static bool sweep_session(weir_session *session, const weir_sweep *sweep) {
    bool ended = sweep_consumer(session, sweep->what);
    if (!ended) ended = session_expire_if_due(session, sweep->what, sweep->idle_ttl_ms);
    if (ended && sweep->ended != NULL) sweep->ended(sweep->context, session, session_ended(session));
    return ended;
}

static weir_sweep resolve(const weir_engine *engine, const weir_sweep *sweep) {
    static const weir_sweep everything;
    weir_sweep resolved = sweep != NULL ? *sweep : everything;
    if (resolved.what == 0) resolved.what = UINT32_MAX;
    if (resolved.idle_ttl_ms > IDLE_TTL_LONGEST_MS) resolved.idle_ttl_ms = IDLE_TTL_ABSURD_MS;
    if (resolved.idle_ttl_ms == 0) resolved.idle_ttl_ms = engine_idle_ttl_ms(engine);
    if (resolved.budget == 0) resolved.budget = UINT32_MAX;
    return resolved;
}

uint32_t weir_engine_sweep_for(weir_engine *engine, const weir_sweep *wanted) {
    weir_sweep sweep = resolve(engine, wanted);
    uint32_t ended = 0;
    uint32_t places = slab_fresh(&engine->sessions_slab);
    for (uint32_t i = 0; i < sweep.budget && i < places; i++) {
        if (engine->sweep_next >= places) engine->sweep_next = 0;
        uint32_t next = slab_next_in_use(&engine->sessions_slab, engine->sweep_next);
        if (next != engine->sweep_next) { /* free places count as looked at: their pages may be gone, and stay so */
            if (next > places) next = places; /* places above are not there to be looked at */
            i += next - engine->sweep_next - 1;
            engine->sweep_next = next;
            continue;
        }
        weir_session *session = session_at(engine, engine->sweep_next++);
        if (!session_try_retain(session)) continue;
        if (sweep_session(session, &sweep)) ended++;
        weir_session_release(session);
    }
    index_map_discard(&engine->map, sweep.budget / SLAB_RUN + 1);
    return ended;
}

uint32_t weir_engine_sweep(weir_engine *engine, uint32_t budget) {
    weir_sweep sweep = {0, budget, 0, NULL, NULL};
    return budget == 0 ? 0 : weir_engine_sweep_for(engine, &sweep);
}

/* The next due time after now on the schedule that began with the engine: what was missed is not made up. */
static void schedule(weir_engine *engine, uint64_t now_ms) {
    uint64_t interval_ms = engine->config.sweep_interval_ms;
    if (now_ms < engine->maintain_due_ms) return;
    engine->maintain_left = slab_fresh(&engine->sessions_slab);
    engine->maintain_due_ms += ((now_ms - engine->maintain_due_ms) / interval_ms + 1) * interval_ms;
}

uint32_t weir_engine_maintain(weir_engine *engine, uint32_t budget, uint32_t *next_ms) {
    uint64_t now_ms = engine_now_ms(engine);
    uint32_t ended = 0;
    if (next_ms != NULL) *next_ms = UINT32_MAX;
    if (engine->config.sweep_interval_ms == WEIR_NONE) return 0;
    schedule(engine, now_ms);
    uint32_t slice = budget < engine->maintain_left ? budget : engine->maintain_left;
    if (slice > 0) ended = weir_engine_sweep(engine, slice);
    engine->maintain_left -= slice;
    if (next_ms != NULL) {
        uint64_t wait_ms = engine->maintain_left > 0 ? 0 : engine->maintain_due_ms - now_ms;
        *next_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
    }
    return ended;
}
