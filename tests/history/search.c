#include "search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    uint64_t done;
    union model model;
    uint64_t use; /* of which history this is: others count as free */
};

struct search {
    struct place *places;
    uint64_t mask;
    uint64_t taken;
    uint64_t use;
    const struct history *history;
    uint64_t must;              /* operations that have to be in the row; the others may be */
    uint8_t order[HISTORY_MAX]; /* by invocation */
};

static void *zeroed(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) abort();
    return memory;
}

struct search *search_create(void) {
    struct search *search = (struct search *)zeroed(1, sizeof(*search));
    search->mask = 1023;
    search->places = (struct place *)zeroed(search->mask + 1, sizeof(struct place));
    return search;
}

void search_destroy(struct search *search) {
    free(search->places);
    free(search);
}

static uint64_t hash_of(uint64_t done, const union model *model) {
    uint64_t hash = done * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < sizeof(model->words) / sizeof(model->words[0]); i++) {
        hash = (hash ^ model->words[i]) * 0xBF58476D1CE4E5B9u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The place of the pair: its own, or the free one where it belongs. */
static struct place *place_of(struct search *search, uint64_t done, const union model *model) {
    uint64_t at = hash_of(done, model);
    for (;; at++) {
        struct place *place = &search->places[at & search->mask];
        if (place->use != search->use) return place;
        if (place->done == done && memcmp(&place->model, model, sizeof(*model)) == 0) return place;
    }
}

static void grow(struct search *search) {
    struct place *old = search->places;
    uint64_t count = search->mask + 1;
    search->mask = count * 4 - 1;
    search->places = (struct place *)zeroed(search->mask + 1, sizeof(struct place));
    for (uint64_t i = 0; i < count; i++)
        if (old[i].use == search->use) *place_of(search, old[i].done, &old[i].model) = old[i];
    free(old);
}

/* False when this pair has been gone into before. */
static bool remember(struct search *search, uint64_t done, const union model *model) {
    struct place *place = place_of(search, done, model);
    if (place->use == search->use) return false;
    *place = (struct place){done, *model, search->use};
    if (++search->taken * 2 > search->mask) grow(search);
    return true;
}

/* Nothing that was invoked later than this may come next. */
static uint64_t earliest_response(const struct search *search, uint64_t done) {
    uint64_t earliest = UINT64_MAX;
    for (uint64_t left = search->must & ~done; left != 0; left &= left - 1) {
        uint64_t responded = search->history->operations[__builtin_ctzll(left)].responded;
        if (responded < earliest) earliest = responded;
    }
    return earliest;
}

static bool explore(struct search *search, uint64_t done, const union model *model) {
    const struct history *history = search->history;
    if ((done & search->must) == search->must) return true;
    if (!remember(search, done, model)) return false;
    uint64_t limit = earliest_response(search, done);
    for (uint32_t i = 0; i < history->count; i++) {
        uint32_t index = search->order[i];
        const struct operation *operation = &history->operations[index];
        if (operation->invoked > limit) break;
        if (done >> index & 1) continue;
        union model next = *model;
        if (!history->specification->step(&history->settings, &next, operation)) continue;
        if (explore(search, done | 1ull << index, &next)) return true;
    }
    return false;
}

static void sort_by_invocation(struct search *search) {
    const struct operation *operations = search->history->operations;
    for (uint32_t i = 0; i < search->history->count; i++) {
        uint32_t at = i;
        for (; at > 0 && operations[search->order[at - 1]].invoked > operations[i].invoked; at--)
            search->order[at] = search->order[at - 1];
        search->order[at] = (uint8_t)i;
    }
}

/* Whether there is an order for the operations in `must`, with any of the others or without them. */
static bool has_order(struct search *search, const struct history *history, uint64_t must) {
    search->history = history;
    search->must = must;
    search->use++;
    search->taken = 0;
    sort_by_invocation(search);
    return explore(search, 0, &history->specification->start);
}

static uint64_t all_of(const struct history *history) {
    return history->count == HISTORY_MAX ? UINT64_MAX : (1ull << history->count) - 1;
}

const char *history_judge(struct search *search, struct history *history) {
    if (history->count > HISTORY_MAX) abort();
    events_learn(history->operations, history->count);
    const char *objection = history->specification->objection(history->operations, history->count);
    if (objection != NULL) return objection;
    return has_order(search, history, all_of(history)) ? NULL : "no order explains it";
}

/* ---- Making it smaller ---------------------------------------------------------------------------------------- */

/* What had been answered by the first instant at which no order was left. What was under way then may count or not. */
static uint64_t answered_by(const struct history *history, uint64_t instant) {
    uint64_t must = 0;
    for (uint32_t i = 0; i < history->count; i++)
        if (history->operations[i].responded <= instant) must |= 1ull << i;
    return must;
}

static void keep_only(struct history *history, uint64_t kept) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < history->count; i++)
        if (kept >> i & 1) history->operations[count++] = history->operations[i];
    history->count = count;
}

