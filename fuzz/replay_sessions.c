/* Operations: sessions that are made, found, ended and let go, and time. */
#include <string.h>

#include "replay_world.h"

#define MONTH_MS (31ull * 24 * 60 * 60 * 1000)

static const char *const people[MODEL_PEOPLE] = {NULL, "p", "q"};

static weir_owner owner_of(uint32_t tenant, uint32_t principal) {
    return (weir_owner){people[tenant], tenant != 0, people[principal], principal != 0};
}

/* A name that sessions are opened under, one that a session has or had, or none. */
const char *choose_name(struct world *world, struct input *input, size_t *length) {
    static const char *const names[NAME_COUNT + 1] = {"a", "b", "c", "not a name"};
    uint32_t choice = draw(input, NAME_COUNT + 1 + MODEL_LIVES);
    const struct model_life *life = &world->model.lives[choice > NAME_COUNT ? choice - NAME_COUNT - 1 : 0];
    if (choice > NAME_COUNT && life->name_length > 0) {
        *length = life->name_length;
        return life->name;
    }
    const char *name = names[choice > NAME_COUNT ? 0 : choice];
    *length = strlen(name);
    return name;
}

static bool is_name(const char *name, size_t length) {
    return memchr(name, ' ', length) == NULL;
}

/* ---- Names ---------------------------------------------------------------------------------------------------- */

/* The driver keeps one reference of a session. */
static void adopt(struct world *world, struct model_life *life, weir_session *session, bool is_new) {
    weir_session **handle = &world->handles[life - world->model.lives];
    weir_session_info info;
    if (is_new) {
        weir_session_info_get(session, &info);
        life->epoch = info.epoch;
        life->name_length = info.name_length;
        memcpy(life->name, info.name, info.name_length);
        REQUIRE(info.epoch != world->last_epoch);
        world->last_epoch = info.epoch;
    } else {
        REQUIRE(session == *handle);
        if (life->held) weir_session_release(session);
    }
    *handle = session;
    life->held = true;
}

void open_session(struct world *world, const char *name, size_t length, weir_open mode) {
    struct model_life *life = NULL;
    weir_session *session;
    bool expected_created = false;
    int created = 0;
    int expected = is_name(name, length)
                       ? model_session_open(&world->model, name, length, mode, &life, &expected_created)
                       : WEIR_INVALID;
    REQUIRE(weir_session_open(world->engine, name, length, mode, &session, &created) == expected);
    REQUIRE(created == (expected_created ? 1 : 0) && (session != NULL) == (expected == WEIR_OK));
    if (expected == WEIR_OK) adopt(world, life, session, expected_created);
}

void create_session(struct world *world, const char *name, size_t length, struct input *input) {
    uint32_t whose = draw(input, MODEL_PEOPLE * MODEL_PEOPLE);
    weir_owner owner = owner_of(whose / MODEL_PEOPLE, whose % MODEL_PEOPLE);
    struct model_life *life = NULL;
    weir_session *session;
    weir_refusal refusal;
    int expected =
        name == NULL || is_name(name, length)
            ? model_session_create(&world->model, name, length, whose / MODEL_PEOPLE, whose % MODEL_PEOPLE, &life)
            : WEIR_INVALID;
    int status = weir_session_create(world->engine, name, length, whose != 0 ? &owner : NULL, &session, &refusal);
    REQUIRE(status == expected && (session != NULL) == (expected == WEIR_OK));
    if (status == WEIR_PRINCIPAL_LIMIT || status == WEIR_SESSIONS_LIMIT)
        REQUIRE(refusal.status == status && refusal.current >= refusal.limit);
    if (status != WEIR_OK) return;
    adopt(world, life, session, true);
    REQUIRE(name != NULL || (life->name_length == 36 && life->name[14] == '7')); /* SES-26 */
}

static void find_session(struct world *world, const char *name, size_t length, struct input *input) {
    uint32_t whose = draw(input, MODEL_PEOPLE * MODEL_PEOPLE);
    weir_owner owner = owner_of(whose / MODEL_PEOPLE, whose % MODEL_PEOPLE);
    struct model_life *life;
    weir_session *session;
    int expected = model_session_find(&world->model, name, length, whose / MODEL_PEOPLE, whose % MODEL_PEOPLE, &life);
    int status = weir_session_find(world->engine, name, length, whose != 0 ? &owner : NULL, &session);
    REQUIRE(status == expected && (session != NULL) == (expected == WEIR_OK));
    if (status == WEIR_OK) adopt(world, life, session, false);
}

static void remove_session(struct world *world, const char *name, size_t length) {
    struct model_life *life = model_find(&world->model, name, length);
    int expected = life != NULL ? WEIR_OK : WEIR_NOT_FOUND;
    if (life != NULL) model_end(&world->model, life, WEIR_ENDED_TERMINATED);
    REQUIRE(weir_session_remove(world->engine, name, length) == expected);
}

