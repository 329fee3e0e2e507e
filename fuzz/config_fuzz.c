/* Configuration, as an embedder gives it and as an operator types it: structures of any size with values near every
 * bound, and command lines of `weir serve`. What is valid works and is in force as it was given; what is not is refused
 * with a named status or a sentence, and leaves nothing behind. What the command line takes, the library takes.
 *
 * The first byte says which: an engine's configuration, a server's, or a command line of the lines that follow. */
#include "config_fuzz.h"

#include <stdarg.h>
#include <stdio.h>

#include "command/command.h"
#include "command/serve_options.h"
#include "config_server.h"

#define ARGUMENTS 12

static struct {
    char text[1024];
    unsigned count;
} said;

void command_say(const char *name, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(said.text, sizeof(said.text), format, arguments);
    va_end(arguments);
    REQUIRE(strcmp(name, "serve") == 0 && length > 0 && (size_t)length < sizeof(said.text));
    said.count++;
}

/* ---- Parsing, with what is printed caught ----------------------------------------------------------------------- */

static char printed[16384], complained[512];

/* The streams are variables in glibc, and what is written to them is bounded by their buffers. */
static enum options_result parse(int count, char **arguments, struct serve_options *options) {
    FILE *out = stdout, *err = stderr;
    said.count = 0;
    printed[0] = complained[0] = 0;
    memset(options, 0xA5, sizeof(*options));
    stdout = fmemopen(printed, sizeof(printed), "w");
    stderr = fmemopen(complained, sizeof(complained), "w");
    enum options_result result = options_parse(&serve_syntax, count, arguments, options, NULL);
    fclose(stdout);
    fclose(stderr);
    stdout = out;
    stderr = err;
    return result;
}

static const void *value_of(const struct serve_options *options, const struct option_row *row) {
    return (const char *)options + row->offset;
}

static uint64_t number_of(const struct serve_options *options, const struct option_row *row) {
    uint64_t number;
    memcpy(&number, value_of(options, row), sizeof(number));
    return number;
}

static void require_values(const struct serve_options *options) {
    for (size_t i = 0; i < serve_syntax.row_count; i++) {
        const struct option_row *row = &serve_syntax.rows[i];
        const char *text;
        switch (row->type) {
        case OPTION_HEADING:
            break;
        case OPTION_TEXT:
            memcpy(&text, value_of(options, row), sizeof(text));
            REQUIRE(text == NULL ? row->fallback_text == NULL : text[0] != '\0');
            break;
        case OPTION_FLAG:
            REQUIRE(number_of(options, row) <= 1);
            break;
        case OPTION_CHOICE:
            REQUIRE(number_of(options, row) < 4 && row->choices[number_of(options, row)] != NULL);
            break;
        default:
            REQUIRE(number_of(options, row) >= row->lowest && number_of(options, row) <= row->highest);
        }
    }
}

static void require_result(enum options_result result, const struct serve_options *options) {
    if (result == OPTIONS_RUN) {
        REQUIRE(said.count == 0 && printed[0] == '\0' && complained[0] == '\0');
        require_values(options);
    } else if (result == OPTIONS_HELP) {
        REQUIRE(said.count == 0 && strncmp(printed, "usage: weir serve", 17) == 0);
    } else {
        REQUIRE(result == OPTIONS_BAD && said.count == 1);
        REQUIRE(strcmp(complained, "try 'weir serve --help'\n") == 0);
    }
}

/* ---- What the command line takes, the library takes ------------------------------------------------------------- */

static void require_taken(struct serve_options *options) {
    weir_config engine;
    weir_server_config server;
    /* What must not depend on the machine, nor listen where somebody may be. */
    options->listen = "127.0.0.1:0";
    options->admin_listen = NULL;
    options->threads = 1;
    options->io = WEIR_IO_EPOLL;
    serve_options_apply(options, &engine, &server);
    if (engine.max_bytes > 1u << 20) engine.max_bytes = 1u << 20; /* any number is valid; large tables are slow */
    int status = require_engine(&engine, 1u << 20, 0);
    REQUIRE(status == WEIR_OK || status == WEIR_NO_MEMORY);
    REQUIRE(require_server(&server) == WEIR_OK);
}

/* "--name=NUMBER", read plainly: digits, and a unit that fits. */
static bool read_number(const struct option_row *row, const char *text, uint64_t *number) {
    static const struct {
        const char *unit;
        uint64_t factor;
        enum option_type type;
    } units[] = {
        {"", 1, OPTION_NUMBER},        {"", 1, OPTION_BYTES},         {"", 1, OPTION_TIME},
        {"k", 1u << 10, OPTION_BYTES}, {"m", 1u << 20, OPTION_BYTES}, {"g", 1u << 30, OPTION_BYTES},
        {"ms", 1, OPTION_TIME},        {"s", 1000, OPTION_TIME},      {"m", 60000, OPTION_TIME},
        {"h", 3600000, OPTION_TIME},
    };
    unsigned __int128 value = 0;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits; i++)
        value = value > UINT64_MAX ? value : value * 10 + (unsigned)(text[i] - '0');
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].type != row->type || strcmp(text + digits, units[i].unit) != 0) continue;
        value *= units[i].factor;
        *number = (uint64_t)value;
        return digits > 0 && value >= row->lowest && value <= row->highest;
    }
    return false;
}

static void require_number(const char *argument, enum options_result result, const struct serve_options *options) {
    const char *equals = strchr(argument, '=');
    if (strncmp(argument, "--", 2) != 0 || equals == NULL) return;
    size_t length = (size_t)(equals - argument) - 2;
    for (size_t i = 0; i < serve_syntax.row_count; i++) {
        const struct option_row *row = &serve_syntax.rows[i];
        if (row->type != OPTION_NUMBER && row->type != OPTION_BYTES && row->type != OPTION_TIME) continue;
        if (strlen(row->name) != length || memcmp(row->name, argument + 2, length) != 0) continue;
        uint64_t number = 0;
        bool good = read_number(row, equals + 1, &number);
        REQUIRE(result == (good ? OPTIONS_RUN : OPTIONS_BAD));
        if (good) REQUIRE(number_of(options, row) == number);
    }
}

static void try_command_line(struct input *input) {
    char text[1024];
    char *arguments[ARGUMENTS + 1];
    size_t length = (size_t)(input->end - input->at) < sizeof(text) ? (size_t)(input->end - input->at) : 1023;
    memcpy(text, input->at, length);
    text[length] = '\0';
    int count = 0;
    for (char *at = text; count < ARGUMENTS && at <= text + length; at += strlen(at) + 1) {
        at[strcspn(at, "\n")] = '\0';
        arguments[count++] = at;
    }
    arguments[count] = NULL;
    struct serve_options options;
    enum options_result result = parse(count, arguments, &options);
    require_result(result, &options);
    if (count == 1) require_number(arguments[0], result, &options);
    if (result == OPTIONS_RUN) require_taken(&options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, data + size};
    uint8_t which = (uint8_t)draw(&input, 1);
    if (which % 32 == 2) /* seldom: it opens sockets */
        try_server(&input);
    else if (which % 4 == 3)
        try_command_line(&input);
    else
        try_engine(&input);
    return 0;
}
