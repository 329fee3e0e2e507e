#include "connection_world.h"

#include <errno.h>
#include <string.h>

#define TURNS_PER_SLOT 3000 /* a turn takes a microsecond: more would leave the active part of the slot */

/* ---- The server ----------------------------------------------------------------------------------------------- */

/* Whole slots and a part of one. The parts of all deadlines are such that no sum of two or three of them ends where an
 * operation begins, and heartbeats, of which there may be many in a row, come a little later in each slot. */
static uint32_t deadline(struct input *input, uint32_t most_slots, uint32_t part_ms) {
    return (1 + draw(input, most_slots)) * SLOT_MS + part_ms;
}

static void choose_engine(struct input *input, weir_config *config) {
    static const uint32_t capacities[] = {4096, 4096, 256, 16, 2};
    config->max_sessions = 8; /* small tables make a run fast */
    config->max_kinds = 4;
    config->max_pollers = 1;
    config->max_subscribers = 16;
    config->max_channels = config->max_channel_members = config->max_session_channels = 1;
    config->max_bytes = config->max_session_bytes = 4u << 20;
    config->replay_capacity = capacities[draw(input, 5)];
    config->queue_depth = draw(input, 2) == 1 ? 1 + config->replay_capacity / 2 : 0;
    config->max_event_bytes = draw(input, 4) == 3 ? 16 : 4000;
    config->idle_ttl_ms = WEIR_NONE; /* the sweep's own rhythm would depend on when the first turn was */
}

static void choose_server(struct input *input, weir_server_config *config) {
    uint32_t bits = draw(input, 256);
    config->slow_policy = bits & 1 ? WEIR_POLICY_DETACH : WEIR_POLICY_SKIP;
    config->strict_sessions = bits >> 1 & 1;
    if (bits >> 2 & 1) config->token = "0123456789abcdef";
    config->max_body_bytes = bits >> 3 & 1 ? 64 : 2048;
    config->max_head_bytes = bits >> 4 & 1 ? 256 : 1024;
    config->max_headers = bits >> 5 & 1 ? 8 : 100;
    config->max_batch_bytes = bits >> 6 & 1 ? 4096 : 65536;
    config->max_connections = bits >> 7 & 1 ? 3 : 100;
    config->heartbeat_ms = deadline(input, 8, 4);
    config->head_timeout_ms = deadline(input, 20, 112);
    config->body_timeout_ms = deadline(input, 20, 104);
    config->idle_timeout_ms = deadline(input, 40, 96);
    config->stall_timeout_ms = 4 * deadline(input, 10, 22); /* it is looked at four times */
    config->drain_ms = deadline(input, 4, 0);
}

static const struct simulated_faults cutting_faults[] = {
    [CUT_NOWHERE] = {.seed = 1},
    [CUT_EVERYWHERE] = {.seed = 1},
    [CUT_BY_FAULTS] = {.seed = 1,
                       .short_send = 30,
                       .split_receive = 60,
                       .late_completion = 30,
                       .max_delay_ns = 20000,
                       .reorder = true,
                       .cancel = SIMULATED_CANCEL_ANY_ORDER},
};

void world_open(struct world *world, struct input *input, enum cutting cutting) {
    struct rig_options options = {.faults = cutting_faults[cutting]};
    memset(world, 0, sizeof(*world));
    world->cutting = cutting;
    choose_engine(input, &options.engine);
    choose_server(input, &options.server);
    options.faults.seed = 1 + draw(input, 256);
    rig_open(&world->rig, &options);
    for (uint32_t i = 0; i < PEERS; i++)
        world->present[i] = -1;
    world->slot_ns = simulated_now_ns(world->rig.backend);
}

/* ---- Time ----------------------------------------------------------------------------------------------------- */

static void turn(struct world *world, uint64_t until_ns) {
    uint64_t now_ns = simulated_now_ns(world->rig.backend);
    reactor_turn(world->rig.reactor, until_ns > now_ns ? until_ns - now_ns : 0);
}

/* To the end of the slot. What the operation has caused is done with while the slot is active. */
static void end_slot(struct world *world) {
    uint64_t active_ns = world->slot_ns + ACTIVE_MS * UINT64_C(1000000);
    uint64_t end_ns = world->slot_ns + SLOT_MS * UINT64_C(1000000);
    for (int turns = 0; simulated_now_ns(world->rig.backend) < end_ns; turns++) {
        REQUIRE(turns < TURNS_PER_SLOT);
        turn(world, simulated_now_ns(world->rig.backend) < active_ns ? active_ns : end_ns);
    }
    world->slot_ns = end_ns;
}

