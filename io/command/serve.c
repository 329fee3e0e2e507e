/* weir serve: an engine, a server, and what belongs to a process rather than to a library: signals, limits, words. */
#include "command.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "demo.h"
#include "serve_options.h"

/* ---- Signals --------------------------------------------------------------------------------------------------- */

/* Set before the handler is; weir_server_drain and weir_server_stop may be called from one. */
static weir_server *running;
static volatile sig_atomic_t signals_seen;

static void say_from_handler(const char *text) {
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored; /* nobody is left to be told */
}

static void handle_signal(int number) {
    (void)number;
    if (signals_seen == 0) {
        signals_seen = 1;
        say_from_handler("weir serve: draining; once more stops at once\n");
        weir_server_drain(running);
    } else {
        weir_server_stop(running);
    }
}

static void set_handler(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGINT);
    sigaction(number, &action, NULL);
}

static void catch_signals(weir_server *server) {
    running = server;
    set_handler(SIGTERM, handle_signal);
    set_handler(SIGINT, handle_signal);
}

/* ---- Process --------------------------------------------------------------------------------------------------- */

/* Each connection is a descriptor: take all that the administrator allows. */
static void raise_file_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        command_say("serve", "warning: the limit of open files stays as it is; connections are limited by it");
    }
}

static void write_log(void *context, weir_log_level level, const char *text) {
    (void)context;
    if (level <= WEIR_LOG_WARNING) {
        command_say("serve", "%s: %s", level == WEIR_LOG_ERROR ? "error" : "warning", text);
    }
}

static void print_address(const char *what, const char *address) {
    if (address == NULL) return;
    const char *scheme = strncmp(address, "unix:", 5) == 0 ? "" : "http://";
    printf("%s %s%s\n", what, scheme, address);
}

static void print_start(const weir_server *server, int demo) {
    const char *address = weir_server_address(server, 0);
    print_address("listening on", address);
    print_address("admin on", weir_server_address(server, 1));
    printf("backend: %s\n", weir_server_backend(server));
    if (demo) {
        printf("demo: open http://%s/ in a browser, or try\n", address);
        printf("  curl -N http://%s/sessions/demo/events\n", address);
    }
    fflush(stdout);
}

/* ---- The run --------------------------------------------------------------------------------------------------- */

/* Runs a created server to its end. */
static int run_server(weir_server *server, weir_engine *engine, const struct serve_options *options) {
    weir_io_error error = {0};
    catch_signals(server);
    int status = weir_server_start(server, &error);
    if (status != WEIR_OK) {
        command_say("serve", "%s", error.text[0] != '\0' ? error.text : weir_strerror(status));
        return EXIT_FAILED;
    }
    struct demo *demo = options->demo ? demo_start(engine) : NULL;
    if (options->demo && demo == NULL) command_say("serve", "warning: the demo feed cannot be started");
    print_start(server, demo != NULL);
    status = weir_server_join(server); /* what broke, if anything, stands in the log */
    demo_stop(demo);
    return status == WEIR_OK ? EXIT_DONE : EXIT_FAILED;
}

static int run_engine(const struct serve_options *options, const char *token) {
    weir_config engine_config;
    weir_server_config server_config;
    serve_options_apply(options, &engine_config, &server_config);
    engine_config.log.write = write_log;
    server_config.token = token;

    weir_engine *engine;
    int status = weir_engine_create(&engine, &engine_config);
    if (status != WEIR_OK) {
        command_say("serve", "the engine cannot be made: %s", weir_strerror(status));
        return EXIT_FAILED;
    }
    int code = EXIT_FAILED;
    weir_server *server;
    weir_io_error error = {0};
    status = weir_server_create(&server, engine, &server_config, &error);
    if (status == WEIR_OK) {
        code = run_server(server, engine, options);
        set_handler(SIGTERM, SIG_IGN); /* what the handler names is going away */
        set_handler(SIGINT, SIG_IGN);
        weir_server_destroy(server);
    } else {
        command_say("serve", "%s", error.text[0] != '\0' ? error.text : weir_strerror(status));
        if (status == WEIR_INVALID && error.os_error == 0) code = EXIT_USAGE;
    }
    weir_engine_destroy(engine);
    return code;
}

int command_serve(int argc, char **argv) {
    struct serve_options options;
    enum options_result parsed = options_parse(&serve_syntax, argc, argv, &options, NULL);
    if (parsed != OPTIONS_RUN) return parsed == OPTIONS_HELP ? EXIT_DONE : EXIT_USAGE;
    char token[TOKEN_CAPACITY];
    if (options.token_file != NULL && command_read_token("serve", options.token_file, token) < 0) return EXIT_USAGE;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    raise_file_limit();
    return run_engine(&options, options.token_file != NULL ? token : NULL);
}
