#include "options.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

enum { HELP_NAME_WIDTH = 28, HELP_WIDTH = 100 };

struct unit {
    const char *suffix;
    uint64_t factor;
};

static const struct unit byte_units[] = {{"", 1}, {"k", 1u << 10}, {"m", 1u << 20}, {"g", 1u << 30}};
static const struct unit time_units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
static const struct unit no_units[] = {{"", 1}};

static const struct unit *find_units(enum option_type type, size_t *count) {
    if (type == OPTION_BYTES) {
        *count = sizeof byte_units / sizeof byte_units[0];
        return byte_units;
    }
    if (type == OPTION_TIME) {
        *count = sizeof time_units / sizeof time_units[0];
        return time_units;
    }
    *count = 1;
    return no_units;
}

static void *value_at(void *values, const struct option_row *row) {
    return (char *)values + row->offset;
}

static void set_number(void *values, const struct option_row *row, uint64_t number) {
    memcpy(value_at(values, row), &number, sizeof number);
}

static void set_text(void *values, const struct option_row *row, const char *text) {
    memcpy(value_at(values, row), &text, sizeof text);
}

static void set_defaults(const struct option_syntax *syntax, void *values) {
    for (size_t i = 0; i < syntax->row_count; i++) {
        const struct option_row *row = &syntax->rows[i];
        if (row->type == OPTION_TEXT)
            set_text(values, row, row->fallback_text);
        else if (row->type != OPTION_HEADING)
            set_number(values, row, row->fallback);
    }
}

/* ---- Help ------------------------------------------------------------------------------------------------------ */

/* A number as a person would type it: 16m rather than 16777216. */
static void format_number(char *out, size_t capacity, enum option_type type, uint64_t number) {
    const struct unit *best = &byte_units[0];
    if (type == OPTION_BYTES && number > 0) {
        for (size_t i = 1; i < sizeof byte_units / sizeof byte_units[0]; i++) {
            if (number % byte_units[i].factor == 0) best = &byte_units[i];
        }
    }
    snprintf(out, capacity, "%llu%s", (unsigned long long)(number / best->factor), best->suffix);
}

static void format_default(char *out, size_t capacity, const struct option_row *row) {
    out[0] = '\0';
    if (row->type == OPTION_TEXT && row->fallback_text != NULL) {
        snprintf(out, capacity, " [%s]", row->fallback_text);
    } else if (row->type == OPTION_CHOICE) {
        snprintf(out, capacity, " [%s]", row->choices[row->fallback]);
    } else if (row->type == OPTION_NUMBER || row->type == OPTION_BYTES || row->type == OPTION_TIME) {
        char number[32];
        format_number(number, sizeof number, row->type, row->fallback);
        snprintf(out, capacity, " [%s]", number);
    }
}

/* Prints words from column HELP_NAME_WIDTH on, breaking lines before HELP_WIDTH. */
static void print_wrapped(const char *text, size_t column) {
    while (*text != '\0') {
        size_t word = strcspn(text, " ");
        if (column > HELP_NAME_WIDTH && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_NAME_WIDTH, "");
            column = HELP_NAME_WIDTH;
        } else if (column > HELP_NAME_WIDTH) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_row(const struct option_row *row) {
    if (row->type == OPTION_HEADING) {
        printf("\n%s\n", row->help);
        return;
    }
    char name[64], fallback[96], text[640];
    snprintf(name, sizeof name, "  --%s%s%s", row->name, row->argument != NULL ? " " : "",
             row->argument != NULL ? row->argument : "");
    format_default(fallback, sizeof fallback, row);
    snprintf(text, sizeof text, "%s%s", row->help, fallback);
    if (strlen(name) + 1 < HELP_NAME_WIDTH)
        printf("%-*s", HELP_NAME_WIDTH, name);
    else
        printf("%s\n%*s", name, HELP_NAME_WIDTH, "");
    print_wrapped(text, HELP_NAME_WIDTH);
}

static void print_help(const struct option_syntax *syntax) {
    printf("usage: weir %s %s\n\n%s", syntax->name, syntax->usage, syntax->intro);
    for (size_t i = 0; i < syntax->row_count; i++) {
        print_row(&syntax->rows[i]);
    }
    printf("  %-*s%s\n\n%s", HELP_NAME_WIDTH - 2, "--help", "Print this text.", syntax->epilogue);
}

/* ---- Parsing --------------------------------------------------------------------------------------------------- */

static enum options_result refuse(const struct option_syntax *syntax) {
    fprintf(stderr, "try 'weir %s --help'\n", syntax->name);
    return OPTIONS_BAD;
}

enum number_problem { NUMBER_FINE, NUMBER_NONE, NUMBER_RANGE };

static enum number_problem parse_number(const struct option_row *row, const char *text, uint64_t *number) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0) return NUMBER_NONE;
    size_t unit_count;
    const struct unit *units = find_units(row->type, &unit_count);
    const struct unit *unit = NULL;
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(text + digits, units[i].suffix) == 0) unit = &units[i];
    }
    if (unit == NULL) return NUMBER_NONE;
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (value > UINT64_MAX / 10 - 1) return NUMBER_RANGE;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > UINT64_MAX / unit->factor) return NUMBER_RANGE;
    *number = value * unit->factor;
    return *number < row->lowest || *number > row->highest ? NUMBER_RANGE : NUMBER_FINE;
}

