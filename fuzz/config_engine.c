/* weir_config: which ones are taken follows from the comments of weir_config.h, read here once more. */
#include <stddef.h>

#include "config_fuzz.h"

/* ---- Memory --------------------------------------------------------------------------------------------------- */

struct heap {
    size_t used, most;
    size_t blocks;
    uint32_t calls, fail_at;
    bool refused;
};

static void *heap_allocate(void *context, size_t size, size_t alignment) {
    struct heap *heap = context;
    REQUIRE(size > 0 && alignment > 0 && (alignment & (alignment - 1)) == 0);
    if (++heap->calls == heap->fail_at || size > heap->most - heap->used) {
        heap->refused = true;
        return NULL;
    }
    void *memory = NULL;
    REQUIRE(posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) == 0);
    memset(memory, 0, size);
    heap->used += size;
    heap->blocks++;
    return memory;
}

static void heap_release(void *context, void *memory, size_t size, size_t alignment) {
    struct heap *heap = context;
    (void)alignment;
    if (memory == NULL) return;
    REQUIRE(heap->blocks > 0 && heap->used >= size);
    heap->used -= size;
    heap->blocks--;
    free(memory);
}

static uint64_t frozen(void *context) {
    (void)context;
    return 1000000000u;
}

static int fill_fixed(void *context, void *memory, size_t size) {
    (void)context;
    memset(memory, 0x5A, size);
    return 0;
}

/* ---- What is valid -------------------------------------------------------------------------------------------- */

/* A field with bounds; 0 stands for the default. */
struct bounds {
    size_t offset;
    uint32_t standard, least, most;
    uint32_t none; /* what WEIR_NONE becomes; UINT32_MAX: it is a number like any other */
};

#define FIELD(name) .offset = offsetof(weir_config, name)

