/* Command lines from one table: the same rows give the parser its rules, --help its text and the values their
 * defaults, so that none of them can say something that another does not do. */
#ifndef WEIR_IO_COMMAND_OPTIONS_H
#define WEIR_IO_COMMAND_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum option_type {
    OPTION_HEADING, /* `help` is a line between the options */
    OPTION_FLAG,    /* takes no value; the value is a uint64_t, 1 when given */
    OPTION_TEXT,    /* const char * */
    OPTION_NUMBER,  /* uint64_t */
    OPTION_BYTES,   /* uint64_t; k, m and g may follow the number */
    OPTION_TIME,    /* uint64_t, milliseconds; ms, s, m or h may follow the number */
    OPTION_CHOICE   /* uint64_t, index into `choices` */
};

struct option_row {
    enum option_type type;
    const char *name;     /* without the dashes */
    const char *argument; /* what --help calls the value */
    const char *help;     /* --help adds the default */
    size_t offset;        /* of the value in the structure that options_parse fills */
    uint64_t fallback;    /* the default of a value that is no text */
    uint64_t lowest;
    uint64_t highest;
    const char *fallback_text; /* the default of a text; NULL: none */
    const char *choices[5];    /* up to 4 words and a NULL */
};

struct option_syntax {
    const char *name;    /* of the subcommand */
    const char *usage;   /* what follows "weir NAME" */
    const char *intro;   /* what it does, whole lines */
    const char *operand; /* name of the one operand it needs, or NULL for none */
    const struct option_row *rows;
    size_t row_count;
    const char *epilogue; /* examples and exit codes, whole lines */
};

enum options_result {
    OPTIONS_RUN = 0,
    OPTIONS_HELP = 1, /* --help was asked for and is printed */
    OPTIONS_BAD = 2   /* what is wrong has been said */
};

/* Sets every value of `values` to its default, then to what the command line says: "--name value", "--name=value",
 * and "--" before operands that begin with a dash. *operand points into argv. */
enum options_result options_parse(const struct option_syntax *syntax, int argc, char **argv, void *values,
                                  const char **operand);

#endif