static enum options_result take_number(const struct option_syntax *syntax, const struct option_row *row,
                                       const char *text, void *values) {
    uint64_t number = 0;
    enum number_problem problem = parse_number(row, text, &number);
    if (problem == NUMBER_FINE) {
        set_number(values, row, number);
        return OPTIONS_RUN;
    }
    char lowest[32], highest[32];
    format_number(lowest, sizeof lowest, row->type, row->lowest);
    format_number(highest, sizeof highest, row->type, row->highest);
    const char *what = row->type == OPTION_BYTES  ? " bytes (k, m or g may follow)"
                       : row->type == OPTION_TIME ? " ms (or with s, m or h)"
                                                  : "";
    command_say(syntax->name, "--%s: '%.80s' is %s; expected %s to %s%s", row->name, text,
                problem == NUMBER_NONE ? "not a number" : "out of range", lowest, highest, what);
    return refuse(syntax);
}

static enum options_result take_choice(const struct option_syntax *syntax, const struct option_row *row,
                                       const char *text, void *values) {
    char expected[128] = "";
    for (uint64_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            set_number(values, row, i);
            return OPTIONS_RUN;
        }
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", i == 0 ? "" : ", ", row->choices[i]);
    }
    command_say(syntax->name, "--%s: '%.80s' is not one of: %s", row->name, text, expected);
    return refuse(syntax);
}

static enum options_result take_value(const struct option_syntax *syntax, const struct option_row *row,
                                      const char *text, void *values) {
    if (row->type == OPTION_CHOICE) return take_choice(syntax, row, text, values);
    if (row->type != OPTION_TEXT) return take_number(syntax, row, text, values);
    if (text[0] == '\0') {
        command_say(syntax->name, "--%s: the value is empty; expected %s", row->name, row->argument);
        return refuse(syntax);
    }
    set_text(values, row, text);
    return OPTIONS_RUN;
}

static const struct option_row *find_row(const struct option_syntax *syntax, const char *name, size_t length) {
    for (size_t i = 0; i < syntax->row_count; i++) {
        const struct option_row *row = &syntax->rows[i];
        if (row->type == OPTION_HEADING) continue;
        if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) return row;
    }
    return NULL;
}

/* One argument that begins with "--"; *index moves on when the value is the next argument. */
static enum options_result take_option(const struct option_syntax *syntax, int argc, char **argv, int *index,
                                       void *values) {
    const char *name = argv[*index] + 2;
    size_t length = strcspn(name, "=");
    const struct option_row *row = find_row(syntax, name, length);
    if (row == NULL) {
        command_say(syntax->name, "there is no option '--%.*s'", (int)(length < 80 ? length : 80), name);
        return refuse(syntax);
    }
    bool has_value = name[length] == '=';
    if (row->type == OPTION_FLAG) {
        if (has_value) {
            command_say(syntax->name, "--%s takes no value", row->name);
            return refuse(syntax);
        }
        set_number(values, row, 1);
        return OPTIONS_RUN;
    }
    if (has_value) return take_value(syntax, row, name + length + 1, values);
    if (*index + 1 >= argc) {
        command_say(syntax->name, "--%s needs a value: --%s %s", row->name, row->name, row->argument);
        return refuse(syntax);
    }
    *index += 1;
    return take_value(syntax, row, argv[*index], values);
}

static enum options_result take_operand(const struct option_syntax *syntax, const char *text, const char **operand) {
    if (text[0] == '-' && text[1] != '\0') {
        command_say(syntax->name, "there is no option '%.80s'; options begin with two dashes", text);
        return refuse(syntax);
    }
    if (syntax->operand == NULL || *operand != NULL) {
        command_say(syntax->name, "'%.80s' is one argument too many", text);
        return refuse(syntax);
    }
    *operand = text;
    return OPTIONS_RUN;
}

enum options_result options_parse(const struct option_syntax *syntax, int argc, char **argv, void *values,
                                  const char **operand) {
    set_defaults(syntax, values);
    const char *found = NULL;
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (!only_operands && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
            print_help(syntax);
            return OPTIONS_HELP;
        }
        if (!only_operands && strcmp(text, "--") == 0) {
            only_operands = true;
            continue;
        }
        enum options_result result;
        if (!only_operands && strncmp(text, "--", 2) == 0) {
            result = take_option(syntax, argc, argv, &i, values);
        } else if (only_operands && syntax->operand != NULL && found == NULL) {
            found = text;
            result = OPTIONS_RUN;
        } else {
            result = take_operand(syntax, text, &found);
        }
        if (result != OPTIONS_RUN) return result;
    }
    if (syntax->operand != NULL && found == NULL) {
        command_say(syntax->name, "%s is missing", syntax->operand);
        return refuse(syntax);
    }
    if (operand != NULL) *operand = found;
    return OPTIONS_RUN;
}
