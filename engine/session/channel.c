/* Channels by name: found, made, and gone with the last one who has an interest in them. */
#include "channel.h"

#include <string.h>

#include "base/hash.h"
#include "base/mark.h"
#include "membership.h"
#include "names.h"

#define TABLE_CHUNK_SHIFT 16         /* as the engine's other tables */
#define MEMBERSHIPS_MAX   (1u << 26) /* records; their table of chunks is made at once */
#define PAIR_BUCKETS_MAX  (1u << 18) /* so is the map's; beyond that its lists grow */

static uint32_t memberships_limit(const weir_config *config) {
    uint64_t of_sessions = (uint64_t)config->max_sessions * config->max_session_channels;
    uint64_t of_channels = (uint64_t)config->max_channels * config->max_channel_members;
    uint64_t most = of_sessions < of_channels ? of_sessions : of_channels;
    if (most == 0) return 1;
    return most < MEMBERSHIPS_MAX ? (uint32_t)most : MEMBERSHIPS_MAX;
}

static void free_tables(const weir_allocator *allocator, struct channels *channels) {
    if (channels->pairs.heads != NULL) index_map_destroy(&channels->pairs, allocator);
    if (channels->names.heads != NULL) index_map_destroy(&channels->names, allocator);
    slab_destroy(&channels->memberships_slab);
    slab_destroy(&channels->channels_slab);
    memory_give(allocator, channels, sizeof(*channels), CACHE_LINE);
}

static int fill_tables(const weir_engine *engine, struct channels *channels) {
    const weir_allocator *allocator = &engine->config.allocator;
    const weir_config *config = &engine->config;
    uint32_t records = memberships_limit(config);
    uint32_t buckets = records < PAIR_BUCKETS_MAX ? records : PAIR_BUCKETS_MAX;
    int status = slab_create(&channels->channels_slab, allocator, NULL, sizeof(weir_channel), config->max_channels,
                             TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK)
        status = slab_create(&channels->memberships_slab, allocator, NULL, sizeof(struct membership), records,
                             TABLE_CHUNK_SHIFT);
    if (status == WEIR_OK)
        status = index_map_create(&channels->names, allocator, &channels->channels_slab, config->max_channels);
    if (status == WEIR_OK)
        status = index_map_create(&channels->pairs, allocator, &channels->memberships_slab, buckets);
    return status;
}

/* Two threads may make them at once: one wins, the other's memory goes back. */
static struct channels *make_channels(weir_engine *engine) {
    const weir_allocator *allocator = &engine->config.allocator;
    void *there = channels_of(engine);
    if (there != NULL) return (struct channels *)there;
    struct channels *channels = (struct channels *)memory_take(allocator, sizeof(*channels), CACHE_LINE);
    if (channels == NULL) return NULL;
    bool filled = fill_tables(engine, channels) == WEIR_OK;
    if (filled && pointer_cas_acq_rel(&engine->channels, &there, channels)) return channels;
    free_tables(allocator, channels);
    return (struct channels *)there;
}

bool channel_try_retain(weir_channel *channel) {
    uint32_t count = u32_load_relaxed(&channel->references); /* relaxed: the compare-and-swap decides */
    do {
        if (count == 0) return false;
    } while (!u32_cas_acq_rel(&channel->references, &count, count + 1)); /* acquire: the fields of this life */
    return true;
}

struct wanted {
    const char *name;
    size_t length;
    uint64_t hash;
};

/* As of a session: the name is looked at under a reference, which stays when it is the one. */
static bool match_and_retain(void *context, void *object) {
    const struct wanted *wanted = (const struct wanted *)context;
    weir_channel *channel = (weir_channel *)object;
    if (!channel_try_retain(channel)) return false;
    if (channel->name_length == wanted->length && memcmp(channel->name, wanted->name, wanted->length) == 0)
        return true;
    weir_channel_release(channel);
    return false;
}

static weir_channel *look_up(struct channels *channels, struct wanted *wanted) {
    uint32_t index = index_map_find(&channels->names, wanted->hash, match_and_retain, wanted);
    return index == SLAB_NONE ? NULL : (weir_channel *)slab_at(&channels->channels_slab, index);
}

/* The channel of that name with a reference. A lookup can come upon one that is not in the map yet, by a way that was
 * right in its memory's last life, and which may never get there; a second lookup, while the first one's result is held
 * and so in this life, comes upon it only if it is. */
static weir_channel *find_listed(struct channels *channels, struct wanted *wanted) {
    for (;;) {
        weir_channel *channel = look_up(channels, wanted);
        if (channel == NULL || u32_load_acquire(&channel->listed)) return channel;
        weir_channel *again = look_up(channels, wanted);
        if (again == channel) u32_store_release(&channel->listed, 1);
        weir_channel_release(again);
        if (again == channel) return channel;
        weir_channel_release(channel);
    }
}

weir_channel *channel_find(weir_engine *engine, const char *name, size_t length) {
    struct channels *channels = channels_of(engine);
    if (channels == NULL || !name_is_valid(name, length)) return NULL;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length)};
    return find_listed(channels, &wanted);
}

/* `references` becomes non-zero last: until then nobody looks. */
static void begin_life(weir_engine *engine, struct channels *channels, weir_channel *channel, uint32_t index,
                       const struct wanted *wanted) {
    index_map_prepare(&channels->names, index, wanted->hash);
    channel->index = index;
    channel->engine = engine;
    channel->name_length = (uint32_t)wanted->length;
    memcpy(channel->name, wanted->name, wanted->length);
    u32_store_relaxed(&channel->listed, 0);
    u32_store_relaxed(&channel->member_count, 0);
    u64_store_relaxed(&channel->owner, 0);
    places_init(&channel->members, &engine->config.allocator, engine->config.max_channel_members);
    u64_add_relaxed(&channels->count, 1);
    u32_store_release(&channel->references, 1); /* partner: channel_try_retain */
}

