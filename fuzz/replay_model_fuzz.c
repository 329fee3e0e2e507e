/* The engine against a naive model (replay_model.h), one thread, operation by operation: every status, event, gap,
 * receipt and fact that the engine gives is compared. Several sessions share the engine, so that cells travel between
 * them and one's ids can be shown to the other; a session lives on when the driver lets it go, and ends while it is
 * held.
 *
 * What must hold, by the contract's names, and where it is looked at:
 *   PRP-01  a consumer's ids increase, each in its range was given, named in a gap or superseded   unsubscribe
 *   PRP-02  the ring holds the newest events, as many as fit                                       check_life
 *   PRP-03  a replay gives what is kept and follows the number, for every number                   begin, read_one
 *   PRP-04  generations are distinct, and the session has the largest                              check_cursor, check_life
 *   PRP-05  an old generation's end changes nothing for a newer one                                detach, check_life
 *   PRP-06  the verdict on a full queue is that of the machine with two counts                     publish
 *   PRP-07  what has expired stays expired until it shows life                                     sweep
 *   PRP-08  no limit is ever passed, and at rest nothing is counted                                check_life, close_world
 *
 * The input: some bytes of configuration, then operations of one byte and their arguments. */
#include "replay_world.h"

#include <string.h>

/* ---- What the engine is given --------------------------------------------------------------------------------- */

static uint64_t read_now_ns(void *context) {
    return ((const struct world *)context)->clock_ms * 1000000u;
}

static uint64_t read_wall_ms(void *context) {
    return ((const struct world *)context)->clock_ms + WALL_AHEAD_MS;
}

/* Never the same twice, and the same in every run. */
static int fill_counted(void *context, void *memory, size_t size) {
    struct world *world = context;
    uint8_t *bytes = memory;
    uint64_t mixed = ++world->drawn * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(mixed >> 56);
        mixed = mixed * 0xD1342543DE82EF95u + 1;
    }
    return 0;
}

/* Slow above three quarters of the queue, recovered below half of that, and told in turns. */
static void note_pace(struct notices *notices, const weir_notice *notice) {
    bool *slow = &notices->slow[notice->generation % SLOW_MAX];
    bool is_slow = notice->kind == WEIR_NOTICE_SLOW;
    REQUIRE(*slow != is_slow);
    *slow = is_slow;
    if (is_slow)
        REQUIRE(notice->backlog * 4 > notice->queue_depth * 3ull);
    else
        REQUIRE(notice->backlog * 8 < notice->queue_depth * 3ull);
}

static void note(void *context, const weir_notice *notice) {
    struct notices *notices = &((struct world *)context)->notices;
    if (notice->kind == WEIR_NOTICE_SLOW || notice->kind == WEIR_NOTICE_RECOVERED) note_pace(notices, notice);
    if (notice->kind == WEIR_NOTICE_CLOSED) notices->closed[notice->reason]++;
    if (notice->kind == WEIR_NOTICE_ENDED) notices->ended[notice->reason]++;
    if (notice->kind == WEIR_NOTICE_TOKEN_EXPIRED) notices->tokens++;
}

static void choose_limits(struct input *input, weir_config *config) {
    static const uint64_t bytes[] = {1u << 20, 128, 300, 1000, 4100, 9000, 20000, 70000};
    static const uint32_t subscribers[] = {64, 64, 64, 1, 2, 3};
    config->max_session_bytes = bytes[draw(input, 8)];
    config->max_event_bytes = draw(input, 3) == 0 ? 1500 : 4500;
    uint32_t how = draw(input, 252);
    config->max_subscribers = subscribers[how % 6];
    config->max_session_subscribers = subscribers[how / 6 % 6];
    config->max_principal_subscribers = how / 36 % 3;
    config->max_address_subscribers = how / 36 % 2;
    config->max_principal_sessions = how / 108;
}

