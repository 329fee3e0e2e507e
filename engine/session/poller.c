/* Pollers and outlets: which thread hears of which session. A poller's tables belong to its thread; publishers only
 * see an outlet's place and the notify behind it. */
#include "engine.h"

static void free_tables(weir_poller *poller) {
    const weir_allocator *allocator = &poller->engine->config.allocator;
    uint32_t places = poller->max_outlets;
    memory_give(allocator, poller->free_places, sizeof(uint32_t) * places, CACHE_LINE);
    memory_give(allocator, poller->outlets, sizeof(weir_outlet *) * places, CACHE_LINE);
    poller->free_places = NULL;
    poller->outlets = NULL;
}

/* Pollers' memory is kept while the engine lives: a publisher that woke one may still be counting that. The sleep
 * epoch goes on over all uses, so that no producer mistakes a new poller's sleep for one that it has ended. */
static int open_poller(weir_poller *poller, const weir_poller_config *config, uint32_t places) {
    const weir_allocator *allocator = &poller->engine->config.allocator;
    uint64_t epoch = (u64_load_relaxed(&poller->notify.epoch) + 2) & ~1ull;
    int status = notify_create(&poller->notify, allocator, places, epoch, config->wake, config->context);
    if (status != WEIR_OK) return status;
    poller->max_outlets = places;
    poller->free_places = (uint32_t *)memory_take(allocator, sizeof(uint32_t) * places, CACHE_LINE);
    poller->outlets = (weir_outlet **)memory_take(allocator, sizeof(weir_outlet *) * places, CACHE_LINE);
    if (poller->free_places == NULL || poller->outlets == NULL) {
        free_tables(poller);
        notify_destroy(&poller->notify, allocator);
        return WEIR_NO_MEMORY;
    }
    /* Handed out from the low end: few sessions then share few leaf words. */
    for (uint32_t i = 0; i < places; i++)
        poller->free_places[i] = places - 1 - i;
    poller->free_count = places;
    return WEIR_OK;
}

/* A place in the engine's table: an unused one, or one whose poller was destroyed. */
static weir_poller *claim_poller(weir_engine *engine, int *status) {
    for (uint32_t i = 0; i < engine->config.max_pollers; i++) {
        weir_poller *poller = (weir_poller *)pointer_load_acquire(&engine->pollers[i]);
        uint32_t closed = 0;
        if (poller != NULL) {
            if (u32_cas_acq_rel(&poller->open, &closed, 1)) return poller;
            continue;
        }
        poller = (weir_poller *)memory_take(&engine->config.allocator, sizeof(weir_poller), CACHE_LINE);
        if (poller == NULL) {
            *status = WEIR_NO_MEMORY;
            return NULL;
        }
        poller->engine = engine;
        poller->index = i;
        u32_store_relaxed(&poller->open, 1);
        void *expected = NULL;
        if (pointer_cas_acq_rel(&engine->pollers[i], &expected, poller)) return poller;
        memory_give(&engine->config.allocator, poller, sizeof(weir_poller), CACHE_LINE);
    }
    *status = WEIR_POLLERS_LIMIT;
    return NULL;
}

int weir_poller_create(weir_engine *engine, const weir_poller_config *config, weir_poller **out) {
    *out = NULL;
    if (config == NULL || config->wake == NULL || config->max_outlets > 1u << 24) return WEIR_INVALID;
    uint32_t places = config->max_outlets != 0 ? config->max_outlets : engine->config.max_sessions;
    int status = WEIR_OK;
    weir_poller *poller = claim_poller(engine, &status);
    if (poller == NULL) return status;
    status = open_poller(poller, config, places);
    if (status != WEIR_OK) {
        u32_store_release(&poller->open, 0);
        return status;
    }
    *out = poller;
    return WEIR_OK;
}

void weir_poller_destroy(weir_poller *poller) {
    if (poller == NULL) return;
    free_tables(poller);
    notify_destroy(&poller->notify, &poller->engine->config.allocator);
    u32_store_release(&poller->open, 0); /* partner: claim_poller's compare-and-swap */
}

