/* Session names. */
#ifndef WEIR_SESSION_NAMES_H
#define WEIR_SESSION_NAMES_H

#include "engine.h"

#define NAME_MADE 36u /* bytes of a name that weir makes */

/* 1 to WEIR_NAME_MAX bytes of [0-9A-Za-z._~-]. Channels are named the same way. */
bool name_is_valid(const char *name, size_t length);

/* Whether it may be valid: enough to look for it, for there are none under other names. */
static inline bool name_has_length(const char *name, size_t length) {
    return name != NULL && length > 0 && length <= WEIR_NAME_MAX;
}

/* Makes a name that nobody can guess. WEIR_NO_ENTROPY. */
int name_make(const weir_engine *engine, char name[NAME_MADE]);

#endif
