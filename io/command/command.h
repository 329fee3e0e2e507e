/* What the parts of the `weir` command share: exit codes, the subcommands, and how it speaks to a person.
 *
 * Data goes to standard output, everything said to a person goes to standard error as "weir NAME: ...". */
#ifndef WEIR_IO_COMMAND_COMMAND_H
#define WEIR_IO_COMMAND_COMMAND_H

/* The same meaning in every subcommand; --help lists them. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,       /* no connection, the server failed or is overloaded: trying again later may help */
    EXIT_USAGE = 2,        /* the command line is wrong */
    EXIT_UNKNOWN = 3,      /* publish: the outcome of some lines is not known */
    EXIT_REFUSED = 4,      /* the server refused the request, or some lines of it */
    EXIT_INTERRUPTED = 130 /* ended by SIGINT or SIGTERM */
};

#define EXIT_CODES_HELP                                                                                              \
    "  0    done\n"                                                                                                  \
    "  1    failed: no connection, or the server failed or is overloaded\n"                                          \
    "  2    the command line is wrong\n"                                                                             \
    "  3    publish: the outcome of some lines is unknown\n"                                                         \
    "  4    refused by the server: a bad name, token or line, or no such session\n"                                  \
    "  130  interrupted (publish, tail, bench)\n"

/* Each gets the arguments behind its own name and returns an exit_code. */
int command_serve(int argc, char **argv);
int command_publish(int argc, char **argv);
int command_tail(int argc, char **argv);
int command_bench(int argc, char **argv);

/* "weir NAME: text" and a line end, to standard error. */
void command_say(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads the bearer token, the first line of a file, into `token`: 16 to 256 visible bytes. Returns 0, or -1 after
 * having said why. Warns when others may read the file. */
#define TOKEN_CAPACITY 257
int command_read_token(const char *name, const char *path, char token[TOKEN_CAPACITY]);

/* 1 when `session` can be a session's name; else says what is wrong with it and returns 0. */
int command_check_session(const char *name, const char *session);

#endif
