/* The started operations of one backend: a table of 40-byte slots that grows to the most that ever were started at
 * once, a free list through it, and a hash from token to slot, chained through the slots themselves. Taking, freeing
 * and finding a slot are a few instructions each, because a reactor may start a thousand sends in one turn.
 *
 * A slot is named by its index: the table moves when it grows, so a pointer into it is good until the next take.
 *
 * Life of a slot: free -> waiting (the kernel has the operation, or its readiness is awaited) -> free, with detours:
 * parked (a receive for which no buffer is free) and ready (the next `wait` deals with it, without the kernel). A
 * parked or ready slot stands in exactly one list, linked through `next`; so does a free one. */
#ifndef WEIR_IO_BACKEND_OPERATIONS_H
#define WEIR_IO_BACKEND_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPERATION_NONE UINT32_MAX

enum operation_kind { OPERATION_ACCEPT, OPERATION_RECEIVE, OPERATION_SEND };
enum operation_state { OPERATION_FREE, OPERATION_WAITING, OPERATION_PARKED, OPERATION_READY };

struct operation {
    uint64_t token;
    const char *data; /* send: what is to be sent */
    uint32_t length;  /* send: bytes at data */
    uint32_t done;    /* send: bytes the kernel has taken */
    int32_t descriptor;
    uint32_t next;            /* of the list it stands in */
    uint32_t chain;           /* next slot with the same hash of its token */
    uint32_t generation : 24; /* counts the lives of this slot: a completion of an earlier life is recognised */
    uint32_t kind : 2;
    uint32_t state : 2;
    uint32_t cancelled : 1; /* its end was asked for: it is not started again */
    uint32_t polling : 1;   /* uring: not the operation but a poll for its readiness is in the kernel */
};

struct operation_list {
    uint32_t first; /* OPERATION_NONE: empty */
    uint32_t last;
    uint32_t count;
};

struct operation_table {
    struct operation *slots;
    uint32_t *buckets; /* as many as slots: first slot of each chain */
    uint32_t capacity; /* slots, a power of two */
    uint32_t touched;  /* slots that were ever taken; the memory behind them is not resident yet */
    uint32_t free;     /* first of the free list */
    uint32_t started;  /* slots that are not free */
    unsigned shift;    /* of the hash: 64 - log2(capacity) */
};

/* `capacity` is a first guess. Returns 0 or -ENOMEM. */
int operations_create(struct operation_table *table, uint32_t capacity);
void operations_destroy(struct operation_table *table);

/* A slot in state waiting, or OPERATION_NONE when there is no memory. */
uint32_t operations_take(struct operation_table *table, enum operation_kind kind, int descriptor, uint64_t token);
void operations_free(struct operation_table *table, uint32_t index);

/* The slot of a started operation, or OPERATION_NONE. */
uint32_t operations_find(const struct operation_table *table, uint64_t token);

void operations_list_init(struct operation_list *list);
void operations_push(struct operation_table *table, struct operation_list *list, uint32_t index,
                     enum operation_state state);
/* Takes the oldest out of a list that is not empty; its state is waiting again. */
uint32_t operations_pop(struct operation_table *table, struct operation_list *list);

/* Moves the cancelled ones out of `from` to the end of `to`, as ready. */
void operations_move_cancelled(struct operation_table *table, struct operation_list *from, struct operation_list *to);

/* A send takes no more than this at once, so that its result fits; the rest is a short completion. */
#define OPERATION_MAX_SEND ((size_t)1 << 30)

/* Notes what a try to send came to (bytes or -errno). True: go on with the rest. False: the operation is over and
 * *result is what its completion says: an error is told only when no byte was taken before it, for the owner must
 * learn of every byte and meets the error again at its next send. */
bool operation_note_sent(struct operation *operation, int32_t *result);

#endif
