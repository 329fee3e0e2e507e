/* Engines and their sessions. */
#include "engine_scenarios.h"

#include <stdio.h>
#include <string.h>

#include "life.h"

/* The newest event comes back to whoever looks, and to a subscriber. */
static void look_back(struct life *life, unsigned session) {
    struct torture *torture = life->torture;
    weir_cursor replay;
    weir_gap gap;
    weir_session *held = life->sessions[session];
    bool keeps = life->config.replay_capacity != WEIR_NONE;
    STEP(torture, weir_replay(held, NULL, &replay, &gap));
    assert_int_equal(life_read(life, session, &replay), keeps ? life->published[session] : 0);
    STEP(torture, weir_subscribe(held, NULL, &life->cursors[session], &gap));
    assert_int_equal(life_read(life, session, &life->cursors[session]), keeps ? life->published[session] : 0);
    life_publish(life, session, 100);
    if (!torture->going) return;
    assert_int_equal(life_read(life, session, &life->cursors[session]), 1);
    weir_unsubscribe(held, &life->cursors[session]);
}

/* A session ends, its name is free, and the name can be used again. */
static void end_and_begin_again(struct life *life) {
    struct torture *torture = life->torture;
    weir_session_info info;
    weir_session_info_get(life->sessions[0], &info);
    assert_int_equal(weir_session_terminate(life->sessions[0]), WEIR_OK);
    weir_session *second = NULL;
    int created = 0;
    if (life->config.rules.id_mode != WEIR_NAMES_CALLER) return;
    STEP(torture,
         weir_session_open(life->engine, info.name, info.name_length, WEIR_OPEN_OR_CREATE, &second, &created));
    assert_int_equal(created, 1);
    weir_session_release(life->sessions[0]);
    life->sessions[0] = second;
    life->published[0] = 0;
    life_publish(life, 0, 10);
}

static void live(struct life *life) {
    struct torture *torture = life->torture;
    life_open(life);
    if (!torture->going) return;
    STEP(torture, weir_kind(life->engine, "note", 4, &life->kind));
    for (unsigned i = 0; i < LIFE_SESSIONS && torture->going; i++) {
        life_publish(life, i, 10);
        if (torture->going) look_back(life, i);
    }
    if (torture->going) end_and_begin_again(life);
    if (!torture->going) return;
    weir_engine_sweep(life->engine, 0);
    assert_int_equal(torture->stats.gaps, 0);
    weir_engine_shut_down(life->engine);
    weir_stats stats;
    weir_engine_stats(life->engine, &stats);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.subscribers, 0);
}

static void run_preset(struct torture *torture, weir_preset_name preset) {
    static struct life life;
    life_init(&life, torture, preset);
    live(&life);
    life_close(&life);
}

static void run_weir(struct torture *torture) {
    run_preset(torture, WEIR_PRESET_WEIR);
}

static void run_sse_registry(struct torture *torture) {
    run_preset(torture, WEIR_PRESET_SSE_REGISTRY);
}

static void run_realtime(struct torture *torture) {
    run_preset(torture, WEIR_PRESET_REALTIME);
}

static void run_mcp(struct torture *torture) {
    run_preset(torture, WEIR_PRESET_MCP);
}

static void run_hub(struct torture *torture) {
    run_preset(torture, WEIR_PRESET_HUB);
}

/* Nothing injected: an arena or aligned_alloc, getrandom, madvise. */
static void run_on_the_system(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    memset(&life.config.allocator, 0, sizeof(life.config.allocator));
    memset(&life.config.entropy, 0, sizeof(life.config.entropy));
    live(&life);
    life_close(&life);
}

/* ---- Events of all sizes ----------------------------------------------------------------------------------------- */

static void publish_sizes(struct life *life) {
    static const size_t lengths[] = {0, 10, 200, 500, 1000, 2000, 9000, LIFE_BYTES};
    struct torture *torture = life->torture;
    life_open(life);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]) && torture->going; i++)
        life_publish(life, 0, lengths[i]);
    /* More than a session may hold: the oldest give way. */
    for (unsigned i = 0; i < 6 && torture->going; i++)
        life_publish(life, 1, LIFE_BYTES);
    /* More than all may hold: whoever has most gives way. */
    for (unsigned i = 0; i < 6 && torture->going; i++)
        life_publish(life, 2, LIFE_BYTES);
    if (!torture->going) return;
    weir_session_info info;
    weir_session_info_get(life->sessions[2], &info);
    assert_true(info.newest >= info.oldest && info.bytes <= life->config.max_session_bytes);
}

static void run_sizes(struct torture *torture) {
    static struct life life;
    life_init(&life, torture, WEIR_PRESET_WEIR);
    life.config.max_session_bytes = 400000;
    life.config.max_bytes = 2000000;
    publish_sizes(&life);
    life_close(&life);
}

const struct scenario engine_of_weir = {"engine: weir", run_weir, 200};
const struct scenario engine_of_sse_registry = {"engine: SSE registry", run_sse_registry, 200};
const struct scenario engine_of_realtime = {"engine: realtime", run_realtime, 200};
const struct scenario engine_of_mcp = {"engine: MCP", run_mcp, 200};
const struct scenario engine_of_hub = {"engine: hub", run_hub, 200};
const struct scenario engine_on_the_system = {"engine: system's memory", run_on_the_system, 200};
const struct scenario engine_sizes = {"engine: sizes and budgets", run_sizes, 200};