static void pass_slots(struct world *world, uint32_t count) {
    while (count-- > 0)
        end_slot(world);
}

/* ---- What peers do -------------------------------------------------------------------------------------------- */

static struct talk *find_talk(struct world *world, uint32_t who) {
    return world->present[who] < 0 ? NULL : &world->talks[world->present[who]];
}

static struct talk *find_or_connect(struct world *world, uint32_t who) {
    struct talk *talk = find_talk(world, who);
    if (talk != NULL || world->talk_count == CONNECTIONS) return talk;
    world->present[who] = (int)world->talk_count;
    talk = &world->talks[world->talk_count++];
    talk->peer = rig_connect(&world->rig);
    return talk;
}

static void send_waiting(struct world *world, struct talk *talk, size_t count) {
    if (count > talk->waiting) count = talk->waiting;
    const char *data = talk->fed + talk->fed_length - talk->waiting;
    talk->waiting -= count;
    if (world->cutting != CUT_EVERYWHERE) {
        if (count > 0) simulated_feed(talk->peer, data, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        simulated_feed(talk->peer, data + i, 1);
        turn(world, 0);
    }
}

static void give(struct talk *talk, const void *data, size_t length) {
    if (length > FED_MAX - talk->fed_length) length = FED_MAX - talk->fed_length;
    memcpy(talk->fed + talk->fed_length, data, length);
    talk->fed_length += length;
    talk->waiting += length;
}

static const char *const templates[] = {
    "GET /sessions/a/events HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /sessions/a/events?from=now HTTP/1.1\r\nHost: h\r\nAccept: application/x-ndjson\r\n\r\n",
    "GET /sessions/b/events HTTP/1.0\r\n\r\n",
    "POST /sessions/a/events HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none",
    "POST /sessions/a/events?split=lines HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\na\nb\n\nc\r\nd\n\n\n\n",
    "POST /sessions/b/events?event=k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "POST /sessions/b/events HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-ndjson\r\n"
    "Content-Length: 8\r\n\r\n{}\n\n[1]\n",
    "PUT /sessions/a HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /sessions/a HTTP/1.1\r\nHost: h\r\n\r\n",
    "DELETE /sessions/a HTTP/1.1\r\nHost: h\r\n\r\n",
    "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /metrics HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n",
    "POST /sessions/a/events HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer 0123456789abcdef\r\n"
    "Expect: 100-continue\r\nContent-Length: 4\r\n\r\nfour",
    "POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfour",
    "HEAD /sessions/a/events HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    "GET /sessions/a/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: nonsense\r\n\r\n",
};

/* A request that comes back: with the id of the oldest, or of some other event, of the session as it is. */
static void give_resumption(struct world *world, struct input *input, struct talk *talk) {
    char text[160];
    char id[WEIR_ID_MAX];
    char name = SESSION_LIST[draw(input, 2)];
    weir_session *session;
    weir_session_info info;
    if (weir_session_open(world->rig.engine, &name, 1, WEIR_OPEN_EXISTING, &session, NULL) != WEIR_OK) return;
    weir_session_info_get(session, &info);
    weir_session_release(session);
    size_t length = weir_id_format(info.epoch, info.oldest + draw(input, 32), id);
    int size =
        snprintf(text, sizeof(text), "GET /sessions/%c/events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: %.*s\r\n\r\n",
                 name, (int)length, id);
    give(talk, text, (size_t)size);
}

static void send_template(struct world *world, struct input *input) {
    struct talk *talk = find_or_connect(world, draw(input, PEERS));
    uint32_t which = draw(input, sizeof(templates) / sizeof(templates[0]) + 2);
    uint32_t count = draw(input, 256);
    if (talk == NULL || talk->left) return;
    if (which < sizeof(templates) / sizeof(templates[0]))
        give(talk, templates[which], strlen(templates[which]));
    else
        give_resumption(world, input, talk);
    send_waiting(world, talk, count < 128 ? FED_MAX : count - 128);
}

static void send_bytes(struct world *world, struct input *input) {
    struct talk *talk = find_or_connect(world, draw(input, PEERS));
    size_t length = draw(input, 256);
    if (length > (size_t)(input->end - input->at)) length = (size_t)(input->end - input->at);
    if (talk != NULL && !talk->left) {
        give(talk, input->at, length);
        send_waiting(world, talk, FED_MAX);
    }
    input->at += length;
}

static void publish(struct world *world, struct input *input) {
    char name = SESSION_LIST[draw(input, 2)];
    uint32_t count = 1 + draw(input, 8), length = draw(input, 64);
    static const char text[64] = "An event whose bytes say nothing; \r\nits id and length are enough";
    weir_session *session;
    if (weir_session_open(world->rig.engine, &name, 1, WEIR_OPEN_OR_CREATE, &session, NULL) != WEIR_OK) return;
    for (uint32_t i = 0; i < count; i++)
        if (weir_publish(world->rig.producer, session, 0, text, length, NULL) == WEIR_OK) world->published++;
    weir_session_release(session);
}

static void leave(struct world *world, uint32_t who, bool by_reset) {
    struct talk *talk = find_talk(world, who);
    if (talk == NULL) return;
    talk->left = true;
    talk->reset = by_reset;
    world->present[who] = -1;
    if (by_reset)
        simulated_reset(talk->peer);
    else
        simulated_finish(talk->peer);
}

static void hold_back(struct world *world, struct input *input) {
    static const size_t windows[] = {0, 1, 100, 1000, SIZE_MAX};
    struct talk *talk = find_talk(world, draw(input, PEERS));
    size_t window = windows[draw(input, 5)];
    if (talk == NULL) return;
    talk->held_back = true;
    simulated_set_window(talk->peer, window);
}

static void rarely(struct world *world, struct input *input) {
    uint32_t what = draw(input, 16);
    char name = SESSION_LIST[what % 2];
    if (what < 10)
        (void)weir_session_remove(world->rig.engine, &name, 1);
    else
        simulated_fail_accept(world->rig.backend, world->rig.listener, what % 2 == 0 ? EMFILE : ECONNABORTED);
}

static void perform(struct world *world, struct input *input) {
    uint32_t what = draw(input, 20), who;
    struct talk *talk;
    if (what < 6) {
        send_template(world, input);
    } else if (what < 9) {
        send_bytes(world, input);
    } else if (what < 12) {
        talk = find_talk(world, draw(input, PEERS));
        uint32_t count = 1 + draw(input, 64);
        if (talk != NULL) send_waiting(world, talk, count);
    } else if (what < 14) {
        publish(world, input);
    } else if (what < 15) {
        pass_slots(world, draw(input, 40));
    } else if (what < 17) {
        who = draw(input, PEERS);
        leave(world, who, what == 16);
    } else if (what < 18) {
        hold_back(world, input);
    } else if (what < 19) {
        talk = find_talk(world, draw(input, PEERS));
        size_t count = draw(input, 256) * 16u;
        if (talk != NULL) simulated_read(talk->peer, NULL, count);
    } else {
        rarely(world, input);
    }
    end_slot(world);
}

void world_run(struct world *world, struct input *input) {
    end_slot(world);
    while (input->at < input->end)
        perform(world, input);
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

static void require_nothing_is_left(const struct world *world) {
    const struct rig *rig = &world->rig;
    weir_stats stats;
    weir_engine_stats(rig->engine, &stats);
    REQUIRE(stats.subscribers == 0);
    REQUIRE(rig->reactor->connection_count == 0 && rig->reactor->stream_count == 0);
    REQUIRE(u32_load_relaxed(&rig->shared.connections) == 0 && simulated_lent_buffers(rig->backend) == 0);
    REQUIRE(u64_load_relaxed(&rig->reactor->counters.connections) == 0);
    REQUIRE(u64_load_relaxed(&rig->reactor->counters.streams) == 0);
}

void world_end(struct world *world, enum ending ending) {
    struct rig *rig = &world->rig;
    if (ending == END_BY_DRAIN) reactors_control(&rig->shared, CONTROL_DRAIN);
    if (ending == END_BY_STOP) reactors_control(&rig->shared, CONTROL_STOP);
    for (uint32_t i = 0; i < world->talk_count; i++)
        simulated_set_window(world->talks[i].peer, SIZE_MAX);
    for (uint32_t i = 0; i < PEERS && ending != END_BY_DRAIN; i++)
        leave(world, i, (ending + i) % 2 == 0);
    /* Longer than drain_ms with its grace, and than any other end in good order. */
    rig_run(rig, 8000);
    require_nothing_is_left(world);
    if (ending == END_BY_DRAIN || ending == END_BY_STOP)
        REQUIRE(rig->reactor->finished && simulated_started_operations(rig->backend) == 0);
}