/* After its consumers have gone. A session that has not ended lives on under its name. */
void release(struct world *world, struct model_life *life) {
    if (!life->held) return;
    for (uint32_t i = 0; i < MODEL_CONSUMERS; i++)
        if (world->model.consumers[i].life == life) unsubscribe(world, &world->model.consumers[i]);
    if (life->ended != WEIR_ENDED_NOT) world->ended_epoch = life->epoch;
    weir_session_release(handle_of(world, life));
    model_release(life);
}

void change_sessions(struct world *world, struct input *input) {
    uint32_t how = draw(input, 16);
    size_t length;
    const char *name = choose_name(world, input, &length);
    struct model_life *life = choose_life(world, input);
    char copy[WEIR_NAME_MAX];
    memcpy(copy, name, length); /* of a life that may begin anew */
    if (how < 5) {
        open_session(world, copy, length, (weir_open)draw(input, 3));
    } else if (how < 7) {
        create_session(world, copy, length, input);
    } else if (how < 8) {
        create_session(world, NULL, 0, input);
    } else if (how < 11) {
        find_session(world, copy, length, input);
    } else if (how < 12) {
        remove_session(world, copy, length);
    } else if (life != NULL && how < 13) {
        int expected = model_end(&world->model, life, WEIR_ENDED_TERMINATED) ? WEIR_OK : WEIR_CLOSED;
        REQUIRE(weir_session_terminate(handle_of(world, life)) == expected);
    } else if (life != NULL && (how < 14 || life->ended != WEIR_ENDED_NOT)) {
        release(world, life);
    }
}

/* ---- Time ----------------------------------------------------------------------------------------------------- */

void pass_time(struct world *world, struct input *input) {
    uint32_t how = draw(input, 64);
    uint32_t ms = draw(input, 64);
    if (how < 24) ms += how % 8 * 1000;
    world->clock_ms += ms;
    if (how == 63 && !world->leapt) {
        world->clock_ms += MONTH_MS;
        world->leapt = true;
    }
    if (how == 62) return; /* the coarse clock stands still */
    REQUIRE(weir_engine_tick(world->engine) == world->clock_ms * 1000000u);
    model_tick(&world->model, world->clock_ms, world->clock_ms + WALL_AHEAD_MS);
}

struct swept {
    struct world *world;
    bool ended[MODEL_LIVES];
    uint32_t count;
};

static void note_ended(void *context, weir_session *session, weir_end_reason reason) {
    struct swept *swept = context;
    uint32_t i = 0;
    while (i < MODEL_LIVES && (swept->world->handles[i] != session || !swept->ended[i]))
        i++;
    REQUIRE(i < MODEL_LIVES && reason == swept->world->model.lives[i].ended);
    swept->ended[i] = false;
    swept->count++;
}

static void sweep_for(struct world *world, struct input *input) {
    static const uint64_t ttls[] = {0, 0, 1, 20, 100, WEIR_NONE, 1ull << 53, (1ull << 53) + 1};
    struct swept swept = {world, {false}, 0};
    uint32_t what = draw(input, 16);
    uint64_t ttl_ms = ttls[draw(input, 8)];
    weir_sweep wish = {what, 0, ttl_ms, note_ended, &swept};
    uint32_t expected = model_sweep(&world->model, what, ttl_ms, swept.ended);
    REQUIRE(weir_engine_sweep_for(world->engine, &wish) == expected);
    REQUIRE(swept.count == expected);
}

/* Everything there is to sweep, at once and in slices that add up to more places than there can be. */
static void sweep_everything(struct world *world, bool in_slices) {
    bool ended[MODEL_LIVES];
    uint32_t expected = model_sweep(&world->model, 0, 0, ended);
    uint32_t count = in_slices ? 0 : weir_engine_sweep_for(world->engine, NULL);
    for (uint32_t places = 0; in_slices && places < 256; places++)
        count += weir_engine_sweep(world->engine, 1);
    REQUIRE(count == expected);
}

void sweep(struct world *world, struct input *input) {
    uint32_t how = draw(input, 8);
    if (how < 4) {
        sweep_for(world, input);
    } else if (how < 6) {
        sweep_everything(world, how == 5);
    } else {
        uint32_t next_ms;
        uint32_t expected_next_ms;
        uint32_t expected = model_maintain(&world->model, &expected_next_ms);
        REQUIRE(weir_engine_maintain(world->engine, UINT32_MAX, &next_ms) == expected);
        REQUIRE(next_ms == expected_next_ms);
    }
}

void shut_down(struct world *world) {
    weir_engine_shut_down(world->engine);
    world->model.shut_down = true;
    for (uint32_t i = 0; i < MODEL_LIVES; i++)
        if (world->model.lives[i].used) model_end(&world->model, &world->model.lives[i], WEIR_ENDED_SHUT_DOWN);
}
