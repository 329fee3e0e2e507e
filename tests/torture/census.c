#include "census.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "engine/prelude.h"

#include "faults.h"

static unsigned count_entries(const char *path) {
    unsigned count = 0;
    faults_leave();
    DIR *directory = opendir(path);
    if (directory == NULL) abort();
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    faults_return();
    return count;
}

static void *end_at_once(void *unused) {
    return unused;
}

/* ThreadSanitizer starts a thread of its own along with the first that the program starts, and keeps it. */
static void start_one_thread(void) {
    static bool started;
    pthread_t thread;
    if (started) return;
    started = true;
    faults_leave();
    if (pthread_create(&thread, NULL, end_at_once, NULL) != 0 || pthread_join(thread, NULL) != 0) abort();
    faults_return();
}

struct census census_take(void) {
    start_one_thread();
    /* The directory itself is open while it is read. */
    return (struct census){count_entries("/proc/self/fd") - 1, count_entries("/proc/self/task")};
}

void census_settle(const struct census *before) {
    for (;;) {
        struct census after = census_take();
        if (after.descriptors <= before->descriptors && after.threads <= before->threads) {
            assert_int_equal(after.descriptors, before->descriptors); /* fewer: somebody else's was closed */
            return;
        }
        sched_yield();
    }
}
