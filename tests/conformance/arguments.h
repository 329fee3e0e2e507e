/* What the programs of this folder take: --list prints the cases, --case NAME runs one alone. */
#ifndef WEIR_TESTS_CONFORMANCE_ARGUMENTS_H
#define WEIR_TESTS_CONFORMANCE_ARGUMENTS_H

#include "case_file.h"

#define EXIT_SKIPPED 77

/* Reads the table and keeps of it what the arguments ask for. Ends the program where there is nothing more to do. The
 * arguments that it does not know begin at *rest. */
void read_arguments(int count, char **arguments, struct case_list *list, int *rest);

#endif
