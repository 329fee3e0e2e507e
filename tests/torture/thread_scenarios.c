/* Servers with threads of their own. */
#include "server_scenarios.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir_io.h>

#include "base/atomic.h"
#include "client.h"

struct house {
    struct torture *torture;
    weir_io_choice io;
    weir_engine *engine;
    weir_server *server;
    atomic_u32 broken; /* the log has told of a backend that broke */
    struct client client;
};

/* For the admin socket: made for the first run, and gone with the program, also when that hangs or aborts (watch.c),
 * with whatever a failed run has left in it. */
static char folder[] = "torture-XXXXXX";
static char admin[64]; /* the address in it */

static void remove_folder(void) {
    unlink(admin + strlen("unix:"));
    rmdir(folder);
}

static void make_folder(void) {
    static bool made;
    if (made) return;
    assert_non_null(mkdtemp(folder));
    snprintf(admin, sizeof(admin), "unix:%s/admin.socket", folder);
    assert_int_equal(atexit(remove_folder), 0);
    assert_int_equal(at_quick_exit(remove_folder), 0);
    made = true;
}

static void note_line(void *context, weir_log_level level, const char *text) {
    struct house *house = context;
    if (level == WEIR_LOG_ERROR && strstr(text, "backend failed") != NULL) u32_store_release(&house->broken, 1);
}

static int create(struct house *house) {
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    weir_io_error error = {0, ""};
    config.listen = "127.0.0.1:0";
    config.admin_listen = admin;
    config.threads = 2;
    config.io = house->io;
    config.drain_ms = 1;
    int status = weir_server_create(&house->server, house->engine, &config, &error);
    if (status != WEIR_OK && error.text[0] == '\0') fail_msg("no word about why the server could not be made");
    return status == WEIR_INVALID && torture_was_hurt(house->torture) ? WEIR_NO_MEMORY : status;
}

/* One request, asked again while the connection is cut. With threads a failure may show at any time after it. A server
 * whose backend breaks says so and ends. */
static void ask(struct house *house, const char *address, const char *request) {
    struct torture *torture = house->torture;
    int status = 0;
    while (status != 200 && u32_load_acquire(&house->broken) == 0) {
        if (client_ask(&house->client, address, request))
            while (client_status(&house->client) == 0 && !house->client.finished &&
                   u32_load_acquire(&house->broken) == 0)
                client_wait(&house->client, 10);
        status = client_status(&house->client);
        if (status == 200 || u32_load_acquire(&house->broken) != 0) break;
        if (faults_injected() == 0) fail_msg("status %d, and nothing was made to fail", status);
        if (status != 0 && status != 503) fail_msg("a failure was answered with %d", status);
        torture->going = !torture->gone;
        if (torture->gone) break;
        if (torture->plan.lasting) faults_stop();
    }
    client_close(&house->client);
}

static void use(struct house *house) {
    struct torture *torture = house->torture;
    weir_config config = WEIR_CONFIG_INIT;
    config.max_sessions = 64;
    config.max_bytes = 8u << 20;
    config.max_subscribers = 64;
    config.max_session_subscribers = 64;
    config.allocator = torture_allocator(torture);
    config.log = (weir_log){note_line, house};
    STEP(torture, weir_engine_create(&house->engine, &config));
    torture->engine = house->engine;
    do {
        STEP(torture, create(house));
        torture_step(torture);
        weir_io_error error = {0, ""};
        int status = weir_server_start(house->server, &error);
        if (status == WEIR_OK) break;
        assert_true(error.text[0] != '\0');
        weir_server_destroy(house->server); /* a server that could not be started is not started again */
        house->server = NULL;
        torture_again(torture, status, "weir_server_start", __LINE__);
    } while (torture->going);
    if (torture->going) ask(house, weir_server_address(house->server, 0), "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    if (torture->going) ask(house, weir_server_address(house->server, 1), "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    if (house->server == NULL) return;
    weir_server_drain(house->server);
    int status = weir_server_join(house->server);
    if (status != WEIR_OK) assert_int_equal(u32_load_acquire(&house->broken), 1);
}

static void run(struct torture *torture, weir_io_choice io) {
    static struct house house;
    memset(&house, 0, sizeof(house));
    client_init(&house.client);
    house.torture = torture;
    house.io = io;
    make_folder();
    use(&house);
    weir_server_destroy(house.server);
    weir_engine_destroy(house.engine);
    if (access(admin + strlen("unix:"), F_OK) == 0) fail_msg("the admin socket's file is left");
}

static void run_epoll(struct torture *torture) {
    run(torture, WEIR_IO_EPOLL);
}

static void run_uring(struct torture *torture) {
    run(torture, WEIR_IO_URING);
}

const struct scenario server_threads_epoll = {"server: threads, epoll", run_epoll, 0};
const struct scenario server_threads_uring = {"server: threads, io_uring", run_uring, 0};
