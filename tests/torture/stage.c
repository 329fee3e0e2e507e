#include "stage.h"

#include <stdio.h>
#include <string.h>

#define TURN_MS 10u

static int create_server(struct stage *stage) {
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    weir_io_error error = {0, ""};
    config.listen = "127.0.0.1:0";
    config.threads = 1;
    config.io = stage->io;
    config.drain_ms = 1;
    config.heartbeat_ms = WEIR_NONE;
    config.token = "0123456789abcdef";
    int status = weir_server_create(&stage->server, stage->engine, &config, &error);
    if (status == WEIR_OK) return status;
    assert_null(stage->server);
    if (error.text[0] == '\0') fail_msg("%s without a word about why", weir_status_name(status));
    /* A server that cannot have what it needs of the system says WEIR_INVALID, and the text says what. */
    return status == WEIR_INVALID && torture_was_hurt(stage->torture) ? WEIR_NO_MEMORY : status;
}

static void make_server(struct stage *stage) {
    struct torture *torture = stage->torture;
    STEP(torture, create_server(stage));
    stage->reactor = weir_server_reactor(stage->server, 0);
    stage->ended = false;
    stage->descriptors = census_take().descriptors;
}

void stage_open(struct stage *stage, struct torture *torture, weir_io_choice io) {
    weir_config config = WEIR_CONFIG_INIT;
    memset(stage, 0, sizeof(*stage));
    client_init(&stage->client);
    client_init(&stage->reader);
    stage->torture = torture;
    stage->io = io;
    config.max_sessions = 64;
    config.max_bytes = 8u << 20;
    config.max_subscribers = 64;
    config.max_session_subscribers = 64;
    config.max_event_bytes = 65536;
    config.allocator = torture_allocator(torture);
    config.entropy = torture_entropy();
    STEP(torture, weir_engine_create(&stage->engine, &config));
    torture->engine = stage->engine;
    STEP(torture, weir_producer_create(stage->engine, &stage->producer));
    STEP(torture, weir_session_open(stage->engine, "s", 1, WEIR_OPEN_OR_CREATE, &stage->session, NULL));
    make_server(stage);
}

void stage_turn(struct stage *stage) {
    if (stage->ended) return;
    if (weir_reactor_run_once(stage->reactor, TURN_MS) >= 0) return;
    stage->ended = true;
}

/* No answer, or one that says whose fault it is. jansson does not tell a lack of memory from bad text: a line for which
 * it had none is refused as no JSON. */
static bool is_failure(int status) {
    return status == 0 || status == 503 || status == 507 || (status == 400 && faults_last() == CALL_JSON);
}

/* For want of memory a server may refuse one connection, not all of them. */
static bool is_memory(enum call call) {
    return call == CALL_MALLOC || call == CALL_CALLOC || call == CALL_REALLOC || call == CALL_STRDUP ||
           call == CALL_ENGINE_MEMORY;
}

/* What was hoped for has not come. It must be somebody's fault; then once more, with another server if this one has
 * stopped. */
static void recover(struct stage *stage, const char *what, int status) {
    struct torture *torture = stage->torture;
    if (!torture_was_hurt(torture)) fail_msg("%s: status %d, and nothing was made to fail", what, status);
    if (!is_failure(status)) fail_msg("%s: a failure was answered with %d", what, status);
    torture->going = !torture->gone;
    if (!torture->going) return;
    if (torture->plan.lasting) faults_stop();
    if (!stage->ended) return;
    if (faults_injected() == 1 && is_memory(faults_first())) fail_msg("a failed allocation has stopped the server");
    client_close(&stage->client);
    client_close(&stage->reader);
    weir_server_destroy(stage->server);
    stage->server = NULL;
    make_server(stage);
}

/* A failure from before is no excuse for what comes, unless it has ended the server. */
static void forgive(struct stage *stage) {
    if (!stage->ended) torture_forgive(stage->torture);
}

