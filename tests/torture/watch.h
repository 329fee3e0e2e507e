/* The watchdog of a test: when it hangs or aborts, it says on what. */
#ifndef TORTURE_WATCH_H
#define TORTURE_WATCH_H

/* From here on the program is at what the text says, which takes less than so many seconds. */
__attribute__((format(printf, 2, 3))) void watch_begin(unsigned patience_s, const char *format, ...);

void watch_end(void);

/* The text; empty when there is nothing under way. */
const char *watch_story(void);

#endif
