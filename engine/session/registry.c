/* The registry: names to sessions, and the references that keep a session's life from being used again. */
#include <string.h>

#include "base/hash.h"
#include "engine.h"

struct wanted {
    const char *name;
    size_t length;
    uint64_t hash;
};

static bool name_byte_is_valid(unsigned char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           byte == '.' || byte == '_' || byte == '~' || byte == '-';
}

static bool name_is_valid(const char *name, size_t length) {
    if (name == NULL || length == 0 || length > WEIR_NAME_MAX) return false;
    for (size_t i = 0; i < length; i++)
        if (!name_byte_is_valid((unsigned char)name[i])) return false;
    return true;
}

bool session_try_retain(weir_session *session) {
    uint32_t count = u32_load_relaxed(&session->references);
    do {
        if (count == 0) return false;
    } while (!u32_cas_acq_rel(&session->references, &count, count + 1)); /* acquire: the fields of this life */
    return true;
}

/* The session found by hash may end and begin another life at any time: its name is looked at under a reference, which
 * stays when it is the one. */
static bool match_and_retain(void *context, void *object) {
    const struct wanted *wanted = (const struct wanted *)context;
    weir_session *session = (weir_session *)object;
    if (!session_try_retain(session)) return false;
    if (session->name_length == wanted->length && memcmp(session->name, wanted->name, wanted->length) == 0)
        return true;
    weir_session_release(session);
    return false;
}

/* Identity of this life: 16 bits tell the name (so that an id of another session can be called that), 48 bits are a
 * random start and a count: never the same twice in one process, and unlikely ever after. */
static uint64_t draw_epoch(weir_engine *engine, const char *name, size_t length) {
    uint32_t tag = 2166136261u;
    for (size_t i = 0; i < length; i++)
        tag = (tag ^ (unsigned char)name[i]) * 16777619u;
    uint64_t life = u64_add_relaxed(&engine->epochs, 1);
    uint64_t drawn = (engine->epoch_start + life * 0x9E3779B97F4Bull) & 0xFFFFFFFFFFFFull; /* odd: a permutation */
    return (uint64_t)(uint16_t)(tag ^ tag >> 16) << 48 | drawn;
}

static uint8_t ring_log2_for(uint32_t capacity, uint32_t depth) {
    uint32_t places = capacity > depth ? capacity : depth;
    uint8_t log2 = 0;
    while ((1u << log2) < places)
        log2++;
    return log2;
}

/* Begins a life in a free session's memory. `references` becomes non-zero last: until then nobody looks. */
static void begin_life(weir_engine *engine, weir_session *session, uint32_t index, const struct wanted *wanted) {
    const weir_config *config = &engine->config;
    index_map_prepare(&engine->map, index, wanted->hash);
    session->index = index;
    session->engine = engine;
    session->epoch = draw_epoch(engine, wanted->name, wanted->length);
    session->created_ms = engine_now_ms(engine);
    session->first_sequence = config->first_sequence;
    session->replay_capacity = config->replay_capacity;
    session->queue_depth = config->queue_depth;
    session->ring_log2 = ring_log2_for(config->replay_capacity, config->queue_depth);
    session->name_length = (uint8_t)wanted->length;
    memcpy(session->name, wanted->name, wanted->length);
    pointer_store_relaxed(&session->ring, NULL);
    pointer_store_relaxed(&session->outlets, NULL);
    u32_store_relaxed(&session->refusing, 0);
    u64_store_relaxed(&session->hint, config->first_sequence);
    u64_store_relaxed(&session->tail, config->first_sequence);
    u64_store_relaxed(&session->large_bytes, 0);
    u64_store_relaxed(&session->consumed, NO_CONSUMER);
    u64_store_relaxed(&session->touched_ms, session->created_ms);
    u32_store_relaxed(&session->subscribers, 0);
    u32_store_release(&session->references, 2); /* the registry's and the caller's; partner: session_try_retain */
}

