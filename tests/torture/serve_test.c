/* `weir serve` as a process, while every fallible call under it fails in its turn (L05, U01, R01, R02, M01, M02). It
 * either refuses to start, with a line that says why and an exit code that is not 0, or works: it serves a request, and
 * ends when it is told to. It never crashes, hangs, or leaks. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/prelude.h"

#include "client.h"
#include "faults.h"
#include "support/backends.h"

#define PATIENCE_S     30u /* only a run that hangs takes so long */
#define LASTING_WAITS  20  /* of 10 ms, for an answer that may never come */
#define TOKEN_TEMPLATE "torture-token-XXXXXX"

struct process {
    pid_t id;
    int output;
    int errors;
    int report;
    char said[4096];
    char address[64];
    int code; /* after the end */
    unsigned long long calls;
    unsigned long long injected;
    int first;
    size_t blocks;
};

static unsigned long long runs;
static unsigned long long refused;
static char token_file[] = TOKEN_TEMPLATE;

/* ---- The process ------------------------------------------------------------------------------------------------- */

static void become_server(const char *io, int output, int errors, int report, const struct fault_plan *plan) {
    char text[64];
    dup2(output, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    int kept = dup(report); /* without close-on-exec */
    snprintf(text, sizeof(text), "%d", kept);
    setenv("WEIR_TORTURE_REPORT", text, 1);
    snprintf(text, sizeof(text), "%llu %u %d", (unsigned long long)plan->nth, plan->variant, plan->lasting);
    setenv("WEIR_TORTURE_PLAN", text, 1);
    alarm(PATIENCE_S);
    execl(TORTURED_COMMAND, "weir", "serve", "--listen", "127.0.0.1:0", "--threads", "2", "--drain", "1", "--io", io,
          "--token-file", token_file, "--demo", (char *)NULL);
    _exit(99);
}

static void start(struct process *process, const char *io, const struct fault_plan *plan) {
    int output[2], errors[2], report[2];
    memset(process, 0, sizeof(*process));
    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    process->id = fork();
    assert_true(process->id >= 0);
    if (process->id == 0) become_server(io, output[1], errors[1], report[1], plan);
    close(output[1]);
    close(errors[1]);
    close(report[1]);
    process->output = output[0];
    process->errors = errors[0];
    process->report = report[0];
}

/* Reads until the text comes, or the end. */
static bool read_until(int descriptor, const char *wanted, char *text, size_t size) {
    size_t length = 0;
    while (length + 1 < size) {
        ssize_t got = read(descriptor, text + length, size - 1 - length);
        if (got <= 0) break;
        length += (size_t)got;
        text[length] = '\0';
        if (wanted != NULL && strstr(text, wanted) != NULL) return true;
    }
    return false;
}

static bool is_listening(struct process *process) {
    char text[2048] = "";
    if (!read_until(process->output, "backend: ", text, sizeof(text))) return false;
    return sscanf(text, "listening on http://%63[0-9.:]", process->address) == 1;
}

static bool has_ended(struct process *process) {
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)process->id, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == process->id;
}

static void finish(struct process *process) {
    char text[128] = "";
    int status = 0;
    read_until(process->errors, NULL, process->said, sizeof(process->said));
    read_until(process->report, NULL, text, sizeof(text));
    assert_int_equal(waitpid(process->id, &status, 0), process->id);
    if (WIFSIGNALED(status)) fail_msg("ended by signal %d: %s", WTERMSIG(status), process->said);
    process->code = WEXITSTATUS(status);
    if (sscanf(text, "%llu %llu %d %zu", &process->calls, &process->injected, &process->first, &process->blocks) != 4)
        fail_msg("no report; exit code %d: %s", process->code, process->said);
    close(process->output);
    close(process->errors);
    close(process->report);
}

/* ---- One run ----------------------------------------------------------------------------------------------------- */

/* A request is answered, perhaps at a later try; unless the server ends, or failures last for good. */
static void use(struct process *process, bool lasting) {
    static struct client client;
    client_init(&client);
    int waits = 0;
    while (client_status(&client) != 200 && !has_ended(process) && !(lasting && waits > LASTING_WAITS)) {
        if (client.descriptor < 0 || client.finished)
            (void)client_ask(&client, process->address, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        client_wait(&client, 10);
        waits++;
    }
    client_close(&client);
}

static void judge(const struct process *process, bool worked) {
    if (process->blocks != 0) fail_msg("%zu heap blocks leaked", process->blocks);
    if (process->code == 0 && worked) return;
    if (process->injected == 0) fail_msg("exit code %d though nothing failed: %s", process->code, process->said);
    if (process->code != 1 && process->code != 2) fail_msg("exit code %d: %s", process->code, process->said);
    if (strncmp(process->said, "weir serve: ", 12) != 0) fail_msg("no reason is given: '%s'", process->said);
    refused++;
}

static struct process run(const char *io, const struct fault_plan *plan) {
    static struct process process;
    start(&process, io, plan);
    bool worked = is_listening(&process);
    if (worked) {
        use(&process, plan->lasting);
        kill(process.id, SIGTERM);
    }
    finish(&process);
    judge(&process, worked);
    runs++;
    return process;
}

static void torture(const char *io) {
    unsigned long long before = runs;
    for (uint64_t n = 1;; n++) {
        unsigned variants = 1;
        bool met = true;
        for (unsigned variant = 0; variant < variants && met; variant++) {
            struct fault_plan plan = {.nth = n, .variant = variant};
            struct process process = run(io, &plan);
            met = process.injected > 0;
            if (met) variants = call_variants((enum call)process.first);
        }
        if (!met) break;
        struct fault_plan lasting = {.nth = n, .lasting = true};
        run(io, &lasting);
    }
    printf("  weir serve --io %s: %llu runs\n", io, runs - before);
    assert_true(runs - before > 100);
}

static void test_serve_on_epoll(void **state) {
    (void)state;
    torture("epoll");
}

static void test_serve_on_uring(void **state) {
    (void)state;
    const struct fault_plan none = {.nth = 0};
    struct process process;
    start(&process, "uring", &none);
    bool works = is_listening(&process);
    kill(process.id, SIGTERM);
    finish(&process);
    if (!works && backend_is_missing(WEIR_IO_URING)) skip();
    if (!works) fail_msg("it does not start: %s", process.said);
    torture("uring");
}

static int make_token(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    int descriptor = mkstemp(token_file);
    if (descriptor < 0 || dprintf(descriptor, "0123456789abcdef\n") < 0) return -1;
    return close(descriptor);
}

static int remove_token(void **state) {
    (void)state;
    return unlink(token_file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serve_on_epoll),
        cmocka_unit_test(test_serve_on_uring),
    };
    int failed = cmocka_run_group_tests(tests, make_token, remove_token);
    printf("torture: weir serve, %llu runs, %llu starts or ends refused with a reason\n", runs, refused);
    return failed != 0 ? 1 : backend_is_missing(WEIR_IO_URING) ? EXIT_SKIPPED_BACKEND : 0;
}
