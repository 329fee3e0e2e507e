/* The heap blocks that the libraries hold, by address: what is left when a scenario is over has leaked. Any thread. */
#ifndef TORTURE_LEDGER_H
#define TORTURE_LEDGER_H

#include <stddef.h>

void ledger_add(const void *block, size_t size);

/* A block that is not in the ledger was allocated elsewhere, and is left alone. */
void ledger_remove(const void *block);

/* How many blocks there are; *size, which may be NULL, gets the size of one of them. */
size_t ledger_count(size_t *size);

/* Forgets them all: a test that failed has left some behind, which are not the next one's. */
void ledger_clear(void);

#endif
