/* Closing never fails here. It is only looked at: a descriptor that is not open has been closed twice, or by somebody
 * who did not own it. With threads that is how another's file gets lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int __real_close(int descriptor);
int __wrap_close(int descriptor);

int __wrap_close(int descriptor) {
    int result = __real_close(descriptor);
    if (result < 0 && errno == EBADF) {
        fprintf(stderr, "close of descriptor %d, which is not open\n", descriptor);
        abort();
    }
    return result;
}
