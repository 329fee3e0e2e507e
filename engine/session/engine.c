/* The engine's life: configuration, parts, clock, statistics. */
#include "engine.h"

#include <string.h>

#include "base/system.h"

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

static bool resolve_limits(weir_config *config) {
    bool valid = resolve_u32(&config->max_sessions, 65536, 1, 1u << 24) &&
                 resolve_u32(&config->max_kinds, 1024, 1, KINDS_MAX) &&
                 resolve_u32(&config->max_pollers, 16, 1, WEIR_POLLERS_MAX) &&
                 resolve_u32(&config->max_subscribers, 1u << 20, 1, UINT32_MAX) &&
                 resolve_u32(&config->max_session_subscribers, 65536, 1, UINT32_MAX) &&
                 resolve_u32(&config->max_event_bytes, WEIR_EVENT_BYTES_MAX, 1, WEIR_EVENT_BYTES_MAX);
    if (config->replay_capacity == 0) config->replay_capacity = 256;
    if (config->replay_capacity == WEIR_NONE) config->replay_capacity = 0;
    if (config->queue_depth == 0) config->queue_depth = config->replay_capacity > 0 ? config->replay_capacity : 256;
    valid = valid && config->replay_capacity <= WEIR_CAPACITY_MAX && config->queue_depth <= WEIR_CAPACITY_MAX;
    if (config->max_session_bytes == 0) config->max_session_bytes = 16u << 20;
    if (config->max_bytes == 0) config->max_bytes = 1u << 30;
    if (config->idle_ttl_ms == 0) config->idle_ttl_ms = 300000;
    if (config->first_sequence == 0) config->first_sequence = 1;
    return valid && config->first_sequence < UINT64_MAX / 2 && config->reserved == 0;
}

/* Copies what the caller's version of the structure has; a longer one is taken when what we do not know is zero. */
static bool copy_config(weir_config *into, const weir_config *from) {
    memset(into, 0, sizeof(*into));
    into->size = sizeof(*into);
    if (from == NULL) return true;
    if (from->size < offsetof(weir_config, max_sessions) || from->size > 4096) return false;
    const char *bytes = (const char *)from;
    for (size_t at = sizeof(*into); at < from->size; at++)
        if (bytes[at] != 0) return false;
    memcpy(into, from, from->size < sizeof(*into) ? from->size : sizeof(*into));
    into->size = sizeof(*into);
    return true;
}

/* An event in a small cell fits any session; a larger one only where its cell alone is inside max_session_bytes. */
static uint64_t longest_event(const weir_config *config) {
    uint32_t class_index = CELL_SMALL_CLASSES - 1;
    while (class_index + 1 < CELL_CLASSES && cell_size(class_index + 1) <= config->max_session_bytes)
        class_index++;
    uint64_t room = cell_room(class_index);
    return room < config->max_event_bytes ? room : config->max_event_bytes;
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

/* 64 KiB: the allocator is rarely asked, and an engine with a few sessions stays small. */
#define TABLE_CHUNK_SHIFT 16

static int create_parts(weir_engine *engine) {
    const weir_allocator *allocator = &engine->config.allocator;
    const weir_config *config = &engine->config;
    int status = slab_create(&engine->sessions_slab, allocator, NULL, sizeof(weir_session), config->max_sessions,
                             TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK)
        status = slab_create(&engine->outlets_slab, allocator, NULL, sizeof(weir_outlet), outlets_limit(config),
                             TABLE_CHUNK_SHIFT);
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
    weir_allocator system_memory = {NULL, NULL, NULL};
    if (!copy_config(&resolved, config) || !resolve_limits(&resolved)) return WEIR_INVALID;
    resolve_services(&resolved, &system_memory);
    weir_engine *engine = (weir_engine *)memory_take(&resolved.allocator, sizeof(weir_engine), CACHE_LINE);
    if (engine == NULL) {
        if (system_memory.allocate != NULL) system_memory_close(&system_memory);
        return WEIR_NO_MEMORY;
    }
    engine->config = resolved;
    engine->system_memory = system_memory;
    engine->max_length = longest_event(&resolved);
    int status = create_parts(engine);
    if (status == WEIR_OK) status = draw_secrets(engine);
    if (status != WEIR_OK) {
        weir_engine_destroy(engine);
        return status;
    }
    weir_engine_tick(engine);
    *out = engine;
    return WEIR_OK;
}

static void destroy_sessions(weir_engine *engine) {
    if (engine->sessions_slab.chunks == NULL) return;
    uint32_t fresh = slab_fresh(&engine->sessions_slab);
    for (uint32_t i = 0; i < fresh; i++) {
        weir_session *session = session_at(engine, i);
        void *ring = pointer_load_acquire(&session->ring);
        if (u32_load_acquire(&session->references) > 0 && ring_is_slots(ring))
            memory_give(&engine->config.allocator, ring, slots_size(session->ring_log2), CACHE_LINE);
    }
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
    destroy_sessions(engine);
    destroy_producers(engine);
    destroy_pollers(engine);
    destroy_kinds(engine);
    if (engine->map.heads != NULL) index_map_destroy(&engine->map, &allocator);
    cell_pool_destroy(&engine->pool);
    slab_destroy(&engine->outlets_slab);
    slab_destroy(&engine->sessions_slab);
    memory_give(&allocator, engine, sizeof(*engine), CACHE_LINE);
    if (system_memory.allocate != NULL) system_memory_close(&system_memory);
}

const weir_config *weir_engine_config(const weir_engine *engine) {
    return &engine->config;
}

uint64_t weir_engine_tick(weir_engine *engine) {
    uint64_t now_ns = engine->config.clock.now_ns(engine->config.clock.context);
    u64_store_relaxed(&engine->now_ms, now_ns / 1000000u); /* relaxed: a stamp, which orders nothing */
    return now_ns;
}

void weir_engine_stats(const weir_engine *engine, weir_stats *stats) {
    memset(stats, 0, sizeof(*stats));
    stats->sessions_created = u64_load_relaxed(&engine->epochs);
    stats->sessions = u64_load_relaxed(&engine->sessions);
    stats->subscribers = u64_load_relaxed(&engine->subscribers);
    stats->sessions_ended = u64_load_relaxed(&engine->sessions_ended);
    stats->sessions_expired = u64_load_relaxed(&engine->sessions_expired);
    stats->gaps = u64_load_relaxed(&engine->gaps);
    stats->lost = u64_load_relaxed(&engine->lost);
    stats->cell_bytes = u64_load_relaxed(&engine->pool.budget.used);
    stats->kinds = u32_load_relaxed(&engine->kind_count);
    const weir_producer *producer = (const weir_producer *)pointer_load_acquire(&engine->producers);
    for (; producer != NULL; producer = producer->next) {
        stats->published += u64_load_relaxed(&producer->published);
        stats->published_bytes += u64_load_relaxed(&producer->published_bytes);
        stats->publish_full += u64_load_relaxed(&producer->full);
        stats->publish_refused += u64_load_relaxed(&producer->refused);
    }
    for (uint32_t i = 0; i < WEIR_POLLERS_MAX; i++) {
        const weir_poller *poller = (const weir_poller *)pointer_load_acquire(&engine->pollers[i]);
        if (poller != NULL) stats->wakeups += u64_load_relaxed(&poller->notify.wakeups);
    }
}
