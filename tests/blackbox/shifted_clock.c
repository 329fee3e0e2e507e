/* Preloaded into a server: clock_gettime as that server sees it. A file that the test writes, mapped here, tells how
 * far the wall clock and the monotonic clock are shifted, and whether the latter stands still. The kernel's own waits
 * go by the real clock, as they do when a machine's clock is set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

struct shifts {
    _Atomic int64_t wall_s;
    _Atomic int64_t monotonic_s;
    _Atomic int64_t frozen_ns; /* what the monotonic clock stands at; 0: it runs */
    _Atomic int64_t readings;  /* proof that the server's clock goes through here */
};

static struct shifts *shifts;

__attribute__((constructor)) static void map_shifts(void) {
    const char *path = getenv("WEIR_CLOCK_FILE");
    int descriptor = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) abort(); /* a test of shifted clocks must not pass with clocks that are not */
    void *memory = mmap(NULL, sizeof(struct shifts), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) abort();
    close(descriptor);
    shifts = memory;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result != 0 || shifts == NULL) return result; /* before the constructor */
    shifts->readings++;
    if (clock == CLOCK_REALTIME) now->tv_sec += shifts->wall_s;
    if (clock != CLOCK_MONOTONIC) return 0;
    now->tv_sec += shifts->monotonic_s;
    int64_t frozen_ns = shifts->frozen_ns;
    if (frozen_ns != 0) *now = (struct timespec){frozen_ns / SECOND_NS, frozen_ns % SECOND_NS};
    return 0;
}
