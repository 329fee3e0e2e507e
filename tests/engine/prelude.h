/* What cmocka needs in front of it, and cmocka. */
#ifndef ENGINE_PRELUDE_H
#define ENGINE_PRELUDE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
