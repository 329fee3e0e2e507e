/* The engine's life: configuration, parts, clock, statistics. */
#include "engine.h"

#include <string.h>

#include "attachment.h"
#include "base/configure.h"
#include "base/system.h"
#include "channel.h"
#include "limits.h"

static bool resolve_u32(uint32_t *field, uint32_t standard, uint32_t least, uint32_t most) {
    if (*field == 0) *field = standard;
    return *field >= least && *field <= most;
}

static void resolve_services(weir_config *config, weir_allocator *system_memory) {
    if (config->clock.now_ns == NULL || config->clock.wall_ms == NULL) config->clock = system_clock();
    if (config->entropy.fill == NULL) config->entropy = system_entropy();
    if (config->allocator.allocate == NULL || config->allocator.release == NULL) {
        *system_memory = system_memory_open();
        config->allocator = *system_memory;
    }
}

static void resolve_bytes_and_times(weir_config *config) {
    if (config->max_session_bytes == 0) config->max_session_bytes = 16u << 20;
    if (config->max_bytes == 0) config->max_bytes = 1u << 30;
    if (config->idle_ttl_ms == 0) config->idle_ttl_ms = 1800000;
    if (config->absolute_ttl_ms == WEIR_NONE) config->absolute_ttl_ms = 0;
    if (config->sweep_interval_ms == 0) config->sweep_interval_ms = 60000;
    if (config->consumer_ttl_ms == WEIR_NONE) config->consumer_ttl_ms = 0;
    if (config->first_sequence == 0) config->first_sequence = 1;
    if (config->first_sequence == WEIR_FROM_ZERO) config->first_sequence = 0;
}

static bool resolve_limits(weir_config *config) {
    bool valid = resolve_u32(&config->max_sessions, 65536, 1, 1u << 24) &&
                 resolve_u32(&config->max_kinds, KINDS_MAX, 1, KINDS_MAX) &&
                 resolve_u32(&config->max_pollers, 16, 1, WEIR_POLLERS_MAX) &&
                 resolve_u32(&config->max_subscribers, 1u << 20, 1, UINT32_MAX) &&
                 resolve_u32(&config->max_session_subscribers, 65536, 1, UINT32_MAX) &&
                 resolve_u32(&config->max_channels, 65536, 1, 1u << 24) &&
                 resolve_u32(&config->max_channel_members, 65536, 1, 1u << 24) &&
                 resolve_u32(&config->max_event_bytes, WEIR_EVENT_BYTES_MAX, 1, WEIR_EVENT_BYTES_MAX);
    if (config->replay_capacity == 0) config->replay_capacity = 256;
    if (config->replay_capacity == WEIR_NONE) config->replay_capacity = 0;
    if (config->queue_depth == 0) config->queue_depth = config->replay_capacity > 0 ? config->replay_capacity : 256;
    if (config->max_session_channels == 0) config->max_session_channels = 100;
    if (config->max_session_channels == WEIR_NONE) config->max_session_channels = 0;
    resolve_bytes_and_times(config);
    valid = valid && config->max_session_bytes >= CELL_SMALLEST;
    return valid && config->replay_capacity <= WEIR_CAPACITY_MAX && config->queue_depth <= WEIR_CAPACITY_MAX &&
           config->first_sequence < UINT64_MAX / 2 && config->reserved == 0;
}

static bool rules_are_known(const weir_rules *rules) {
    for (size_t i = 0; i < sizeof(rules->reserved) / sizeof(rules->reserved[0]); i++)
        if (rules->reserved[i] != 0) return false;
    return (unsigned)rules->gap_signal <= WEIR_GAP_SIGNAL_OFF && (unsigned)rules->ahead <= WEIR_AHEAD_EMPTY &&
           (unsigned)rules->full_action <= WEIR_POLICY_CONFLATE && rules->full_consecutive_max <= 1023 &&
           rules->full_total_max <= 4095 && (unsigned)rules->closed_action <= WEIR_CLOSED_REMOVE &&
           (unsigned)rules->missing <= WEIR_MISSING_IGNORE && (unsigned)rules->idle_scope <= WEIR_IDLE_ALL &&
           rules->activity < 2 * WEIR_ACTIVE_STREAM && (unsigned)rules->token_policy <= WEIR_TOKEN_CONTINUE &&
           (unsigned)rules->heartbeat <= WEIR_HEARTBEAT_COMMENT && (unsigned)rules->id_mode <= WEIR_NAMES_SERVER &&
           (unsigned)rules->id_form <= WEIR_IDS_BARE && (unsigned)rules->scope_errors <= WEIR_SCOPE_EXPLICIT &&
           (unsigned)rules->exclusive <= WEIR_CHANNELS_MOVE;
}

