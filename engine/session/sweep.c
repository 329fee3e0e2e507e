/* The idle sweep: ends sessions that nobody publishes to and nobody reads, in slices of bounded length. */
#include "engine.h"

/* When the session was last published to. The newest event carries the time; no publish pays for a stamp of its own.
 * 0 when that event is being replaced at this moment: then it is anything but idle. */
static bool last_publish_ms(const weir_session *session, const struct slots *slots, uint64_t next,
                            uint64_t *time_ms) {
    char payload[1];
    uint64_t facts;
    if (next == session->first_sequence) return true;
    enum slot_state state = slots_read(slots, &session->engine->pool, next - 1, payload, 0, &facts);
    if (state != SLOT_EVENT) return false;
    uint64_t now_ms = engine_now_ms(session->engine);
    uint64_t published_ms = now_ms - (uint64_t)(int64_t)(int32_t)((uint32_t)now_ms - facts_time_ms(facts));
    if (published_ms > *time_ms) *time_ms = published_ms;
    return true;
}

static bool end_if_idle(weir_session *session) {
    weir_engine *engine = session->engine;
    if (u32_load_acquire(&session->subscribers) > 0) return false;
    uint64_t touched_ms = u64_load_relaxed(&session->touched_ms);
    uint64_t active_ms = touched_ms;
    uint64_t next = session->first_sequence;
    const struct slots *slots = session_slots(session);
    if (slots != NULL) {
        next = session_next(session, slots);
        if (!last_publish_ms(session, slots, next, &active_ms)) return false;
    }
    uint64_t now_ms = engine_now_ms(engine);
    if (now_ms < active_ms || now_ms - active_ms < engine->config.idle_ttl_ms) return false; /* C-26: ttl included */
    return session_expire(session, next, touched_ms);
}

uint32_t weir_engine_sweep(weir_engine *engine, uint32_t budget) {
    uint32_t ended = 0;
    uint32_t places = slab_fresh(&engine->sessions_slab);
    if (engine->config.idle_ttl_ms == WEIR_NONE) return 0;
    for (uint32_t i = 0; i < budget && i < places; i++) {
        if (engine->sweep_next >= places) engine->sweep_next = 0;
        weir_session *session = session_at(engine, engine->sweep_next++);
        if (!session_try_retain(session)) continue;
        if (end_if_idle(session)) ended++;
        weir_session_release(session);
    }
    u64_add_relaxed(&engine->sessions_expired, ended);
    return ended;
}