static void choose_rules(struct input *input, weir_rules *rules) {
    uint32_t bits = draw(input, 256);
    rules->gap_signal = (weir_gap_signal)(bits & 1);
    rules->ahead = (weir_ahead)(bits >> 1 & 1);
    rules->closed_action = (weir_closed_action)(bits >> 2 & 1);
    rules->missing = (weir_missing)(bits >> 3 & 1);
    rules->idle_scope = (weir_idle_scope)(bits >> 4 & 1);
    rules->id_form = (weir_id_form)(bits >> 5 & 1);
    rules->scope_errors = (weir_scope_errors)(bits >> 6 & 1);
    rules->full_decay_ms = bits >> 7 & 1 ? 30 : 0;
    bits = draw(input, 256);
    rules->full_consecutive_max = bits & 3;
    rules->full_total_max = bits >> 2 & 3;
    rules->token_policy = (weir_token_policy)((bits >> 4 & 3) % 3);
    rules->id_mode = (weir_id_mode)((bits >> 6) == 3);
    rules->full_action = (weir_policy)draw(input, 6);
    rules->activity = draw(input, 64);
}

static void choose_times(struct input *input, weir_config *config) {
    static const uint32_t absolute[] = {0, 0, WEIR_NONE, 150};
    uint32_t how = draw(input, 192);
    config->idle_ttl_ms = draw(input, 8) == 0 ? WEIR_NONE : 1 + how % 48 * 3;
    config->absolute_ttl_ms = absolute[how / 48];
    config->consumer_ttl_ms = how % 3 == 0 ? 25 : 0;
    config->sweep_interval_ms = how % 5 == 0 ? WEIR_NONE : 40;
}

void open_world(struct world *world, struct input *input) {
    static const uint64_t firsts[] = {
        0, WEIR_FROM_ZERO, 2, 1000, (1ull << 29) - 20, (1ull << 32) - 20, UINT64_MAX / 2 - 1};
    weir_config config = WEIR_CONFIG_INIT;
    uint32_t capacity = draw(input, 18);
    config.replay_capacity = capacity != 0 ? capacity : WEIR_NONE;
    config.queue_depth = draw(input, 10);
    config.first_sequence = firsts[draw(input, 7)];
    config.max_sessions = MODEL_LIVES;
    config.max_bytes = 8u << 20; /* never reached; small tables make a run fast */
    config.max_kinds = MODEL_KINDS;
    choose_rules(input, &config.rules);
    choose_limits(input, &config);
    choose_times(input, &config);
    world->clock_ms = draw(input, 2) == 0 ? 1000 : UINT32_MAX - 50u;
    config.clock = (weir_clock){read_now_ns, read_wall_ms, world};
    config.entropy = (weir_entropy){fill_counted, world};
    if (draw(input, 2) == 1) config.observer = (weir_observer){note, world};
    REQUIRE(weir_engine_create(&world->engine, &config) == WEIR_OK);
    model_open(&world->model, &config, world->clock_ms, world->clock_ms + WALL_AHEAD_MS);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        REQUIRE(weir_producer_create(world->engine, &world->producers[i]) == WEIR_OK);
    for (uint32_t i = 0; i < MODEL_KINDS; i++) {
        uint32_t kind;
        REQUIRE(weir_kind(world->engine, &"xyz"[i], 1, &kind) == WEIR_OK && kind == i + 1);
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (config.rules.id_mode == WEIR_NAMES_SERVER)
            create_session(world, NULL, 0, input);
        else
            open_session(world, &"ab"[i], 1, WEIR_OPEN_OR_CREATE);
    }
}

/* ---- What it answers ------------------------------------------------------------------------------------------ */

struct model_life *choose_life(struct world *world, struct input *input) {
    uint32_t index = draw(input, MODEL_LIVES);
    for (uint32_t i = 0; i < MODEL_LIVES; i++) {
        struct model_life *life = &world->model.lives[(index + i) % MODEL_LIVES];
        if (life->held) return life;
    }
    return NULL;
}

static bool is_person(const char *text, size_t length, uint32_t who) {
    return who == 0 ? text == NULL : text != NULL && length == 1 && text[0] == (who == 1 ? 'p' : 'q');
}

