#include "ledger.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PLACES 16384u /* a power of two */

struct entry {
    const void *block; /* NULL: free; the table's own address: was taken, and chains go on behind it */
    size_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry entries[PLACES];
static size_t count;
static size_t used; /* places that are not NULL */

static const void *const removed = entries;

static size_t first_place(const void *block) {
    return (size_t)(((uintptr_t)block * UINT64_C(0x9E3779B97F4A7C15)) >> 50) % PLACES;
}

static void forget_all(void) {
    for (size_t i = 0; i < PLACES; i++)
        entries[i].block = NULL;
    used = count = 0;
}

void ledger_add(const void *block, size_t size) {
    if (block == NULL) return;
    pthread_mutex_lock(&lock);
    if (used > PLACES / 2 && count == 0) forget_all();
    size_t place = first_place(block);
    while (entries[place].block != NULL && entries[place].block != removed)
        place = (place + 1) % PLACES;
    used += entries[place].block == NULL;
    if (used == PLACES) {
        fprintf(stderr, "the ledger of heap blocks is full\n");
        abort();
    }
    entries[place] = (struct entry){block, size};
    count++;
    pthread_mutex_unlock(&lock);
}

void ledger_remove(const void *block) {
    if (block == NULL) return;
    pthread_mutex_lock(&lock);
    size_t place = first_place(block);
    while (entries[place].block != NULL && entries[place].block != block)
        place = (place + 1) % PLACES;
    if (entries[place].block == block) {
        entries[place].block = removed;
        count--;
    }
    pthread_mutex_unlock(&lock);
}

size_t ledger_count(size_t *size) {
    pthread_mutex_lock(&lock);
    size_t blocks = count;
    for (size_t i = 0; size != NULL && i < PLACES; i++)
        if (entries[i].block != NULL && entries[i].block != removed) *size = entries[i].size;
    pthread_mutex_unlock(&lock);
    return blocks;
}

void ledger_clear(void) {
    pthread_mutex_lock(&lock);
    forget_all();
    pthread_mutex_unlock(&lock);
}
