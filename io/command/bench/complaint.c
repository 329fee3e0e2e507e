#include "complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "command/command.h"

enum { COMPLAINTS_TOLD = 5 };

void complain(struct ledger *ledger, const char *format, ...) {
    if (ledger->complaints++ >= COMPLAINTS_TOLD) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (isatty(STDERR_FILENO) == 1) fputs("\r\033[K", stderr); /* the line of progress may stand there */
    command_say("bench", "%s", text);
}
