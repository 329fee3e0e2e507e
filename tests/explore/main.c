/* Shows, for every scenario, that its invariant holds in the executions that C11's memory model allows of the engine's
 * own source: all of them where the search ends within its bound, else as many as the scale allows. README.md tells
 * what that does not show. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/scale.h"
#include "explore.h"
#include "weaken.h"

static struct scenario_list *lists;

void scenario_register(struct scenario_list *list) {
    struct scenario_list **at = &lists;
    /* By the first name, so that the order of linking does not show. */
    while (*at != NULL && strcmp((*at)->scenarios[0].name, list->scenarios[0].name) < 0)
        at = &(*at)->next;
    list->next = *at;
    *at = list;
}

struct options {
    struct search search;
    bool list;
    bool sites;
    bool quiet;
    bool touched; /* prints the sites that were reached */
    const char *const *names;
    int name_count;
};

static const char usage[] =
    "usage: explore [--list] [--sites] [--touched] [--quiet] [--trace] [--in-order N] [--random N] [--seed N]\n"
    "               [--weaken SITE=ORDER] [SCENARIO...]\n"
    "Runs all scenarios, or those whose names begin like one of the arguments; exits 1 when one fails.\n"
    "WEIR_TEST_SCALE multiplies both bounds (default 1).\n";

static bool is_wanted(const struct options *options, const char *name) {
    for (int i = 0; i < options->name_count; i++)
        if (strncmp(name, options->names[i], strlen(options->names[i])) == 0) return true;
    return options->name_count == 0;
}

static bool read_options(struct options *options, int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(argument, "--list") == 0)
            options->list = true;
        else if (strcmp(argument, "--sites") == 0)
            options->sites = true;
        else if (strcmp(argument, "--touched") == 0)
            options->touched = true;
        else if (strcmp(argument, "--quiet") == 0)
            options->quiet = true;
        else if (strcmp(argument, "--trace") == 0)
            options->search.trace = true;
        else if (argument[0] != '-') {
            options->names = (const char *const *)&arguments[i];
            options->name_count = count - i;
            return true;
        } else if (value == NULL)
            return false;
        else {
            i++;
            if (strcmp(argument, "--in-order") == 0)
                options->search.complete_most = strtoull(value, NULL, 10);
            else if (strcmp(argument, "--random") == 0)
                options->search.random_most = strtoull(value, NULL, 10);
            else if (strcmp(argument, "--seed") == 0)
                options->search.seed = strtoull(value, NULL, 10);
            else if (strcmp(argument, "--weaken") != 0 || !weaken_site(value))
                return false;
        }
    }
    return true;
}

static void print_verdict(const struct scenario *scenario, const struct verdict *verdict) {
    if (verdict->failed)
        printf("%-40s FAILED at execution %" PRIu64 ": %s\n", scenario->name, verdict->executions, verdict->message);
    else
        printf("%-40s %9" PRIu64 " executions, %s\n", scenario->name, verdict->executions,
               verdict->complete ? "all there are" : "bounded");
}

static int run_all(const struct options *options) {
    uint32_t scenarios = 0, failed = 0, complete = 0;
    uint64_t executions = 0;
    for (const struct scenario_list *list = lists; list != NULL; list = list->next) {
        for (uint32_t i = 0; i < list->count; i++) {
            const struct scenario *scenario = &list->scenarios[i];
            struct verdict verdict;
            if (!is_wanted(options, scenario->name)) continue;
            if (options->list) {
                printf("%s\n", scenario->name);
                continue;
            }
            run_scenario(scenario, &options->search, &verdict);
            if (!options->quiet || verdict.failed) print_verdict(scenario, &verdict);
            fflush(stdout);
            if (options->touched) weaken_print_touched(scenario->name);
            scenarios++;
            failed += verdict.failed;
            complete += verdict.complete;
            executions += verdict.executions;
            if (verdict.failed && options->quiet) return 1;
        }
    }
    if (options->list) return 0;
    if (scenarios == 0) {
        fprintf(stderr, "explore: no such scenario\n");
        return 2;
    }
    printf("explore: %u scenarios, %" PRIu64 " executions, %u of them searched to the end\n", scenarios, executions,
           complete);
    return failed > 0;
}

int main(int count, char **arguments) {
    struct options options = {.search = {8000, 8000, 0x9E3779B97F4A7C15ull, false}};
    if (!read_options(&options, count, arguments)) {
        fputs(usage, stderr);
        return 2;
    }
    if (options.search.seed == 0) options.search.seed = 1;
    options.search.complete_most *= test_scale();
    options.search.random_most *= test_scale();
    if (options.sites) {
        weaken_print_sites();
        return 0;
    }
    return run_all(&options);
}
