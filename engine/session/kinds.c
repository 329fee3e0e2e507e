/* Event kinds: names that are added and never removed, so a lookup is a walk over entries that cannot change. */
#include <string.h>

#include "base/hash.h"
#include "engine.h"

static bool name_is_valid(const char *name, size_t length) {
    if (name == NULL || length == 0 || length > WEIR_NAME_MAX) return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] == '\r' || name[i] == '\n' || name[i] == '\0') return false;
    return true;
}

static bool entry_is(const struct kind_entry *entry, uint64_t hash, const char *name, size_t length) {
    return entry->hash == hash && entry->length == length && memcmp(entry->name, name, length) == 0;
}

/* The bucket that holds the name, or the empty one where it belongs; entries are never removed, so the first empty
 * bucket ends the search. There are twice as many buckets as kinds: one is empty. */
static atomic_pointer *find_bucket(weir_engine *engine, uint64_t hash, const char *name, size_t length,
                                   struct kind_entry **entry) {
    for (uint32_t i = (uint32_t)hash & engine->kind_mask;; i = (i + 1) & engine->kind_mask) {
        *entry = (struct kind_entry *)pointer_load_acquire(&engine->kind_buckets[i]); /* partner: publish_entry */
        if (*entry == NULL || entry_is(*entry, hash, name, length)) return &engine->kind_buckets[i];
    }
}

/* Reserves a number. A number whose entry then loses its bucket to the same name stays unused. */
static uint32_t reserve_kind(weir_engine *engine) {
    uint32_t count = u32_load_relaxed(&engine->kind_count);
    do {
        if (count >= engine->config.max_kinds) return 0;
    } while (!u32_cas_acq_rel(&engine->kind_count, &count, count + 1));
    return count + 1;
}

static int add_kind(weir_engine *engine, uint64_t hash, const char *name, size_t length, uint32_t *kind) {
    struct kind_entry *entry =
        (struct kind_entry *)memory_take(&engine->config.allocator, sizeof(struct kind_entry), 8);
    if (entry == NULL) return WEIR_NO_MEMORY;
    entry->hash = hash;
    entry->length = (uint32_t)length;
    memcpy(entry->name, name, length);
    entry->kind = reserve_kind(engine);
    if (entry->kind == 0) {
        memory_give(&engine->config.allocator, entry, sizeof(struct kind_entry), 8);
        return WEIR_KINDS_LIMIT;
    }
    /* By number first: whoever finds the name may use the number at once. Also owns the entry from here on. */
    pointer_store_release(&engine->kinds[entry->kind], entry);
    for (;;) {
        struct kind_entry *other;
        atomic_pointer *bucket = find_bucket(engine, hash, name, length, &other);
        if (other != NULL) {
            *kind = other->kind;
            return WEIR_OK;
        }
        void *expected = NULL;
        if (pointer_cas_acq_rel(bucket, &expected, entry)) { /* release: partner is find_bucket's load */
            *kind = entry->kind;
            return WEIR_OK;
        }
    }
}

int weir_kind(weir_engine *engine, const char *name, size_t length, uint32_t *kind) {
    if (!name_is_valid(name, length)) return WEIR_INVALID;
    uint64_t hash = hash_name(engine->hash_key, name, length);
    struct kind_entry *entry;
    find_bucket(engine, hash, name, length, &entry);
    if (entry == NULL) return add_kind(engine, hash, name, length, kind);
    *kind = entry->kind;
    return WEIR_OK;
}

const char *weir_kind_name(const weir_engine *engine, uint32_t kind, size_t *length) {
    *length = 0;
    if (kind == 0 || kind > engine->config.max_kinds) return NULL;
    const struct kind_entry *entry = (const struct kind_entry *)pointer_load_acquire(&engine->kinds[kind]);
    if (entry == NULL) return NULL;
    *length = entry->length;
    return entry->name;
}
