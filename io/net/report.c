#include "report.h"

#include <stdarg.h>
#include <stdio.h>

#define SECOND_MS 1000u

static void begin_second(struct reactor *reactor, const weir_log *log) {
    uint32_t left_out = reactor->reports > REPORTS_PER_SECOND ? reactor->reports - REPORTS_PER_SECOND : 0;
    char text[64];
    reactor->reports_since_ms = reactor->now_ms;
    reactor->reports = 0;
    if (left_out == 0) return;
    snprintf(text, sizeof(text), "%u further lines were left out", left_out);
    log->write(log->context, WEIR_LOG_WARNING, text);
}

void report(struct reactor *reactor, weir_log_level level, const char *format, ...) {
    const weir_log *log = &weir_engine_config(reactor->shared->engine)->log;
    if (log->write == NULL) return;
    if (reactor->now_ms - reactor->reports_since_ms >= SECOND_MS) begin_second(reactor, log);
    if (++reactor->reports > REPORTS_PER_SECOND) return;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log->write(log->context, level, text);
}
