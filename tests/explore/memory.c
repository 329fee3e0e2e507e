#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define MESSAGES_MAX 16384u
#define ORDER_FIRST  8u
#define TABLE_SIZE   8192u /* power of two, more than twice LOCATIONS_MAX */
#define STALE_MOST   2u    /* times that a thread reads one stale message in a row: stores arrive in finite time */

struct message {
    uint64_t value;
    uint32_t position;
    bool continued; /* a read-modify-write follows it immediately */
    uint32_t view_locations;
    uint32_t clock[THREADS_MAX];
    uint16_t *seen;
};

struct location {
    void *address;
    uint32_t size;
    uint32_t count;
    uint32_t room;
    uint16_t *order; /* messages in modification order */
    uint16_t strong; /* the last one stored by a seq_cst operation */
    uint16_t stale_read[THREADS_MAX];
    uint8_t stale_times[THREADS_MAX];
};

struct thread_views {
    struct view current;  /* what the thread may no longer be ignorant of */
    struct view acquired; /* what an acquire fence would add */
    struct view released; /* as of its last release fence: what relaxed stores take along */
};

static struct message messages[MESSAGES_MAX];
static struct location locations[LOCATIONS_MAX];
static struct thread_views threads[THREADS_MAX];
static uint32_t message_count;
static uint32_t location_count;
static uint32_t thread_count;
static uint16_t table[TABLE_SIZE];
static uint32_t table_run[TABLE_SIZE];
static uint32_t run;
static uint32_t change_position[THREADS_MAX];

/* Views of messages, given back all at once. */
static uint16_t *pool;
static size_t pool_used;
#define POOL_SIZE ((size_t)16 << 20)

static uint16_t *pool_take(size_t count) {
    if (pool_used + count > POOL_SIZE) explore_fail("the explorer's own memory is used up");
    uint16_t *taken = pool + pool_used;
    pool_used += count;
    return taken;
}

static void view_clear(struct view *view) {
    view->locations = 0;
    memset(view->clock, 0, sizeof(view->clock));
}

void memory_begin(uint32_t count) {
    if (pool == NULL) pool = (uint16_t *)malloc(POOL_SIZE * sizeof(uint16_t));
    if (pool == NULL) abort();
    pool_used = 0;
    run++;
    message_count = 0;
    location_count = 0;
    thread_count = count;
    for (uint32_t i = 0; i < count; i++) {
        view_clear(&threads[i].current);
        view_clear(&threads[i].acquired);
        view_clear(&threads[i].released);
        threads[i].current.clock[i] = 1;
    }
}

static bool is_newer(uint16_t left, uint16_t right) {
    return messages[left].position > messages[right].position;
}

static void view_grow(struct view *view, uint32_t count) {
    for (; view->locations < count; view->locations++)
        view->seen[view->locations] = UINT16_MAX; /* nothing but the first message */
}

static void view_see(struct view *view, uint32_t location, uint16_t message) {
    view_grow(view, location + 1);
    uint16_t seen = view->seen[location];
    if (seen == UINT16_MAX || is_newer(message, seen)) view->seen[location] = message;
}

static void view_join(struct view *view, uint32_t count, const uint16_t *seen, const uint32_t *clock) {
    view_grow(view, count);
    for (uint32_t i = 0; i < count; i++) {
        if (seen[i] == UINT16_MAX || seen[i] == view->seen[i]) continue;
        if (view->seen[i] == UINT16_MAX || is_newer(seen[i], view->seen[i])) view->seen[i] = seen[i];
    }
    for (uint32_t i = 0; i < thread_count; i++)
        if (clock[i] > view->clock[i]) view->clock[i] = clock[i];
}

static uint64_t raw_load(const void *address, uint32_t size) {
    uint32_t half;
    uint64_t word;
    if (size == 8) {
        memcpy(&word, address, 8);
        return word;
    }
    memcpy(&half, address, 4);
    return half;
}

static void raw_store(void *address, uint32_t size, uint64_t value) {
    uint32_t half = (uint32_t)value;
    memcpy(address, size == 8 ? (const void *)&value : (const void *)&half, size);
}

static uint16_t message_new(uint64_t value) {
    if (message_count == MESSAGES_MAX) explore_fail("more stores than the explorer has room for");
    struct message *message = &messages[message_count];
    message->value = value;
    message->continued = false;
    message->view_locations = 0;
    memset(message->clock, 0, sizeof(message->clock));
    return (uint16_t)message_count++;
}