static const struct bounds fields[] = {
    {FIELD(max_sessions), 65536, 1, 1u << 24, UINT32_MAX},
    {FIELD(max_kinds), 1023, 1, 1023, UINT32_MAX},
    {FIELD(max_pollers), 16, 1, WEIR_POLLERS_MAX, UINT32_MAX},
    {FIELD(max_subscribers), 1u << 20, 1, UINT32_MAX, UINT32_MAX},
    {FIELD(max_session_subscribers), 65536, 1, UINT32_MAX, UINT32_MAX},
    {FIELD(replay_capacity), 256, 0, WEIR_CAPACITY_MAX, 0},
    {FIELD(max_event_bytes), WEIR_EVENT_BYTES_MAX, 1, WEIR_EVENT_BYTES_MAX, UINT32_MAX},
    {FIELD(idle_ttl_ms), 1800000, 0, UINT32_MAX, UINT32_MAX},
    {FIELD(absolute_ttl_ms), 0, 0, UINT32_MAX, 0},
    {FIELD(sweep_interval_ms), 60000, 0, UINT32_MAX, UINT32_MAX},
    {FIELD(consumer_ttl_ms), 0, 0, UINT32_MAX, 0},
    {FIELD(max_channels), 65536, 1, 1u << 24, UINT32_MAX},
    {FIELD(max_channel_members), 65536, 1, 1u << 24, UINT32_MAX},
    {FIELD(max_session_channels), 100, 0, UINT32_MAX, 0},
    {FIELD(max_principal_sessions), 0, 0, UINT32_MAX, UINT32_MAX},
    {FIELD(max_principal_subscribers), 0, 0, UINT32_MAX, UINT32_MAX},
    {FIELD(max_address_subscribers), 0, 0, UINT32_MAX, UINT32_MAX},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static uint32_t field_of(const weir_config *config, const struct bounds *bounds) {
    uint32_t value;
    memcpy(&value, (const char *)config + bounds->offset, sizeof(value));
    return value;
}

static uint32_t resolved(const weir_config *config, const struct bounds *bounds) {
    uint32_t value = field_of(config, bounds);
    if (value == 0) return bounds->standard;
    return value == WEIR_NONE && bounds->none != UINT32_MAX ? bounds->none : value;
}

static uint32_t resolved_queue(const weir_config *config) {
    if (config->queue_depth != 0) return config->queue_depth;
    if (config->replay_capacity == 0 || config->replay_capacity == WEIR_NONE) return 256;
    return config->replay_capacity;
}

static bool rules_are_valid(const weir_rules *rules) {
    bool valid = rules->full_consecutive_max <= 1023 && rules->full_total_max <= 4095 && rules->activity < 64;
    for (size_t i = 0; i < sizeof(rules->reserved) / sizeof(rules->reserved[0]); i++)
        valid = valid && rules->reserved[i] == 0;
    return valid && (uint32_t)rules->gap_signal < 2 && (uint32_t)rules->ahead < 2 &&
           (uint32_t)rules->full_action < 6 && (uint32_t)rules->closed_action < 2 && (uint32_t)rules->missing < 2 &&
           (uint32_t)rules->idle_scope < 2 && (uint32_t)rules->token_policy < 3 && (uint32_t)rules->heartbeat < 3 &&
           (uint32_t)rules->id_mode < 2 && (uint32_t)rules->id_form < 2 && (uint32_t)rules->scope_errors < 2 &&
           (uint32_t)rules->exclusive < 3;
}

static bool is_valid(const weir_config *config) {
    for (size_t i = 0; i < FIELDS; i++) {
        uint32_t value = resolved(config, &fields[i]);
        if (value < fields[i].least || value > fields[i].most) return false;
    }
    uint64_t first = config->first_sequence;
    if (first >= UINT64_MAX / 2 && first != WEIR_FROM_ZERO) return false;
    if (config->max_session_bytes != 0 && config->max_session_bytes < 128) return false; /* one event of one byte */
    return resolved_queue(config) <= WEIR_CAPACITY_MAX && config->reserved == 0 && rules_are_valid(&config->rules);
}

static void require_resolved(const weir_config *config, const weir_config *in_force) {
    for (size_t i = 0; i < FIELDS; i++)
        REQUIRE(field_of(in_force, &fields[i]) == resolved(config, &fields[i]));
    REQUIRE(in_force->size == sizeof(weir_config) && in_force->queue_depth == resolved_queue(config));
    uint64_t first = config->first_sequence;
    REQUIRE(in_force->first_sequence == (first == 0 ? 1 : first == WEIR_FROM_ZERO ? 0 : first));
    REQUIRE(in_force->max_bytes == (config->max_bytes != 0 ? config->max_bytes : 1u << 30));
    REQUIRE(in_force->max_session_bytes == (config->max_session_bytes != 0 ? config->max_session_bytes : 16u << 20));
    REQUIRE(in_force->node_id == config->node_id);
}

/* ---- What works ----------------------------------------------------------------------------------------------- */

static bool is_one_of(int status, const int *allowed, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (status == allowed[i]) return true;
    return false;
}

#define REQUIRE_ONE_OF(status, ...)                                                                                  \
    REQUIRE(is_one_of(status, (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int)))

/* Three events are published, and whatever is kept of them comes back, the newest last. */
static void publish_and_read(const weir_config *config, weir_producer *producer, weir_session *session) {
    uint64_t next = config->first_sequence;
    for (int i = 0; i < 3; i++) {
        uint64_t sequence;
        int status = weir_publish(producer, session, 0, &i, sizeof(i), &sequence);
        REQUIRE_ONE_OF(status, WEIR_OK, WEIR_TOO_LARGE, WEIR_NO_MEMORY, WEIR_BYTES_LIMIT);
        if (status == WEIR_TOO_LARGE) REQUIRE(config->max_event_bytes < sizeof(i));
        if (status == WEIR_OK) REQUIRE(sequence == next++);
    }
    weir_cursor cursor;
    weir_gap gap;
    int status = weir_subscribe(session, NULL, &cursor, &gap);
    REQUIRE_ONE_OF(status, WEIR_OK, WEIR_NO_MEMORY);
    if (status != WEIR_OK) return;
    REQUIRE(cursor.next <= next && cursor.next + config->replay_capacity >= next);
    for (uint64_t sequence = cursor.next; sequence < next; sequence++) {
        weir_event event;
        int payload;
        REQUIRE(weir_read(session, &cursor, &payload, sizeof(payload), &event, &gap) == WEIR_OK);
        REQUIRE(event.sequence == sequence && event.length == sizeof(payload));
    }
    weir_unsubscribe(session, &cursor);
}

static void require_working(weir_engine *engine) {
    const weir_config *config = weir_engine_config(engine);
    weir_session *session = NULL;
    weir_producer *producer = NULL;
    REQUIRE_ONE_OF(weir_producer_create(engine, &producer), WEIR_OK, WEIR_NO_MEMORY);
    bool server_names = config->rules.id_mode == WEIR_NAMES_SERVER;
    int status = weir_session_create(engine, server_names ? NULL : "s", server_names ? 0 : 1, NULL, &session, NULL);
    REQUIRE_ONE_OF(status, WEIR_OK, WEIR_NO_MEMORY);
    if (status == WEIR_OK && producer != NULL) publish_and_read(config, producer, session);
    weir_session_release(session);
    weir_engine_tick(engine);
    weir_engine_sweep(engine, 0);
    weir_stats stats;
    weir_engine_stats(engine, &stats);
    REQUIRE(stats.subscribers == 0 && stats.sessions_created == (status == WEIR_OK));
    weir_producer_destroy(producer);
}

int require_engine(const weir_config *given, size_t most_bytes, uint32_t fail_at) {
    struct heap heap = {.most = most_bytes, .fail_at = fail_at};
    weir_config config = *given;
    config.allocator = (weir_allocator){heap_allocate, heap_release, NULL, &heap};
    config.clock = (weir_clock){frozen, frozen, NULL};
    config.entropy = (weir_entropy){fill_fixed, NULL};
    weir_engine *engine = (weir_engine *)&heap;
    int status = weir_engine_create(&engine, &config);
    bool valid = is_valid(&config);
    if (!valid) REQUIRE(status == WEIR_INVALID && heap.calls == 0);
    if (valid) REQUIRE(status == (heap.refused ? WEIR_NO_MEMORY : WEIR_OK));
    REQUIRE((status == WEIR_OK) == (engine != NULL));
    if (status == WEIR_OK) {
        require_resolved(&config, weir_engine_config(engine));
        require_working(engine);
        weir_engine_destroy(engine);
    }
    REQUIRE(heap.blocks == 0 && heap.used == 0);
    return status;
}

/* ---- The input ------------------------------------------------------------------------------------------------ */

static uint32_t near_bound(struct input *input, const struct bounds *bounds) {
    uint32_t how = (uint32_t)draw(input, 1);
    uint32_t near[] = {0, 1, bounds->least, bounds->most, WEIR_NONE, bounds->standard, 16, 1000};
    if (how >= 128) return (uint32_t)draw(input, 1 + how % 4);
    return near[how % 8] + (how / 8 % 4 == 1) - (how / 8 % 4 == 2);
}

/* A few fields are set, mostly near their bounds; the rest stays what it is. */
static void change_fields(struct input *input, weir_config *config) {
    for (uint32_t count = (uint32_t)draw(input, 1) % 8; count > 0; count--) {
        const struct bounds *bounds = &fields[draw(input, 1) % FIELDS];
        uint32_t value = near_bound(input, bounds);
        memcpy((char *)config + bounds->offset, &value, sizeof(value));
    }
    uint32_t how = (uint32_t)draw(input, 1);
    if (how & 1) config->queue_depth = near_bound(input, &fields[5]);
    if (how & 2) config->max_session_bytes = draw(input, 1 + how / 64);
    if (how & 4) config->max_bytes = draw(input, 1 + how / 64);
    if (how & 8) config->first_sequence = how & 16 ? WEIR_FROM_ZERO - draw(input, 1) : draw(input, 8);
    if (how & 32) config->reserved = (uint32_t)draw(input, 1) == 255;
    config->node_id = how;
}

static void change_rules(struct input *input, weir_rules *rules) {
    uint32_t words[sizeof(*rules) / sizeof(uint32_t)];
    memcpy(words, rules, sizeof(words));
    for (uint32_t count = (uint32_t)draw(input, 1) % 6; count > 0; count--) {
        uint32_t where = (uint32_t)draw(input, 1), value = (uint32_t)draw(input, 1);
        words[where % (sizeof(words) / sizeof(words[0]))] = value < 200 ? value % 4 : value << (value % 25);
    }
    memcpy(rules, words, sizeof(words));
}

/* The same configuration as an older, shorter structure has it, or a newer, longer one. Its services are the system's
 * where it ends before them: then the tables have to be small. */
static void try_other_size(struct input *input, weir_config *config) {
    _Alignas(weir_config) char other[sizeof(weir_config) + 16] = {0};
    size_t size = draw(input, 2) % (sizeof(other) + 1);
    uint8_t tail = (uint8_t)draw(input, 1);
    memset(&config->allocator, 0, sizeof(config->allocator));
    config->max_sessions = config->max_kinds = 4;
    config->max_subscribers = config->max_channels = config->max_pollers = 4;
    config->replay_capacity = config->queue_depth = 4;
    memcpy(other, config, sizeof(*config));
    memcpy(other, &size, sizeof(size));
    if (size > sizeof(weir_config)) other[size - 1] = (char)(tail % 2);
    bool longer = size > sizeof(weir_config);
    weir_config seen = {0};
    memcpy(&seen, other, longer ? sizeof(seen) : size);
    bool expected = size >= sizeof(size) && !(longer && tail % 2) && is_valid(&seen);
    weir_engine *engine;
    int status = weir_engine_create(&engine, (const weir_config *)(const void *)other);
    REQUIRE(status == (expected ? WEIR_OK : WEIR_INVALID));
    if (status == WEIR_OK) require_resolved(&seen, weir_engine_config(engine));
    weir_engine_destroy(engine);
}

/* Mostly small tables, for speed. */
static void begin_small(weir_config *config) {
    config->max_sessions = config->max_kinds = config->max_subscribers = 16;
    config->max_channels = config->max_channel_members = config->max_session_channels = 16;
    config->max_pollers = 2;
    config->max_session_bytes = 1u << 18;
    config->max_bytes = 1u << 20;
}

void try_engine(struct input *input) {
    weir_config config = WEIR_CONFIG_INIT;
    uint32_t how = (uint32_t)draw(input, 1);
    if (how / 8 % 8 != 7) begin_small(&config);
    uint32_t preset = (uint32_t)draw(input, 1) % 6;
    REQUIRE(weir_preset((weir_preset_name)preset, &config) == (preset <= WEIR_PRESET_HUB ? WEIR_OK : WEIR_INVALID));
    change_fields(input, &config);
    change_rules(input, &config.rules);
    if (how % 8 == 7)
        try_other_size(input, &config);
    else
        require_engine(&config, 8u << 20, how % 8 == 6 ? how / 8 : 0);
}
