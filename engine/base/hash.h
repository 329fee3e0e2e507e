/* SipHash-1-3 of a name under a secret key (Aumasson and Bernstein): whoever chooses names cannot choose buckets. */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_name(const uint64_t key[2], const char *name, size_t length);

#endif
