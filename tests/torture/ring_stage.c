#include "ring_stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"

#define TURN_MS 10u

struct ring_stage ring_stage;

void ring_turn(void) {
    assert_true(weir_reactor_run_once(ring_stage.reactor, TURN_MS) >= 0);
}

static void make_server(void) {
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    config.listen = "127.0.0.1:0";
    config.threads = 1;
    config.io = WEIR_IO_URING;
    config.heartbeat_ms = WEIR_NONE;
    config.drain_ms = 1;
    assert_int_equal(weir_server_create(&ring_stage.server, ring_stage.engine, &config, NULL), WEIR_OK);
    ring_stage.reactor = weir_server_reactor(ring_stage.server, 0);
}

int ring_open(void **state) {
    weir_config config = WEIR_CONFIG_INIT;
    (void)state;
    memset(&ring_stage, 0, sizeof(ring_stage));
    client_init(&ring_stage.victim);
    client_init(&ring_stage.follower);
    config.max_sessions = 64;
    config.max_subscribers = 64;
    config.max_session_subscribers = 64;
    config.max_bytes = 8u << 20;
    config.replay_capacity = 4096;
    config.allocator = counting_allocator_of(&ring_stage.memory);
    ring_stage.before = census_take();
    assert_int_equal(weir_engine_create(&ring_stage.engine, &config), WEIR_OK);
    assert_int_equal(weir_producer_create(ring_stage.engine, &ring_stage.producer), WEIR_OK);
    assert_int_equal(weir_session_open(ring_stage.engine, "s", 1, WEIR_OPEN_OR_CREATE, &ring_stage.session, NULL),
                     WEIR_OK);
    make_server();
    return 0;
}

int ring_close(void **state) {
    const struct ring_plan none = {.times = 0};
    (void)state;
    weir_server_destroy(ring_stage.server);
    ring_begin(&none);
    client_close(&ring_stage.victim);
    client_close(&ring_stage.follower);
    weir_session_release(ring_stage.session);
    weir_producer_destroy(ring_stage.producer);
    weir_engine_destroy(ring_stage.engine);
    assert_int_equal(u64_load_relaxed(&ring_stage.memory.outstanding), 0);
    assert_int_equal(ledger_count(NULL), 0);
    census_settle(&ring_stage.before);
    return 0;
}

const char *ring_address(void) {
    return weir_server_address(ring_stage.server, 0);
}

int ring_await_answer(struct client *client) {
    while (client_status(client) == 0 && !client->finished) {
        ring_turn();
        client_take(client);
    }
    return client_status(client);
}

uint64_t ring_metric(const char *name) {
    static struct client client;
    client_init(&client);
    assert_true(client_ask(&client, ring_address(), "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    assert_int_equal(ring_await_answer(&client), 200);
    const char *line = strstr(client.received, name);
    assert_non_null(line);
    uint64_t value = strtoull(line + strlen(name), NULL, 10);
    client_close(&client);
    return value;
}

void ring_publish(void) {
    char text[32];
    int length = snprintf(text, sizeof(text), "<%llu>", (unsigned long long)++ring_stage.published);
    assert_int_equal(weir_publish(ring_stage.producer, ring_stage.session, 0, text, (size_t)length, NULL), WEIR_OK);
}

bool ring_has_all(void) {
    const struct client *follower = &ring_stage.follower;
    const char *place = follower->received;
    char text[32];
    snprintf(text, sizeof(text), "data: <%llu>\n", (unsigned long long)ring_stage.published);
    if (!client_has(follower, text)) return false;
    assert_false(client_has(follower, "event: gap"));
    /* Whatever looks like an event is the next one: none is missing, and none comes twice. */
    uint64_t number = 0;
    while ((place = strstr(place, "data: <")) != NULL) {
        int length = snprintf(text, sizeof(text), "data: <%llu>\n", (unsigned long long)++number);
        if (strncmp(place, text, (size_t)length) != 0)
            fail_msg("instead of event %llu came %.16s", (unsigned long long)number, place);
        place += length;
    }
    assert_int_equal(number, ring_stage.published);
    return true;
}

unsigned ring_catch_up(void) {
    struct client *follower = &ring_stage.follower;
    unsigned comes = 0;
    while (!ring_has_all()) {
        if (follower->descriptor < 0 || follower->finished) {
            comes++;
            assert_true(client_ask(follower, ring_address(), RING_FOLLOWING));
        }
        ring_turn();
        client_take(follower);
    }
    return comes;
}
