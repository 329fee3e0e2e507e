#include "backend/operations.h"

#include "base/check.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t hash_token(const struct operation_table *table, uint64_t token) {
    return (uint32_t)((token * UINT64_C(0x9E3779B97F4A7C15)) >> table->shift);
}

static void link_slot(struct operation_table *table, uint32_t index) {
    uint32_t *bucket = &table->buckets[hash_token(table, table->slots[index].token)];
    table->slots[index].chain = *bucket;
    *bucket = index;
}

static uint32_t *allocate_buckets(uint32_t count) {
    uint32_t *buckets = malloc(count * sizeof *buckets);
    for (uint32_t i = 0; buckets != NULL && i < count; i++) {
        buckets[i] = OPERATION_NONE;
    }
    return buckets;
}

static unsigned shift_of(uint32_t capacity) {
    return 64 - (unsigned)__builtin_ctz(capacity);
}

int operations_create(struct operation_table *table, uint32_t capacity) {
    uint32_t rounded = 64;
    while (rounded < capacity) {
        rounded *= 2;
    }
    *table = (struct operation_table){.capacity = rounded, .free = OPERATION_NONE, .shift = shift_of(rounded)};
    table->slots = malloc(rounded * sizeof *table->slots);
    table->buckets = allocate_buckets(rounded);
    if (table->slots != NULL && table->buckets != NULL) return 0;
    operations_destroy(table);
    return -ENOMEM;
}

void operations_destroy(struct operation_table *table) {
    free(table->slots);
    free(table->buckets);
    table->slots = NULL;
    table->buckets = NULL;
}

static bool grow(struct operation_table *table) {
    if (table->capacity >= UINT32_C(1) << 30) return false;
    uint32_t capacity = table->capacity * 2;
    uint32_t *buckets = allocate_buckets(capacity);
    if (buckets == NULL) return false;
    struct operation *slots = realloc(table->slots, capacity * sizeof *slots);
    if (slots == NULL) {
        free(buckets);
        return false;
    }
    free(table->buckets);
    table->slots = slots;
    table->buckets = buckets;
    table->capacity = capacity;
    table->shift = shift_of(capacity);
    for (uint32_t i = 0; i < table->touched; i++) {
        if (slots[i].state != OPERATION_FREE) link_slot(table, i);
    }
    return true;
}

uint32_t operations_take(struct operation_table *table, enum operation_kind kind, int descriptor, uint64_t token) {
    WEIR_DCHECK(operations_find(table, token) == OPERATION_NONE);
    uint32_t index = table->free;
    uint32_t generation = 0;
    if (index != OPERATION_NONE) {
        table->free = table->slots[index].next;
        generation = table->slots[index].generation;
    } else {
        if (table->touched == table->capacity && !grow(table)) return OPERATION_NONE;
        index = table->touched++;
    }
    table->slots[index] = (struct operation){.token = token,
                                             .descriptor = descriptor,
                                             .next = OPERATION_NONE,
                                             .generation = generation,
                                             .kind = kind,
                                             .state = OPERATION_WAITING};
    link_slot(table, index);
    table->started++;
    return index;
}

void operations_free(struct operation_table *table, uint32_t index) {
    struct operation *operation = &table->slots[index];
    WEIR_DCHECK(operation->state == OPERATION_WAITING);
    uint32_t *link = &table->buckets[hash_token(table, operation->token)];
    while (*link != index) {
        link = &table->slots[*link].chain;
    }
    *link = operation->chain;
    operation->state = OPERATION_FREE;
    operation->generation++;
    operation->next = table->free;
    table->free = index;
    table->started--;
}

uint32_t operations_find(const struct operation_table *table, uint64_t token) {
    uint32_t index = table->buckets[hash_token(table, token)];
    while (index != OPERATION_NONE && table->slots[index].token != token) {
        index = table->slots[index].chain;
    }
    return index;
}

void operations_list_init(struct operation_list *list) {
    *list = (struct operation_list){.first = OPERATION_NONE, .last = OPERATION_NONE};
}

void operations_push(struct operation_table *table, struct operation_list *list, uint32_t index,
                     enum operation_state state) {
    WEIR_DCHECK(table->slots[index].state == OPERATION_WAITING);
    table->slots[index].state = state;
    table->slots[index].next = OPERATION_NONE;
    if (list->first == OPERATION_NONE) {
        list->first = index;
    } else {
        table->slots[list->last].next = index;
    }
    list->last = index;
    list->count++;
}

uint32_t operations_pop(struct operation_table *table, struct operation_list *list) {
    uint32_t index = list->first;
    list->first = table->slots[index].next;
    if (list->first == OPERATION_NONE) list->last = OPERATION_NONE;
    list->count--;
    table->slots[index].state = OPERATION_WAITING;
    return index;
}

void operations_move_cancelled(struct operation_table *table, struct operation_list *from,
                               struct operation_list *to) {
    struct operation_list kept;
    operations_list_init(&kept);
    while (from->count > 0) {
        uint32_t index = operations_pop(table, from);
        bool cancelled = table->slots[index].cancelled;
        operations_push(table, cancelled ? to : &kept, index, cancelled ? OPERATION_READY : OPERATION_PARKED);
    }
    *from = kept;
}

bool operation_note_sent(struct operation *operation, int32_t *result) {
    if (*result > 0) {
        operation->done += (uint32_t)*result;
        if (operation->done < operation->length && !operation->cancelled) return true;
    } else if (*result == 0 && operation->length > 0) {
        *result = -EPIPE; /* a stream socket that takes nothing, without an error, would be tried for ever */
    }
    if (operation->done > 0) *result = (int32_t)operation->done;
    return false;
}
