/* Runs the conformance suite over the backend that the command line names. 77: that backend cannot run here. */
#include "backend/cases.h"
#include "backend/fixture.h"
#include "backend/probe.h"

#include <stdio.h>
#include <string.h>

int main(int argument_count, char **arguments) {
    if (argument_count > 1) fixture_backend_name = arguments[1];
    if (strcmp(fixture_backend_name, "uring") == 0) {
        struct io_probe probe;
        io_probe(IO_URING, &probe);
        if (!probe.usable) {
            printf("SKIPPED: %s\n", probe.reason);
            return 77;
        }
    }
    int failures =
        run_connection_cases() + run_send_cases() + run_cancel_cases() + run_wait_cases() + run_pressure_cases();
    return failures == 0 ? 0 : 1;
}