/* Puts the message after the one at `position`; the words themselves always hold the newest. */
static void insert_after(struct location *location, uint16_t message, uint32_t position) {
    if (location->count == location->room) {
        uint16_t *order = pool_take((size_t)location->room * 2);
        memcpy(order, location->order, location->count * sizeof(uint16_t));
        location->order = order;
        location->room *= 2;
    }
    for (uint32_t i = location->count; i > position + 1; i--) {
        location->order[i] = location->order[i - 1];
        messages[location->order[i]].position = i;
    }
    location->order[position + 1] = message;
    messages[message].position = position + 1;
    location->count++;
    raw_store(location->address, location->size, messages[location->order[location->count - 1]].value);
}

uint32_t memory_location(const void *address, uint32_t size) {
    uint32_t at = (uint32_t)((((uintptr_t)address >> 2) * 0x9E3779B1u) >> 7) % TABLE_SIZE;
    while (table_run[at] == run) {
        if (locations[table[at]].address == address) {
            if (locations[table[at]].size != size) explore_fail("a word is used in two sizes");
            return table[at];
        }
        at = (at + 1) % TABLE_SIZE;
    }
    if (location_count == LOCATIONS_MAX) explore_fail("more words than the explorer has room for");
    struct location *location = &locations[location_count];
    location->address = (void *)(uintptr_t)address;
    location->size = size;
    location->room = ORDER_FIRST;
    location->order = pool_take(ORDER_FIRST);
    location->count = 1;
    location->order[0] = message_new(raw_load(address, size));
    messages[location->order[0]].position = 0;
    location->strong = location->order[0];
    memset(location->stale_times, 0, sizeof(location->stale_times));
    table_run[at] = run;
    table[at] = (uint16_t)location_count;
    return location_count++;
}

/* The position of the oldest message that an operation may read, or store behind. */
static uint32_t oldest(uint32_t thread, uint32_t location, enum order order) {
    const struct location *word = &locations[location];
    const struct view *view = &threads[thread].current;
    uint16_t seen = location < view->locations ? view->seen[location] : UINT16_MAX;
    uint32_t position = seen == UINT16_MAX ? 0 : messages[seen].position;
    uint32_t strong = messages[word->strong].position;
    return order == ORDER_SEQ_CST && strong > position ? strong : position;
}

static uint32_t oldest_to_read(uint32_t thread, uint32_t location, enum order order) {
    const struct location *word = &locations[location];
    uint32_t position = oldest(thread, location, order);
    if (position + 1 < word->count && word->stale_times[thread] >= STALE_MOST &&
        word->order[position] == word->stale_read[thread])
        position++;
    return position;
}

static void note_read(uint32_t thread, struct location *word, uint16_t message) {
    if (messages[message].position + 1 == word->count || word->stale_read[thread] != message)
        word->stale_times[thread] = 0;
    word->stale_read[thread] = message;
    if (messages[message].position + 1 != word->count) word->stale_times[thread]++;
}

static void read_message(uint32_t thread, uint32_t location, enum order order, uint16_t message) {
    struct thread_views *views = &threads[thread];
    const struct message *read = &messages[message];
    view_see(&views->current, location, message);
    if (read->view_locations > 0) {
        if (order_acquires(order))
            view_join(&views->current, read->view_locations, read->seen, read->clock);
        else
            view_join(&views->acquired, read->view_locations, read->seen, read->clock);
    }
    note_read(thread, &locations[location], message);
}

static void attach_view(uint16_t message, const struct view *view) {
    struct message *written = &messages[message];
    written->view_locations = view->locations;
    written->seen = pool_take(view->locations);
    memcpy(written->seen, view->seen, view->locations * sizeof(uint16_t));
    memcpy(written->clock, view->clock, sizeof(view->clock));
}

/* `continues` is the message that a read-modify-write has read: its release goes on. */
static void write_message(uint32_t thread, uint32_t location, enum order order, uint64_t value, uint32_t position,
                          const struct message *continues) {
    static struct view view;
    struct thread_views *views = &threads[thread];
    struct location *word = &locations[location];
    uint16_t message = message_new(value);
    insert_after(word, message, position);
    view_see(&views->current, location, message);
    const struct view *base = order_releases(order) ? &views->current : &views->released;
    view.locations = base->locations;
    memcpy(view.seen, base->seen, base->locations * sizeof(uint16_t));
    memcpy(view.clock, base->clock, sizeof(view.clock));
    view_see(&view, location, message);
    if (continues != NULL && continues->view_locations > 0)
        view_join(&view, continues->view_locations, continues->seen, continues->clock);
    attach_view(message, &view);
    if (order == ORDER_SEQ_CST) word->strong = message;
    views->current.clock[thread]++;
}

