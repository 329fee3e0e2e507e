/* Words about single events. A load can go wrong a million times; a person is told of the first few. */
#ifndef WEIR_IO_COMMAND_BENCH_COMPLAINT_H
#define WEIR_IO_COMMAND_BENCH_COMPLAINT_H

#include "ledger.h"

void complain(struct ledger *ledger, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
