/* weir_server_config: a refusal has a name and a sentence; a server that is made listens, turns and ends. */
#include "config_server.h"

#include <stddef.h>

#include "config_fuzz.h"

#define DAY_MS (24u * 3600u * 1000u)

struct bounds {
    const char *name;
    size_t offset;
    uint32_t standard, least, most;
    bool none; /* WEIR_NONE is taken as well */
};

#define FIELD(field) .name = #field, .offset = offsetof(weir_server_config, field)

static const struct bounds fields[] = {
    {FIELD(heartbeat_ms), 15000, 1, DAY_MS, true},
    {FIELD(head_timeout_ms), 10000, 1, DAY_MS, false},
    {FIELD(body_timeout_ms), 30000, 1, DAY_MS, false},
    {FIELD(idle_timeout_ms), 60000, 1, DAY_MS, false},
    {FIELD(stall_timeout_ms), 30000, 1, DAY_MS, false},
    {FIELD(drain_ms), 5000, 1, DAY_MS, false},
    {FIELD(retry_ms), 1000, 1, DAY_MS, false},
    {FIELD(max_connections), 65536, 1, 1u << 24, false},
    {FIELD(max_head_bytes), 16384, 256, 1u << 20, false},
    {FIELD(max_headers), 100, 8, 10000, false},
    {FIELD(max_body_bytes), 8u << 20, 1, 1u << 30, false},
    {FIELD(max_batch_bytes), 256u << 10, 4096, 64u << 20, false},
    {FIELD(busy_poll_us), 50, 1, 10000, true},
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static bool is_within(const weir_server_config *config, const struct bounds *bounds) {
    uint32_t value;
    memcpy(&value, (const char *)config + bounds->offset, sizeof(value));
    if (value == 0 || (value == WEIR_NONE && bounds->none)) return true;
    return value >= bounds->least && value <= bounds->most;
}

static bool is_valid(const weir_server_config *config) {
    for (size_t i = 0; i < FIELDS; i++)
        if (!is_within(config, &fields[i])) return false;
    bool token = true;
    size_t length = config->token == NULL ? 16 : strlen(config->token);
    for (size_t i = 0; config->token != NULL && i < length; i++)
        token = token && config->token[i] > ' ' && config->token[i] < 0x7F;
    return token && length >= 16 && length <= 256 && config->threads <= 64 && (uint32_t)config->io <= WEIR_IO_EPOLL &&
           (uint32_t)config->slow_policy <= WEIR_POLICY_DETACH;
}

/* One line without a period; of a field out of its bounds, its name. */
static void require_sentence(const weir_io_error *error, const weir_server_config *config) {
    size_t length = strnlen(error->text, sizeof(error->text));
    bool wrong = false, named = false;
    REQUIRE(length > 0 && length < sizeof(error->text) && error->text[length - 1] != '.');
    REQUIRE(strchr(error->text, '\n') == NULL);
    for (size_t i = 0; i < FIELDS; i++) {
        if (is_within(config, &fields[i])) continue;
        wrong = true;
        named = named || strstr(error->text, fields[i].name) != NULL;
    }
    bool others = (uint32_t)config->slow_policy > WEIR_POLICY_DETACH || config->threads > 64;
    if (wrong && !others && config->size == sizeof(*config)) REQUIRE(named);
}

static void require_working(weir_server *server, const weir_server_config *config) {
    uint32_t count = config->threads;
    REQUIRE(strncmp(weir_server_address(server, 0), "127.0.0.1:", 10) == 0);
    REQUIRE(strcmp(weir_server_address(server, 0), "127.0.0.1:0") != 0);
    REQUIRE(weir_server_address(server, 1) == NULL && weir_server_address(server, -1) == NULL);
    REQUIRE(weir_server_backend(server)[0] != '\0' && weir_server_reactor(server, count) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        weir_reactor *reactor = weir_server_reactor(server, i);
        REQUIRE(reactor != NULL && weir_reactor_descriptor(reactor) >= 0);
        REQUIRE(weir_reactor_run_once(reactor, 0) >= 0);
        REQUIRE(weir_reactor_timeout(reactor) <= 1000);
    }
    weir_server_stop(server);
    for (uint32_t i = 0; i < count; i++) {
        int turns = 0;
        while (weir_reactor_run_once(weir_server_reactor(server, i), 1) >= 0)
            REQUIRE(turns++ < 1000); /* what was begun has to come back first */
    }
}

static weir_engine *make_engine(void) {
    weir_config config = WEIR_CONFIG_INIT;
    weir_engine *engine;
    config.max_sessions = config.max_kinds = config.max_subscribers = 4; /* small, for speed */
    config.max_channels = config.max_channel_members = config.max_session_channels = 4;
    config.max_pollers = 3;
    config.max_bytes = config.max_session_bytes = 1u << 18;
    REQUIRE(weir_engine_create(&engine, &config) == WEIR_OK);
    return engine;
}

int require_server(const weir_server_config *config) {
    weir_io_error error = {0};
    weir_engine *engine = make_engine();
    weir_server *server;
    bool known = config->size >= sizeof(size_t) && config->size <= sizeof(*config);
    int status = weir_server_create(&server, engine, config, &error);
    if (known && is_valid(config) && config->threads <= 3)
        REQUIRE(status == WEIR_OK ||
                (status == WEIR_INVALID && config->io == WEIR_IO_URING)); /* where there is none */
    if (!known || !is_valid(config)) REQUIRE(status == WEIR_INVALID);
    REQUIRE((status == WEIR_OK) == (server != NULL));
    if (status == WEIR_OK)
        require_working(server, config);
    else
        require_sentence(&error, config);
    weir_server_destroy(server);
    weir_engine_destroy(engine);
    return status;
}

/* ---- The input ------------------------------------------------------------------------------------------------ */

static uint32_t near_bound(struct input *input, const struct bounds *bounds) {
    uint32_t how = (uint32_t)draw(input, 1);
    uint32_t near[] = {0, bounds->least, bounds->most, WEIR_NONE, bounds->standard, 1};
    if (how >= 192) return (uint32_t)draw(input, 4);
    return near[how % 6] + (how / 6 % 8 == 1) - (how / 6 % 8 == 2);
}

/* Two threads at most, and epoll unless asked for: a fuzzer makes many servers. */
void try_server(struct input *input) {
    static const uint32_t threads[] = {1, 1, 1, 2, 65, UINT32_MAX};
    static const weir_io_choice choices[] = {WEIR_IO_EPOLL, WEIR_IO_EPOLL,     WEIR_IO_EPOLL,
                                             WEIR_IO_URING, (weir_io_choice)3, (weir_io_choice)-1};
    weir_server_config config = WEIR_SERVER_CONFIG_INIT;
    char token[300];
    config.listen = "127.0.0.1:0";
    config.threads = threads[draw(input, 1) % 6];
    config.io = choices[draw(input, 1) % 6];
    config.strict_sessions = (uint32_t)draw(input, 1) % 2;
    config.slow_policy = (weir_policy)(draw(input, 1) % 4);
    uint32_t how = (uint32_t)draw(input, 1);
    if (how % 16 == 15) config.size = draw(input, 2) % (sizeof(config) + 9);
    for (uint32_t count = how / 16 % 4; count > 0; count--) {
        const struct bounds *bounds = &fields[draw(input, 1) % FIELDS];
        uint32_t value = near_bound(input, bounds);
        memcpy((char *)&config + bounds->offset, &value, sizeof(value));
    }
    if (how >= 128) {
        size_t length = (size_t)(input->end - input->at) < sizeof(token) ? (size_t)(input->end - input->at) : 299;
        memcpy(token, input->at, length);
        token[length] = '\0';
        config.token = token;
    }
    if (config.size < sizeof(config)) return; /* the fields of a shorter one may be those that keep it small */
    (void)require_server(&config);
}
