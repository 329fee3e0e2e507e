/* Lines for the engine's log: few and bounded. One bad peer cannot fill a disk: beyond REPORTS_PER_SECOND a reactor
 * keeps silent until the next second, and then says how many lines were left out. */
#ifndef WEIR_IO_NET_REPORT_H
#define WEIR_IO_NET_REPORT_H

#include "reactor.h"

#define REPORTS_PER_SECOND 10u

void report(struct reactor *reactor, weir_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