uint32_t memory_load_choices(uint32_t thread, uint32_t location, enum order order) {
    return locations[location].count - oldest_to_read(thread, location, order);
}

uint64_t memory_load(uint32_t thread, uint32_t location, enum order order, uint32_t choice) {
    const struct location *word = &locations[location];
    uint16_t message = word->order[word->count - 1 - choice];
    read_message(thread, location, order, message);
    return messages[message].value;
}

/* The position that the choice means, among those from `least` on that have nothing bound to them: UINT32_MAX past the
 * last. */
static uint32_t free_position(const struct location *word, uint32_t least, uint32_t choice) {
    for (uint32_t at = word->count; at-- > least;)
        if (!messages[word->order[at]].continued && choice-- == 0) return at;
    return UINT32_MAX;
}

uint32_t memory_store_choices(uint32_t thread, uint32_t location, enum order order) {
    uint32_t count = 0;
    uint32_t least = oldest(thread, location, order);
    while (free_position(&locations[location], least, count) != UINT32_MAX)
        count++;
    return count;
}

void memory_store(uint32_t thread, uint32_t location, enum order order, uint64_t value, uint32_t choice) {
    uint32_t position = free_position(&locations[location], oldest(thread, location, order), choice);
    write_message(thread, location, order, value, position, NULL);
}

uint32_t memory_change_choices(uint32_t thread, uint32_t location, enum order order) {
    return memory_store_choices(thread, location, order);
}

uint64_t memory_change_from(uint32_t thread, uint32_t location, enum order order, uint32_t choice) {
    const struct location *word = &locations[location];
    uint32_t position = free_position(word, oldest(thread, location, order), choice);
    change_position[thread] = position;
    read_message(thread, location, order, word->order[position]);
    return messages[word->order[position]].value;
}

void memory_change_to(uint32_t thread, uint32_t location, enum order order, uint64_t value) {
    uint32_t position = change_position[thread];
    struct message *read = &messages[locations[location].order[position]];
    read->continued = true;
    write_message(thread, location, order, value, position, read);
}

/* A choice of a compare-and-swap is the position that it reads. */
static uint32_t cas_position(uint32_t thread, uint32_t location, enum order order, uint64_t expected,
                             uint32_t choice) {
    const struct location *word = &locations[location];
    uint32_t strong = oldest(thread, location, order);
    uint32_t least = oldest_to_read(thread, location, ORDER_RELAXED);
    for (uint32_t at = word->count; at-- > least;) {
        const struct message *message = &messages[word->order[at]];
        bool succeeds = message->value == expected;
        if (succeeds && (message->continued || at < strong)) continue;
        if (choice-- == 0) return at;
    }
    return UINT32_MAX;
}

uint32_t memory_cas_choices(uint32_t thread, uint32_t location, enum order order, uint64_t expected) {
    uint32_t count = 0;
    while (cas_position(thread, location, order, expected, count) != UINT32_MAX)
        count++;
    return count;
}

bool memory_cas(uint32_t thread, uint32_t location, enum order order, enum order failure, uint64_t *expected,
                uint64_t desired, uint32_t choice) {
    uint32_t position = cas_position(thread, location, order, *expected, choice);
    uint16_t message = locations[location].order[position];
    if (messages[message].value != *expected) {
        read_message(thread, location, failure, message);
        *expected = messages[message].value;
        return false;
    }
    read_message(thread, location, order, message);
    messages[message].continued = true;
    write_message(thread, location, order, desired, position, &messages[message]);
    return true;
}

void memory_fence(uint32_t thread, enum order order) {
    struct thread_views *views = &threads[thread];
    if (order_acquires(order))
        view_join(&views->current, views->acquired.locations, views->acquired.seen, views->acquired.clock);
    if (!order_releases(order)) return;
    view_join(&views->released, views->current.locations, views->current.seen, views->current.clock);
    views->current.clock[thread]++;
}

const uint32_t *memory_clock(uint32_t thread) {
    return threads[thread].current.clock;
}

uint32_t memory_words_in(const void *begin, size_t length, void **addresses, uint32_t *sizes, uint32_t most) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < location_count && count < most; i++) {
        if ((uintptr_t)locations[i].address - (uintptr_t)begin >= length) continue;
        addresses[count] = locations[i].address;
        sizes[count++] = locations[i].size;
    }
    return count;
}
