/* What the process has of the system: descriptors and threads. */
#ifndef TORTURE_CENSUS_H
#define TORTURE_CENSUS_H

struct census {
    unsigned descriptors;
    unsigned threads;
};

struct census census_take(void);

/* Waits until there is no more than before: the kernel takes rings and threads down a moment after their last use. The
 * watchdog ends a wait that is in vain. Fewer descriptors than before fail the test. */
void census_settle(const struct census *before);

#endif
