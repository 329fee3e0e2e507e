/* What a person, or a program, is told at the end. */
#ifndef WEIR_IO_COMMAND_BENCH_REPORT_H
#define WEIR_IO_COMMAND_BENCH_REPORT_H

#include "load.h"
#include "outcome.h"

/* To standard output. */
void report_table(const struct load *load, const struct outcome *outcome);
void report_json(const struct load *load, const struct outcome *outcome);

/* To standard error: what makes the figures or the run worth less. */
void report_warnings(const struct load *load, const struct outcome *outcome);

#endif