static bool resolve_rules(weir_rules *rules) {
    if (!rules_are_known(rules)) return false;
    if (rules->full_action == WEIR_POLICY_STANDARD) rules->full_action = WEIR_POLICY_DETACH;
    if (rules->activity == 0)
        rules->activity =
            WEIR_ACTIVE_CREATE | WEIR_ACTIVE_ATTACH | WEIR_ACTIVE_DETACH | WEIR_ACTIVE_SEND | WEIR_ACTIVE_STREAM;
    return true;
}

static uint64_t ring_places(const weir_config *config) {
    uint64_t least = config->replay_capacity;
    uint64_t places = 1;
    if (config->queue_depth > least) least = config->queue_depth + 1ull; /* as ring_log2_for */
    while (places < least)
        places *= 2;
    return places;
}

/* Which events are bounded by their number alone: those whose cells, a whole ring of them, take no more than half of
 * max_session_bytes. That spares every publish a second read-modify-write. The others share what is left. */
static void divide_session_bytes(weir_engine *engine) {
    const weir_config *config = &engine->config;
    uint64_t places = ring_places(config);
    uint32_t uncounted = 0;
    while (uncounted < CELL_SMALL_CLASSES && places * cell_size(uncounted) <= config->max_session_bytes / 2)
        uncounted++;
    engine->uncounted_below = (cell_reference)uncounted << CELL_CLASS_SHIFT;
    uint64_t taken = uncounted > 0 ? places * cell_size(uncounted - 1) : 0;
    engine->counted_limit = config->max_session_bytes - taken;
    /* An event fits a session where its cell alone does. */
    uint32_t largest = 0;
    while (largest + 1 < CELL_CLASSES && cell_size(largest + 1) <= engine->counted_limit)
        largest++;
    if (largest + 1 < uncounted) largest = uncounted - 1;
    uint64_t room = cell_room(largest);
    engine->max_room = room;
    engine->max_length = room < config->max_event_bytes ? room : config->max_event_bytes;
}

static uint32_t kind_bucket_count(uint32_t kinds) {
    uint32_t buckets = 64;
    while (buckets < kinds * 2)
        buckets *= 2;
    return buckets;
}

static uint32_t outlets_limit(const weir_config *config) {
    uint64_t most = (uint64_t)config->max_sessions * config->max_pollers;
    return most < (1u << 26) ? (uint32_t)most : 1u << 26;
}

static uint32_t attachments_limit(const weir_config *config) {
    /* More than subscribers: a session keeps one of a consumer that has gone, and a displaced consumer still has its own. */
    uint64_t most = 2ull * config->max_subscribers + config->max_sessions + 16;
    return most < (1u << 24) ? (uint32_t)most : 1u << 24;
}

/* 64 KiB: the allocator is rarely asked, and an engine with a few sessions stays small. */
#define TABLE_CHUNK_SHIFT 16

static int create_parts(weir_engine *engine) {
    const weir_allocator *allocator = &engine->config.allocator;
    const weir_config *config = &engine->config;
    int status = slab_create_discardable(&engine->sessions_slab, allocator, sizeof(weir_session),
                                         config->max_sessions, TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK)
        status = slab_create(&engine->outlets_slab, allocator, NULL, sizeof(weir_outlet), outlets_limit(config),
                             TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK)
        status = slab_create(&engine->attachments_slab, allocator, NULL, sizeof(struct attachment),
                             attachments_limit(config), TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK) status = limits_create(engine);
    if (status == WEIR_OK) status = cell_pool_create(&engine->pool, allocator, config->max_bytes);
    if (status == WEIR_OK)
        status = index_map_create(&engine->map, allocator, &engine->sessions_slab, config->max_sessions);
    if (status != WEIR_OK) return status;
    engine->kind_mask = kind_bucket_count(config->max_kinds) - 1;
    engine->kinds =
        (atomic_pointer *)memory_take(allocator, sizeof(atomic_pointer) * (config->max_kinds + 1), CACHE_LINE);
    engine->kind_buckets = (atomic_pointer *)memory_take(
        allocator, sizeof(atomic_pointer) * ((size_t)engine->kind_mask + 1), CACHE_LINE);
    return engine->kinds != NULL && engine->kind_buckets != NULL ? WEIR_OK : WEIR_NO_MEMORY;
}

