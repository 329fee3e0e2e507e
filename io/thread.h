/* Threads of weir's own in somebody's process. They take none of its signals: a handler runs on a thread of the program
 * that installed it, and never on one that is about to end. Left alone are the signals that a thread raises itself
 * (a fault must still end the process, or come to its crash reporter), and SIGPROF, which profilers want to see. */
#ifndef WEIR_IO_THREAD_H
#define WEIR_IO_THREAD_H

#include <pthread.h>
#include <signal.h>

/* 0 or an errno, like pthread_create. */
static inline int thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int result = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

#endif