/* Adds a channel, or finds that somebody else was first. */
static int create(weir_engine *engine, struct channels *channels, struct wanted *wanted, weir_channel **out,
                  int *created) {
    uint32_t index;
    uint32_t taken;
    int status = slab_take(&channels->channels_slab, &index, 1, &taken);
    if (status != WEIR_OK) return status == WEIR_FULL ? WEIR_CHANNELS_LIMIT : status;
    weir_channel *channel = (weir_channel *)slab_at(&channels->channels_slab, index);
    begin_life(engine, channels, channel, index, wanted);
    uint32_t found = index_map_insert(&channels->names, index, match_and_retain, wanted);
    if (found == index) {
        WEIR_MARK(CHANNEL_OPEN_INSERTED);
        u32_store_release(&channel->listed, 1);
        *out = channel;
        *created = 1;
        return WEIR_OK;
    }
    weir_channel_release(channel);
    weir_channel_release((weir_channel *)slab_at(&channels->channels_slab, found));
    return WEIR_NOT_FOUND;
}

int weir_channel_open(weir_engine *engine, const char *name, size_t length, weir_open mode, weir_channel **out,
                      int *created) {
    int made = 0;
    *out = NULL;
    if (created != NULL) *created = 0;
    if (!name_is_valid(name, length) || (mode != WEIR_OPEN_EXISTING && mode != WEIR_OPEN_OR_CREATE))
        return WEIR_INVALID;
    struct channels *channels = mode == WEIR_OPEN_OR_CREATE ? make_channels(engine) : channels_of(engine);
    if (channels == NULL) return mode == WEIR_OPEN_OR_CREATE ? WEIR_NO_MEMORY : WEIR_NOT_FOUND;
    struct wanted wanted = {name, length, hash_name(engine->hash_key, name, length)};
    int status = WEIR_NOT_FOUND;
    while (status == WEIR_NOT_FOUND) {
        *out = find_listed(channels, &wanted);
        if (*out != NULL) return WEIR_OK;
        if (mode == WEIR_OPEN_EXISTING) return WEIR_NOT_FOUND;
        status = create(engine, channels, &wanted, out, &made);
    }
    if (created != NULL) *created = made;
    return status;
}

void weir_channel_retain(weir_channel *channel) {
    uint32_t before = u32_add_relaxed(&channel->references, 1); /* relaxed: the caller holds one already */
    WEIR_DCHECK(before > 0);
    (void)before;
}

COLD static void end_life(weir_channel *channel) {
    struct channels *channels = channels_of(channel->engine);
    uint32_t index = channel->index;
    index_map_remove(&channels->names, index);
    places_destroy(&channel->members);
    u64_subtract_relaxed(&channels->count, 1);
    slab_give(&channels->channels_slab, &index, 1);
}

void weir_channel_release(weir_channel *channel) {
    if (channel == NULL) return;
    /* Release and acquire: what every owner did comes before the memory's next life. */
    uint32_t before = u32_subtract_acq_rel(&channel->references, 1);
    WEIR_CHECK(before > 0);
    if (before == 1) end_life(channel);
}

const char *weir_channel_name(const weir_channel *channel, size_t *length) {
    *length = channel->name_length;
    return channel->name;
}

uint32_t weir_channel_members(const weir_channel *channel) {
    struct life life;
    if (!channels_are_exclusive(channel->engine)) return u32_load_acquire(&channel->member_count);
    uint64_t owner = u64_load_seq_cst(&channel->owner);
    return owner != 0 && life_of_value(channels_of(channel->engine), owner, &life) == MEMBERSHIP_ACTIVE;
}

static void remove_value(struct channels *channels, uint64_t value) {
    struct life life;
    if (value != 0 && life_of_value(channels, value, &life) == MEMBERSHIP_ACTIVE)
        membership_remove(channels, &life, NULL, NULL);
}

int weir_channel_remove(weir_engine *engine, const char *name, size_t length) {
    weir_channel *channel = channel_find(engine, name, length);
    if (channel == NULL) return WEIR_NOT_FOUND;
    struct channels *channels = channels_of(engine);
    uint32_t count;
    uint32_t end = places_end(&channel->members);
    remove_value(channels, u64_load_seq_cst(&channel->owner));
    for (uint32_t index = 0; index < end; index += count) {
        const atomic_u64 *words = places_run(&channel->members, index, end, &count);
        for (uint32_t i = 0; i < count; i++)
            remove_value(channels, places_value(&words[i]));
    }
    weir_channel_release(channel);
    return WEIR_OK;
}

void channels_destroy(weir_engine *engine) {
    struct channels *channels = channels_of(engine);
    if (channels == NULL) return;
    uint32_t fresh = slab_fresh(&channels->channels_slab);
    for (uint32_t i = 0; i < fresh; i++) {
        weir_channel *channel = (weir_channel *)slab_at(&channels->channels_slab, i);
        if (u32_load_acquire(&channel->references) > 0) places_destroy(&channel->members);
    }
    free_tables(&engine->config.allocator, channels);
    pointer_store_relaxed(&engine->channels, NULL); /* relaxed: nobody uses the engine any more */
}

void channels_stats(const weir_engine *engine, weir_stats *stats) {
    const struct channels *channels = channels_of(engine);
    if (channels == NULL) return;
    stats->channels = u64_load_relaxed(&channels->count);
    stats->memberships = u64_load_relaxed(&channels->memberships);
}
