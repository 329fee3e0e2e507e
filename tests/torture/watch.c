#include "watch.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"

static char story[256];

static void tell(const char *text) {
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored; /* nobody is left to be told */
}

static void tell_and_end(int number) {
    tell(number == SIGALRM ? "HANGS: " : "ABORTS: ");
    tell(story);
    if (faults_first() != CALLS) {
        tell(", made to fail first: ");
        tell(call_name(faults_first()));
    }
    tell("\n");
    quick_exit(1); /* with what the test removes at its end; a handler may do that */
}

void watch_begin(unsigned patience_s, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(story, sizeof(story), format, arguments);
    va_end(arguments);
    signal(SIGALRM, tell_and_end);
    signal(SIGABRT, tell_and_end);
    alarm(patience_s);
}

void watch_end(void) {
    alarm(0);
    story[0] = '\0';
}

const char *watch_story(void) {
    return story;
}