static int draw_secrets(weir_engine *engine) {
    uint64_t drawn[3];
    const weir_entropy *entropy = &engine->config.entropy;
    if (entropy->fill(entropy->context, drawn, sizeof(drawn)) != 0) return WEIR_NO_ENTROPY;
    engine->hash_key[0] = drawn[0];
    engine->hash_key[1] = drawn[1];
    engine->epoch_start = drawn[2] >> 16;
    return WEIR_OK;
}

int weir_engine_create(weir_engine **out, const weir_config *config) {
    if (out == NULL) return WEIR_INVALID;
    *out = NULL;
    weir_config resolved;
    weir_allocator system_memory = {NULL, NULL, NULL, NULL};
    if (!configure_copy(&resolved, sizeof(resolved), config) || !resolve_limits(&resolved) ||
        !resolve_rules(&resolved.rules))
        return WEIR_INVALID;
    resolve_services(&resolved, &system_memory);
    weir_engine *engine = (weir_engine *)memory_take(&resolved.allocator, sizeof(weir_engine), CACHE_LINE);
    if (engine == NULL) {
        if (system_memory.allocate != NULL) system_memory_close(&system_memory);
        return WEIR_NO_MEMORY;
    }
    engine->config = resolved;
    engine->system_memory = system_memory;
    divide_session_bytes(engine);
    wait_ops_init(&engine->wait_ops, &engine->config.clock);
    int status = create_parts(engine);
    if (status == WEIR_OK) status = draw_secrets(engine);
    if (status != WEIR_OK) {
        weir_engine_destroy(engine);
        return status;
    }
    weir_engine_tick(engine);
    engine->maintain_due_ms = engine_now_ms(engine) + engine->config.sweep_interval_ms;
    *out = engine;
    return WEIR_OK;
}

static void destroy_attachments(weir_engine *engine) {
    if (engine->attachments_slab.chunks == NULL) return;
    uint32_t fresh = slab_fresh(&engine->attachments_slab);
    for (uint32_t i = 0; i < fresh; i++) {
        struct attachment *attachment = (struct attachment *)slab_at(&engine->attachments_slab, i);
        if (u32_load_acquire(&attachment->references) > 0) conflate_free(engine, attachment);
    }
}

static void destroy_session(weir_engine *engine, weir_session *session) {
    void *ring = pointer_load_acquire(&session->ring);
    if (u32_load_acquire(&session->references) == 0) return;
    if (ring_is_slots(ring)) memory_give(&engine->config.allocator, ring, slots_size(session->ring_log2), CACHE_LINE);
    owner_free(engine, session->owner);
    channel_session_free(session);
}

static void destroy_sessions(weir_engine *engine) {
    if (engine->sessions_slab.chunks == NULL) return;
    uint32_t fresh = slab_fresh(&engine->sessions_slab);
    for (uint32_t i = 0; i < fresh; i++)
        destroy_session(engine, session_at(engine, i));
}

static void destroy_producers(weir_engine *engine) {
    weir_producer *producer = (weir_producer *)pointer_load_acquire(&engine->producers);
    while (producer != NULL) {
        weir_producer *next = producer->next;
        memory_give(&engine->config.allocator, producer, sizeof(*producer), CACHE_LINE);
        producer = next;
    }
}

static void destroy_pollers(weir_engine *engine) {
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++) {
        void *poller = pointer_load_acquire(&engine->pollers[i]);
        memory_give(&engine->config.allocator, poller, sizeof(weir_poller), CACHE_LINE);
    }
}

static void destroy_kinds(weir_engine *engine) {
    const weir_allocator *allocator = &engine->config.allocator;
    for (uint32_t i = 1; engine->kinds != NULL && i <= engine->config.max_kinds; i++) {
        void *entry = pointer_load_acquire(&engine->kinds[i]);
        memory_give(allocator, entry, sizeof(struct kind_entry), 8);
    }
    memory_give(allocator, engine->kinds, sizeof(atomic_pointer) * (engine->config.max_kinds + 1), CACHE_LINE);
    memory_give(allocator, engine->kind_buckets, sizeof(atomic_pointer) * ((size_t)engine->kind_mask + 1),
                CACHE_LINE);
}

