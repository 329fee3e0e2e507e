/* The conformance suite: what every backend does alike. One group per file. */
#ifndef WEIR_TESTS_BACKEND_CASES_H
#define WEIR_TESTS_BACKEND_CASES_H

int run_connection_cases(void);
int run_send_cases(void);
int run_cancel_cases(void);
int run_wait_cases(void);
int run_pressure_cases(void);

#endif