static weir_outlet *find_outlet(const weir_session *session, const weir_poller *poller) {
    weir_outlet *outlet = (weir_outlet *)pointer_load_acquire(&session->outlets);
    while (outlet != NULL && outlet->poller != poller)
        outlet = outlet->next;
    return outlet;
}

static int link_outlet(weir_poller *poller, weir_session *session, weir_outlet **out) {
    weir_engine *engine = poller->engine;
    uint32_t index;
    uint32_t taken;
    int status = slab_take(&engine->outlets_slab, &index, 1, &taken);
    if (status != WEIR_OK) return status == WEIR_FULL ? WEIR_OUTLETS_LIMIT : status;
    weir_outlet *outlet = (weir_outlet *)slab_at(&engine->outlets_slab, index);
    outlet->index = index;
    outlet->poller = poller;
    outlet->session = session;
    u32_store_relaxed(&outlet->place, SLAB_NONE);
    void *first = pointer_load_acquire(&session->outlets);
    do {
        outlet->next = (weir_outlet *)first;
    } while (!pointer_cas_seq_cst(&session->outlets, &first, outlet)); /* W2; release: the fields above */
    *out = outlet;
    return WEIR_OK;
}

int weir_outlet_open(weir_poller *poller, weir_session *session, void *user, weir_outlet **out) {
    *out = NULL;
    if (session->engine != poller->engine) return WEIR_INVALID;
    if (poller->free_count == 0) return WEIR_OUTLETS_LIMIT;
    weir_outlet *outlet = find_outlet(session, poller);
    if (outlet != NULL && u32_load_relaxed(&outlet->place) != SLAB_NONE) return WEIR_BUSY;
    int status = outlet != NULL ? WEIR_OK : link_outlet(poller, session, &outlet);
    if (status != WEIR_OK) return status;
    outlet->user = user;
    uint32_t place = poller->free_places[--poller->free_count];
    poller->outlets[place] = outlet;
    notify_use(&poller->notify, place);
    u32_store_seq_cst(&outlet->place,
                      place); /* W2: before the caller's first read, or a publish in between is lost */
    *out = outlet;
    return WEIR_OK;
}

void weir_outlet_close(weir_outlet *outlet) {
    if (outlet == NULL) return;
    weir_poller *poller = outlet->poller;
    uint32_t place = u32_load_relaxed(&outlet->place); /* relaxed: this thread wrote it */
    if (place == SLAB_NONE) return;
    /* A publisher that has already read the place may still set its bit: whoever has the place then looks in vain. */
    u32_store_relaxed(&outlet->place, SLAB_NONE);
    poller->outlets[place] = NULL;
    poller->free_places[poller->free_count++] = place;
}

void *weir_outlet_user(const weir_poller *poller, const weir_session *session) {
    const weir_outlet *outlet = find_outlet(session, poller);
    if (outlet == NULL || u32_load_relaxed(&outlet->place) == SLAB_NONE) return NULL;
    return outlet->user;
}

#define TAKE_AT_ONCE 256u

uint32_t weir_poller_take(weir_poller *poller, void **users, uint32_t capacity) {
    uint32_t places[TAKE_AT_ONCE];
    uint32_t found = notify_take(&poller->notify, places, capacity < TAKE_AT_ONCE ? capacity : TAKE_AT_ONCE);
    uint32_t count = 0;
    for (uint32_t i = 0; i < found; i++) {
        /* A stale bit may name a place of an earlier use, which had more of them. */
        weir_outlet *outlet = places[i] < poller->max_outlets ? poller->outlets[places[i]] : NULL;
        if (outlet != NULL) users[count++] = outlet->user;
    }
    return count;
}

int weir_poller_sleep(weir_poller *poller) {
    return notify_sleep(&poller->notify);
}

void weir_poller_awake(weir_poller *poller) {
    notify_awake(&poller->notify);
}