void weir_engine_destroy(weir_engine *engine) {
    if (engine == NULL) return;
    weir_allocator allocator = engine->config.allocator;
    weir_allocator system_memory = engine->system_memory;
    destroy_attachments(engine);
    destroy_sessions(engine);
    channels_destroy(engine);
    limits_destroy(engine);
    destroy_producers(engine);
    destroy_pollers(engine);
    destroy_kinds(engine);
    if (engine->map.heads != NULL) index_map_destroy(&engine->map, &allocator);
    cell_pool_destroy(&engine->pool);
    slab_destroy(&engine->attachments_slab);
    slab_destroy(&engine->outlets_slab);
    slab_destroy(&engine->sessions_slab);
    memory_give(&allocator, engine, sizeof(*engine), CACHE_LINE);
    if (system_memory.allocate != NULL) system_memory_close(&system_memory);
}

const weir_config *weir_engine_config(const weir_engine *engine) {
    return &engine->config;
}

uint64_t weir_engine_tick(weir_engine *engine) {
    const weir_clock *clock = &engine->config.clock;
    uint64_t now_ns = clock->now_ns(clock->context);
    uint64_t now_ms = now_ns / 1000000u;
    if (now_ms == engine_now_ms(engine) && now_ms != 0) return now_ns;
    u64_store_relaxed(&engine->now_ms, now_ms); /* relaxed, both: stamps, which order nothing */
    u64_store_relaxed(&engine->wall_ms, clock->wall_ms(clock->context));
    return now_ns;
}

void weir_engine_stats(const weir_engine *engine, weir_stats *stats) {
    memset(stats, 0, sizeof(*stats));
    stats->node_id = engine->config.node_id;
    stats->sessions_created = u64_load_relaxed(&engine->epochs);
    stats->sessions = u64_load_relaxed(&engine->sessions);
    stats->subscribers = u64_load_relaxed(&engine->subscribers);
    stats->sessions_ended = u64_load_relaxed(&engine->sessions_ended);
    stats->sessions_expired = u64_load_relaxed(&engine->sessions_expired);
    stats->gaps = u64_load_relaxed(&engine->gaps);
    stats->lost = u64_load_relaxed(&engine->lost);
    const atomic_u64 *evicted = engine->evicted;
    stats->evicted_overflow = u64_load_relaxed(&evicted[WEIR_ENDED_OVERFLOW]);
    stats->evicted_token = u64_load_relaxed(&evicted[WEIR_ENDED_TOKEN]);
    stats->evicted_peer = u64_load_relaxed(&evicted[WEIR_ENDED_PEER]);
    stats->detached_lagging = u64_load_relaxed(&engine->detached_lagging);
    stats->displaced = u64_load_relaxed(&engine->displaced);
    stats->replays = u64_load_relaxed(&engine->replays);
    stats->bytes_read = u64_load_relaxed(&engine->bytes_read);
    stats->conflated = u64_load_relaxed(&engine->conflated);
    channels_stats(engine, stats);
    stats->cell_bytes = u64_load_relaxed(&engine->pool.budget.used);
    stats->kinds = u32_load_relaxed(&engine->kind_count);
    const weir_producer *producer = (const weir_producer *)pointer_load_acquire(&engine->producers);
    for (; producer != NULL; producer = producer->next) {
        stats->published += u64_load_relaxed(&producer->published);
        stats->published_bytes += u64_load_relaxed(&producer->published_bytes);
        stats->publish_full += u64_load_relaxed(&producer->full);
        stats->publish_refused += u64_load_relaxed(&producer->refused);
        stats->live_accepted += u64_load_relaxed(&producer->live_accepted);
        stats->live_full += u64_load_relaxed(&producer->live_full);
        stats->live_closed += u64_load_relaxed(&producer->live_closed);
        stats->evicted_events += u64_load_relaxed(&producer->evicted_events);
        stats->broadcasts += u64_load_relaxed(&producer->broadcasts);
    }
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++) {
        const weir_poller *poller = (const weir_poller *)pointer_load_acquire(&engine->pollers[i]);
        if (poller != NULL) stats->wakeups += u64_load_relaxed(&poller->notify.wakeups);
    }
}