static int create_session(weir_engine *engine, struct wanted *wanted, weir_session **out, int *created) {
    uint32_t index;
    uint32_t taken;
    int status = slab_take(&engine->sessions_slab, &index, 1, &taken);
    if (status != WEIR_OK) return status == WEIR_FULL ? WEIR_SESSIONS_LIMIT : status;
    weir_session *session = session_at(engine, index);
    begin_life(engine, session, index, wanted);
    u64_add_relaxed(&engine->sessions, 1);
    uint32_t found = index_map_insert(&engine->map, index, match_and_retain, wanted);
    *out = session_at(engine, found);
    *created = found == index;
    if (found != index) {
        /* Somebody else was first. A lookup that stood on this memory's last life may have come upon ours all the
         * same, so it ends like any other. */
        session_end(session, WEIR_ENDED_TERMINATED);
        weir_session_release(session);
    }
    return WEIR_OK;
}

int weir_session_open(weir_engine *engine, const char *name, size_t length, weir_open mode, weir_session **out,
                      int *created) {
    *out = NULL;
    if (created != NULL) *created = 0;
    if (!name_is_valid(name, length)) return WEIR_INVALID;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length)};
    for (;;) {
        weir_session *session = NULL;
        int made = 0;
        uint32_t found = index_map_find(&engine->map, wanted.hash, match_and_retain, &wanted);
        if (found != SLAB_NONE) {
            session = session_at(engine, found);
        } else {
            if (mode != WEIR_OPEN_OR_CREATE) return WEIR_NOT_FOUND;
            int status = create_session(engine, &wanted, &session, &made);
            if (status != WEIR_OK) return status;
        }
        if (session_ended(session) == WEIR_ENDED_NOT) {
            *out = session;
            if (created != NULL) *created = made;
            return WEIR_OK;
        }
        /* It has ended but whoever ended it has not taken it out yet: do that, and look again. */
        registry_remove(session);
        weir_session_release(session);
    }
}

void registry_remove(weir_session *session) {
    weir_engine *engine = session->engine;
    if (!index_map_remove(&engine->map, session->index)) return;
    u64_subtract_relaxed(&engine->sessions, 1);
    u64_add_relaxed(&engine->sessions_ended, 1);
    weir_session_release(session);
}

void weir_session_retain(weir_session *session) {
    uint32_t before = u32_add_relaxed(&session->references, 1); /* relaxed: the caller holds one already */
    WEIR_DCHECK(before > 0);
    (void)before;
}

/* Gives the events' cells back, a class at a time as far as they come. */
static void free_cells(weir_engine *engine, struct slots *slots) {
    uint32_t batch[64];
    uint32_t count = 0;
    uint32_t class_index = CELL_CLASSES;
    for (uint32_t i = 0; i <= slots->mask; i++) {
        cell_reference reference = (cell_reference)u64_load_acquire(&slots->words[i]);
        if (!cell_is_cell(reference)) continue;
        if (count == 64 || (count > 0 && cell_class(reference) != class_index)) {
            slab_give(&engine->pool.classes[class_index], batch, count);
            count = 0;
        }
        class_index = cell_class(reference);
        batch[count++] = reference & CELL_INDEX_MAX;
    }
    if (count > 0) slab_give(&engine->pool.classes[class_index], batch, count);
}

static void free_outlets(weir_engine *engine, weir_session *session) {
    const weir_outlet *outlet = (const weir_outlet *)pointer_load_acquire(&session->outlets);
    while (outlet != NULL) {
        uint32_t index = outlet->index;
        outlet = outlet->next;
        slab_give(&engine->outlets_slab, &index, 1);
    }
}

/* The last reference is gone: nobody can reach the session any more, readers and producers included. */
COLD static void end_life(weir_session *session) {
    weir_engine *engine = session->engine;
    uint32_t index = session->index;
    struct slots *slots = session_slots(session);
    if (slots != NULL) {
        free_cells(engine, slots);
        memory_give(&engine->config.allocator, slots, slots_size(session->ring_log2), CACHE_LINE);
    }
    free_outlets(engine, session);
    slab_give(&engine->sessions_slab, &index, 1);
}

void weir_session_release(weir_session *session) {
    if (session == NULL) return;
    /* Release: all that this owner did comes before the memory's next life. Acquire: what the others did, too. */
    uint32_t before = u32_subtract_acq_rel(&session->references, 1);
    WEIR_CHECK(before > 0);
    if (before == 1) end_life(session);
}
