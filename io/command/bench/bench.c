/* weir bench: loads a server of Server-Sent Events, and checks each event at each subscriber. */
#include <stdio.h>

#include "bench_options.h"
#include "command/command.h"
#include "load.h"
#include "outcome.h"
#include "report.h"

static int exit_code(const struct load *load, const struct outcome *outcome) {
    if (load->refused) return EXIT_REFUSED;
    if (!outcome->clean || load->problem[0] != '\0' || load->stalled) return EXIT_FAILED;
    if (load->interrupted) return EXIT_INTERRUPTED;
    return outcome->refused > 0 ? EXIT_REFUSED : EXIT_DONE;
}

static int resolve(struct bench_plan *plan) {
    char problem[320];
    if (target_resolve(&plan->subscribe, problem, sizeof problem) == 0 &&
        (plan->options.publishers == 0 || target_resolve(&plan->publish, problem, sizeof problem) == 0)) {
        return EXIT_DONE;
    }
    command_say("bench", "%s", problem);
    return EXIT_FAILED;
}

int command_bench(int argc, char **argv) {
    struct bench_plan plan = {.servers = {.count = 0}};
    enum options_result parsed = options_parse(&bench_syntax, argc, argv, &plan.options, NULL);
    if (parsed != OPTIONS_RUN) return parsed == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    int code = bench_plan_make(&plan);
    if (code == EXIT_DONE) code = resolve(&plan);
    if (code != EXIT_DONE) return code;

    struct load load;
    struct outcome outcome;
    load_run(&load, &plan);
    if (load.ledger == NULL) {
        command_say("bench", "%s", load.problem);
        load_free(&load);
        return EXIT_FAILED;
    }
    outcome_judge(&outcome, &load);
    report_warnings(&load, &outcome);
    if (plan.options.json)
        report_json(&load, &outcome);
    else if (outcome.seconds > 0)
        report_table(&load, &outcome);
    code = exit_code(&load, &outcome);
    load_free(&load);
    return code;
}