/* One try: the status of the answer, 0 when there is none. */
static int ask_once(struct stage *stage, struct client *client, const char *request) {
    if (!client_ask(client, weir_server_address(stage->server, 0), request)) return 0;
    while (client_status(client) == 0 && !client->finished && !stage->ended) {
        stage_turn(stage);
        client_take(client);
    }
    return client_status(client);
}

void stage_ask(struct stage *stage, const char *request, int status, int other) {
    forgive(stage);
    while (stage->torture->going) {
        int answer = ask_once(stage, &stage->client, request);
        if (answer == status || (answer == other && answer != 0)) break;
        recover(stage, request, answer);
    }
    client_close(&stage->client);
}

/* ---- Following --------------------------------------------------------------------------------------------------- */

/* How many events have come, from the first one on and without a hole. */
static uint64_t count_events(const struct client *client) {
    const char *place = client->received;
    char text[32];
    for (uint64_t number = 1;; number++) {
        snprintf(text, sizeof(text), "<%llu>", (unsigned long long)number);
        const char *found = strstr(place, text);
        const char *any = strchr(place, '<');
        if (found == NULL) return number - 1;
        if (any != found) fail_msg("event %llu is missing in what came", (unsigned long long)number);
        place = found + 1;
    }
}

static bool is_up_to_date(struct stage *stage) {
    return count_events(&stage->reader) == stage->published;
}

/* Waits for the events; the reader may be cut off meanwhile, and comes back. */
static void catch_up(struct stage *stage, const char *request) {
    struct client *reader = &stage->reader;
    while (stage->torture->going && !is_up_to_date(stage)) {
        if (reader->descriptor >= 0 && !reader->finished && !stage->ended) {
            stage_turn(stage);
            client_take(reader);
            continue;
        }
        stage->torture->met = stage->reader_met; /* what it was cut for may have been a while ago */
        recover(stage, request, 0);
        stage->reader_met = faults_injected();
        if (stage->torture->going) ask_once(stage, reader, request);
    }
}

void stage_follow(struct stage *stage, const char *request) {
    client_close(&stage->reader);
    forgive(stage);
    stage->reader_met = stage->torture->met;
    while (stage->torture->going) {
        int answer = ask_once(stage, &stage->reader, request);
        if (answer == 200) break;
        recover(stage, request, answer);
    }
    catch_up(stage, request);
}

void stage_publish(struct stage *stage, const char *request) {
    struct torture *torture = stage->torture;
    char text[32];
    int length = snprintf(text, sizeof(text), "\"<%llu>\"", (unsigned long long)stage->published + 1);
    STEP(torture, weir_publish(stage->producer, stage->session, 0, text, (size_t)length, NULL));
    stage->published++;
    catch_up(stage, request);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

void stage_settle(struct stage *stage) {
    weir_stats stats;
    client_close(&stage->client);
    client_close(&stage->reader);
    do {
        stage_turn(stage);
        weir_engine_stats(stage->engine, &stats);
    } while (!stage->ended && (census_take().descriptors > stage->descriptors || stats.subscribers > 0));
    if (stage->ended) recover(stage, "leaving", 0);
}

void stage_drain(struct stage *stage) {
    forgive(stage);
    weir_server_drain(stage->server);
    while (!stage->ended) {
        stage_turn(stage);
        client_take(&stage->reader);
        if (stage->reader.finished) client_close(&stage->reader); /* who is told that it is over, leaves */
    }
    int status = weir_server_join(stage->server);
    if (status != WEIR_OK && !torture_was_hurt(stage->torture))
        fail_msg("the drain failed: %s", weir_strerror(status));
}

void stage_close(struct stage *stage) {
    client_close(&stage->client);
    client_close(&stage->reader);
    weir_server_destroy(stage->server);
    weir_session_release(stage->session);
    weir_producer_destroy(stage->producer);
    weir_engine_destroy(stage->engine);
}
