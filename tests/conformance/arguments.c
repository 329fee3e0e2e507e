#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>

static void print_list(const struct case_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        const struct conformance_case *one = &list->cases[i];
        printf("%-44.*s %-12.*s %.*s\n", (int)one->name.length, one->name.data, (int)one->faults.length,
               one->faults.data, (int)one->title.length, one->title.data);
    }
}

static void keep_one(struct case_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++) {
        if (!span_equal(list->cases[i].name, span_of(name))) continue;
        list->cases[0] = list->cases[i];
        list->count = 1;
        return;
    }
    fprintf(stderr, "there is no case %s; --list shows them\n", name);
    exit(2);
}

void read_arguments(int count, char **arguments, struct case_list *list, int *rest) {
    case_list_read(list, CONFORMANCE_FOLDER "/cases");
    int at = 1;
    if (at < count && strcmp(arguments[at], "--list") == 0) {
        print_list(list);
        case_list_free(list);
        exit(0);
    }
    if (at + 1 < count && strcmp(arguments[at], "--case") == 0) {
        keep_one(list, arguments[at + 1]);
        at += 2;
    }
    *rest = at;
}
