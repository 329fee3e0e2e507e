/* The registry: names to sessions, and the references that keep a session's life from being used again. */
#include <string.h>

#include "attachment.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mark.h"
#include "channel.h"
#include "names.h"
#include "owner.h"

struct wanted {
    const char *name;
    size_t length;
    uint64_t hash;
    struct owner_record *owner; /* of the session to be made */
    bool spent;                 /* a session that was made in vain has taken it along */
};

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
    WEIR_MARK(SESSION_COME_UPON);
    if (!session_try_retain(session)) return false;
    if (session->name_length == wanted->length && bytes_equal(session->name, wanted->name, wanted->length))
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

/* A queue that is longer than what is kept has one place to spare: the event that finds it full must not push out the
 * first one in it (BKP-02). */
static uint8_t ring_log2_for(uint32_t capacity, uint32_t depth) {
    uint32_t places = capacity >= depth ? capacity : depth + 1;
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
    session->created_wall_ms = u64_load_relaxed(&engine->wall_ms); /* relaxed: a date */
    session->first_sequence = config->first_sequence;
    session->replay_capacity = config->replay_capacity;
    session->queue_depth = config->queue_depth;
    session->ring_log2 = ring_log2_for(config->replay_capacity, config->queue_depth);
    session->name_length = (uint8_t)wanted->length;
    session->uncounted_below = engine->uncounted_below;
    session->owner = wanted->owner;
    memcpy(session->name, wanted->name, wanted->length);
    pointer_store_relaxed(&session->ring, NULL);
    pointer_store_relaxed(&session->outlets, NULL);
    pointer_store_relaxed(&session->attachment, NULL);
    pointer_store_relaxed(&session->memberships, NULL);
    u64_store_relaxed(&session->hint, config->first_sequence);
    u64_store_relaxed(&session->tail, config->first_sequence);
    u64_store_relaxed(&session->counted_bytes, 0);
    u64_store_relaxed(&session->touched_ms, session->created_ms);
    u32_store_relaxed(&session->subscribers, 0);
    u32_store_relaxed(&session->listed, 0);
    u32_store_release(&session->references, 2); /* the registry's and the caller's; partner: session_try_retain */
}

/* Adds a session, or finds that somebody else was first: then it is WEIR_NOT_FOUND. */
static int create_session(weir_engine *engine, struct wanted *wanted, weir_session **out, int *created) {
    uint32_t index;
    uint32_t taken;
    int status = slab_take(&engine->sessions_slab, &index, 1, &taken);
    if (status != WEIR_OK) return status == WEIR_FULL ? WEIR_SESSIONS_LIMIT : status;
    weir_session *session = session_at(engine, index);
    begin_life(engine, session, index, wanted);
    WEIR_MARK(SESSION_BEGUN);
    wanted->spent = wanted->owner != NULL;
    wanted->owner = NULL; /* the session's now */
    u64_add_relaxed(&engine->sessions, 1);
    uint32_t found = index_map_insert(&engine->map, index, match_and_retain, wanted);
    if (found == index) {
        u32_store_release(&session->listed, 1); /* partner: find_listed */
        *out = session;
        *created = 1;
        return WEIR_OK;
    }
    /* A lookup that stood on this memory's last life may hold ours, so it ends like any other. */
    session_end(session, WEIR_ENDED_TERMINATED);
    weir_session_release(session);
    weir_session_release(session_at(engine, found));
    return WEIR_NOT_FOUND;
}

static weir_session *look_up(weir_engine *engine, struct wanted *wanted) {
    uint32_t found = index_map_find(&engine->map, wanted->hash, match_and_retain, wanted);
    return found == SLAB_NONE ? NULL : session_at(engine, found);
}

/* The session of that name with a reference. A lookup can come upon one that is not in the map yet, by a way that was
 * right in its memory's last life, and which may never get there; a second lookup, while the first one's result is held
 * and so in this life, comes upon it only if it is. */
static weir_session *find_listed(weir_engine *engine, struct wanted *wanted) {
    for (;;) {
        weir_session *session = look_up(engine, wanted);
        if (session == NULL || LIKELY(u32_load_acquire(&session->listed))) return session;
        weir_session *again = look_up(engine, wanted);
        if (again == session) u32_store_release(&session->listed, 1);
        weir_session_release(again);
        if (again == session) return session;
        weir_session_release(session);
    }
}

/* The session that lookups come upon, alive and with a reference, or NULL. */
static weir_session *find_alive(weir_engine *engine, struct wanted *wanted) {
    for (;;) {
        weir_session *session = find_listed(engine, wanted);
        if (session == NULL || session_ended(session) == WEIR_ENDED_NOT) return session;
        /* It has ended but whoever ended it has not taken it out yet: do that, and look again. */
        registry_remove(session);
        weir_session_release(session);
    }
}

weir_session *registry_find(weir_engine *engine, const char *name, size_t length) {
    if (!name_has_length(name, length)) return NULL;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length), NULL, false};
    return find_alive(engine, &wanted);
}

bool registry_look_up(weir_session *session, bool touch) {
    const weir_config *config = &session->engine->config;
    if (LIKELY((config->rules.activity & WEIR_ACTIVE_LOOKUP) == 0 && config->absolute_ttl_ms == 0)) return true;
    uint32_t what = WEIR_SWEEP_ABSOLUTE;
    if (config->rules.activity & WEIR_ACTIVE_LOOKUP) what |= WEIR_SWEEP_IDLE;
    if (session_expire_if_due(session, what, engine_idle_ttl_ms(session->engine))) return false;
    if (touch && (config->rules.activity & WEIR_ACTIVE_LOOKUP)) session_touch(session); /* TTL-12 */
    return session_ended(session) == WEIR_ENDED_NOT;
}