static void check_life(struct world *world, struct model_life *life) {
    struct model *model = &world->model;
    const weir_config *config = &model->config;
    weir_session_info info;
    weir_session_info_get(handle_of(world, life), &info);
    REQUIRE(info.name_length == life->name_length && memcmp(info.name, life->name, life->name_length) == 0);
    REQUIRE(is_person(info.owner.tenant, info.owner.tenant_length, life->tenant));
    REQUIRE(is_person(info.owner.principal, info.owner.principal_length, life->principal));
    REQUIRE(info.epoch == life->epoch && info.created_wall_ms == life->created_wall_ms);
    REQUIRE(info.newest == life->next - 1 && info.published == life->next - model->first);
    REQUIRE(info.oldest == model_oldest(model, life, config->replay_capacity));
    REQUIRE(info.replay_capacity == config->replay_capacity && info.queue_depth == config->queue_depth);
    REQUIRE(info.subscribers == model_subscribers(model, life));
    REQUIRE(info.subscribers <= config->max_session_subscribers);
    REQUIRE(info.ended == life->ended && info.channels == 0);
    REQUIRE(info.generation == (life->newest != NULL ? life->newest->generation : 0));
    REQUIRE(info.bytes == model_bytes(model, life) && info.bytes <= config->max_session_bytes);
    weir_attachment_info attachment;
    weir_attachment_info expected;
    int status = model_attachment_get(life, &expected);
    REQUIRE(weir_attachment_get(handle_of(world, life), &attachment) == status);
    REQUIRE(memcmp(&attachment, &expected, sizeof(attachment)) == 0);
}

static void check_stats(struct world *world) {
    weir_stats stats;
    weir_stats expected = world->model.stats;
    weir_engine_stats(world->engine, &stats);
    expected.subscribers = model_subscribers(&world->model, NULL);
    expected.cell_bytes = stats.cell_bytes;
    expected.kinds = MODEL_KINDS;
    REQUIRE(memcmp(&stats, &expected, sizeof(stats)) == 0);
    REQUIRE(stats.subscribers <= world->model.config.max_subscribers);
    if (world->model.config.observer.notice == NULL) return;
    REQUIRE(memcmp(world->notices.closed, world->model.closed, sizeof(world->model.closed)) == 0);
    REQUIRE(memcmp(world->notices.ended, world->model.ended, sizeof(world->model.ended)) == 0);
    REQUIRE(world->notices.tokens == world->model.tokens);
}

void check_world(struct world *world) {
    for (uint32_t i = 0; i < MODEL_LIVES; i++)
        if (world->model.lives[i].held) check_life(world, &world->model.lives[i]);
    check_stats(world);
}

/* ---- Everything ----------------------------------------------------------------------------------------------- */

static void perform(struct world *world, struct input *input) {
    static const enum model_way ways[] = {MODEL_SUBSCRIBE, MODEL_SUBSCRIBE, MODEL_ATTACH, MODEL_ATTACH, MODEL_REPLAY};
    uint32_t choice = draw(input, 24);
    if (choice < 4) {
        publish_one(world, input);
    } else if (choice < 6) {
        publish_many(world, input);
    } else if (choice < 11) {
        begin(world, input, ways[choice - 6]);
    } else if (choice < 15) {
        read_some(world, input);
    } else if (choice < 16) {
        unsubscribe_one(world, input);
    } else if (choice < 17) {
        detach(world, input);
    } else if (choice < 18) {
        move(world, input);
    } else if (choice < 20) {
        change_sessions(world, input);
    } else if (choice < 22) {
        pass_time(world, input);
    } else if (choice < 23 || draw(input, 32) != 31) {
        sweep(world, input);
    } else {
        shut_down(world);
    }
    check_world(world);
}

static void close_world(struct world *world) {
    for (uint32_t i = 0; i < MODEL_CONSUMERS; i++) {
        read_to_the_end(world, &world->model.consumers[i]);
        unsubscribe(world, &world->model.consumers[i]);
    }
    check_world(world);
    weir_stats stats;
    weir_engine_stats(world->engine, &stats);
    REQUIRE(stats.subscribers == 0);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        weir_producer_destroy(world->producers[i]);
    for (uint32_t i = 0; i < MODEL_LIVES; i++)
        release(world, &world->model.lives[i]);
    weir_engine_destroy(world->engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct world world;
    struct input input = {data, data + size};
    memset(&world, 0, sizeof(world));
    open_world(&world, &input);
    check_world(&world);
    while (input.at < input.end)
        perform(&world, &input);
    close_world(&world);
    return 0;
}
