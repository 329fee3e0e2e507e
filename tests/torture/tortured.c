/* Goes into the command: before main the plan is taken from WEIR_TORTURE_PLAN ("NTH VARIANT LASTING"), and after it what
 * came of that is written to the descriptor WEIR_TORTURE_REPORT ("CALLS INJECTED FIRST BLOCKS", blocks being those that have leaked). */
#include <stdio.h>
#include <stdlib.h>

#include "faults.h"
#include "ledger.h"

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("WEIR_TORTURE_PLAN");
    unsigned long long nth = 0;
    unsigned variant = 0;
    int lasting = 0;
    if (text == NULL || sscanf(text, "%llu %u %d", &nth, &variant, &lasting) != 3) return;
    const struct fault_plan plan = {.nth = nth, .variant = variant, .lasting = lasting != 0};
    torture_wrap_jansson();
    faults_begin(&plan);
}

__attribute__((destructor)) static void end(void) {
    const char *text = getenv("WEIR_TORTURE_REPORT");
    if (text == NULL) return;
    faults_stop();
    dprintf(atoi(text), "%llu %llu %d %zu\n", (unsigned long long)faults_calls(),
            (unsigned long long)faults_injected(), (int)faults_first(), ledger_count(NULL));
}
