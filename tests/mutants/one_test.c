/* Loaded before a test program (LD_PRELOAD): has cmocka run only the test that ONE_TEST names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

__attribute__((constructor)) static void choose_one_test(void) {
    const char *name = getenv("ONE_TEST");
    if (name != NULL) cmocka_set_test_filter(name);
}
