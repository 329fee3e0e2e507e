/* Which call fails. Every fallible call of the libraries under test comes by here (wrapped_*.c, and the allocator and
 * the entropy source that are injected), is counted, and is told whether it fails.
 *
 * Threads of the library count along with the test's own; what the test itself calls (its clients, its reports) is left
 * alone between faults_leave and faults_return. */
#ifndef TORTURE_FAULTS_H
#define TORTURE_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

#include "calls.h"

struct fault_plan {
    uint64_t nth;     /* the call that fails, counted from 1; 0: none does */
    uint64_t second;  /* so many calls after that one, another one fails; 0: none */
    unsigned variant; /* which of its errors the first failure gives; the second gives its first */
    bool lasting;     /* all from nth on fail, each with its first error */
};

/* Starts counting at 1, by the plan. */
void faults_begin(const struct fault_plan *plan);

/* No call fails from here on. */
void faults_stop(void);

/* Since faults_begin. */
uint64_t faults_calls(void);
uint64_t faults_injected(void);

/* What the first and the latest failure of this plan were; CALLS before there was one. */
enum call faults_first(void);
enum call faults_last(void);

/* The calling thread's own calls do not count from here, until as many returns. */
void faults_leave(void);
void faults_return(void);

/* For the wrappers: whether this call fails, with errno set. `site` is where it is called from. */
bool fault_now(enum call call, const void *site);

/* jansson's memory fails like the rest from here on. It is a library of the system's, which takes such functions. */
void torture_wrap_jansson(void);

/* Since the program began: places in the code that made a fallible call, those that had one fail, and how often each
 * call was made to fail. */
unsigned faults_sites(void);
unsigned faults_failed_sites(void);
uint64_t faults_of(enum call call);

#endif
