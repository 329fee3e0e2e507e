/* The `weir` command: picks a subcommand, or tells what this build and this machine are. */
#include "command.h"

#include <stdio.h>
#include <string.h>

#ifdef WEIR_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif
#include <llhttp.h>
#include <weir.h>

#include "backend/probe.h"

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct subcommand subcommands[] = {
    {"serve", command_serve, "Run the server: publish over HTTP, stream as SSE or NDJSON, resume exactly."},
    {"publish", command_publish, "Publish lines of standard input as events of a session."},
    {"tail", command_tail, "Print a session's events as they come, and come back by itself."},
    {"bench", command_bench, "Load a server of events, this one or another, and check every delivery."},
};

static void print_help(FILE *out) {
    fputs("usage: weir COMMAND [options]\n\n"
          "Event streams that lose nothing in silence: every event is delivered, still replayable, or named in a "
          "gap.\n\n"
          "Commands\n",
          out);
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        fprintf(out, "  %-9s %s\n", subcommands[i].name, subcommands[i].help);
    }
    fputs("\n  weir COMMAND --help   options, defaults and examples of a command\n"
          "  weir --version        versions, and the I/O backend that would run here\n\n"
          "Try it\n"
          "  weir serve --demo\n"
          "  weir tail demo\n\n"
          "Exit codes\n" EXIT_CODES_HELP,
          out);
}

static void print_version(void) {
    struct io_probe probe;
    io_probe(IO_AUTO, &probe);
    printf("weir %s\n", weir_version());
    printf("backend: %s\n", probe.reason);
    printf("liburing %s, llhttp %d.%d.%d, ", WEIR_LIBURING_VERSION, LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
           LLHTTP_VERSION_PATCH);
#ifdef WEIR_JEMALLOC
    printf("jemalloc %d.%d.%d\n", JEMALLOC_VERSION_MAJOR, JEMALLOC_VERSION_MINOR, JEMALLOC_VERSION_BUGFIX);
#else
    printf("the C library's allocator (built without jemalloc)\n");
#endif
}

int main(int argc, char **argv) {
    if (argc < 2) {
        print_help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++) {
        if (strcmp(name, subcommands[i].name) == 0) return subcommands[i].run(argc - 2, argv + 2);
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return EXIT_DONE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        print_version();
        return EXIT_DONE;
    }
    fprintf(stderr, "weir: there is no command '%.80s'\ntry 'weir --help'\n", name);
    return EXIT_USAGE;
}