/* Cuts behind the first answer that no order explains. False when only the whole is objectionable. */
static bool cut(struct search *search, struct history *history) {
    uint64_t first = UINT64_MAX;
    for (uint32_t i = 0; i < history->count; i++) {
        uint64_t instant = history->operations[i].responded;
        if (instant < first && !has_order(search, history, answered_by(history, instant))) first = instant;
    }
    if (first == UINT64_MAX) return false;
    uint64_t kept = 0;
    for (uint32_t i = 0; i < history->count; i++)
        if (history->operations[i].invoked <= first) kept |= 1ull << i;
    struct history smaller = *history;
    keep_only(&smaller, kept);
    if (!has_order(search, &smaller, answered_by(&smaller, first))) *history = smaller;
    return true;
}

/* Operations that leave the state as it is: without them every order of the others stays one. */
static bool is_observation(const struct operation *operation) {
    switch (operation->kind) {
    case OPERATION_NEXT:
    case OPERATION_OLDEST:
    case OPERATION_STATE:
    case OPERATION_SEND:
    case OPERATION_WRITE:
        return true;
    default:
        return operation->status != 0 && operation->kind != OPERATION_READ && operation->kind != OPERATION_PLACE;
    }
}

static void drop_if_wrong_without(struct search *search, struct history *history, uint64_t kept) {
    struct history smaller = *history;
    keep_only(&smaller, kept);
    if (smaller.count < history->count && !has_order(search, &smaller, all_of(&smaller))) *history = smaller;
}

void history_minimise(struct search *search, struct history *history) {
    if (has_order(search, history, all_of(history)) || !cut(search, history)) return;
    for (uint32_t cursor = 0; cursor < CURSORS_MAX; cursor++) {
        uint64_t kept = all_of(history);
        for (uint32_t i = 0; i < history->count; i++) {
            const struct operation *operation = &history->operations[i];
            bool reads = operation->kind == OPERATION_READ || operation->kind == OPERATION_PLACE ||
                         operation->kind == OPERATION_LIMIT;
            if (reads && operation->cursor == cursor) kept &= ~(1ull << i);
        }
        if (history->specification == &log_specification) drop_if_wrong_without(search, history, kept);
    }
    for (uint32_t i = history->count; i-- > 0;)
        if (is_observation(&history->operations[i]))
            drop_if_wrong_without(search, history, all_of(history) & ~(1ull << i));
}

/* ---- Printing ------------------------------------------------------------------------------------------------- */

static void print_operation(const struct operation *operation) {
    static const char *const kinds[] = {"",      "publish", "read",   "end",    "place", "limit",    "next", "oldest",
                                        "state", "open",    "create", "remove", "send",  "end life", "write"};
    static const char *const starts[] = {"oldest", "now", "after", ""};
    printf("    %6llu-%-6llu thread %u %-8s %d  cursor %u  sequence %llu  value %llx  last %llu%s%s  %s\n",
           (unsigned long long)operation->invoked, (unsigned long long)operation->responded, operation->thread,
           kinds[operation->kind], operation->status, operation->cursor, (unsigned long long)operation->sequence,
           (unsigned long long)operation->value, (unsigned long long)operation->last,
           operation->created ? "  created" : "", operation->live ? "  live" : "",
           operation->kind == OPERATION_PLACE ? starts[operation->start] : "");
}

void history_print(const struct history *history) {
    uint64_t printed = 0;
    printf("  %s: ring %u, capacity %u, queue %u\n", history->specification->name, history->settings.ring,
           history->settings.capacity, history->settings.queue);
    for (uint32_t i = 0; i < CURSORS_MAX; i++)
        printf("  cursor %u: depth %u, mode %d\n", i, history->settings.cursors[i].depth,
               (int)history->settings.cursors[i].mode);
    for (uint32_t i = 0; i < history->count; i++) {
        uint32_t first = HISTORY_MAX;
        for (uint32_t j = 0; j < history->count; j++)
            if ((printed >> j & 1) == 0 &&
                (first == HISTORY_MAX || history->operations[j].invoked < history->operations[first].invoked))
                first = j;
        printed |= 1ull << first;
        print_operation(&history->operations[first]);
    }
    fflush(stdout);
}