static bool may_create(const weir_engine *engine, weir_open mode) {
    if (mode == WEIR_OPEN_RESERVE) return engine->config.replay_capacity > 0; /* SES-14 */
    return mode == WEIR_OPEN_OR_CREATE;
}

static int create(weir_engine *engine, struct wanted *wanted, weir_session **out, int *created) {
    if (u32_load_acquire(&engine->shutting_down)) return WEIR_SHUT_DOWN;
    int status = create_session(engine, wanted, out, created);
    if (status != WEIR_OK || !*created) return status;
    /* Partner: weir_engine_shut_down, which sets the flag and then ends all that it finds. Both change the word, if only to
     * what it is: whoever comes second sees the session, or the flag. */
    uint32_t running = 0;
    if (LIKELY(u32_cas_acq_rel(&engine->shutting_down, &running, 0))) return WEIR_OK;
    session_end(*out, WEIR_ENDED_SHUT_DOWN);
    weir_session_release(*out);
    return WEIR_SHUT_DOWN;
}

static int find_or_create(weir_engine *engine, struct wanted *wanted, weir_open mode, weir_session **out,
                          int *created) {
    for (;;) {
        *created = 0;
        weir_session *session = find_alive(engine, wanted);
        if (session == NULL) {
            if (!name_is_valid(wanted->name, wanted->length)) return WEIR_INVALID; /* what is found has a valid one */
            if (!may_create(engine, mode) || wanted->spent) return WEIR_NOT_FOUND;
            int status = create(engine, wanted, &session, created);
            if (status == WEIR_NOT_FOUND) continue; /* there was one a moment ago */
            if (status != WEIR_OK) return status;
        }
        if (*created || registry_look_up(session, true)) {
            *out = session;
            return WEIR_OK;
        }
        weir_session_release(session);
    }
}

int weir_session_open(weir_engine *engine, const char *name, size_t length, weir_open mode, weir_session **out,
                      int *created) {
    int made = 0;
    *out = NULL;
    if (created != NULL) *created = 0;
    if (!name_has_length(name, length)) return WEIR_INVALID;
    /* Under WEIR_NAMES_SERVER only weir_session_create makes sessions. */
    if (engine->config.rules.id_mode == WEIR_NAMES_SERVER) mode = WEIR_OPEN_EXISTING;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length), NULL, false};
    int status = find_or_create(engine, &wanted, mode, out, &made);
    if (created != NULL && status == WEIR_OK) *created = made;
    return status;
}

int weir_session_create(weir_engine *engine, const char *name, size_t length, const weir_owner *owner,
                        weir_session **out, weir_refusal *refusal) {
    char made_name[NAME_MADE];
    int made = 0;
    int status = WEIR_OK;
    *out = NULL;
    if (name == NULL) {
        status = name_make(engine, made_name);
        name = made_name;
        length = NAME_MADE;
    } else if (engine->config.rules.id_mode == WEIR_NAMES_SERVER || !name_is_valid(name, length)) {
        status = WEIR_INVALID;
    }
    if (status != WEIR_OK) return status;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length), NULL, false};
    do {
        wanted.spent = false;
        status = owner_create(engine, owner, &wanted.owner, refusal);
        if (status != WEIR_OK) return status;
        status = find_or_create(engine, &wanted, WEIR_OPEN_OR_CREATE, out, &made);
    } while (status == WEIR_NOT_FOUND); /* who was first has ended since, and the owner's record went with ours */
    if (status == WEIR_OK && made) return WEIR_OK;
    if (wanted.owner != NULL) owner_free(engine, wanted.owner);
    if (status != WEIR_OK)
        return status == WEIR_SESSIONS_LIMIT
                   ? refuse(refusal, status, engine->config.max_sessions, engine->config.max_sessions)
                   : status;
    weir_session_release(*out);
    *out = NULL;
    return WEIR_BUSY;
}

int weir_session_remove(weir_engine *engine, const char *name, size_t length) {
    weir_session *session = registry_find(engine, name, length);
    if (session == NULL) return WEIR_NOT_FOUND;
    int status = weir_session_terminate(session) == WEIR_OK ? WEIR_OK : WEIR_NOT_FOUND;
    weir_session_release(session);
    return status;
}

void weir_engine_shut_down(weir_engine *engine) {
    uint32_t running = 0;
    u32_cas_acq_rel(&engine->shutting_down, &running, 1); /* partner: create */
    uint32_t places = slab_fresh(&engine->sessions_slab);
    for (uint32_t i = 0; i < places; i++) {
        weir_session *session = session_at(engine, i);
        if (!session_try_retain(session)) continue;
        session_end(session, WEIR_ENDED_SHUT_DOWN);
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
        if (!cell_has_payload(reference)) {
            cell_pool_give(&engine->pool, reference);
            continue;
        }
        if (count == 64 || (count > 0 && cell_class(reference) != class_index)) {
            slab_give(&engine->pool.classes[class_index], batch, count);
            count = 0;
        }
        class_index = cell_class(reference);
        batch[count++] = cell_index(reference);
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
    attachment_session_free(session);
    channel_session_free(session);
    owner_free(engine, session->owner);
    slab_give(&engine->sessions_slab, &index, 1);
}

void weir_session_release(weir_session *session) {
    if (session == NULL) return;
    /* Release: all that this owner did comes before the memory's next life. Acquire: what the others did, too. */
    uint32_t before = u32_subtract_acq_rel(&session->references, 1);
    WEIR_CHECK(before > 0);
    if (before == 1) end_life(session);
}
