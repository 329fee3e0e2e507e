/* Assertions in two tiers. Both state what can only be false through a bug of weir's own; a user's mistake gets a
 * status instead. WEIR_CHECK stays in release builds and is kept off the hot path; WEIR_DCHECK may stand anywhere. */
#ifndef WEIR_BASE_CHECK_H
#define WEIR_BASE_CHECK_H

#include "platform.h"

#define WEIR_CHECK(condition)                                                                                        \
    do {                                                                                                             \
        if (UNLIKELY(!(condition))) __builtin_trap();                                                                \
    } while (0)

#ifdef NDEBUG
#define WEIR_DCHECK(condition) ((void)sizeof(!(condition)))
#else
#define WEIR_DCHECK(condition) WEIR_CHECK(condition)
#endif

#endif
